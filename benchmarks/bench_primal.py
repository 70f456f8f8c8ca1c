"""Measure the primal room against the targets of its specification, beside named peers.

aeon, which has MiniRocket and two of the sets, wants an older numpy than ``constraints.txt``: run
this in an environment of its own, made with ``pip install -e ".[series]"``.

Examples
--------
Whatever is not there yet for the present defaults, three seeds::

    python benchmarks/bench_primal.py

Some experiments, some seeds; better one experiment for each process, because PyTorch was seen to
take ten times as long in a process in which the compiled MiniRocket had run before::

    python benchmarks/bench_primal.py "series Libras" --seeds 2

Only the page, from the results at hand::

    python benchmarks/bench_primal.py --render
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import shlex
import sys
import time
from pathlib import Path

import render_primal
import torch
from bench_tabular import cpu_seconds, machine
from primal_experiments import EXPERIMENTS
from threadpoolctl import threadpool_limits

from sklearn_selfattn.primal import PrimalAttentionClassifier, augmentation, base, estimator
from sklearn_selfattn.primal import module as net

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "benchmarks" / "results" / "primal.json"
#: What else shapes the default nets.
CONSTANTS = {
    name: value
    for module in (base, augmentation, net, estimator)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, (int, float, tuple, dict))
}
PAGE = ROOT / "docs" / "benchmarks" / "primal.rst"


def defaults_hash():
    """Return a fingerprint of the default parameters: others ask for new measurements."""
    parts = [PrimalAttentionClassifier().get_params(), CONSTANTS]
    words = json.dumps(parts, sort_keys=True, default=repr)
    return hashlib.sha256(words.encode()).hexdigest()[:12]


def with_peers(machine):
    """Add the versions of what only this benchmark runs."""
    for package in ("aeon", "numba"):
        try:
            machine["versions"][package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return machine


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
            results |= {"machine": with_peers(machine()), "command": command}
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
        PAGE.write_text(render_primal.page(load(options.out)))
        return 0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            command = shlex.join(["python", "benchmarks/bench_primal.py", *given])
            run(options.out, options.names or list(EXPERIMENTS), options.seeds, command)
    finally:
        torch.set_num_threads(threads)
    return 0


if __name__ == "__main__":
    sys.exit(main())
