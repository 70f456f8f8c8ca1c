"""Pictures of what re-ranking changed: over all queries, and in one list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from ..core.display import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LIGHT_GREY,
    VERMILION,
    draw_heatmap,
    finish_axes,
    import_pyplot,
    label_ticks,
)
from ..core.typing import Axes, Table
from .metrics import retrieval_metric

RECALL_LEVELS = np.linspace(0.0, 1.0, 21)


class RerankDisplay:
    """Rankings before and after: average precision of each query, and precision over recall.

    On the left each query is a point; above the line it gained. A re-ranker that gains on average
    may still lose on many queries, which the numbers in the title tell. On the right the mean
    precision at which a share of the relevant items is found.

    Parameters
    ----------
    before, after : array-like of shape (n_queries,)
        Average precision of each query.
    curves : ndarray of shape (2, n_levels)
        Mean precision before and after, at each level of recall.
    levels : ndarray of shape (n_levels,)
        The levels.
    name : str, default=None
        What re-ranked, for the title.

    Attributes
    ----------
    n_wins_, n_losses_ : int
        Queries that gained and that lost.
    points_ : matplotlib PathCollection
        The queries.
    lines_ : list of two matplotlib Line2D
        The curves before and after.
    axes_ : ndarray of two matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_selfattn import AttentionReranker, RerankDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> model = AttentionReranker(max_epochs=1, n_candidates=32, random_state=0)
    >>> model = model.fit(X[:400], y[:400])
    >>> display = RerankDisplay.from_estimator(model, X[400:450], y[400:450])
    >>> display.n_wins_ + display.n_losses_ <= 50
    True
    """

    def __init__(
        self,
        *,
        before: ArrayLike,
        after: ArrayLike,
        curves: np.ndarray,
        levels: np.ndarray,
        name: str | None = None,
    ) -> None:
        self.before = before
        self.after = after
        self.curves = curves
        self.levels = levels
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Table | None = None,
        y: ArrayLike | None = None,
        *,
        relevance: sparse.sparray | sparse.spmatrix | ArrayLike | None = None,
        name: str | None = None,
    ) -> Self:
        """Re-rank with a fitted estimator and draw what changed.

        Parameters
        ----------
        estimator : AttentionReranker
            A fitted estimator.
        X : array-like of shape (n_queries, n_features), default=None
            Queries; None takes each gallery row as a query for the others.
        y : array-like of shape (n_queries,), default=None
            Their labels.
        relevance : sparse matrix or array-like of shape (n_pairs, 2), default=None
            Relevant pairs, where they are no matter of labels.
        name : str, default=None
            Name for the title; the class name by default.

        Returns
        -------
        RerankDisplay
            The display, drawn.
        """
        precision: list[list[Any]] = [[], []]
        curves, n_queries = np.zeros((2, len(RECALL_LEVELS))), 0
        for before, after, n_relevant in estimator._retrieve(X, y, relevance, None, None):
            counted = n_relevant > 0
            n_queries += counted.sum()
            for i, hits in enumerate((before[counted], after[counted])):
                if len(hits):
                    precision[i].append(
                        retrieval_metric(hits, n_relevant=n_relevant[counted], average=False)
                    )
                    curves[i] += _precision_at_recall(hits, n_relevant[counted]).sum(axis=0)
        if not n_queries:
            raise ValueError("No query has a relevant row in the gallery.")
        return cls(
            before=np.concatenate(precision[0]),
            after=np.concatenate(precision[1]),
            curves=curves / n_queries,
            levels=RECALL_LEVELS,
            name=type(estimator).__name__ if name is None else name,
        ).plot()

    def plot(self, axes: Sequence[Axes] | None = None) -> Self:
        """Draw both pictures.

        Parameters
        ----------
        axes : sequence of two matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        RerankDisplay
            The display itself.
        """
        plt = import_pyplot("RerankDisplay.plot")
        if axes is None:
            _, axes = plt.subplots(1, 2, figsize=(9.6, 4.4), layout="constrained")
        left, right = self.axes_ = np.asarray(axes)
        self.figure_ = left.figure
        before, after = np.asarray(self.before), np.asarray(self.after)
        change = after - before
        self.n_wins_, self.n_losses_ = int((change > 0).sum()), int((change < 0).sum())
        colors = np.where(change > 0, BLUE, np.where(change < 0, VERMILION, GREY))
        left.plot([0, 1], [0, 1], color=LIGHT_GREY, zorder=0)
        size = float(np.clip(4000 / len(before), 4, 30))
        self.points_ = left.scatter(before, after, s=size, c=colors, alpha=0.5, linewidths=0)
        left.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        finish_axes(
            left,
            title=f"{self.n_wins_} queries gain, {self.n_losses_} lose",
            xlabel=f"average precision before (mean {before.mean():.3f})",
            ylabel=f"after (mean {after.mean():.3f})",
        )
        self.lines_ = [
            right.plot(self.levels, curve, color=color, label=label)[0]
            for curve, color, label in zip(
                self.curves, (GREY, BLUE), ("before", "after"), strict=True
            )
        ]
        right.set(xlim=(0, 1), ylim=(0, 1.02))
        title = "Precision over recall" + (f", {self.name}" if self.name else "")
        finish_axes(right, title=title, xlabel="recall", ylabel="mean precision")
        right.legend(frameon=False, labelcolor=INK)
        return self


def _precision_at_recall(hits, n_relevant):
    """Return the best precision at each level of recall or beyond, (n_queries, n_levels)."""
    count = np.cumsum(hits, axis=1)
    precision = count / np.arange(1, hits.shape[1] + 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    wanted = np.maximum(np.ceil(RECALL_LEVELS * n_relevant[:, None] - 1e-9), 1)  # (n, levels)
    place = (count[:, None, :] < wanted[:, :, None]).sum(axis=2)  # the first that has enough
    found = np.take_along_axis(best, np.minimum(place, hits.shape[1] - 1), axis=1)
    return np.where(place < hits.shape[1], found, 0.0)


class RankedListDisplay:
    """One query's list: what it found before and after, affinities, attention.

    On top the first items before and after re-ranking, as pictures where there are any; a
    frame tells relevant ones (green) from others (red). Below, the affinity feature of each item,
    which is all that the net sees, and how much attention items pay to each other. Marks beside the
    maps are the relevant items: a learnt re-ranker should let them look at each other.

    Parameters
    ----------
    before, after : array-like of int of shape (n_shown,)
        Gallery rows, best first.
    relevant : array-like of bool of shape (n_gallery,)
        Which gallery rows are relevant.
    affinity : ndarray of shape (n_items, n_anchors)
        Affinity features of the query and the items of its list before.
    attention : ndarray of shape (n_items, n_items), or None
        Attention between them.
    items : array-like of int of shape (n_items - 1,)
        The gallery rows of the items, without the query.
    images : array-like of shape (n_gallery, height, width, ...), default=None
        Pictures of the gallery rows.
    query_image : array-like of shape (height, width, ...), default=None
        Picture of the query.

    Attributes
    ----------
    strips_ : list of two lists of matplotlib Axes
        The items before and after.
    maps_ : list of matplotlib Axes
        Affinities and attention.
    figure_ : matplotlib Figure
        The figure.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_selfattn import AttentionReranker, RankedListDisplay
    >>> digits = load_digits()
    >>> X, y = digits.data, digits.target
    >>> model = AttentionReranker(max_epochs=1, n_candidates=32, random_state=0)
    >>> model = model.fit(X[:400], y[:400])
    >>> display = RankedListDisplay.from_estimator(
    ...     model, X[400], y[400], images=digits.images[:400], query_image=digits.images[400]
    ... )
    >>> len(display.strips_[0])
    10
    """

    def __init__(
        self,
        *,
        before: ArrayLike,
        after: ArrayLike,
        relevant: ArrayLike,
        affinity: np.ndarray,
        attention: np.ndarray | None,
        items: ArrayLike,
        images: ArrayLike | None = None,
        query_image: ArrayLike | None = None,
    ) -> None:
        self.before = before
        self.after = after
        self.relevant = relevant
        self.affinity = affinity
        self.attention = attention
        self.items = items
        self.images = images
        self.query_image = query_image

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        x: ArrayLike,
        label: object = None,
        *,
        relevant: ArrayLike | None = None,
        images: ArrayLike | None = None,
        query_image: ArrayLike | None = None,
        n_shown: int = 10,
        n_items: int = 40,
    ) -> Self:
        """Look at one query with a fitted estimator.

        Parameters
        ----------
        estimator : AttentionReranker
            A fitted estimator.
        x : array-like of shape (n_features,)
            The query.
        label : object, default=None
            Its label, if the gallery has labels.
        relevant : array-like of bool of shape (n_gallery,), default=None
            Which gallery rows are relevant, instead of a label.
        images : array-like of shape (n_gallery, height, width, ...), default=None
            Pictures of the gallery rows.
        query_image : array-like of shape (height, width, ...), default=None
            Picture of the query.
        n_shown : int, default=10
            Items of the two strips.
        n_items : int, default=40
            Items of the maps, from the front of the list.

        Returns
        -------
        RankedListDisplay
            The display, drawn.
        """
        if (label is None) == (relevant is None):
            raise ValueError("Pass the query's label, or relevant: which gallery rows are.")
        X = np.asarray(x).reshape(1, -1)
        n_found = estimator.n_candidates_
        before = estimator.kneighbors(X, n_found, return_distance=False, rerank=False)
        after = estimator.kneighbors(X, n_found, return_distance=False)[0]
        if relevant is None:
            relevant = estimator.gallery_y_ == label
        attention = None
        if estimator.n_layers_:
            layers = estimator.attention_weights(X, ranking=before)
            attention = np.mean([layer[0].mean(axis=0) for layer in layers], axis=0)
        return cls(
            before=before[0, :n_shown],
            after=after[:n_shown],
            relevant=np.asarray(relevant, dtype=bool),
            affinity=estimator.affinity(X, before)[0, : n_items + 1],
            attention=None if attention is None else attention[: n_items + 1, : n_items + 1],
            items=before[0, :n_items],
            images=images,
            query_image=query_image,
        ).plot()

    def plot(self) -> Self:
        """Draw strips and maps.

        Returns
        -------
        RankedListDisplay
            The display itself.
        """
        plt = import_pyplot("RankedListDisplay.plot")
        self.figure_ = plt.figure(figsize=(10.0, 6.6), layout="constrained")
        top, bottom = self.figure_.subfigures(2, 1, height_ratios=[1.0, 1.9])
        before, after = np.asarray(self.before), np.asarray(self.after)
        n_shown, relevant, items = len(before), np.asarray(self.relevant), np.asarray(self.items)
        images = None if self.images is None else np.asarray(self.images)
        cells = top.subplots(2, n_shown + 1, squeeze=False)
        self.strips_ = []
        for axes, ranking, title in zip(cells, (before, after), ("before", "after"), strict=True):
            _cell(axes[0], self.query_image, "query", INK)
            axes[0].set_ylabel(title, color=INK)
            for ax, row in zip(axes[1:], ranking, strict=True):
                color = GREEN if relevant[row] else VERMILION
                _cell(ax, None if images is None else images[row], str(row), color)
            self.strips_.append(list(axes[1:]))
        shown = [(np.asarray(self.affinity), "Affinity features", "cosine", "anchor")]
        if self.attention is not None:
            attention = np.asarray(self.attention)
            shown.append((attention, "Attention, mean of heads and layers", "weight", "looked at"))
        self.maps_ = list(np.atleast_1d(bottom.subplots(1, len(shown))))
        labels = ["query", *range(1, len(items) + 1)]
        is_relevant = [True, *relevant[items]]
        for ax, (values, title, what, across) in zip(self.maps_, shown, strict=True):
            draw_heatmap(ax, values, colorbar_label=what, gamma=0.5 if what == "weight" else 1.0)
            columns = labels[: values.shape[1]] + list(range(len(labels), values.shape[1]))
            label_ticks(ax, "x", columns)
            label_ticks(ax, "y", labels)
            finish_axes(ax, title=title, xlabel=f"place in the list ({across})", ylabel="place")
            for place in np.flatnonzero(is_relevant):
                ax.plot(-0.02, place, marker=">", color=GREEN, markersize=4, clip_on=False,
                        transform=ax.get_yaxis_transform(), zorder=5)  # fmt: skip
        return self


def _cell(ax, image, text, color):
    """Draw one item: its picture if there is one, its row, a frame."""
    ax.set(xticks=[], yticks=[])
    if image is not None:
        ax.imshow(image, cmap="gray_r" if np.ndim(image) == 2 else None)
    else:
        ax.set_aspect("equal")
    ax.set_title(text, fontsize=8, color=INK, pad=2)
    for spine in ax.spines.values():
        spine.set(color=color, linewidth=2)
