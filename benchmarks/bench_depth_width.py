"""Measure the depth and width room against the targets of its specification.

Examples
--------
Whatever is not there yet, two splits of each table::

    python benchmarks/bench_depth_width.py

Some experiments, some seeds::

    python benchmarks/bench_depth_width.py exact chase --seeds 5

Only the page, from the results at hand::

    python benchmarks/bench_depth_width.py --render
"""

import argparse
import json
import shlex
import sys
import time
from pathlib import Path

import render_depth_width
import torch
from bench_tabular import cpu_seconds, machine
from bench_transport import save
from depth_width_experiments import EXPERIMENTS
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "benchmarks" / "results" / "depth_width.json"
PAGE = ROOT / "docs" / "benchmarks" / "depth_width.rst"


def measure_missing(out, names, n_seeds, command):
    """Run what is not in the results file yet, all of a seed first."""
    results = json.loads(out.read_text()) if out.exists() else {"records": [], "commands": []}
    results["commands"] = list(dict.fromkeys([*results["commands"], command]))
    done = {(record["experiment"], record["seed"]) for record in results["records"]}
    wanted = [(seed, name) for seed in range(n_seeds) for name in names]
    for seed, name in wanted:
        measure, once = EXPERIMENTS[name]
        if (name, seed) in done or (once and seed):
            continue
        start = cpu_seconds()
        record = {"experiment": name, "seed": seed, "numbers": measure(seed)}
        record["cpu_s"] = round(cpu_seconds() - start, 1)
        record["finished"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        results["records"].append(record)
        save(out, {**results, "machine": machine()})
        print(f"{name}, seed {seed}: {record['cpu_s']} CPU s", flush=True)


def main(arguments=None):
    """Run from the command line."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *EXPERIMENTS], default=[])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--render", action="store_true", help="page only")
    options = parser.parse_args(given)
    if options.render:
        PAGE.write_text(render_depth_width.page(json.loads(options.out.read_text())))
        return 0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    command = shlex.join(["python", "benchmarks/bench_depth_width.py", *given])
    try:
        with threadpool_limits(1):
            measure_missing(options.out, options.names or list(EXPERIMENTS), options.seeds, command)
    finally:
        torch.set_num_threads(threads)
    return 0


if __name__ == "__main__":
    sys.exit(main())
