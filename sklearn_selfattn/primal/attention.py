"""Primal attention, its Bayesian variant, and the twins it is compared with (torch only).

Letters in shapes: m members, n series (or rows), h heads, t steps (tokens), d width, c channels
of a head, r sampled rows, s rank.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.attention import MemberLinear, attend, merge_heads, split_heads

EPSILON = 1e-6  # the least norm to divide by: a padded step has the norm 0


def unit_rows(x: Tensor) -> Tensor:
    """Divide rows by their Euclidean norm: the feature map of the cosine kernel."""
    return x * torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_min(EPSILON).reciprocal()  # type: ignore[no-any-return]


def even_rows(lengths: Tensor, n_rows: int) -> Tensor:
    """Choose evenly spaced steps of each series, ends included: ``(n,) -> (n, r)``.

    Spread over the series' own length, so that steps of padding play no part.
    """
    share = torch.linspace(0, 1, n_rows, dtype=torch.float64, device=lengths.device)
    return (share * (lengths[:, None] - 1)).round().long()


def take_rows(x: Tensor, rows: Tensor) -> Tensor:
    """Take the steps `rows` (n, r) or (r,) of ``x`` (m, n, t, d)."""
    if rows.ndim == 1:
        if torch.compiler.is_compiling():  # values may not decide which way a graph goes
            return x.index_select(2, rows)
        same = len(rows) == x.shape[2] and bool((rows == torch.arange(len(rows))).all())
        return x if same else x.index_select(2, rows)
    index = rows[None, :, :, None].expand(x.shape[0], -1, -1, x.shape[3])
    return x.gather(2, index)


class Steps:
    """Which tokens of a batch are real, and which of them are sampled.

    Parameters
    ----------
    mask : Tensor of bool of shape (n, t), or None
        True where there is a token; None where all are.
    rows : Tensor of int of shape (n, r) or (r,)
        Steps from which projection weights are built.
    lengths : Tensor of int of shape (n,)
        Number of tokens of each series.
    padding : Tensor of bool of shape (n, t), default=None
        True for the tokens that pooling leaves out; None leaves out none.
    """

    def __init__(
        self, mask: Tensor | None, rows: Tensor, lengths: Tensor, padding: Tensor | None = None
    ) -> None:
        self.mask, self.rows, self.lengths = mask, rows, lengths
        self.padding = None if padding is None else padding.unsqueeze(-1)  # (n, t, 1)

    def hide(self, x: Tensor) -> Tensor:
        """Set what stands at padded steps to zero, in ``x`` (m, n, h, t, c)."""
        return x if self.mask is None else x * self.mask[:, None, :, None]


class PrimalAttention(nn.Module):
    r"""Attention as the primal problem of a kernel SVD: linear in the number of tokens.

    With :math:`\phi(x) = x / \lVert x \rVert`, head by head,

    .. math:: e = \phi(Q) W_{e|X}, \quad r = \phi(K) W_{r|X}, \quad
        W_{e|X} = f(X)^\top W_e, \quad W_{r|X} = f(X)^\top W_r, \quad
        O = [e, r] C + b,

    where :math:`f(X)` are some evenly spaced tokens of the layer's input, cut into heads. Queries
    are functions of one token; the tokens meet in :math:`W_{e|X}` alone.

    Shape: input ``(m, n, t, d)``, output the same. `objective` then holds :math:`J`, ``(m, n)``.

    Parameters
    ----------
    n_members, d_model, n_heads : int
        Sizes m, d and h.
    rank : int
        Pairs of singular vectors to look for, s.
    n_rows : int
        Tokens to sample, r.
    data_dependent : bool, default=True
        False learns :math:`W_{e|X}` itself, which mixes no tokens: an ablation.
    trace : {"parameters", "data"}, default="parameters"
        Whether the trace in J is that of :math:`W_e^\top W_r` or of
        :math:`W_{e|X}^\top W_{r|X}`.

    Notes
    -----
    .. math:: J = \frac{1}{2 h t} \sum_{h, i} \lVert \Lambda e_i \rVert^2
        + \frac{1}{2 h t} \sum_{h, i} \lVert \Lambda r_i \rVert^2
        - \frac{1}{h} \sum_h \mathrm{tr}(W_e^\top W_r)

    is zero at every solution of the kernel SVD, and not only there. As in the published code
    :math:`\Lambda` enters squared and sums are means; steps of padding are left out here.

    Examples
    --------
    >>> import torch
    >>> from sklearn_selfattn.primal.attention import PrimalAttention, Steps, even_rows
    >>> lengths = torch.tensor([9, 9])
    >>> layer = PrimalAttention(1, 8, 2, rank=3, n_rows=5)
    >>> steps = Steps(None, even_rows(lengths, 5), lengths)
    >>> layer(torch.randn(1, 2, 9, 8), steps).shape
    torch.Size([1, 2, 9, 8])
    """

    objective: Tensor

    def __init__(
        self,
        n_members: int,
        d_model: int,
        n_heads: int,
        rank: int,
        n_rows: int,
        *,
        data_dependent: bool = True,
        trace: str = "parameters",
    ) -> None:
        super().__init__()
        self.n_heads, self.data_dependent, self.trace = n_heads, data_dependent, trace
        c = d_model // n_heads
        self.query_key = MemberLinear(n_members, d_model, 2 * d_model)
        # W_e and W_r; heads are made orthonormal to each other, as in the published code.
        shape = (n_heads, n_rows if data_dependent else c, rank)
        pairs = [[_orthogonal(shape) for _ in range(2)] for _ in range(n_members)]
        self.W = nn.Parameter(torch.stack([torch.stack(pair) for pair in pairs]))  # (m, 2, h, r, s)
        self._make_output(n_members, rank, c)
        self.out = MemberLinear(n_members, d_model, d_model)
        self.no_weight_decay = {"W", "Lambda", "log_root", "mean", "log_diagonal", "lower"}

    def _make_output(self, n_members: int, rank: int, c: int) -> None:
        self.Lambda: Tensor = nn.Parameter(torch.rand(n_members, self.n_heads, rank))
        bound = (2 * rank) ** -0.5
        self.C = nn.Parameter(torch.empty(n_members, 2, rank, c).uniform_(-bound, bound))
        self.b = nn.Parameter(torch.zeros(n_members, c))

    def features(self, x: Tensor, steps: Steps) -> Tensor:
        r"""Return :math:`\phi(Q)` and :math:`\phi(K)`, ``(m, n, 2, h, t, c)``, zero at padding."""
        m, n, t, _ = x.shape
        heads = self.query_key(x).view(m, n, t, 2, self.n_heads, -1).permute(0, 1, 3, 4, 2, 5)
        phi = unit_rows(heads)
        return phi if steps.mask is None else phi * steps.mask[:, None, None, :, None]

    def weights(self, x: Tensor, steps: Steps) -> Tensor:
        """Return both projection weights, ``(m, n or 1, 2, h, c, s)``."""
        W = self.W.unsqueeze(1)
        if not self.data_dependent:
            return W
        f = split_heads(take_rows(x, steps.rows), self.n_heads).mT  # (m, n, h, c, r)
        return f.unsqueeze(2) @ W

    def scores(self, x: Tensor, steps: Steps) -> Tensor:
        """Return the projections e and r, ``(m, n, 2, h, t, s)``, and set `objective`."""
        W = self.weights(x, steps)
        scores = self.features(x, steps) @ W
        if self.training:
            self.objective = self._J(scores, W, steps)
        return scores

    def _J(self, scores: Tensor, W: Tensor, steps: Steps) -> Tensor:
        squares = scores.square().sum(dim=(2, 4))  # (m, n, h, s)
        energy = (squares * self.Lambda.square().unsqueeze(1)).sum(dim=-1).mean(dim=-1)  # (m, n)
        W = self.W.unsqueeze(1) if self.trace == "parameters" else W
        trace = (W[:, :, 0] * W[:, :, 1]).sum(dim=(-2, -1)).mean(dim=-1)  # (m, n or 1)
        return 0.5 * energy / steps.lengths - trace

    def mix(self, scores: Tensor) -> Tensor:
        """Map e and r to what a head puts out, ``(m, n, 2, h, t, s) -> (m, n, h, t, c)``."""
        C = self.C[:, None, :, None]  # (m, 1, 2, 1, s, c)
        return (scores @ C).sum(dim=2) + self.b[:, None, None, None]

    def fused(self, phi: Tensor, W: Tensor) -> Tensor:
        """Return the same from features and projection weights, without e and r."""
        M = (W @ self.C[:, None, :, None]).expand(-1, phi.shape[1], -1, -1, -1, -1)
        (Q, K), (M_e, M_r) = phi.unbind(2), M.unbind(2)  # (m, n, h, t, c) and (m, n, h, c, c)
        b = self.b[:, None, None, None].expand(*Q.shape[:3], 1, -1).flatten(0, 2)
        # added up in place: what more there is in memory costs more than the products
        o = torch.baddbmm(b, Q.flatten(0, 2), M_e.flatten(0, 2))
        return o.baddbmm_(K.flatten(0, 2), M_r.flatten(0, 2)).view(Q.shape)

    def forward(self, x: Tensor, steps: Steps) -> Tensor:
        if self.training:  # the loss wants e and r
            o = self.mix(self.scores(x, steps))
        else:
            o = self.fused(self.features(x, steps), self.weights(x, steps))
        return self.out(merge_heads(o))  # type: ignore[no-any-return]


class BayesianPrimalAttention(PrimalAttention):
    r"""Primal attention as a sparse Gaussian process over pairs of singular vectors.

    After Chen, Tao, Tonin and Suykens (2024), with inducing variables
    :math:`u_k \sim N(m_k, L_k L_k^\top)` for each of s outputs,

    .. math:: v = (e + r) \Lambda^{-1}, \qquad o_k = v u_k = v m_k + v L_k \varepsilon_k .

    Without noise the mean is returned. One draw :math:`\varepsilon` is one function: it is the
    same for all tokens.

    Shape: input ``(m, n, t, d)`` and noise ``(m, n or 1, h, s, s)``, output ``(m, n, t, d)``.

    Parameters
    ----------
    n_members, d_model, n_heads, rank, n_rows, data_dependent, trace
        As in `PrimalAttention`.
    """

    def _make_output(self, n_members: int, rank: int, c: int) -> None:
        shape = (n_members, self.n_heads, rank)
        self.log_root = nn.Parameter(torch.rand(shape))  # of 1 / Lambda
        self.mean = nn.Parameter(torch.randn(*shape, rank) * rank**-0.5)  # columns m_k
        self.log_diagonal = nn.Parameter(torch.full((*shape, rank), -2.0))  # of L_k
        self.lower = nn.Parameter(torch.zeros(*shape, rank, rank))
        bound = rank**-0.5
        self.C = nn.Parameter(torch.empty(n_members, rank, c).uniform_(-bound, bound))
        self.b = nn.Parameter(torch.zeros(n_members, c))

    @property
    def Lambda(self) -> Tensor:  # type: ignore[override]
        r"""The factor of the scores in J: here :math:`\Lambda^{-1/2}`, as published."""
        return self.log_root.exp()

    def factors(self) -> Tensor:
        """Return the Cholesky factors L, ``(m, h, k, s, s)``."""
        return self.lower.tril(-1) + torch.diag_embed(self.log_diagonal.exp())

    def kl(self) -> Tensor:
        r"""Return the divergence from the prior :math:`N(0, \Lambda^2)` of each member, (m,)."""
        inverse = (2 * self.log_root).exp()  # (m, h, s), diagonal of 1 / Lambda
        L = self.factors() * inverse[:, :, None, :, None]
        m = self.mean * inverse[..., None]
        rank = self.mean.shape[-1]
        terms = L.square().sum(dim=(-3, -2, -1)) + m.square().sum(dim=(-2, -1))
        terms = terms - rank * 4 * self.log_root.sum(dim=-1)
        terms = terms - 2 * self.log_diagonal.sum(dim=(-2, -1)) - rank**2
        return 0.5 * terms.sum(dim=-1)

    def forward(self, x: Tensor, steps: Steps, noise: Tensor | None = None) -> Tensor:
        v = self.scores(x, steps).sum(dim=2) * (2 * self.log_root).exp()[:, None, :, None]
        u = self.mean[:, None]  # (m, 1, h, s, k)
        if noise is not None:
            u = u + torch.einsum("mhksj,mnhjk->mnhsk", self.factors(), noise)
        o = v @ (u @ self.C[:, None, None]) + self.b[:, None, None, None]
        return self.out(merge_heads(o))  # type: ignore[no-any-return]


class SoftmaxAttention(nn.Module):
    """Canonical attention, the twin that is quadratic in the number of tokens.

    Shape: input ``(m, n, t, d)``, output the same.

    Parameters
    ----------
    n_members, d_model, n_heads : int
        Sizes m, d and h.
    """

    def __init__(self, n_members: int, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = MemberLinear(n_members, d_model, d_model)
        self.key = MemberLinear(n_members, d_model, d_model)
        self.value = MemberLinear(n_members, d_model, d_model)
        self.out = MemberLinear(n_members, d_model, d_model)

    def _heads(self, x: Tensor) -> tuple[Tensor, ...]:
        parts = (self.query, self.key, self.value)
        return tuple(split_heads(part(x), self.n_heads) for part in parts)

    def shares(self, x: Tensor, steps: Steps) -> Tensor:
        """Return the attention weights, ``(m, n, h, t, t)``."""
        Q, K, _ = self._heads(x)
        scores = Q @ K.mT * Q.shape[-1] ** -0.5
        if steps.mask is not None:
            scores = scores.masked_fill(~steps.mask[:, None, None, :], -torch.inf)
        return scores.softmax(dim=-1)  # type: ignore[no-any-return]

    def forward(self, x: Tensor, steps: Steps) -> Tensor:
        Q, K, V = self._heads(x)
        scale = Q.shape[-1] ** -0.5
        if steps.mask is None:
            q, k, v = (part.flatten(0, 1) for part in (Q, K, V))  # its fast kernel wants four axes
            o = attend(q, k, v, scale)[0].view(Q.shape)
        else:
            mask = steps.mask[:, None, None, :].expand(-1, 1, Q.shape[-2], -1)
            mask = mask.repeat(Q.shape[0], 1, 1, 1)  # (m * n, 1, t, t)
            q, k, v = (part.flatten(0, 1) for part in (Q, K, V))
            o = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale).view(Q.shape)
        return self.out(merge_heads(o))  # type: ignore[no-any-return]


class LinearAttention(SoftmaxAttention):
    r"""Attention with the kernel :math:`\varphi(q)^\top \varphi(k)`, :math:`\varphi = elu + 1`.

    The other linear-time twin, after Katharopoulos et al. (2020).

    Shape: input ``(m, n, t, d)``, output the same.

    Parameters
    ----------
    n_members, d_model, n_heads : int
        Sizes m, d and h.
    """

    def forward(self, x: Tensor, steps: Steps) -> Tensor:
        Q, K, V = self._heads(x)
        Q, K = F.elu(Q) + 1, steps.hide(F.elu(K) + 1)
        o = Q @ (K.mT @ V) / (Q @ K.sum(dim=-2).unsqueeze(-1) + 1e-6)
        return self.out(merge_heads(o))  # type: ignore[no-any-return]

    def shares(self, x: Tensor, steps: Steps) -> Tensor:
        """Return the attention weights, ``(m, n, h, t, t)``."""
        Q, K, _ = self._heads(x)
        scores = (F.elu(Q) + 1) @ steps.hide(F.elu(K) + 1).mT
        return scores / scores.sum(dim=-1, keepdim=True)


class NoAttention(nn.Module):
    """A linear map of each token by itself: the twin that shows what attention adds.

    Shape: input ``(m, n, t, d)``, output the same.

    Parameters
    ----------
    n_members, d_model : int
        Sizes m and d.
    """

    def __init__(self, n_members: int, d_model: int) -> None:
        super().__init__()
        self.out = MemberLinear(n_members, d_model, d_model)

    def forward(self, x: Tensor, steps: Steps) -> Tensor:
        return self.out(x)  # type: ignore[no-any-return]


def _orthogonal(shape: tuple[int, int, int]) -> Tensor:
    return nn.init.orthogonal_(torch.empty(shape))
