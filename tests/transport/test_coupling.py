"""The plans, against brute force, closed forms and what they may not depend on."""

from itertools import permutations

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.optimize import linear_sum_assignment

from sklearn_selfattn.transport import coupling
from sklearn_selfattn.transport.coupling import squared_distances, transport_targets


def couple(Z, codes=None, weight=None, *, seed=0, **changed):
    codes = np.zeros(len(Z), dtype=int) if codes is None else codes
    weight = np.ones(len(Z)) if weight is None else weight
    options = {"n_dims": Z.shape[1], "pairing": "exact", "n_draws": 1, "block_size": 4096}
    rng = np.random.RandomState(seed)
    return transport_targets(Z, codes, weight, **{**options, **changed}, rng=rng)


def rows(n, d, seed=0):
    return np.random.RandomState(seed).normal(size=(n, d)) @ np.diag(np.arange(1.0, d + 1))


def test_no_permutation_is_cheaper_than_the_plan():
    Z = rows(7, 2)
    target, cost = couple(Z)
    centered = Z - Z.mean(axis=0)
    cheapest = min(
        ((centered - target[list(order)]) ** 2).sum(axis=1).mean()
        for order in permutations(range(7))
    )
    np.testing.assert_allclose(cost, cheapest, rtol=1e-12)
    np.testing.assert_allclose(((centered - target) ** 2).sum(axis=1).mean(), cheapest)
    np.testing.assert_allclose(target.mean(axis=0), 0, atol=1e-12)  # dummies are centred


@pytest.mark.parametrize("points", ["rows", "tokens"])
def test_cost_equals_scipys_and_beats_random_pairs(points):
    """As published code has it, indices are scrambled and the cost is that of random pairs."""
    tensor = np.random.RandomState(0).normal(scale=[2.0, 0.3], size=(15, 20, 2))
    Z = tensor.reshape(15, 40) if points == "rows" else tensor.reshape(300, 2)
    target, cost = couple(Z)
    centered = Z - Z.mean(axis=0)
    costs = squared_distances(centered, np.unique(target, axis=0))
    np.testing.assert_allclose(cost, costs[linear_sum_assignment(costs)].mean(), rtol=1e-9)
    _, random_cost = couple(Z, pairing="random")
    assert cost < 0.9 * random_cost


def test_the_plan_does_not_depend_on_where_a_class_stands_nor_on_the_order():
    Z, codes = rows(60, 3), np.repeat([0, 1, 2], 20)
    target, cost = couple(Z, codes)
    moved = Z + np.array([[9.0, 0, 0], [0, -4.0, 0], [1.0, 1, 1]])[codes]
    np.testing.assert_allclose(couple(moved, codes)[0], target, atol=1e-12)
    order = np.random.RandomState(1).permutation(60)
    again, cost_again = couple(Z[order], codes[order])
    np.testing.assert_allclose(again, target[order], atol=1e-12)
    np.testing.assert_allclose(cost_again, cost)


def test_weights_are_repetitions_and_copies_share_a_target():
    Z = rows(12, 2)
    weight = np.array([1, 2, 1, 3, 1, 1, 2, 1, 1, 4, 1, 1])
    repeated = np.repeat(np.arange(12), weight)
    target, cost = couple(Z, weight=weight.astype(float))
    copies, copies_cost = couple(Z[repeated])
    np.testing.assert_allclose(copies, target[repeated], atol=1e-9)
    np.testing.assert_allclose(copies_cost, cost, atol=1e-9)
    # the mass of the plan is where it belongs: the mean dummy is the mean row's, zero
    np.testing.assert_allclose(np.average(target, axis=0, weights=weight), 0, atol=1e-12)


def test_gaussian_pairing_is_the_closed_form():
    Z = rows(500, 3)
    target, _ = couple(Z, pairing="gaussian")
    covariance = np.cov(Z.T, bias=True)
    share = coupling.SHRINKAGE
    shrunk = (1 - share) * covariance + share * np.trace(covariance) / 3 * np.eye(3)
    expected = (Z - Z.mean(axis=0)) @ np.linalg.inv(sqrtm(shrunk)).T
    np.testing.assert_allclose(target, expected, atol=1e-10)


def test_exact_plans_come_near_the_closed_form_where_classes_are_gaussian():
    Z = rows(1500, 2)
    closed = (Z - Z.mean(axis=0)) @ np.linalg.inv(sqrtm(np.cov(Z.T)))

    def explained(pairing):
        off = couple(Z, pairing=pairing, n_draws=4, block_size=500)[0] - closed
        return 1 - (off**2).mean() / (closed**2).mean()

    assert explained("exact") > 0.9
    assert explained("random") < 0.3  # four random draws are noise of variance a quarter


def test_sinkhorn_lies_between_and_none_is_the_mean():
    Z = rows(80, 2)
    exact, sinkhorn, chance = (couple(Z, pairing=p)[1] for p in ("exact", "sinkhorn", "random"))
    assert exact < sinkhorn < chance
    blurred, sharp = couple(Z, pairing="sinkhorn")[0], couple(Z)[0]
    assert (blurred**2).sum() < (sharp**2).sum()  # barycentres shrink to the mean
    assert not couple(Z, pairing="none")[0].any()


def test_larger_blocks_are_nearer_to_optimal():
    Z = rows(512, 6)
    costs = [couple(Z, block_size=size)[1][0] for size in (16, 64, 256, 512)]
    assert np.all(np.diff(costs) < 0)


def test_single_rows_and_missing_dimensions():
    Z, codes = rows(6, 2), np.array([0, 0, 0, 0, 0, 1])
    target, cost = couple(Z, codes, n_dims=4)
    assert target.shape == (6, 4)
    assert not target[5].any()
    assert cost[1] == 0
    assert target[:5, 2:].any()  # the Gaussian is as wide as it is said to be
