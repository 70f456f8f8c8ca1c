"""Measure the causal room against the targets of its specification, beside named peers.

Examples
--------
Whatever is not there yet for the present defaults, five seeds::

    python benchmarks/bench_causal.py

Some experiments, some seeds::

    python benchmarks/bench_causal.py exact flights --seeds 2

Only the page, from the results at hand::

    python benchmarks/bench_causal.py --render
"""

import argparse
import hashlib
import json
import shlex
import sys
import time
from pathlib import Path

import render_causal
import torch
from bench_tabular import cpu_seconds, machine
from bench_transport import save
from causal_experiments import EXPERIMENTS
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from sklearn_selfattn.causal import (
    AttentionCausalDiscovery,
    CLEANNExplainer,
    CumulativeExplainer,
    PAGDiscovery,
    SubsetSearchExplainer,
)

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "benchmarks" / "results" / "causal.json"
PAGE = ROOT / "docs" / "benchmarks" / "causal.rst"


def defaults_hash():
    """Return a fingerprint of the default parameters: others ask for new measurements."""
    model = LogisticRegression()
    estimators = [PAGDiscovery(), AttentionCausalDiscovery(), CLEANNExplainer(model),
                  SubsetSearchExplainer(model), CumulativeExplainer(model)]  # fmt: skip
    words = json.dumps([e.get_params(deep=False) for e in estimators], sort_keys=True, default=repr)
    return hashlib.sha256(words.encode()).hexdigest()[:12]


def load(out):
    """Read the results at these defaults, or return empty ones."""
    results = json.loads(out.read_text()) if out.exists() else {}
    if results.get("defaults") != defaults_hash():
        results = {"defaults": defaults_hash(), "records": []}
    return results


def versions():
    """Describe the machine, with the versions of this benchmark's peers."""
    from importlib.metadata import version

    found = machine()
    for package in ("causal-learn", "networkx", "transformers"):
        found["versions"][package] = version(package)
    return found


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
            results |= {"machine": versions(), "command": command}
            save(out, results)
            print(f"{name}, seed {seed}: {results['records'][-1]['cpu_s']} CPU s", flush=True)


def main(arguments=None):
    """Run from the command line."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of " + ", ".join(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument("--out", type=Path, default=OUT, help="results file")
    parser.add_argument("--render", action="store_true", help="page only")
    options = parser.parse_args(given)
    unknown = [name for name in options.names if name not in EXPERIMENTS]
    if unknown:
        parser.error(f"no such experiment: {', '.join(unknown)}; there are {list(EXPERIMENTS)}")
    if options.render:
        PAGE.write_text(render_causal.page(load(options.out)))
        return 0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            command = shlex.join(["python", "benchmarks/bench_causal.py", *given])
            run(options.out, options.names or list(EXPERIMENTS), options.seeds, command)
    finally:
        torch.set_num_threads(threads)
    return 0


if __name__ == "__main__":
    sys.exit(main())
