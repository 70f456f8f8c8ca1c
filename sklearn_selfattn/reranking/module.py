"""The encoder of affinity features, and its losses (torch only).

Letters in shapes: b lists, k candidates (the query is the first), l anchors, d width, h heads.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.attention import merge_heads, split_heads

LEAST_SQUARE, LARGEST_SQUARE = 1e-4, 1e4  # bounds of the squared distance before its root
INITIAL_SCALE = 0.02 * math.sqrt(768)  # over the root of the inputs: 0.02 at the published width


class Block(nn.Module):
    """One layer of a pre-norm transformer whose tokens have no order.

    Shape: input and output ``(b, k, d)``.

    Parameters
    ----------
    d_model, n_heads, d_hidden : int
        Width of a token, number of heads, width of the hidden layer.
    dropout : float
        Share of attention weights and activations set to zero in training.
    drop_path : float
        Share of the lists that skip a residual branch in training.
    """

    def __init__(
        self, d_model: int, n_heads: int, d_hidden: int, dropout: float, drop_path: float
    ) -> None:
        super().__init__()
        self.n_heads, self.dropout, self.drop_path = n_heads, dropout, drop_path
        self.attention_norm = nn.LayerNorm(d_model)
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.mix = nn.Linear(d_model, d_model)
        self.feed_forward_norm = nn.LayerNorm(d_model)
        self.expand = nn.Linear(d_model, d_hidden)
        self.contract = nn.Linear(d_hidden, d_model)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._maybe_skip(self._attend(x))
        hidden = self._drop(F.gelu(self.expand(self.feed_forward_norm(x))))  # (b, k, d_hidden)
        return x + self._maybe_skip(self._drop(self.contract(hidden)))

    def _heads(self, x: Tensor) -> tuple[Tensor, ...]:
        parts = self.qkv(self.attention_norm(x)).chunk(3, dim=-1)
        return tuple(split_heads(part, self.n_heads) for part in parts)  # 3 x (b, h, k, c)

    def _attend(self, x: Tensor) -> Tensor:
        Q, K, V = self._heads(x)
        dropped = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(Q, K, V, dropout_p=dropped)  # (b, h, k, c)
        return self._drop(self.mix(merge_heads(out)))

    def attention(self, x: Tensor) -> Tensor:
        """Attention weights of the layer, ``(b, k, d) -> (b, h, k, k)``."""
        Q, K, _ = self._heads(x)
        return (Q @ K.mT / math.sqrt(Q.shape[-1])).softmax(dim=-1)

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)

    def _maybe_skip(self, branch: Tensor) -> Tensor:
        if not self.training or not self.drop_path:
            return branch
        keep = torch.rand(len(branch), 1, 1, dtype=branch.dtype, device=branch.device)
        return branch * (keep >= self.drop_path) / (1 - self.drop_path)


class AffinityEncoder(nn.Module):
    r"""Refine the affinity features of a ranked list by attention between its items.

    With the first :math:`l` items of the list as anchors Z, the query among them, item i has the
    feature :math:`a_i = Z c_i`: its similarity to each anchor. Layers of attention between the
    items turn these into refined features :math:`f_i`, and item i is scored by
    :math:`\cos(f_0, f_i)` with the query, item 0. Nothing tells the items' places but their
    features, so that a list in another order gives the same scores in that order, and lists may be
    longer than those trained on.

    Initial weights are normal with a standard deviation of 0.02 where there are 768 inputs, as
    published, and in proportion to the root of the inputs elsewhere: at 0.02 everywhere the
    attention of a narrow net stays uniform.

    Shape: input ``(b, k, l)``, output ``(b, k, d)``.

    Parameters
    ----------
    n_anchors : int
        Number of anchors, l.
    d_model, n_heads, n_layers : int
        Width of a token, heads, layers.
    d_hidden : int
        Width of the hidden layer of the feed-forward parts.
    dropout : float, default=0.0
        Rate of dropout, and of skipped branches in the last layer; it rises linearly up to there.

    Examples
    --------
    >>> import torch
    >>> from sklearn_selfattn.reranking.module import AffinityEncoder
    >>> encoder = AffinityEncoder(8, d_model=16, n_heads=2, n_layers=1, d_hidden=32)
    >>> affinity = torch.rand(3, 10, 8)  # 3 lists of 10 items, 8 anchors
    >>> encoder(affinity).shape, encoder.scores(affinity).shape
    (torch.Size([3, 10, 16]), torch.Size([3, 10]))
    """

    def __init__(
        self,
        n_anchors: int,
        d_model: int,
        n_heads: int,
        n_layers: int,
        d_hidden: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dropout, self.width = dropout, max(d_model, d_hidden)
        self.project = nn.Linear(n_anchors, d_model)
        skipped = torch.linspace(0, dropout, n_layers).tolist() if n_layers > 1 else [dropout]
        self.blocks = nn.ModuleList(
            Block(d_model, n_heads, d_hidden, dropout, skipped[i]) for i in range(n_layers)
        )
        self.align = nn.Linear(d_model, n_anchors)  # back to affinities: for training only
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                std = INITIAL_SCALE / math.sqrt(layer.in_features)
                nn.init.trunc_normal_(layer.weight, std=std, a=-100 * std, b=100 * std)
                nn.init.zeros_(layer.bias)

    def _tokens(self, affinity: Tensor) -> Tensor:
        affinity = F.dropout(affinity, self.dropout, self.training)
        return F.dropout(self.project(affinity), self.dropout, self.training)

    def forward(self, affinity: Tensor) -> Tensor:
        x = self._tokens(affinity)  # (b, k, d)
        for block in self.blocks:
            x = block(x)
        return x

    def scores(self, affinity: Tensor) -> Tensor:
        """Cosine of each item's refined feature with the query's, ``(b, k, l) -> (b, k)``."""
        return cosine_to_first(self(affinity))

    def attention(self, affinity: Tensor) -> list[Tensor]:
        """Attention weights of each layer, each ``(b, h, k, k)``."""
        x = self._tokens(affinity)
        found = []
        for block in self.blocks:
            found.append(block.attention(x))  # type: ignore[operator]
            x = block(x)
        return found


def cosine_to_first(x: Tensor) -> Tensor:
    """Cosine of every item with the first of its list, ``(b, k, d) -> (b, k)``."""
    x = F.normalize(x, dim=-1)
    return (x @ x[:, :1].mT)[..., 0]


def affinities(items: Tensor, n_anchors: int) -> Tensor:
    """Similarity of each item to the first ones of its list; zero where there are too few.

    Shape: ``(b, k, e) -> (b, k, n_anchors)``.
    """
    found = items @ items[:, :n_anchors].mT  # (b, k, min(k, l))
    return F.pad(found, (0, n_anchors - found.shape[-1]))


def contrastive_loss(
    scores: Tensor, relevant: Tensor, temperature: float, *, exclude_query: bool = False,
    each: bool = False,
) -> Tensor:  # fmt: skip
    r"""Contrast the relevant items of a list with all of its items; one loss for each list.

    .. math:: -\log \frac{\sum_{i \in P} e^{s_i / t}}{\sum_i e^{s_i / t}}
       \quad \text{or} \quad
       -\frac{1}{|P|} \sum_{i \in P} \log \frac{e^{s_i / t}}{\sum_j e^{s_j / t}}

    Shape: ``(b, k), (b, k) -> (b,)``.

    Parameters
    ----------
    scores : Tensor of shape (b, k)
        Scores :math:`s`.
    relevant : Tensor of bool of shape (b, k)
        Which items are relevant, P. The query is, in the first place.
    temperature : float
        Temperature :math:`t`.
    exclude_query : bool, default=False
        Leave the query itself out of both sums. Its score is 1 whatever is learnt.
    each : bool, default=False
        The second form: every relevant item has to score high, not one of them.
    """
    logits = scores / temperature
    if exclude_query:
        logits, relevant = logits[:, 1:], relevant[:, 1:]
    if each:
        share = logits.log_softmax(dim=1).masked_fill(~relevant, 0.0)
        return -share.sum(dim=1) / relevant.sum(dim=1)
    found = logits.masked_fill(~relevant, -math.inf).logsumexp(dim=1)
    return logits.logsumexp(dim=1) - found


def reconstruction_loss(affinity: Tensor, aligned: Tensor) -> Tensor:
    r"""Mean distance of the directions of affinities and what is read back from refined features.

    .. math:: \frac{1}{k} \sum_i \sqrt{\min(\max(
       \lVert \hat a_i - \hat r_i \rVert^2, 10^{-4}), 10^4)}

    Shape: ``(b, k, l), (b, k, l) -> (b,)``.
    """
    off = F.normalize(affinity, dim=-1) - F.normalize(aligned, dim=-1)
    return off.square().sum(dim=-1).clamp(LEAST_SQUARE, LARGEST_SQUARE).sqrt().mean(dim=1)
