"""The net that looks back on a history of events (torch only).

Letters in shapes: b histories in a batch, l events of a history, r moments it is looked at from
(one, or many when all prefixes are trained at once), h heads, d width, f waves, q and k queries and
keys.
"""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.attention import merge_heads, normalize, split_heads
from ..core.tokens import CellTokenizer
from .waves import Waves, turn

WAVES = ("bochner", "bochner_normal", "bochner_icdf", "mercer")
N_BINS = 8


class EventBatch(NamedTuple):
    """Histories as tensors; times in scaled units, float64."""

    codes: Tensor  # (b, l) types, the last code for unknown
    numbers: Tensor  # (b, l, p) standardised, NaN where missing
    times: Tensor  # (b, l)
    clock: Tensor  # (b, l)
    real: Tensor  # (b, l) False where padded
    first: Tensor  # (b, r) first event that is seen
    stop: Tensor  # (b, r) the event after the last that is seen
    query_times: Tensor  # (b, r)
    query_clock: Tensor  # (b, r)
    query_numbers: Tensor  # (b, r, s) time since the last event, and what belongs to the row
    asked: Tensor | None  # (b, r) False where padded; None: all are asked


class Scene(NamedTuple):
    """What attention layers work on."""

    x: Tensor  # (b, l, d) events
    readers: Tensor  # (b, r, d) tokens that predictions are read from, without their last event
    last: Tensor | None  # (b, r) index of the last event that is seen, -1 for none
    times: Tensor  # (b or 1, l)
    query_times: Tensor  # (b or 1, r)
    before: Tensor | None  # (b or 1, l, l) which events an event sees; None: all
    seen: Tensor | None  # (b or 1, r, l) which events a reader sees; None: all
    places: Tensor  # (b or 1, l) positions
    query_places: Tensor  # (b or 1, r)


class Numbers(nn.Module):
    """Numbers to vectors: piecewise-linear pieces between quantiles, and a mark where missing.

    Shape: input ``(..., p)``, output ``(..., d)``.

    Parameters
    ----------
    n_numbers, d_model : int
        Widths.
    """

    edges: Tensor

    def __init__(self, n_numbers: int, d_model: int) -> None:
        super().__init__()
        self.register_buffer("edges", torch.full((n_numbers, N_BINS + 1), math.inf))
        width = n_numbers * (N_BINS + 2)
        self.weight = nn.Parameter(torch.randn(width, d_model) / math.sqrt(3 * max(n_numbers, 1)))

    def forward(self, x: Tensor) -> Tensor:
        missing = x.isnan()
        x = x.masked_fill(missing, 0.0).unsqueeze(-1)  # (..., p, 1)
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        pieces = ((x - low) / (high - low).clamp(min=1e-9)).clamp(0, 1)  # (..., p, bins)
        pieces = torch.where(low.isfinite() & high.isfinite(), pieces, 0.0)
        line = x.sign() * x.abs().log1p()  # far values must not shout
        pieces = torch.cat([line, pieces], dim=-1).masked_fill(missing.unsqueeze(-1), 0.0)
        basis = torch.cat([pieces, missing.unsqueeze(-1).to(x.dtype)], dim=-1)
        return basis.flatten(-2) @ self.weight


class EventTokens(nn.Module):
    """Events and readers as vectors, without the time that passed between them.

    Parameters
    ----------
    n_types, n_numbers, n_query_numbers, n_scaled, d_model : int
        Sizes; the first `n_scaled` numbers also get a slope for each type.
    clock : nn.Module or None
        Map of the time on the wall clock.
    """

    def __init__(
        self,
        n_types: int,
        n_numbers: int,
        n_query_numbers: int,
        n_scaled: int,
        d_model: int,
        clock: nn.Module | None,
    ) -> None:
        super().__init__()
        self.n_scaled = n_scaled
        self.kind = nn.Parameter(0.7 * torch.randn(n_types + 1, d_model))
        self.kind.data[-1] = 0.0  # what is unknown says nothing
        self.slope = nn.Parameter(0.3 * torch.randn(n_types + 1, 2 * n_scaled, d_model))
        self.numbers = Numbers(n_numbers, d_model)
        self.query_numbers = Numbers(n_query_numbers, d_model)
        self.reader = nn.Parameter(0.7 * torch.randn(d_model))
        self.clock = clock
        if clock is not None:
            width = n_features(clock)
            self.from_clock = nn.Linear(width, d_model, bias=False)
            self.query_from_clock = nn.Linear(width, d_model, bias=False)
        self.no_weight_decay = {"kind", "slope"}

    def forward(self, batch: EventBatch) -> Scene:
        x = F.embedding(batch.codes, self.kind) + self.numbers(batch.numbers)
        if self.n_scaled:
            own = batch.numbers[..., : self.n_scaled].nan_to_num().clamp(-8, 8)
            own = torch.cat([own, own.abs()], dim=-1)  # (b, l, 2 p)
            slopes = F.embedding(batch.codes, self.slope.flatten(1)).unflatten(
                -1, (2 * self.n_scaled, -1)
            )
            x = x + (own.unsqueeze(-2) @ slopes).squeeze(-2)
        readers = self.reader + self.query_numbers(batch.query_numbers)  # (b, r, d)
        if self.clock is not None:
            x = x + self.from_clock(self.clock(batch.clock))
            readers = readers + self.query_from_clock(self.clock(batch.query_clock))
        place = torch.arange(x.shape[1], device=x.device).unsqueeze(0)  # (1, l)
        seen = (place.unsqueeze(1) >= batch.first.unsqueeze(-1)) & (
            place.unsqueeze(1) < batch.stop.unsqueeze(-1)
        )  # (b, r, l)
        before = (place.unsqueeze(1) <= place.unsqueeze(2)) & batch.real.unsqueeze(1)
        last = torch.where(batch.stop > batch.first, batch.stop - 1, -1)
        return Scene(
            x, readers, last, batch.times, batch.query_times, before, seen, place,
            (batch.stop - 1).clamp(min=0),
        )  # fmt: skip


class GridTokens(nn.Module):
    """Columns of a plain table as events on a grid of times.

    Parameters
    ----------
    times : Tensor of shape (l,)
        When each column was observed.
    n_categories : sequence of int
        Number of categories of each column, 0 for numbers.
    d_model : int
        Width.
    """

    times: Tensor

    def __init__(self, times: Tensor, n_categories: Any, d_model: int) -> None:
        super().__init__()
        self.cells = CellTokenizer(1, n_categories, d_model, N_BINS)
        self.reader = nn.Parameter(0.7 * torch.randn(d_model))
        self.register_buffer("times", times, persistent=False)

    def forward(self, X: Tensor) -> Scene:
        x = self.cells(X.unsqueeze(0)).squeeze(0)  # (b, l, d)
        readers = self.reader.expand(X.shape[0], 1, -1)
        times = self.times.to(phase_dtype(X.device)).unsqueeze(0)
        place = torch.arange(x.shape[1], device=x.device).unsqueeze(0)
        return Scene(x, readers, None, times, times[:, -1:], None, None, place, place[:, -1:])


class TimeAttention(nn.Module):
    r"""Attention in which a token knows how long before it each event was.

    The score of an event at t for a token at q, in each head, is

    .. math:: \frac{\langle Q, K \rangle}{\sqrt{c}}
       + \frac{1}{\sqrt{f}} \langle C, \Phi(q - t) \rangle

    with Q and C linear in the looking token and K in the event; and the output holds, beside the
    mean value of the events, the mean of :math:`\Phi(q - t)`: the products of a concatenation of
    event and time. One more key, whose value is zero, stands for "none of them".

    Shape: queries ``(b, q, d)``, events ``(b, k, d)``, output ``(b, q, d)`` and weights
    ``(b, h, q, k + 1)``.

    Parameters
    ----------
    d_model, n_heads : int
        Sizes.
    kind : {"waves", "bias", "features", "places", "none"}
        How time comes in: waves turned to the looking token; a kernel added to the scores alone;
        features of each event; a table of positions; not at all.
    n_time : int
        Number of features of a time (rows of the table for "places").
    """

    def __init__(self, d_model: int, n_heads: int, kind: str, n_time: int) -> None:
        super().__init__()
        self.n_heads, self.kind, self.n_time = n_heads, kind, n_time
        self.to_q = nn.Linear(d_model, d_model)
        self.to_k = nn.Linear(d_model, d_model)
        self.to_v = nn.Linear(d_model, d_model)
        self.out = nn.Linear(d_model, d_model)
        self.no_event = nn.Parameter(torch.zeros(n_heads, 1, d_model // n_heads))
        if kind in ("waves", "features", "places"):
            width = 32 if kind == "places" else n_time
            self.to_c = nn.Linear(d_model, n_heads * width)
            self.time_out = nn.Linear(n_heads * width, d_model, bias=False)
            if kind == "places":
                self.table = nn.Parameter(torch.randn(n_time, width))
        elif kind == "bias":
            self.raw_bias = nn.Parameter(torch.randn(n_heads, n_time // 2) - 2.0)

    def forward(
        self,
        queries: Tensor,
        events: Tensor,
        visible: Tensor | None,
        features: Tensor | None,
        toward: Tensor | None,
        distance: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        looking, seen = normalize(queries), normalize(events)
        Q = split_heads(self.to_q(looking), self.n_heads)  # (b, h, q, c)
        K = split_heads(self.to_k(seen), self.n_heads)
        V = split_heads(self.to_v(seen), self.n_heads)
        scale = 1 / math.sqrt(Q.shape[-1])
        scores = scale * Q @ K.mT  # (b, h, q, k)
        b, h, n_q, n_k = scores.shape
        if self.kind in ("waves", "features", "places"):
            C = split_heads(self.to_c(looking), h)  # (b, h, q, w)
        if self.kind in ("waves", "features", "bias"):
            assert features is not None
            features = features.expand(b, -1, -1)  # (b, k, w)
            if self.kind == "bias":
                cosine = F.softplus(self.raw_bias)  # (h, f)
                C = torch.cat([cosine, torch.zeros_like(cosine)], dim=-1)[None, :, None]
            if self.kind != "features":
                assert toward is not None
                C = turn(C, toward.unsqueeze(1))  # toward (b or 1, q, w)
            C = C.expand(b, h, n_q, -1).reshape(b, h * n_q, -1)
            scores = scores + (C @ features.mT).view(b, h, n_q, n_k) / math.sqrt(self.n_time)
        elif self.kind == "places":
            assert distance is not None
            by_place = C @ self.table.T / math.sqrt(C.shape[-1])  # (b, h, q, places)
            index = distance.clamp(0, self.n_time - 1).unsqueeze(1).expand(b, h, n_q, n_k)
            scores = scores + by_place.gather(3, index)
        if visible is not None:
            scores = scores.masked_fill(~visible.unsqueeze(1), -math.inf)
        nothing = scale * (Q * self.no_event).sum(dim=-1, keepdim=True)
        weights = torch.cat([scores, nothing], dim=-1).softmax(dim=-1)
        share = weights[..., :-1]
        out = self.out(merge_heads(share @ V))
        if self.kind in ("waves", "features"):
            assert features is not None
            mean = share.reshape(b, h * n_q, n_k) @ features  # (b, h * q, w)
            mean = mean.view(b, h, n_q, -1)
            if self.kind == "waves":
                mean = turn(mean, toward.unsqueeze(1))  # type: ignore[union-attr]
            out = out + self.time_out(merge_heads(mean))
        elif self.kind == "places":
            by_place = torch.zeros_like(by_place).scatter_add(3, index, share)
            out = out + self.time_out(merge_heads(by_place @ self.table))
        return out, weights


class Block(nn.Module):
    """Time attention and a feed-forward part, both with residuals.

    Shape: as `TimeAttention`.

    Parameters
    ----------
    d_model, n_heads : int
        Sizes.
    kind, n_time : str, int
        As for `TimeAttention`.
    d_hidden : int
        Width of the hidden layer.
    dropout : float
        Share of activations set to zero in training.
    """

    def __init__(
        self, d_model: int, n_heads: int, kind: str, n_time: int, d_hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.attend = TimeAttention(d_model, n_heads, kind, n_time)
        self.expand = nn.Linear(d_model, d_hidden)
        self.contract = nn.Linear(d_hidden, d_model)
        self.dropout = dropout

    def forward(self, queries: Tensor, events: Tensor, *looks: Any) -> tuple[Tensor, Tensor]:
        seen, weights = self.attend(queries, events, *looks)
        x = queries + F.dropout(seen, self.dropout, self.training)
        hidden = F.gelu(self.expand(normalize(x)))
        hidden = F.dropout(hidden, self.dropout, self.training)
        return x + self.contract(hidden), weights


class TimeEventNet(nn.Module):
    """Events attend to earlier ones; a reader at each moment attends to all it may see.

    Shape: input an `EventBatch` (or a table ``(b, l)``), output ``(n, n_outputs)`` for the n
    readers that are asked.

    Parameters
    ----------
    tokens : EventTokens or GridTokens
        What turns the input into vectors.
    time : nn.Module or None
        Map of elapsed time: `Waves`, `Time2Vec`, `SummedMercer`; None with `n_places`.
    interaction : {"concat", "add", "multiply", "kernel_bias"}
        How elapsed time meets events.
    n_places : int
        Rows of the table of positions; 0 for none.
    d_model, n_heads, n_layers, feed_forward_dim : int
        Sizes.
    dropout : float
        Share of activations set to zero in training.
    n_outputs : int
        Numbers that are predicted.
    """

    def __init__(
        self,
        tokens: nn.Module,
        time: nn.Module | None,
        *,
        interaction: str,
        n_places: int,
        d_model: int,
        n_heads: int,
        n_layers: int,
        feed_forward_dim: int,
        dropout: float,
        n_outputs: int,
    ) -> None:
        super().__init__()
        self.tokens, self.time = tokens, time
        self.interaction, self.n_places = interaction, n_places
        n_time, kind = n_places, "places" if n_places else "none"
        if time is not None:
            n_time = n_features(time)
            kind = {"concat": "waves" if isinstance(time, Waves) else "features",
                    "kernel_bias": "bias"}.get(interaction, "none")  # fmt: skip
            if interaction in ("add", "multiply"):
                self.mix = nn.Linear(n_time, d_model)
                if interaction == "multiply":
                    self.mix.bias.data.fill_(1.0)
        self.kind = kind
        self.blocks = nn.ModuleList(
            Block(d_model, n_heads, kind, n_time, feed_forward_dim, dropout)
            for _ in range(n_layers)
        )
        self.from_last = nn.Linear(d_model, d_model)
        self.empty = nn.Parameter(0.7 * torch.randn(d_model))
        self.head = nn.Linear(d_model, n_outputs)

    def forward(self, batch: Any) -> Tensor:
        return self.head(self.embed(batch))  # type: ignore[no-any-return]

    def embed(self, batch: Any) -> Tensor:
        """Vectors that predictions are read from: (n, d)."""
        readers = normalize(self._read(batch)[0])  # (b, r, d)
        asked = batch.asked if isinstance(batch, EventBatch) else None
        return readers.flatten(0, 1) if asked is None else readers[asked]

    def weights(self, batch: Any, layer: int) -> Tensor:
        """Attention weights of a layer: (b, h, q, k + 1); readers look in the last one."""
        return self._read(batch, layer)[1]

    def _read(self, batch: Any, layer: int = -1) -> tuple[Tensor, Tensor]:
        scene = self.tokens(batch)
        x, features, toward_events, toward_readers = self._place_in_time(scene)
        layer = layer % len(self.blocks)
        weights = x
        for i, block in enumerate(self.blocks[:-1]):
            apart = self._distance(scene.places, scene.places)
            x, weights = block(x, x, scene.before, features, toward_events, apart)
            if i == layer:
                return x, weights
        readers = scene.readers
        if scene.last is not None:
            index = scene.last.clamp(min=0).unsqueeze(-1).expand(-1, -1, x.shape[-1])
            newest = self.from_last(normalize(x.gather(1, index)))
            readers = readers + torch.where(scene.last.unsqueeze(-1) >= 0, newest, self.empty)
        apart = self._distance(scene.query_places, scene.places)
        return self.blocks[-1](readers, x, scene.seen, features, toward_readers, apart)  # type: ignore[no-any-return]

    def _place_in_time(
        self, scene: Scene
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
        """Return the events, their time features, and unit waves of events and of readers."""
        if self.time is None:
            return scene.x, None, None, None
        if self.kind in ("waves", "bias"):
            assert isinstance(self.time, Waves)
            frequencies = self.time.frequencies()
            unit = self.time.unit(scene.times, frequencies)
            toward = self.time.unit(scene.query_times, frequencies)
            return scene.x, self.time.scale(unit), unit, toward
        # features of an event itself: how long before the one reader it was
        features = self.time(scene.query_times[:, :1] - scene.times)
        if self.interaction == "concat":
            return scene.x, features, None, None
        mixed = self.mix(features)
        return (scene.x * mixed if self.interaction == "multiply" else scene.x + mixed), *[None] * 3

    def _distance(self, queries: Tensor, keys: Tensor) -> Tensor | None:
        if self.kind != "places":
            return None
        return queries.unsqueeze(-1) - keys.unsqueeze(-2)


def phase_dtype(device: torch.device) -> torch.dtype:
    """Return the precision of times: float64, where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def n_features(time: nn.Module) -> int:
    """Return how many features a time map gives."""
    return 2 * time.n_waves if isinstance(time, Waves) else int(time.n_features)  # type: ignore[arg-type]
