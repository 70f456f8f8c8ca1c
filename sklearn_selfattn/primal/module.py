"""The net around primal attention: tokens, blocks, pooling (torch only).

Letters in shapes: m members, n series (or rows of a table), t steps (tokens), g channels, d
width, p parts, k outputs.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.attention import FeedForward, MemberLinear, normalize
from ..core.tokens import CellTokenizer
from .attention import (
    BayesianPrimalAttention,
    LinearAttention,
    NoAttention,
    PrimalAttention,
    SoftmaxAttention,
    Steps,
    even_rows,
)

#: Steps around a step that the convolutional stem sees: dense nearby, sparse farther off.
OFFSETS = (-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12)
N_WAVES = 4  # of the relative time, in the tokens of a series
N_BINS = 8  # of a number, in the tokens of a table


class SeriesTokenizer(nn.Module):
    r"""Turn each step of a series into a vector.

    stem "conv" sees the steps around it, in two layers with a GELU between them; "linear" the step
    alone. To this comes where the step stands: waves of its time relative to the series' length,
    or a vector learnt for each step, with the embedding scaled by :math:`\sqrt d` (published).

    Shape: input ``(n, t, g)``, output ``(m, n, t, d)``.

    Parameters
    ----------
    n_members, n_channels, d_model : int
        Sizes m, g and d.
    stem : {"conv", "linear"}
        What a token sees.
    n_learnt : int
        Steps that get a learnt vector; 0 takes waves.
    """

    def __init__(
        self, n_members: int, n_channels: int, d_model: int, stem: str, n_learnt: int
    ) -> None:
        super().__init__()
        self.offsets = OFFSETS if stem == "conv" else (0,)
        self.embed = MemberLinear(n_members, len(self.offsets) * n_channels, d_model)
        self.hidden = MemberLinear(n_members, d_model, d_model) if stem == "conv" else None
        self.learnt: nn.Parameter | None = None
        self.place = None
        if n_learnt:
            start = torch.empty(n_members, 1, n_learnt, d_model).uniform_(-0.02, 0.02)
            self.learnt = nn.Parameter(start)
        else:
            self.place = MemberLinear(n_members, 1 + 2 * N_WAVES, d_model)
        self.no_weight_decay = {"learnt"}

    def forward(self, X: Tensor, lengths: Tensor) -> Tensor:
        n_members, t = self.embed.weight.shape[0], X.shape[1]
        reach = max(self.offsets)
        padded = F.pad(X, (0, 0, reach, reach))
        windows = torch.cat([padded[:, reach + o : reach + o + t] for o in self.offsets], dim=-1)
        x = self.embed(windows.expand(n_members, *windows.shape))
        if self.hidden is not None:
            x = self.hidden(F.gelu(normalize(x)))
        if self.place is None:
            assert self.learnt is not None
            return x * math.sqrt(x.shape[-1]) + self.learnt[:, :, :t]  # type: ignore[no-any-return]
        time = (torch.arange(t, dtype=X.dtype, device=X.device) + 0.5) / lengths[:, None]
        time = time.unsqueeze(-1)  # (n, t, 1)
        angle = math.pi * time * torch.arange(1, N_WAVES + 1, dtype=X.dtype, device=X.device)
        waves = torch.cat([time, angle.sin(), angle.cos()], dim=-1)
        return x + self.place(waves.expand(n_members, *waves.shape))  # type: ignore[no-any-return]


def part_weights(lengths: Tensor, t: int, n_parts: int, dtype: torch.dtype) -> Tensor:
    """Return the weights of steps in overlapping parts of each series, ``(n, p, t)``.

    The centres are evenly spaced over the series' own length; a weight falls along a line to
    zero at the next centre (at the next step, where steps are fewer). Rows sum to 1.
    """
    steps = torch.arange(t, dtype=dtype, device=lengths.device)
    last = (lengths.to(dtype) - 1).clamp(min=0.5)[:, None]  # (n, 1)
    centers = torch.linspace(0, 1, n_parts, dtype=dtype, device=lengths.device)
    width = torch.full_like(last, 1 / max(n_parts - 1, 1)).maximum(1 / last)
    distance = (steps / last).unsqueeze(1) - centers[:, None]  # (n, p, t)
    weight = (1 - distance.abs() / width[..., None]).clamp(min=0)
    weight = weight * (steps < lengths[:, None]).unsqueeze(1)
    return weight / weight.sum(dim=-1, keepdim=True)


class Head(nn.Module):
    """Pool the tokens of a series and read the outputs off: ``(m, n, t, d) -> (m, n, k)``.

    Parameters
    ----------
    n_members, n_tokens, d_model, n_outputs : int
        Sizes m, t, d and k.
    pooling : "flatten", "mean" or int
        All tokens side by side, their mean, or the means of so many parts and the maximum.
    dropout : float
        Share of the pooled numbers set to zero in training.
    paper : bool
        Whether a GELU comes first (published).
    """

    def __init__(
        self,
        n_members: int,
        n_tokens: int,
        d_model: int,
        n_outputs: int,
        pooling: str | int,
        dropout: float,
        paper: bool,
    ) -> None:
        super().__init__()
        self.pooling, self.dropout, self.paper = pooling, dropout, paper
        if isinstance(pooling, str):
            n_vectors = n_tokens if pooling == "flatten" else 1
        else:
            n_vectors = pooling + 1
        self.out = MemberLinear(n_members, n_vectors * d_model, n_outputs)

    def pool(self, x: Tensor, steps: Steps) -> Tensor:
        """Return the pooled tokens, ``(m, n, vectors * d)``."""
        if self.pooling == "flatten":
            if steps.padding is not None:
                x = x.masked_fill(steps.padding, 0.0)
            return x.flatten(2)
        if self.pooling == "mean":
            if steps.padding is None:
                return x.mean(dim=2)
            return x.masked_fill(steps.padding, 0.0).sum(dim=2) / steps.lengths[:, None]
        parts = part_weights(steps.lengths, x.shape[2], int(self.pooling), x.dtype) @ x
        if steps.padding is not None:
            x = x.masked_fill(steps.padding, -torch.inf)
        return torch.cat([parts.flatten(2), x.amax(dim=2)], dim=-1)

    def forward(self, x: Tensor, steps: Steps) -> Tensor:
        pooled = self.pool(F.gelu(x) if self.paper else x, steps)
        return self.out(F.dropout(pooled, self.dropout, self.training))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention and feed-forward, each with a residual: ``(m, n, t, d)`` in and out.

    Parameters
    ----------
    attention : torch.nn.Module
        Called with ``(x, steps)``, or ``(x, steps, noise)`` where there is noise.
    feed_forward : FeedForward
        Called with ``x``.
    dropout : float
        Share of the channels that either adds which are set to zero in training.
    post_norm : bool
        Whether sums are normalised (published) and not what attention is given.
    """

    def __init__(
        self, attention: nn.Module, feed_forward: FeedForward, dropout: float, post_norm: bool
    ) -> None:
        super().__init__()
        self.attention, self.feed_forward = attention, feed_forward
        self.dropout, self.post_norm = dropout, post_norm

    def seen(self, x: Tensor) -> Tensor:
        """Return what attention is given."""
        return x if self.post_norm else normalize(x)

    def _drop(self, x: Tensor) -> Tensor:
        """Drop channels of a series as a whole: far fewer draws than one for each number."""
        if not (self.training and self.dropout):
            return x
        m, n, _, d = x.shape
        return x * F.dropout(x.new_ones(m, n, 1, d), self.dropout)

    def forward(self, x: Tensor, steps: Steps, noise: Tensor | None = None) -> Tensor:
        given = self.seen(x)
        if isinstance(self.attention, BayesianPrimalAttention):
            added = self.attention(given, steps, noise)
        else:
            added = self.attention(given, steps)
        x = x + self._drop(added)
        x = normalize(x) if self.post_norm else x
        x = x + self._drop(self.feed_forward(x))
        return normalize(x) if self.post_norm else x


class PrimalNet(nn.Module):
    r"""Members that read series or tables with primal attention, or a twin of it.

    Shape: input ``(n, t, g)`` with NaN after the end of a series, or ``(n, t)``, the encoded cells
    of a table; output ``(n, m, k)``. Called with noise ``(m, n or 1, h, s, s)`` it returns one draw
    from the posterior of the last layer.

    Parameters
    ----------
    n_members : int
        Number of independent nets, m.
    n_channels : int or None
        Channels of the series, g; None for a table.
    n_categories : sequence of int or None
        Categories of each column of a table, 0 where it is numeric.
    n_outputs : int
        Number of outputs, k.
    kinds : sequence of {"primal", "svgp", "softmax", "linear", "none"}
        The attention of each layer.
    d_model, n_heads, d_hidden : int
        Width, heads, and width of the feed-forward part.
    rank, n_rows : int
        Of primal attention.
    n_tokens : int
        The longest series, or the columns of the table.
    stem : {"conv", "linear"}
        What a token of a series sees.
    pooling : "flatten", "mean" or int
        See `Head`.
    paper : bool
        Learnt positions, normalisation after each sum, and padding that is sampled and counted as
        if it were steps, as published.
    dropout, eta, kl_weight : float
        Dropout; weights of the kernel SVD's term and of the divergence from the prior.
    data_dependent, trace
        See `PrimalAttention`.
    reduction : {"sample", "batch"}
        Whether J is squared for each row, or its mean over the batch is.
    has_noise_scale : bool
        Whether the logarithm of a noise scale is learnt and put behind the output.

    Examples
    --------
    >>> import torch
    >>> from sklearn_selfattn.primal.module import PrimalNet
    >>> net = PrimalNet(
    ...     2, 3, None, 5, kinds=["softmax", "primal"], d_model=8, n_heads=2, d_hidden=16, rank=4,
    ...     n_rows=10, n_tokens=20, stem="conv", pooling=4,
    ... )
    >>> net(torch.randn(7, 20, 3)).shape
    torch.Size([7, 2, 5])
    """

    def __init__(
        self,
        n_members: int,
        n_channels: int | None,
        n_categories: Sequence[int] | None,
        n_outputs: int,
        *,
        kinds: Sequence[str],
        d_model: int,
        n_heads: int,
        d_hidden: int,
        rank: int,
        n_rows: int,
        n_tokens: int,
        stem: str,
        pooling: str | int,
        paper: bool = False,
        dropout: float = 0.0,
        eta: float = 0.1,
        kl_weight: float = 0.0,
        data_dependent: bool = True,
        reduction: str = "sample",
        trace: str = "parameters",
        has_noise_scale: bool = False,
    ) -> None:
        super().__init__()
        self.n_rows, self.paper = n_rows, paper
        self.eta, self.kl_weight, self.reduction = eta, kl_weight, reduction
        self.tokens: nn.Module
        if n_categories is not None:
            self.tokens = CellTokenizer(n_members, n_categories, d_model, N_BINS)
        else:
            n_learnt = n_tokens if paper else 0
            self.tokens = SeriesTokenizer(n_members, n_channels or 1, d_model, stem, n_learnt)

        def attention(kind: str) -> nn.Module:
            if kind == "none":
                return NoAttention(n_members, d_model)
            if kind in ("softmax", "linear"):
                twin = SoftmaxAttention if kind == "softmax" else LinearAttention
                return twin(n_members, d_model, n_heads)
            primal = BayesianPrimalAttention if kind == "svgp" else PrimalAttention
            return primal(
                n_members, d_model, n_heads, rank, n_rows,
                data_dependent=data_dependent, trace=trace,
            )  # fmt: skip

        self.blocks = nn.ModuleList(
            Block(attention(kind), FeedForward(n_members, d_model, d_hidden), dropout, paper)
            for kind in kinds
        )  # fmt: skip
        self.head = Head(n_members, n_tokens, d_model, n_outputs, pooling, dropout, paper)
        self.log_noise = nn.Parameter(torch.zeros(n_members)) if has_noise_scale else None
        is_bayesian = kinds[-1] == "svgp"
        self.noise_shape = (n_members, 1, n_heads, rank, rank) if is_bayesian else None
        self.no_weight_decay = {
            f"{path}.{name}"
            for path, part in self.named_modules()
            if path and hasattr(part, "no_weight_decay")
            for name in part.no_weight_decay
        }

    def steps_of(self, X: Tensor) -> Steps:
        """Return which tokens are real and which are sampled."""
        t = X.shape[1]
        if X.ndim == 2 or self.paper:
            lengths = torch.full(X.shape[:1], t, device=X.device)
        else:
            lengths = t - X[..., 0].isnan().sum(dim=1)
        mask = torch.arange(t, device=X.device) < lengths[:, None]
        if self.paper:  # steps of padding are sampled and counted; the head alone knows them
            rows = torch.linspace(0, t - 1, self.n_rows, dtype=torch.int64, device=X.device)
            padding = X[..., 0].isnan() if X.ndim == 3 else None
            return Steps(None, rows, lengths, padding)
        # a graph that is exported or compiled is one for all: it takes every step as if padded
        is_full = X.ndim == 2 or (not torch.compiler.is_compiling() and bool(mask.all()))
        if is_full:
            return Steps(None, even_rows(lengths[:1], self.n_rows)[0], lengths)
        return Steps(mask, even_rows(lengths, self.n_rows), lengths, ~mask)

    def embed(self, X: Tensor, steps: Steps) -> Tensor:
        """Return the tokens, ``(m, n, t, d)``."""
        if isinstance(self.tokens, CellTokenizer):
            return self.tokens(X.unsqueeze(0))  # type: ignore[no-any-return]
        return self.tokens(X.nan_to_num(), steps.lengths)  # type: ignore[no-any-return]

    def layer_input(self, X: Tensor, layer: int) -> tuple[Tensor, Steps]:
        """Return what the attention of a layer is given, ``(m, n, t, d)``, without noise."""
        steps = self.steps_of(X)
        x = self.embed(X, steps)
        for block in self.blocks[:layer]:
            x = block(x, steps)
        return self.blocks[layer].seen(x), steps  # type: ignore[operator]

    def forward(self, X: Tensor, noise: Tensor | None = None) -> Tensor:
        steps = self.steps_of(X)
        x = self.embed(X, steps)
        for block in self.blocks:
            x = block(x, steps, noise)
        out = self.head(normalize(x), steps).transpose(0, 1)  # (n, m, k)
        if self.log_noise is None:
            return out  # type: ignore[no-any-return]
        return torch.cat([out, self.log_noise[None, :, None].expand(out.shape[0], -1, 1)], dim=-1)

    def penalty(self) -> Tensor:
        r"""Return :math:`\eta J^2`, a mean over primal layers, and the weighted divergence."""
        attentions = [block.attention for block in self.blocks]
        primal = [a for a in attentions if isinstance(a, PrimalAttention)]
        total = torch.zeros((), device=self.head.out.weight.device)
        if primal and self.eta:
            J = torch.stack([a.objective for a in primal])  # (layers, m, n)
            J = J if self.reduction == "sample" else J.mean(dim=2)
            total = total + self.eta * J.square().mean()
        for a in primal:
            if isinstance(a, BayesianPrimalAttention):
                total = total + self.kl_weight * a.kl().mean()
        return total

    def features_of(self, X: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        r"""Return :math:`\phi(Q), \phi(K)` of a primal layer, ``(n, m * h, t, c)`` each."""
        x, steps = self.layer_input(X, layer)
        phi_q, phi_k = self.blocks[layer].attention.features(x, steps).unbind(2)  # type: ignore[union-attr, operator]
        return _by_row(phi_q), _by_row(phi_k)

    def projections_of(self, X: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Return e and r of a primal layer, ``(n, m * h, t, s)`` each."""
        x, steps = self.layer_input(X, layer)
        e, r = self.blocks[layer].attention.scores(x, steps).unbind(2)  # type: ignore[union-attr, operator]
        return _by_row(e), _by_row(r)

    def map_of(self, X: Tensor, layer: int, chosen: Tensor) -> Tensor:
        """Return the attention weights or kernel between chosen tokens, ``(n, m * h, t, t)``.

        The net sees all tokens; the rows of a softmax are over the chosen ones.
        """
        attention = self.blocks[layer].attention
        if isinstance(attention, PrimalAttention):
            phi_q, phi_k = self.features_of(X, layer)
            return phi_q[:, :, chosen] @ phi_k[:, :, chosen].mT
        x, steps = self.layer_input(X, layer)
        mask = None if steps.mask is None else steps.mask[:, chosen]
        few = Steps(mask, steps.rows, steps.lengths)
        return _by_row(attention.shares(x[:, :, chosen], few))  # type: ignore[union-attr, operator]


def _by_row(x: Tensor) -> Tensor:
    """``(m, n, h, ...) -> (n, m * h, ...)``."""
    return x.transpose(0, 1).flatten(1, 2)
