"""Explainers without a causal graph, by the same interface: what a graph has to be better than."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any, Literal

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import StrOptions

from .base import BaseSetExplainer


class _RankedExplainer(BaseSetExplainer):
    """An explainer that ranks single tokens."""

    def _plans(self, model, X, filled, removable, target, before):
        scores, n_calls = self._ranking(model, X, filled, target, before, removable)
        rng = check_random_state(getattr(self, "random_state", None))
        return [
            self._plan_type(scores[s], removable[s], self.max_set_size, n_calls[s], rng)
            for s in range(len(X))
        ]

    def _ranking(self, model, X, filled, target, before, removable):
        """Return scores of tokens, high ones to be tried first, and the calls that they took."""
        n_calls = np.zeros(len(X), dtype=int)
        if callable(self.order):
            scores = np.asarray(self.order(self.estimator_, filled), dtype=np.float64)
            if scores.shape != X.shape:
                raise ValueError(
                    f"order has to return scores of the shape {X.shape}, got {scores.shape}."
                )
            return scores, n_calls
        if self.order == "leave_one_out":
            return self._leave_one_out(model, X, before, removable), removable.sum(axis=1)
        if self.order == "attention":
            if target is None:
                raise ValueError("order='attention' needs a target, got None.")
            maps = self._reader(model, None)._maps(filled)
            self._check_tokens(maps, filled)
            return maps[-1][:, :, target].mean(axis=1), n_calls
        scores = np.arange(X.shape[1], dtype=np.float64)  # recency; "random" does not look
        return np.broadcast_to(scores, X.shape), n_calls

    def _leave_one_out(self, model, X, before, removable):
        """Score tokens by how much of the outcome's probability goes with them."""
        scores = np.full(X.shape, -np.inf)
        samples, columns = np.nonzero(removable)
        for start in range(0, len(samples), self.batch_size):
            part = slice(start, start + self.batch_size)
            rows = [
                self._remove(X[s], (v,)) for s, v in zip(samples[part], columns[part], strict=True)
            ]
            found = self._scores(model.predict_proba(np.stack(rows)), X[samples[part]])
            own = found[np.arange(len(rows)), before[samples[part]]]
            scores[samples[part], columns[part]] = -own
        return scores


class _SubsetPlan:
    """All sets, smallest first, those with the highest sum of scores first within a size."""

    def __init__(self, scores, removable, max_size, n_model_calls, rng):
        self.scores, self.n_model_calls = scores, n_model_calls
        self.free = np.flatnonzero(removable).tolist()
        self.max_size = len(self.free) if max_size is None else max_size

    def levels(self):
        for size in range(1, min(self.max_size, len(self.free)) + 1):
            yield self.in_order(list(combinations(self.free, size)))

    def in_order(self, sets):
        return sorted(sets, key=lambda nodes: (-self.scores[list(nodes)].sum(), nodes))

    def origin(self, columns):
        return {}


class _RandomPlan(_SubsetPlan):
    """All sets, smallest first, in random order within a size."""

    def __init__(self, scores, removable, max_size, n_model_calls, rng):
        super().__init__(scores, removable, max_size, n_model_calls, rng)
        self.rng = np.random.RandomState(rng.randint(2**31 - 1))

    def in_order(self, sets):
        return [sets[k] for k in self.rng.permutation(len(sets))]


class _CumulativePlan(_SubsetPlan):
    """The first token of the ranking, the first two, the first three, ..."""

    def levels(self):
        ranked = sorted(self.free, key=lambda v: (-self.scores[v], v))
        for size in range(1, min(self.max_size, len(ranked)) + 1):
            yield [tuple(sorted(ranked[:size]))]


class SubsetSearchExplainer(_RankedExplainer):
    """Try all sets of tokens, smallest first: what an exhaustive search finds, and at what cost.

    Finds the smallest sets there are. Beside :class:`CLEANNExplainer` with ``find="first"`` it
    shows what the order of a causal graph saves.

    Parameters
    ----------
    estimator, mask_value : object
        As in `CLEANNExplainer`.
    target : {"cls", "next"}, int or None, default="cls"
        As there; None where no column stands for the outcome, so that all may be removed.
    exclude_seen, max_set_size : object
        As in `CLEANNExplainer`; but `max_set_size` may be None, for no limit.
    order : {"attention", "recency", "leave_one_out", "random"} or callable, default="attention"
        Which sets of a size come first: those with the highest sum of the target's attention (mean
        over the last layer's heads), of column numbers, of what each token alone takes from the
        outcome's probability (which costs a row for each token), or any. Or
        ``order(estimator, X)``, which returns scores of the shape of X.
    find, max_model_calls, batch_size : object
        As in `CLEANNExplainer`.
    random_state : int, RandomState instance or None, default=None
        For ``order="random"``.

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

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import HistGradientBoostingClassifier
    >>> from sklearn_selfattn import SubsetSearchExplainer
    >>> X, y = load_iris(return_X_y=True)
    >>> explainer = SubsetSearchExplainer(
    ...     HistGradientBoostingClassifier(random_state=0), order="recency", target=None
    ... ).fit(X, y)
    >>> explainer.explain(X[[130]])[0].sets  # a virginica, for both of its petal columns
    [(2, 3)]
    """

    _parameter_constraints = BaseSetExplainer._parameter_constraints | {
        "target": [None, *BaseSetExplainer._parameter_constraints["target"]],
        "order": [StrOptions({"attention", "recency", "leave_one_out", "random"}), callable],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        mask_value: object = np.nan,
        target: Literal["cls", "next"] | int | None = "cls",
        exclude_seen: bool = False,
        max_set_size: int | None = 3,
        order: Literal["attention", "recency", "leave_one_out", "random"]
        | Callable[..., Any] = "attention",
        find: Literal["first", "all"] = "all",
        max_model_calls: int = 1000,
        batch_size: int = 256,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.mask_value = mask_value
        self.target = target
        self.exclude_seen = exclude_seen
        self.max_set_size = max_set_size
        self.order = order
        self.find = find
        self.max_model_calls = max_model_calls
        self.batch_size = batch_size
        self.random_state = random_state

    @property
    def _plan_type(self):
        return _RandomPlan if self.order == "random" else _SubsetPlan


class CumulativeExplainer(_RankedExplainer):
    """Remove tokens by a ranking, one more each time, until the outcome changes.

    What is commonly done with attention or gradients. Few rows are predicted, but the sets are
    seldom smallest.

    Parameters
    ----------
    estimator, mask_value : object
        As in `CLEANNExplainer`.
    target : {"cls", "next"}, int or None, default="cls"
        As in `SubsetSearchExplainer`.
    exclude_seen : bool, default=False
        As in `CLEANNExplainer`.
    max_set_size : int, default=None
        The most tokens to remove; None removes all at last.
    order : {"attention", "recency", "leave_one_out"} or callable, default="attention"
        As in `SubsetSearchExplainer`. A callable may return gradients.
    max_model_calls, batch_size : int
        As in `CLEANNExplainer`.

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

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import HistGradientBoostingClassifier
    >>> from sklearn_selfattn import CumulativeExplainer
    >>> X, y = load_iris(return_X_y=True)
    >>> explainer = CumulativeExplainer(
    ...     HistGradientBoostingClassifier(random_state=0), order="leave_one_out", target=None
    ... ).fit(X, y)
    >>> explainer.explain(X[[130]])[0].sets
    [(2, 3)]
    """

    find = "first"  # a ranking gives one set of each size

    _parameter_constraints = BaseSetExplainer._parameter_constraints | {
        "target": [None, *BaseSetExplainer._parameter_constraints["target"]],
        "order": [StrOptions({"attention", "recency", "leave_one_out"}), callable],
    }
    del _parameter_constraints["find"]

    _plan_type = _CumulativePlan

    def __init__(
        self,
        estimator: Any,
        *,
        mask_value: object = np.nan,
        target: Literal["cls", "next"] | int | None = "cls",
        exclude_seen: bool = False,
        max_set_size: int | None = None,
        order: Literal["attention", "recency", "leave_one_out"] | Callable[..., Any] = "attention",
        max_model_calls: int = 1000,
        batch_size: int = 256,
    ) -> None:
        self.estimator = estimator
        self.mask_value = mask_value
        self.target = target
        self.exclude_seen = exclude_seen
        self.max_set_size = max_set_size
        self.order = order
        self.max_model_calls = max_model_calls
        self.batch_size = batch_size
