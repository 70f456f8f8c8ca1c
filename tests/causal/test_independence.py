"""Partial correlations and their tests, against formulas written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from sklearn_selfattn.causal.independence import FunctionTest, PartialCorrelationTest, regularized


def random_correlation(n, seed):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(n, 2 * n))
    covariance = A @ A.T
    scale = np.sqrt(np.diag(covariance))
    return covariance / np.outer(scale, scale)


def reference_pvalue(R, n_samples, i, j, z):
    """Regress out of the covariance, as the definition has it; Fisher's z in the tail of norm."""
    S = R[np.ix_([i, j], [i, j])]
    if z:
        G = R[np.ix_([i, j], z)]
        S = S - G @ np.linalg.solve(R[np.ix_(z, z)], G.T)
    rho = S[0, 1] / np.sqrt(S[0, 0] * S[1, 1])
    statistic = np.sqrt(n_samples - len(z) - 3) * abs(0.5 * np.log((1 + rho) / (1 - rho)))
    return 2 * norm.sf(statistic)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(n=st.integers(2, 8), seed=st.integers(0, 10**6), n_samples=st.integers(20, 10**6))
def test_pvalues_are_the_formula(n, seed, n_samples):
    R = random_correlation(n, seed)
    test = PartialCorrelationTest(R, n_samples)
    rng = np.random.default_rng(seed)
    for size in range(n - 1):
        queries = []
        for _ in range(4):
            i, j, *z = rng.permutation(n)[: size + 2].tolist()
            queries.append((min(i, j), max(i, j), tuple(sorted(z))))
        expected = [reference_pvalue(R, n_samples, i, j, list(z)) for i, j, z in queries]
        np.testing.assert_allclose(test(queries), expected, rtol=1e-6, atol=1e-12)


def test_small_pvalues_keep_their_digits():
    R = np.array([[1, 0.9], [0.9, 1]])
    pvalue = PartialCorrelationTest(R, 200)([(0, 1, ())])[0]
    assert 0 < pvalue < 1e-80  # 1 - cdf would be 0
    assert PartialCorrelationTest(R, 200)([(0, 1, ())]) == pytest.approx(
        reference_pvalue(R, 200, 0, 1, [])
    )


def test_too_few_samples_separate():
    """What cannot be tested counts as independent, and no NaN comes out."""
    R = random_correlation(5, 0)
    assert PartialCorrelationTest(R, 5)([(0, 1, (2, 3))]) == 1


def test_dependent_where_one_is_a_function_of_the_other():
    R = np.array([[1.0, 1.0, 0.5], [1.0, 1.0, 0.5], [0.5, 0.5, 1.0]])
    with pytest.warns(UserWarning, match="singular .smallest eigenvalue .* was added"):
        test = PartialCorrelationTest(R, 100)
    assert test([(0, 1, ())])[0] < 1e-100
    assert np.isfinite(test([(0, 2, (1,))])).all()


def test_regularized_leaves_others_alone():
    R = random_correlation(6, 1)
    assert regularized(R) is R


def test_nothing_is_computed_twice():
    asked = []

    def function(x, y, z):
        asked.append((x, y, z))
        return 0.5

    test = FunctionTest(function, 4)
    test([(0, 1, (2,)), (0, 2, (1,))])
    test([(0, 1, (2,)), (0, 3, (1,))])
    assert len(asked) == len(set(asked)) == 3
    assert test.counts().tolist() == [0, 3]
    assert test.largest[1, 0] == 0.5
    assert np.isnan(test.largest[1, 2])


def test_a_function_has_to_return_pvalues():
    with pytest.raises(ValueError, match="p-values between 0 and 1"):
        FunctionTest(lambda x, y, z: 2.0, 3)([(0, 1, ())])
