"""Pictures of a search for graphs: what it asked, and how much its level decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from ..core.display import BLUE, GREY, INK, ORANGE, VERMILION, finish_axes, new_axes
from ..core.typing import Axes, Table

if TYPE_CHECKING:
    from .pag import PAG


class CITestCountDisplay:
    """How many independence tests a search asked, by the size of the conditioning set.

    Parameters
    ----------
    counts : dict of str to array-like of int
        For each search its numbers of tests that conditioned on 0, 1, ... variables.

    Attributes
    ----------
    bars_ : list of matplotlib BarContainer
        One for each search.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> from sklearn_selfattn import CITestCountDisplay
    >>> len(CITestCountDisplay({"icd": [45, 60, 3], "fci": [45, 80, 40]}).plot().bars_)
    2
    """

    def __init__(self, counts: Mapping[str, ArrayLike]) -> None:
        self.counts = counts

    @classmethod
    def from_estimator(
        cls, *estimators: Any, names: Sequence[str] | None = None, ax: Axes | None = None
    ) -> Self:
        """Draw the counts of fitted estimators beside each other.

        Parameters
        ----------
        *estimators : PAGDiscovery
            Fitted estimators.
        names : list of str, default=None
            Their names; their methods by default.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        CITestCountDisplay
            The display, drawn.
        """
        for estimator in estimators:
            check_is_fitted(estimator, "n_ci_tests_")
        names = [e.method for e in estimators] if names is None else names
        if len(set(names)) != len(estimators):
            raise ValueError(f"{len(estimators)} estimators need as many names, got {names}.")
        counts = {name: e.n_ci_tests_ for name, e in zip(names, estimators, strict=True)}
        return cls(counts).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        CITestCountDisplay
            The display itself.
        """
        self.figure_, self.ax_ = new_axes(ax, "CITestCountDisplay.plot", (6.0, 3.6))
        n, colors = len(self.counts), (BLUE, ORANGE, VERMILION, GREY)
        self.bars_ = []
        for k, (name, counts) in enumerate(self.counts.items()):
            places = np.arange(np.size(counts)) + (k - (n - 1) / 2) * 0.8 / n
            label = f"{name}: {int(np.sum(counts)):,} tests"
            self.bars_.append(
                self.ax_.bar(places, counts, width=0.8 / n, color=colors[k % 4], label=label)
            )
        self.ax_.xaxis.get_major_locator().set_params(integer=True)
        finish_axes(
            self.ax_, title="Independence tests", xlabel="variables conditioned on", ylabel="tests"
        )
        self.ax_.legend(frameon=False, labelcolor=INK)
        return self


class AlphaPathDisplay:
    """How many edges there are, and of which kind, as the level of the tests goes down.

    The level is a choice that the data do not make. An edge that stays over orders of magnitude is
    safer than one that comes and goes.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,)
        Levels.
    pags : list of PAG
        The graph at each level.

    Attributes
    ----------
    counts_ : dict of str to list of int
        Edges at each level, "all" and "hidden cause" (two arrowheads) and "cause" (``-->``).
    lines_ : list of matplotlib Line2D
        Their lines.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn import AlphaPathDisplay, PAGDiscovery
    >>> X = np.random.default_rng(0).normal(size=(50, 5))
    >>> display = AlphaPathDisplay.from_estimator(PAGDiscovery(), X, alphas=[0.5, 0.001])
    >>> display.counts_["all"][0] > display.counts_["all"][1]
    True
    """

    def __init__(self, *, alphas: ArrayLike, pags: list[PAG]) -> None:
        self.alphas = alphas
        self.pags = pags

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Table,
        *,
        alphas: Sequence[float] = (0.2, 0.1, 0.05, 0.01, 1e-3, 1e-4, 1e-5),
        ax: Axes | None = None,
    ) -> Self:
        """Fit clones of an estimator at several levels.

        Parameters
        ----------
        estimator : PAGDiscovery
            Its parameters are used, fitted or not.
        X : array-like of shape (n_samples, n_features)
            The table.
        alphas : sequence of float, default=(0.2, 0.1, 0.05, 0.01, 1e-3, 1e-4, 1e-5)
            Levels.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        AlphaPathDisplay
            The display, drawn.
        """
        pags = [clone(estimator).set_params(alpha=alpha).fit(X).pag_ for alpha in alphas]
        return cls(alphas=list(alphas), pags=pags).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the lines.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        AlphaPathDisplay
            The display itself.
        """
        self.figure_, self.ax_ = new_axes(ax, "AlphaPathDisplay.plot", (6.0, 3.6))
        kinds = [[edge for _, edge, _ in pag.edges()] for pag in self.pags]
        self.counts_ = {
            "all": [len(edges) for edges in kinds],
            "cause": [sum(edge in ("-->", "<--") for edge in edges) for edges in kinds],
            "hidden cause": [edges.count("<->") for edges in kinds],
        }
        names = {"all": "all edges", "cause": "cause (-->)", "hidden cause": "hidden cause (<->)"}
        # thin over thick, so that none hides another where counts are equal
        styles = ((GREY, 4.0, 8), (BLUE, 2.5, 6), (VERMILION, 1.2, 3.5))
        self.lines_ = [
            self.ax_.plot(self.alphas, counts, marker="o", markersize=size, color=color,
                          linewidth=width, label=names[key])[0]
            for (key, counts), (color, width, size) in zip(
                self.counts_.items(), styles, strict=True
            )
        ]  # fmt: skip
        self.ax_.set_xscale("log")
        self.ax_.invert_xaxis()
        self.ax_.yaxis.get_major_locator().set_params(integer=True)
        finish_axes(
            self.ax_, title="Edges by the level of the tests", xlabel="alpha", ylabel="edges"
        )
        low, high = self.ax_.get_ylim()
        self.ax_.set_ylim(low, high + 0.3 * (high - low))  # room for the legend
        self.ax_.legend(frameon=False, labelcolor=INK, loc="upper right", ncols=3, fontsize=9)
        return self
