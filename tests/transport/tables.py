"""Small tables on which a transport can be told from a random pairing."""

import numpy as np

from sklearn_selfattn.transport import OTTabularClassifier

FAST = {
    "hidden_layer_sizes": (24,), "n_estimators": 2, "max_epochs": 12, "batch_size": 64,
    "learning_rate": 2e-2, "n_draws": 2,
}  # fmt: skip


def fast(**params):
    """Return an estimator that fits in a tenth of a second, with a seed."""
    return OTTabularClassifier(**{**FAST, "random_state": 0, **params})


def gaussian_classes(n, k=2, d=3, *, gap=3.0, seed=0):
    """Return rows of k Gaussian classes with covariances of their own, and their labels."""
    rng = np.random.RandomState(seed)
    turns = np.linalg.qr(np.random.RandomState(99).normal(size=(k, d, d)))[0]
    shapes = turns * np.linspace(0.7, 1.5, d)  # no direction so flat that a matching misses it
    centers = gap * np.linspace(-0.5, 0.5, k)[:, None] * np.ones(d)  # along no column
    y = np.arange(n) % k
    return centers[y] + np.einsum("nij,nj->ni", shapes[y], rng.normal(size=(n, d))), y


def ring_of_classes(n, k=8, *, gap=2.2, seed=0):
    """Return rows of k classes around as many axes, so that any two are as near as any others."""
    rng = np.random.RandomState(seed)
    y = np.arange(n) % k
    return gap * np.eye(k)[y] + rng.normal(size=(n, k)), y
