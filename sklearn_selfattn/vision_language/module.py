"""The net that sees a picture, reads a sentence and lets both look at each other (torch only).

Letters in shapes: n pairs, u different images, m visual tokens, l words, t = 1 + m + 1 + l tokens
of the fused sequence, h heads, d width.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.attention import merge_heads, normalize, split_heads

BACKBONES = ("cnn", "hybrid", "vit", "swin", "linear")
PAD, UNKNOWN, MASK = 0, 1, 2  # codes of words; the vocabulary starts after them
N_SPECIAL = 3
PLACE_SCALE = 0.5  # of places beside tokens of variance 1: small ones are not found for long
MARK_SCALE = 0.02  # of marks and types
WINDOW = 4  # tokens along a side of a window of the "swin" backbone


class Pairs(NamedTuple):
    """Pictures and sentences as tensors; a picture that several sentences speak of comes once."""

    pixels: Tensor  # (u, c, height, width)
    image: Tensor | None  # (n,) which picture; None: each pair has its own
    words: Tensor  # (n, l) codes of words, PAD after the end


class Block(nn.Module):
    r"""A pre-norm Transformer layer: ``x + attention(norm x)``, then ``x + feed_forward(norm x)``.

    .. math:: A = \mathrm{softmax}(Q K^\top / \sqrt{d_h} + B), \quad
        [Q, K] = (\mathrm{norm}(X) + p) W_{QK}, \quad V = \mathrm{norm}(X) W_V

    with a bias B that is 0 where a token may look and :math:`-\infty` where not. Places p tell
    where to look, and are no part of what is seen there.

    Shape: input and output ``(n, t, d)``, places ``(t, d)``, bias ``(n, 1, 1 or t, t)`` or None.

    Parameters
    ----------
    d_model, n_heads : int
        Width and heads.
    dropout : float
        Share of activations set to zero in training.
    """

    def __init__(self, d_model: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.out = nn.Linear(d_model, d_model)
        self.expand = nn.Linear(d_model, 4 * d_model)
        self.contract = nn.Linear(4 * d_model, d_model)
        self.dropout = dropout

    def heads(self, x: Tensor, places: Tensor) -> list[Tensor]:
        """Return queries, keys and values, ``(n, h, t, d / h)`` each."""
        x, d = normalize(x), x.shape[-1]
        W, b = self.qkv.weight, self.qkv.bias
        asked = F.linear(x + places, W[: 2 * d], b[: 2 * d])
        parts = (*asked.chunk(2, -1), F.linear(x, W[2 * d :], b[2 * d :]))
        return [split_heads(part, self.n_heads) for part in parts]

    def shares(self, x: Tensor, places: Tensor, bias: Tensor | None) -> Tensor:
        """Return the attention weights, ``(n, h, t, t)``; rows sum to 1."""
        Q, K, _ = self.heads(x, places)
        scores = Q @ K.mT / math.sqrt(Q.shape[-1])
        return (scores if bias is None else scores + bias).softmax(-1)

    def value_norms(self, x: Tensor, places: Tensor, bias: Tensor | None) -> Tensor:
        r"""Return :math:`\| \sum_h A^h_{ij} v^h_j W_O^h \|`, ``(n, 1, t, t)``."""
        _, _, V = self.heads(x, places)
        weight = self.out.weight.view(x.shape[-1], self.n_heads, -1)  # (d, h, d / h)
        moved = torch.einsum("nhjc,dhc->nhjd", V, weight)
        shares = self.shares(x, places, bias)
        return torch.einsum("nhij,nhjd->nijd", shares, moved).norm(dim=-1)[:, None]  # type: ignore[no-any-return]

    def forward(self, x: Tensor, places: Tensor, bias: Tensor | None = None) -> Tensor:
        Q, K, V = self.heads(x, places)
        mixed = merge_heads(F.scaled_dot_product_attention(Q, K, V, attn_mask=bias))
        x = x + F.dropout(self.out(mixed), self.dropout, self.training)
        hidden = F.gelu(self.expand(normalize(x)))
        return x + F.dropout(self.contract(hidden), self.dropout, self.training)


class ImageTokens(nn.Module):
    """Cut a picture into visual tokens, and let these look at each other where the backbone does.

    "linear": each patch by one linear map. "vit": the same, then self-attention. "cnn": a stem of
    convolutions, each of which halves the sides. "hybrid": that stem, then self-attention. "swin":
    patches of half the side, attention within windows, every second time shifted by half a
    window, then four neighbours become one and all look at all.

    Shape: input ``(u, c, height, width)``, output ``(u, m, d)``.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width.
    backbone : str
        One of `BACKBONES`.
    patch : int
        Pixels along the side of a token.
    d_model, n_heads, n_layers, dropout
        Of the attention layers.
    """

    windows: Tensor

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        backbone: str,
        patch: int,
        d_model: int,
        n_heads: int,
        n_layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.padding = (-height % patch, -width % patch)
        self.grid = ((height + self.padding[0]) // patch, (width + self.padding[1]) // patch)
        self.is_swin = backbone == "swin" and patch > 1
        fine = patch // 2 if self.is_swin else patch
        if backbone in ("cnn", "hybrid"):
            self.cut: nn.Module = _stem(channels, patch, d_model)
        else:
            self.cut = nn.Conv2d(channels, d_model, fine, stride=fine)
        n_blocks = 0 if backbone in ("cnn", "linear") else n_layers
        self.blocks = nn.ModuleList(Block(d_model, n_heads, dropout) for _ in range(n_blocks))
        n_tokens = self.grid[0] * self.grid[1]
        n_cut = 4 * n_tokens if self.is_swin else n_tokens
        if n_blocks:
            self.places = nn.Parameter(PLACE_SCALE * torch.randn(n_cut, d_model))
        if self.is_swin:
            self.merge = nn.Linear(4 * d_model, d_model)
            fine_grid = (2 * self.grid[0], 2 * self.grid[1])
            biases = [_window_bias(fine_grid, shift) for shift in (0, WINDOW // 2)]
            self.register_buffer("windows", torch.stack(biases), persistent=False)
        self.project = nn.Linear(d_model, d_model)

    def _quarters(self, x: Tensor) -> Tensor:
        """Return the four neighbours that become one token, ``(..., 4 m, d) -> (..., m, 4, d)``."""
        rows, columns = self.grid
        x = x.unflatten(-2, (rows, 2, columns, 2)).transpose(-4, -3)
        quarters: Tensor = x.flatten(-3, -2).flatten(-4, -3)
        return quarters

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the tokens, and what the last layer's input was (None without attention)."""
        pixels = F.pad(pixels, (0, self.padding[1], 0, self.padding[0]))
        x = self.cut(pixels).flatten(2).mT  # (u, m, d)
        before = None
        for i, block in enumerate(self.blocks):
            is_fine = self.is_swin and i < len(self.blocks) - 1
            if self.is_swin and not is_fine:
                x = self.merge(self._quarters(x).flatten(-2))
            before = x
            x = block(x, self._places(is_fine), self.windows[i % 2] if is_fine else None)
        return normalize(self.project(x)), before

    def _places(self, is_fine: bool) -> Tensor:
        if self.is_swin and not is_fine:
            return self._quarters(self.places).mean(-2)
        return self.places

    def affinity(self, tokens: Tensor, before: Tensor | None) -> Tensor:
        """Return how visual tokens belong together, ``(u, m, m)``: attention, or cosines."""
        if before is None:
            unit = F.normalize(tokens, dim=-1)
            return unit @ unit.mT
        share = self.blocks[-1].shares(before, self._places(False), None).mean(1)  # type: ignore[operator]
        return (share + share.mT) / 2  # type: ignore[no-any-return]


class StemNorm(nn.BatchNorm2d):
    """Batch norm; a single number in each channel has no spread, and goes by what was learnt."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


def _stem(channels: int, patch: int, d_model: int) -> nn.Sequential:
    """Return convolutions that halve the sides until a token is `patch` pixels wide."""
    n_halvings = int(math.log2(patch))
    layers: list[nn.Module] = []
    for i in range(max(n_halvings, 1)):
        width = d_model if i else max(d_model // 2, 1)
        stride = 2 if n_halvings else 1
        layers += [nn.Conv2d(channels, width, 3, stride, padding=1), StemNorm(width), nn.GELU()]
        channels = width
    return nn.Sequential(*layers, nn.Conv2d(channels, d_model, 1))


def _window_bias(grid: tuple[int, int], shift: int) -> Tensor:
    """Return 0 between tokens of a window and -inf between others, ``(m, m)``."""
    row, column = torch.meshgrid(*map(torch.arange, grid), indexing="ij")
    window = ((row + shift) // WINDOW * 1000 + (column + shift) // WINDOW).flatten()
    return torch.where(window[:, None] == window, 0.0, -math.inf)


class VisualParsingNet(nn.Module):
    r"""Visual tokens and words in one sequence, seen by one Transformer.

    .. math:: X_0 = [c;\ \hat V;\ s;\ \hat T], \qquad
              \hat V = \mathrm{LN}(W V + b) + \tau_V, \qquad
              \hat T = E_w + \tau_T

    Each part carries its type; places enter each layer's queries and keys (`Block`), rather than
    the sequence once, as published: what is there and where it is then do not blur. The answer
    is read off the first token.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width.
    n_words : int
        Codes of words, the special ones included.
    n_places : int
        The most words of a sentence.
    n_outputs : int
        Numbers that are predicted; 0 before there is anything to predict.
    backbone, patch, n_vision_layers
        See `ImageTokens`.
    d_model, n_heads, n_layers, dropout
        Of the layers in which pictures and words meet.
    cross : bool, default=True
        False keeps pictures and words from looking at each other; see `biases`.

    Examples
    --------
    >>> import torch
    >>> from sklearn_selfattn.vision_language.module import Pairs, VisualParsingNet
    >>> net = VisualParsingNet((3, 32, 32), 20, 8, 5, backbone="cnn", patch=8, d_model=16,
    ...                        n_heads=2, n_layers=1, n_vision_layers=1, dropout=0.0)
    >>> pairs = Pairs(torch.zeros(2, 3, 32, 32), torch.tensor([0, 0, 1]), torch.ones(3, 4).long())
    >>> net(pairs).shape, net.sequence(pairs)[0].shape
    (torch.Size([3, 5]), torch.Size([3, 22, 16]))
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        n_words: int,
        n_places: int,
        n_outputs: int,
        *,
        backbone: str,
        patch: int,
        d_model: int,
        n_heads: int,
        n_layers: int,
        n_vision_layers: int,
        dropout: float,
        cross: bool = True,
    ) -> None:
        super().__init__()
        self.image_tokens = ImageTokens(
            image_shape, backbone, patch, d_model, n_heads, n_vision_layers, dropout
        )
        self.n_visual = self.image_tokens.grid[0] * self.image_tokens.grid[1]
        self.cross = cross
        self.word = nn.Embedding(n_words, d_model)  # of variance 1, as normalised visual tokens
        self.word_places = nn.Parameter(PLACE_SCALE * torch.randn(max(n_places, 1), d_model))
        self.image_places = nn.Parameter(PLACE_SCALE * torch.randn(self.n_visual, d_model))
        self.types = nn.Parameter(MARK_SCALE * torch.randn(2, d_model))
        self.marks = nn.Parameter(MARK_SCALE * torch.randn(2, d_model))  # [CLS], [SEP]
        self.masked_image = nn.Parameter(torch.randn(d_model))
        self.blocks = nn.ModuleList(Block(d_model, n_heads, dropout) for _ in range(n_layers))
        self.head = _mlp(d_model, n_outputs) if n_outputs else None
        self.match = _mlp(d_model, 1)
        self.restore_image = _mlp(d_model, d_model)
        self.restore_word = nn.Linear(d_model, d_model)

    no_weight_decay = {"word_places", "image_places", "types", "marks", "image_tokens.places"}

    def biases(self, words: Tensor, dtype: torch.dtype) -> list[Tensor | None]:
        """Return what the attention of each layer adds to its scores, ``(n, 1, 1 or t, t)``.

        Without `cross`, pictures, words and the two marks are three groups that do not look at
        each other, but for [CLS], which sees all in the last layer: it reads both and asks nothing.
        """
        is_word = words != PAD  # (n, l)
        always = is_word.new_ones(words.shape[0], 2 + self.n_visual)
        real = torch.cat([always, is_word], dim=1)[:, None, None]  # (n, 1, 1, t)
        if self.cross:
            # a graph that is exported or compiled is one for all sentences
            is_full = not torch.compiler.is_compiling() and bool(is_word.all())
            bias = None if is_full else _minus_infinity(~real, dtype)
            return [bias] * len(self.blocks)
        kind = torch.zeros(real.shape[-1], dtype=torch.long, device=words.device)
        kind[1 : 1 + self.n_visual], kind[2 + self.n_visual :] = 1, 2
        is_near = kind[:, None] == kind
        inner = _minus_infinity(~(real & is_near), dtype)
        is_near[0] = True
        return [*[inner] * (len(self.blocks) - 1), _minus_infinity(~(real & is_near), dtype)]

    def embed(
        self, tokens: Tensor, words: Tensor, is_masked: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Return the sequence before the first layer, ``(n, t, d)``, and the biases of attention.

        `tokens` are visual ones, ``(n, m, d)``; where `is_masked`, ``(n, m)``, they are hidden.
        """
        if is_masked is not None:
            tokens = torch.where(is_masked[..., None], self.masked_image, tokens)
        picture = tokens + self.types[0]
        sentence = self.word(words) + self.types[1]
        cls, sep = (mark.expand(words.shape[0], 1, -1) for mark in self.marks)
        x = torch.cat([cls, picture, sep, sentence], dim=1)
        return x, self.biases(words, x.dtype)

    def places(self, n_tokens: int) -> Tensor:
        """Return the places of a sequence, ``(t, d)``: the two marks are nowhere."""
        nowhere = self.image_places.new_zeros(1, self.image_places.shape[1])
        n_words = n_tokens - 2 - self.n_visual
        return torch.cat([nowhere, self.image_places, nowhere, self.word_places[:n_words]])

    def fuse(self, x: Tensor, biases: list[Tensor | None]) -> Tensor:
        """Let the tokens look at each other, layer by layer, ``(n, t, d)``."""
        places = self.places(x.shape[1])
        for block, bias in zip(self.blocks, biases, strict=True):
            x = block(x, places, bias)
        return normalize(x)

    def sequence(self, pairs: Pairs) -> tuple[Tensor, list[Tensor | None]]:
        """Return the sequence of each pair before the first layer, and the biases."""
        tokens, _ = self.image_tokens(pairs.pixels)
        tokens = tokens if pairs.image is None else tokens[pairs.image]
        return self.embed(tokens, pairs.words)

    def summary(self, pairs: Pairs) -> Tensor:
        """Return the first token after the last layer, ``(n, d)``."""
        return self.fuse(*self.sequence(pairs))[:, 0]

    def matching(self, pairs: Pairs) -> Tensor:
        """Return the logit that picture and sentence belong together, ``(n, 1)``."""
        return self.match(self.summary(pairs))  # type: ignore[no-any-return]

    def layers(self, pairs: Pairs, what: str) -> Tensor:
        """Return "shares" or "value_norms" of each layer, ``(n, layers, h, t, t)``."""
        x, biases = self.sequence(pairs)
        places, found = self.places(x.shape[1]), []
        for block, bias in zip(self.blocks, biases, strict=True):
            found.append(getattr(block, what)(x, places, bias))
            x = block(x, places, bias)
        return torch.stack(found, dim=1)

    def forward(self, pairs: Pairs) -> Tensor:
        return self.head(self.summary(pairs))  # type: ignore[misc, no-any-return]


def _minus_infinity(where: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(where.shape, dtype=dtype, device=where.device).masked_fill(where, -math.inf)


def _mlp(d_model: int, n_outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(d_model, d_model), nn.GELU(), nn.Linear(d_model, n_outputs))
