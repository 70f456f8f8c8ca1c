"""Pictures of a transport map, and of what training does to points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
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
    import_pyplot,
    new_axes,
)
from ..core.typing import Axes, Table
from .monitor import RECORDED

_COLORS = (BLUE, ORANGE, GREEN, VERMILION, SKY, "#CC79A7", "#F0E442", INK)
_MAX_LEGEND = 10


class OTMapDisplay:
    """Where rows start, where the net sends them, and the dummy clouds they should reach.

    Two coordinates of the latent space, the principal ones of the dummy Gaussians. A good map
    sends the arrows of a class into its own cloud; an arrow that ends between clouds belongs to a
    row the net is unsure of.

    Parameters
    ----------
    source : ndarray of shape (n_samples, 2)
        Where rows start.
    landing : ndarray of shape (n_samples, 2)
        Where the net sends them.
    dummies : ndarray of shape (n_classes, n_dummies, 2)
        Draws from the Gaussian of each class.
    predicted : array-like of shape (n_samples,)
        Predicted labels, by which arrows are coloured.
    classes : array-like of shape (n_classes,)
        All labels.
    title : str, default="Transport map"
        Title of the picture.

    Attributes
    ----------
    arrows_ : matplotlib Quiver
        The arrows.
    clouds_ : list of matplotlib PathCollection
        The dummy clouds, one for each class.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_selfattn import OTMapDisplay, OTTabularClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = OTTabularClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> len(OTMapDisplay.from_estimator(model, X).clouds_)
    3
    """

    def __init__(
        self,
        *,
        source: np.ndarray,
        landing: np.ndarray,
        dummies: np.ndarray,
        predicted: ArrayLike,
        classes: ArrayLike,
        title: str = "Transport map",
    ) -> None:
        self.source = source
        self.landing = landing
        self.dummies = dummies
        self.predicted = predicted
        self.classes = classes
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Table,
        *,
        n_dummies: int = 150,
        max_arrows: int = 200,
        random_state: int | np.random.RandomState | None = 0,
        ax: Axes | None = None,
    ) -> Self:
        """Map rows with a fitted estimator and draw where they go.

        Parameters
        ----------
        estimator : OTTabularClassifier
            A fitted estimator.
        X : array-like or frame of shape (n_samples, n_features)
            Rows to map.
        n_dummies : int, default=150
            Draws from the Gaussian of each class.
        max_arrows : int, default=200
            The most rows to draw; of more, a random sample.
        random_state : int, RandomState instance or None, default=0
            Draws dummies and sample.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        OTMapDisplay
            The display, drawn.
        """
        check_is_fitted(estimator)
        rng = check_random_state(random_state)
        start, landing = estimator._start_points(X), estimator._raw_transform(X)
        rows = np.arange(len(start))
        if len(rows) > max_arrows:
            rows = np.sort(rng.choice(len(rows), max_arrows, replace=False))
        means = estimator.dummy_means_
        spread = np.sqrt(np.stack([np.diag(c) for c in estimator.dummy_covariances_]))
        noise = rng.normal(size=(len(means), n_dummies, means.shape[1]))
        dummies = means[:, None] + noise * spread[:, None]  # (k, n_dummies, l)
        center = dummies.mean(axis=(0, 1))
        _, _, axes = np.linalg.svd((dummies - center).reshape(-1, means.shape[1]), False)
        plane = axes[:2].T  # (l, 2 or 1)
        plane = np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))
        display = cls(
            source=(start[rows] - center) @ plane,
            landing=(landing[rows] - center) @ plane,
            dummies=(dummies - center) @ plane,
            predicted=estimator.predict(X)[rows],
            classes=estimator.classes_,
            title=f"Transport map of {type(estimator).__name__}",
        )
        return display.plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw clouds, starting points and arrows.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        OTMapDisplay
            The display itself.
        """
        self.figure_, self.ax_ = new_axes(ax, "OTMapDisplay.plot", (7.0, 5.2))
        classes = np.asarray(self.classes)
        colors = [_COLORS[c % len(_COLORS)] for c in range(len(classes))]
        self.clouds_ = [
            self.ax_.scatter(*cloud.T, s=14, color=color, alpha=0.25, linewidths=0,
                             label=format_label(label))
            for cloud, color, label in zip(self.dummies, colors, classes, strict=True)
        ]  # fmt: skip
        codes = np.searchsorted(classes, self.predicted)
        self.ax_.scatter(*np.asarray(self.source).T, s=8, color=GREY, linewidths=0, zorder=3)
        moves = np.asarray(self.landing) - self.source
        self.arrows_ = self.ax_.quiver(
            *np.asarray(self.source).T, *moves.T, color=[colors[c] for c in codes],
            angles="xy", scale_units="xy", scale=1, width=0.002, alpha=0.6, zorder=2,
        )  # fmt: skip
        self.ax_.update_datalim(np.asarray(self.landing))
        self.ax_.autoscale_view()
        finish_axes(
            self.ax_,
            title=self.title,
            xlabel="first principal coordinate of the dummies",
            ylabel="second",
        )
        if len(classes) <= _MAX_LEGEND:
            legend = self.ax_.legend(
                title="dummies and\npredicted class", frameon=False, labelcolor=INK,
                loc="center left", bbox_to_anchor=(1.0, 0.5),
            )  # fmt: skip
            for handle in legend.legend_handles:
                handle.set_alpha(0.9)
        return self


class OTTrainingDisplay:
    """What training did to the points of a layer, in four pictures.

    Top left, how far points are from where they began, beside the cheapest way to the same
    cloud. Top right, the gap between the two. Bottom left, optimality with the band that it
    would have if each class's displacements were shuffled: inside the band the value says nothing
    about the map, whatever its height; centred optimality tells. Bottom right, how straight
    the way was, and how long the last step.

    Parameters
    ----------
    epochs : array-like of shape (n_epochs,)
        Epochs that were looked at.
    values : dict of str to array-like of shape (n_epochs,)
        The numbers that `OTTrainingMonitor` records, by name.
    name : str, default=None
        What was trained, for the title.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (2, 2)
        The four pictures.
    band_ : matplotlib PolyCollection
        The null band of the optimality.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_selfattn import (
    ...     OTTabularClassifier, OTTrainingDisplay, OTTrainingMonitor
    ... )
    >>> X, y = load_iris(return_X_y=True)
    >>> monitor = OTTrainingMonitor("out", X, y)
    >>> model = OTTabularClassifier(max_epochs=5, callbacks=[monitor], random_state=0).fit(X, y)
    >>> OTTrainingDisplay.from_estimator(model).axes_.shape
    (2, 2)
    """

    def __init__(
        self, *, epochs: ArrayLike, values: Mapping[str, ArrayLike], name: str | None = None
    ) -> None:
        self.epochs = epochs
        self.values = values
        self.name = name

    @classmethod
    def from_history(cls, history: Sequence[Mapping[str, Any]], *, name: str | None = None) -> Self:
        """Draw a history that `OTTrainingMonitor` has written into.

        Parameters
        ----------
        history : sequence of dict
            `history_` of an estimator, or ``net.history`` of a skorch net.
        name : str, default=None
            What was trained, for the title.

        Returns
        -------
        OTTrainingDisplay
            The display, drawn.
        """
        rows = [row for row in history if RECORDED[0] in row]
        if not rows:
            raise ValueError(
                "The history holds no entries of OTTrainingMonitor: give one to the estimator in "
                "callbacks=[...] before fit."
            )
        values = {key: [row[key] for row in rows] for key in RECORDED}
        return cls(epochs=[row["epoch"] for row in rows], values=values, name=name).plot()

    @classmethod
    def from_estimator(cls, estimator: Any, *, name: str | None = None) -> Self:
        """Draw the history of a fitted estimator that was trained with `OTTrainingMonitor`.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with `history_`.
        name : str, default=None
            What was trained; the class name by default.

        Returns
        -------
        OTTrainingDisplay
            The display, drawn.
        """
        check_is_fitted(estimator, "history_")
        name = type(estimator).__name__ if name is None else name
        return cls.from_history(estimator.history_, name=name)

    def plot(self) -> Self:
        """Draw the four pictures.

        Returns
        -------
        OTTrainingDisplay
            The display itself.
        """
        plt = import_pyplot("OTTrainingDisplay.plot")
        self.figure_, self.axes_ = plt.subplots(2, 2, figsize=(9.0, 6.0), layout="constrained")
        if self.name is not None:
            self.figure_.suptitle(f"Training of {self.name} as transport", color=INK)
        (way, gap), (optimality, path) = self.axes_
        v = {key: np.asarray(self.values[key], dtype=float) for key in RECORDED}
        marker = "o" if np.size(self.epochs) == 1 else None
        style = {"marker": marker, "markersize": 4}

        way.plot(self.epochs, v["ot_displacement"], color=GREY, label="taken", **style)
        way.plot(self.epochs, v["ot_wasserstein"], color=BLUE, label="optimal (W2)", **style)
        finish_axes(way, title="Way from the start", xlabel="", ylabel="root mean square")
        gap.plot(self.epochs, v["ot_monge_gap"], color=VERMILION, **style)
        gap.set_ylim(bottom=0.0)
        finish_axes(gap, title="Monge gap", xlabel="", ylabel="squared way paid too much")

        low, high = v["ot_optimality_low"], v["ot_optimality_high"]
        self.band_ = optimality.fill_between(
            self.epochs, low, high, color=LIGHT_GREY, label="null: shuffled in class"
        )
        optimality.plot(self.epochs, v["ot_optimality"], color=BLUE, label="optimality", **style)
        centered = v["ot_optimality_centered"]
        optimality.plot(self.epochs, centered, color=ORANGE, label="centred", **style)
        optimality.set_ylim(min(0.5, np.nanmin(centered)) - 0.02, 1.02)
        finish_axes(optimality, title="Optimality", xlabel="epoch", ylabel="optimal / taken")

        path.plot(self.epochs, v["ot_efficiency"], color=GREEN, label="efficiency", **style)
        path.set_ylim(0.0, 1.02)
        finish_axes(path, title="Path", xlabel="epoch", ylabel="straight / travelled")
        step = path.twinx()
        step.plot(self.epochs, v["ot_step"], color=GREY, linestyle=":", label="step", **style)
        step.set_ylim(bottom=0.0)
        step.set_ylabel("length of a step", color=INK)
        step.spines[["top", "left", "bottom"]].set_visible(False)
        step.tick_params(color=GREY, labelcolor=INK, labelsize=9.0)
        handles = [*path.get_lines(), *step.get_lines()]
        path.legend(handles=handles, frameon=False, labelcolor=INK)
        way.legend(frameon=False, labelcolor=INK)
        # lines are near 1 and the null band is anywhere below: beside them no place is free
        low_end, top = optimality.get_ylim()
        optimality.set_ylim(low_end - 0.35 * (top - low_end), top)
        optimality.legend(frameon=False, labelcolor=INK, loc="lower left", ncols=2)
        for ax in self.axes_.flat:
            ax.xaxis.get_major_locator().set_params(integer=True)
        return self
