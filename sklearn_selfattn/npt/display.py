"""Pictures of where an NPT looks: attention between rows, and the rows it used most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import is_classifier
from sklearn.utils import check_consistent_length

from ..core.display import (
    BLUE,
    GREY,
    INK,
    LIGHT_GREY,
    draw_heatmap,
    finish_axes,
    format_label,
    label_ticks,
    new_axes,
)
from ..core.typing import Axes, Table

_MAX_NEIGHBOR_QUERIES = 12


def _is_categorical(target):
    """Whether targets are class labels rather than measured numbers."""
    return np.asarray(target).dtype.kind != "f"


def _as_labels(estimator, target):
    """Targets as an array; classes 0.0 and 1.0 must not look like measured numbers."""
    target = np.asarray(target)
    return target.astype(object) if is_classifier(estimator) else target


def _percent(share):
    return f"{share:.1%}" if share >= 0.001 else f"{100.0 * share:.2g}%"


class NPTAttentionDisplay:
    """How much each query looks at each context row, as a heat map.

    Context rows are sorted by their label, so that a model which looks up similar rows shows
    blocks, or by the attention they get, which shows how few rows a model lives on. The bars on
    the right are the attention each query keeps for itself, or gives to the learnt rows of
    pretrained weights.

    Parameters
    ----------
    weights : ndarray of shape (n_queries, n_context)
        Attention of each query on each context row.
    self_weight : ndarray of shape (n_queries,)
        Attention of each query on the rest: itself, or learnt rows. With `weights`, each row
        sums to 1.
    context_target : array-like of shape (n_context,)
        Labels or values of the context rows.
    query_target : array-like of shape (n_queries,), default=None
        Labels or values of the queries. If given, queries are sorted by them.
    query_labels : sequence of length n_queries, default=None
        Names of the queries; their positions by default.
    title : str, default="Attention between rows"
        Title of the picture.
    self_label : str, default="itself"
        What `self_weight` lies on.

    Attributes
    ----------
    context_order_, query_order_ : ndarray of int
        Which context row and which query stands in which column and row of the picture.
    image_ : matplotlib AxesImage
        The heat map.
    colorbar_ : matplotlib Colorbar
        Its scale.
    self_bars_ : matplotlib BarContainer
        The bars of the queries' attention on themselves, from top to bottom.
    ax_ : matplotlib Axes
        Axes with the heat map.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn import NPTAttentionDisplay
    >>> display = NPTAttentionDisplay(
    ...     weights=np.array([[0.1, 0.6, 0.1], [0.4, 0.2, 0.3]]),
    ...     self_weight=np.array([0.2, 0.1]),
    ...     context_target=["no", "yes", "no"],
    ... ).plot()
    >>> display.context_order_
    array([0, 2, 1])
    """

    def __init__(
        self,
        *,
        weights: np.ndarray,
        self_weight: np.ndarray,
        context_target: ArrayLike,
        query_target: ArrayLike | None = None,
        query_labels: Sequence[Any] | None = None,
        title: str = "Attention between rows",
        self_label: str = "itself",
    ) -> None:
        self.weights = weights
        self.self_weight = self_weight
        self.context_target = context_target
        self.query_target = query_target
        self.query_labels = query_labels
        self.title = title
        self.self_label = self_label

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Table,
        y: ArrayLike | None = None,
        *,
        layer: int | None = -1,
        head: int | None = None,
        sort: Literal["label", "attention"] = "label",
        n_context: int | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Ask a fitted NPT where it looks to predict the rows of X, and draw it.

        Parameters
        ----------
        estimator : NPTClassifier or NPTRegressor
            A fitted model.
        X : array-like of shape (n_queries, n_features)
            Rows to predict.
        y : array-like of shape (n_queries,), default=None
            Their true targets, to sort and label the queries by. The model does not see them.
        layer : int or None, default=-1
            Position of the layer, the last by default; None averages over the layers.
        head : int or None, default=None
            Position of the head; None averages over the heads.
        sort : {"label", "attention"}, default="label"
            Order of the context rows, see :meth:`plot`.
        n_context : int, default=None
            Draw only that many context rows, those that get most attention; None draws all.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        NPTAttentionDisplay
            The display, drawn.
        """
        maps = estimator.attention_weights(X, between="rows")
        layers = list(maps) if layer is None else [maps[layer]]
        weights = np.mean(
            [
                values.mean(axis=1) if head is None else values[:, head]  # (n_queries, 1, n_keys)
                for values in layers
            ],
            axis=0,
        )[:, 0]
        # rows of the context are numbered; "self" or "learnt rows" is the one key that is not
        is_self = np.array([isinstance(key, str) for key in maps.key_labels])
        display = cls(
            weights=weights[:, ~is_self],
            self_weight=weights[:, is_self].sum(axis=1),
            context_target=_as_labels(estimator, estimator.context_target_),
            query_target=None if y is None else _as_labels(estimator, y),
            query_labels=maps.sample_labels,
            title=f"Attention between rows of {type(estimator).__name__}",
            self_label="itself" if "self" in maps.key_labels else "learnt rows",
        )
        return display.plot(sort=sort, n_context=n_context, ax=ax)

    def plot(
        self,
        *,
        sort: Literal["label", "attention"] = "label",
        n_context: int | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the heat map.

        Parameters
        ----------
        sort : {"label", "attention"}, default="label"
            Order of the context rows: by label (or value), and within a label by the attention
            they get; or by attention alone, most first.
        n_context : int, default=None
            Draw only that many context rows, those that get most attention; None draws all.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        NPTAttentionDisplay
            The display itself.
        """
        if sort not in ("label", "attention"):
            raise ValueError(f"sort must be 'label' or 'attention', got {sort!r}.")
        if n_context is not None and n_context < 1:
            raise ValueError(f"n_context must be at least 1 or None, got {n_context!r}.")
        weights = np.asarray(self.weights)  # (n_queries, n_context)
        n_queries, n_rows = weights.shape
        target = np.asarray(self.context_target)
        check_consistent_length(weights, self.self_weight, self.query_target)
        check_consistent_length(weights.T, target)
        # Stable sorts, the later one wins: ties keep the order of the rows.
        order = np.argsort(-weights.mean(axis=0), kind="stable")[:n_context]
        if sort == "label":
            order = order[np.argsort(target[order], kind="stable")]
        self.context_order_ = order
        self.query_order_ = np.arange(n_queries)
        if self.query_target is not None:
            self.query_order_ = np.argsort(np.asarray(self.query_target), kind="stable")

        self.figure_, self.ax_ = new_axes(
            ax, "NPTAttentionDisplay.plot", (8.0, min(6.5, 2.6 + 0.16 * n_queries))
        )
        self.image_, self.colorbar_ = draw_heatmap(
            self.ax_,
            weights[np.ix_(self.query_order_, order)],
            colorbar_label="attention weight (√ scale)",
            gamma=0.5,
            pad=0.11,
        )
        self._draw_self_weights()
        if sort == "label":
            across = "sorted by label" if _is_categorical(target) else "target value, rising"
            self._label_by_target("x", target[order])
        else:
            across = "row number, most used first"
            label_ticks(self.ax_, "x", order.tolist())
        if self.query_target is not None:
            self._label_by_target("y", np.asarray(self.query_target)[self.query_order_])
        else:
            names = range(n_queries) if self.query_labels is None else self.query_labels
            label_ticks(self.ax_, "y", list(names))
        drawn = f"{n_rows:,}" if len(order) == n_rows else f"{len(order):,} of {n_rows:,}"
        finish_axes(
            self.ax_,
            title=self.title,
            xlabel=f"{drawn} context rows ({across})",
            ylabel="query" if self.query_target is None else "query (sorted by true target)",
        )
        return self

    def _label_by_target(self, which, target):
        """Label an axis by sorted targets; equal labels share one, ruled off from the next."""
        if not _is_categorical(target):
            label_ticks(self.ax_, which, target)
            return
        starts = np.flatnonzero(np.r_[True, target[1:] != target[:-1]])
        middles = (starts + np.r_[starts[1:], len(target)]) / 2.0 - 0.5
        label_ticks(self.ax_, which, target[starts], middles)
        rule = self.ax_.axvline if which == "x" else self.ax_.axhline
        for start in starts[1:]:
            rule(start - 0.5, color=GREY, linewidth=0.6)

    def _draw_self_weights(self):
        side = self.ax_.inset_axes([1.015, 0.0, 0.10, 1.0], sharey=self.ax_)
        values = np.asarray(self.self_weight)[self.query_order_]
        self.self_bars_ = side.barh(np.arange(len(values)), values, height=0.7, color=GREY)
        side.set_xlim(0.0, 1.0)
        side.set_xticks([0.0, 1.0], ["0", "1"])
        side.tick_params(left=False, labelleft=False, color=GREY, labelcolor=INK, labelsize=8)
        side.set_xlabel(f"on {self.self_label}", fontsize=9, color=INK)
        side.spines[["top", "right", "left"]].set_visible(False)
        side.spines["bottom"].set_color(GREY)


class NeighborsDisplay:
    """The context rows that a model used most for each query, as labelled bars.

    Parameters
    ----------
    neighbors : DataFrame
        Columns `query`, `rank`, `context_row`, `weight` and `target`, as returned by the method
        `neighbors` of an NPT.
    predictions : array-like of shape (n_queries,), default=None
        Predictions of the queries, in the order of their appearance. If they are labels, bars of
        context rows with the predicted label are coloured.

    Attributes
    ----------
    bars_ : list of matplotlib BarContainer
        The bars of each query, most used row first.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_selfattn import NeighborsDisplay
    >>> neighbors = pd.DataFrame({
    ...     "query": [0, 0], "rank": [1, 2], "context_row": [17, 4],
    ...     "weight": [0.5, 0.2], "target": ["yes", "no"],
    ... })
    >>> display = NeighborsDisplay(neighbors, predictions=["yes"]).plot()
    >>> display.bars_[0].datavalues
    array([0.5, 0.2])
    """

    def __init__(self, neighbors: pd.DataFrame, *, predictions: ArrayLike | None = None) -> None:
        self.neighbors = neighbors
        self.predictions = predictions

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Table, *, n_neighbors: int = 10, ax: Axes | None = None
    ) -> Self:
        """Ask a fitted NPT which rows it used to predict the rows of X, and draw them.

        Parameters
        ----------
        estimator : NPTClassifier or NPTRegressor
            A fitted model.
        X : array-like of shape (n_queries, n_features)
            Rows to predict, 12 at most.
        n_neighbors : int, default=10
            Number of context rows to show for each query.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        NeighborsDisplay
            The display, drawn.
        """
        neighbors = estimator.neighbors(X, n_neighbors=n_neighbors)
        return cls(neighbors, predictions=_as_labels(estimator, estimator.predict(X))).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the bars, one group for each query.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        NeighborsDisplay
            The display itself.
        """
        groups = list(self.neighbors.groupby("query", sort=False))
        if len(groups) > _MAX_NEIGHBOR_QUERIES:
            raise ValueError(
                f"NeighborsDisplay draws at most {_MAX_NEIGHBOR_QUERIES} queries, got "
                f"{len(groups)}: pass fewer rows of X."
            )
        n_lines = len(self.neighbors) + 1.8 * len(groups)
        self.figure_, self.ax_ = new_axes(ax, "NeighborsDisplay.plot", (6.4, 1.2 + 0.21 * n_lines))
        self.bars_ = []
        ticks: list[float] = []
        names: list[str] = []
        top = 0.0
        for position, (query, group) in enumerate(groups):
            group = group.sort_values("rank")
            lines = top + 1.0 + np.arange(len(group))
            colors, header = BLUE, f"query {format_label(query)}"
            if self.predictions is not None:
                prediction = np.asarray(self.predictions)[position]
                header += f": predicted {format_label(prediction)}"
                if _is_categorical(self.predictions):
                    agrees = group["target"].to_numpy() == prediction
                    colors = np.where(agrees, BLUE, LIGHT_GREY).tolist()
            header += f" (these hold {group['weight'].sum():.0%} of its attention)"
            bars = self.ax_.barh(lines, group["weight"], height=0.75, color=colors)
            self.ax_.bar_label(bars, fmt=_percent, padding=3, fontsize=8, color=INK)
            self.ax_.text(
                0.0, top, header, transform=self.ax_.get_yaxis_transform(), va="center",
                fontsize=9.5, fontweight="bold", color=INK,
            )  # fmt: skip
            self.bars_.append(bars)
            ticks.extend(lines)
            names.extend(
                f"{format_label(target)} · row {row}"
                for row, target in zip(group["context_row"], group["target"], strict=True)
            )
            top += len(group) + 1.8
        self.ax_.set_yticks(ticks, names)
        self.ax_.set_ylim(top - 1.2, -0.8)
        self.ax_.margins(x=0.12)
        self.ax_.xaxis.set_major_formatter(lambda share, _: f"{100.0 * share:g}%")
        finish_axes(
            self.ax_, title="Most used context rows", xlabel="share of attention", ylabel=""
        )
        self.ax_.tick_params(axis="y", length=0)
        self._add_legend()
        return self

    def _add_legend(self):
        """Add a legend between title and bars, where it covers neither."""
        if self.predictions is None or not _is_categorical(self.predictions):
            return
        from matplotlib.patches import Patch

        handles = [
            Patch(color=BLUE, label="label as predicted"),
            Patch(color=LIGHT_GREY, label="other label"),
        ]
        self.ax_.legend(
            handles=handles, frameon=False, labelcolor=INK, fontsize=9, ncols=2,
            loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.0, borderpad=0.0,
        )  # fmt: skip
        self.ax_.set_title("Most used context rows", loc="left", fontsize=11, color=INK, pad=24)
