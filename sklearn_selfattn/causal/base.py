"""What all explainers share: a model, tokens that can be taken out, and the question again."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_array, check_is_fitted

from ..core.base import guarded_fit
from ..core.typing import Table, available_if
from .attention import AttentionCausalDiscovery
from .explanation import Explanation, Searches


def _inner_has(name):
    def check(self):
        getattr(getattr(self, "estimator_", self.estimator), name)
        return True

    return check


class _AskedAlike:
    """A fitted model that is asked with arrays, and gets frames like those that X came in.

    Parameters
    ----------
    model : estimator
        The model.
    X : array-like or frame
        Whose columns and types rows are given.
    """

    def __init__(self, model, X):
        self.model = model
        self.columns = getattr(X, "columns", None)
        self.dtypes = list(X.dtypes) if hasattr(X, "iloc") else []

    def __getattr__(self, name):
        value = getattr(self.model, name)
        if name not in ("predict_proba", "attention_weights"):
            return value
        return lambda rows: value(rows if self.columns is None else self._frame(rows))

    def _frame(self, rows):
        frame = pd.DataFrame(rows, columns=self.columns)
        for name, dtype in zip(frame.columns, self.dtypes, strict=bool(self.dtypes)):
            column = frame[name]
            if getattr(dtype, "kind", "") in "biu" and column.isna().any():
                frame[name] = column.astype(np.float64)  # these know no gaps
            else:
                frame[name] = column.astype(dtype)
        return frame


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
    def fit(self, X: Table, y: ArrayLike | None = None, **fit_params: Any) -> Self:
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
    def classes_(self) -> np.ndarray:
        """Labels of the model."""
        check_is_fitted(self)
        return self.estimator_.classes_

    def explain(self, X: Table, *, removable: ArrayLike | None = None) -> list[Explanation]:
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
        model, X = _AskedAlike(self.estimator_, X), self._tokens(X)
        d = X.shape[1]
        expected = getattr(self, "n_features_in_", d)
        if d != expected:
            raise ValueError(
                f"X has {d} features, but {type(self).__name__} is expecting {expected} features "
                "as input."
            )
        target = self._target_column(d)
        removable = self._removable(X, removable, target)
        scores = self._scores(model.predict_proba(X), X)
        before = scores.argmax(axis=1)
        filled = self._filled(X, target, before)
        plans = self._plans(model, X, filled, removable, target, before)
        searches = Searches(
            model.predict_proba,
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

    def _reader(self, model, discovery, **params):
        """Return what reads the attention of the fitted model."""
        reader = AttentionCausalDiscovery() if discovery is None else clone(discovery)
        reader.set_params(estimator=self.estimator, **params)
        # one that does not answer is named in the error
        reader.estimator_ = model if hasattr(model, "attention_weights") else self.estimator_
        return reader

    # --- tokens and outcomes --------------------------------------------------------------

    def _tokens(self, X):
        """Return X as an array into which the mask can be written."""
        X = X.to_numpy() if hasattr(X, "to_numpy") else X  # mixed columns as objects
        X = check_array(X, dtype=None, ensure_all_finite=False, input_name="X")
        is_nan = not callable(self.mask_value) and self.mask_value != self.mask_value
        return X.astype(np.float64) if is_nan and X.dtype.kind in "iub" else X

    def _check_tokens(self, maps, X):
        """Refuse attention that is not between the columns of X, one token for each."""
        d = X.shape[1]
        if maps.n_queries == maps.n_keys == d:
            return
        labels = [str(label) for label in maps.query_labels]
        shown = ", ".join(labels if len(labels) < 9 else [*labels[:4], "...", labels[-1]])
        raise ValueError(
            f"{type(self.estimator_).__name__} attends from {maps.n_queries} tokens ({shown}) to "
            f"{maps.n_keys}, but X has {d} columns. To go by attention, explanations need one "
            f"token for each column, and target={self.target!r} a column whose token stands for "
            "the outcome, as in models of token sequences. For a model of tables take "
            "SubsetSearchExplainer(estimator, order='leave_one_out', target=None)."
        )

    def _filled(self, X, target, before):
        """Return X with outcomes in the slots, as it is read: why was this the next."""
        if self.target != "next":
            return X
        filled = X.copy()
        try:
            filled[:, target] = self.classes_[before]
        except ValueError as error:
            raise ValueError(
                f"target='next' puts the predicted label into the last column of X, where it does "
                f"not go ({error}): labels have to be codes of tokens, as of recommenders."
            ) from None
        return filled

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
            return pd.isna(X)
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

    def _scores(self, proba, X):
        """Return scores by which outcomes are chosen: what was seen already comes last."""
        if not self.exclude_seen:
            return proba
        seen = (X[:, None, :] == self.classes_[None, :, None]).any(axis=2)
        return np.where(seen, -1.0, proba)

    # --- the model's own face -------------------------------------------------------------

    @available_if(_inner_has("predict"))
    def predict(self, X: Table) -> np.ndarray:
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
    def predict_proba(self, X: Table) -> np.ndarray:
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
    def score(self, X: Table, y: ArrayLike) -> float:
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
