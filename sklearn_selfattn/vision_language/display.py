"""Pictures of the room: where each word looks in the picture, and the flow layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from ..core.display import BLUE, GREY, INK, ORANGE, VERMILION, finish_axes, format_label, new_axes
from ..core.typing import Axes, Figure, Table
from .flow import inter_modality_flow

if TYPE_CHECKING:
    from .flow import InterModalityFlow

_MAX_WORDS = 14  # that get a picture each


class CrossModalAttentionDisplay:
    """A picture, once for each word, faded where the word does not look.

    The first one is that of [CLS], the token that the answer is read from.

    Parameters
    ----------
    image : ndarray of shape (height, width) or (height, width, channels)
        The picture.
    weights : ndarray of shape (n_words, n_rows, n_columns)
        Attention from each word to each place, mean over heads.
    words : sequence of str of length n_words
        What looks: "[CLS]" and the words.
    title : str, default=None
        Above all.

    Attributes
    ----------
    overlays_ : list of matplotlib AxesImage
        The veil over each picture: white where nothing is looked at.
    axes_ : ndarray of matplotlib Axes
        One for each word.
    figure_ : matplotlib Figure
        The figure.

    Examples
    --------
    >>> from sklearn_selfattn import CrossModalAttentionDisplay, VisualParsingClassifier
    >>> from sklearn_selfattn.datasets import make_digit_scenes
    >>> X, y = make_digit_scenes(60, random_state=0)
    >>> model = VisualParsingClassifier(d_model=16, max_epochs=1, random_state=0).fit(X, y)
    >>> display = CrossModalAttentionDisplay.from_estimator(model, X[:1])
    >>> len(display.overlays_) == 1 + len(X["text"][0].split())
    True
    """

    def __init__(
        self,
        *,
        image: np.ndarray,
        weights: np.ndarray,
        words: Sequence[str],
        title: str | None = None,
    ) -> None:
        self.image = image
        self.weights = weights
        self.words = words
        self.title = title

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Table, *, layer: int = -1, figure: Figure | None = None
    ) -> Self:
        """Ask a fitted estimator where the words of one pair look.

        Parameters
        ----------
        estimator : VisualParsingClassifier or VisualParsingRegressor
            Fitted.
        X : frame or array with one pair
            The pair.
        layer : int, default=-1
            Which layer, the last by default.
        figure : matplotlib Figure, default=None
            Figure to draw on; None makes a new one.

        Returns
        -------
        CrossModalAttentionDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            X is not one pair with a text.
        """
        maps = estimator.attention_weights(X, layer=layer)
        if maps.n_samples != 1:
            raise ValueError(f"X has to be one pair, got {maps.n_samples}.")
        images, _, texts = estimator._read(X, reset=False)
        first_word = 2 + estimator.n_visual_tokens_
        if maps.n_keys == first_word:
            raise ValueError("X has no text: there is no word that looks at the picture.")
        looking = [0, *range(first_word, maps.n_keys)]
        weights = maps[0][0].mean(axis=0)[looking, 1 : first_word - 1]
        grid = estimator.module_.image_tokens.grid
        answer = estimator.predict(X)[0]
        return cls(
            image=images[0],
            weights=weights.reshape(-1, *grid),
            words=[maps.query_labels[token] for token in looking],
            title=f"{texts[0]}   →   {format_label(answer)}",
        ).plot(figure=figure)

    def plot(self, figure: Figure | None = None) -> Self:
        """Draw the pictures.

        Parameters
        ----------
        figure : matplotlib Figure, default=None
            Figure to draw on; None makes a new one.

        Returns
        -------
        CrossModalAttentionDisplay
            The display itself.
        """
        n_words = min(len(self.words), _MAX_WORDS)
        n_columns = min(n_words, 7)
        n_rows = -(-n_words // n_columns)
        if figure is None:
            figure, ax = new_axes(
                None, "CrossModalAttentionDisplay.plot", (1.6 * n_columns, 1.9 * n_rows + 0.5)
            )
            ax.remove()
        self.figure_ = figure
        self.axes_ = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
        for ax in self.axes_:
            ax.set_axis_off()
        image = np.squeeze(self.image)
        height, width = image.shape[:2]
        self.overlays_ = []
        for ax, word, weights in zip(self.axes_, self.words, self.weights, strict=False):
            ax.imshow(_from_0_to_1(image), cmap="gray", vmin=0, vmax=1)
            largest = float(weights.max()) or 1.0
            veil = np.ones((*weights.shape, 4))
            veil[..., 3] = 0.9 * (1 - weights / largest)
            extent = (-0.5, width - 0.5, height - 0.5, -0.5)
            self.overlays_.append(ax.imshow(veil, extent=extent, interpolation="nearest"))
            ax.set_title(f"{format_label(word)}  {weights.sum():.0%}", fontsize=10, color=INK)
        if self.title is not None:
            figure.suptitle(self.title, fontsize=11, color=INK, x=0.02, ha="left")
        return self


def _from_0_to_1(image):
    """Return the picture with values from 0 to 1; colours stay colours."""
    image = image.astype(float)
    low, high = image.min(), image.max()
    return (image - low) / (high - low) if high > low else np.zeros_like(image)


class InterModalityFlowDisplay:
    """How much attention crosses between picture and words, layer by layer, beside chance.

    Parameters
    ----------
    flow : InterModalityFlow
        What `inter_modality_flow` returns.
    names : tuple of two str, default=("image", "text")
        What the groups are called.
    estimator_name : str, default=None
        Name for the title.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The flow, and its two directions: means over the samples.
    chance_ : matplotlib Line2D
        The flow if all tokens were looked at alike.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> from sklearn_selfattn import InterModalityFlowDisplay, VisualParsingClassifier
    >>> from sklearn_selfattn.datasets import make_digit_scenes
    >>> X, y = make_digit_scenes(60, random_state=0)
    >>> model = VisualParsingClassifier(d_model=16, max_epochs=1, random_state=0).fit(X, y)
    >>> len(InterModalityFlowDisplay.from_estimator(model, X).lines_)
    3
    """

    def __init__(
        self,
        flow: InterModalityFlow,
        *,
        names: tuple[str, str] = ("image", "text"),
        estimator_name: str | None = None,
    ) -> None:
        self.flow = flow
        self.names = names
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Table,
        *,
        method: Literal["attention", "rollout", "norm"] = "attention",
        name: str | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Ask a fitted estimator for its flow and draw it.

        Parameters
        ----------
        estimator : VisualParsingClassifier or VisualParsingRegressor
            Fitted.
        X : frame or array of pairs
            Pairs.
        method : {"attention", "rollout", "norm"}, default="attention"
            See `inter_modality_flow`.
        name : str, default=None
            Name for the title; the class name by default.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        InterModalityFlowDisplay
            The display, drawn.
        """
        name = type(estimator).__name__ if name is None else name
        flow = inter_modality_flow(estimator, X, method=method)
        return cls(flow, estimator_name=name).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the flow.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        InterModalityFlowDisplay
            The display itself.
        """
        self.figure_, self.ax_ = new_axes(ax, "InterModalityFlowDisplay.plot", (5.6, 3.6))
        first, second = self.names
        layers = np.arange(1, self.flow.flow.shape[1] + 1)
        self.lines_ = []
        for values, label, color, style in (
            (self.flow.flow, f"between {first} and {second}", BLUE, "-"),
            (self.flow.first_from_second, f"{first} looks at {second}", ORANGE, "--"),
            (self.flow.second_from_first, f"{second} looks at {first}", VERMILION, "--"),
        ):
            mean, spread = values.mean(axis=0), values.std(axis=0)
            (line,) = self.ax_.plot(layers, mean, style, color=color, marker="o", label=label)
            if style == "-":
                self.ax_.fill_between(
                    layers, mean - spread, mean + spread, color=color, alpha=0.15, linewidth=0
                )
            self.lines_.append(line)
        chance = float(self.flow.chance.mean())
        self.chance_ = self.ax_.axhline(chance, color=GREY, linestyle=":", label="chance")
        self.ax_.set_ylim(0, None)
        self.ax_.set_xticks(layers)
        title = "Flow between modalities"
        if self.estimator_name is not None:
            title += f": {self.estimator_name}"
        finish_axes(self.ax_, title=title, xlabel="layer", ylabel="share of attention")
        self.ax_.legend(frameon=False, fontsize=9)
        return self
