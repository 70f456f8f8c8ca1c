r"""The Non-Parametric Transformer: cells attend to cells, rows attend to rows (torch only).

The last column of the table is the target. *Context* rows show it, *query* rows hide it. Context
rows attend to context rows; a query attends to the context and to itself. Nothing attends to a
query, so what the context computes can be kept once and for all (`NPT.encode`).

Letters in shapes: m members, n rows, d columns (target included), e width of a token, r width of
the row attention, h heads.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.attention import (
    FeedForward,
    MemberLinear,
    attend,
    attend_and_self,
    merge_heads,
    normalize,
    split_heads,
)
from ..core.tokens import CellTokenizer

LARGEST_GAIN = 8.0  # of the last head at the start; the first has 1


class Memory(NamedTuple):
    """What a layer keeps of the context: keys and values, each ``(m, ..., h, n_context, c)``."""

    keys: Tensor
    values: Tensor


class RowAttention(nn.Module):
    r"""Attention between datapoints: every row looks at the rows of the context.

    ``"rows"``: a row is one vector, its tokens side by side, projected to a low rank. Row i gives
    row j of the context the weight

    .. math:: w_{ij} \propto \exp\Big(-\frac{g}{2 \sqrt{r / h}} \lVert q_i - k_j \rVert^2\Big),
       \quad [Q, K, V] = \mathrm{norm}(\mathrm{flat}(H)) [W_Q, W_K, W_V],
       \quad W_{Q,K,V} \in R^{de \times r},

    a scaled dot product with :math:`\lVert k_j \rVert^2 / 2` taken off, which keeps a key from
    winning by its length. :math:`W_Q = W_K` at the start, and each head starts with a gain
    :math:`g` of its own, so that the net begins as a smoother over near rows, narrow and wide,
    and learns what near means. With untied maps it took several times the steps to find a row's
    twin among hundreds, where it found it at all.

    ``"paper"``: scaled dot products in full width, :math:`r = de`, divided by :math:`\sqrt{de}`
    as the paper's equation 1 has it. ``"cells"``: scaled dot products column by column, with
    weights that do not depend on the number of columns.

    Shape: input and output ``(m, n, d, e)``.
    """

    def __init__(self, form, n_members, n_columns, d_model, row_dim, n_heads):
        super().__init__()
        self.form, self.n_heads = form, n_heads
        width = d_model if form == "cells" else n_columns * d_model
        row_dim = row_dim if form == "rows" else width
        self.scale = 1 / math.sqrt(width if form == "paper" else row_dim // n_heads)
        self.project = MemberLinear(n_members, width, 3 * row_dim, bias=False)
        self.output = MemberLinear(n_members, row_dim, width)
        self.log_gain = None
        if form == "rows":
            with torch.no_grad():
                self.project.weight[..., row_dim : 2 * row_dim] = self.project.weight[..., :row_dim]
            log_gain = math.log(LARGEST_GAIN) * torch.linspace(0, 1, n_heads)
            self.log_gain = nn.Parameter(log_gain.repeat(n_members, 1)[..., None, None])

    def heads(self, H):
        """Return queries, keys and values of all rows, each ``(m, [d,] h, n, c)``."""
        flat = H.transpose(1, 2) if self.form == "cells" else H.flatten(2)  # (m, [d,] n, ...)
        projected = self.project(normalize(flat)).chunk(3, dim=-1)
        Q, K, V = (split_heads(part, self.n_heads) for part in projected)
        if self.log_gain is not None:
            # one more channel: q k - |k|^2 / 2 differs from -|q - k|^2 / 2 by the same for all keys
            Q = self.log_gain.exp() * torch.cat([Q, torch.ones_like(Q[..., :1])], dim=-1)
            K = torch.cat([K, -0.5 * K.square().sum(dim=-1, keepdim=True)], dim=-1)
        return Q, K, V

    def merge(self, out, shape):
        """Return the heads' outputs ``(m, [d,] h, n, c)`` as tokens of `shape`."""
        out = self.output(merge_heads(out))
        return out.transpose(1, 2) if self.form == "cells" else out.view(shape)


class Block(nn.Module):
    """Rows attend to rows, then cells of a row attend to each other; each with feed-forward.

    Shape: input and output ``(m, n, d, e)``.
    """

    def __init__(
        self, form, n_members, n_columns, d_model, row_dim, feed_forward_dim, n_heads, dropout,
        use_cell_attention,
    ):  # fmt: skip
        super().__init__()
        self.rows = RowAttention(form, n_members, n_columns, d_model, row_dim, n_heads)
        width = d_model if form == "cells" else n_columns * d_model
        hidden = {"rows": feed_forward_dim, "cells": 2 * width, "paper": 4 * width}[form]
        self.row_feed_forward = FeedForward(n_members, width, hidden, dropout)
        # the paper's residual branch is a linear map: H W_res + attention(H)
        paper = form == "paper"
        self.row_residual = MemberLinear(n_members, width, width, bias=False) if paper else None
        self.use_cell_attention = use_cell_attention
        if use_cell_attention:
            most = n_heads if paper else max(1, min(n_heads, d_model // 16))
            self.cell_heads = max(h for h in range(1, most + 1) if d_model % h == 0)
            self.cell_scale = 1 / math.sqrt(d_model if paper else d_model // self.cell_heads)
            self.cell_project = MemberLinear(n_members, d_model, 3 * d_model, bias=False)
            self.cell_output = MemberLinear(n_members, d_model, d_model)
            factor = 4 if paper else 2
            self.cell_feed_forward = FeedForward(n_members, d_model, factor * d_model, dropout)
            self.cell_residual = (
                MemberLinear(n_members, d_model, d_model, bias=False) if paper else None
            )
        self.dropout = dropout if paper else 0.0  # else only in the feed-forward layers

    def forward(self, H, n_context, *, memory=None, queries_only=False, trace=None):
        """Update all rows, of which the first `n_context` are context.

        With `memory` all rows are queries and the context is what was kept; with
        `queries_only` the context rows are dropped once they have been looked at. Returns the
        rows and the memory. A dict `trace` receives the attention weights of the queries.
        """
        Q, K, V = self.rows.heads(H)
        if memory is None:
            memory = Memory(K[..., :n_context, :], V[..., :n_context, :])
        outs = []
        if queries_only:
            H = H[:, n_context:]
        elif n_context or not Q.shape[-2]:  # an empty context stays one
            outs.append(
                attend(Q[..., :n_context, :], memory.keys, memory.values, self.rows.scale)[0]
            )
        if Q.shape[-2] > n_context:
            own_Q, own_K, own_V = (part[..., n_context:, :] for part in (Q, K, V))
            out, weights = attend_and_self(
                own_Q, memory.keys, memory.values, own_K, own_V, self.rows.scale
            )
            outs.append(out)
            if trace is not None:
                trace["rows"] = weights
        out = torch.cat(outs, dim=-2) if len(outs) > 1 else outs[0]
        H = self._add(H, self.rows.merge(out, H.shape), self.row_residual)
        if self.rows.form == "cells":
            H = H + self._drop(self.row_feed_forward(H))
        else:
            H = H + self._drop(self.row_feed_forward(H.flatten(2))).view_as(H)
        if self.use_cell_attention:
            H = self._attend_cells(H, trace)
        return H, memory

    def _attend_cells(self, H, trace):
        m, n = H.shape[:2]
        projected = self.cell_project(normalize(H)).flatten(0, 1).chunk(3, dim=-1)
        Q, K, V = (split_heads(part, self.cell_heads) for part in projected)  # (m n, h, d, c)
        out, weights = attend(Q, K, V, self.cell_scale, weights=trace is not None)
        if trace is not None and weights is not None:
            trace["cells"] = weights.unflatten(0, (m, n))  # (m, n, h, d, d)
        out = self.cell_output(merge_heads(out).unflatten(0, (m, n)))
        H = self._add(H, out, self.cell_residual)
        return H + self._drop(self.cell_feed_forward(H))

    def _add(self, H, update, residual):
        if residual is not None:
            flat = H if residual.weight.shape[1] == H.shape[-1] else H.flatten(2)
            H = residual(flat).view_as(H)
        return H + self._drop(update)

    def _drop(self, x):
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


class NPT(nn.Module):
    """Non-Parametric Transformer over tables with one target column, the last.

    Shape: cells ``(m or 1, n, d)`` with NaN where missing; target outputs ``(m, q, n_outputs)``.

    Parameters
    ----------
    form : {"rows", "cells", "paper"}
        Form of the attention between datapoints, see `RowAttention`.
    n_members : int
        Networks side by side.
    n_categories : sequence of int of length d
        Codes of each column, the target last; 0 where numeric.
    d_model, row_dim, feed_forward_dim, n_heads, n_layers, n_bins : int
        Width of a token, of the row attention and of the row's hidden layer; heads, blocks,
        bins of the numeric embedding.
    dropout : float
        Dropout on every residual branch and in the feed-forward layers.
    use_cell_attention : bool
        Whether cells attend to cells.

    Examples
    --------
    >>> import torch
    >>> from sklearn_selfattn.npt.module import NPT
    >>> net = NPT("rows", 2, [0, 0, 3], 8, 16, 16, 2, 1, 4, 0.0, True)
    >>> cells = torch.zeros(1, 5, 3)
    >>> net.predict(cells[:, :2], net.encode(cells)).shape
    torch.Size([2, 2, 3])
    """

    code_index: Tensor
    code_exists: Tensor

    def __init__(
        self,
        form: str,
        n_members: int,
        n_categories: Sequence[int],
        d_model: int,
        row_dim: int,
        feed_forward_dim: int,
        n_heads: int,
        n_layers: int,
        n_bins: int,
        dropout: float,
        use_cell_attention: bool,
    ) -> None:
        super().__init__()
        n_columns = len(n_categories)
        self.form = form
        self.tokenizer = CellTokenizer(n_members, n_categories, d_model, n_bins)
        self.blocks = nn.ModuleList(
            Block(form, n_members, n_columns, d_model, row_dim, feed_forward_dim, n_heads,
                  dropout, use_cell_attention)
            for _ in range(n_layers)
        )  # fmt: skip
        n_outputs = max(int(n_categories[-1]), 1)
        # What the target is read from: its token (paper), its token and the mean of the others
        # (cells), or the whole row.
        width = {"paper": d_model, "cells": 2 * d_model, "rows": n_columns * d_model}[form]
        self.read = None
        if form != "paper":
            self.read = MemberLinear(n_members, width, feed_forward_dim)
            width = feed_forward_dim
        self.target_output = MemberLinear(n_members, width, n_outputs, scale=0.3)
        # One output per feature: a number by a dot product, a category by one for each code.
        self.number_output = nn.Parameter(torch.zeros(n_members, n_columns, d_model))
        self.code_output = nn.Parameter(
            0.1 * torch.randn(n_members, self.tokenizer.n_codes, d_model)
        )
        features = [j for j in self.tokenizer.categorical if j < n_columns - 1]
        largest = max((int(n_categories[j]) for j in features), default=0)
        index = torch.zeros(len(features), largest, dtype=torch.long)
        exists = torch.zeros(len(features), largest, dtype=torch.bool)
        offsets = self.tokenizer.offsets.tolist()[: len(features)]
        for i, (offset, j) in enumerate(zip(offsets, features, strict=True)):
            exists[i, : n_categories[j]] = True
            index[i, : n_categories[j]] = offset + torch.arange(int(n_categories[j]))
        self.register_buffer("code_index", index, persistent=False)
        self.register_buffer("code_exists", exists, persistent=False)
        self.numeric_features = [j for j in self.tokenizer.numeric if j < n_columns - 1]
        self.categorical_features = features
        self.no_weight_decay = {
            "number_output",
            "code_output",
            *(f"blocks.{i}.rows.log_gain" for i in range(n_layers)),
            *(f"tokenizer.{name}" for name in self.tokenizer.no_weight_decay),
        }

    def forward(self, cells: Tensor, hidden: Tensor, n_context: int) -> Tensor:
        """Return the tokens ``(m, n - n_context, d, e)`` of the queries after all blocks.

        Parameters
        ----------
        cells : Tensor of shape (m, n, d)
            Context rows first, then queries.
        hidden : Tensor of bool of shape (m, n, d)
            Cells not to be seen; it has to include the targets of the queries.
        n_context : int
            Number of context rows.
        """
        H = self.tokenizer(cells, hidden)
        for block in self.blocks[:-1]:
            H, _ = block(H, n_context)
        return self.blocks[-1](H, n_context, queries_only=True)[0]  # type: ignore[no-any-return]

    def encode(self, context: Tensor) -> list[Memory]:
        """Return what queries need of a context ``(m or 1, n, d)``: keys and values per block."""
        H, memories = self.tokenizer(context), []
        for block in self.blocks[:-1]:
            H, memory = block(H, H.shape[1])
            memories.append(memory)
        # nothing reads what the last block makes of H
        _, K, V = self.blocks[-1].rows.heads(H)  # type: ignore[union-attr, operator]
        return [*memories, Memory(K, V)]

    def query(
        self, cells: Tensor, memories: list[Memory], traces: list[dict[str, Tensor]] | None = None
    ) -> Tensor:
        """Return the tokens ``(m, q, d, e)`` of queries ``(m or 1, q, d)``; targets are hidden."""
        hidden = torch.zeros_like(cells, dtype=torch.bool)
        hidden[..., -1] = True
        H = self.tokenizer(cells, hidden)
        for i, (block, memory) in enumerate(zip(self.blocks, memories, strict=True)):
            H, _ = block(H, 0, memory=memory, trace=None if traces is None else traces[i])
        return H  # type: ignore[no-any-return]

    def target(self, H: Tensor) -> Tensor:
        """Return logits, or the standardised target, ``(m, q, n_outputs)`` from tokens."""
        if self.form == "rows":
            row = H.flatten(2)
        elif self.form == "cells":
            row = torch.cat([H[:, :, -1], H[:, :, :-1].mean(dim=2)], dim=-1)
        else:
            row = H[:, :, -1]
        row = normalize(row)
        if self.read is not None:
            row = F.gelu(self.read(row))
        return self.target_output(row)  # type: ignore[no-any-return]

    def per_query(self, memories: list[Memory]) -> int:
        """Return the attention scores of a query, over all members, heads and keys."""
        keys = memories[0].keys
        return keys.shape[:-2].numel() * (keys.shape[-2] + 1)

    def predict(self, cells: Tensor, memories: list[Memory]) -> Tensor:
        """Return target outputs ``(m, q, n_outputs)`` of queries ``(m or 1, q, d)``."""
        return self.target(self.query(cells, memories))

    def features(self, H: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruct the features from tokens.

        Returns
        -------
        numbers : Tensor of shape (m, q, d_num)
            Standardised numbers, for `numeric_features`.
        logits : Tensor of shape (m, q, d_cat, largest number of codes)
            For `categorical_features`; -inf where a column has no such code.
        """
        H = normalize(H)
        numeric = H[:, :, self.numeric_features]
        numbers = (numeric * self.number_output[:, None, self.numeric_features]).sum(dim=-1)
        codes = self.code_output[:, self.code_index]  # (m, d_cat, codes, e)
        logits = H[:, :, self.categorical_features].transpose(1, 2) @ codes.mT
        logits = logits.transpose(1, 2).masked_fill(~self.code_exists, -math.inf)
        return numbers, logits

    def feature_losses(self, H: Tensor, cells: Tensor, chosen: Tensor) -> Tensor:
        """Return the mean loss over the chosen feature cells ``(m, q, d)`` that are not missing."""
        chosen = chosen & ~cells.isnan()
        known = cells.masked_fill(~chosen, 0.0)
        numbers, logits = self.features(H)
        total = H.new_zeros(())
        if self.numeric_features:
            error = numbers - known[..., self.numeric_features]
            # bounded, so that one far outlier does not set the direction
            squared = error.square().clamp(max=25.0)
            total = total + (squared * chosen[..., self.numeric_features]).sum()
        if self.categorical_features:
            codes = known[..., self.categorical_features].long()
            entropy = F.cross_entropy(logits.flatten(0, 2), codes.flatten(), reduction="none").view(
                codes.shape
            )
            total = total + (entropy * chosen[..., self.categorical_features]).sum()
        return total / chosen[..., :-1].sum().clamp(min=1)
