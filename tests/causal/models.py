"""Small models whose attention and rule are known, for the tests of this room."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_selfattn import AttentionMaps


class MeanClassifier(ClassifierMixin, BaseEstimator):
    """Nearest class mean; its attention looks from column to column by how alike the cells are."""

    d_model, n_heads = 32, 2

    def fit(self, X, y):
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        self.means_ = np.stack([X[codes == c].mean(axis=0) for c in range(len(self.classes_))])
        return self

    def decision_function(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        scores = -((X[:, None] - self.means_) ** 2).sum(axis=2)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X):
        scores = self.decision_function(X)
        if scores.ndim == 1:
            scores = np.stack([0 * scores, scores], axis=1)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return scores / scores.sum(axis=1, keepdims=True)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def attention_weights(self, X, layer=None):
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        d = X.shape[1]
        near = np.abs(X[:, :, None] - X[:, None, :])
        heads = [
            np.exp(-near - k * np.abs(np.subtract.outer(np.arange(d), np.arange(d))))
            for k in (1, 2)
        ]
        weights = np.stack(heads, axis=1)
        weights /= weights.sum(axis=-1, keepdims=True)
        names = getattr(self, "feature_names_in_", range(d))
        return AttentionMaps(
            [weights], query_labels=names, key_labels=names, query_axis="column", key_axis="column"
        )


class RuleClassifier(ClassifierMixin, BaseEstimator):
    """Says "yes" when a rule on token codes holds; looks from column to column as it is told.

    Parameters
    ----------
    rule : callable
        ``rule(X)`` returns the probability of "yes".
    weights : ndarray of shape (n_heads, n_columns, n_columns)
        Attention, the same for each row.
    """

    d_model, n_heads = 400, 1

    def __init__(self, rule, weights):
        self.rule = rule
        self.weights = weights

    def fit(self, X=None, y=None):
        self.classes_ = np.array(["no", "yes"])
        self.n_rows_ = 0
        return self

    def predict_proba(self, X):
        self.n_rows_ += len(X)
        yes = np.asarray(self.rule(X), dtype=np.float64)
        return np.column_stack([1 - yes, yes])

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def attention_weights(self, X, layer=None):
        d = self.weights.shape[-1]
        weights = np.broadcast_to(self.weights, (len(X), *self.weights.shape))
        return AttentionMaps(
            [weights], query_labels=range(d), key_labels=range(d), query_axis="column",
            key_axis="column",
        )  # fmt: skip


def structural_attention(graph, rng, low=0.5, high=1.5):
    """Return attention that is a linear structural equation model of a graph, rows scaled to 1."""
    n = graph.number_of_nodes()
    effects = np.zeros((n, n))
    for a, b in graph.edges:
        effects[b, a] = rng.uniform(low, high)
    A = np.linalg.inv(np.eye(n) - effects) @ np.diag(rng.uniform(0.7, 1.3, n))
    A = np.maximum(A, 0)  # rounding
    return A / A.sum(axis=1, keepdims=True)
