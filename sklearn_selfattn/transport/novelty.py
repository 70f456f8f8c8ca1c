"""How usual a row is: a density of the training table that keeps none of its rows."""

import numpy as np
from scipy.special import logsumexp

SHRINKAGE = 0.1  # of the covariance towards a multiple of the identity


class ClassGaussians:
    """One Gaussian for each class, with a common covariance, in the features of the table.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_columns)
        Features of the training rows.
    codes : ndarray of int of shape (n_samples,)
        Their classes.
    sample_weight : ndarray of shape (n_samples,)
        Their weights.
    """

    def __init__(self, X, codes, sample_weight):
        total = np.bincount(codes, sample_weight)
        self.log_share = np.log(total / total.sum())
        one_hot = np.eye(len(total))[codes] * sample_weight[:, None]  # (n, k)
        self.means = (one_hot.T @ X) / total[:, None]
        rest = X - self.means[codes]
        covariance = (rest * sample_weight[:, None]).T @ rest / total.sum()
        scale = np.trace(covariance) / len(covariance) or 1.0
        covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * scale * np.eye(len(covariance))
        values, vectors = np.linalg.eigh(covariance)
        self.whiten = vectors / np.sqrt(values)  # (d, d)
        self.log_constant = -0.5 * (np.log(values).sum() + len(values) * np.log(2 * np.pi))

    def log_density(self, X):
        """Return the logarithm of the density at rows (n, n_columns)."""
        far = [(((X - mean) @ self.whiten) ** 2).sum(axis=1) for mean in self.means]
        return logsumexp(self.log_share - 0.5 * np.stack(far, axis=1), axis=1) + self.log_constant
