"""What attention is taken to say before a graph is sought in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..core.maps import AttentionMaps, as_attention_maps

_LARGEST_CONDITION = 1e12  # beyond, partial correlations are rounding errors
_ALMOST_ONE = 1 - 1e-9


class DegenerateAttentionWarning(UserWarning):
    """A head's attention says the same of several tokens, so that no graph can be read off."""


def attention_correlation(weights: ArrayLike) -> np.ndarray:
    r"""Return the correlations between tokens that attention implies.

    Parameters
    ----------
    weights : array-like of shape (..., n_queries, n_keys)
        Attention, one row for each token that looks.

    Returns
    -------
    ndarray of shape (..., n_queries, n_queries)
        :math:`D^{-1/2} A A^\top D^{-1/2}` with :math:`D = \mathrm{diag}(A A^\top)`: cosines between
        rows. A factor on a row changes nothing.

    Examples
    --------
    >>> from sklearn_selfattn.causal import attention_correlation
    >>> attention_correlation([[1.0, 0.0], [0.6, 0.8]])
    array([[1. , 0.6],
           [0.6, 1. ]])
    """
    A = np.asarray(weights, dtype=np.float64)
    norm = np.linalg.norm(A, axis=-1, keepdims=True)
    A = np.divide(A, norm, out=np.zeros_like(A), where=norm > 0)
    R = A @ np.swapaxes(A, -1, -2)
    return (R + np.swapaxes(R, -1, -2)) / 2


def is_degenerate(R):
    """Tell whether correlations say that tokens are all alike, or some the same."""
    n = len(R)
    off = R[~np.eye(n, dtype=bool)]
    return n > 1 and (off.min() > _ALMOST_ONE or np.linalg.cond(R) > _LARGEST_CONDITION)


def checked_maps(found, check_rows):
    """Turn what holds attention into maps.

    Parameters
    ----------
    found : AttentionMaps or array-like
        What a model or a user gave.
    check_rows : bool
        Whether to refuse what is no shares.

    Returns
    -------
    AttentionMaps
        The maps.
    """
    if isinstance(found, AttentionMaps):
        if check_rows and found.kind == "kernel":
            raise ValueError(
                "These are maps of kind 'kernel', no attention: their rows need not be shares. "
                "check_rows=False reads them all the same."
            )
        return found
    if not check_rows:
        array = np.asarray(found, dtype=np.float64)
        if array.ndim == 3:
            array = array[:, None]  # samples with one head
        found = array.reshape((1,) * (5 - array.ndim) + array.shape)
        shape = found[0].shape
        return AttentionMaps(
            found, query_labels=range(shape[2]), key_labels=range(shape[3]),
            query_axis="query", key_axis="key", kind="kernel",
        )  # fmt: skip
    return as_attention_maps(_rows_to_one(found))


def node_mask(nodes, shape):
    """Turn positions or a mask into a mask of nodes.

    Parameters
    ----------
    nodes : array-like
        Positions, or a mask for one sample or for all.
    shape : tuple of two int
        Numbers of samples and of queries.

    Returns
    -------
    ndarray of bool of shape (n_samples, n_queries)
        Which queries are nodes.
    """
    nodes = np.asarray(nodes)
    if nodes.dtype == bool:
        if nodes.shape not in (shape, shape[1:]):
            raise ValueError(
                f"A mask of nodes has to have the shape {shape[1:]} or {shape}, got {nodes.shape}."
            )
        return np.broadcast_to(nodes, shape)
    mask = np.zeros(shape, dtype=bool)
    inside = nodes.ndim == 1 and nodes.dtype.kind in "iu"
    if not inside or (np.abs(nodes + 0.5) > shape[1]).any():
        raise ValueError(
            f"nodes has to be a mask or positions among {shape[1]} queries, got {nodes!r}."
        )
    mask[:, nodes] = True
    return mask


def _rows_to_one(weights):
    """Refuse rows that are no shares to three digits, and rescale the others exactly."""
    if not isinstance(weights, list | tuple):
        weights = np.asarray(weights, dtype=np.float64)
        if weights.ndim == 3:
            weights = weights[:, None]
    layers = weights if isinstance(weights, list | tuple) else [weights]
    scaled = []
    for layer in layers:
        layer = np.asarray(layer, dtype=np.float64)
        sums = layer.sum(axis=-1, keepdims=True)
        if not np.isfinite(layer).all():
            raise ValueError("Attention weights must be finite.")
        if (layer < -1e-9).any() or (np.abs(sums - 1) > 1e-3).any():
            raise ValueError(
                "Attention has rows of shares, not negative, that sum to 1; here the smallest "
                f"weight is {layer.min():.3g} and sums go from {sums.min():.3g} to "
                f"{sums.max():.3g}. "
                "Weights taken in training mode have dropout in them: take them in eval mode. "
                "check_rows=False reads any matrix that mixes tokens."
            )
        layer = np.maximum(layer, 0.0)  # what rounding made of zeros
        scaled.append(layer / layer.sum(axis=-1, keepdims=True))
    return scaled if isinstance(weights, list | tuple) else scaled[0]
