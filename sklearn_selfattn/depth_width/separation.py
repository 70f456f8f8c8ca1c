"""How strongly any fitted model ties two groups of features together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import is_classifier
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ..core.columns import frame_library
from ..core.typing import Table, validate_params
from .modules import fitted_modules

RESPONSES = ("auto", "predict", "decision_function", "predict_proba", "transform")
_ROWS = 2**15  # rows that are predicted at once
_ROUNDINGS = 8.0  # roundings that a prediction adds up; 1e-6 sqrt(m) in float32
_COUNT = Interval(Integral, 1, None, closed="left")


@dataclass(frozen=True)
class SeparationRank:
    """What `separation_rank` found, for the partition of the highest effective rank.

    Attributes
    ----------
    rank : int
        Singular values above the tolerance.
    effective_rank : float
        Exponential of the entropy of the shares of the squared singular values: how many of
        them there are in effect.
    stable_rank : float
        Sum of the squared singular values over the largest.
    interaction : float
        Share of the variance over all pairs that no sum of a function of either group explains:
        0 for an additive model.
    interaction_rank : float
        Effective rank of what is left when those functions are taken out: how many different
        interactions there are in effect; 0 for an additive model.
    singular_values : ndarray of shape (n_templates,)
        In falling order, in units of the prediction's root mean square.
    features_a, features_b : ndarray of int
        The two groups.
    noise_floor : float
        Singular values below this share of the largest are rounding.
    tol : float
        The share of the largest above which singular values were counted.
    n_templates : int
        Rows drawn for each side.
    partition_ranks, partition_effective_ranks : ndarray of shape (n_partitions,)
        The same for every partition that was looked at.
    """

    rank: int
    effective_rank: float
    stable_rank: float
    interaction: float
    interaction_rank: float
    singular_values: np.ndarray
    features_a: np.ndarray
    features_b: np.ndarray
    noise_floor: float
    tol: float
    n_templates: int
    partition_ranks: np.ndarray = field(repr=False)
    partition_effective_ranks: np.ndarray = field(repr=False)


@validate_params(
    {
        "estimator": [callable, HasMethods(["fit"])],
        "X": "no_validation",
        "features_a": ["array-like", None],
        "features_b": ["array-like", None],
        "n_templates": [Interval(Integral, 2, None, closed="left")],
        "tol": [Interval(Real, 0, 1, closed="neither")],
        "response_method": [StrOptions(set(RESPONSES))],
        "output": [Interval(Integral, 0, None, closed="left"), None],
        "n_partitions": [_COUNT],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def separation_rank(
    estimator: Any,
    X: Table,
    features_a: ArrayLike | None = None,
    features_b: ArrayLike | None = None,
    *,
    n_templates: int = 100,
    tol: float = 1e-6,
    response_method: str = "auto",
    output: int | None = None,
    n_partitions: int = 1,
    random_state: int | np.random.RandomState | None = None,
) -> SeparationRank:
    r"""Measure how strongly a fitted model ties two groups of features together.

    The separation rank of a function is the least number of products
    :math:`g_r(a) \, g'_r(b)` that add up to it. A model that is additive in the two groups (linear
    models, boosted stumps) has rank at most 2; a quadratic one with five features on either side
    has 7; a model that ties everything to everything has as many as there are rows to look at. It
    asks nothing of the model but predictions.

    Parameters
    ----------
    estimator : fitted estimator or callable
        A model, or a function ``f(X)`` that returns an array of shape (n_samples,) or
        (n_samples, n_outputs).
    X : array-like or frame of shape (n_samples, n_features)
        Rows from which the two sides are drawn.
    features_a, features_b : array-like, default=None
        The groups, by position, mask or name; together all features. With one given the other is
        the rest; with neither, a random balanced partition.
    n_templates : int, default=100
        Rows drawn for each side, at most those there are. No rank above it can be seen.
    tol : float, default=1e-6
        Count singular values above this share of the largest, or above the noise floor if that
        is higher.
    response_method : str, default="auto"
        The method to look at: "predict", "decision_function", "predict_proba" (its log odds),
        "transform", or "auto": `predict` of regressors and the logit of classifiers, from
        `decision_function` or else `predict_proba`. Hard labels would only show where they jump.
    output : int, default=None
        Which class or output, where there are several; the last by default.
    n_partitions : int, default=1
        Random partitions to look at, where no group is given. The one of the highest effective
        rank is reported, all of them in `partition_ranks`.
    random_state : int, RandomState instance or None, default=None
        Draws rows and partitions.

    Returns
    -------
    SeparationRank
        Rank, effective rank, share of interaction, singular values.

    Raises
    ------
    NotFittedError
        The estimator is not fitted.
    ValueError
        Groups that are empty, overlap or leave features out; predictions that are not finite; a
        hard label where a number is needed.

    Notes
    -----
    With templates :math:`a_i` and :math:`b_j`, which are the two parts of different rows, the
    matrix :math:`M_{ij} = f(a_i, b_j)` is decomposed: `n_templates` squared predictions. It holds
    combinations that no real row shows, as partial dependence does: a statement about the
    model, not the world.

    The number of singular values that are not zero is only meaningful for models of finite rank
    and in float64. Nets with softmax, kernels and deep trees have no finite one: read
    `effective_rank` and `interaction`. Predictions in float32 are rounded at about
    :math:`10^{-6}`, and what is below `noise_floor` is never counted.

    References
    ----------
    .. [1] Levine, Wies, Sharir, Bata, Shashua, "Limits to Depth Efficiencies of
       Self-Attention", NeurIPS 2020, arXiv:2006.12467.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import PolynomialFeatures
    >>> from sklearn_selfattn import separation_rank
    >>> X, y = load_diabetes(return_X_y=True)
    >>> separation_rank(LinearRegression().fit(X, y), X, random_state=0).rank
    2
    >>> squares = make_pipeline(PolynomialFeatures(2), LinearRegression()).fit(X, y)
    >>> separation_rank(squares, X, random_state=0).rank
    7
    """
    function, eps = _response(estimator, response_method, output)
    X = _as_table(X)
    n_rows, n_features = X.shape
    if n_features < 2:
        raise ValueError(f"X has {n_features} feature: two groups need at least 2.")
    rng = check_random_state(random_state)
    if features_a is None and features_b is None:
        halves = [rng.permutation(n_features) for _ in range(n_partitions)]
        cut = (n_features + 1) // 2
        partitions = [(np.sort(half[:cut]), np.sort(half[cut:])) for half in halves]
    else:
        partitions = [_given_groups(X, features_a, features_b)]
    m = min(n_templates, n_rows)
    rows_a, rows_b = (rng.choice(n_rows, m, replace=False) for _ in range(2))
    noise_floor = _ROUNDINGS * eps * math.sqrt(m)
    found = []
    for group_a, group_b in partitions:
        M = _all_pairs(function, X, rows_a, rows_b, group_b)
        found.append((group_a, group_b, M, *_spectrum(M, max(tol, noise_floor))))
    best = max(found, key=lambda entry: entry[5])
    group_a, group_b, M, values, rank, effective_rank, stable_rank = best
    interaction, interaction_rank = _interaction(M, noise_floor)
    return SeparationRank(
        rank=rank,
        effective_rank=effective_rank,
        stable_rank=stable_rank,
        interaction=interaction,
        interaction_rank=interaction_rank,
        singular_values=values,
        features_a=group_a,
        features_b=group_b,
        noise_floor=noise_floor,
        tol=max(tol, noise_floor),
        n_templates=m,
        partition_ranks=np.array([entry[4] for entry in found]),
        partition_effective_ranks=np.array([entry[5] for entry in found]),
    )


def _spectrum(M, tol):
    """Return singular values, rank, effective and stable rank."""
    values = np.linalg.svd(M, compute_uv=False) / math.sqrt(M.size)
    if not values[0]:
        return values, 0, 0.0, 0.0
    share = values**2 / (values**2).sum()
    known = share[share > 0]
    effective_rank = math.exp(-(known * np.log(known)).sum())
    return values, int((values > tol * values[0]).sum()), effective_rank, float(1 / share[0])


def _interaction(M, noise_floor):
    """Return the share of the variance that means of rows and columns leave, and its rank."""
    rest = M - M.mean(axis=0) - M.mean(axis=1, keepdims=True) + M.mean()
    if (rest**2).mean() <= (noise_floor * np.abs(M).max()) ** 2:
        return 0.0, 0.0
    return float((rest**2).mean() / M.var()), _spectrum(rest, noise_floor)[2]


def _response(estimator, method, output):
    """Return a function of rows that gives one number for each, and its unit of rounding."""
    if not hasattr(estimator, "fit"):
        return _one_output(estimator, output), np.finfo(np.float64).eps
    check_is_fitted(estimator)
    dtypes = [p.dtype for module in fitted_modules(estimator) for p in module.parameters()]
    is_double = all("float64" in str(dtype) for dtype in dtypes)
    eps = np.finfo(np.float64 if is_double else np.float32).eps
    if method == "auto":
        if not is_classifier(estimator):
            method = "predict" if hasattr(estimator, "predict") else "transform"
        elif hasattr(estimator, "decision_function"):
            method = "decision_function"
        else:
            method = "predict_proba"
    if not hasattr(estimator, method):
        raise ValueError(f"{type(estimator).__name__} has no method {method}.")
    if method == "predict" and is_classifier(estimator):
        raise ValueError(
            "predict of a classifier gives labels, whose rank says where they jump and no more: "
            "take response_method='decision_function' or 'predict_proba'."
        )
    call = getattr(estimator, method)
    if method == "predict_proba":
        return _one_output(lambda X: _log_odds(call(X)), output), eps
    return _one_output(call, output), eps


def _log_odds(proba):
    """Return log p / (1 - p) of every class, with p kept off 0 and 1."""
    proba = np.clip(proba, 1e-12, 1 - 1e-12)
    return np.log(proba) - np.log1p(-proba)


def _one_output(call, output):
    def function(X):
        values = np.asarray(call(X), dtype=np.float64)
        if values.ndim == 1:
            values = values[:, None]
        if values.ndim != 2 or len(values) != len(X):
            raise ValueError(
                f"predictions have to be one number or one row of numbers for each of {len(X)} "
                f"rows, got an array of shape {values.shape}."
            )
        chosen = values.shape[1] - 1 if output is None else output
        if chosen >= values.shape[1]:
            raise ValueError(f"output={output}, but there are {values.shape[1]} outputs.")
        if not np.isfinite(values[:, chosen]).all():
            raise ValueError("The predictions are not all finite.")
        return values[:, chosen]

    return function


def _as_table(X):
    if frame_library(X) is not None:
        return X
    X = np.asarray(X)
    if X.ndim != 2:
        raise ValueError(f"X has to be a table with 2 dimensions, got shape {X.shape}.")
    return X


def _column_names(X):
    return None if isinstance(X, np.ndarray) else [str(name) for name in X.columns]


def _given_groups(X, features_a, features_b):
    """Turn the groups into sorted positions and check that they are a partition."""
    n_features, names = X.shape[1], _column_names(X)

    def positions(features, name):
        features = np.asarray(features)
        if features.ndim != 1:
            raise ValueError(f"{name} has to be 1-D, got shape {features.shape}.")
        if features.dtype.kind == "b" and len(features) == n_features:
            return np.flatnonzero(features)
        if features.dtype.kind in "OUT":
            unknown = sorted(set(map(str, features)) - set(names or []))
            if unknown:
                raise ValueError(f"{name} holds columns that X does not have: {unknown}.")
            return np.array(sorted(names.index(str(feature)) for feature in features), dtype=int)
        if features.dtype.kind in "iu" and features.size:
            if features.min() < 0 or features.max() >= n_features:
                raise ValueError(
                    f"{name} has to hold positions in 0..{n_features - 1}, got {features.tolist()}."
                )
            return np.unique(features)
        if not features.size:
            return np.array([], dtype=int)
        raise ValueError(
            f"{name} has to hold positions, names or a mask of {n_features} features, got "
            f"{features.tolist()}."
        )

    everything = np.arange(n_features)
    if features_a is None:
        b = positions(features_b, "features_b")
        a = np.setdiff1d(everything, b)
    else:
        a = positions(features_a, "features_a")
        given = features_b is not None
        b = positions(features_b, "features_b") if given else np.setdiff1d(everything, a)
    for name, group in (("features_a", a), ("features_b", b)):
        if not len(group):
            raise ValueError(f"{name} is empty: each group needs at least one feature.")
    if both := np.intersect1d(a, b).tolist():
        raise ValueError(f"features_a and features_b have to be apart, both hold {both}.")
    if rest := np.setdiff1d(everything, np.union1d(a, b)).tolist():
        raise ValueError(
            f"features_a and features_b have to hold all features between them, {rest} are missing."
        )
    return a, b


def _all_pairs(function, X, rows_a, rows_b, group_b):
    """Return f(a_i, b_j) for all pairs, some thousand at a time."""
    m = len(rows_a)
    values = []
    at_once = max(1, _ROWS // m)
    for start in range(0, m, at_once):
        part = rows_a[start : start + at_once]
        pairs = _joined(X, np.repeat(part, m), np.tile(rows_b, len(part)), group_b)
        values.append(function(pairs))
    return np.concatenate(values).reshape(m, m)


def _joined(X, rows_a, rows_b, group_b):
    """Return rows `rows_a` with the columns of group B taken from rows `rows_b`."""
    if isinstance(X, np.ndarray):
        joined = X[rows_a]  # fancy indexing: a copy
        joined[:, group_b] = X[rows_b][:, group_b]
        return joined
    one, other = (
        nw.from_native(_safe_indexing(X, rows), eager_only=True) for rows in (rows_a, rows_b)
    )
    if one.implementation.is_pandas():  # columns would be aligned by their labels
        one, other = (
            nw.from_native(nw.to_native(part).reset_index(drop=True), eager_only=True)
            for part in (one, other)
        )
    names = [one.columns[j] for j in group_b]
    return nw.to_native(one.with_columns(*[other[name] for name in names]))
