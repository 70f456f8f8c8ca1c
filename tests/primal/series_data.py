"""Small sets of series with a known rule."""

import numpy as np


def rhythms(n=60, seed=0, shortest=14, longest=24, n_channels=2):
    """Return ragged series (channels, steps) of two frequencies, and their classes."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    series = []
    for label in y:
        steps = np.arange(rng.integers(shortest, longest + 1))
        waves = np.sin((0.6 + 0.8 * label) * steps + rng.uniform(0, 6, (n_channels, 1)))
        series.append(waves + 0.1 * rng.normal(size=waves.shape))
    return series, y


def pad(series, length, layout="channels_first"):
    """Return one array, NaN after the end of each series."""
    padded = np.full((len(series), series[0].shape[0], length), np.nan)
    for row, one in zip(padded, series, strict=True):
        row[:, : one.shape[1]] = one
    return padded if layout == "channels_first" else padded.transpose(0, 2, 1)


def cross_token_xor(n, seed, n_steps=16):
    """Return noise whose class is the sign of a product of two steps in two channels."""
    X = np.random.default_rng(seed).normal(size=(n, 3, n_steps))
    return X, (X[:, 0, 3 * n_steps // 16] * X[:, 1, 12 * n_steps // 16] > 0).astype(int)
