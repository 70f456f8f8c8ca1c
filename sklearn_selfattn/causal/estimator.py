"""Partial ancestral graphs from tables, as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from ..core.base import guarded_fit
from ..core.typing import Table
from .independence import FunctionTest, PartialCorrelationTest, correlation_from_covariance
from .learning import METHODS, learn_marks
from .pag import PAG


class PAGDiscovery(BaseEstimator):
    r"""Find out what a table tells of who causes whom, hidden causes allowed.

    Columns that are independent, alone or given others, are not joined; and the pattern of
    independences orients the remaining edges as far as it can. The result is a partial ancestral
    graph (PAG): what it says holds for every causal graph that fits, also with hidden common causes
    and, if asked, with selected rows; what it cannot say stays a circle.

    The default method, iterative causal discovery (ICD) [1]_, starts with tests that condition on
    nothing and uses the marks of each level to choose the few tests of the next. Stopped early
    (`max_cond_size`), its edges are too many, but its marks hold.

    Parameters
    ----------
    method : {"icd", "fci", "pc"}, default="icd"
        "fci" is the classical method for the same graphs, with more tests. "pc" assumes that there
        are no hidden causes; its edges are ``-->``, or ``o-o`` where either way fits.
    alpha : float, default=0.01
        Level of the tests: two columns count as independent when the p-value is above. It decides
        how dense the graph is and is not corrected for the number of tests: report it, and look at
        more than one (:class:`AlphaPathDisplay`).
    max_cond_size : int, default=None
        The most columns to condition on; None sets no limit.
    covariance : {"empirical", "precomputed"}, default="empirical"
        "precomputed" takes X to be a covariance or correlation matrix; `n_samples` is then needed.
    n_samples : float, default=None
        Sample size that the tests are told; None takes the number of rows.
    order : array-like of length n_features, default=None
        Columns (indices or names) in causal order, earliest first: none causes an earlier one.
    tiers : list of array-like, default=None
        The same for groups of columns; within a group anything goes. Both put arrowheads, never
        tails: an earlier column need not be a cause.
    selection_bias : bool, default=False
        Whether rows may be here because of what columns cause. Only then can edges be undirected.
    stable : bool, default=True
        Whether the edges that a level of tests separates go at its end, all at once, and sets of
        strongly associated columns are tried first. The graph then does not depend on the order of
        the columns. False deletes at once and tries sets by position, as published.
    shrinkage : float, default=0.0
        Weight of the unit matrix in the correlation matrix, against noise where columns are many.
    ci_test : "fisherz" or callable, default="fisherz"
        ``ci_test(x, y, z)`` returns the p-value of independence of the columns x and y (int) given
        the columns z (tuple of int). "fisherz" tests partial correlations: linear dependence.

    Attributes
    ----------
    pag_ : PAG
        The graph.
    marks_ : ndarray of int8 of shape (n_features, n_features)
        ``[i, j]``: mark at j of the edge i - j, 0 no edge, 1 circle, 2 arrowhead, 3 tail.
    sepsets_ : dict of (int, int) to tuple of int
        For each pair without an edge, i < j, the columns that separated it.
    edge_pvalues_ : ndarray of shape (n_features, n_features)
        The largest p-value among all tests of a pair.
    n_ci_tests_ : ndarray of int
        Number of tests that conditioned on 0, 1, ... columns. No test is computed twice.
    correlation_ : ndarray of shape (n_features, n_features) or None
        What was tested; None with a callable.
    n_iter_ : int
        The largest number of columns that was conditioned on.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of str
        Their names, if X has names.

    See Also
    --------
    AttentionCausalDiscovery : Graphs of tokens from attention.
    PAGDisplay : A picture of the graph.

    Notes
    -----
    The test is Fisher's z of the partial correlation,

    .. math:: p = \mathrm{erfc} \left( \sqrt{(n - |Z| - 3) / 2} \;
              |\mathrm{artanh} \, \rho_{ij|Z}| \right) .

    Marks come from the rules R0 to R10 of [2]_. With a perfect test they are complete: the tests of
    this package compare them with all graphs that fit, on random graphs with hidden causes.

    Levels 0 and 1 take :math:`O(p^3)` time for p columns; later ones depend on how dense the graph
    is, at worst exponentially: set `max_cond_size` to 3 for dense graphs beyond some 25 columns.
    Memory is :math:`O(p^3)` as well: tens of megabytes for 100 columns.

    References
    ----------
    .. [1] Rohekar, Nisimov, Gurwicz, Novik, "Iterative Causal Discovery in the Possible Presence of
       Latent Confounders and Selection Bias", NeurIPS 2021, arXiv:2111.04095.
    .. [2] Zhang, "On the completeness of orientation rules for causal discovery in the presence of
       latent confounders and selection bias", Artificial Intelligence 172, 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn import PAGDiscovery
    >>> rng = np.random.default_rng(0)
    >>> rain, hose = rng.normal(size=(2, 1000))
    >>> street = rain + hose + rng.normal(size=1000)
    >>> accidents = street + rng.normal(size=1000)
    >>> X = np.column_stack([rain, hose, street, accidents])
    >>> print(PAGDiscovery().fit(X).pag_)
    0 o-> 2
    1 o-> 2
    2 --> 3
    """

    _parameter_constraints = {
        "method": [StrOptions(set(METHODS))],
        "alpha": [Interval(Real, 0, 1, closed="neither")],
        "max_cond_size": [None, Interval(Integral, 0, None, closed="left")],
        "covariance": [StrOptions({"empirical", "precomputed"})],
        "n_samples": [None, Interval(Real, 3, None, closed="neither")],
        "order": [None, "array-like"],
        "tiers": [None, list, tuple],
        "selection_bias": ["boolean"],
        "stable": ["boolean"],
        "shrinkage": [Interval(Real, 0, 1, closed="both")],
        "ci_test": [StrOptions({"fisherz"}), callable],
    }

    def __init__(
        self,
        method: Literal["icd", "fci", "pc"] = "icd",
        *,
        alpha: float = 0.01,
        max_cond_size: int | None = None,
        covariance: Literal["empirical", "precomputed"] = "empirical",
        n_samples: float | None = None,
        order: ArrayLike | None = None,
        tiers: list[Any] | tuple[Any, ...] | None = None,
        selection_bias: bool = False,
        stable: bool = True,
        shrinkage: float = 0.0,
        ci_test: Literal["fisherz"] | Callable[..., Any] = "fisherz",
    ) -> None:
        self.method = method
        self.alpha = alpha
        self.max_cond_size = max_cond_size
        self.covariance = covariance
        self.n_samples = n_samples
        self.order = order
        self.tiers = tiers
        self.selection_bias = selection_bias
        self.stable = stable
        self.shrinkage = shrinkage
        self.ci_test = ci_test

    @guarded_fit
    def fit(self, X: Table, y: object = None) -> Self:
        """Learn the graph.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_features, n_features)
            Numbers without gaps; with ``covariance="precomputed"`` a covariance matrix.
        y : None
            Ignored; a target is a column like others, put it into X.

        Returns
        -------
        PAGDiscovery
            The estimator itself.

        Raises
        ------
        ValueError
            X holds NaN or infinity, fewer than four rows or a constant column; a precomputed matrix
            is not square, not symmetric, or comes without `n_samples`; `order` or `tiers` do not
            name each column once.
        """
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=self._min_samples())
        names = getattr(self, "feature_names_in_", range(X.shape[1]))
        names = [str(name) if isinstance(name, str) else name for name in names]
        test, n_samples = self._make_test(X)
        marks, sepsets, last_size = learn_marks(
            test,
            alpha=self.alpha,
            method=self.method,
            max_cond_size=self.max_cond_size,
            tiers=tier_of_each(self.order, self.tiers, names),
            selection_bias=self.selection_bias,
            stable=self.stable,
        )
        self.correlation_ = getattr(test, "correlation", None)
        self.marks_ = marks
        self.edge_pvalues_ = test.largest
        self.n_ci_tests_ = test.counts()
        self.n_iter_ = last_size
        self.pag_ = PAG(
            marks, names, sepsets=sepsets, pvalues=test.largest, n_tests=self.n_ci_tests_,
            alpha=self.alpha, n_samples=n_samples,
        )  # fmt: skip
        return self

    @property
    def sepsets_(self) -> dict[tuple[Any, Any], tuple[Any, ...]]:
        """For each pair without an edge the columns that separated it."""
        check_is_fitted(self)
        return self.pag_.sepsets

    def _min_samples(self):
        return 1 if self.covariance == "precomputed" else 2

    def _make_test(self, X):
        """Return the independence test and the sample size that it was told."""
        if callable(self.ci_test):
            return FunctionTest(self.ci_test, X.shape[1]), self.n_samples
        n_samples = self.n_samples
        if self.covariance == "precomputed":
            covariance = _check_covariance(X)
            if n_samples is None:
                raise ValueError("covariance='precomputed' needs n_samples, got None.")
        else:
            n_samples = len(X) if n_samples is None else n_samples
            if n_samples <= 3:
                raise ValueError(
                    f"n_samples has to be more than 3 to test independence, got {n_samples}."
                )
            scale = np.abs(X).max(axis=0)
            scale[scale == 0] = 1.0  # so that squares of very large numbers stay finite
            constant = np.ptp(X, axis=0) <= 1e-13 * scale
            _refuse_constant(constant)
            covariance = np.atleast_2d(np.cov(X / scale, rowvar=False))
        correlation = correlation_from_covariance(covariance)
        if self.shrinkage:
            unit = np.eye(len(correlation))
            correlation = (1 - self.shrinkage) * correlation + self.shrinkage * unit
        return PartialCorrelationTest(correlation, n_samples), n_samples

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.covariance == "precomputed"
        return tags


def tier_of_each(order, tiers, names):
    """Turn `order` or `tiers` into the tier of each column, None where neither is given."""
    if order is None and tiers is None:
        return None
    if order is not None and tiers is not None:
        raise ValueError("order and tiers say the same thing: give one of them.")
    groups = [[name] for name in order] if tiers is None else [list(np.ravel(t)) for t in tiers]
    tier = np.full(len(names), -1)
    for k, group in enumerate(groups):
        for name in group:
            column = _column(name, names)
            if column is None or tier[column] >= 0:
                tier[:] = -1
                break
            tier[column] = k
    if (tier < 0).any():
        raise ValueError(
            f"{'order' if tiers is None else 'tiers'} has to name each of the {len(names)} columns "
            f"once, by index or name, got {order if tiers is None else tiers!r}."
        )
    return tier


def _column(name, names):
    if isinstance(name, str):
        return names.index(name) if name in names else None
    index = int(name) if isinstance(name, Integral) else -1
    return index if 0 <= index < len(names) else None


def _check_covariance(X):
    if X.shape[0] != X.shape[1]:
        raise ValueError(f"A precomputed covariance has to be square, got shape {X.shape}.")
    if not np.allclose(X, X.T, rtol=1e-8, atol=1e-8 * np.abs(X).max()):
        raise ValueError("A precomputed covariance has to be symmetric.")
    variance = np.diag(X)
    if (variance < 0).any():
        raise ValueError("A precomputed covariance has no negative numbers on its diagonal.")
    _refuse_constant(variance == 0)
    if (np.abs(X) > np.sqrt(np.outer(variance, variance)) * (1 + 1e-8)).any():
        raise ValueError("A precomputed covariance holds no correlations beyond -1 and 1.")
    return X


def _refuse_constant(constant):
    if constant.any():
        raise ValueError(
            f"Constant columns have zero variance and cannot be tested: columns "
            f"{np.flatnonzero(constant).tolist()}. Leave them out."
        )
