"""Pretrain NPT on synthetic tables: ``python -m sklearn_selfattn.npt.pretrain --help``.

Needs torch and numpy only. Examples::

    python -m sklearn_selfattn.npt.pretrain run.pt --preset tiny --seconds 540
    python -m sklearn_selfattn.npt.pretrain run.pt --seconds 540        # goes on where it stopped
    python -m sklearn_selfattn.npt.pretrain run.pt --export tiny.npz    # weights to ship
"""

import argparse
import time
from pathlib import Path

import torch

from ..in_context import PRESETS
from .run import Plan, Run, append_line, load_development

SAVE_EVERY = 60  # seconds


def parse(arguments=None):
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="python -m sklearn_selfattn.npt.pretrain", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("checkpoint", type=Path, help="where the run is kept; it resumes if the file is there")
    add("--preset", choices=sorted(PRESETS), default=Plan.preset, help="size of the net")
    add("--steps", type=int, default=Plan.n_steps, help="length of the whole run")
    add("--cells", type=int, default=Plan.cells, help="cells of a step (200,000 on a GPU)")
    add("--learning-rate", type=float, default=Plan.learning_rate)
    add("--seed", type=int, default=Plan.seed)
    add("--rows", type=int, default=Plan.rows, help="most rows of a table")
    add("--seconds", type=float, default=float("inf"), help="stop after so long, to go on later")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add("--development", type=Path, help="an .npz of real tables to score, see run.py")
    add("--record-every", type=int, default=1000, help="steps between validations")
    add("--log", type=Path, help="where each validation is added, a JSON object a line")
    add("--export", type=Path, help="only write the averaged weights there")
    return parser.parse_args(arguments)


def main(arguments=None):
    """Run, or go on, until the steps or the seconds are over."""
    options = parse(arguments)
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.checkpoint.exists():
        run = Run.load(options.checkpoint, device)
        print(f"resumed {options.checkpoint} at step {run.step:,} of {run.plan.n_steps:,}")
    elif options.export:
        raise SystemExit(f"there is no checkpoint {options.checkpoint} to export from")
    else:
        plan = Plan(
            options.preset, options.steps, options.cells, options.learning_rate, options.seed,
            options.rows,
        )  # fmt: skip
        run = Run(plan, device)
    if options.export:
        facts = run.export(options.export)
        print(f"{options.export}: {options.export.stat().st_size:,} bytes, step {facts['step']:,}")
        return
    development = options.development and load_development(options.development, device)
    start = saved = time.monotonic()
    loss = None
    try:
        while run.step < run.plan.n_steps and time.monotonic() - start < options.seconds:
            now = run.take_step()
            loss = now if loss is None else loss + 0.02 * (now - loss)
            if run.step % options.record_every == 0 or run.step == run.plan.n_steps:
                _report(run, run.record(development), loss, options.log)
            if time.monotonic() - saved > SAVE_EVERY:
                run.save(options.checkpoint)
                saved = time.monotonic()
    except KeyboardInterrupt:
        print("interrupted; the checkpoint is written")
    run.save(options.checkpoint)


def _report(run, line, loss, log):
    if log:
        append_line(log, line)
    rate = line["flop"] / line["seconds"] / 1e9
    share = line["generation_seconds"] / line["seconds"]
    real = line.get("development", {})
    print(
        f"step {run.step:,}/{run.plan.n_steps:,}  {line['seconds']:.0f} s  {rate:.1f} GFLOP/s  "
        f"generation {share:.0%}  loss {float(loss):.3f}  "
        f"validation {line['validation_loss']:.4f} {line['validation_loss_regression']:.4f}"
        + (f"  real tables AUC {real['auc']:.4f} log loss {real['log_loss']:.4f}" if real else ""),
        flush=True,
    )


if __name__ == "__main__":
    main()
