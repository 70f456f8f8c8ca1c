"""Small embeddings whose neighbourhoods say more than single similarities."""

import numpy as np


def clusters(n_classes=12, n_each=10, n_dims=10, noise=0.45, seed=0):
    """Return rows around random directions, and their classes."""
    rng = np.random.RandomState(seed)
    centers = rng.normal(size=(n_classes, n_dims))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    y = np.repeat(np.arange(n_classes), n_each)
    return centers[y] + noise * rng.normal(size=(len(y), n_dims)), y
