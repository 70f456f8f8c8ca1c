"""Measure the time-events room against the targets of its specification, beside named peers.

Examples
--------
Whatever is not there yet for the present defaults, three seeds::

    python benchmarks/bench_time_events.py

Some experiments, some seeds::

    python benchmarks/bench_time_events.py lookup flights --seeds 2

Only the page, from the results at hand::

    python benchmarks/bench_time_events.py --render
"""

import argparse
import hashlib
import json
import os
import shlex
import sys
import time
from pathlib import Path

import render_time_events
import torch
from bench_tabular import cpu_seconds, machine
from threadpoolctl import threadpool_limits
from time_events_experiments import EXPERIMENTS

from sklearn_selfattn.time_events import TimeEventClassifier, TimeEventRegressor

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "benchmarks" / "results" / "time_events.json"
PAGE = ROOT / "docs" / "benchmarks" / "time_events.rst"


def defaults_hash():
    """Return a fingerprint of the default parameters: others ask for new measurements."""
    both = [make().get_params() for make in (TimeEventClassifier, TimeEventRegressor)]
    words = json.dumps(both, sort_keys=True, default=repr)
    return hashlib.sha256(words.encode()).hexdigest()[:12]


def load(out):
    """Read the results at these defaults, or return empty ones."""
    results = json.loads(out.read_text()) if out.exists() else {}
    if results.get("defaults") != defaults_hash():
        results = {"defaults": defaults_hash(), "records": []}
    return results


def save(out, results):
    """Write the results file, whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".tmp")
    partial.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(partial, out)


def run(out, names, n_seeds, command):
    """Run what is missing, each result saved as soon as it is there; all of a seed first."""
    results = load(out)
    done = {(record["experiment"], record["seed"]) for record in results["records"]}
    for seed in range(n_seeds):
        for name in names:
            measure, once = EXPERIMENTS[name]
            if (name, seed) in done or (once and seed):
                continue
            start = cpu_seconds()
            numbers = measure(seed)
            results["records"].append(
                {
                    "experiment": name,
                    "seed": seed,
                    "numbers": numbers,
                    "cpu_s": round(cpu_seconds() - start, 1),
                    "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                }
            )
            results |= {"machine": machine(), "command": command}
            save(out, results)
            print(f"{name}, seed {seed}: {results['records'][-1]['cpu_s']} CPU s", flush=True)


def main(arguments=None):
    """Run from the command line."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of " + ", ".join(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--out", type=Path, default=OUT, help="results file")
    parser.add_argument("--render", action="store_true", help="page only")
    options = parser.parse_args(given)
    unknown = [name for name in options.names if name not in EXPERIMENTS]
    if unknown:
        parser.error(f"no such experiment: {', '.join(unknown)}; there are {list(EXPERIMENTS)}")
    if options.render:
        PAGE.write_text(render_time_events.page(load(options.out)))
        return 0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            command = shlex.join(["python", "benchmarks/bench_time_events.py", *given])
            run(options.out, options.names or list(EXPERIMENTS), options.seeds, command)
    finally:
        torch.set_num_threads(threads)
    return 0


if __name__ == "__main__":
    sys.exit(main())
