"""What all explainers share: a model, tokens that can be taken out, and the question again."""

from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, check_is_fitted

from ..core.base import guarded_fit
from .explanation import Explanation, Searches


def _inner_has(name):
    def check(self):
        getattr(getattr(self, "estimator_", self.estimator), name)
        return True

    return check


class BaseSetExplainer(MetaEstimatorMixin, BaseEstimator):
    """What all explainers share: the model, removal of tokens, the re-check of the outcome.

    A subclass says in which order sets are tried: `_plans` returns an object for each sample, with
    ``levels()``, which yields lists of sets, ``origin(columns)``, what is known of a set, and
    `n_model_calls`, the rows that were predicted to make it.
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict_proba"])],
        "mask_value": "no_validation",
        "target": [StrOptions({"cls", "next"}), Integral],
        "exclude_seen": ["boolean"],
        "max_set_size": [None, Interval(Integral, 1, None, closed="left")],
        "find": [StrOptions({"all", "first"})],
        "max_model_calls": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
    }

    @guarded_fit
    def fit(self, X, y=None, **fit_params):
        """Fit a clone of the model.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_columns)
            What the model is fitted on.
        y : array-like of shape (n_samples,), default=None
            Its target.
        **fit_params
            Passed to the model's `fit`.

        Returns
        -------
        estimator
            The explainer itself.
        """
        self.estimator_ = clone(self.estimator).fit(X, y, **fit_params)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    @property
    def classes_(self):
        """Labels of the model."""
        check_is_fitted(self)
        return self.estimator_.classes_

    def explain(self, X, *, removable=None):
        """Explain what the model predicts for each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_columns)
            Rows of tokens.
        removable : array-like of bool of shape (n_samples, n_columns), default=None
            Tokens that may be part of an explanation. None takes all columns but the target whose
            value is not the mask already.

        Returns
        -------
        list of Explanation
            One for each row.
        """
        check_is_fitted(self)
        self._validate_params()
        names = [str(c) for c in X.columns] if hasattr(X, "columns") else None
        X = check_array(X, dtype=None, ensure_all_finite=False, input_name="X")
        n, d = X.shape
        expected = getattr(self, "n_features_in_", d)
        if d != expected:
            raise ValueError(
                f"X has {d} features, but {type(self).__name__} is expecting {expected} features "
                "as input."
            )
        target = self._target_column(d)
        removable = self._removable(X, removable, target)
        proba = self._proba(X)
        before = self._scores(proba, X).argmax(axis=1)
        filled = X
        if self.target == "next":  # the outcome takes the slot's place: why was this the next?
            filled = X.copy()
            filled[:, target] = self.classes_[before]
        plans = self._plans(X, filled, removable, target, before)
        searches = Searches(
            self._proba,
            self._remove,
            lambda found, sample: self._scores(found, X[[sample]]),
            self.batch_size,
        )
        results = searches.run(
            X,
            [plan.levels() for plan in plans],
            before,
            first_only=self.find == "first",
            max_model_calls=self.max_model_calls,
        )
        labels = list(range(d)) if names is None else names
        scores = self._scores(proba, X)
        return [
            self._explanation(result, scores[s], before[s], plans[s], target, labels)
            for s, result in enumerate(results)
        ]

    def _explanation(self, result, scores, before, plan, target, labels):
        sets, without, calls, tried = result
        explanation = Explanation(
            outcome_before=self.classes_[before],
            n_model_calls=calls + plan.n_model_calls,
            n_sets_tried=tried,
            target=target,
            labels=labels,
        )
        if sets:
            after = int(without.argmax())
            explanation.sets = sets
            explanation.outcome_after = self.classes_[after]
            explanation.replacement_rank = 1 + int((scores > scores[after]).sum())
            for name, value in plan.origin(sets[0]).items():
                setattr(explanation, name, value)
        return explanation

    # --- tokens and outcomes --------------------------------------------------------------

    def _target_column(self, d):
        if self.target is None:
            return None
        column = {"cls": 0, "next": -1}.get(self.target, self.target)
        if not -d <= column < d:
            raise ValueError(f"target has to be one of {d} columns, got {self.target!r}.")
        return column % d

    def _is_mask(self, X):
        if callable(self.mask_value):
            return np.zeros(X.shape, dtype=bool)
        if self.mask_value != self.mask_value:  # NaN
            return X != X
        return self.mask_value == X

    def _removable(self, X, removable, target):
        if removable is None:
            removable = ~self._is_mask(X)
            if target is not None:
                removable[:, target] = False
        removable = np.asarray(removable, dtype=bool)
        if removable.shape != X.shape:
            raise ValueError(
                f"removable has to have the shape of X, {X.shape}, got {removable.shape}."
            )
        return removable

    def _remove(self, row, columns):
        if callable(self.mask_value):
            return self.mask_value(row, columns)
        row = row.copy()
        row[list(columns)] = self.mask_value
        return row

    def _proba(self, X):
        return np.asarray(self.estimator_.predict_proba(X), dtype=np.float64)

    def _scores(self, proba, X):
        """Return scores by which outcomes are chosen: what was seen already comes last."""
        if not self.exclude_seen:
            return proba
        seen = (X[:, None, :] == self.classes_[None, :, None]).any(axis=2)
        return np.where(seen, -1.0, proba)

    # --- the model's own face -------------------------------------------------------------

    @available_if(_inner_has("predict"))
    def predict(self, X):
        """Predict with the model.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_columns)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        check_is_fitted(self)
        return self.estimator_.predict(X)

    @available_if(_inner_has("predict_proba"))
    def predict_proba(self, X):
        """Return the model's probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_columns)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @available_if(_inner_has("score"))
    def score(self, X, y):
        """Return the model's score.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_columns)
            Rows.
        y : array-like of shape (n_samples,)
            Labels.

        Returns
        -------
        float
            As the model defines it.
        """
        check_is_fitted(self)
        return self.estimator_.score(X, y)

    def __sklearn_tags__(self):
        tags, inner = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags = inner.classifier_tags
        tags.input_tags = inner.input_tags
        tags.target_tags = inner.target_tags
        return tags
