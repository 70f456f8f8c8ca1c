"""Attention and its companions, for several ensemble members at once (torch only).

Every layer holds the weights of `n_members` independent networks side by side and works on
tensors with a leading member axis, ``(m, n, ..., d)``: one batched matrix product instead of
`n_members` small ones, which is what makes a small ensemble affordable on small tables.

Letters in shapes: m members, h heads, q queries, k keys, c channels of a head.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MemberLinear(nn.Module):
    """One linear map per member: ``y[m] = x[m] @ weight[m] + bias[m]``.

    Shape: input ``(m, ..., d_in)``, output ``(m, ..., d_out)``.

    Parameters
    ----------
    n_members : int
        Number of independent maps.
    d_in, d_out : int
        Widths.
    bias : bool, default=True
        Whether to add a bias, which starts at zero.
    scale : float, default=1.0
        Factor on the initial weights, uniform in ``+-scale / sqrt(d_in)``.

    Examples
    --------
    >>> import torch
    >>> from sklearn_selfattn.core.attention import MemberLinear
    >>> MemberLinear(4, 8, 3)(torch.zeros(4, 10, 5, 8)).shape
    torch.Size([4, 10, 5, 3])
    """

    def __init__(
        self, n_members: int, d_in: int, d_out: int, *, bias: bool = True, scale: float = 1.0
    ) -> None:
        super().__init__()
        bound = scale / math.sqrt(d_in)
        self.weight = nn.Parameter(torch.empty(n_members, d_in, d_out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(n_members, 1, d_out)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1, -2)  # (m, rows, d_in)
        if self.bias is None:
            out = torch.bmm(flat, self.weight)
        else:
            out = torch.baddbmm(self.bias, flat, self.weight)
        return out.view(*x.shape[:-1], out.shape[-1])


class FeedForward(nn.Module):
    """``x -> W2 gelu(W1 normalize(x))``; the caller adds the residual.

    Shape: input and output ``(m, ..., d)``.

    Parameters
    ----------
    n_members : int
        Number of members.
    d, d_hidden : int
        Widths of the input and of the hidden layer.
    dropout : float, default=0.0
        Share of hidden units set to zero in training.
    """

    def __init__(self, n_members: int, d: int, d_hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.expand = MemberLinear(n_members, d, d_hidden)
        self.contract = MemberLinear(n_members, d_hidden, d)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.gelu(self.expand(normalize(x)))
        return self.contract(F.dropout(hidden, self.dropout, self.training))  # type: ignore[no-any-return]


def normalize(x: Tensor) -> Tensor:
    """Layer norm over the last axis without gain or shift: the next linear map has them."""
    return F.layer_norm(x, x.shape[-1:])


def split_heads(x: Tensor, n_heads: int) -> Tensor:
    """``(..., n, h * c) -> (..., h, n, c)``."""
    return x.view(*x.shape[:-1], n_heads, x.shape[-1] // n_heads).transpose(-3, -2)


def merge_heads(x: Tensor) -> Tensor:
    """``(..., h, n, c) -> (..., n, h * c)``."""
    return x.transpose(-3, -2).flatten(-2)


def attend(
    Q: Tensor, K: Tensor, V: Tensor, scale: float, *, weights: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Attend from every query to every key: ``softmax(scale Q K^T) V``.

    Parameters
    ----------
    Q : Tensor of shape (..., h, q, c)
        Queries.
    K : Tensor of shape (..., h, k, c)
        Keys.
    V : Tensor of shape (..., h, k, v)
        Values.
    scale : float
        Factor on the scores, ``1 / sqrt(c)`` as a rule.
    weights : bool, default=False
        Whether to return the attention weights, which costs their memory.

    Returns
    -------
    output : Tensor of shape (..., h, q, v)
        The values, averaged.
    weights : Tensor of shape (..., h, q, k), or None
        Rows sum to 1.
    """
    if not weights:
        # The kernels that never hold all scores at once want values as wide as keys: half the
        # time, and memory that does not grow with the square of the rows.
        width = max(Q.shape[-1], V.shape[-1])
        if width > Q.shape[-1]:
            Q, K = F.pad(Q, (0, width - Q.shape[-1])), F.pad(K, (0, width - K.shape[-1]))
        wide_V = F.pad(V, (0, width - V.shape[-1]))
        out = F.scaled_dot_product_attention(Q, K, wide_V, scale=scale)
        return out[..., : V.shape[-1]], None
    share = (scale * Q @ K.mT).softmax(dim=-1)  # (..., h, q, k)
    return share @ V, share


def attend_and_self(
    Q: Tensor, K: Tensor, V: Tensor, own_K: Tensor, own_V: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """Attend from each query to every key and to a key of its own, never to other queries.

    What makes the prediction of a row independent of the rows predicted beside it.

    Parameters
    ----------
    Q : Tensor of shape (..., h, q, c)
        Queries.
    K, V : Tensor of shape (..., h, k, c)
        Keys and values that all queries share (there may be none).
    own_K, own_V : Tensor of shape (..., h, q, c)
        Key and value of each query itself.
    scale : float
        Factor on the scores.

    Returns
    -------
    output : Tensor of shape (..., h, q, c)
        The values, averaged.
    weights : Tensor of shape (..., h, q, k + 1)
        Rows sum to 1; the last entry is the query's weight on itself.
    """
    Q = scale * Q
    own_score = (Q * own_K).sum(dim=-1, keepdim=True)  # (..., h, q, 1)
    share = torch.cat([Q @ K.mT, own_score], dim=-1).softmax(dim=-1)  # (..., h, q, k + 1)
    return share[..., :-1] @ V + share[..., -1:] * own_V, share
