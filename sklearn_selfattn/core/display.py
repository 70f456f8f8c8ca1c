"""What all Display classes share: axes, colours, readable tick labels, the training curve.

matplotlib is an optional dependency. Nothing here imports it before something is drawn.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .typing import Axes

# Okabe and Ito's palette: its colours stay apart for every common kind of colour blindness.
BLUE, ORANGE, GREEN, SKY, VERMILION = "#0072B2", "#E69F00", "#009E73", "#56B4E9", "#D55E00"
INK, GREY, LIGHT_GREY = "#333333", "#8C8C8C", "#D9D9D9"

# White is no attention at all; a diverging map is for kernels, which can be negative.
SEQUENTIAL_COLORMAP, DIVERGING_COLORMAP = "Blues", "RdBu_r"

_LABEL_SIZE = 9.0  # points
_LINE_HEIGHT = 1.1 * _LABEL_SIZE
_MAX_LABEL_LENGTH = 18  # characters


def import_pyplot(caller: str) -> Any:
    """Import ``matplotlib.pyplot`` or say how to get it.

    Parameters
    ----------
    caller : str
        Name of the method that wants to draw, for the error message.

    Returns
    -------
    module
        ``matplotlib.pyplot``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        return importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise ImportError(
            f"{caller} draws with matplotlib, which is not installed. "
            'Install it with: pip install "sklearn-selfattn[plot]"'
        ) from error


def new_axes(ax: Any, caller: str, figsize: tuple[float, float]) -> tuple[Any, Any]:
    """Return ``(figure, ax)``: those given, or a new figure with a layout that fits its labels."""
    plt = import_pyplot(caller)
    if ax is None:
        _, ax = plt.subplots(figsize=figsize, layout="constrained")
    return ax.figure, ax


def finish_axes(ax: Any, *, title: str, xlabel: str, ylabel: str) -> None:
    """Write title and axis labels in the shared style and take away the box around the data."""
    ax.set_title(title, loc="left", fontsize=11, color=INK)
    ax.set_xlabel(xlabel, color=INK)
    ax.set_ylabel(ylabel, color=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(color=GREY, labelcolor=INK, labelsize=_LABEL_SIZE)


def format_label(label: Any) -> str:
    """Turn a token's label or a target into a short text: 4 digits, at most 18 characters.

    Long texts lose their middle, because long names often differ only at the end.
    """
    if isinstance(label, float | np.floating):
        return f"{label:.4g}"
    text = str(label)
    if len(text) <= _MAX_LABEL_LENGTH:
        return text
    return text[: _MAX_LABEL_LENGTH - 7] + "…" + text[-6:]


def label_ticks(
    ax: Any, which: str, labels: Sequence[Any], positions: Sequence[float] | None = None
) -> None:
    """Label positions of an axis with as many labels as can be read.

    Parameters
    ----------
    ax : matplotlib Axes
        Where to put the labels; the limits of the axis must be set.
    which : {"x", "y"}
        Which axis carries them. Words on the x axis are turned when they would overlap.
    labels : sequence of length n
        One label per position. Long ones are cut, and those too close to the last are left out.
    positions : sequence of length n, default=None
        Rising positions of the labels; 0, 1, ..., n - 1 by default.
    """
    texts = [format_label(label) for label in labels]
    places = np.arange(len(texts)) if positions is None else np.asarray(positions)
    horizontal = which == "x"
    axis = ax.xaxis if horizontal else ax.yaxis
    box = ax.get_window_extent()  # pixels
    low, high = axis.get_view_interval()
    points = (box.width if horizontal else box.height) * 72.0 / ax.figure.dpi
    gaps = np.diff(places) * points / abs(high - low)  # points between neighbouring labels
    needed, turned = _LINE_HEIGHT, False
    if horizontal:
        needed = 0.62 * _LABEL_SIZE * (max(map(len, texts), default=0) + 1)
        # Numbers are thinned rather than turned: a reader fills the gaps by himself.
        is_text = any(isinstance(label, str) for label in labels)
        if is_text and gaps.size and gaps.min() < needed:
            # Lines at 45 degrees are closer than their feet.
            needed, turned = _LINE_HEIGHT * np.sqrt(2.0), True
    shown, room = [], np.inf
    for index in range(len(texts)):
        if index:
            room += gaps[index - 1]
        if room >= needed:
            shown.append(index)
            room = 0.0
    axis.set_ticks(places[shown], [texts[index] for index in shown])
    if turned:
        for text in axis.get_ticklabels():
            text.set(rotation=45.0, ha="right", rotation_mode="anchor")


def draw_heatmap(
    ax: Any, values: np.ndarray, *, colorbar_label: str, gamma: float = 1.0, pad: float = 0.0
) -> Any:
    """Draw a matrix as a heat map with a colour bar.

    Parameters
    ----------
    ax : matplotlib Axes
        Where to draw.
    values : ndarray of shape (n_rows, n_columns)
        Numbers to draw. If any is negative, the colours diverge from white at zero.
    colorbar_label : str
        What the colours measure.
    gamma : float, default=1.0
        Colours go by the values to this power; 0.5 lets small weights beside large ones be seen.
        Only for values that are not negative.
    pad : float, default=0.0
        Room to leave between the map and its colour bar, as a share of the map's width.

    Returns
    -------
    tuple of (AxesImage, Colorbar)
        The two artists.
    """
    smallest, largest = float(values.min()), float(values.max())
    if smallest < 0.0:
        largest = max(-smallest, largest)
        smallest, colormap = -largest, DIVERGING_COLORMAP
    else:
        smallest, colormap = 0.0, SEQUENTIAL_COLORMAP
    from matplotlib.colors import PowerNorm

    norm = PowerNorm(gamma, vmin=smallest, vmax=largest or 1.0)
    image = ax.imshow(values, aspect="auto", cmap=colormap, norm=norm)
    # A constrained layout already knows what hangs out of the map on the right.
    pad = 0.02 if ax.figure.get_layout_engine() is not None else 0.04 + pad
    colorbar = ax.figure.colorbar(image, ax=ax, fraction=0.05, pad=pad, format="%g")
    colorbar.set_label(colorbar_label, color=INK)
    colorbar.outline.set_visible(False)
    colorbar.ax.tick_params(color=GREY, labelcolor=INK, labelsize=_LABEL_SIZE)
    return image, colorbar


class TrainingHistoryDisplay:
    """Training and validation loss over the epochs of a fit.

    Shows at a glance whether a model was trained long enough (both curves flat), too long
    (validation loss rising) or not at all.

    Parameters
    ----------
    epochs : array-like of shape (n_epochs,)
        Epoch numbers.
    train_loss : array-like of shape (n_epochs,)
        Mean training loss of each epoch.
    valid_loss : array-like of shape (n_epochs,), default=None
        Validation loss of each epoch; NaN where it was not measured. None if the model was
        trained without validation rows.
    estimator_name : str, default=None
        Name for the title.

    Attributes
    ----------
    best_epoch_ : int or None
        Epoch with the lowest validation loss (the first, if several tie); None without
        validation losses.
    train_line_, valid_line_ : matplotlib Line2D
        The two curves; `valid_line_` is None without validation losses.
    best_point_ : matplotlib Line2D or None
        The mark on the best epoch.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> from sklearn_selfattn import TrainingHistoryDisplay
    >>> display = TrainingHistoryDisplay(
    ...     epochs=[1, 2, 3], train_loss=[0.9, 0.5, 0.3], valid_loss=[0.8, 0.6, 0.7]
    ... ).plot()
    >>> display.best_epoch_
    2
    """

    def __init__(
        self,
        *,
        epochs: Any,
        train_loss: Any,
        valid_loss: Any = None,
        estimator_name: str | None = None,
    ) -> None:
        self.epochs = epochs
        self.train_loss = train_loss
        self.valid_loss = valid_loss
        self.estimator_name = estimator_name

    @classmethod
    def from_history(
        cls,
        history: Sequence[Mapping[str, Any]],
        *,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw a history: one dict per epoch with `epoch`, `train_loss` and maybe `valid_loss`.

        Parameters
        ----------
        history : sequence of dict
            As in the fitted attribute `history_`.
        name : str, default=None
            Name for the title.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        TrainingHistoryDisplay
            The display, drawn.
        """
        if len(history) == 0:
            raise ValueError("The history is empty: the model was not trained for a single epoch.")
        valid_loss = [epoch.get("valid_loss") for epoch in history]
        has_valid_loss = any(loss is not None for loss in valid_loss)
        display = cls(
            epochs=[epoch["epoch"] for epoch in history],
            train_loss=[epoch["train_loss"] for epoch in history],
            valid_loss=(
                [np.nan if loss is None else loss for loss in valid_loss]
                if has_valid_loss
                else None
            ),
            estimator_name=name,
        )
        return display.plot(ax=ax)

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, name: str | None = None, ax: Axes | None = None
    ) -> Self:
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with the attribute `history_`.
        name : str, default=None
            Name for the title; the class name by default.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        TrainingHistoryDisplay
            The display, drawn.
        """
        check_is_fitted(estimator, "history_")
        name = type(estimator).__name__ if name is None else name
        return cls.from_history(estimator.history_, name=name, ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        TrainingHistoryDisplay
            The display itself.
        """
        self.figure_, self.ax_ = new_axes(ax, "TrainingHistoryDisplay.plot", (6.4, 3.8))
        epochs = np.asarray(self.epochs)
        train_loss = np.asarray(self.train_loss, dtype=np.float64)
        # A curve of one epoch would be invisible without a marker.
        marker = "o" if len(epochs) == 1 else None
        (self.train_line_,) = self.ax_.plot(
            epochs, train_loss, color=GREY, marker=marker, label="training"
        )
        self.valid_line_, self.best_point_ = None, None
        self.best_epoch_: int | None = None
        losses = train_loss
        if self.valid_loss is not None:
            valid_loss = np.asarray(self.valid_loss, dtype=np.float64)
            losses = np.concatenate([train_loss, valid_loss])
            (self.valid_line_,) = self.ax_.plot(
                epochs, valid_loss, color=BLUE, marker=marker, label="validation"
            )
            if not np.isnan(valid_loss).all():
                self._mark_best_epoch(epochs, valid_loss)
        losses = losses[np.isfinite(losses)]
        if losses.size and losses.min() > 0.0 and losses.max() > 50.0 * losses.min():
            self.ax_.set_yscale("log")
        self.ax_.xaxis.get_major_locator().set_params(integer=True)
        title = "Training history"
        if self.estimator_name is not None:
            title += f" of {self.estimator_name}"
        finish_axes(self.ax_, title=title, xlabel="epoch", ylabel="loss")
        self.ax_.legend(frameon=False, labelcolor=INK)
        return self

    def _mark_best_epoch(self, epochs: np.ndarray, valid_loss: np.ndarray) -> None:
        best = int(np.nanargmin(valid_loss))
        self.best_epoch_ = int(epochs[best])
        (self.best_point_,) = self.ax_.plot(
            [epochs[best]],
            [valid_loss[best]],
            linestyle="none",
            marker="o",
            color=VERMILION,
            label=f"best epoch: {self.best_epoch_} (loss {valid_loss[best]:.3g})",
        )
