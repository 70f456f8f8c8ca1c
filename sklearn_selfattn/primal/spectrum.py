"""The lens: how many directions an attention matrix has, and whether projections found them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..core.maps import as_attention_maps
from ..core.typing import Table
from .factors import factor_svd

MAX_TOKENS = 512  # of a softmax matrix that is decomposed


class AttentionSpectrum:
    """Singular values of attention matrices, layer by layer.

    Parameters
    ----------
    values : sequence of ndarray of shape (n_samples, n_heads, n_values)
        Singular values of each layer, falling.
    kinds : sequence of str
        What each layer is: "primal", "softmax", ...

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn.primal import AttentionSpectrum
    >>> spectrum = AttentionSpectrum([np.array([[[3.0, 1.0]]])], kinds=["softmax"])
    >>> spectrum.cumulative()[0]
    array([[[0.75, 1.  ]]])
    >>> spectrum.effective_rank()[0].round(2)
    array([[1.75]])
    """

    def __init__(self, values: Sequence[np.ndarray], kinds: Sequence[str]) -> None:
        self.values = [np.asarray(layer, dtype=np.float64) for layer in values]
        self.kinds = list(kinds)

    def __len__(self):
        return len(self.values)

    def cumulative(self) -> list[np.ndarray]:
        """Return the share that the largest m singular values have of their sum.

        Returns
        -------
        list of ndarray of shape (n_samples, n_heads, n_values)
            One array for each layer, rising to 1.
        """
        sums = [layer.cumsum(axis=-1) for layer in self.values]
        return [s / np.where(s[..., -1:] > 0, s[..., -1:], 1.0) for s in sums]

    def effective_rank(self) -> list[np.ndarray]:
        """Return the exponential of the entropy of the normalised singular values.

        Returns
        -------
        list of ndarray of shape (n_samples, n_heads)
            1 where one direction says all; the number of directions where all are alike.
        """
        ranks = []
        for layer in self.values:
            total = layer.sum(axis=-1, keepdims=True)
            share = layer / np.where(total > 0, total, 1.0)
            logs = np.log(share, out=np.zeros_like(share), where=share > 0)
            ranks.append(np.exp(-(share * logs).sum(axis=-1)))
        return ranks


def attention_spectrum(obj: Any, X: Table | None = None) -> AttentionSpectrum:
    r"""Return the singular values of the attention of each layer.

    A steep spectrum says that a layer's attention has few directions, so that a small rank holds
    it. Of primal layers the spectrum is that of the kernel
    :math:`\phi(Q) \phi(K)^\top`, exact, from a thin QR of its factors: linear in the tokens. Other
    layers' matrices are formed and decomposed; of series longer than 512 steps, evenly spaced ones
    are taken.

    Parameters
    ----------
    obj : estimator, AttentionMaps or array-like
        A fitted estimator of this room; or whatever answers the attention protocol, see
        `AttentionMaps`.
    X : array-like, default=None
        Rows to ask an estimator about.

    Returns
    -------
    AttentionSpectrum
        With `values`, `cumulative()` and `effective_rank()`. Series of different lengths: as many
        values as the longest has, zeros behind.

    Raises
    ------
    ValueError
        X is missing, or the net has no attention.

    References
    ----------
    Chen, Tao, Tonin, Suykens, NeurIPS 2023, arXiv:2305.19798, figure 2.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_selfattn import PrimalAttentionClassifier, attention_spectrum
    >>> X, y = load_wine(return_X_y=True)
    >>> model = PrimalAttentionClassifier(max_epochs=2, random_state=0).fit(X, y)
    >>> spectrum = attention_spectrum(model, X[:5])
    >>> [layer.shape for layer in spectrum.values]  # 4 members with 2 heads, 13 columns
    [(5, 8, 13)]
    """
    if not hasattr(obj, "_layer_factors"):
        maps = as_attention_maps(obj, X)
        return AttentionSpectrum(
            [np.linalg.svd(layer, compute_uv=False) for layer in maps.weights],
            [maps.kind] * len(maps),
        )
    check_is_fitted(obj)
    if X is None:
        raise ValueError(f"X is needed to ask {type(obj).__name__} for its attention.")
    values, kinds = [], []
    for layer, kind in enumerate(obj._kinds):
        if kind in ("primal", "svgp"):
            factors = obj._layer_factors(X, layer)
            values.append(factor_svd(*factors)[1])
        else:
            matrix = obj._layer_map(X, layer, MAX_TOKENS)
            values.append(np.linalg.svd(matrix, compute_uv=False))
        kinds.append(kind)
    return AttentionSpectrum(values, kinds)


def ksvd_residual(estimator: Any, X: Table) -> dict[int, np.ndarray]:
    r"""Tell how far the projections of primal layers are from singular vectors.

    The share of the energy of e that lies outside the span of the kernel's leading s left singular
    vectors :math:`H_e`, and of r outside that of the right ones,

    .. math:: \sqrt{\frac{\lVert e - H_e H_e^\top e \rVert^2 + \lVert r - H_r H_r^\top r \rVert^2}
                         {\lVert e \rVert^2 + \lVert r \rVert^2}} ,

    whatever their order, scale and rotation. 0: the kernel SVD is reached. The term in the loss
    only promotes this. Where the rank s is the width of a head the span is everything and the
    residual 0 by construction, which says nothing.

    Parameters
    ----------
    estimator : PrimalAttentionClassifier or PrimalAttentionRegressor
        A fitted estimator with primal layers.
    X : array-like
        Rows of a table, or series.

    Returns
    -------
    dict of int to ndarray of shape (n_samples, n_heads)
        The residual, for each primal layer by its position.

    Raises
    ------
    ValueError
        No layer is primal.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_selfattn import PrimalAttentionClassifier
    >>> from sklearn_selfattn.primal import ksvd_residual
    >>> X, y = load_wine(return_X_y=True)
    >>> model = PrimalAttentionClassifier(rank=4, max_epochs=2, random_state=0).fit(X, y)
    >>> ksvd_residual(model, X[:5])[0].shape
    (5, 8)
    """
    check_is_fitted(estimator)
    layers = [i for i, kind in enumerate(estimator._kinds) if kind in ("primal", "svgp")]
    if not layers:
        raise ValueError(
            f"No layer of this {type(estimator).__name__} is primal: attention="
            f"{estimator.attention!r}."
        )
    found = {}
    for layer in layers:
        left, _, right = factor_svd(*estimator._layer_factors(X, layer))
        outside = total = 0.0
        for vectors, scores in zip(
            (left, right), estimator._layer_projections(X, layer), strict=True
        ):
            leading = vectors[..., : scores.shape[-1]]
            inside = leading @ (np.swapaxes(leading, -1, -2) @ scores)
            outside = outside + ((scores - inside) ** 2).sum(axis=(-2, -1))
            total = total + (scores**2).sum(axis=(-2, -1))
        found[layer] = np.sqrt(outside / np.where(total > 0, total, 1.0))
    return found
