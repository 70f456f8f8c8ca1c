"""The kernel SVD against numpy's, its primal-dual pair, and scikit-learn's checks."""

from unittest import SkipTest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator

from sklearn_selfattn import AsymmetricKSVD
from sklearn_selfattn.primal.factors import factor_svd
from tests.test_common import EXTRA_CHECKS


def rows(n=60, d=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def kernel_by_hand(kind, X, Z, gamma):
    if kind == "softmax":
        K = np.exp(gamma * X @ Z.T)
    else:
        K = np.exp(-gamma * ((X[:, None] - Z) ** 2).sum(axis=2))
    return K if kind == "rbf" else K / K.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("kind", ["sne", "softmax", "rbf"])
def test_features_are_the_singular_vectors(kind):
    X = rows()
    model = AsymmetricKSVD(5, kernel=kind, gamma=0.3).fit(X)
    K = kernel_by_hand(kind, X, X, 0.3)
    left, sigma, right = np.linalg.svd(K)
    np.testing.assert_allclose(model.singular_values_, sigma[:5], rtol=1e-10)
    e, r = np.split(model.transform(X), 2, axis=1)
    np.testing.assert_allclose(np.abs(e), np.abs(left[:, :5] * sigma[:5]), atol=1e-8)
    np.testing.assert_allclose(np.abs(r), np.abs(right[:5].T * sigma[:5]), atol=1e-8)
    # the pair: K r-vectors give e, K^T e-vectors give r, with the same signs
    np.testing.assert_allclose(e, K @ model.right_vectors_, atol=1e-8)
    np.testing.assert_allclose(r, K.T @ model.left_vectors_, atol=1e-8)
    is_symmetric = kind == "rbf"
    assert np.allclose(np.abs(e), np.abs(r), atol=1e-6) == is_symmetric


def test_new_rows_by_the_dual_formulas():
    X, new = rows(), rows(7, seed=1)
    model = AsymmetricKSVD(3, gamma=0.3).fit(X)
    e, r = np.split(model.transform(new), 2, axis=1)
    np.testing.assert_allclose(
        e, kernel_by_hand("sne", new, X, 0.3) @ model.right_vectors_, atol=1e-10
    )
    affinity = np.exp(-0.3 * ((X[:, None] - new) ** 2).sum(axis=2))
    over = np.exp(-0.3 * ((X[:, None] - X) ** 2).sum(axis=2)).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(r, (affinity / over).T @ model.left_vectors_, atol=1e-10)


def test_landmarks_estimate_what_all_rows_give():
    X = rows(900, 3) * [3.0, 2.0, 1.0]  # directions that do not mix
    whole = AsymmetricKSVD(3, gamma=0.02).fit(X)
    few = AsymmetricKSVD(3, gamma=0.02, n_landmarks=300, random_state=0).fit(X)
    assert few.landmarks_.shape == (300, 3)
    np.testing.assert_allclose(few.singular_values_, whole.singular_values_, rtol=0.1)
    for one, other in zip(few.transform(X).T, whole.transform(X).T, strict=True):
        lengths = np.linalg.norm(one), np.linalg.norm(other)
        assert abs(one @ other) / np.prod(lengths) > 0.99
        assert lengths[0] == pytest.approx(lengths[1], rel=0.05)


def test_precomputed_and_callable_kernels():
    X = rows()
    A = np.random.default_rng(3).normal(size=(4, 4))  # no symmetric matrix

    def asymmetric(X, Z):
        return X @ A @ Z.T

    K = asymmetric(X, X)
    called = AsymmetricKSVD(3, kernel=asymmetric).fit(X)
    given = AsymmetricKSVD(3, kernel="precomputed", output="left").fit(K)
    np.testing.assert_allclose(given.transform(K), called.transform(X)[:, :3], atol=1e-10)
    assert given.__sklearn_tags__().input_tags.pairwise
    # the factors alone give the same: a thin QR instead of the matrix
    left, sigma, right = factor_svd(X @ A, X)
    np.testing.assert_allclose(sigma[:3], called.singular_values_, rtol=1e-10)
    np.testing.assert_allclose(left * sigma @ right.T, K, atol=1e-10)


@settings(max_examples=20, derandomize=True, deadline=None)
@given(n=st.integers(2, 20), m=st.integers(2, 20), c=st.integers(1, 6))
def test_factors_give_the_svd_of_their_product(n, m, c):
    phi_q, phi_k = rows(n, c, seed=n), rows(m, c, seed=m + 50)
    left, sigma, right = factor_svd(phi_q, phi_k)
    full = np.linalg.svd(phi_q @ phi_k.T, compute_uv=False)[: len(sigma)]
    np.testing.assert_allclose(sigma, full, atol=1e-10)
    np.testing.assert_allclose(left.T @ left, np.eye(len(sigma)), atol=1e-10)
    np.testing.assert_allclose((left * sigma) @ right.T, phi_q @ phi_k.T, atol=1e-10)


@pytest.mark.parametrize(
    ("params", "X", "words"),
    [
        ({"kernel": "precomputed", "output": "left"}, rows(5, 3), "has to be square"),
        ({"kernel": "precomputed"}, rows(5, 5), "from the left only"),
        ({"kernel": lambda X, Z: X}, rows(5, 3), r"shape \(5, 5\) .* got \(5, 3\)"),
        ({"kernel": lambda X, Z: np.full((5, 5), np.nan)}, rows(5, 3), "not finite"),
        ({"n_components": 0}, rows(5, 3), "'n_components' parameter"),
    ],
)
def test_bad_kernels(params, X, words):
    with pytest.raises(ValueError, match=words):
        AsymmetricKSVD(**params).fit(X)


def test_check_estimator():
    results = check_estimator(AsymmetricKSVD(), on_fail=None, on_skip=None)
    assert len(results) > 40
    assert [(r["check_name"], r["exception"]) for r in results if r["status"] != "passed"] == []


@pytest.mark.parametrize("name", EXTRA_CHECKS)
@pytest.mark.filterwarnings("ignore:X .* feature names")
def test_extra_check(name):
    try:
        getattr(estimator_checks, name)("AsymmetricKSVD", AsymmetricKSVD(3))
    except SkipTest as reason:
        pytest.fail(f"skipped: {reason}")


def test_pipeline_and_names():
    X = rows()
    pipeline = make_pipeline(StandardScaler(), AsymmetricKSVD(2)).set_output(transform="pandas")
    frame = pipeline.fit_transform(X)
    assert list(frame.columns) == [f"asymmetricksvd{i}" for i in range(4)]
    assert clone(pipeline).fit(X).transform(X[:3]).shape == (3, 4)
