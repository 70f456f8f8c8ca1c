"""What classifiers, regressors and transformers do with the outputs of their module."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import (
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from .typing import Table


class SelfAttentionClassifierMixin(ClassifierMixin):
    """Labels in, labels out, for a subclass with ``_raw_predict(X)``.

    `_raw_predict` returns logits: an array of shape (n_samples, n_classes), or one logit for
    each row (of the second class) where there are two classes. It is not called when there is
    only one class.
    """

    def _encode_classes(self, y):
        """Set `classes_` and return the codes of the labels."""
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        return codes

    def decision_function(self, X: Table) -> np.ndarray:
        """Return the logits.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            The rows to predict.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes the logit of ``classes_[1]``.
        """
        check_is_fitted(self)
        if len(self.classes_) == 1:
            return np.zeros(len(self._encode_table(X, reset=False)))
        logits = self._raw_predict(X)
        if len(self.classes_) > 2:
            return logits
        return logits[:, 1] - logits[:, 0] if logits.shape[1:] == (2,) else logits.reshape(-1)

    def predict_proba(self, X: Table) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            The rows to predict.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Rows sum to 1; columns in the order of `classes_`.
        """
        logits = self.decision_function(X)
        if len(self.classes_) == 1:
            return np.ones((len(logits), 1))
        if logits.ndim == 1:
            return np.stack([expit(-logits), expit(logits)], axis=1)
        return softmax(logits, axis=1)

    def predict_log_proba(self, X: Table) -> np.ndarray:
        """Return the logarithm of the probability of each class, exact for tiny ones.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            The rows to predict.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.
        """
        logits = self.decision_function(X)
        if len(self.classes_) == 1:
            return np.zeros((len(logits), 1))
        if logits.ndim == 1:
            return np.stack([log_expit(-logits), log_expit(logits)], axis=1)
        return log_softmax(logits, axis=1)

    def predict(self, X: Table) -> np.ndarray:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            The rows to predict.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels from `classes_`.
        """
        codes = self.predict_proba(X).argmax(axis=1)
        return self.classes_[codes]

    def _export_answer(self, logits):
        """Return what `predict_proba` makes of what `_raw_predict` returns, in torch."""
        if logits.shape[1:] == (1,):
            logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
        return logits.softmax(dim=1)


class SelfAttentionRegressorMixin(RegressorMixin):
    """Numbers in, numbers out, for a subclass with ``_raw_predict(X)``.

    `_raw_predict` returns standardised predictions of shape (n_samples,).
    """

    def _standardize_target(self, y, sample_weight=None, rows=None):
        """Set `target_mean_` and `target_scale_` from some rows and return all standardised."""
        y = np.asarray(y, dtype=np.float64)
        rows = slice(None) if rows is None else rows
        weight = None if sample_weight is None else sample_weight[rows]
        mean, scale = weighted_mean_and_scale(y[rows, None], weight)
        self.target_mean_, self.target_scale_ = float(mean[0]), float(scale[0])
        return (y - self.target_mean_) / self.target_scale_

    def predict(self, X: Table) -> np.ndarray:
        """Predict the target of each row.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            The rows to predict.

        Returns
        -------
        ndarray of shape (n_samples,)
            Predictions.
        """
        check_is_fitted(self)
        return self._raw_predict(X).reshape(-1) * self.target_scale_ + self.target_mean_

    def _export_answer(self, output):
        """Return what `predict` makes of what `_raw_predict` returns, in torch."""
        return output.reshape(-1) * self.target_scale_ + self.target_mean_


class SelfAttentionTransformerMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """Rows in, vectors out, for a subclass with ``_raw_transform(X)`` and `_n_features_out`."""

    def transform(self, X: Table) -> np.ndarray:
        """Return the vector of each row.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            The rows to transform.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            One vector for each row.
        """
        check_is_fitted(self)
        return self._raw_transform(X)


def weighted_mean_and_scale(values, sample_weight=None):
    """Return mean and standard deviation of each column, missing cells left out.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_features)
        Numbers, NaN where missing.
    sample_weight : ndarray of shape (n_samples,), default=None
        A row of weight 2 counts as two rows.

    Returns
    -------
    mean, scale : ndarray of shape (n_features,)
        0 and 1 for a column without numbers; scale 1 for a constant one.
    """
    weight = np.ones(len(values)) if sample_weight is None else sample_weight
    weight = weight[:, None] * ~np.isnan(values)  # (n, d)
    total = weight.sum(axis=0)
    total[total == 0] = 1.0
    # Scaled first, so that neither sums nor squares overflow.
    largest = np.nanmax(np.abs(values), axis=0, initial=0.0)
    largest[largest == 0] = 1.0
    unit = np.nan_to_num(values / largest)
    mean = (weight * unit).sum(axis=0) / total
    scale = np.sqrt((weight * (unit - mean) ** 2).sum(axis=0) / total)
    scale[scale < 10 * np.finfo(np.float64).eps] = (
        1.0 / largest[scale < 10 * np.finfo(np.float64).eps]
    )
    return mean * largest, scale * largest
