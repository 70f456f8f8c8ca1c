"""The separation rank of linear-attention networks, computed exactly in a finite field."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Literal

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from ..core.typing import validate_params
from .bounds import _check_heads, _sides, upper_bound

PRIME = 67_108_859  # the largest below 2^26: a product of two numbers is exact in float64
_SPLIT = 2.0**13
_PANEL = 64  # columns eliminated at a time
_PAIRS = 2**16  # pairs of templates evaluated at a time
_COUNT = Interval(Integral, 1, None, closed="left")


@validate_params(
    {
        "depth": [_COUNT],
        "width": [_COUNT],
        "n_heads": [_COUNT],
        "n_tokens": [_COUNT, tuple],
        "n_templates": [_COUNT, StrOptions({"auto"})],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def exact_separation_rank(
    depth: int,
    width: int,
    n_heads: int = 1,
    n_tokens: int | tuple[int, int] = (3, 3),
    *,
    n_templates: Literal["auto"] | int = "auto",
    random_state: int | np.random.RandomState | None = None,
) -> int:
    r"""Compute the separation rank of a network of linear attention with random weights.

    Floating point is of no use here: the outputs are polynomials of degree :math:`3^L`, and
    small singular values drown. Instead weights and inputs are drawn from the integers modulo
    a prime near :math:`2^{26}`, the network is evaluated for every pair of inputs to its two
    sides, and the rank of that matrix is found by elimination modulo the prime. Chance can only
    lower it, with a probability of the order of degree times rank over the prime.

    Parameters
    ----------
    depth : int
        Layers L.
    width : int
        Width d of a token.
    n_heads : int, default=1
        Heads, which divide the width.
    n_tokens : int or tuple of two ints, default=(3, 3)
        Tokens, or tokens on either side; the first side holds the one that is read.
    n_templates : int or "auto", default="auto"
        Inputs drawn for each side. "auto" takes a fifth more than the upper bound on the rank.
    random_state : int, RandomState instance or None, default=None
        Draws weights and inputs.

    Returns
    -------
    int
        The rank: the separation rank, if `n_templates` is larger.

    Raises
    ------
    ValueError
        A number is not a positive integer, `n_heads` does not divide `width`, or the upper
        bound asks for more than 10,000 templates.

    Notes
    -----
    For n templates, :math:`O(n^2 L H d^3)` operations to evaluate and :math:`O(n^3)` to
    eliminate, in :math:`O(n^2)` memory: seconds for n = 2,000. The network is

    .. math:: x_i \leftarrow \sum_h O_h \sum_j \langle Q_h x_i, K_h x_j \rangle V_h x_j ,

    evaluated through :math:`G = \sum_j x_j x_j^T`, at a cost that does not depend on the number of
    tokens.

    References
    ----------
    .. [1] Levine, Wies, Sharir, Bata, Shashua, "Limits to Depth Efficiencies of
       Self-Attention", NeurIPS 2020, arXiv:2006.12467.

    Examples
    --------
    >>> from sklearn_selfattn.depth_width import exact_separation_rank
    >>> exact_separation_rank(2, 3, n_heads=1, n_tokens=(3, 3), random_state=0)
    49
    >>> exact_separation_rank(1, 4, n_heads=2, n_tokens=(4, 4), random_state=0)  # d + 1
    5
    """
    _check_heads(width, n_heads)
    n_a, n_b = _sides(n_tokens)
    if n_templates == "auto":
        bound = upper_bound(depth, width, n_a == 1, n_b == 1) if depth <= 8 else math.inf
        if bound > 8000:
            raise ValueError(
                f"The rank may be as high as {bound}, too high to be computed: take a smaller "
                "depth or width, or give n_templates, which then limits the rank."
            )
        n_templates = math.ceil(1.2 * bound) + 1
    rng = check_random_state(random_state)
    layers = [_draw_layer(width, n_heads, rng) for _ in range(depth)]
    A, B = (rng.randint(PRIME, size=(n_templates, n, width)).astype(np.float64) for n in (n_a, n_b))
    return _rank(_evaluate_pairs(A, B, layers))


def _draw_layer(d, n_heads, rng):
    """Return O_h V_h and K_h^T Q_h of all heads, as the two products in `_layer_map` want them."""
    shape = (n_heads, d // n_heads, d)
    Q, K, V = (rng.randint(PRIME, size=shape).astype(np.float64) for _ in range(3))
    out = rng.randint(PRIME, size=(n_heads, d, d // n_heads)).astype(np.float64)
    OV = _matmul(out, V)  # (h, d, d)
    KQ = _matmul(K.transpose(0, 2, 1), Q)  # (h, d, d)
    return OV.transpose(2, 0, 1).reshape(d, n_heads * d), KQ.reshape(n_heads * d, d)


def _evaluate_pairs(A, B, layers):
    """Return the first output coordinate for all pairs, with the first token of A read."""
    n, d = len(A), A.shape[-1]
    G_A, G_B = (_matmul(X.transpose(0, 2, 1), X) for X in (A, B))  # (n, d, d)
    values = np.empty((n, n))
    rows_at_once = max(1, _PAIRS // n)
    for start in range(0, n, rows_at_once):
        rows = slice(start, start + rows_at_once)
        G = _mod(G_A[rows, None] + G_B).reshape(-1, d, d)
        x = np.repeat(A[rows, 0], n, axis=0)  # (pairs, d)
        for i, layer in enumerate(layers):
            M = _layer_map(G, layer)
            x = _mod(_mod(M * x[:, None, :]).sum(axis=2))
            if i + 1 < len(layers):
                G = _matmul(_matmul(M, G), M.transpose(0, 2, 1))
        values[rows] = x[:, 0].reshape(-1, n)
    return values


def _layer_map(G, layer):
    """Return sum_h O_h V_h G K_h^T Q_h for symmetric G of shape (pairs, d, d)."""
    OV, KQ = layer
    n, d, _ = G.shape
    n_heads = len(KQ) // d
    left = _matmul(G.reshape(-1, d), OV).reshape(n, d, n_heads, d)  # (O_h V_h G)^T, head by head
    left = left.transpose(0, 3, 2, 1).reshape(n * d, n_heads * d)
    return _matmul(left, KQ).reshape(n, d, d)


def _mod(x):
    """Reduce whole numbers below 2^53 in size."""
    x = x - np.floor(x * (1 / PRIME)) * PRIME
    x += PRIME * (x < 0)
    x -= PRIME * (x >= PRIME)
    return x


def _matmul(X, Y):
    """Multiply modulo the prime: halves of 13 bits keep every sum below 2^53."""
    high = np.floor(X / _SPLIT)
    return _mod(_mod(high @ Y) * _SPLIT + (X - high * _SPLIT) @ Y)


def _rank(M):
    """Return the rank modulo the prime, by elimination in panels."""
    M, n_pivots = M.copy(), 0
    for start in range(0, M.shape[1], _PANEL):
        rest = M[n_pivots:]
        if not len(rest):
            break
        stop = min(start + _PANEL, M.shape[1])
        lower, found = _eliminate_panel(rest, start, stop)
        top = rest[:found, stop:]
        for i in range(found):
            top[i] = _mod(top[i] - _matmul(lower[i : i + 1, :i], top[:i])[0]) if i else top[i]
        if found and stop < M.shape[1]:
            rest[found:, stop:] = _mod(rest[found:, stop:] - _matmul(lower[found:], top))
        n_pivots += found
    return n_pivots


def _eliminate_panel(rest, start, stop):
    """Eliminate the columns of a panel, swapping whole rows; return factors and pivots found."""
    lower = np.zeros((len(rest), stop - start))
    found = 0
    for column in range(start, stop):
        candidates = np.flatnonzero(rest[found:, column])
        if not len(candidates):
            continue
        pivot = found + candidates[0]
        if pivot != found:
            rest[[found, pivot]] = rest[[pivot, found]]
            lower[[found, pivot]] = lower[[pivot, found]]
        inverse = float(pow(int(rest[found, column]), -1, PRIME))
        factor = _mod(rest[found + 1 :, column] * inverse)
        panel = rest[found + 1 :, column:stop]
        panel -= _mod(factor[:, None] * rest[found, column:stop])
        panel[:] = _mod(panel)
        lower[found + 1 :, found] = factor
        found += 1
        if found == len(rest):
            break
    return lower[:, :found], found
