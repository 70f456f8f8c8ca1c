"""Small tables and small estimators for the tests of NPT."""

import numpy as np
import pandas as pd

from sklearn_selfattn import NPTClassifier, NPTRegressor

SMALL = {
    "pretrained": False,
    "d_model": 8,
    "n_heads": 2,
    "row_dim": 16,
    "feed_forward_dim": 16,
    "n_layers": 1,
    "n_estimators": 2,
    "n_bins": 4,
    "dropout": 0.0,
    "max_epochs": 6,
    "learning_rate": 1e-2,
    "random_state": 0,
}


def classifier(**changed):
    return NPTClassifier(**{**SMALL, **changed})


def regressor(**changed):
    return NPTRegressor(**{**SMALL, **changed})


def mixed_table(n_rows=120, seed=0):
    """Return a frame with numbers, categories and missing cells, and a number to predict."""
    rng = np.random.RandomState(seed)
    frame = pd.DataFrame(
        {
            "size": rng.normal(10, 3, size=n_rows),
            "count": rng.randint(0, 9, size=n_rows).astype(float),
            "colour": rng.choice(["red", "green", "blue"], size=n_rows),
            "is_new": rng.rand(n_rows) < 0.5,
            "constant": 1.0,
        }
    )
    target = frame["size"] + 2 * (frame["colour"] == "red") - frame["count"] / 3
    frame.loc[::7, "size"] = np.nan
    frame.loc[3::11, "colour"] = None
    return frame, target.to_numpy()


def classes_of(target):
    """Cut a number into three classes of unequal size, with names."""
    names = np.array(["low", "middle", "high"])
    return names[np.searchsorted(np.quantile(target, [0.2, 0.7]), target)]


def pairs(n_pairs, seed, n_features=4):
    """Return originals, their labels, and twins, which differ in the marker and bear label + 1.

    The label is drawn at random: nothing but the twin tells it.
    """
    rng = np.random.RandomState(seed)
    features, label = rng.normal(size=(n_pairs, n_features)), rng.normal(size=n_pairs)
    originals = np.column_stack([features, np.zeros(n_pairs)])
    twins = np.column_stack([features, np.ones(n_pairs)])
    return originals, label, twins, label + 1


def joined(originals, label, twins, twin_label):
    """Return pairs as one table: rows, labels, groups."""
    groups = np.tile(np.arange(len(originals)), 2)
    return np.concatenate([originals, twins]), np.concatenate([label, twin_label]), groups
