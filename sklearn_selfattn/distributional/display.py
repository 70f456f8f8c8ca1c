"""Pictures of a vectorizer: who looks at whom, which words are near, how the spectrum falls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..core.display import (
    BLUE,
    GREY,
    INK,
    VERMILION,
    draw_heatmap,
    finish_axes,
    label_ticks,
    new_axes,
)
from ..core.typing import Axes

_MAX_WORDS = 60


class SentenceAttentionDisplay:
    """Attention of the words of one text on each other, as a heat map.

    Rows look, columns are looked at. The row above the map is the attention each word gets from
    all together.

    Parameters
    ----------
    weights : ndarray of shape (n_words, n_words)
        Attention, rows summing to 1.
    words : sequence of str of length n_words
        The words in reading order.

    Attributes
    ----------
    image_ : matplotlib AxesImage
        The heat map.
    colorbar_ : matplotlib Colorbar
        Its scale.
    received_bars_ : matplotlib BarContainer
        What each word gets, in shares of all attention.
    ax_ : matplotlib Axes
        Axes with the heat map.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn import SentenceAttentionDisplay
    >>> display = SentenceAttentionDisplay(
    ...     np.array([[0.0, 1.0], [1.0, 0.0]]), words=["river", "bank"]
    ... ).plot()
    >>> display.received_bars_.datavalues
    array([0.5, 0.5])
    """

    def __init__(self, weights: np.ndarray, *, words: Sequence[str]) -> None:
        self.weights = weights
        self.words = words

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        document: str | Sequence[str],
        *,
        head: int | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the attention in a document.

        Parameters
        ----------
        estimator : DistributionalProjectionVectorizer
            A fitted vectorizer with weights that sum to 1, which `normalizer="none"` has not.
        document : str or list of str
            One text, or its tokens, with 60 words of the vocabulary at most.
        head : int, default=None
            Position of the head; None averages over the heads.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        SentenceAttentionDisplay
            The display, drawn.
        """
        maps = estimator.attention_weights([document])
        if maps.kind == "kernel":
            raise ValueError("normalizer='none' has no shares to draw; use attention_weights.")
        weights = maps[0][0]  # (h, t, t)
        weights = weights.mean(axis=0) if head is None else weights[head]
        return cls(weights, words=maps.key_labels).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        SentenceAttentionDisplay
            The display itself.
        """
        weights = np.asarray(self.weights)  # (t, t)
        n_words = len(weights)
        if weights.shape != (n_words, n_words) or len(self.words) != n_words:
            raise ValueError(
                "weights must be square with a row for each of the "
                f"{len(self.words)} words, got shape {weights.shape}."
            )
        if n_words > _MAX_WORDS:
            raise ValueError(
                f"SentenceAttentionDisplay draws at most {_MAX_WORDS} words, got {n_words}."
            )
        side = min(8.0, 2.6 + 0.28 * n_words)
        self.figure_, self.ax_ = new_axes(ax, "SentenceAttentionDisplay.plot", (side + 1.0, side))
        self.image_, self.colorbar_ = draw_heatmap(
            self.ax_, weights, colorbar_label="attention weight"
        )
        label_ticks(self.ax_, "x", self.words)
        label_ticks(self.ax_, "y", self.words)
        finish_axes(self.ax_, title="", xlabel="word (looked at)", ylabel="word (looking)")
        above = self.ax_.inset_axes([0.0, 1.02, 1.0, 0.12], sharex=self.ax_)
        received = weights.mean(axis=0)
        self.received_bars_ = above.bar(np.arange(n_words), received, width=0.7, color=GREY)
        above.tick_params(bottom=False, labelbottom=False, left=False, labelleft=False)
        above.spines[["top", "right", "left"]].set_visible(False)
        above.spines["bottom"].set_color(GREY)
        above.set_title(
            "Attention between words, and what each gets", loc="left", fontsize=11, color=INK
        )
        return self


class WordNeighborsDisplay:
    """The words nearest to one word, by the cosine of their vectors.

    Parameters
    ----------
    word : str
        The word.
    neighbors : list of (str, float)
        Words and cosines, nearest first, as `most_similar` returns them.

    Attributes
    ----------
    bars_ : matplotlib BarContainer
        The bars, nearest first.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> from sklearn_selfattn import WordNeighborsDisplay
    >>> display = WordNeighborsDisplay("loan", [("bank", 0.75), ("money", 0.5)]).plot()
    >>> display.bars_.datavalues
    array([0.75, 0.5 ])
    """

    def __init__(self, word: str, neighbors: list[tuple[str, float]]) -> None:
        self.word = word
        self.neighbors = neighbors

    @classmethod
    def from_estimator(
        cls, estimator: Any, word: str, *, n_words: int = 10, ax: Axes | None = None
    ) -> Self:
        """Draw the neighbours of a word.

        Parameters
        ----------
        estimator : DistributionalProjectionVectorizer
            A fitted vectorizer.
        word : str
            A word of its vocabulary.
        n_words : int, default=10
            How many neighbours.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        WordNeighborsDisplay
            The display, drawn.
        """
        return cls(word, estimator.most_similar(word, n_words)).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        WordNeighborsDisplay
            The display itself.
        """
        words = [word for word, _ in self.neighbors]
        height = 1.3 + 0.24 * len(words)
        self.figure_, self.ax_ = new_axes(ax, "WordNeighborsDisplay.plot", (5.2, height))
        lines = np.arange(len(words))
        cosines = np.array([cosine for _, cosine in self.neighbors])
        self.bars_ = self.ax_.barh(lines, cosines, height=0.7, color=BLUE)
        self.ax_.bar_label(self.bars_, fmt="%.2f", padding=3, fontsize=8, color=INK)
        self.ax_.set_ylim(len(words) - 0.4, -0.6)
        self.ax_.margins(x=0.12)
        label_ticks(self.ax_, "y", words)
        finish_axes(
            self.ax_, title=f"Nearest to “{self.word}”", xlabel="cosine of vectors", ylabel=""
        )
        self.ax_.tick_params(axis="y", length=0)
        return self


class SpectrumDisplay:
    """The spectrum of the association matrix: how much each component carries.

    A curve that is still high at its end says that more components would keep more. Negative
    eigenvalues, which a co-occurrence matrix has, are marked.

    Parameters
    ----------
    spectrum : ndarray of shape (n_components,)
        Eigenvalues or singular values of the kept components.

    Attributes
    ----------
    positive_points_, negative_points_ : matplotlib Line2D
        Magnitudes of the positive and of the negative values; None if there are none.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn import SpectrumDisplay
    >>> display = SpectrumDisplay(np.array([3.0, -2.0, 1.0])).plot()
    >>> display.negative_points_.get_ydata()
    array([2.])
    """

    def __init__(self, spectrum: np.ndarray) -> None:
        self.spectrum = spectrum

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> Self:
        """Draw the spectrum of a fitted vectorizer.

        Parameters
        ----------
        estimator : DistributionalProjectionVectorizer
            A fitted vectorizer.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        SpectrumDisplay
            The display, drawn.
        """
        check_is_fitted(estimator, "spectrum_")
        return cls(estimator.spectrum_).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        SpectrumDisplay
            The display itself.
        """
        self.figure_, self.ax_ = new_axes(ax, "SpectrumDisplay.plot", (6.4, 3.8))
        spectrum = np.asarray(self.spectrum)
        number = np.arange(1, len(spectrum) + 1)
        is_negative = spectrum < 0.0
        self.positive_points_ = self._points(number, spectrum, ~is_negative, BLUE, "positive")
        self.negative_points_ = self._points(number, -spectrum, is_negative, VERMILION, "negative")
        if len(spectrum) and np.abs(spectrum).min() > 0.0:
            self.ax_.set_yscale("log")
        self.ax_.xaxis.get_major_locator().set_params(integer=True)
        finish_axes(
            self.ax_,
            title="Spectrum of the associations",
            xlabel="component",
            ylabel="magnitude",
        )
        if is_negative.any():
            self.ax_.legend(frameon=False, labelcolor=INK)
        return self

    def _points(self, number, values, chosen, color, label):
        if not chosen.any():
            return None
        (points,) = self.ax_.plot(
            number[chosen], values[chosen], ".", color=color, markersize=4, label=label
        )
        return points
