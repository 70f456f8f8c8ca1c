"""An encoded table as numbers that a net and a transport cost can both use."""

import numpy as np

from ..core.base import weighted_mean_and_scale


class TableFeatures:
    r"""Columns of an encoded table, made comparable.

    Numbers are standardised, an empty cell becomes the mean and is marked in a column of its own
    where cells were empty in `fit`. A category becomes a one-hot code over :math:`\sqrt 2`, so
    that two rows which differ in it are at distance 1; an unknown one is all zeros.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_features)
        The encoded table, NaN where missing.
    n_categories : ndarray of int of shape (n_features,)
        Number of codes, 0 where a column is numeric.
    sample_weight : ndarray of shape (n_samples,)
        Row weights.
    max_dims : int
        The most principal components for the transport.

    Attributes
    ----------
    n_numeric : int
        So many first columns of the features are numbers.
    n_columns : int
        Number of columns in all.
    """

    def __init__(self, values, n_categories, sample_weight, max_dims):
        self.numeric = np.flatnonzero(n_categories == 0)
        self.categorical = np.flatnonzero(n_categories > 0)
        self.n_categories = n_categories
        self.n_numeric = len(self.numeric)
        numbers = values[:, self.numeric]
        self.mean, self.scale = weighted_mean_and_scale(numbers, sample_weight)
        self.is_marked = np.isnan(numbers).any(axis=0)
        X = self(values)
        self.n_columns = X.shape[1]
        self._fit_components(X, sample_weight, max_dims)

    def __call__(self, values):
        """Return the features (n, n_columns) of rows of the encoded table (n, n_features)."""
        numbers = (values[:, self.numeric] - self.mean) / self.scale
        missing = np.isnan(numbers)
        parts: list[np.ndarray] = [np.where(missing, 0.0, numbers), missing[:, self.is_marked]]
        for j in self.categorical:
            one_hot = values[:, [j]] == np.arange(self.n_categories[j])  # NaN equals nothing
            parts.append(one_hot / np.sqrt(2.0))
        return np.hstack(parts)

    def _fit_components(self, X, sample_weight, max_dims):
        self.center = np.average(X, axis=0, weights=sample_weight)
        centered = X - self.center
        covariance = (centered * sample_weight[:, None]).T @ centered / sample_weight.sum()
        variances, vectors = np.linalg.eigh(covariance)
        vectors = vectors[:, ::-1][:, :max_dims]  # largest first
        largest = np.abs(vectors).argmax(axis=0)
        vectors *= np.sign(vectors[largest, np.arange(vectors.shape[1])])  # a sign for all runs
        self.components = vectors / np.sqrt(max(variances[-1], np.finfo(float).eps))

    def transport_points(self, X):
        """Return principal components of features, the first of them with variance 1."""
        return (X - self.center) @ self.components  # (n, q)
