"""Bounds on the separation rank of self-attention networks, in logarithms or as exact integers."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

import numpy as np
from scipy.special import betaln, gammaln, logsumexp
from sklearn.utils._param_validation import Interval

from ..core.typing import validate_params

_COUNT = Interval(Integral, 1, None, closed="left")
_SUMMED = 5000  # sums of more terms are bounded by a closed form
_LARGEST_EXPONENT = 600  # 3 to a higher power is beyond a float


@validate_params(
    {
        "depth": [_COUNT],
        "width": [_COUNT],
        "n_heads": [_COUNT],
        "n_tokens": [_COUNT, tuple, None],
    },
    prefer_skip_nested_validation=True,
)
def separation_rank_bounds(
    depth: int, width: int, n_heads: int = 1, n_tokens: int | tuple[int, int] | None = None
) -> dict[str, Any]:
    r"""Bound how strongly a self-attention network can tie two halves of its input together.

    The separation rank of a function of two groups of inputs is the least number of products
    :math:`g_r(a) \, g'_r(b)` that add up to it: 1 for a function that keeps them apart, 2 for one
    that adds them, more the more they interact. For networks of linear attention without
    feed-forward it grows with :math:`3^L` while :math:`L < \log_3 d`, and only linearly in L
    beyond. So width caps what further layers are good for.

    Parameters
    ----------
    depth : int
        Layers L.
    width : int
        Width d of a token.
    n_heads : int, default=1
        Heads H, which divide the width.
    n_tokens : int or tuple of two ints, default=None
        Tokens, or tokens on either side; the first side holds the one that is read. Only a
        single token on a side changes a bound; None is many.

    Returns
    -------
    dict
        - log_lower, log_upper : natural logarithms of the bounds;
        - regime : "below threshold" where :math:`L < \log_3 d`, else "above threshold";
        - threshold : :math:`\log_3 d`.

    Raises
    ------
    ValueError
        A number is not a positive integer, or `n_heads` does not divide `width`.

    Notes
    -----
    The lower bound [1]_ holds for almost all weights. With
    :math:`n = \lfloor (d - H)/2 \rfloor` and :math:`k = 3^{L-2}` it is the multiset coefficient

    .. math:: \left(\!\binom{n}{k}\!\right) = \binom{n + k - 1}{k}
       \geq \max\left( (n/k)^k, \; (k/n)^{n-1} \right),

    of which the theorem states the two estimates on the right, for below and above the threshold.

    The upper bound is ours, and for one head it is attained. With
    :math:`G = \sum_j x_j x_j^T` a layer maps :math:`x_i \leftarrow A(G) x_i` and
    :math:`G \leftarrow A(G) G A(G)^T`, so that the output is linear in :math:`x_i` and a form of
    degree :math:`C = (3^L - 1)/2` in :math:`G = G_A + G_B`. Its part of degree c in
    :math:`G_B` takes at most :math:`m(c)` functions of B and :math:`d \, m(C - c)` of A, hence

    .. math:: \mathrm{sep} \leq \sum_{c=0}^{C} \min\left( m(c), \, d \, m(C - c) \right), \qquad
       m(c) = \binom{D + c - 1}{c}, \quad D = \frac{d (d + 1)}{2} .

    Computed in logarithms, in under a millisecond at any size. Softmax, norms and feed-forward
    layers are outside the theory, and the rank says nothing of generalisation.

    References
    ----------
    .. [1] Levine, Wies, Sharir, Bata, Shashua, "Limits to Depth Efficiencies of
       Self-Attention", NeurIPS 2020, arXiv:2006.12467.

    Examples
    --------
    >>> from sklearn_selfattn.depth_width import separation_rank_bounds
    >>> bounds = separation_rank_bounds(depth=2, width=27, n_heads=3)
    >>> round(bounds["log_lower"], 2), round(bounds["log_upper"], 2), bounds["regime"]
    (2.48, 11.32, 'below threshold')
    >>> round(separation_rank_bounds(48, 12288, 96)["log_lower"])
    260988
    """
    _check_heads(width, n_heads)
    few_a, few_b = (tokens == 1 for tokens in _sides(n_tokens))
    threshold = math.log(width) / math.log(3)
    return {
        "log_lower": log_lower(depth, width, n_heads),
        "log_upper": _log_upper(depth, width, few_a, few_b),
        "regime": "below threshold" if depth < threshold else "above threshold",
        "threshold": threshold,
    }


def _check_heads(width, n_heads):
    if width % n_heads:
        raise ValueError(f"n_heads has to divide width, got n_heads={n_heads} and width={width}.")


def _sides(n_tokens):
    """Return the tokens on either side, None for many."""
    if n_tokens is None:
        return None, None
    if isinstance(n_tokens, tuple):
        if len(n_tokens) == 2 and all(isinstance(n, Integral) and int(n) >= 1 for n in n_tokens):
            return n_tokens
        raise ValueError(f"n_tokens has to hold two positive integers, got {n_tokens}.")
    if n_tokens < 2:
        raise ValueError(f"n_tokens has to be at least 2, one on either side, got {n_tokens}.")
    return n_tokens - n_tokens // 2, n_tokens // 2


def log_multichoose(n, k):
    """Return log C(n + k - 1, k), accurate also where k is many orders above n."""
    return -np.log(np.float64(n + k)) - betaln(np.float64(k + 1), np.float64(n))


def log_lower(depth, width, n_heads):
    """Return the log of the multiset coefficient, 0 where it says nothing."""
    n = (width - n_heads) // 2
    if depth < 2 or n < 2:
        return 0.0
    if depth - 2 > _LARGEST_EXPONENT:  # k^(n-1) / (n-1)!, from which nothing is left to add
        return float((n - 1) * (depth - 2) * math.log(3) - gammaln(n))
    return float(log_multichoose(n, 3 ** (depth - 2)))


def log_lower_estimates(depth, width, n_heads):
    """Return the logs of the theorem's two estimates, for below and above the threshold."""
    n, log_k = (width - n_heads) // 2, (depth - 2) * math.log(3)
    return 3.0 ** (depth - 2) * (math.log(n) - log_k), (n - 1) * (log_k - math.log(n))


def _log_upper(depth, width, few_a, few_b):
    d, D = width, width * (width + 1) // 2
    C = (3**depth - 1) // 2
    if depth > _LARGEST_EXPONENT:
        # both halves of the sum at most C(D + C/2, D), whose log is D log(C/2) - log D!
        half = depth * math.log(3) - math.log(4)
        return float(math.log1p(d) + D * half - gammaln(D + 1))
    if (few_a or few_b) and C <= _SUMMED:
        return _log_sum_term_by_term(d, D, C, few_a, few_b)
    return _log_sum_of_minima(D, d, C)


def _log_sum_term_by_term(d, D, C, few_a, few_b):
    """Do what `upper_bound` does, in logarithms."""
    c = np.arange(C + 1.0)
    of_a, of_b = math.log(d) + log_multichoose(D, C - c), log_multichoose(D, c)
    if few_a:
        of_a = np.minimum(of_a, log_multichoose(d, 2 * (C - c) + 1))
    if few_b:
        of_b = np.minimum(of_b, log_multichoose(d, 2 * c))
    return float(logsumexp(np.minimum(of_a, of_b)))


def _log_sum_of_minima(D, d, C):
    """Return log of the sum over c of min(m(c), d m(C - c)): one rises, the other falls."""
    low, high = 0, C  # the last c at which m(c) is the smaller
    while low < high:
        middle = (low + high + 1) // 2
        if log_multichoose(D, middle) <= math.log(d) + log_multichoose(D, C - middle):
            low = middle
        else:
            high = middle - 1
    # sums of multiset coefficients are multiset coefficients
    rising = log_multichoose(D + 1, low)
    if low == C:
        return float(rising)
    return float(np.logaddexp(rising, math.log(d) + log_multichoose(D + 1, C - low - 1)))


def upper_bound(depth, width, few_a=False, few_b=False):
    """Return the upper bound as an integer; `few_a` and `few_b` tell of a single token."""
    d, D, C = width, width * (width + 1) // 2, (3**depth - 1) // 2

    def of_a(k):  # degree k in G_A beside x_i: with one token, degree 2 k + 1 in that token
        many = d * math.comb(D + k - 1, k)
        return min(many, math.comb(d + 2 * k, 2 * k + 1)) if few_a else many

    def of_b(k):
        many = math.comb(D + k - 1, k)
        return min(many, math.comb(d + 2 * k - 1, 2 * k)) if few_b else many

    return sum(min(of_b(c), of_a(C - c)) for c in range(C + 1))
