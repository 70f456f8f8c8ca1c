"""The pretraining run: what a step is, how it is validated, saved, resumed and exported.

A step's tables, their shape and their task follow from ``(seed, step)`` alone, and the learning
rate from ``step / n_steps``: a run that was stopped and resumed equals one that was not.
"""

import copy
import json
import math
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.randomness import seeded
from ..in_context import (
    MAX_CLASSES,
    PRESETS,
    InContextNPT,
    describe_cells,
    draw_names,
    summarise,
)
from ..weights import save_weights
from .muon import Muon
from .prior import Tables, sample_tables

# Share of the training, share of the rows, most columns: small tables first, they teach the most
# a second.
CURRICULUM = ((0.30, 0.25, 10), (0.75, 0.5, 18), (1.0, 1.0, 30))
FEWEST_ROWS = 24
CONTEXT_SHARE = (0.4, 0.85)
REGRESSION_SHARE = 1 / 3
REGRESSION_WEIGHT = 0.5  # of its loss, whose gradients are the larger ones
GAUSSIAN_SHARE = 0.3  # of tables whose numbers are shown by rank
N_CATEGORY_NAMES = 32
WARM_UP = 100  # steps
AVERAGE = 0.999  # decay of the running average of the weights, in the end
MOST_TABLES = 64
# Steps whose tables are drawn at once. A draw is a thousand small kernels, a GPU waits for each.
AHEAD = {"cpu": 1, "cuda": 8}
MOST_ROWS = 60_000  # of a step: attention between cells takes 65,535 sequences on a GPU
VALIDATION = ((200, 4), (200, 8), (200, 14), (400, 20))  # rows and columns of the fixed tables
VALIDATION_TABLES = 12  # of each size and task


@dataclass(frozen=True)
class Plan:
    """What determines a run.

    Attributes
    ----------
    preset : str
        Sizes of the net, a key of `sklearn_selfattn.npt.in_context.PRESETS`.
    n_steps : int
        Length of the run.
    cells : int
        Cells of a step, all tables together.
    learning_rate : float
        Highest step size.
    seed : int
        Seed of weights and tables.
    rows : int
        Most rows of a table.
    """

    preset: str = "tiny"
    n_steps: int = 30_000
    cells: int = 3_000
    learning_rate: float = 3e-3
    seed: int = 0
    rows: int = 512


class Run:
    """A pretraining run and its state.

    Parameters
    ----------
    plan : Plan
        What to do.
    device : str
        "cpu" or "cuda".
    """

    def __init__(self, plan: Plan, device: str = "cpu") -> None:
        self.plan, self.device = plan, torch.device(device)
        with seeded(plan.seed):
            self.net = InContextNPT(PRESETS[plan.preset])
        borders, tails = _bars(self.net.config.n_bars, plan.seed)
        self.net.borders.copy_(borders)
        self.net.tails.copy_(tails)
        self.net.to(self.device)
        self.average = copy.deepcopy(self.net).requires_grad_(False)
        matrices = [p for p in self.net.blocks.parameters() if p.ndim == 2]
        chosen = {id(p) for p in matrices}
        rest = [p for p in self.net.parameters() if id(p) not in chosen]
        rate = plan.learning_rate
        self.optimizers = [
            Muon(matrices, lr=rate),
            torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.01),
        ]
        self.step = 0
        self.totals = {"seconds": 0.0, "flop": 0.0, "tables": 0, "generation_seconds": 0.0}
        self.curve: list[dict[str, Any]] = []
        self._generator = torch.Generator(self.device)
        self._tables: list[Tables] = []  # of the steps to come, the next one last
        on_gpu = self.device.type == "cuda"
        # seconds of CPU, which other work on the machine does not lengthen; of a GPU wall clock
        self._clock = time.perf_counter if on_gpu else time.process_time
        if on_gpu:
            for block in self.net.blocks:  # once for all sizes of tables
                block.compile(dynamic=True)

    # --- a step --------------------------------------------------------------------------

    def draw_step(self, step: int) -> tuple[str, int, int, int]:
        """Return task, rows, columns and context rows of a step."""
        rng = random.Random(f"{self.plan.seed}-{step}")
        share = step / self.plan.n_steps
        part, most_columns = next(c[1:] for c in CURRICULUM if share < c[0] or c[0] == 1)
        most_rows = int(part * self.plan.rows)
        task = "regression" if rng.random() < REGRESSION_SHARE else "classification"
        n = int(math.exp(rng.uniform(math.log(FEWEST_ROWS), math.log(most_rows + 1))))
        d = int(math.exp(rng.uniform(math.log(2), math.log(most_columns + 1))))
        return task, n, d, int(n * rng.uniform(*CONTEXT_SHARE))

    def _next_tables(self, first: int, task: str, n: int, d: int) -> Tables:
        """Return this step's tables; those of the steps from `first` on are drawn at once."""
        if not self._tables:
            start = self._finished()
            cells, ahead = self.plan.cells, AHEAD[self.device.type]
            b = min(cells // (n * (d + 2)), MOST_TABLES * cells // 3000)
            b = max(1, min(b, MOST_ROWS // (n + self.net.config.n_thinking)))
            self._generator.manual_seed((self.plan.seed << 32) + first)
            drawn = sample_tables(
                b * ahead, n, d, task=task, generator=self._generator, device=str(self.device)
            )
            # what a resumed run has trained on is left out; the next step's tables come last
            todo = range(self.step - first, ahead)
            self._tables = [drawn[i::ahead] for i in reversed(todo)]
            self.totals["generation_seconds"] += self._finished() - start
        return self._tables.pop()

    def take_step(self) -> Tensor:
        """Train on the tables of one step and return their loss."""
        start = self._clock()
        first = self.step - self.step % AHEAD[self.device.type]
        task, n, d, c = self.draw_step(first)
        tables = self._next_tables(first, task, n, d)
        self._generator.manual_seed((self.plan.seed << 32) + (1 << 31) + self.step)
        rate = self.plan.learning_rate * self._schedule()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):
            loss = table_loss(self.net, tables, c, task, self._generator)
        weight = REGRESSION_WEIGHT if task == "regression" else 1.0
        (weight * loss).backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        decay = min(AVERAGE, 1 - 1 / (self.step / 5 + 1.5))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.net.parameters(), strict=True)
            for mean, parameter in pairs:
                mean.lerp_(parameter, 1 - decay)
        self.step += 1
        b = len(tables.y)
        self.totals["seconds"] += self._clock() - start
        self.totals["flop"] += 3 * b * self.net.config.flop(n, c, d)
        self.totals["tables"] += b
        return loss.detach()

    def _finished(self) -> float:
        """Return the time when what was asked of the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return self._clock()

    def _schedule(self) -> float:
        warm = min(1.0, (self.step + 1) / WARM_UP)
        return warm * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * self.step / self.plan.n_steps)))

    # --- validation ----------------------------------------------------------------------

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the mean loss of the averaged weights on fixed synthetic tables, by task."""
        losses = {}
        for task in ("classification", "regression"):
            generator = torch.Generator(self.device)
            parts = []
            for i, (n, d) in enumerate(VALIDATION):
                generator.manual_seed(10**6 + i)
                tables = sample_tables(
                    VALIDATION_TABLES, n, d, task=task, generator=generator, device=str(self.device)
                )
                loss = table_loss(self.average, tables, n // 2, task, generator)
                parts.append(loss.item())
            losses[task] = sum(parts) / len(parts)
        return losses

    def record(self, development=None) -> dict[str, Any]:
        """Add a line to the curve: compute so far, losses, scores on real tables."""
        line = {"step": self.step, **self.totals}
        losses = self.validate()
        line["validation_loss"] = losses["classification"]
        line["validation_loss_regression"] = losses["regression"]
        if development is not None:
            line["development"] = development(self.average)
        self.curve.append(line)
        return line

    # --- to disk and back ------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write a checkpoint; a crash while writing leaves the one before."""
        state = {
            "plan": vars(self.plan),
            "step": self.step,
            "totals": self.totals,
            "curve": self.curve,
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        _replace(path, lambda temporary: torch.save(state, temporary))

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> "Run":
        """Return the run that a checkpoint holds."""
        state = torch.load(path, map_location=device, weights_only=True)
        run = cls(Plan(**state["plan"]), device)
        run.net.load_state_dict(state["net"])
        run.average.load_state_dict(state["average"])
        for optimizer, saved in zip(run.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        run.step, run.totals, run.curve = state["step"], state["totals"], state["curve"]
        return run

    def export(self, path: Path) -> dict[str, Any]:
        """Write the averaged weights in half precision, with what made them; return that."""
        facts = {
            "plan": vars(self.plan),
            "step": self.step,
            "device": str(self.device),
            "torch": str(torch.__version__),
            **self.totals,
            "curve": self.curve,
        }
        _replace(path, lambda temporary: save_weights(self.average, facts, temporary))
        return facts


def table_loss(net, tables, n_context: int, task: str, generator) -> Tensor:
    """Return the mean loss of the rows after the context."""
    X, y, c = tables.X, tables.y, n_context
    b, _, d = X.shape
    names = draw_names(b, d, N_CATEGORY_NAMES, generator)
    by_rank = torch.rand(b, generator=generator, device=X.device) < GAUSSIAN_SHARE
    facts = describe_cells(X, summarise(X[:, :c]), tables.is_categorical, names, by_rank)
    if task == "regression":
        y = standardise(y, c)
        bars = torch.bucketize(y[:, c:].contiguous(), net.borders)
        logits = net(facts, y[:, :c], task)
        return F.cross_entropy(logits.float().flatten(0, 1), bars.flatten())
    logits = net(facts, y[:, :c], task).float()
    absent = torch.arange(MAX_CLASSES, device=X.device) >= tables.n_classes[:, None, None]
    logits = logits.masked_fill(absent, -1e4)
    return F.cross_entropy(logits.flatten(0, 1), y[:, c:].long().flatten())


def standardise(y: Tensor, n_context: int) -> Tensor:
    """Scale targets (b, n) by the context's mean and standard deviation."""
    known = y[:, :n_context]
    spread = known.std(dim=1, keepdim=True, correction=0)
    return (y - known.mean(dim=1, keepdim=True)) / (spread + 1e-6)


def _bars(n_bars: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return borders of bars with equal shares of the prior's targets, and the tails' halves."""
    generator = torch.Generator().manual_seed(seed)
    drawn = [
        standardise(sample_tables(64, 256, 8, task="regression", generator=generator).y, 128)
        for _ in range(8)
    ]
    targets = torch.cat(drawn).flatten().double()
    borders = targets.quantile(torch.arange(1, n_bars).double() / n_bars)
    # ties of discrete targets must not make a bar of no width
    least = 1e-3 * torch.arange(n_bars - 1)
    borders = torch.cummax(borders - least, dim=0).values + least
    below = (borders[0] - targets[targets < borders[0]]).median()
    above = (targets[targets > borders[-1]] - borders[-1]).median()
    return borders.float(), torch.stack([below, above]).float()


def _replace(path: Path, write) -> None:
    temporary = path.with_name(path.name + ".part")
    write(temporary)
    os.replace(temporary, path)


# --- real tables -----------------------------------------------------------------------------


def load_development(path: Path, device: str = "cpu"):
    """Return a function that scores weights on the real tables of a file.

    Parameters
    ----------
    path : Path
        An ``.npz`` with, for each table, ``NAME/X`` (n, d), ``NAME/y`` (n,), ``NAME/categorical``
        (d,) and ``NAME/context``, the number of rows that come first and serve as context.
    device : str
        Where to compute.

    Returns
    -------
    callable
        ``score(net)`` returns {"auc", "log_loss", "n_tables", "tables"}; one member, one pass.
    """
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    names = sorted({key.split("/")[0] for key in arrays})

    @torch.no_grad()
    def score(net) -> dict[str, Any]:
        scores = {}
        for name in names:
            X, y, categorical, c = (
                arrays[f"{name}/{key}"] for key in ("X", "y", "categorical", "context")
            )
            c, K = int(c), int(y.max()) + 1
            generator = torch.Generator(device).manual_seed(0)
            X = torch.as_tensor(X, dtype=torch.float32, device=device)[None]
            names_ = draw_names(1, X.shape[2], N_CATEGORY_NAMES, generator)
            known = torch.as_tensor(y[:c], dtype=torch.float32, device=device)[None]
            facts = describe_cells(
                X,
                summarise(X[:, :c]),
                torch.as_tensor(categorical, device=device)[None],
                names_,
                torch.zeros(1, dtype=torch.bool, device=device),
            )
            logits = net(facts, known, "classification")[0, :, :K]
            share = logits.double().softmax(dim=-1).cpu().numpy()
            scores[name] = (auc(y[c:], share), log_loss(y[c:], share))
        means = np.mean(list(scores.values()), axis=0)
        return {
            "auc": float(means[0]),
            "log_loss": float(means[1]),
            "n_tables": len(scores),
            "tables": {name: [round(float(v), 5) for v in pair] for name, pair in scores.items()},
        }

    return score


def log_loss(y, share) -> float:
    """Return the mean negative log probability of the true classes."""
    return float(-np.log(np.maximum(share[np.arange(len(y)), y.astype(int)], 1e-15)).mean())


def auc(y, share) -> float:
    """Return the mean over classes of the area under the curve, one class against the rest."""
    areas = []
    for k in range(share.shape[1]):
        positive = y == k
        if 0 < positive.sum() < len(y):
            values, inverse = np.unique(share[:, k], return_inverse=True)
            count = np.bincount(inverse)
            rank = (np.cumsum(count) - (count - 1) / 2)[inverse]  # ties share their mean rank
            n = positive.sum()
            areas.append((rank[positive].sum() - n * (n + 1) / 2) / (n * (len(y) - n)))
    return float(np.mean(areas))


def append_line(path: Path, line: dict[str, Any]) -> None:
    """Add a line to a log of JSON objects."""
    with open(path, "a") as file:
        file.write(json.dumps(line) + "\n")
