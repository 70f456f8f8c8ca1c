"""Explanations of outcomes by smallest sets of tokens, ordered by a causal graph of attention."""

from __future__ import annotations

from itertools import combinations
from typing import Any, Literal

import numpy as np
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from ..core.typing import Table
from .attention import AttentionCausalDiscovery
from .base import BaseSetExplainer, _AskedAlike
from .pag import PAG
from .paths import SeparationPaths


class CLEANNExplainer(BaseSetExplainer):
    r"""Explain an outcome by a smallest set of tokens, sought along a causal graph of attention.

    The attention of the deepest layer is read as a causal graph of tokens
    (:class:`AttentionCausalDiscovery`). Sets of tokens that the graph puts near the outcome's token
    are removed, smallest first and nearest first, and the model is asked again, until its outcome
    changes: *had these tokens been absent, it would have said something else* [1]_.

    Every set that is reported has been tried on the model, so it is right whatever the graph is
    worth. The graph only chooses the order and, with ``fallback=None``, which sets are tried at
    all.
    How much that saves over other orders, :class:`SubsetSearchExplainer` lets you measure.

    It is for models of token sequences, whose attention goes from each column of X to each, one of
    them standing for the outcome. The estimators of tables in this package are built otherwise:
    explain them with ``SubsetSearchExplainer(estimator, order="leave_one_out", target=None)``.

    Parameters
    ----------
    estimator : classifier
        A model with `predict_proba` that answers ``attention_weights(X)``. `fit` fits a clone; wrap
        a trained one in `sklearn.frozen.FrozenEstimator`.
    mask_value : object, default=nan
        What stands for an absent token: a padding or mask code that the model knows from training,
        NaN in tables; or ``mask_value(row, columns)``, which returns the row without these.
    target : {"cls", "next"} or int, default="cls"
        Column whose token stands for the outcome: "cls" the first; "next" the last, an empty slot
        that the model fills: its attention is read with the predicted item in it.
    exclude_seen : bool, default=False
        Whether labels that occur in the row cannot be the outcome, as for recommenders.
    max_set_size : int, default=3
        The most tokens in a set.
    search : {"size", "distance"}, default="size"
        "size" tries all sets of one token before those of two, near ones first. "distance" widens
        the search step by step from the target, smallest sets first within each step.
    fallback : {"attention"} or None, default="attention"
        "attention" goes on, at each size, with the sets that the graphs leave out, strongly
        attended ones first. Then no explanation is missed that an exhaustive search finds. None
        stops where the graphs do, as published: fewer questions, and many outcomes unexplained.
    find : {"all", "first"}, default="all"
        Whether to report all sets of the size (with ``search="distance"``, of the step and size)
        that was successful first, or to stop at the first set.
    discovery : AttentionCausalDiscovery, default=None
        How to find graphs; its `estimator` and `target` are not used. None takes its defaults.
    max_model_calls : int, default=1000
        The most rows that the model predicts for one explanation.
    batch_size : int, default=256
        The most rows in one call of the model; samples share calls.

    Attributes
    ----------
    estimator_ : classifier
        The fitted model.
    classes_ : ndarray
        Its labels.
    n_features_in_ : int
        Number of columns, where the model has it.
    feature_names_in_ : ndarray of str
        Their names, where the model has them.

    See Also
    --------
    SubsetSearchExplainer : All sets, in another order.
    CumulativeExplainer : One ranking, cut where the outcome changes.

    Notes
    -----
    A set is a candidate when each of its tokens is reached from the target on a PDS-path inside the
    set, as in ICD: nodes in a row form triangles or colliders. Its distance is the sum over its
    tokens of the shortest such paths. Candidates of all heads are tried; ties go by attention. The
    outcome changes when another label is strictly more probable than it.

    The published explainer is ``fallback=None`` with
    ``discovery=AttentionCausalDiscovery(n_samples="hidden_size")``.

    Up to :math:`\sum_{s \leq S} \binom{T}{s}` rows of T tokens are predicted for a sample.

    References
    ----------
    .. [1] Rohekar, Gurwicz, Nisimov, "Causal Interpretation of Self-Attention in Pre-Trained
       Transformers", NeurIPS 2023, arXiv:2310.20307. We follow the published code where it differs
       from the text: sizes before distances (``search="distance"`` is the text's).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.base import BaseEstimator, ClassifierMixin
    >>> from sklearn_selfattn import AttentionCausalDiscovery, CLEANNExplainer
    >>> class Alarm(ClassifierMixin, BaseEstimator):
    ...     '''Rings if column 1 and column 3 are set; column 0 is where it looks from.'''
    ...     def fit(self, X, y=None):
    ...         self.classes_ = np.array(["quiet", "ring"])
    ...         return self
    ...     def predict_proba(self, X):
    ...         rings = 0.1 + 0.8 * ((X[:, 1] == 1) & (X[:, 3] == 1))
    ...         return np.column_stack([1 - rings, rings])
    ...     def attention_weights(self, X, layer=None):
    ...         from sklearn_selfattn import AttentionMaps
    ...         A = np.eye(4) + [[0, 1, 0.1, 1], [0] * 4, [0, 0.2, 0, 0], [0] * 4]
    ...         A = np.broadcast_to(A / A.sum(1, keepdims=True), (len(X), 1, 4, 4))
    ...         return AttentionMaps([A], query_labels=range(4), key_labels=range(4),
    ...                              query_axis="column", key_axis="column")
    >>> explainer = CLEANNExplainer(
    ...     Alarm(), mask_value=0, discovery=AttentionCausalDiscovery(n_samples=100)
    ... ).fit([[0, 0, 0, 0]])
    >>> explanation = explainer.explain([[9, 1, 1, 1]])[0]
    >>> str(explanation.outcome_before), explanation.sets
    ('ring', [(1,), (3,)])
    """

    _parameter_constraints = BaseSetExplainer._parameter_constraints | {
        "search": [StrOptions({"size", "distance"})],
        "fallback": [None, StrOptions({"attention"})],
        "discovery": [None, AttentionCausalDiscovery],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        mask_value: object = np.nan,
        target: Literal["cls", "next"] | int = "cls",
        exclude_seen: bool = False,
        max_set_size: int | None = 3,
        search: Literal["size", "distance"] = "size",
        fallback: Literal["attention"] | None = "attention",
        find: Literal["all", "first"] = "all",
        discovery: AttentionCausalDiscovery | None = None,
        max_model_calls: int = 1000,
        batch_size: int = 256,
    ) -> None:
        self.estimator = estimator
        self.mask_value = mask_value
        self.target = target
        self.exclude_seen = exclude_seen
        self.max_set_size = max_set_size
        self.search = search
        self.fallback = fallback
        self.find = find
        self.discovery = discovery
        self.max_model_calls = max_model_calls
        self.batch_size = batch_size

    def graphs(self, X: Table) -> list[list[PAG]]:
        """Return the graphs that explanations are sought in.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_columns)
            Rows; with ``target="next"``, those with the predicted item in the slot are read.

        Returns
        -------
        list of list of PAG
            One for each sample and head; None where a head is degenerate.
        """
        check_is_fitted(self)
        model, X = _AskedAlike(self.estimator_, X), self._tokens(X)
        target = self._target_column(X.shape[1])
        before = self._scores(model.predict_proba(X), X).argmax(axis=1)
        return self._read(model, self._filled(X, target, before), target)[0]

    def _read(self, model, filled, target):
        """Return graphs, and the target's attention to all columns (n_samples, n_columns)."""
        reader = self._reader(model, self.discovery, target=target)
        maps = reader._maps(filled)
        self._check_tokens(maps, filled)
        mask = reader._node_mask(filled, maps) & ~self._is_mask(filled)
        mask[:, target] = True
        attention = reader._layer_weights(maps)[:, :, target].mean(axis=1)
        # nodes by position, whatever their names
        maps.query_labels = list(range(maps.n_queries))
        return reader._graphs(maps, mask), attention

    def _plans(self, model, X, filled, removable, target, before):
        graphs, attention = self._read(model, filled, target)
        return [
            _GraphPlan(sample, removable[s], target, attention[s], self)
            for s, sample in enumerate(graphs)
        ]


class _GraphPlan:
    """The candidate sets of one sample, by what its graphs say."""

    n_model_calls = 0

    def __init__(self, graphs, removable, target, attention, explainer):
        self.graphs, self.attention = graphs, attention
        self.free = np.flatnonzero(removable).tolist()
        self.search, self.fallback = explainer.search, explainer.fallback
        self.max_size = explainer.max_set_size or len(self.free)
        self.heads = []
        for head, graph in enumerate(graphs):
            if graph is None or target not in graph.nodes:
                continue
            paths, root = SeparationPaths(graph.marks), graph.nodes.index(target)
            near = {
                v: distance
                for v, distance in paths.distances(root).items()
                if graph.nodes[v] in self.free
            }
            self.heads.append((head, graph, paths, root, near))
        self._sets = {}

    def of_size(self, size):
        """Return ``{set of columns: (sum of distances, largest, head)}``."""
        if size not in self._sets:
            found: dict[tuple[int, ...], tuple[float, float, int]] = {}
            for head, graph, paths, root, near in self.heads:
                for nodes, total in paths.legal_sets(root, size, near):
                    columns = tuple(graph.nodes[v] for v in nodes)
                    entry = (total, max(near[v] for v in nodes), head)
                    found[columns] = min(entry, found.get(columns, entry))
            self._sets[size] = found
        return self._sets[size]

    def by_attention(self, sets):
        return sorted(sets, key=lambda nodes: (-self.attention[list(nodes)].sum(), nodes))

    def levels(self):
        """Yield lists of sets, in the order in which they are tried."""
        sizes = range(1, min(self.max_size, len(self.free)) + 1)
        if self.search == "distance":
            radii = sorted({e[1] for size in sizes for e in self.of_size(size).values()})
            for radius in radii:
                for size in sizes:
                    found = self.of_size(size)
                    yield self._sorted({k: e for k, e in found.items() if e[1] == radius})
        for size in sizes:
            found = self.of_size(size)
            level = [] if self.search == "distance" else self._sorted(found)
            if self.fallback is not None:
                left = [s for s in combinations(self.free, size) if s not in found]
                level = level + self.by_attention(left)
            yield level

    def _sorted(self, found):
        return sorted(self.by_attention(found), key=lambda nodes: found[nodes][0])

    def origin(self, columns):
        """Tell which head proposed a set, and how far it is."""
        entry = self._sets.get(len(columns), {}).get(columns)
        if entry is None:
            return {}
        return {"distance": entry[0], "head": entry[2], "pag": self.graphs[entry[2]]}
