"""What the training loop costs over a bare torch loop, measured in one process.

Two modules on 10,000 rows in batches of 128: a small MLP, where bookkeeping shows most, and a
one-layer transformer over the cells of a row. Both loops take the same steps from the same
weights; they alternate, and the median over the repeats counts. Times are CPU time.

    python benchmarks/bench_training_loop.py

writes ``benchmarks/results/training_loop.json``.
"""

import json
import platform
import statistics
import sys
import time
from pathlib import Path

import skorch
import torch
from torch import nn

import sklearn_selfattn
from sklearn_selfattn.core.training import TensorBatches, train, weighted_row_loss

N_ROWS, N_FEATURES, BATCH_SIZE, N_REPEATS = 10_000, 11, 128, 7
MOST_MS_PER_STEP, MOST_RATIO = 0.35, 1.15
RESULTS = Path(__file__).parent / "results" / "training_loop.json"


class CellTransformer(nn.Module):
    """One encoder layer over the cells of a row: ``(n, d) -> (n,)``."""

    def __init__(self, d_model=16):
        super().__init__()
        self.slope = nn.Parameter(torch.randn(N_FEATURES, d_model))
        self.shift = nn.Parameter(torch.randn(N_FEATURES, d_model))
        self.layer = nn.TransformerEncoderLayer(d_model, 2, 2 * d_model, 0.0, batch_first=True)
        self.head = nn.Linear(d_model, 1)

    def forward(self, X):
        tokens = X[..., None] * self.slope + self.shift  # (n, d, e)
        return self.head(self.layer(tokens).mean(dim=1))[:, 0]  # (n,)


def make_mlp():
    """Return two hidden layers of 64: ``(n, d) -> (n,)``."""
    return nn.Sequential(
        nn.Linear(N_FEATURES, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 1),
        nn.Flatten(0),
    )


def squared_error(output, y):
    return (output - y) ** 2


def bare_loop(module, X, y, weight, n_epochs):
    """Train as one would by hand: slices, AdamW, nothing recorded."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, weight_decay=0.0, fused=True)
    module.train()
    for _ in range(n_epochs):
        order = torch.randperm(len(X), generator=generator)
        for rows in order.split(BATCH_SIZE):
            optimizer.zero_grad(set_to_none=True)
            row_weight = weight[rows]
            row_loss = squared_error(module(X[rows]), y[rows])
            loss = (row_loss * row_weight).sum() / row_weight.sum()
            loss.backward()
            optimizer.step()


def our_loop(module, X, y, weight, n_epochs):
    """Train with the library's loop."""
    train(
        module,
        batches=TensorBatches(X, y, weight, batch_size=BATCH_SIZE),
        loss=weighted_row_loss(squared_error),
        max_epochs=n_epochs,
        learning_rate=1e-3,
        generator=torch.Generator().manual_seed(0),
    )


def measure(make_module, n_epochs):
    """Return the CPU milliseconds per step of both loops."""
    torch.manual_seed(0)
    X = torch.randn(N_ROWS, N_FEATURES)
    y, weight = X[:, 0] * X[:, 1], torch.ones(N_ROWS)
    n_steps = n_epochs * -(-N_ROWS // BATCH_SIZE)
    times = {"bare": [], "ours": []}
    for repeat in range(N_REPEATS + 1):
        for name, loop in (("bare", bare_loop), ("ours", our_loop)):
            module = make_module()
            start = time.process_time()
            loop(module, X, y, weight, n_epochs)
            if repeat:  # the first round warms up
                times[name].append(1000 * (time.process_time() - start) / n_steps)
    bare, ours = (statistics.median(times[name]) for name in ("bare", "ours"))
    return {
        "bare_ms_per_step": round(bare, 4),
        "ours_ms_per_step": round(ours, 4),
        "overhead_ms_per_step": round(ours - bare, 4),
        "ratio": round(ours / bare, 4),
        "steps": n_steps,
        "repeats": N_REPEATS,
    }


def cpu_name():
    """Return the processor's name as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main():
    torch.set_num_threads(1)
    results = {
        "mlp": {**measure(make_mlp, 10), "most_overhead_ms_per_step": MOST_MS_PER_STEP},
        "transformer": {**measure(CellTransformer, 3), "most_ratio": MOST_RATIO},
        "rows": N_ROWS,
        "batch_size": BATCH_SIZE,
        "command": "python benchmarks/bench_training_loop.py",
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            "sklearn_selfattn": sklearn_selfattn.__version__,
            "torch": str(torch.__version__),
            "skorch": skorch.__version__,
        },
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))
    reached = (
        results["mlp"]["overhead_ms_per_step"] <= MOST_MS_PER_STEP
        and results["transformer"]["ratio"] <= MOST_RATIO
    )
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
