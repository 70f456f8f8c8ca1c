"""Rows dealt to folds, sampled for contexts, shown to validation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_selfattn.npt.folds import deal_folds, sample_evenly, show_half

quick = settings(derandomize=True, deadline=None, max_examples=60)
labels = st.lists(st.integers(0, 3), min_size=2, max_size=80).map(np.array)
seeds = st.integers(0, 10)


@given(labels, st.integers(2, 6), seeds)
@quick
def test_folds_have_equal_shares_of_the_classes(y, n_folds, seed):
    fold = deal_folds(n_folds, y, np.random.RandomState(seed))
    counts = np.bincount(fold, minlength=n_folds)
    assert fold.shape == y.shape
    assert counts.max() - counts.min() <= 1
    for label in np.unique(y):
        of_class = np.bincount(fold[y == label], minlength=n_folds)
        # a class takes part of a first and of a last deal, and all of those between
        assert of_class.max() - of_class.min() <= 2


def test_folds_of_a_number_cover_its_range():
    """Every fold sees every tenth of the target; chance alone would miss some."""
    rng = np.random.RandomState(0)
    y = rng.normal(size=200)
    fold = deal_folds(4, y, rng)
    tenth = np.argsort(np.argsort(y)) // 20
    counts = np.array([np.bincount(tenth[fold == k], minlength=10) for k in range(4)])
    assert (counts == 5).all()


@given(st.lists(st.integers(0, 9), min_size=2, max_size=60).map(np.array), st.integers(2, 4), seeds)
@quick
def test_groups_stay_in_one_fold(groups, n_folds, seed):
    groups = np.unique(groups, return_inverse=True)[1]
    fold = deal_folds(n_folds, np.zeros(len(groups)), np.random.RandomState(seed), groups)
    per_group = [np.unique(fold[groups == g]) for g in range(groups.max() + 1)]
    assert all(len(folds) == 1 for folds in per_group)
    counts = np.bincount(np.concatenate(per_group), minlength=n_folds)
    assert counts.max() - counts.min() <= 1  # as many groups in each


@given(labels, st.integers(1, 80), seeds)
@quick
def test_samples_keep_the_shares_of_the_classes(y, size, seed):
    rows = sample_evenly(size, y, np.random.RandomState(seed))
    assert len(rows) == min(size, len(y))
    assert (np.diff(rows) > 0).all()
    for label in np.unique(y):
        expected = len(rows) * np.mean(y == label)
        assert abs((y[rows] == label).sum() - expected) <= 1 + 1e-9


def test_samples_depend_on_the_seed_and_reach_every_row():
    y = np.arange(50) % 2
    draws = [sample_evenly(20, y, np.random.RandomState(seed)) for seed in range(200)]
    np.testing.assert_array_equal(draws[3], sample_evenly(20, y, np.random.RandomState(3)))
    counts = np.bincount(np.concatenate(draws), minlength=50)
    # each row in 40 % of the draws: 80 times, give or take 5 standard deviations
    assert np.abs(counts - 80).max() < 5 * np.sqrt(200 * 0.4 * 0.6)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60).map(np.array), seeds)
@quick
def test_half_of_every_group_is_shown(groups, seed):
    shown = show_half(groups, np.random.RandomState(seed))
    for group in np.unique(groups):
        assert shown[groups == group].sum() == (groups == group).sum() // 2


@pytest.mark.parametrize("size", [2, 3])
def test_which_half_is_shown_is_drawn(size):
    groups = np.repeat(np.arange(2000), size)
    shown = show_half(groups, np.random.RandomState(0)).reshape(-1, size)
    assert (shown.sum(axis=1) == 1).all()
    np.testing.assert_allclose(shown.mean(axis=0), 1 / size, atol=5 / 2 / np.sqrt(2000))
