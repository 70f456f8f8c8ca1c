r"""The net that is trained once, on synthetic tables, and then predicts from context alone.

Every cell of a table is a token, the target is one more column. A block lets the cells of a row
attend to each other, then each column's cells attend to those of the context rows; a row that
is asked for its target is seen by no other row. The weights do not depend on the number of
rows, columns or classes (up to ten), so one set of them serves every table.

Torch alone, so that pretraining runs where nothing else is installed.

Letters in shapes: b tables (or ensemble members), n rows, c context rows, t thinking rows,
d columns, e width of a token, h heads.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_CLASSES = 10
BEND = 8.0  # standardised numbers stay within +-BEND
VECTOR = 8  # width of the random vectors that name a column or a category
TASKS = ("classification", "regression")
Trace = dict[str, Tensor]  # attention weights of a block, between "cells" and between "rows"
NEIGHBORS = (1, 3)  # a cell also sees the cells so many columns further, around the end


@dataclass(frozen=True)
class Config:
    """Sizes of the net.

    Attributes
    ----------
    d_model : int
        Width of a token.
    n_layers, n_heads : int
        Blocks, and heads of either attention.
    n_thinking : int
        Rows of learnt tokens that every table gets as further context.
    n_bars : int
        Bins of the target's distribution in regression.
    """

    d_model: int = 64
    n_layers: int = 5
    n_heads: int = 4
    n_thinking: int = 8
    n_bars: int = 100

    def flop(self, n_rows: int, n_context: int, n_columns: int) -> float:
        """Count the operations (multiplications and additions) of one forward pass of a table."""
        e, d, rows = self.d_model, n_columns + 1, n_rows + self.n_thinking
        keys = n_context + self.n_thinking
        full = d * (24 * e * e + 4 * e * d + 4 * e * keys)  # per row and block
        last = 4 * e * e * d + 4 * e * d + 20 * e * e + 4 * e * keys
        return float(rows * ((self.n_layers - 1) * full + last))


PRESETS = {"tiny": Config(), "base": Config(d_model=96, n_layers=6, n_thinking=16)}


class Names(NamedTuple):
    """Random vectors by which the net tells columns and categories apart."""

    columns: Tensor  # (b, d, VECTOR)
    categories: Tensor  # (b, d, k, VECTOR)


class Summary(NamedTuple):
    """What is known of the context's columns, to scale by."""

    mean: Tensor  # (b, 1, d)
    scale: Tensor  # (b, 1, d)
    ordered: Tensor  # (b, d, c), missing cells last
    n_known: Tensor  # (b, d, 1)


class Memory(NamedTuple):
    """Keys and values of the context in one block."""

    keys: Tensor  # (b, d + 1, h, t + c, e / h)
    values: Tensor


def draw_names(
    n_tables: int, n_columns: int, n_categories: int, generator: torch.Generator
) -> Names:
    """Draw the names of columns and categories."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=generator.device)

    columns = normal(n_tables, n_columns, VECTOR)
    return Names(columns, normal(n_tables, n_columns, n_categories, VECTOR))


def summarise(X: Tensor) -> Summary:
    """Summarise context rows (b, c, d), NaN where missing."""
    known = ~X.isnan()
    count = known.sum(dim=1, keepdim=True).clamp(min=1)
    filled = X.nan_to_num()
    mean = filled.sum(dim=1, keepdim=True) / count
    spread = ((filled - mean).square() * known).sum(dim=1, keepdim=True) / count
    scale = spread.sqrt()
    # a constant column is 0 in the context, and what differs from it in a query is finite
    scale = torch.where(scale > 1e-6 * (1 + mean.abs()), scale, torch.ones_like(scale))
    ordered = torch.where(known, X, torch.inf).mT.contiguous().sort(dim=-1).values
    return Summary(mean, scale, ordered, known.sum(dim=1).unsqueeze(-1))


def describe_cells(
    X: Tensor, summary: Summary, is_categorical: Tensor, names: Names, gaussian: Tensor
) -> Tensor:
    """Return what the net is told of each cell, (b, n, d, n_facts).

    Parameters
    ----------
    X : Tensor of shape (b, n, d)
        Numbers, category codes; NaN where missing.
    summary : Summary
        Of the context.
    is_categorical : bool Tensor of shape (b, d)
        Columns of codes.
    names : Names
        Of columns and categories.
    gaussian : bool Tensor of shape (b,)
        Tables whose numbers are bent to a normal distribution by their ranks.

    Returns
    -------
    Tensor of shape (b, n, d, n_facts)
        Scaled number, rank, two waves, missing, categorical, name of the category, name of the
        column, and number and missing of the cells `NEIGHBORS` further.
    """
    missing = X.isnan()
    filled = torch.where(missing, summary.mean, X)
    x = (filled - summary.mean) / summary.scale
    x = x / torch.hypot(torch.ones_like(x), x / BEND)
    asked = filled.mT.contiguous()  # (b, d, n)
    below = torch.searchsorted(summary.ordered, asked)
    upto = torch.searchsorted(summary.ordered, asked, right=True)
    rank = ((below + upto + 1) / (2 * (summary.n_known + 1))).mT.to(x.dtype)  # within (0, 1)
    normal = math.sqrt(2) * torch.erfinv((2 * rank - 1).clamp(-0.9999, 0.9999))
    x = torch.where(gaussian[:, None, None] & ~is_categorical[:, None], normal, x)
    x = x.masked_fill(missing, 0.0)
    rank = (3.4 * (rank - 0.5)).masked_fill(missing, 0.0)
    categorical = is_categorical[:, None].expand_as(missing)

    k = names.categories.shape[2]
    codes = torch.where(categorical, filled, torch.zeros_like(filled)).round().long() % k
    own = names.categories.gather(2, codes.mT.unsqueeze(-1).expand(-1, -1, -1, VECTOR))
    known_code = categorical & ~missing
    own = own.transpose(1, 2) * known_code.unsqueeze(-1)  # (b, n, d, VECTOR)
    column = names.columns.unsqueeze(1).expand(-1, X.shape[1], -1, -1)

    facts = [x, rank, torch.sin(3 * x), torch.tanh(2 * x), missing.to(x.dtype), categorical]
    for shift in NEIGHBORS:
        facts += [x.roll(-shift, dims=2), missing.roll(-shift, dims=2)]
    stacked = torch.stack([fact.to(x.dtype) for fact in facts], dim=-1)
    return torch.cat([stacked, own, column], dim=-1)


N_FACTS = 6 + 2 * len(NEIGHBORS) + 2 * VECTOR


def normalize(x: Tensor) -> Tensor:
    """Root-mean-square norm over the last axis; the next linear map has the gain."""
    return F.rms_norm(x, x.shape[-1:])


class Attention(nn.Module):
    """Multi-head attention whose keys come from elsewhere than its queries."""

    def __init__(self, e: int, n_heads: int, similar: bool = False) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(e, e, bias=False)
        self.key_value = nn.Linear(e, 2 * e, bias=False)
        self.out = nn.Linear(e, e, bias=False)
        if similar:  # at the start, rows look at rows that are like them
            with torch.no_grad():
                self.key_value.weight[:e] = self.query.weight

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(b, n, d, e) -> two of (b, d, h, n, e / h)``, between rows."""
        b, n, d, e = x.shape
        kv = self.key_value(x).view(b, n, d, 2, self.n_heads, e // self.n_heads)
        K, V = kv.permute(3, 0, 2, 4, 1, 5).contiguous()  # once, not with every query
        return K, V

    def between_rows(
        self, x: Tensor, K: Tensor, V: Tensor, gain: Tensor, trace: Trace | None
    ) -> Tensor:
        """Attend from the rows of x (b, n, d, e) to keys (b, d, h, k, e / h)."""
        b, n, d, e = x.shape
        Q = self.query(x).view(b, n, d, self.n_heads, -1).permute(0, 2, 3, 1, 4)
        # scores grow with log(k), so that attention stays as sharp over more rows; as a tensor,
        # because a number would be compiled into the code of pretraining
        log_k = torch.full((), K.shape[-2], dtype=gain.dtype, device=gain.device).log()
        Q = Q * (gain * log_k).view(-1, 1, 1)
        if trace is not None:  # of the target's column (b, h, n, k)
            trace["rows"] = (Q[:, -1] @ K[:, -1].mT / math.sqrt(Q.shape[-1])).softmax(dim=-1)
        out = F.scaled_dot_product_attention(
            Q.flatten(0, 1), K.flatten(0, 1), V.flatten(0, 1)
        )  # (b d, h, n, e / h)
        out = out.view(b, d, *out.shape[1:]).permute(0, 3, 1, 2, 4).reshape(b, n, d, e)
        return self.out(out)  # type: ignore[no-any-return]

    def between_cells(self, x: Tensor, n_asking: int, trace: Trace | None) -> Tensor:
        """Attend from the last cells of each row of x (b, n, d, e) to all of its cells."""
        b, n, d, e = x.shape
        kv = self.key_value(x).view(b * n, d, 2, self.n_heads, e // self.n_heads)
        K, V = kv.permute(2, 0, 3, 1, 4)  # (b n, h, d, e / h)
        if trace is not None:  # of all cells (b, n, h, d, d), also where nobody reads the rest
            Q = self.query(x).view(b * n, d, self.n_heads, -1).transpose(1, 2)
            share = (Q @ K.mT / math.sqrt(Q.shape[-1])).softmax(dim=-1)
            trace["cells"] = share.view(b, n, *share.shape[1:])
        Q = self.query(x[:, :, d - n_asking :])
        Q = Q.view(b * n, n_asking, self.n_heads, -1).transpose(1, 2)
        out = F.scaled_dot_product_attention(Q, K, V)
        out = out.transpose(1, 2).reshape(b, n, n_asking, e)
        return self.out(out)  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention between cells, attention between rows, feed-forward; each on the residual."""

    def __init__(self, config: Config, last: bool) -> None:
        super().__init__()
        e = config.d_model
        self.last = last  # only the target's token is read afterwards
        self.cells = Attention(e, config.n_heads)
        self.rows = Attention(e, config.n_heads, similar=True)
        self.gain = nn.Parameter(torch.full((config.n_heads,), 1 / math.log(128)))
        self.expand = nn.Linear(e, 2 * e, bias=False)
        self.contract = nn.Linear(2 * e, e, bias=False)

    def forward(
        self,
        x: Tensor,
        n_keys: int,
        memory: Memory | None = None,
        trace: Trace | None = None,
    ) -> tuple[Tensor, Memory]:
        """Update rows x (b, n, d + 1, e), of which the first `n_keys` are seen by all.

        With a `memory` rows see that instead, and not each other.
        """
        asking = 1 if self.last else x.shape[2]
        update = self.cells.between_cells(normalize(x), asking, trace)
        x = x[:, :, x.shape[2] - asking :] + update
        normal = normalize(x)
        if memory is None:
            memory = Memory(*self.rows.keys_values(normal[:, :n_keys]))
        x = x + self.rows.between_rows(normal, memory.keys, memory.values, self.gain, trace)
        x = x + self.contract(F.gelu(self.expand(normalize(x))))
        return x, memory


class InContextNPT(nn.Module):
    """Predict the target of rows from context rows, without training on them.

    Parameters
    ----------
    config : Config
        Sizes.
    """

    borders: Tensor
    tails: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        e = config.d_model
        self.config = config
        self.embed_cell = nn.Linear(N_FACTS, e)
        with torch.no_grad():  # at the start, names are a whisper beside values
            self.embed_cell.weight[:, -2 * VECTOR :] *= 0.25
        self.embed_label = nn.Embedding(MAX_CLASSES, e)
        self.embed_number = nn.Linear(3, e)
        self.asked = nn.Parameter(0.1 * torch.randn(2, e))  # target unknown: label, number
        self.thinking = nn.Parameter(0.1 * torch.randn(config.n_thinking, e))
        last = config.n_layers - 1
        self.blocks = nn.ModuleList([Block(config, i == last) for i in range(config.n_layers)])
        self.read_label = _head(e, MAX_CLASSES)
        self.read_number = _head(e, config.n_bars)
        # Standardised targets at which a bar ends and the next begins, and how far beyond the
        # first and the last of them half of the targets lie; pretraining asks its prior.
        self.register_buffer("borders", torch.linspace(-3, 3, config.n_bars - 1))
        self.register_buffer("tails", torch.ones(2))

    def embed_target(self, y: Tensor, task: str) -> Tensor:
        """``(b, n) -> (b, n, e)``, for known targets."""
        if task == "classification":
            return self.embed_label(y.long())  # type: ignore[no-any-return]
        y = y / torch.hypot(torch.ones_like(y), y / BEND)
        facts = torch.stack([y, torch.sin(3 * y), torch.tanh(2 * y)], dim=-1)
        return self.embed_number(facts)  # type: ignore[no-any-return]

    def _with_thinking(self, x: Tensor) -> Tensor:
        b, _, d, e = x.shape
        thinking = self.thinking[None, :, None].expand(b, -1, d, e)
        return torch.cat([thinking, x], dim=1)

    def forward(self, facts: Tensor, y: Tensor, task: str) -> Tensor:
        """Predict the rows after the context, all in one pass.

        Parameters
        ----------
        facts : Tensor of shape (b, n, d, n_facts)
            What `describe_cells` says of all rows, the context first.
        y : Tensor of shape (b, c)
            Targets of the context: class codes, or standardised numbers.
        task : {"classification", "regression"}
            What the target is.

        Returns
        -------
        Tensor of shape (b, n - c, n_outputs)
            Logits of classes or of bars.
        """
        b, n, _, _ = facts.shape
        c = y.shape[1]
        asked = self.asked[TASKS.index(task)].expand(b, n - c, 1, -1)
        target = torch.cat([self.embed_target(y, task).unsqueeze(2), asked], dim=1)
        x = self._with_thinking(torch.cat([self.embed_cell(facts), target], dim=2))
        x, _ = self._blocks(x, self.config.n_thinking + c)
        return self.read(x[:, -(n - c) :, 0], task)

    def encode(self, facts: Tensor, y: Tensor, task: str) -> list[Memory]:
        """Return the keys and values of context rows in every block."""
        target = self.embed_target(y, task).unsqueeze(2)
        x = self._with_thinking(torch.cat([self.embed_cell(facts), target], dim=2))
        return self._blocks(x, x.shape[1])[1]

    def query(
        self,
        facts: Tensor,
        memories: list[Memory],
        task: str,
        traces: list[Trace] | None = None,
    ) -> Tensor:
        """Return the target's token (b, n, e) of rows that see the encoded context."""
        b, n, _, _ = facts.shape
        asked = self.asked[TASKS.index(task)].expand(b, n, 1, -1)
        x = torch.cat([self.embed_cell(facts), asked], dim=2)
        return self._blocks(x, 0, memories, traces)[0][:, :, 0]

    def _blocks(
        self,
        x: Tensor,
        n_keys: int,
        memories: list[Memory] | None = None,
        traces: list[Trace] | None = None,
    ) -> tuple[Tensor, list[Memory]]:
        made = []
        for i, block in enumerate(self.blocks):
            x = 0.95 * x if i else x
            memory = None if memories is None else memories[i]
            trace = None if traces is None else traces[i]
            x, memory = block(x, n_keys, memory, trace)
            made.append(memory)
        return x, made

    def read(self, token: Tensor, task: str) -> Tensor:
        """Return the logits of a target's token: of classes, or of bars."""
        head = self.read_label if task == "classification" else self.read_number
        return head(normalize(token))  # type: ignore[no-any-return]


def _head(e: int, n_outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(e, 2 * e), nn.GELU(), nn.Linear(2 * e, n_outputs))
