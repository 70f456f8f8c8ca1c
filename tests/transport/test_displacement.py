"""Displacement and efficiency: known truths, and the published formulas written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from sklearn_selfattn.transport import displacement_report, trajectory_efficiency


def cloud(n, d=3, seed=0):
    return np.random.RandomState(seed).normal(size=(n, d))


@settings(derandomize=True, max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(1, 5), st.integers(0, 10_000))
def test_gradients_of_convex_functions_are_optimal(n, d, seed):
    rng = np.random.RandomState(seed)
    source, root = rng.normal(size=(n, d)), rng.normal(size=(d, d))
    report = displacement_report(source, source @ (root @ root.T) + rng.normal(size=d))
    assert 0 <= report.monge_gap < 1e-9
    assert report.optimality == pytest.approx(1, abs=1e-9)
    assert report.optimality_centered == pytest.approx(1, abs=1e-9)
    assert report.excess == pytest.approx(1, abs=1e-9)


def test_a_rotation_is_far_from_optimal_and_a_shift_hides_it():
    source = cloud(200, 2)
    turned = source @ np.array([[0.0, 1.0], [-1.0, 0.0]])
    report = displacement_report(source, turned)
    assert report.optimality_centered < 0.5
    hidden = displacement_report(source, turned + 100.0)
    assert hidden.optimality > 0.99  # says nothing: the shift makes up
    assert hidden.translation_share > 0.99
    assert hidden.optimality_centered == pytest.approx(report.optimality_centered)
    assert hidden.null.min() > 0.99  # what shuffled displacements reach as well


def test_shuffled_targets_leave_the_wasserstein_distance_and_open_a_gap():
    source, rng = cloud(60), np.random.RandomState(1)
    target = 3 * source + 1
    straight = displacement_report(source, target)
    shuffled = displacement_report(source, rng.permutation(target))
    np.testing.assert_allclose(shuffled.wasserstein, straight.wasserstein, rtol=1e-12)
    assert straight.monge_gap < 1e-9 < shuffled.monge_gap
    assert (straight.matching, straight.is_degenerate) == (1.0, False)
    assert shuffled.matching < 0.2
    assert abs(shuffled.excess) < 0.5 < straight.excess


def test_pooled_numbers_are_means_over_points():
    source, target = cloud(70, seed=0), cloud(70, seed=1)
    labels = np.repeat(["a", "b"], [20, 50])
    report = displacement_report(source, target, labels)
    assert report.classes.tolist() == ["a", "b"]
    alone = [displacement_report(source[labels == c], target[labels == c]) for c in "ab"]
    for name in ("displacement2", "wasserstein2", "monge_gap"):
        expected = (20 * alone[0][name] + 50 * alone[1][name]) / 70
        np.testing.assert_allclose(report[name], expected, rtol=1e-12)
        np.testing.assert_allclose([c[name] for c in report.per_class], [a[name] for a in alone])
    np.testing.assert_allclose(
        report.displacement2, ((source - target) ** 2).sum(axis=1).mean(), rtol=1e-12
    )


def test_thesis_convention_is_the_published_formula():
    """Roots of sums, added over classes: written out with scipy alone."""
    source, target, labels = cloud(50, seed=0), cloud(50, seed=1) + 1, np.arange(50) % 3
    D = W = 0.0
    for c in range(3):
        S, E = source[labels == c], target[labels == c]
        costs = ((S[:, None] - E) ** 2).sum(axis=2)
        D += np.sqrt(((S - E) ** 2).sum())
        W += np.sqrt(costs[linear_sum_assignment(costs)].sum())
    thesis = displacement_report(source, target, labels, convention="thesis").thesis
    expected = {"distance": D, "wasserstein": W, "monge_gap": D - W, "optimality": W / D}
    for name, value in expected.items():
        assert thesis[name] == pytest.approx(value, abs=1e-10)


def test_nothing_moved():
    report = displacement_report(cloud(5), cloud(5))
    assert report.is_degenerate
    assert (report.optimality, report.monge_gap, report.relative_gap) == (1.0, 0.0, 0.0)


def test_large_clouds_are_sampled_reproducibly():
    source, target = cloud(500), cloud(500, seed=1)
    first, again = (
        displacement_report(source, target, max_points=50, random_state=3) for _ in range(2)
    )
    assert first.wasserstein == again.wasserstein
    np.testing.assert_array_equal(first.null, again.null)
    rows = np.sort(np.random.RandomState(3).choice(500, 50, replace=False))
    np.testing.assert_allclose(
        first.wasserstein, displacement_report(source[rows], target[rows]).wasserstein
    )


@pytest.mark.parametrize("n", [30, 300, 3000])
def test_straight_motion_is_efficient_except_by_the_published_formula(n):
    """Equal steps: three classes of n / 3 points are capped at 1 / sqrt(n / 3)."""
    direction = np.random.RandomState(0).normal(size=3)
    path = cloud(n) + np.arange(5.0)[:, None, None] * direction
    efficiency, per_point = trajectory_efficiency(path)
    assert efficiency == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(per_point, 1, atol=1e-12)
    capped, _ = trajectory_efficiency(path, np.arange(n) % 3, convention="thesis")
    assert capped == pytest.approx(1 / np.sqrt(n / 3), abs=1e-10)


@settings(derandomize=True, max_examples=20, deadline=None)
@given(st.integers(1, 20), st.integers(1, 6), st.integers(0, 10_000))
def test_efficiency_is_a_share_and_doubling_the_points_changes_nothing(n, n_steps, seed):
    path = np.random.RandomState(seed).normal(size=(n_steps + 1, n, 2))
    efficiency, _ = trajectory_efficiency(path)
    assert 0 <= efficiency <= 1
    doubled, _ = trajectory_efficiency(np.concatenate([path, path], axis=1))
    assert doubled == pytest.approx(efficiency, abs=1e-12)
    back_and_forth = np.concatenate([path, path[::-1]])
    assert trajectory_efficiency(back_and_forth)[0] == 0


def test_points_that_stay_are_efficient():
    assert trajectory_efficiency(np.zeros((3, 4, 2)))[0] == 1.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: displacement_report(cloud(5), cloud(6)), r"same shape.*\(5, 3\) and \(6, 3\)"),
        (lambda: displacement_report(cloud(5), cloud(5) * np.nan), "target contains NaN"),
        (lambda: displacement_report(cloud(5), cloud(5), [0, 1]), "inconsistent numbers"),
        (lambda: displacement_report(cloud(5), cloud(5), convention="sum"), "convention has to"),
        (lambda: trajectory_efficiency(cloud(5)), r"\(n_steps \+ 1, n_points, n_dims\)"),
        (lambda: trajectory_efficiency(np.full((2, 2, 2), np.inf)), "path contains infinity"),
        (lambda: trajectory_efficiency(np.zeros((2, 2, 2)), convention="l1"), "convention"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()
