"""Pictures of what a model of time has learnt."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from ..core.display import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LIGHT_GREY,
    ORANGE,
    SKY,
    VERMILION,
    finish_axes,
    format_label,
    new_axes,
)
from ..core.typing import Axes, Table
from .encoders import BochnerTimeEncoder
from .times import in_words

_COLORS = (BLUE, ORANGE, GREEN, VERMILION, SKY)


def _kernel_of(estimator, column):
    """Return frequencies, weights, the unit, and whether frequencies were drawn at random."""
    check_is_fitted(estimator)
    if hasattr(estimator, "kernel_weights_"):
        axis = estimator._coder.axis if estimator._takes_events else None
        return (estimator.frequencies_, estimator.kernel_weights_,
                None if axis is None else axis.seconds, False)  # fmt: skip
    if isinstance(estimator, BochnerTimeEncoder):
        drawn = estimator.distribution != "nonparametric" and estimator.sampling == "random"
        return (estimator.frequencies_[column], estimator.weights_[column],
                estimator.time_axes_[column].seconds, drawn)  # fmt: skip
    if hasattr(estimator, "coefficients_"):
        harmonics = np.arange(1, estimator.degree + 1)
        base = 2 * np.pi / estimator.periods_[column]
        weights = np.tile(estimator.coefficients_[1:], len(base))
        return ((base[:, None] * harmonics).ravel(), weights,
                estimator.time_axes_[column].seconds, False)  # fmt: skip
    raise ValueError(
        f"{type(estimator).__name__} has no time kernel: choose a Bochner or Mercer encoding."
    )


def _unit_word(seconds):
    words = {1.0: "seconds", 60.0: "minutes", 3600.0: "hours", 86400.0: "days"}
    return words.get(seconds, "units of time")


class TimeKernelDisplay:
    """The time kernel: how alike two moments are, by the time between them.

    Peaks at a day or a week say that rhythm matters; a fall from 1 says over what time events are
    forgotten. Where frequencies were drawn at random, the band is two standard errors of the mean
    over draws.

    Parameters
    ----------
    lags : ndarray of shape (n_lags,)
        Times between two moments.
    kernel : ndarray of shape (n_lags,)
        The kernel there.
    error : ndarray of shape (n_lags,) or None, default=None
        Standard error of each value.
    unit : str, default="units of time"
        What lags are counted in.
    name : str, default=None
        What was fitted, for the title.

    Attributes
    ----------
    line_ : matplotlib Line2D
        The kernel.
    band_ : matplotlib PolyCollection or None
        The band.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn import BochnerTimeEncoder, TimeKernelDisplay
    >>> X = np.arange(100.0).reshape(-1, 1)
    >>> encoder = BochnerTimeEncoder(distribution="normal", random_state=0).fit(X)
    >>> TimeKernelDisplay.from_estimator(encoder).kernel[0].round(6)
    np.float64(1.0)
    """

    def __init__(
        self,
        *,
        lags: np.ndarray,
        kernel: np.ndarray,
        error: np.ndarray | None = None,
        unit: str = "units of time",
        name: str | None = None,
    ) -> None:
        self.lags = lags
        self.kernel = kernel
        self.error = error
        self.unit = unit
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        lags: ArrayLike | None = None,
        column: int = 0,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the kernel of a fitted estimator or encoder.

        Parameters
        ----------
        estimator : estimator
            A fitted `TimeEventRegressor`, `TimeEventClassifier`, `BochnerTimeEncoder` or
            `MercerTimeEncoder`.
        lags : array-like of shape (n_lags,), default=None
            Times between two moments, in units; up to the longest period by default.
        column : int, default=0
            Column of an encoder.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        TimeKernelDisplay
            The display, drawn.
        """
        frequencies, weights, seconds, drawn = _kernel_of(estimator, column)
        if lags is None:
            longest = 2 * np.pi / np.abs(frequencies[frequencies != 0]).min()
            lags = np.linspace(0, longest, 1000)
        lags = np.asarray(lags, dtype=np.float64)
        waves = np.cos(lags[:, None] * frequencies)
        error = waves.std(axis=1, ddof=1) / np.sqrt(waves.shape[1]) if drawn else None
        total = weights.sum()
        display = cls(
            lags=lags, kernel=waves @ (weights / total if total > 0 else weights), error=error,
            unit=_unit_word(seconds), name=type(estimator).__name__,
        )  # fmt: skip
        return display.plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the kernel.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        TimeKernelDisplay
            The display itself.
        """
        self.figure_, self.ax_ = new_axes(ax, "TimeKernelDisplay.plot", (6.4, 3.6))
        self.ax_.axhline(0.0, color=LIGHT_GREY, linewidth=1)
        self.band_ = None
        if self.error is not None:
            self.band_ = self.ax_.fill_between(
                self.lags, self.kernel - 2 * self.error, self.kernel + 2 * self.error,
                color=LIGHT_GREY, label="two standard errors",
            )  # fmt: skip
        (self.line_,) = self.ax_.plot(self.lags, self.kernel, color=BLUE)
        title = "Time kernel" + (f" of {self.name}" if self.name else "")
        finish_axes(self.ax_, title=title, xlabel=f"elapsed time ({self.unit})", ylabel="kernel")
        if self.band_ is not None:
            self.ax_.legend(frameon=False, labelcolor=INK)
        return self


class TimeSpectrumDisplay:
    """The spectrum of a time kernel: the weight of each period.

    Parameters
    ----------
    periods : ndarray of shape (n_waves,)
        Periods.
    weights : ndarray of shape (n_waves,)
        Their weights.
    seconds : float, default=None
        Seconds in a unit, for labels.
    name : str, default=None
        What was fitted, for the title.

    Attributes
    ----------
    stems_ : matplotlib LineCollection
        A line for each period.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn import BochnerTimeEncoder, TimeSpectrumDisplay
    >>> X = np.arange(400.0).reshape(-1, 1)
    >>> y = np.sin(2 * np.pi * X[:, 0] / 7)
    >>> encoder = BochnerTimeEncoder(n_frequencies=4, frequency_init="periodogram").fit(X, y)
    >>> display = TimeSpectrumDisplay.from_estimator(encoder)
    >>> display.periods[display.weights.argmax()].round(2)
    np.float64(7.0)
    """

    def __init__(
        self,
        *,
        periods: np.ndarray,
        weights: np.ndarray,
        seconds: float | None = None,
        name: str | None = None,
    ) -> None:
        self.periods = periods
        self.weights = weights
        self.seconds = seconds
        self.name = name

    @classmethod
    def from_estimator(cls, estimator: Any, *, column: int = 0, ax: Axes | None = None) -> Self:
        """Draw the spectrum of a fitted estimator or encoder.

        Parameters
        ----------
        estimator : estimator
            As for `TimeKernelDisplay`.
        column : int, default=0
            Column of an encoder.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        TimeSpectrumDisplay
            The display, drawn.
        """
        frequencies, weights, seconds, _ = _kernel_of(estimator, column)
        keep = frequencies != 0
        display = cls(
            periods=2 * np.pi / np.abs(frequencies[keep]), weights=weights[keep], seconds=seconds,
            name=type(estimator).__name__,
        )  # fmt: skip
        return display.plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw a line for each period.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        TimeSpectrumDisplay
            The display itself.
        """
        self.figure_, self.ax_ = new_axes(ax, "TimeSpectrumDisplay.plot", (6.4, 3.6))
        self.ax_.set_xscale("log")
        if np.max(self.periods) < 10 * np.min(self.periods):  # no power of ten to label, or one
            self.ax_.xaxis.set_minor_formatter("{x:g}")
            self.ax_.xaxis.set_major_formatter("{x:g}")
        self.ax_.margins(x=0.1)
        self.stems_ = self.ax_.vlines(self.periods, 0.0, self.weights, color=BLUE, linewidth=2)
        self.ax_.plot(self.periods, self.weights, "o", color=BLUE, markersize=4)
        top = max(float(np.max(self.weights)), 1e-12)
        self.ax_.set_ylim(0.0, 1.25 * top)
        if np.min(self.weights) < 0.999 * top:  # where all weigh alike, names would only clutter
            for i in np.argsort(-np.asarray(self.weights))[:3]:
                self.ax_.annotate(
                    in_words(self.periods[i], self.seconds), (self.periods[i], self.weights[i]),
                    xytext=(0, 6), textcoords="offset points", ha="center", color=INK, fontsize=9,
                )  # fmt: skip
        title = "Spectrum" + (f" of {self.name}" if self.name else "")
        finish_axes(self.ax_, title=title, xlabel=f"period ({_unit_word(self.seconds)})",
                    ylabel="weight")  # fmt: skip
        return self


class AttentionByLagDisplay:
    """Mean attention to events by how long ago they were, for each type.

    Parameters
    ----------
    lags : ndarray of shape (n_events,)
        How long before the prediction each event was.
    attention : ndarray of shape (n_events,)
        Weight of each event, mean of the heads.
    types : ndarray of shape (n_events,)
        Type of each event.
    n_bins : int, default=24
        Bins of elapsed time, with as many events in each.
    unit : str, default="units of time"
        What lags are counted in.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        A line for each of the most attended types.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn import AttentionByLagDisplay, EventSequences, TimeEventRegressor
    >>> rng = np.random.default_rng(0)
    >>> times = list(rng.exponential(size=(60, 12)).cumsum(axis=1))
    >>> X = EventSequences.from_lists(times)
    >>> model = TimeEventRegressor(max_epochs=2, random_state=0).fit(X, rng.normal(size=60))
    >>> len(AttentionByLagDisplay.from_estimator(model, X).lines_)
    1
    """

    def __init__(
        self,
        *,
        lags: np.ndarray,
        attention: np.ndarray,
        types: np.ndarray,
        n_bins: int = 24,
        unit: str = "units of time",
    ) -> None:
        self.lags = lags
        self.attention = attention
        self.types = types
        self.n_bins = n_bins
        self.unit = unit

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Table, *, n_bins: int = 24, ax: Axes | None = None
    ) -> Self:
        """Draw where a fitted estimator looks.

        Parameters
        ----------
        estimator : TimeEventRegressor or TimeEventClassifier
            Fitted on histories of events.
        X : EventSequences or DataFrame
            Histories, some hundreds are enough.
        n_bins : int, default=24
            Bins of elapsed time.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        AttentionByLagDisplay
            The display, drawn.
        """
        check_is_fitted(estimator)
        if not estimator._takes_events:
            raise ValueError("A plain table has no events: show attention_weights(X).plot().")
        rows = estimator._as_events(X)
        maps = estimator.attention_weights(X)
        weights = maps[0].mean(axis=1)[:, 0, :-1]  # (n, slots)
        events, n_slots = rows.events, weights.shape[1]
        index = rows.stop[:, None] - np.arange(n_slots, 0, -1)
        there = index >= rows.start[:, None]
        index = np.maximum(index, 0)
        lags = events.axis.difference(rows._query()[:, None], events.times[index])
        names = np.append(events.type_names, np.array(["missing"], dtype=object))
        types = np.full(index.shape, "event", dtype=object)
        if events.codes is not None:
            types = names[events.codes[index]]
        display = cls(
            lags=lags[there], attention=weights[there], types=types[there], n_bins=n_bins,
            unit=_unit_word(events.axis.seconds),
        )  # fmt: skip
        return display.plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw a line for each of the five most attended types.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        AttentionByLagDisplay
            The display itself.
        """
        self.figure_, self.ax_ = new_axes(ax, "AttentionByLagDisplay.plot", (6.8, 3.8))
        edges = np.unique(np.quantile(self.lags, np.linspace(0, 1, self.n_bins + 1)))
        kinds = np.asarray(self.types).astype(str)
        known, codes = np.unique(kinds, return_inverse=True)
        total = np.bincount(codes, self.attention)
        self.lines_ = []
        for color, which in zip(_COLORS, np.argsort(-total), strict=False):
            own = codes == which
            bins = np.clip(np.searchsorted(edges, self.lags[own], "right") - 1, 0, len(edges) - 2)
            count = np.bincount(bins, minlength=len(edges) - 1)
            mean = np.bincount(bins, self.attention[own], len(edges) - 1) / np.maximum(count, 1)
            shown = count > 0
            middle = (edges[1:] + edges[:-1]) / 2
            (line,) = self.ax_.plot(
                middle[shown], mean[shown], color=color, marker="o", markersize=3,
                label=format_label(known[which]),
            )  # fmt: skip
            self.lines_.append(line)
        finish_axes(
            self.ax_,
            title="Attention by elapsed time",
            xlabel=f"elapsed time ({self.unit})",
            ylabel="mean attention weight",
        )
        self.ax_.set_ylim(bottom=0.0)
        if len(known) > 1:
            self.ax_.legend(
                title="type", frameon=False, labelcolor=INK, loc="center left",
                bbox_to_anchor=(1.0, 0.5),
            )  # fmt: skip
        return self


class TimeToEventCalibrationDisplay:
    """Whether predicted quantiles hold: how often the event came before each.

    The line of a calibrated model is the diagonal. Below it, events come later than predicted.

    Parameters
    ----------
    levels : ndarray of shape (n_levels,)
        Predicted probabilities that the event has come.
    observed : ndarray of shape (n_levels,)
        Shares of rows for which it had come.
    n_rows : int
        Number of rows, for the band of two standard errors.
    name : str, default=None
        What was fitted, for the title.

    Attributes
    ----------
    line_ : matplotlib Line2D
        Observed shares.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn import TimeToEventCalibrationDisplay
    >>> y = np.arange(1.0, 100.0)
    >>> quantiles = np.tile([25.0, 50.0, 75.0], (99, 1))
    >>> display = TimeToEventCalibrationDisplay.from_predictions(y, quantiles, [0.25, 0.5, 0.75])
    >>> display.observed.round(2)
    array([0.25, 0.51, 0.76])
    """

    def __init__(
        self, *, levels: np.ndarray, observed: np.ndarray, n_rows: int, name: str | None = None
    ) -> None:
        self.levels = levels
        self.observed = observed
        self.n_rows = n_rows
        self.name = name

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        quantiles: ArrayLike,
        levels: ArrayLike,
        *,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw from predicted quantiles.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Durations.
        quantiles : array-like of shape (n_samples, n_levels)
            Predicted quantiles.
        levels : array-like of shape (n_levels,)
            Their levels.
        name : str, default=None
            What was fitted, for the title.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        TimeToEventCalibrationDisplay
            The display, drawn.
        """
        came = np.asarray(y_true)[:, None] <= np.asarray(quantiles)
        display = cls(
            levels=np.asarray(levels), observed=came.mean(axis=0), n_rows=len(came), name=name
        )
        return display.plot(ax=ax)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Table, y: ArrayLike, *, n_levels: int = 19, ax: Axes | None = None
    ) -> Self:
        """Draw the quantiles that a fitted regressor predicts.

        Parameters
        ----------
        estimator : TimeEventRegressor
            Fitted with ``loss="lognormal_mixture"``.
        X : EventSequences, DataFrame or array-like
            Rows that it was not fitted on.
        y : array-like of shape (n_samples,)
            Their durations.
        n_levels : int, default=19
            Number of levels between 0 and 1.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        TimeToEventCalibrationDisplay
            The display, drawn.
        """
        levels = np.arange(1, n_levels + 1) / (n_levels + 1)
        quantiles = estimator.predict_quantile(X, levels)
        return cls.from_predictions(y, quantiles, levels, name=type(estimator).__name__, ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw observed shares against predicted ones.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        TimeToEventCalibrationDisplay
            The display itself.
        """
        self.figure_, self.ax_ = new_axes(ax, "TimeToEventCalibrationDisplay.plot", (4.6, 4.4))
        levels = np.asarray(self.levels)
        grid = np.linspace(0, 1, 101)
        error = 2 * np.sqrt(grid * (1 - grid) / self.n_rows)
        self.ax_.fill_between(grid, grid - error, grid + error, color=LIGHT_GREY,
                              label="two standard errors")  # fmt: skip
        self.ax_.plot([0, 1], [0, 1], color=GREY, linewidth=1)
        (self.line_,) = self.ax_.plot(levels, self.observed, color=BLUE, marker="o", markersize=4)
        self.ax_.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        title = "Calibration" + (f" of {self.name}" if self.name else "")
        finish_axes(self.ax_, title=title, xlabel="predicted probability of the event by then",
                    ylabel="share that had come")  # fmt: skip
        self.ax_.legend(frameon=False, labelcolor=INK, loc="upper left")
        return self
