"""Stochastic masking: which rows a training step sees, and what is hidden in them.

Each step draws some rows for each member. A random share of them is context and shows its labels;
the others are queries, whose labels are hidden and have to be predicted. In some of the rows some
feature cells are hidden too; those of the queries have to be reconstructed. The other rows stay
whole, so that what can be known of their labels is there to be seen.
"""

from typing import NamedTuple

import torch

STEPS_PER_EPOCH = 10  # at least, where there are enough rows
ROWS_PER_STEP = 32  # a table of fewer rows than 10 x 32 gets fewer steps in an epoch
CONTEXT_SHARE = (0.4, 0.9)  # of the rows of a step, drawn uniformly


class MaskedStep(NamedTuple):
    """One training step.

    Attributes
    ----------
    rows : Tensor of int of shape (m, n)
        Rows of the table, for each member; context first.
    n_context : int
        How many of them are context.
    hidden : Tensor of bool of shape (m, n, d)
        Cells that are hidden: targets of queries and the chosen feature cells.
    replaced : Tensor of bool of shape (m, n, d)
        Feature cells that show a value of another row instead.
    progress : float
        Share of the training that is done, between 0 and 1.
    """

    rows: torch.Tensor
    n_context: int
    hidden: torch.Tensor
    replaced: torch.Tensor
    progress: float


class MaskedBatches:
    """Draw the steps of an epoch.

    An epoch is a pass over the rows, but on small tables as many as make ten steps (one step
    per 32 rows, at most ten): each step draws its context anew, so the same rows are a
    new exercise each time.

    Parameters
    ----------
    member_rows : list of Tensor of int
        The rows that each member may see.
    n_columns : int
        Columns of the table, target included.
    batch_size : int
        The most rows in a step.
    feature_mask_prob : float
        Probability that a feature cell of a masked row is chosen.
    masked_rows : float
        Share of the rows in which cells are chosen.
    replace_prob : float
        Share of the chosen cells that show a value of another row instead of being hidden.
    max_epochs : int
        Epochs in all, from which `MaskedStep.progress` follows.
    groups : Tensor of int of shape (n_rows,), default=None
        Rows of a group are drawn together.
    context_share : tuple of two float
        Bounds of the share of the rows that are context.
    """

    def __init__(
        self,
        member_rows,
        n_columns,
        *,
        batch_size,
        feature_mask_prob,
        masked_rows=1.0,
        replace_prob=0.0,
        max_epochs,
        groups=None,
        context_share=CONTEXT_SHARE,
    ):
        self.member_rows, self.n_columns, self.groups = member_rows, n_columns, groups
        self.n_rows = min(len(rows) for rows in member_rows)
        self.n_drawn = min(batch_size, self.n_rows)
        self.feature_mask_prob, self.replace_prob = feature_mask_prob, replace_prob
        self.masked_rows = masked_rows
        self.max_epochs, self.context_share = max_epochs, context_share
        self.n_epochs_drawn = 0

    def __len__(self):
        passes = -(-self.n_rows // self.n_drawn)
        return max(passes, min(STEPS_PER_EPOCH, -(-self.n_rows // ROWS_PER_STEP)))

    def __call__(self, generator):
        """Yield the steps of one epoch, drawn from `generator`."""
        per_pass = self.n_rows // self.n_drawn
        for step in range(len(self)):
            if step % per_pass == 0:
                orders = [self._order(rows, generator) for rows in self.member_rows]
            start = step % per_pass * self.n_drawn
            rows = torch.stack([order[start : start + self.n_drawn] for order in orders])  # (m, n)
            if self.groups is not None:  # neighbours in the order are of one group: mix them
                rows = rows[:, torch.randperm(self.n_drawn, generator=generator)]
            progress = (self.n_epochs_drawn + step / len(self)) / self.max_epochs
            yield self._mask(rows, min(progress, 1.0), generator)
        self.n_epochs_drawn += 1

    def _order(self, rows, generator):
        """Return the rows in a random order in which groups stay together."""
        if self.groups is None:
            return rows[torch.randperm(len(rows), generator=generator)]
        groups = self.groups[rows]
        rank = torch.randperm(int(self.groups.max()) + 1, generator=generator)
        return rows[torch.argsort(rank[groups], stable=True)]

    def _mask(self, rows, progress, generator):
        low, high = self.context_share
        share = low + (high - low) * torch.rand((), generator=generator).item()
        n_context = min(max(round(share * self.n_drawn), 1), self.n_drawn - 1)
        shape = (*rows.shape, self.n_columns)
        hidden = torch.zeros(shape, dtype=torch.bool)
        replaced = torch.zeros(shape, dtype=torch.bool)
        if self.feature_mask_prob:
            hidden = torch.rand(shape, generator=generator) < self.feature_mask_prob
            if self.masked_rows < 1:
                hidden &= torch.rand((*rows.shape, 1), generator=generator) < self.masked_rows
            hidden[..., -1] = False
            if self.replace_prob:
                replaced = hidden & (torch.rand(shape, generator=generator) < self.replace_prob)
        hidden[:, n_context:, -1] = True
        return MaskedStep(rows, n_context, hidden, replaced, progress)
