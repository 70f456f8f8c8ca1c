"""Causal graphs of tokens, read off attention as a structural equation model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from ..core.base import guarded_fit
from ..core.maps import AttentionMaps
from ..core.typing import Table
from .independence import PartialCorrelationTest, correlation_from_covariance
from .learning import METHODS, learn_marks
from .pag import PAG
from .reading import (
    DegenerateAttentionWarning,
    attention_correlation,
    checked_maps,
    is_degenerate,
    node_mask,
)


class AttentionCausalDiscovery(TransformerMixin, MetaEstimatorMixin, BaseEstimator):
    r"""Read attention as a causal model of the tokens: one graph for each head and sample.

    Attention mixes tokens, :math:`Z = A V`, as a linear structural equation model mixes independent
    causes, :math:`x = (I - G)^{-1} u`. So :math:`A A^\top` stands for the covariance of the tokens,
    partial correlations for conditional independence, and iterative causal discovery
    (:class:`PAGDiscovery`) finds the graph [1]_. It tells which tokens *depend* on each other in
    this head, for this input; not what is true of the world, nor that the output needs them:
    :class:`CLEANNExplainer` asks the model.

    Parameters
    ----------
    estimator : estimator, default=None
        A model that answers ``attention_weights(X)``; :class:`HFAttention` makes one of a Hugging
        Face model. `fit` fits a clone; wrap a trained one in `sklearn.frozen.FrozenEstimator`.
        None: X itself is attention, an :class:`AttentionMaps` or array of shape
        (n_queries, n_keys), (n_samples, n_heads, n_queries, n_keys), or with layers in front.
    attention : "auto" or callable, default="auto"
        ``attention(estimator, X)`` returns attention in one of these forms, for models that do not
        answer `attention_weights`.
    layer : int, default=-1
        Layer to read, the deepest by default.
    heads : {"all", "mean"}, int or list of int, default="all"
        Heads to read, each by itself; "mean" averages them first, which the paper does not.
    n_samples : {"head_dim", "hidden_size"} or float, default="head_dim"
        Sample size that the tests are told: each dimension of the values counts as a sample.
        "head_dim" is what one head has (``d_model / n_heads`` of the estimator); "hidden_size"
        (``d_model``) is what the published code takes, and gives denser graphs. For arrays, give a
        number.
    alpha : float, default=0.01
        Level of the tests.
    nodes : array-like or callable, default=None
        Queries that become nodes: positions, or a mask of shape (n_queries,) or
        (n_samples, n_queries), or a function of X that returns one. Other tokens stay in the model
        as hidden causes; they are marginalised, never dropped. None takes all, but padding where
        the estimator has a method `token_mask(X)`.
    max_nodes : int, default=50
        The most nodes of a graph: of more, those that the target attends to most, and the target.
    target : int, default=-1
        Query whose attention ranks the nodes then.
    method : {"icd", "fci", "pc"}, default="icd"
        As in `PAGDiscovery`.
    order : {"sequence"}, default=None
        "sequence" lets no token cause an earlier one, as in a causal language model.
    max_cond_size : int, default=None
        The most tokens to condition on.
    check_rows : bool, default=True
        Whether to refuse weights that are negative or rows that do not sum to 1.
    n_jobs : int, default=None
        Graphs to find at the same time, in joblib's sense.

    Attributes
    ----------
    estimator_ : estimator or None
        The fitted model.
    n_features_in_ : int
        Number of columns, where the model has it.
    feature_names_in_ : ndarray of str
        Their names, where the model has them.

    See Also
    --------
    PAGDiscovery : The same for tables.
    CLEANNExplainer : Smallest sets of tokens that explain an outcome.

    Notes
    -----
    The correlations are :math:`R = D^{-1/2} A A^\top D^{-1/2}`, over the rows of all nodes and the
    columns of *all* tokens. This takes values to be independent of each other with unit variance,
    and faithfulness. Softmax weights are positive, so that all marginal correlations are: hardly
    any edge falls before tests condition on a token. How many fall depends on `alpha` and
    `n_samples`; report both.

    A head in which two tokens attend alike, or all tokens do, has no inverse correlation matrix. It
    gets no graph and a `DegenerateAttentionWarning`.

    References
    ----------
    .. [1] Rohekar, Gurwicz, Nisimov, "Causal Interpretation of Self-Attention in Pre-Trained
       Transformers", NeurIPS 2023, arXiv:2310.20307.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn import AttentionCausalDiscovery
    >>> effects = np.array([[0, 0, 0], [0, 0, 0], [1.0, 1.0, 0]])  # two causes of one effect
    >>> A = np.linalg.inv(np.eye(3) - effects)
    >>> A /= A.sum(axis=1, keepdims=True)
    >>> reader = AttentionCausalDiscovery(n_samples=1000)
    >>> print(reader.discover(A)[0][0])
    0 o-> 2
    1 o-> 2
    """

    _parameter_constraints = {
        "estimator": [None, HasMethods("fit")],
        "attention": [StrOptions({"auto"}), callable],
        "layer": [Integral],
        "heads": [StrOptions({"all", "mean"}), Integral, "array-like"],
        "n_samples": [
            StrOptions({"head_dim", "hidden_size"}),
            Interval(Real, 3, None, closed="neither"),
        ],
        "alpha": [Interval(Real, 0, 1, closed="neither")],
        "nodes": [None, "array-like", callable],
        "max_nodes": [Interval(Integral, 2, None, closed="left")],
        "target": [Integral],
        "method": [StrOptions(set(METHODS))],
        "order": [None, StrOptions({"sequence"})],
        "max_cond_size": [None, Interval(Integral, 0, None, closed="left")],
        "check_rows": ["boolean"],
        "n_jobs": [None, Integral],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        attention: Literal["auto"] | Callable[..., Any] = "auto",
        layer: int = -1,
        heads: Literal["all", "mean"] | int | ArrayLike = "all",
        n_samples: Literal["head_dim", "hidden_size"] | float = "head_dim",
        alpha: float = 0.01,
        nodes: ArrayLike | Callable[..., Any] | None = None,
        max_nodes: int = 50,
        target: int = -1,
        method: Literal["icd", "fci", "pc"] = "icd",
        order: Literal["sequence"] | None = None,
        max_cond_size: int | None = None,
        check_rows: bool = True,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.attention = attention
        self.layer = layer
        self.heads = heads
        self.n_samples = n_samples
        self.alpha = alpha
        self.nodes = nodes
        self.max_nodes = max_nodes
        self.target = target
        self.method = method
        self.order = order
        self.max_cond_size = max_cond_size
        self.check_rows = check_rows
        self.n_jobs = n_jobs

    @guarded_fit
    def fit(self, X: Table, y: ArrayLike | None = None, **fit_params: Any) -> Self:
        """Fit a clone of the model; without a model nothing is learnt.

        Parameters
        ----------
        X : array-like
            What the model is fitted on; without a model, attention.
        y : array-like, default=None
            Its target.
        **fit_params
            Passed to the model's `fit`.

        Returns
        -------
        AttentionCausalDiscovery
            The estimator itself.
        """
        self.estimator_ = None
        if self.estimator is not None:
            self.estimator_ = clone(self.estimator).fit(X, y, **fit_params)
            for name in ("n_features_in_", "feature_names_in_"):
                if hasattr(self.estimator_, name):
                    setattr(self, name, getattr(self.estimator_, name))
            if hasattr(X, "__getitem__") and not isinstance(X, Mapping):
                X = _safe_indexing(X, [0])  # one is enough to see how many heads there are
        self._n_heads_read = self._layer_weights(self._maps(X)).shape[1]
        return self

    def discover(self, X: Table) -> list[list[PAG]]:
        """Find the graphs.

        Parameters
        ----------
        X : array-like
            Samples for the model; without a model, attention.

        Returns
        -------
        list of list of PAG
            One graph for each sample and head. None for a head whose attention is degenerate.

        Raises
        ------
        ValueError
            `n_samples` names a size that is not known, rows are no attention, or `layer`, `heads`
            or `nodes` are not there.
        """
        if self.estimator is not None:
            check_is_fitted(self, "estimator_")
        else:
            self._validate_params()
        maps = self._maps(X)
        return self._graphs(maps, self._node_mask(X, maps))

    def attention_weights(self, X: Table, layer: int | None = None) -> AttentionMaps:
        """Return the attention that graphs are read off.

        Parameters
        ----------
        X : array-like
            Samples for the model; without a model, attention.
        layer : int, default=None
            Layer to return; None returns all.

        Returns
        -------
        AttentionMaps
            As the model gives it.
        """
        if self.estimator is not None:
            check_is_fitted(self, "estimator_")
        maps = self._maps(X)
        return maps if layer is None else maps._with_weights([maps[layer]], maps.kind)

    def transform(self, X: Table) -> np.ndarray:
        """Turn graphs into numbers: for each head and pair of tokens, whether there is an edge.

        Parameters
        ----------
        X : array-like
            Samples for the model; without a model, attention.

        Returns
        -------
        ndarray of shape (n_samples, n_heads * n_tokens * (n_tokens - 1) / 2)
            1 for an edge and 0 for none; NaN where a head is degenerate.
        """
        check_is_fitted(self)
        maps = self._maps(X)
        mask, n = self._node_mask(X, maps), maps.n_queries
        if not mask.all() or n > self.max_nodes:
            raise ValueError(
                "transform needs the same nodes in all samples: all tokens, and not more than "
                f"max_nodes={self.max_nodes}. Use discover."
            )
        graphs = self._graphs(maps, mask)
        upper = np.triu_indices(n, 1)
        blank = np.full(len(upper[0]), np.nan)
        rows = [
            [blank if g is None else (g.marks[upper] > 0).astype(np.float64) for g in sample]
            for sample in graphs
        ]
        return np.array(rows).reshape(len(rows), -1)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Name the columns of `transform`.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the tokens; those that the model was fitted with, or x0, x1, ... by default.

        Returns
        -------
        ndarray of str
            Head and pair, as in "head0 x0-x1".
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        pairs = [f"{a}-{b}" for i, a in enumerate(names) for b in names[i + 1 :]]
        heads = range(self._n_heads_read)
        return np.array([f"head{h} {pair}" for h in heads for pair in pairs], dtype=object)

    # --- attention ------------------------------------------------------------------------

    def _maps(self, X):
        """Return the attention for X, checked."""
        model = None if self.estimator is None else self.estimator_
        if callable(self.attention):
            found = self.attention(model, X)
        elif model is None:
            found = X
        elif not hasattr(model, "attention_weights"):
            raise TypeError(
                f"{type(model).__name__} does not answer attention_weights(X): pass "
                "attention=callable, or the attention itself without an estimator."
            )
        else:
            found = model.attention_weights(X)
        return checked_maps(found, self.check_rows)

    def _node_mask(self, X, maps):
        """Return which queries are nodes, (n_samples, n_queries)."""
        shape = maps.n_samples, maps.n_queries
        nodes = self.nodes(X) if callable(self.nodes) else self.nodes
        if nodes is None:
            model = None if self.estimator is None else self.estimator_
            if model is None or not hasattr(model, "token_mask"):
                return np.ones(shape, dtype=bool)
            nodes = model.token_mask(X)
        return node_mask(nodes, shape)

    def _chosen_heads(self, n_heads):
        if isinstance(self.heads, str):
            return list(range(n_heads))
        heads = np.atleast_1d(self.heads)
        if heads.dtype.kind not in "iu" or (np.abs(heads + 0.5) > n_heads).any():
            raise ValueError(f"heads has to be positions among {n_heads} heads, got {self.heads}.")
        return heads.tolist()

    def _layer_weights(self, maps):
        """Return the attention that is read, (n_samples, n_heads, n_queries, n_keys)."""
        if not -len(maps) <= self.layer < len(maps):
            raise ValueError(f"layer has to be one of {len(maps)} layers, got {self.layer}.")
        weights = maps[self.layer]
        if self.heads == "mean":
            return weights.mean(axis=1, keepdims=True)
        return weights[:, self._chosen_heads(weights.shape[1])]

    def _told_samples(self):
        """Return the sample size for the tests."""
        if not isinstance(self.n_samples, str):
            return self.n_samples
        model = None if self.estimator is None else self.estimator_
        width, heads = (getattr(model, name, None) for name in ("d_model", "n_heads"))
        if width is None or (heads is None and self.n_samples == "head_dim"):
            raise ValueError(
                f"n_samples={self.n_samples!r} needs a model with d_model and n_heads, "
                f"{'there is none' if model is None else type(model).__name__ + ' has none'}: "
                "pass a number, for instance the width of a head."
            )
        told = width // heads if self.n_samples == "head_dim" else width
        if told <= 3:
            raise ValueError(f"n_samples={self.n_samples!r} is {told}, too few to test: pass more.")
        return told

    # --- graphs ---------------------------------------------------------------------------

    def _graphs(self, maps, mask):
        """Return a list of graphs, one for each head, of each sample."""
        weights = self._layer_weights(maps)
        if not -maps.n_queries <= self.target < maps.n_queries:
            raise ValueError(
                f"target has to be one of {maps.n_queries} queries, got {self.target}."
            )
        told = self._told_samples()
        tasks = []
        for sample in range(maps.n_samples):
            nodes = self._limited(np.flatnonzero(mask[sample]), weights[sample])
            names = [maps.query_labels[v] for v in nodes]
            tasks += [(head[nodes], names, told) for head in weights[sample]]
        found = Parallel(n_jobs=self.n_jobs)(delayed(self._one_graph)(*task) for task in tasks)
        n_heads = weights.shape[1]
        degenerate = [divmod(k, n_heads) for k, graph in enumerate(found) if graph is None]
        if degenerate:
            some = ", ".join(f"head {h} of sample {s}" for s, h in degenerate[:5])
            warnings.warn(
                f"{len(degenerate)} of {len(found)} heads attend alike from several tokens and "
                f"have no graph: {some}{' ...' if len(degenerate) > 5 else ''}.",
                DegenerateAttentionWarning,
                stacklevel=3,
            )
        return [found[k : k + n_heads] for k in range(0, len(found), n_heads)]

    def _limited(self, nodes, weights):
        """Keep the nodes that the target attends to most, where there are too many."""
        if len(nodes) <= self.max_nodes:
            return nodes
        n_queries, n_keys = weights.shape[1:]
        if n_queries != n_keys:
            raise ValueError(
                f"There are {len(nodes)} nodes and max_nodes={self.max_nodes}; they can be ranked "
                "only where queries and keys are the same tokens. Pass nodes."
            )
        target = self.target % n_queries
        attended = weights[:, target].mean(axis=0)
        attended[target] = np.inf
        kept = nodes[np.argsort(-attended[nodes], kind="stable")[: self.max_nodes]]
        return np.sort(kept)

    def _one_graph(self, rows, names, told):
        """Find the graph of one head from the nodes' rows of attention (n_nodes, n_keys)."""
        R = attention_correlation(rows)
        if is_degenerate(R):
            return None
        n = len(R)
        test = PartialCorrelationTest(correlation_from_covariance(R), told)
        marks, sepsets, _ = learn_marks(
            test,
            alpha=self.alpha,
            method=self.method,
            max_cond_size=self.max_cond_size,
            tiers=np.arange(n) if self.order == "sequence" else None,
        )
        return PAG(
            marks, names, sepsets=sepsets, pvalues=test.largest, n_tests=test.counts(),
            alpha=self.alpha, n_samples=told,
        )  # fmt: skip
