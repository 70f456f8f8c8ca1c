"""Measure the distributional projection against its targets, with peers in the same process.

Examples
--------
All experiments that have no result yet for the present defaults::

    python benchmarks/bench_distributional.py

One of them again, or only the page from the results at hand::

    python benchmarks/bench_distributional.py questions
    python benchmarks/bench_distributional.py --render
"""

import argparse
import hashlib
import shlex
import sys
import time
import traceback
from pathlib import Path

import distributional_cost
import distributional_experiments
import render_distributional
import torch
from bench_npt import load, save
from bench_tabular import cpu_seconds, machine
from render_npt import as_text
from threadpoolctl import threadpool_limits

from sklearn_selfattn import DistributionalProjectionVectorizer

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "benchmarks" / "results" / "distributional.json"
PAGE = ROOT / "docs" / "benchmarks" / "distributional.rst"

#: Every experiment, in the order of the page.
EXPERIMENTS = {
    "exactness": distributional_cost.exactness,
    "reviews": distributional_experiments.reviews,
    "news": distributional_experiments.news,
    "questions": distributional_experiments.questions,
    "similarity": distributional_experiments.similarity,
    "pseudo_words": distributional_experiments.pseudo_words,
    "cost_fit": distributional_cost.cost_fit,
    "cost_growth": distributional_cost.cost_growth,
    "stream": distributional_cost.stream,
}


def defaults_hash():
    """Return a fingerprint of the default parameters: others ask for new measurements."""
    parameters = sorted(DistributionalProjectionVectorizer().get_params().items())
    return hashlib.sha256(repr(parameters).encode()).hexdigest()[:12]


def measure(name, command):
    """Run one experiment and return its entry: figures, or the error it ended with."""
    cpu = cpu_seconds()
    try:
        entry = EXPERIMENTS[name]()
    except Exception as error:  # the other experiments go on
        traceback.print_exc()
        entry = {"error": f"{type(error).__name__}: {error}"[:500]}
    return {
        "says": EXPERIMENTS[name].__doc__.splitlines()[0],
        **entry,
        "cpu_s": round(cpu_seconds() - cpu, 1),
        "defaults": defaults_hash(),
        "command": command,
        "machine": machine(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def run(out, names, command, *, force):
    """Run experiments one after another, each saved as soon as it ends."""
    for name in names:
        known = load(out)["experiments"].get(name, {})
        if not force and "figures" in known and known["defaults"] == defaults_hash():
            print(f"{name}: there already", flush=True)
            continue
        print(f"{name}: {EXPERIMENTS[name].__doc__.splitlines()[0]}", flush=True)
        entry = measure(name, command)
        results = load(out)
        found = {**results["experiments"], name: entry}
        results["experiments"] = {key: found[key] for key in EXPERIMENTS if key in found}
        save(out, results)
        print(as_text(entry), flush=True)


def main(arguments=None):
    """Run from the command line; the exit status tells whether an experiment broke down."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(EXPERIMENTS))
    parser.add_argument("--out", type=Path, default=OUT, help="results file")
    parser.add_argument("--render", action="store_true", help="page only")
    options = parser.parse_args(given)
    unknown = [name for name in options.names if name not in EXPERIMENTS]
    if unknown:
        parser.error(f"no such experiment: {', '.join(unknown)}; there are {' '.join(EXPERIMENTS)}")
    if options.render:
        PAGE.write_text(render_distributional.page(load(options.out)))
        return 0
    command = shlex.join(["python", "benchmarks/bench_distributional.py", *given])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            run(options.out, options.names or list(EXPERIMENTS), command, force=bool(options.names))
    finally:
        torch.set_num_threads(threads)
    return int(any("error" in entry for entry in load(options.out)["experiments"].values()))


if __name__ == "__main__":
    sys.exit(main())
