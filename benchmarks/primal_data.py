"""Series for the primal benchmark: the shared sets, aeon's, and noise with a rule."""

import os
from pathlib import Path

import numpy as np

SHARED = Path(
    os.environ.get("SELFATTN_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
)
#: The sets of the accuracy table; the first two come with aeon.
SERIES = ("JapaneseVowels", "BasicMotions", "RacketSports", "Libras", "ERing")


def load_series(name):
    """Return ``X, y, X_test, y_test`` of a set, X as a list of (channels, steps)."""
    if name in ("JapaneseVowels", "BasicMotions"):
        from aeon.datasets import load_basic_motions, load_japanese_vowels

        load = {"JapaneseVowels": load_japanese_vowels, "BasicMotions": load_basic_motions}[name]
        parts = [part for split in ("train", "test") for part in load(split=split)]
    else:
        with np.load(SHARED / "series" / f"{name}.npz") as file:
            parts = [file[key] for key in ("X_train", "y_train", "X_test", "y_test")]
    X, y, X_test, y_test = parts
    return list(X), np.asarray(y), list(X_test), np.asarray(y_test)


def cross_token_xor(n, n_steps, n_noise, seed):
    """Return noise whose class is the sign of a product of two steps in two channels."""
    X = np.random.default_rng(seed).normal(size=(n, 3 + n_noise, n_steps))
    is_positive = X[:, 0, 3 * n_steps // 16] * X[:, 1, 12 * n_steps // 16] > 0
    return X, is_positive.astype(int)
