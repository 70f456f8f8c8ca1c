"""Rows to train on, and rows held out to know when to stop."""

import warnings
from typing import Any

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, train_test_split


def hold_out(
    n_rows: int,
    fraction: float,
    seed: int,
    *,
    stratify: np.ndarray | None = None,
    groups: Any = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose rows to train on and rows to hold out.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    fraction : float
        Share of the rows (or groups) to hold out; 0 holds out none.
    seed : int
        Seed of the choice.
    stratify : ndarray of int of shape (n_rows,), default=None
        Class codes. The held-out rows have the same shares of the classes, where there are at
        least as many as classes; the only row of a class is always trained on.
    groups : array-like of shape (n_rows,), default=None
        Rows of a group stay together.

    Returns
    -------
    train, valid : ndarray of int
        Sorted row indices.
    """
    rows = np.arange(n_rows)
    if not fraction:
        return rows, rows[:0]
    if groups is not None:
        if len(np.unique(groups)) < 2:
            return _too_few(rows, "group")
        splitter = GroupShuffleSplit(1, test_size=fraction, random_state=seed)
        train, valid = next(splitter.split(rows, groups=groups))
        return train, valid
    eligible = rows
    if stratify is not None:
        counts = np.bincount(stratify)
        eligible = rows[counts[stratify] > 1]
        stratify = stratify[eligible]
        n_valid = int(np.ceil(len(eligible) * fraction))
        if min(n_valid, len(eligible) - n_valid) < len(np.unique(stratify)):
            stratify = None
    if len(eligible) < 2:
        return _too_few(rows, "row")
    _, valid = train_test_split(eligible, test_size=fraction, random_state=seed, stratify=stratify)
    return np.setdiff1d(rows, valid), np.sort(valid)


def _too_few(rows: np.ndarray, unit: str) -> tuple[np.ndarray, np.ndarray]:
    warnings.warn(f"Early stopping is off: there is no {unit} to spare to hold out.", stacklevel=2)
    return rows, rows[:0]
