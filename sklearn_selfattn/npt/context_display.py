"""Pictures of what an NPT does when its context is changed: one label, or all of it."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import is_classifier
from sklearn.utils import column_or_1d

from ..core.display import (
    BLUE,
    GREY,
    INK,
    LIGHT_GREY,
    VERMILION,
    finish_axes,
    format_label,
    label_ticks,
    new_axes,
)
from ..core.typing import Axes, Table


class InterventionDisplay:
    """What a prediction does when the label of one context row is changed.

    Attention weights alone do not prove that a row matters. This does: the label of one context
    row is swept over many values, nothing is retrained, and the predictions are drawn against
    it. A model that looks the row up follows the identity line (slope 1); one that ignores it
    stays flat (slope 0).

    Parameters
    ----------
    values : array-like of shape (n_values,)
        Labels written into the context row.
    predictions : ndarray of shape (n_values, n_queries)
        For a regressor, the predictions; for a classifier, the probability of the label that
        was written. The first query is drawn in colour, the others in grey.
    row : int
        Position of the changed row in the context.
    original_value : object
        Its true label.
    baseline : ndarray of shape (n_values,), default=None
        For a classifier, the probability that the first query gives to each label with the
        unchanged context. None for a regressor.

    Attributes
    ----------
    slopes_ : ndarray of shape (n_queries,) or None
        Least-squares slope of each query's prediction on the label; None for a classifier.
    correlation_ : float or None
        Pearson correlation of the first query's prediction with the label (NaN if the
        prediction does not move); None for a classifier.
    lines_ : list of matplotlib Line2D
        One line (for a classifier, one set of points) per query.
    identity_line_ : matplotlib Line2D or None
        The line prediction = label; None for a classifier.
    baseline_line_ : matplotlib Line2D or None
        The points with the unchanged context; None for a regressor.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn import InterventionDisplay
    >>> values = np.array([0.0, 1.0, 2.0])
    >>> display = InterventionDisplay(
    ...     values=values, predictions=0.9 * values[:, None], row=4, original_value=1.5
    ... ).plot()
    >>> display.slopes_.round(3)
    array([0.9])
    """

    def __init__(
        self,
        *,
        values: ArrayLike,
        predictions: np.ndarray,
        row: int,
        original_value: Any,
        baseline: np.ndarray | None = None,
    ) -> None:
        self.values = values
        self.predictions = predictions
        self.row = row
        self.original_value = original_value
        self.baseline = baseline

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X_query: Table,
        X_context: Table,
        y_context: ArrayLike,
        *,
        row: int,
        values: ArrayLike | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Sweep the label of one context row of a copy of a fitted NPT and draw what happens.

        The estimator itself stays as it is.

        Parameters
        ----------
        estimator : NPTClassifier or NPTRegressor
            A fitted model.
        X_query : array-like of shape (n_queries, n_features)
            Rows to predict. The first is the query of interest; the others, if any, show
            whether queries that should not care stay where they are.
        X_context : array-like of shape (n_context, n_features)
            Rows that the model may look at.
        y_context : array-like of shape (n_context,)
            Their labels.
        row : int
            Position in the context of the row whose label is changed.
        values : array-like of shape (n_values,), default=None
            Labels to write. By default all classes, or 21 values over the range of `y_context`.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        InterventionDisplay
            The display, drawn.
        """
        y_context = column_or_1d(y_context)
        if not -len(y_context) <= row < len(y_context):
            raise ValueError(f"row must be a position among {len(y_context)} rows, got {row}.")
        row = row % len(y_context)
        classifier = is_classifier(estimator)
        if values is None:
            values = (
                estimator.classes_
                if classifier
                else np.linspace(y_context.min(), y_context.max(), 21)
            )
        values = np.asarray(values)
        model = copy.deepcopy(estimator)
        baseline = None
        if classifier:
            classes = list(estimator.classes_)
            unknown = [value for value in values if value not in classes]
            if unknown:
                raise ValueError(f"values must be among the classes {classes}, got {unknown}.")
            columns = [classes.index(value) for value in values]
            model.set_context(X_context, y_context)
            baseline = model.predict_proba(X_query)[0, columns]
        predictions = []
        for position, value in enumerate(values):
            # Joined anew rather than assigned: a long string or a fraction keeps its type.
            y_changed = np.r_[y_context[:row], [value], y_context[row + 1 :]]
            model.set_context(X_context, y_changed)
            if classifier:
                predictions.append(model.predict_proba(X_query)[:, columns[position]])
            else:
                predictions.append(model.predict(X_query))
        return cls(
            values=values,
            predictions=np.array(predictions),
            row=row,
            original_value=y_context[row],
            baseline=baseline,
        ).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw predictions against the label.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        InterventionDisplay
            The display itself.
        """
        self.figure_, self.ax_ = new_axes(ax, "InterventionDisplay.plot", (5.6, 4.4))
        self.slopes_: np.ndarray | None = None
        self.correlation_: float | None = None
        self.identity_line_, self.baseline_line_ = None, None
        draw = self._plot_regression if self.baseline is None else self._plot_classification
        ylabel = draw()
        finish_axes(
            self.ax_,
            title=f"Changing the label of context row {self.row}",
            xlabel=f"label given to context row {self.row}",
            ylabel=ylabel,
        )
        # On white: the lines of other queries may lie anywhere.
        legend = self.ax_.legend(
            loc="best" if self.slopes_ is None else "upper left",
            framealpha=1.0, edgecolor="none", labelcolor=INK, fontsize=9,
        )  # fmt: skip
        legend.set_zorder(4)
        return self

    def _plot_regression(self):
        values = np.asarray(self.values, dtype=np.float64)
        predictions = np.asarray(self.predictions)  # (n_values, n_queries)
        centred = values - values.mean()
        if not centred.any():
            raise ValueError("values must hold at least two different labels.")
        slopes = centred @ (predictions - predictions.mean(axis=0)) / (centred @ centred)
        self.slopes_ = slopes
        moves = np.ptp(predictions[:, 0]) > 0.0
        self.correlation_ = (
            float(np.corrcoef(values, predictions[:, 0])[0, 1]) if moves else float("nan")
        )
        (self.identity_line_,) = self.ax_.plot(
            [values.min(), values.max()], [values.min(), values.max()],
            color=INK, linewidth=0.9, linestyle="--", label="prediction = label",
        )  # fmt: skip
        self.ax_.axvline(
            float(self.original_value), color=GREY, linewidth=0.9, linestyle=":",
            label=f"true label: {format_label(self.original_value)}",
        )  # fmt: skip
        correlation = f", r = {self.correlation_:.3f}" if moves else ""
        self.lines_ = self.ax_.plot(
            values, predictions[:, 0], color=BLUE, marker="o", markersize=4,
            label=f"query 0: slope {slopes[0]:.2f}{correlation}", zorder=3,
        )  # fmt: skip
        others = slopes[1:]
        if others.size:
            lines = self.ax_.plot(values, predictions[:, 1:], color=LIGHT_GREY, linewidth=1.0)
            # + 0.0 turns a slope of minus zero into zero.
            smallest, largest = np.round([others.min(), others.max()], 2) + 0.0
            lines[0].set_label(
                f"{others.size} other queries: slopes {smallest:.2f} to {largest:.2f}"
            )
            self.lines_ += lines
        return "prediction"

    def _plot_classification(self):
        predictions = np.asarray(self.predictions)  # (n_values, n_queries)
        values = np.asarray(self.values)
        positions = np.arange(len(values))
        self.lines_ = self.ax_.plot(
            positions, predictions[:, 0], color=BLUE, marker="o", linestyle="none",
            label="query 0, label changed", zorder=3,
        )  # fmt: skip
        (self.baseline_line_,) = self.ax_.plot(
            positions, self.baseline, color=BLUE, marker="o", linestyle="none",
            markerfacecolor="white", label="query 0, true context", zorder=2,
        )  # fmt: skip
        # From each open point to its full one: what the label alone did.
        self.ax_.vlines(positions, self.baseline, predictions[:, 0], color=BLUE, linewidth=1.0)
        if predictions.shape[1] > 1:
            lines = self.ax_.plot(
                positions, predictions[:, 1:], color=GREY, marker=".", linestyle="none"
            )
            lines[0].set_label(f"{len(lines)} other queries, label changed")
            self.lines_ += lines
        self.ax_.set_ylim(-0.03, 1.03)
        self.ax_.set_xlim(-0.6, len(positions) - 0.4)
        label_ticks(self.ax_, "x", list(values))
        return "probability of that label"


class ContextRelianceDisplay:
    """How much worse a model predicts when its context rows are corrupted.

    The columns of all context rows are shuffled independently, so that each column keeps its
    values and no row makes sense. A model that learned to use other rows gets worse; one that
    predicts from the query alone stays as it was.

    Parameters
    ----------
    score : float
        Score with the true context.
    corrupted_scores : array-like of shape (n_repeats,)
        Score with each corrupted context.
    score_name : str, default="score"
        What the score is, higher is better.

    Attributes
    ----------
    true_point_, mean_point_ : matplotlib Line2D
        The score with the true context, and the mean of the corrupted ones.
    repeat_points_ : matplotlib Line2D
        The score of each repeat.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> from sklearn_selfattn import ContextRelianceDisplay
    >>> display = ContextRelianceDisplay(
    ...     score=0.9, corrupted_scores=[0.7, 0.6, 0.65], score_name="accuracy"
    ... ).plot()
    >>> display.ax_.get_xlabel()
    'accuracy'
    """

    def __init__(
        self, *, score: float, corrupted_scores: ArrayLike, score_name: str = "score"
    ) -> None:
        self.score = score
        self.corrupted_scores = corrupted_scores
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Table,
        y: ArrayLike,
        *,
        n_repeats: int = 5,
        random_state: int | np.random.RandomState | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Measure the context reliance of a fitted NPT on held-out rows and draw it.

        Parameters
        ----------
        estimator : NPTClassifier or NPTRegressor
            A fitted model.
        X : array-like of shape (n_samples, n_features)
            Rows to predict.
        y : array-like of shape (n_samples,)
            Their true targets.
        n_repeats : int, default=5
            Number of corrupted contexts.
        random_state : int, RandomState instance or None, default=None
            Seed of the shuffles.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        ContextRelianceDisplay
            The display, drawn.
        """
        result = estimator.context_reliance(X, y, n_repeats=n_repeats, random_state=random_state)
        return cls(
            score=result["score"],
            corrupted_scores=result["corrupted_scores"],
            score_name="accuracy" if is_classifier(estimator) else "R²",
        ).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the scores.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        ContextRelianceDisplay
            The display itself.
        """
        self.figure_, self.ax_ = new_axes(ax, "ContextRelianceDisplay.plot", (6.4, 2.4))
        repeats = np.asarray(self.corrupted_scores, dtype=np.float64)
        mean = float(repeats.mean())
        self.ax_.plot([self.score, mean], [1, 0], color=LIGHT_GREY, linewidth=1.2, zorder=1)
        (self.true_point_,) = self.ax_.plot([self.score], [1], "o", color=BLUE, markersize=9)
        (self.repeat_points_,) = self.ax_.plot(
            repeats, np.zeros(len(repeats)), "o", color=VERMILION, alpha=0.35, markersize=6
        )
        (self.mean_point_,) = self.ax_.plot([mean], [0], "o", color=VERMILION, markersize=9)
        for value, height, change in (
            (self.score, 1, ""),
            (mean, 0, f" (change {mean - self.score:+.3f})".replace("-", "−")),
        ):
            self.ax_.annotate(
                f"{value:.3f}{change}", (value, height), xytext=(0, 9),
                textcoords="offset points", ha="center", fontsize=9, color=INK,
            )  # fmt: skip
        self.ax_.set_yticks(
            [1, 0], ["true context", f"corrupted context\n({len(repeats)} repeats)"]
        )
        self.ax_.set_ylim(-0.5, 1.6)
        self.ax_.margins(x=0.15)
        finish_axes(
            self.ax_,
            title="What the context rows are worth",
            xlabel=self.score_name,
            ylabel="",
        )
        self.ax_.tick_params(axis="y", length=0)
        return self
