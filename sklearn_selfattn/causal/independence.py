"""Tests of conditional independence, many at a time, each asked once."""

import warnings

import numpy as np
from scipy.special import erfc

_SINGULAR = 1e-12  # smallest eigenvalue of a correlation matrix that needs no help
_RIDGE = 1e-8


class IndependenceTest:
    """What a search for graphs asks: p-values of independence, remembered and counted.

    A subclass says how to compute them (`_compute`) and how strongly two variables go together
    (`association`), by which candidates are sorted.

    Parameters
    ----------
    n_nodes : int
        Number of variables.

    Attributes
    ----------
    n_tests : dict of int to int
        Tests computed so far, by size of the conditioning set.
    largest : ndarray of shape (n_nodes, n_nodes)
        The largest p-value of each pair so far, NaN where none was asked.
    """

    def __init__(self, n_nodes):
        self.n_nodes = n_nodes
        self.n_tests = {}
        self.largest = np.full((n_nodes, n_nodes), np.nan)
        self._known = {}

    def _compute(self, first, second, given):
        raise NotImplementedError

    def __call__(self, queries):
        """Return the p-values of queries ``(i, j, Z)``, i < j, Z a sorted tuple, all |Z| equal."""
        new = [query for query in queries if query not in self._known]
        if new:
            size = len(new[0][2])
            first, second = np.array([query[:2] for query in new]).T
            given = np.array([query[2] for query in new], dtype=np.intp).reshape(len(new), size)
            pvalues = self._compute(first, second, given)
            self._known.update(zip(new, pvalues.tolist(), strict=True))
            self.n_tests[size] = self.n_tests.get(size, 0) + len(new)
            np.fmax.at(self.largest, (first, second), pvalues)
            self.largest[second, first] = self.largest[first, second]
        return np.array([self._known[query] for query in queries])

    def counts(self):
        """Return the number of tests for |Z| = 0, 1, ... as an array."""
        sizes = range(max(self.n_tests, default=0) + 1)
        return np.array([self.n_tests.get(size, 0) for size in sizes])


class PartialCorrelationTest(IndependenceTest):
    r"""Fisher's z test of a partial correlation.

    Parameters
    ----------
    correlation : ndarray of shape (n_nodes, n_nodes)
        Correlation matrix. A singular one is helped by a little on its diagonal, with a warning.
    n_samples : float
        Sample size.

    Notes
    -----
    :math:`p = \mathrm{erfc}(\sqrt{(n - |Z| - 3) / 2} \; |\mathrm{artanh} \, \rho_{ij|Z}|)`, 1
    where :math:`n - |Z| \leq 3`: what cannot be tested is not held to be dependent.
    """

    def __init__(self, correlation, n_samples):
        super().__init__(len(correlation))
        self.correlation = regularized(correlation)
        self.n_samples = n_samples

    def association(self):
        """Return how strongly pairs go together, (n_nodes, n_nodes)."""
        return np.abs(self.correlation)

    def _compute(self, first, second, given):
        size = given.shape[1]
        if self.n_samples - size - 3 <= 0:
            return np.ones(len(first))
        R = self.correlation
        if size == 0:
            partial = R[first, second]
        elif size == 1:
            z = given[:, 0]
            left, right = R[first, z], R[second, z]
            rest = (1 - left**2) * (1 - right**2)
            partial = (R[first, second] - left * right) / np.sqrt(np.maximum(rest, 1e-300))
        else:
            rows = np.column_stack([first, second, given])  # (m, 2 + |Z|)
            P = np.linalg.inv(R[rows[:, :, None], rows[:, None, :]])
            partial = -P[:, 0, 1] / np.sqrt(np.abs(P[:, 0, 0] * P[:, 1, 1]))
        return fisher_pvalue(partial, self.n_samples - size - 3)


class FunctionTest(IndependenceTest):
    """A test given as a function ``(x, y, z) -> p``, z a tuple of columns.

    Parameters
    ----------
    function : callable
        Returns the p-value of independence of columns x and y given the columns z.
    n_nodes : int
        Number of columns.
    """

    def __init__(self, function, n_nodes):
        super().__init__(n_nodes)
        self.function = function

    def association(self):
        """Return how strongly pairs go together, (n_nodes, n_nodes)."""
        strength = np.zeros((self.n_nodes, self.n_nodes))
        for (i, j, given), pvalue in self._known.items():
            if not given:
                strength[i, j] = strength[j, i] = 1 - pvalue
        return strength

    def _compute(self, first, second, given):
        pvalues = np.array([
            float(self.function(i, j, tuple(z)))
            for i, j, z in zip(first.tolist(), second.tolist(), given.tolist(), strict=True)
        ])  # fmt: skip
        if not ((pvalues >= 0) & (pvalues <= 1)).all():
            raise ValueError("ci_test has to return p-values between 0 and 1.")
        return pvalues


def fisher_pvalue(correlation, degrees):
    """Return two-sided p-values of correlations with so many degrees of freedom."""
    size = np.abs(correlation)
    z = np.arctanh(np.minimum(size, 1 - 1e-16))
    # |rho| >= 1 only comes about by rounding: one variable is a function of the others
    return np.where(size >= 1, 0.0, erfc(np.sqrt(degrees / 2) * z))


def regularized(correlation):
    """Return a correlation matrix with an inverse: itself, or one a little off, with a warning."""
    smallest = np.linalg.eigvalsh(correlation)[0] if len(correlation) else 1.0
    if smallest >= _SINGULAR:
        return correlation
    warnings.warn(
        f"The correlation matrix is singular (smallest eigenvalue {smallest:.1e}): some columns "
        f"are combinations of others. {_RIDGE:g} was added to its diagonal; what the graph says "
        "of these columns is arbitrary.",
        UserWarning,
        stacklevel=2,
    )
    ridge = max(_RIDGE, 2 * _RIDGE - smallest)
    return (correlation + ridge * np.eye(len(correlation))) / (1 + ridge)


def correlation_from_covariance(covariance):
    """Scale a covariance matrix to unit variances."""
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scale, scale)
    correlation = (correlation + correlation.T) / 2
    np.fill_diagonal(correlation, 1.0)
    return correlation
