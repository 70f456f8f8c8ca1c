"""Pictures of depth and width: scores at equal size, bounds, singular values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
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
    new_axes,
)
from ..core.typing import Axes, Table
from .bounds import separation_rank_bounds
from .separation import separation_rank

if TYPE_CHECKING:
    from .search import DepthWidthSearchCV
    from .separation import SeparationRank

_COLORS = (BLUE, ORANGE, GREEN, VERMILION, SKY, "#CC79A7", INK)
_MARKERS = "osD^vP*"


class DepthWidthDisplay:
    """Scores against the number of parameters, a line for each depth.

    Where lines cross, the deeper net overtakes the shallower one of as many parameters; only
    crossings that the scores can tell from chance are marked. Bands are one standard error.

    Parameters
    ----------
    curves : DataFrame
        As `curves_` of :class:`~sklearn_selfattn.DepthWidthSearchCV`.
    crossings : DataFrame
        As its `crossings_`.
    chosen : tuple of two int, default=None
        Depth and width of the shape selected.
    score_name : str, default="score"
        What the scores are.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        One for each depth.
    bands_ : list of matplotlib PolyCollection
        Their standard errors, where these are known.
    crossing_marks_ : list of matplotlib Line2D
        One for each crossing.
    chosen_mark_ : matplotlib Line2D or None
        The ring around the shape selected.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_selfattn import DepthWidthDisplay, DepthWidthSearchCV, NPTClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> net = NPTClassifier(
    ...     pretrained=False, architecture="cells", n_estimators=1, n_heads=2, max_epochs=2
    ... )
    >>> search = DepthWidthSearchCV(net, n_params=3300, depths=(1, 2), cv=3).fit(X, y)
    >>> len(DepthWidthDisplay.from_search(search).lines_)
    2
    """

    def __init__(
        self,
        *,
        curves: pd.DataFrame,
        crossings: pd.DataFrame,
        chosen: tuple[int, int] | None = None,
        score_name: str = "score",
    ) -> None:
        self.curves = curves
        self.crossings = crossings
        self.chosen = chosen
        self.score_name = score_name

    @classmethod
    def from_search(
        cls, search: DepthWidthSearchCV, *, score_name: str | None = None, ax: Axes | None = None
    ) -> Self:
        """Draw a fitted search.

        Parameters
        ----------
        search : DepthWidthSearchCV
            A fitted search.
        score_name : str, default=None
            What the scores are; the search's `scoring` by default, where it has a name.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        DepthWidthDisplay
            The display, drawn.
        """
        check_is_fitted(search, "curves_")
        if score_name is None:
            score_name = search.scoring if isinstance(search.scoring, str) else "score"
        chosen = None
        if hasattr(search, "best_depth_"):
            chosen = search.best_depth_, search.best_width_
        return cls(
            curves=search.curves_, crossings=search.crossings_, chosen=chosen,
            score_name=score_name.replace("_", " "),
        ).plot(ax=ax)  # fmt: skip

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the lines.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        DepthWidthDisplay
            The display itself.
        """
        self.figure_, self.ax_ = new_axes(ax, "DepthWidthDisplay.plot", (6.8, 4.2))
        self.lines_, self.bands_ = [], []
        self.crossing_marks_: list[Any] = []
        for i, (depth, part) in enumerate(self.curves.groupby("depth")):
            part = part.sort_values("n_params")
            color = _COLORS[i % len(_COLORS)]
            n, score = part["n_params"].to_numpy(dtype=float), part["score"].to_numpy()
            error = part["se"].to_numpy()
            label = f"{depth} layer{'s' if depth > 1 else ''}"
            if np.isfinite(error).all():
                if len(n) == 1:  # a band of no width would not be seen
                    self.ax_.errorbar(n, score, error, color=color, capsize=4)
                else:
                    band = self.ax_.fill_between(
                        n, score - error, score + error, color=color, alpha=0.15, linewidth=0
                    )
                    self.bands_.append(band)
            marker = _MARKERS[i % len(_MARKERS)]
            self.lines_ += self.ax_.plot(n, score, color=color, marker=marker, label=label)
        self.ax_.set_xscale("log")
        self._mark_crossings()
        self.chosen_mark_ = None
        if self.chosen is not None:
            depth, width = self.chosen
            at = self.curves[(self.curves["depth"] == depth) & (self.curves["width"] == width)]
            (self.chosen_mark_,) = self.ax_.plot(
                at["n_params"], at["score"], linestyle="none", marker="o", markersize=14,
                markerfacecolor="none", color=INK, label=f"selected: {depth} x {width}",
            )  # fmt: skip
        self._label_sizes()
        finish_axes(
            self.ax_,
            title="Depth and width at equal size",
            xlabel="parameters of the layers",
            ylabel=self.score_name,
        )
        self.ax_.legend(frameon=False, labelcolor=INK, loc="center left", bbox_to_anchor=(1.0, 0.5))
        return self

    def _mark_crossings(self):
        found = self.crossings[self.crossings["status"] == "crosses"]
        for i, row in enumerate(found.itertuples()):
            low, high = np.exp(row.ci_low), np.exp(row.ci_high)
            self.ax_.axvspan(low, high, color=LIGHT_GREY, alpha=0.5, linewidth=0, zorder=0)
            mark = self.ax_.axvline(
                np.exp(row.log_n_cross), color=GREY, linestyle="--", zorder=1,
                label="deeper overtakes, 95 %" if i == 0 else None,
            )  # fmt: skip
            self.ax_.annotate(
                f"{row.depth_hi:g} > {row.depth_lo:g}", (np.exp(row.log_n_cross), 1.0),
                xycoords=("data", "axes fraction"), xytext=(3, -4), textcoords="offset points",
                color=INK, fontsize=9, va="top",
            )  # fmt: skip
            self.crossing_marks_.append(mark)

    def _label_sizes(self):
        """Put a tick at each budget: powers of ten alone are too few for a small range."""
        budgets = np.unique(self.curves["budget"])
        self.ax_.xaxis.set_ticks(budgets, [_short(n) for n in budgets])
        self.ax_.xaxis.set_ticks([], minor=True)
        n = self.curves["n_params"]
        self.ax_.set_xlim(0.8 * min(n.min(), budgets[0]), 1.25 * max(n.max(), budgets[-1]))


def _short(n):
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.3g}{unit}"
    return f"{n:.3g}"


class SeparationRankDisplay:
    """The singular values behind a separation rank.

    A cliff is a finite rank: an additive model drops after two values. A slope is a model that ties
    the two groups together in ever finer ways. The grey floor is rounding.

    Parameters
    ----------
    results : dict of str to SeparationRank
        What :func:`~sklearn_selfattn.separation_rank` returned, by the name to show.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        One for each result.
    floor_ : matplotlib Polygon
        The highest noise floor.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklearn_selfattn import SeparationRankDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> display = SeparationRankDisplay.from_estimator(LinearRegression().fit(X, y), X)
    >>> [line.get_label() for line in display.lines_]
    ['LinearRegression: rank 2']
    """

    def __init__(self, *, results: dict[str, SeparationRank]) -> None:
        self.results = results

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Table,
        features_a: ArrayLike | None = None,
        features_b: ArrayLike | None = None,
        *,
        ax: Axes | None = None,
        **options: Any,
    ) -> Self:
        """Measure and draw.

        Parameters
        ----------
        estimator : fitted estimator, or dict of str to fitted estimator
            One, or several by name.
        X : array-like or frame of shape (n_samples, n_features)
            Rows from which the two sides are drawn.
        features_a, features_b : array-like, default=None
            The groups of features.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        **options
            Further parameters of :func:`~sklearn_selfattn.separation_rank`; `random_state` is 0
            by default, so that several are measured on the same rows.

        Returns
        -------
        SeparationRankDisplay
            The display, drawn.
        """
        many = estimator if isinstance(estimator, dict) else {type(estimator).__name__: estimator}
        options = {"random_state": 0, **options}
        results = {
            name: separation_rank(one, X, features_a, features_b, **options)
            for name, one in many.items()
        }
        return cls(results=results).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the spectra.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        SeparationRankDisplay
            The display itself.
        """
        self.figure_, self.ax_ = new_axes(ax, "SeparationRankDisplay.plot", (7.2, 4.0))
        self.lines_ = []
        floor = max(result.noise_floor for result in self.results.values())
        for i, (name, result) in enumerate(self.results.items()):
            share = result.singular_values / result.singular_values[0]
            shown = np.maximum(share, 0.3 * floor)  # an exact zero has no place on this axis
            self.lines_ += self.ax_.plot(
                np.arange(1, len(share) + 1), shown, color=_COLORS[i % len(_COLORS)],
                marker=_MARKERS[i % len(_MARKERS)], markersize=4,
                label=f"{name}: rank {result.rank}" + ("+" if result.rank == len(share) else ""),
            )  # fmt: skip
        self.ax_.set_yscale("log")
        self.ax_.set_xscale("log")
        self.ax_.set_ylim(0.2 * floor, 2.0)
        self.floor_ = self.ax_.axhspan(0.1 * floor, floor, color=LIGHT_GREY, zorder=0)
        ticks = [n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500) if n <= len(share)]
        self.ax_.xaxis.set_ticks(ticks, [str(n) for n in ticks])
        self.ax_.xaxis.set_ticks([], minor=True)
        finish_axes(
            self.ax_,
            title="Separation spectrum",
            xlabel="singular value",
            ylabel="share of the largest",
        )
        self.ax_.legend(frameon=False, labelcolor=INK, loc="center left", bbox_to_anchor=(1.0, 0.5))
        return self


class SeparationBoundsDisplay:
    """Bounds on the separation rank against depth, for several widths.

    Below the mark at :math:`log_3` of the width another layer multiplies the logarithm by three;
    above it, it only adds.

    Parameters
    ----------
    depths : sequence of int
        Depths, the x axis.
    lower, upper : dict of int to ndarray
        Natural logarithms of the bounds at these depths, by width.
    thresholds : dict of int to float
        :math:`log_3` of each width.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The lower bounds, one for each width.
    upper_lines_ : list of matplotlib Line2D
        The upper bounds, dotted.
    threshold_lines_ : list of matplotlib Line2D
        The marks.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> from sklearn_selfattn import SeparationBoundsDisplay
    >>> len(SeparationBoundsDisplay.from_widths([32, 512]).lines_)
    2
    """

    def __init__(
        self,
        *,
        depths: Sequence[int],
        lower: dict[int, np.ndarray],
        upper: dict[int, np.ndarray],
        thresholds: dict[int, float],
    ) -> None:
        self.depths = depths
        self.lower = lower
        self.upper = upper
        self.thresholds = thresholds

    @classmethod
    def from_widths(
        cls,
        widths: Sequence[int],
        *,
        depths: Sequence[int] = range(2, 13),
        n_heads: int = 1,
        ax: Axes | None = None,
    ) -> Self:
        """Compute and draw.

        Parameters
        ----------
        widths : sequence of int
            Widths, a colour for each.
        depths : sequence of int, default=range(2, 13)
            Depths.
        n_heads : int, default=1
            Heads, which divide all widths.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        SeparationBoundsDisplay
            The display, drawn.
        """
        depths = list(depths)
        found = {d: [separation_rank_bounds(L, d, n_heads) for L in depths] for d in widths}
        return cls(
            depths=depths,
            lower={d: np.array([b["log_lower"] for b in bounds]) for d, bounds in found.items()},
            upper={d: np.array([b["log_upper"] for b in bounds]) for d, bounds in found.items()},
            thresholds={d: bounds[0]["threshold"] for d, bounds in found.items()},
        ).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the bounds.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        SeparationBoundsDisplay
            The display itself.
        """
        self.figure_, self.ax_ = new_axes(ax, "SeparationBoundsDisplay.plot", (6.6, 4.2))
        self.lines_, self.upper_lines_, self.threshold_lines_ = [], [], []
        for i, width in enumerate(self.lower):
            color = _COLORS[i % len(_COLORS)]
            marker = _MARKERS[i % len(_MARKERS)]
            self.lines_ += self.ax_.plot(
                self.depths, self.lower[width], color=color, marker=marker, markersize=5,
                label=f"width {width}",
            )  # fmt: skip
            self.upper_lines_ += self.ax_.plot(
                self.depths, self.upper[width], color=color, linestyle=":"
            )
            line = self.ax_.axvline(
                self.thresholds[width], color=color, linestyle="--", linewidth=1, zorder=0
            )
            self.threshold_lines_.append(line)
        self.ax_.set_yscale("log")
        self.ax_.xaxis.get_major_locator().set_params(integer=True)
        finish_axes(
            self.ax_,
            title="Bounds on the separation rank of linear attention",
            xlabel="layers",
            ylabel="ln of the rank",
        )
        handles, labels = self.ax_.get_legend_handles_labels()
        extra = [
            (self.upper_lines_[0], "upper bound"),
            (self.threshold_lines_[0], "log3 of the width"),
        ]
        handles += [handle for handle, _ in extra]
        labels += [label for _, label in extra]
        self.ax_.legend(
            handles, labels, frameon=False, labelcolor=INK, loc="center left",
            bbox_to_anchor=(1.0, 0.5),
        )  # fmt: skip
        return self
