"""Pictures of causal graphs and of explanations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..core.display import (
    GREY,
    INK,
    LIGHT_GREY,
    ORANGE,
    VERMILION,
    finish_axes,
    format_label,
    label_ticks,
    new_axes,
)
from ..core.typing import Axes, Table
from .pag import ARROW, CIRCLE
from .paths import SeparationPaths

if TYPE_CHECKING:
    from .explanation import Explanation
    from .pag import PAG

_LETTER, _LINE = 0.023, 0.075  # half a letter's width and a line's height, in radii of the picture


class PAGDisplay:
    """A partial ancestral graph with its marks: circles, arrowheads, tails.

    Edges with two arrowheads, which stand for hidden common causes, are drawn in another colour.

    Parameters
    ----------
    pag : PAG
        The graph.
    target : object, default=None
        Name of a node to put in the middle; the others stand around it, by their distance (number
        of steps on the paths by which explanations are sought). None puts all nodes on a circle.
    labels : sequence of length n_nodes, default=None
        What to write at the nodes; their names by default.

    Attributes
    ----------
    positions_ : ndarray of shape (n_nodes, 2)
        Where the nodes are.
    edges_ : list of matplotlib Line2D
        The edges, in the order of ``pag.edges()``.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> from sklearn_selfattn import PAGDisplay
    >>> from sklearn_selfattn.causal import PAG
    >>> graph = PAG([[0, 2, 0], [1, 0, 2], [0, 2, 0]], nodes=["rain", "street", "hose"])
    >>> len(PAGDisplay(graph).plot().edges_)
    2
    """

    def __init__(
        self, pag: PAG, *, target: object = None, labels: Sequence[Any] | None = None
    ) -> None:
        self.pag = pag
        self.target = target
        self.labels = labels

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        target: object = None,
        labels: Sequence[Any] | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the graph of a fitted estimator.

        Parameters
        ----------
        estimator : PAGDiscovery
            A fitted estimator.
        target : object, default=None
            Name of a node to put in the middle.
        labels : sequence of length n_nodes, default=None
            What to write at the nodes.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        PAGDisplay
            The display, drawn.
        """
        check_is_fitted(estimator, "pag_")
        return cls(estimator.pag_, target=target, labels=labels).plot(ax=ax)

    def _layout(self):
        n = len(self.pag)
        angle = np.pi / 2 - 2 * np.pi * np.arange(n) / max(n, 1)
        circle = np.column_stack([np.cos(angle), np.sin(angle)])
        if self.target is None or n == 1:
            return circle
        middle = self.pag.position(self.target)
        near = SeparationPaths(self.pag.marks).distances(middle)
        farthest = max(near.values(), default=0) + 1
        ring = np.array([near.get(v, farthest) for v in range(n)], dtype=np.float64)
        # nodes keep their order around the target
        others = [v for v in range(n) if v != middle]
        angle = np.pi / 2 - 2 * np.pi * np.arange(n - 1) / (n - 1)
        positions = np.zeros((n, 2))
        positions[others] = np.column_stack([np.cos(angle), np.sin(angle)])
        # room for labels around the middle, then a ring for each distance
        radius = 0.6 + 0.4 * (ring - 1) / max(ring[others].max() - 1, 1)
        return positions * radius[:, None]

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw nodes, edges and marks.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        PAGDisplay
            The display itself.
        """
        n = len(self.pag)
        side = 5.2 if n <= 16 else 7.5
        self.figure_, self.ax_ = new_axes(ax, "PAGDisplay.plot", (side, side))
        labels = self.pag.nodes if self.labels is None else list(self.labels)
        self.positions_ = self._layout()
        texts = [format_label(label) for label in labels]
        small = 1.0 if n <= 16 else 0.6
        self.ax_.set(xlim=(-1.35, 1.35), ylim=(-1.25, 1.25), aspect="equal")
        self.ax_.axis("off")
        self.edges_ = []
        marks = self.pag.marks
        for i, j in np.argwhere(np.triu(marks > 0)).tolist():
            both = marks[i, j] == ARROW and marks[j, i] == ARROW
            color = VERMILION if both else INK
            a, b = self.positions_[i], self.positions_[j]
            along = (b - a) / max(np.linalg.norm(b - a), 1e-9)
            start = a + small * _to_the_frame(texts[i], along) * along
            end = b - small * _to_the_frame(texts[j], along) * along
            (line,) = self.ax_.plot(
                *np.column_stack([start, end]), color=color, linewidth=1.3, zorder=1
            )
            self.edges_.append(line)
            self._mark(marks[j, i], start, -along, color)
            self._mark(marks[i, j], end, along, color)
        for k, (place, text) in enumerate(zip(self.positions_, texts, strict=True)):
            is_target = self.target is not None and self.pag.nodes[k] == self.target
            self.ax_.text(
                *place, text, ha="center", va="center", color=INK,
                fontsize=9 if n <= 16 else 7, zorder=3,
                bbox={"boxstyle": "round,pad=0.25",
                      "facecolor": "#FFF2CC" if is_target else "white",
                      "edgecolor": GREY, "linewidth": 0.8},
            )  # fmt: skip
        told = [f"{self.pag.n_edges} edges"]
        if self.pag.alpha is not None:
            told.append(f"alpha {self.pag.alpha:g}")
        if self.pag.n_samples is not None:
            told.append(f"{self.pag.n_samples:g} samples")
        self.ax_.set_title("Causal graph: " + ", ".join(told), loc="left", fontsize=11, color=INK)
        return self

    def _mark(self, mark, place, along, color):
        """Draw the mark at the end of an edge; a tail is the line itself."""
        if mark == CIRCLE:
            self.ax_.plot(*place, marker="o", markersize=6, markerfacecolor="white",
                          markeredgecolor=color, markeredgewidth=1.3, zorder=2)  # fmt: skip
        elif mark == ARROW:
            back = place - 0.055 * along
            aside = 0.028 * np.array([-along[1], along[0]])
            corners = np.stack([place + 0.02 * along, back + aside, back - aside])
            self.ax_.fill(*corners.T, color=color, linewidth=0, zorder=2)


def _to_the_frame(text, along):
    """Return how far it is from the middle of a node's label to the end of its edges."""
    width, height = _LETTER * len(text) + 0.06, _LINE
    across, down = np.maximum(np.abs(along), 1e-9)
    return min(width / across, height / down) + 0.03


class ExplanationDisplay:
    """A row's tokens and the sets that explain an outcome, one line for each set.

    Parameters
    ----------
    explanation : Explanation
        What an explainer found.
    tokens : sequence of length n_columns, default=None
        What to write for each column; its labels by default.
    max_sets : int, default=8
        The most sets to draw.

    Attributes
    ----------
    image_ : matplotlib AxesImage
        Rows are sets, columns are tokens.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> from sklearn_selfattn import ExplanationDisplay
    >>> from sklearn_selfattn.causal import Explanation
    >>> found = Explanation(
    ...     sets=[(1,), (0, 2)], outcome_before="spam", outcome_after="ham", labels=["a", "b", "c"]
    ... )
    >>> ExplanationDisplay(found).plot().image_.get_array().shape
    (2, 3)
    """

    def __init__(
        self, explanation: Explanation, *, tokens: Sequence[Any] | None = None, max_sets: int = 8
    ) -> None:
        self.explanation = explanation
        self.tokens = tokens
        self.max_sets = max_sets

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Table,
        *,
        tokens: Sequence[Any] | None = None,
        max_sets: int = 8,
        ax: Axes | None = None,
    ) -> Self:
        """Explain the first row of X and draw it.

        Parameters
        ----------
        estimator : CLEANNExplainer, SubsetSearchExplainer or CumulativeExplainer
            A fitted explainer.
        X : array-like of shape (n_samples, n_columns)
            Rows; the first is explained.
        tokens : sequence of length n_columns, default=None
            What to write for each column.
        max_sets : int, default=8
            The most sets to draw.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        ExplanationDisplay
            The display, drawn.
        """
        first = X.iloc[:1] if hasattr(X, "iloc") else np.asarray(X)[:1]
        return cls(estimator.explain(first)[0], tokens=tokens, max_sets=max_sets).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the sets.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        ExplanationDisplay
            The display itself.
        """
        from matplotlib.colors import ListedColormap

        found = self.explanation
        tokens = found.labels if self.tokens is None else list(self.tokens)
        sets = found.sets[: self.max_sets]
        grid = np.zeros((max(len(sets), 1), len(tokens)))
        for row, nodes in enumerate(sets):
            grid[row, list(nodes)] = 1
        if found.target is not None:
            grid[:, found.target] = 2
        width = min(12.0, 2.2 + 0.55 * len(tokens))
        size = (width, 1.9 + 0.3 * len(grid))
        self.figure_, self.ax_ = new_axes(ax, "ExplanationDisplay.plot", size)
        self.image_ = self.ax_.imshow(
            grid, cmap=ListedColormap(["white", ORANGE, LIGHT_GREY]), vmin=0, vmax=2, aspect="auto"
        )
        self.ax_.set_xticks(np.arange(len(tokens) + 1) - 0.5, minor=True)
        self.ax_.set_yticks(np.arange(len(grid) + 1) - 0.5, minor=True)
        self.ax_.grid(which="minor", color=LIGHT_GREY, linewidth=0.8)
        self.ax_.tick_params(which="minor", length=0)
        label_ticks(self.ax_, "x", [str(token) for token in tokens])
        self.ax_.set_yticks(range(len(grid)), range(1, len(grid) + 1))
        before, after = format_label(found.outcome_before), format_label(found.outcome_after)
        title = f"{before} becomes {after} without" if sets else f"No set changes {before}"
        finish_axes(self.ax_, title=title, xlabel="token", ylabel="set")
        if len(found.sets) > len(sets):
            self.ax_.set_ylabel(f"set (of {len(found.sets)})", color=INK)
        return self
