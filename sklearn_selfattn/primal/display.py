"""A picture of the singular values of attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..core.display import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION, finish_axes, new_axes
from ..core.typing import Axes, Table
from .spectrum import attention_spectrum

if TYPE_CHECKING:
    from .spectrum import AttentionSpectrum

_COLORS = (BLUE, VERMILION, GREEN, ORANGE, SKY, GREY)


class AttentionSpectrumDisplay:
    """How fast the singular values of each layer's attention add up.

    A curve that is near 1 at once belongs to attention with few directions: a small rank holds
    it. A curve along the diagonal means that every direction counts, and that a low rank loses
    something.

    Parameters
    ----------
    cumulative : sequence of ndarray of shape (n_values,)
        Mean over samples and heads, layer by layer: the share of the m largest singular values in
        their sum.
    deviation : sequence of ndarray of shape (n_values,)
        Standard deviation over samples and heads.
    labels : sequence of str
        Name of each layer.
    estimator_name : str, default=None
        Name for the title.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        One curve for each layer.
    bands_ : list of matplotlib PolyCollection
        One deviation to either side.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_selfattn import AttentionSpectrumDisplay, PrimalAttentionClassifier
    >>> X, y = load_wine(return_X_y=True)
    >>> model = PrimalAttentionClassifier(max_epochs=2, random_state=0).fit(X, y)
    >>> len(AttentionSpectrumDisplay.from_estimator(model, X[:20]).lines_)
    1
    """

    def __init__(
        self,
        *,
        cumulative: Sequence[np.ndarray],
        deviation: Sequence[np.ndarray],
        labels: Sequence[str],
        estimator_name: str | None = None,
    ) -> None:
        self.cumulative = cumulative
        self.deviation = deviation
        self.labels = labels
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Table, *, name: str | None = None, ax: Axes | None = None
    ) -> Self:
        """Ask a fitted estimator for its spectrum and draw it.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator of this room, or one that answers the attention protocol.
        X : array-like
            Rows of a table, or series.
        name : str, default=None
            Name for the title; the class name by default.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        AttentionSpectrumDisplay
            The display, drawn.
        """
        name = type(estimator).__name__ if name is None else name
        return cls.from_spectrum(attention_spectrum(estimator, X), name=name, ax=ax)

    @classmethod
    def from_spectrum(
        cls, spectrum: AttentionSpectrum, *, name: str | None = None, ax: Axes | None = None
    ) -> Self:
        """Draw a spectrum.

        Parameters
        ----------
        spectrum : AttentionSpectrum
            What `attention_spectrum` returns.
        name : str, default=None
            Name for the title.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        AttentionSpectrumDisplay
            The display, drawn.
        """
        shares = spectrum.cumulative()
        several = len(shares) > 1
        display = cls(
            cumulative=[layer.mean(axis=(0, 1)) for layer in shares],
            deviation=[layer.std(axis=(0, 1)) for layer in shares],
            labels=[
                f"layer {i + 1}, {kind}" if several else kind
                for i, kind in enumerate(spectrum.kinds)
            ],
            estimator_name=name,
        )
        return display.plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        AttentionSpectrumDisplay
            The display itself.
        """
        self.figure_, self.ax_ = new_axes(ax, "AttentionSpectrumDisplay.plot", (6.0, 3.8))
        self.lines_, self.bands_ = [], []
        for i, (mean, deviation, label) in enumerate(
            zip(self.cumulative, self.deviation, self.labels, strict=True)
        ):
            color = _COLORS[i % len(_COLORS)]
            index = np.arange(1, len(mean) + 1)
            (line,) = self.ax_.plot(index, mean, color=color, label=label, marker="o", markersize=3)
            band = self.ax_.fill_between(
                index, mean - deviation, np.minimum(mean + deviation, 1.0), color=color, alpha=0.15,
                linewidth=0,
            )  # fmt: skip
            self.lines_.append(line)
            self.bands_.append(band)
        longest = max(len(mean) for mean in self.cumulative)
        self.ax_.plot([1, longest], [1 / longest, 1], color=GREY, linestyle=":", label="all alike")
        self.ax_.set_ylim(0.0, 1.04)
        self.ax_.xaxis.get_major_locator().set_params(integer=True)
        title = "Attention spectrum"
        if self.estimator_name is not None:
            title += f" of {self.estimator_name}"
        finish_axes(
            self.ax_, title=title, xlabel="largest singular values", ylabel="share of their sum"
        )
        self.ax_.legend(frameon=False)
        return self
