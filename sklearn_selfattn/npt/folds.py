"""Which rows each member trains on, which it is validated on, which are its context."""

import numpy as np


def deal_folds(n_folds, sort_by, rng, groups=None):
    """Deal the rows out to folds that look alike.

    Rows of a class, or of similar targets, are dealt like cards, so that every fold gets its
    share. Rows of a group go to the same fold.

    Parameters
    ----------
    n_folds : int
        Number of folds.
    sort_by : ndarray of shape (n_samples,)
        Class codes or targets.
    rng : RandomState
        Source of randomness.
    groups : ndarray of int of shape (n_samples,), default=None
        Group codes, from 0.

    Returns
    -------
    ndarray of int of shape (n_samples,)
        Fold of each row.
    """
    if groups is not None:
        n_groups = groups.max() + 1
        return (rng.permutation(n_groups) % n_folds)[groups]
    fold = np.empty(len(sort_by), dtype=np.intp)
    order = np.lexsort((rng.permutation(len(sort_by)), sort_by))
    cards = [rng.permutation(n_folds) for _ in range(-(-len(order) // n_folds))]
    fold[order] = np.concatenate(cards)[: len(order)]
    return fold


def sample_evenly(size, sort_by, rng):
    """Choose rows such that classes, or the range of the target, keep their shares.

    Parameters
    ----------
    size : int
        Rows to choose; all of them if there are no more.
    sort_by : ndarray of shape (n_samples,)
        Class codes or targets.
    rng : RandomState
        Source of randomness.

    Returns
    -------
    ndarray of int of shape (min(size, n_samples),)
        Sorted row indices.
    """
    n_rows = len(sort_by)
    if n_rows <= size:
        return np.arange(n_rows)
    order = np.lexsort((rng.permutation(n_rows), sort_by))
    # every (n / size)-th row of the sorted table, from a random start
    picks = ((np.arange(size) + rng.uniform()) * n_rows / size).astype(np.intp)
    return np.sort(order[picks])


def show_half(groups, rng):
    """Choose half of the rows of every group (the smaller half, of an odd number).

    Parameters
    ----------
    groups : ndarray of int of shape (n_samples,)
        Group codes.
    rng : RandomState
        Source of randomness.

    Returns
    -------
    ndarray of bool of shape (n_samples,)
        Chosen rows; none of a group of one.
    """
    order = np.lexsort((rng.permutation(len(groups)), groups))
    _, start, size = np.unique(groups[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(start, size)
    shown = np.zeros(len(groups), dtype=bool)
    shown[order] = rank % 2 == 1
    return shown
