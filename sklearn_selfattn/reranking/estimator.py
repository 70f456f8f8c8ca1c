"""AttentionReranker: a second look at the nearest neighbours, learnt from ranked lists."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import ClassifierMixin
from sklearn.utils import check_array
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ..core.base import EARLY_STOPPING_ROWS, BaseSelfAttention, guarded_fit
from ..core.holdout import hold_out
from ..core.typing import Table
from .gallery import DTYPES, TwoStageSearch
from .lists import ListBatches, ListLoss, RankedLists, best_blend, precision_by_blend, score_lists
from .metrics import as_pairs, relevance_hits, retrieval_metric
from .module import AffinityEncoder
from .search import nearest, unit_rows

MIN_HELD_OUT_CLASSES = 10  # of fewer classes no whole ones are held out
MAX_HELD_OUT_LISTS = 500
FIXED_BLEND = 0.25  # blend="auto" where no lists are held out
LEAK = 0.98  # mean average precision of lists that leave nothing to learn
WARM_UP = 0.1  # share of the training in which the learning rate rises
FEED_FORWARD = 4  # times d_model
NO_DISTANCE = 1e-6  # a row from its copy, whose similarity is 1 in single precision


class AttentionReranker(ClassifierMixin, TwoStageSearch):
    r"""Re-ranks nearest neighbours by attention between them, learnt from lists of known rows.

    The first stage finds the most similar rows of a gallery; this looks at the list a second time.
    A net sees, for each item, only its similarities to the first items of the list (the
    *affinity feature*), lets the items look at each other, and scores each one anew: a relevant
    item that is not very similar to the query is similar to other relevant ones. Because the net
    sees no embeddings, it works for classes and galleries that it was not trained on
    (`set_gallery`): that is what it is for. Memory is linear in the gallery.

    It is also a classifier by the votes of the re-ranked neighbours. On classes that were trained
    on, a classifier trained directly is better; see the :ref:`User Guide <reranking>`.

    Parameters
    ----------
    n_candidates : int, default=256
        Length of the lists that are re-ranked. What the first stage ranks behind stays there.
    n_anchors : int, default=64
        So many first items of the list, the query among them, are what items are compared with.
    n_train_candidates : int, default=64
        Length of the lists in training. Shorter ones cost less, and the net takes longer ones
        afterwards.
    n_neighbors : int, default=5
        Neighbours that are returned and that vote.
    weights : {"uniform", "distance"} or callable, default="uniform"
        Weights of the votes: equal; by inverse distance; a function of an array of distances.
    searcher : object with fit and kneighbors, default=None
        The first stage, for instance :class:`~sklearn.neighbors.NearestNeighbors` or a wrapper of
        an approximate index. It is copied, and given rows of length 1, so that Euclidean
        distances rank like cosines. None searches exactly, in blocks.
    temperature : float, default=0.5
        Of the contrastive loss.
    exclude_query : bool, default=False
        Whether the query, whose score is 1 whatever is learnt, is left out of that loss. At low
        temperatures it has to be: it would leave nothing to learn.
    positives : {"each", "any"}, default="each"
        Whether each relevant item has to score high, or it is enough if some do (published).
    reconstruction_weight : float, default=0.2
        Weight of the second loss: affinities have to be read back from refined features.
    feature_dropout : float, default=0.3
        Share of the coordinates of the embeddings that a list goes without in training, other ones
        each time: views of the same list.
    blend : float or "auto", default="auto"
        How much of the cosine similarity is kept: scores are the mean of refined and plain
        similarity with weights 1 and `blend`. "auto" chooses it by lists held out, for mean average
        precision and the first place alike; "do not re-rank" is a possible outcome. Without lists
        held out it is 0.25.
    d_model : int, default=32
        Width of each token; divisible by `n_heads`.
    n_heads : int, default=2
        Number of attention heads.
    n_layers : int or "auto", default=2
        Number of layers; 0 is a linear map of the affinities, to compare with. "auto" chooses it,
        and a width in place of `d_model`, for the number of training rows, see
        :func:`~sklearn_selfattn.recommend_depth_width`.
    dropout : float, default=0.1
        Share of attention weights and activations that are set to zero in training, and of
        branches that are skipped in the last layer.
    max_epochs : int, default=6
        The most passes over the lists. The learning rate rises over the first tenth and falls
        along a cosine.
    batch_size : int, default=32
        The most lists in one step.
    learning_rate : float, default=2e-3
        Largest step size.
    weight_decay : float, default=1e-4
        Decoupled weight decay.
    early_stopping : bool or "auto", default="auto"
        Whether lists are held out, which choose the best epoch and `blend`: those of whole
        classes where there are at least ten. "auto" does so from 500 rows on.
    validation_fraction : float, default=0.15
        Share of the lists, or classes, that are held out; at most 500 lists are looked at.
    n_iter_no_change : int, default=3
        Epochs without better held-out lists before training stops.
    device : str, default="auto"
        "auto" takes the first that is there of CUDA, MPS and CPU; or a torch device.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision of the net. "auto" trains in float64 on the CPU when all lists fit into one batch,
        else in float32, and scores in float64 on the CPU, so that the result for a query does not
        depend on those beside it. "float32" is about three times as fast.
    callbacks : list of skorch callbacks, default=None
        Called during training. They are copied first.
    verbose : int, default=0
        1 shows a progress line with the losses and the time left.
    random_state : int, RandomState instance or None, default=None
        Source of weights, batches and held-out lists. Results are reproducible for an int; no
        global random state is touched.

    Attributes
    ----------
    gallery_ : ndarray of float32 of shape (n_gallery, n_features)
        The rows that are searched, of length 1.
    gallery_y_ : ndarray of shape (n_gallery,), or None
        Their labels.
    classes_ : ndarray of shape (n_classes,)
        The labels of the gallery; missing where it has none.
    n_candidates_ : int
        Length of the lists: `n_candidates`, or the size of a smaller gallery.
    blend_ : float
        The share of plain similarity in use; infinity if re-ranking did not help held-out lists.
    searcher_ : object or None
        The fitted first stage, if one was given.
    n_layers_, d_model_ : int
        Depth and width of the module.
    module_ : torch.nn.Module
        The trained net.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "valid_loss" (with early stopping: 1 less the
        mean average precision of held-out lists), "lr", "dur" (seconds).
    n_iter_ : int
        Number of epochs.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Their names, if `X` was a frame with names.

    See Also
    --------
    RerankDisplay : What re-ranking gained and lost, over all queries.
    RankedListDisplay : One query, its list, affinities and attention.
    sklearn_selfattn.reranking.paper_preset : The parameters of the publication.
    sklearn_selfattn.reranking.k_reciprocal : A strong way to re-rank without training.

    Notes
    -----
    Rows are scaled to length 1. For a query q with the list :math:`g_1, \ldots, g_K`, let
    :math:`C = [q, g_1, \ldots, g_K]` and :math:`Z = [q, g_1, \ldots, g_{L-1}]`. Items have the
    affinity features :math:`A = C Z^\top` (zeros where the list is shorter than L). With the
    layers :math:`T` of a transformer without positions,

    .. math:: f = T(A W + b), \qquad
       s_i = \frac{\cos(f_0, f_i) + \beta \, q \cdot g_i}{1 + \beta},

    and the loss of a list with relevant items P is

    .. math:: - \frac{1}{|P|} \sum_{i \in P} \log \frac{e^{c_i / t}}{\sum_j e^{c_j / t}}
       + \frac{\alpha}{K + 1} \sum_i \left\lVert \frac{a_i}{\lVert a_i \rVert} -
       \frac{R f_i}{\lVert R f_i \rVert} \right\rVert, \qquad c_i = \cos(f_0, f_i) .

    The published loss [1]_ is :math:`-\log (\sum_P e^{c_i / t} / \sum_j e^{c_j / t})` with the
    query among P and :math:`t = 2`. The order of the anchors is the coordinate system of the
    affinities; that of the candidates is no matter. So a ranking given to `rerank` has to be best
    first.

    Cost for a query: first stage :math:`O(N D)`; affinities :math:`K L D`; net
    :math:`O(K d^2 + K^2 d)`, about 3 ms at the defaults. Training: a fifth of that for a list and
    epoch. Memory: the gallery, and blocks of lists; never a square of the gallery.

    A row of zeros is similar to nothing. Scores are rounded to nine digits, and ties keep the
    order of the first stage, which is that of the gallery.

    References
    ----------
    .. [1] Ouyang, Wu, Wang, Zhou, Li, "Contextual Similarity Aggregation with Self-attention for
       Visual Re-ranking", NeurIPS 2021, arXiv:2110.13430.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_selfattn import AttentionReranker
    >>> X, y = load_digits(return_X_y=True)
    >>> X, seen = X - X.mean(axis=0), y < 6
    >>> model = AttentionReranker(max_epochs=2, n_candidates=64, random_state=0)
    >>> model = model.fit(X[seen][::2], y[seen][::2])
    >>> model.set_gallery(X[~seen], y[~seen]).classes_  # digits it has not been trained on
    array([6, 7, 8, 9])
    >>> nearest = model.kneighbors(X[~seen][:2], n_neighbors=3, return_distance=False)
    >>> y[~seen][nearest]
    array([[6, 6, 6],
           [7, 7, 7]])
    """

    _parameter_constraints = {
        **BaseSelfAttention._parameter_constraints,
        "n_candidates": [Interval(Integral, 1, None, closed="left")],
        "n_anchors": [Interval(Integral, 1, None, closed="left")],
        "n_train_candidates": [Interval(Integral, 1, None, closed="left")],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "weights": [StrOptions({"uniform", "distance"}), callable],
        "searcher": [None, HasMethods(["fit", "kneighbors"])],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "exclude_query": ["boolean"],
        "positives": [StrOptions({"each", "any"})],
        "reconstruction_weight": [Interval(Real, 0, None, closed="left")],
        "feature_dropout": [Interval(Real, 0, 1, closed="left")],
        "blend": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "n_layers": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
    }

    def __init__(
        self,
        *,
        n_candidates: int = 256,
        n_anchors: int = 64,
        n_train_candidates: int = 64,
        n_neighbors: int = 5,
        weights: Literal["uniform", "distance"] | Callable[..., Any] = "uniform",
        searcher: Any = None,
        temperature: float = 0.5,
        exclude_query: bool = False,
        positives: Literal["each", "any"] = "each",
        reconstruction_weight: float = 0.2,
        feature_dropout: float = 0.3,
        blend: float | Literal["auto"] = "auto",
        d_model: int = 32,
        n_heads: int = 2,
        n_layers: int | Literal["auto"] = 2,
        dropout: float = 0.1,
        max_epochs: int = 6,
        batch_size: int = 32,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-4,
        early_stopping: bool | Literal["auto"] = "auto",
        validation_fraction: float = 0.15,
        n_iter_no_change: int = 3,
        device: str = "auto",
        dtype: Literal["auto", "float32", "float64"] = "auto",
        callbacks: list[Any] | tuple[Any, ...] | None = None,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_candidates = n_candidates
        self.n_anchors = n_anchors
        self.n_train_candidates = n_train_candidates
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.searcher = searcher
        self.temperature = temperature
        self.exclude_query = exclude_query
        self.positives = positives
        self.reconstruction_weight = reconstruction_weight
        self.feature_dropout = feature_dropout
        self.blend = blend
        self.d_model = d_model
        self.n_heads = n_heads
        self.n_layers = n_layers
        self.dropout = dropout
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.device = device
        self.dtype = dtype
        self.callbacks = callbacks
        self.verbose = verbose
        self.random_state = random_state

    def _make_module(self):
        return AffinityEncoder(
            self.n_anchors,
            self.d_model_,
            self.n_heads,
            self.n_layers_,
            FEED_FORWARD * self.d_model_,
            float(self.dropout),
        )

    # --- fitting --------------------------------------------------------------------------

    @guarded_fit
    def fit(
        self,
        X: Table,
        y: ArrayLike | None = None,
        *,
        relevance: sparse.sparray | sparse.spmatrix | ArrayLike | None = None,
        queries: ArrayLike | None = None,
        views: Sequence[ArrayLike] | None = None,
    ) -> Self:
        """Learn to re-rank the lists of X, and index X as the gallery.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings: numbers of which the cosine is a similarity. Lists should look like those of
            new rows; if what makes the embeddings was trained on the same labels, they do not.
        y : array-like of shape (n_samples,), default=None
            Labels: rows of the same class are relevant to each other.
        relevance : sparse matrix, or array-like of int of shape (n_pairs, 2), default=None
            Instead of `y`, where relevance is no matter of classes: the pairs (query, row of X),
            or a matrix (n_queries, n_samples) with nonzero entries for them.
        queries : array-like of shape (n_queries, n_features), default=None
            The queries of `relevance`; None takes the rows of X as queries for the others.
        views : list of array-like of shape (n_samples, n_view_features), default=None
            Other embeddings of the same rows, say by another encoder. Each gives lists of its
            own, made wholly in its space, to train on; the net sees similarities only.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            NaN or infinite numbers, fewer than two rows, continuous labels, unequal lengths, an
            invalid parameter, or no row that has a relevant one in its list. A model that was
            fitted before stays as it was.
        TypeError
            A sparse X, or pairs that are no whole numbers.

        Warns
        -----
        UserWarning
            The lists are all but perfect before re-ranking, as happens when the embeddings were
            trained on the same labels.
        """
        self._check_what_is_relevant(y, relevance, queries, views)
        X, y = self._check_gallery(X, y, reset=True)
        self._choose_shape(len(X))
        self._index(X, y)
        seeds = self._draw_seeds()

        own: np.ndarray | None = np.arange(len(X))
        groups = None
        vectors = self.gallery_
        if relevance is None:
            groups = np.unique(y, return_inverse=True)[1]
            truth = (y, y)
        else:
            if queries is not None:
                queries = check_array(queries, dtype=DTYPES, input_name="queries", estimator=self)
                if queries.shape[1] != X.shape[1]:
                    raise ValueError(
                        f"queries have {queries.shape[1]} features, X has {X.shape[1]}: both have "
                        "to be embedded into the same space."
                    )
                vectors, own = unit_rows(queries), None
            truth = as_pairs(relevance, len(vectors), len(X))
        train, valid = self._hold_lists_out(len(vectors), groups, seeds[0])

        length = max(self.n_train_candidates, self.n_candidates)
        ranking = self._search(vectors, length, own=own)
        hits, n_relevant = relevance_hits(ranking, truth, own=own)
        valid = valid[n_relevant[valid] > 0]
        sources = [(vectors, self.gallery_, ranking, hits)]
        for view in [] if views is None else views:
            view = self._check_view(view, len(X))
            ranking_there = nearest(view, view, self.n_train_candidates, own=own)
            hits_there, _ = relevance_hits(ranking_there, truth, own=own)
            sources.append((view, view, ranking_there, hits_there))

        held_out = None
        if len(valid):
            part = slice(None, self.n_candidates)
            held_out = (vectors[valid], self.gallery_, ranking[valid, part]), (
                hits[valid, part], n_relevant[valid],
            )  # fmt: skip
        self._fit_net(sources, train, held_out, seeds[1:], X, y)
        return self

    def _check_what_is_relevant(self, y, relevance, queries, views):
        if y is None and relevance is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None. Where relevance is no matter of classes, pass relevance= instead."
            )
        if y is not None and relevance is not None:
            raise ValueError("Pass y or relevance, not both: each says which items are relevant.")
        if queries is not None and relevance is None:
            raise ValueError("queries are of use with relevance= only, which says what they find.")
        if views is not None and relevance is not None:
            raise ValueError("views are for lists by labels: they cannot go with relevance=.")

    def _check_view(self, view, n_samples):
        """Return other embeddings of the rows as unit rows."""
        view = check_array(view, dtype=DTYPES, input_name="views", estimator=self)
        if len(view) != n_samples:
            raise ValueError(
                f"Each of the views has to have a row for each row of X: one has {len(view)} rows, "
                f"X has {n_samples}."
            )
        return unit_rows(view)

    def _hold_lists_out(self, n_lists, groups, seed):
        """Return the lists to train on and those held out: of whole classes if there are many."""
        wanted = self.early_stopping
        if wanted == "auto":
            wanted = n_lists >= EARLY_STOPPING_ROWS
        fraction = self.validation_fraction if wanted else 0.0
        if groups is not None and groups.max() + 1 < MIN_HELD_OUT_CLASSES:
            train, valid = hold_out(n_lists, fraction, seed, stratify=groups)
        else:
            train, valid = hold_out(n_lists, fraction, seed, groups=groups)
        if len(valid) > MAX_HELD_OUT_LISTS:
            rng = np.random.RandomState(seed)
            valid = np.sort(rng.choice(valid, MAX_HELD_OUT_LISTS, replace=False))
        return train, valid

    def _fit_net(self, sources, train, held_out, seeds, X, y):
        part = slice(None, self.n_train_candidates)
        device = self._resolve_device()
        lists = [RankedLists(Q, G, r[:, part], h[:, part], device) for Q, G, r, h in sources]
        rows = [train[(h[train, part] > 0).any(axis=1)] for *_, h in sources]
        if not len(rows[0]):
            raise ValueError(
                "There are no positive pairs to learn from: no row has another of its class (or "
                "another that is relevant to it) among its nearest "
                f"n_train_candidates={self.n_train_candidates} rows."
            )
        validate: Callable[[Any], float] | None = None
        if held_out is not None:
            where, (hits, n_relevant) = held_out
            precision = retrieval_metric(hits, "map_step")
            if precision > LEAK:
                warnings.warn(
                    "The lists to learn from are all but perfect before re-ranking (mean average "
                    f"precision {precision:.3f}). If what makes these embeddings was trained on "
                    "the same labels, lists of new rows will look different: train it and the "
                    "re-ranker on different rows.",
                    stacklevel=4,
                )

            def precisions(module):
                refined, similarity = score_lists(module, *where)
                return precision_by_blend(refined, similarity, hits, n_relevant)

            def held_out_loss(module):  # the first place alone would be too noisy to choose by
                return 1.0 - precisions(module)[0].max()

            validate = held_out_loss

        self._train(
            self._build_module(seeds[0], self._resolve_dtype(len(rows[0]))),
            batches=ListBatches(lists, rows, self.batch_size, self.feature_dropout),
            loss=ListLoss(
                self.n_anchors,
                self.temperature,
                self.exclude_query,
                self.positives == "each",
                self.reconstruction_weight,
            ),
            validate=validate,
            schedule=_one_cycle,
            seed=seeds[1],
            X=X,
            y=y,
        )
        self.blend_ = FIXED_BLEND if self.blend == "auto" else float(self.blend)
        if self.blend == "auto" and held_out is not None:
            self.blend_ = best_blend(*precisions(self.module_))

    # --- classes --------------------------------------------------------------------------

    def predict_proba(self, X: Table) -> np.ndarray:
        """Return the share of each class in the votes of the re-ranked neighbours.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The rows to predict.

        Returns
        -------
        ndarray of shape (n_queries, n_classes)
            Rows sum to 1; columns in the order of `classes_`.
        """
        check_is_fitted(self)
        if self.gallery_y_ is None:
            raise ValueError("The gallery has no labels to vote with: give them to set_gallery.")
        distances, ranking = self.kneighbors(X)
        codes = np.searchsorted(self.classes_, self.gallery_y_)[ranking]  # (n, k)
        weight = self._vote_weights(distances)
        votes = np.zeros((len(codes), len(self.classes_)))
        np.add.at(votes, (np.arange(len(codes))[:, None], codes), weight)
        total = votes.sum(axis=1, keepdims=True)
        return np.divide(votes, total, out=np.full_like(votes, 1 / votes.shape[1]), where=total > 0)

    def _vote_weights(self, distances):
        if callable(self.weights):
            return self.weights(distances)
        if self.weights == "uniform":
            return np.ones_like(distances)
        at_zero = distances < NO_DISTANCE
        with np.errstate(divide="ignore"):
            weight = 1 / distances
        return np.where(at_zero.any(axis=1, keepdims=True), at_zero, weight)

    def predict(self, X: Table) -> np.ndarray:
        """Return the class that most of the re-ranked neighbours have.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The rows to predict.

        Returns
        -------
        ndarray of shape (n_queries,)
            Labels from `classes_`; of equally many votes the first.
        """
        codes = self.predict_proba(X).argmax(axis=1)
        return self.classes_[codes]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = False
        return tags


def _one_cycle(done):
    """Return the factor of the learning rate: up along a line, down along a cosine."""
    if done < WARM_UP:
        return 0.1 + 0.9 * done / WARM_UP
    return 0.5 + 0.5 * math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))
