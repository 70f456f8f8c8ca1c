"""Where the dummies stand, checked against what the geometry has to guarantee."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_selfattn.transport.geometry import make_geometry, regular_simplex


@pytest.mark.parametrize("k", [1, 2, 3, 7, 50])
def test_simplex_vertices_are_all_at_the_same_angle(k):
    vertices = regular_simplex(k)
    assert vertices.shape == (k, k - 1)
    cosines = vertices @ vertices.T
    expected = np.full((k, k), -1.0 / (k - 1)) if k > 1 else np.zeros((1, 1))
    np.fill_diagonal(expected, 1.0 if k > 1 else 0.0)
    np.testing.assert_allclose(cosines, expected, atol=1e-12)


@settings(derandomize=True, max_examples=25, deadline=None)
@given(st.integers(2, 12), st.floats(0.5, 9.0), st.randoms(use_true_random=False))
def test_a_mean_of_simplex_vertices_is_a_code_of_the_posterior(k, radius, random):
    """What squared error converges to can be read back exactly, whatever the posterior."""
    p = np.array([random.random() + 1e-3 for _ in range(k)])
    p /= p.sum()
    mu = radius * regular_simplex(k)
    read = ((k - 1) * (mu @ (p @ mu)) / radius**2 + 1) / k
    np.testing.assert_allclose(read, p, atol=1e-12)


def test_on_a_circle_of_six_a_mixture_lands_on_a_third_class():
    with pytest.warns(UserWarning, match="6 classes are not equally far"):
        mu = make_geometry("circle", 6, 2, 18.0).means
    np.testing.assert_allclose(np.linalg.norm(mu, axis=1), 18.0)
    np.testing.assert_allclose(mu[0], [0.0, 18.0], atol=1e-12)  # (sin, cos), as published
    mixture = (mu[0] + mu[2]) / 2
    assert np.linalg.norm(mu - mixture, axis=1).argmin() == 1  # of which there is none
    simplex = make_geometry("simplex", 6, 2, 18.0).means
    distances = np.linalg.norm(simplex - (simplex[0] + simplex[2]) / 2, axis=1)
    assert set(np.argsort(distances)[:2]) == {0, 2}


def test_a_circle_of_three_is_a_simplex():
    mu = make_geometry("circle", 3, 2, 2.0).means
    np.testing.assert_allclose(mu @ mu.T, 4.0 * regular_simplex(3) @ regular_simplex(3).T)


@pytest.mark.parametrize(
    ("kind", "n_latent", "n_class_dims", "style"),
    [("orthogonal", 3 + 2, 3, 3), ("simplex", 3, 3, 0)],
)
def test_coordinates_of_class_and_style(kind, n_latent, n_class_dims, style):
    geometry = make_geometry(kind, 4, 2, 1.0)
    assert geometry.means.shape == (4, n_latent)
    assert (geometry.n_class_dims, geometry.first_style_dim) == (n_class_dims, style)
    variances = np.diagonal(geometry.covariances, axis1=1, axis2=2)
    np.testing.assert_array_equal(variances, np.tile(np.arange(n_latent) >= style, (4, 1)))
    Z = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(geometry.embed(Z)[:, style : style + 2], Z)
    assert np.count_nonzero(geometry.embed(Z)) == np.count_nonzero(Z)
