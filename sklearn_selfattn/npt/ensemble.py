"""One set of pretrained weights, asked several times about the same table.

The members of the ensemble share the weights and differ in how the table is shown to them: the
order and the names of its columns, the codes of its classes, numbers as they are or by rank.
They stand where the members of `module.NPT` stand, on a leading axis m, so that whatever a
fitted NPT can do with its context it can do with either.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .in_context import (
    MAX_CLASSES,
    InContextNPT,
    Memory,
    Names,
    Summary,
    Trace,
    describe_cells,
    draw_names,
    summarise,
)

TEMPERATURE = 0.9  # of the logits: on real tables the shipped weights are too timid without
N_ITERATIONS = 20  # of the fit of class probabilities to the members' groups
TINY = 1e-9  # sums of squares below that are rounding errors of a constant


class Encoded(NamedTuple):
    """What queries need of a context."""

    memories: list[Memory]
    summary: Summary
    center: Tensor  # (m, 1) of the target, regression
    scale: Tensor  # (m, 1), 0 where the target is constant


class Ensemble(nn.Module):
    """Members that look at a table with the same pretrained weights.

    Shape: cells ``(m or 1, n, d + 1)``, the target last; NaN where missing.

    Parameters
    ----------
    net : InContextNPT
        The pretrained net.
    is_categorical : ndarray of bool of shape (d,)
        Columns of codes.
    n_categories : int
        Codes of the column that has most.
    n_classes : int
        Classes of the target; 0 in regression.
    n_members : int
        Number of views.
    n_columns : int
        Columns that a member sees, at most d.
    seed : int
        Seed of the views.
    """

    column_names: Tensor
    category_names: Tensor
    codes: Tensor
    by_rank: Tensor
    is_categorical: Tensor
    ranking: Tensor
    order: Tensor

    def __init__(
        self,
        net: InContextNPT,
        is_categorical: np.ndarray,
        n_categories: int,
        n_classes: int,
        n_members: int,
        n_columns: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.net = net
        self.task = "classification" if n_classes else "regression"
        self.n_classes = n_classes
        generator = torch.Generator().manual_seed(seed)
        names = draw_names(n_members, n_columns, max(n_categories, 1), generator)
        order = torch.stack(
            [torch.randperm(len(is_categorical), generator=generator) for _ in range(n_members)]
        )[:, :n_columns]
        codes = [_deal_codes(n_classes, generator) for _ in range(n_members)]
        for name, value in {
            "column_names": names.columns,
            "category_names": names.categories,
            "codes": torch.stack(codes),  # (m, n_classes): the code of each class
            "by_rank": torch.arange(n_members) % 2 == 1,
            "is_categorical": torch.as_tensor(is_categorical),
            "ranking": torch.arange(len(is_categorical)),
        }.items():
            self.register_buffer(name, value, persistent=False)
        self.temperature = nn.Parameter(torch.tensor(TEMPERATURE))  # tuned along with the net
        self.register_buffer("order", order)  # (m, n_columns): what each member sees, and where

    @property
    def blocks(self) -> nn.ModuleList:
        """The blocks of the net, which all members share."""
        return self.net.blocks

    @torch.no_grad()
    def arrange(self, cells: np.ndarray) -> None:
        """Lay the members' orders upon a ranking of the columns that no order of them changes.

        Every member sees the columns that tell most of the target, as many as half of its own,
        and a draw of the others.
        """
        by_class = self.task == "classification"
        ranking = torch.as_tensor(rank_columns(cells, by_class), device=self.order.device)
        self.ranking.copy_(ranking)
        n_members, n_columns = self.order.shape
        surely = len(ranking) if n_columns == len(ranking) else n_columns // 2
        for member, order in enumerate(self.order):
            # a member's random order of ranks: the best ones, then whichever others come first
            first = torch.cat([order.new_tensor(range(surely)), order[order >= surely]])[:n_columns]
            seen = torch.zeros(len(ranking), dtype=torch.bool, device=order.device)
            seen[first] = True
            kept = order[seen[order]]
            missing = first[~torch.isin(first, kept)]
            self.order[member] = ranking[torch.cat([kept, missing])]

    def _describe(self, cells: Tensor, summary: Summary | None = None) -> tuple[Tensor, Summary]:
        """Return what the net is told of the cells (m, n, n_columns, n_facts)."""
        m, _ = self.order.shape
        X = cells[..., :-1].expand(m, -1, -1)
        X = X.gather(2, self.order.unsqueeze(1).expand(-1, X.shape[1], -1))
        if summary is None:
            summary = summarise(X)
        names = Names(self.column_names, self.category_names)
        categorical = self.is_categorical[self.order]
        return describe_cells(X, summary, categorical, names, self.by_rank), summary

    def encode(self, context: Tensor) -> Encoded:
        """Return what queries need of a context ``(m or 1, c, d + 1)``."""
        facts, summary = self._describe(context)
        y = context[..., -1].expand(len(self.order), -1)
        center, scale = y.new_zeros(len(y), 1), y.new_ones(len(y), 1)
        if self.task == "classification":
            y = self.codes.gather(1, y.long())
        else:
            center, scale = y.mean(dim=1, keepdim=True), y.std(dim=1, keepdim=True, correction=0)
            scale = scale * (scale > 1e-12)
            y = (y - center) / (scale + (scale == 0))
        return Encoded(self.net.encode(facts, y, self.task), summary, center, scale)

    def query(self, cells: Tensor, encoded: Encoded, traces: list[Trace] | None = None) -> Tensor:
        """Return the target's tokens ``(m, q, e)`` of queries ``(m or 1, q, d + 1)``."""
        facts, _ = self._describe(cells, encoded.summary)
        token = self.net.query(facts, encoded.memories, self.task, traces)
        for trace in traces or ():
            self._in_order_of_the_table(trace)
        return token

    def _in_order_of_the_table(self, trace: Trace) -> None:
        """Bring a block's attention weights to the order of the table's columns and rows.

        A column that a member does not see attends to itself. The learnt rows come last, as one.
        """
        share = trace["cells"]  # (m, n, h, k + 1, k + 1) in each member's order
        n_all = len(self.is_categorical)
        m, n, h, _, _ = share.shape
        whole = torch.eye(n_all + 1, dtype=share.dtype, device=share.device)
        whole = whole.expand(m, n, h, -1, -1).clone()
        target = self.order.new_tensor([n_all])
        for member, order in enumerate(self.order):
            seen = torch.cat([order, target])
            whole[member][..., seen, :] = 0.0
            whole[member][..., seen[:, None], seen] = share[member]
        trace["cells"] = whole
        share, n_thinking = trace["rows"], self.net.config.n_thinking  # (m, h, n, t + c)
        learnt = share[..., :n_thinking].sum(dim=-1, keepdim=True)
        trace["rows"] = torch.cat([share[..., n_thinking:], learnt], dim=-1)

    def target(self, token: Tensor) -> Tensor:
        """Return the logits of codes (m, q, n_codes), or of bars (m, q, n_bars)."""
        logits = self.net.read(token, self.task) / self.temperature
        if self.task == "regression":
            return logits
        return logits[..., : min(self.n_classes, MAX_CLASSES)]

    def per_query(self, encoded: Encoded) -> int:
        """Return the numbers that a query holds in memory while it is predicted."""
        m, d = self.order.shape
        return m * (d + 1) * self.net.config.d_model

    # --- what the members say together -----------------------------------------------------

    def log_share(self, logits: Tensor) -> Tensor:
        """Return log probabilities of the classes (q, n_classes) from logits of codes.

        Up to ten classes have codes of their own, and the members' logits are averaged. More
        classes share codes, others in each member: the probabilities are then those, nearest to
        the classes' equal shares, that add up to what each member says of its codes (iterative
        proportional fitting).
        """
        m, q, n_codes = logits.shape
        codes = self.codes.unsqueeze(1).expand(-1, q, -1)  # (m, q, n_classes)
        if n_codes == self.n_classes:
            return logits.gather(2, codes).mean(dim=0).log_softmax(dim=-1)
        share = logits.softmax(dim=-1)
        log_share = share.new_zeros(q, self.n_classes)
        for _ in range(N_ITERATIONS):
            for member in range(m):
                held = torch.zeros_like(share[member])
                held.scatter_add_(1, codes[member], log_share.softmax(dim=-1))
                ratio = (share[member] + 1e-12).log() - (held + 1e-12).log()
                log_share = log_share + ratio.gather(1, codes[member]) / m
        return log_share.log_softmax(dim=-1)

    def mean(self, logits: Tensor, encoded: Encoded) -> Tensor:
        """Return the mean over members of the means (q,) of the bars' distributions."""
        borders, tails = self.net.borders, self.net.tails
        # half of a tail lies within its length in `tails`, and it falls exponentially
        excess = tails / math.log(2)
        middle = (borders[1:] + borders[:-1]) / 2
        ends = borders[:1] - excess[:1], borders[-1:] + excess[1:]
        centers = torch.cat([ends[0], middle, ends[1]])  # (n_bars,)
        mean = (logits.softmax(dim=-1) * centers).sum(dim=-1)  # (m, q)
        return (encoded.center + encoded.scale * mean).mean(dim=0)

    def quantiles(self, logits: Tensor, encoded: Encoded, levels: Tensor) -> Tensor:
        """Return the mean over members of quantiles (q, n_levels) of the bars' distributions."""
        borders, tails = self.net.borders, self.net.tails
        share = logits.softmax(dim=-1)  # (m, q, n_bars)
        upto = share.cumsum(dim=-1)
        level = levels.expand(*share.shape[:2], -1).contiguous()
        bar = torch.searchsorted(upto, level).clamp(max=share.shape[-1] - 1)
        inside = share.gather(2, bar).clamp(min=1e-12)
        part = ((level - upto.gather(2, bar) + inside) / inside).clamp(1e-6, 1 - 1e-6)
        start = borders[(bar - 1).clamp(min=0)]
        stop = borders[bar.clamp(max=len(borders) - 1)]
        value = start + part * (stop - start)
        value = torch.where(bar == 0, borders[0] + tails[0] * torch.log2(part), value)
        above = borders[-1] - tails[1] * torch.log2(1 - part)
        value = torch.where(bar == len(borders), above, value)
        return (encoded.center.unsqueeze(2) + encoded.scale.unsqueeze(2) * value).mean(dim=0)

    # --- training further, on the table at hand ----------------------------------------------

    def training_loss(self, cells: Tensor, n_context: int, generator: torch.Generator) -> Tensor:
        """Return the loss of the rows after the context, under views drawn anew.

        Parameters
        ----------
        cells : Tensor of shape (b, n, d + 1)
            Samples of a table, the context first.
        n_context : int
            Rows of context.
        generator : torch.Generator
            Source of the views, on the CPU.
        """
        b, n_columns = len(cells), self.order.shape[1]
        device, y = cells.device, cells[..., -1]
        draws = [torch.randperm(cells.shape[2] - 1, generator=generator) for _ in range(b)]
        order = self.ranking[torch.stack(draws)[:, :n_columns].to(device)]
        names = draw_names(b, n_columns, self.category_names.shape[2], generator)
        names = Names(*(part.to(cells) for part in names))
        by_rank = (torch.rand(b, generator=generator) < 0.5).to(device)
        X = cells[..., :-1].gather(2, order.unsqueeze(1).expand(-1, cells.shape[1], -1))
        summary = summarise(X[:, :n_context])
        facts = describe_cells(X, summary, self.is_categorical[order], names, by_rank)
        if self.task == "classification":
            codes = torch.stack([_deal_codes(self.n_classes, generator) for _ in range(b)])
            y = codes.to(device).gather(1, y.long())
            logits = self.net(facts, y[:, :n_context], self.task) / self.temperature
            logits = logits[..., : min(self.n_classes, MAX_CLASSES)]
            return F.cross_entropy(logits.flatten(0, 1), y[:, n_context:].flatten())
        known = y[:, :n_context]
        scale = known.std(dim=1, keepdim=True, correction=0) + 1e-6
        y = (y - known.mean(dim=1, keepdim=True)) / scale
        logits = self.net(facts, y[:, :n_context], self.task) / self.temperature
        bars = torch.bucketize(y[:, n_context:].contiguous(), self.net.borders)
        return F.cross_entropy(logits.flatten(0, 1), bars.flatten())

    def held_out_loss(self, context: Tensor, queries: Tensor) -> float:
        """Return the mean loss of what the members say together of queries (q, d + 1)."""
        encoded = self.encode(context[None])
        logits = self.target(self.query(queries[None], encoded))
        y = queries[:, -1]
        if self.task == "classification":
            return F.nll_loss(self.log_share(logits), y.long()).item()
        scale = encoded.scale[0]  # all members see all rows here
        y = (y - encoded.center[0]) / (scale + (scale == 0))
        bars = torch.bucketize(y.contiguous(), self.net.borders)
        return F.nll_loss(logits.softmax(dim=-1).mean(dim=0).log(), bars).item()


def _deal_codes(n_classes: int, generator: torch.Generator) -> Tensor:
    """Give each class a code of 0..9 at random, to as many classes each as can be."""
    shuffled = torch.randperm(n_classes, generator=generator)
    return shuffled % MAX_CLASSES if n_classes > MAX_CLASSES else shuffled


def rank_columns(cells: np.ndarray, by_class: bool) -> np.ndarray:
    """Rank the columns of cells (n, d + 1) by what they tell of the target, the last one.

    That is the share of a column's variance that lies between the classes, or goes with the
    number, so that names of classes do not matter. The ranking is exactly the same for any
    order of rows and columns: rows are sorted by the two columns in question before anything is
    added up, and the last digits, which a mean over rows in another order has changed, do
    not count.

    Returns
    -------
    ndarray of int of shape (d,)
        Columns, the one that tells most first; ties by a hash.
    """
    y = cells[:, -1]
    keys = []
    for x in cells[:, :-1].T:
        rows = np.lexsort([y, x])
        a, b = np.nan_to_num(x[rows]), y[rows]
        weight = np.modf(np.arange(1, len(a) + 1) * 0.6180339887498949)[0]
        a_, b_ = a - a.mean(), b - b.mean()
        if by_class:
            codes = b.astype(np.intp)
            told = (np.bincount(codes, a_) ** 2 / np.bincount(codes).clip(min=1)).sum()
        else:
            told = (a_ @ b_) ** 2 / max(b_ @ b_, TINY)
        key = np.array([told / max(a_ @ a_, TINY), weight @ a, weight @ (a * b)])
        keys.append(tuple(np.round(key, 9)))
    return np.array(sorted(range(len(keys)), key=keys.__getitem__, reverse=True), dtype=np.int64)
