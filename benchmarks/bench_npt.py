"""Measure NPT against the targets of its specification, with named peers in the same process.

Examples
--------
All experiments that have no result yet for the present defaults::

    python benchmarks/bench_npt.py

Some of them again::

    python benchmarks/bench_npt.py lookup intervention

Only the page and the picture, from the results at hand::

    python benchmarks/bench_npt.py --render
"""

import argparse
import hashlib
import json
import os
import shlex
import sys
import time
import traceback
import warnings
from pathlib import Path

import npt_cells
import npt_cost
import npt_exactness
import npt_lookup
import npt_tables
import render_npt
import torch
from bench_tabular import cpu_seconds, machine
from tabular_peers import settings
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "benchmarks" / "results" / "npt.json"

#: Every experiment, in the order of the page; the cheap ones run first.
EXPERIMENTS = {
    "lookup": npt_lookup.lookup,
    "intervention": npt_lookup.intervention,
    "lookup_at_defaults": npt_lookup.lookup_at_defaults,
    "exactness": npt_exactness.exactness,
    "leakage": npt_exactness.leakage,
    "leave_one_out": npt_exactness.leave_one_out,
    "missing": npt_tables.missing,
    "imputation": npt_tables.imputation,
    "uses_rows": npt_tables.uses_rows,
    "new_labels": npt_tables.new_labels,
    "cell_attention": npt_cells.cell_attention,
    "cost_fit": npt_cost.cost_fit,
    "cost_predict": npt_cost.cost_predict,
    "cost_growth": npt_cost.cost_growth,
    "cost_adult": npt_cost.cost_adult,
    "conformance": npt_cost.conformance,
}


def defaults_hash():
    """Return a fingerprint of NPT's default parameters: others ask for new measurements."""
    both = "\n".join(settings("npt", task) for task in ("classification", "regression"))
    return hashlib.sha256(both.encode()).hexdigest()[:12]


def load(out):
    """Read the results file, or return empty results."""
    return json.loads(out.read_text()) if out.exists() else {"experiments": {}}


def save(out, results):
    """Write the results file, whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".tmp")
    partial.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    os.replace(partial, out)


def measure(name, command):
    """Run one experiment and return its entry: figures, or the error it ended with."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            entry = EXPERIMENTS[name]()
        except Exception as error:  # the other experiments go on
            traceback.print_exc()
            entry = {"error": f"{type(error).__name__}: {error}"[:500]}
    kinds = sorted({warning.category.__name__ for warning in caught})
    return {
        "says": EXPERIMENTS[name].__doc__.splitlines()[0],
        **entry,
        "warnings": kinds,
        "cpu_s": round(cpu_seconds() - cpu, 1),
        "wall_s": round(time.perf_counter() - wall, 1),
        "defaults": defaults_hash(),
        "command": command,
        "machine": machine(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def run(out, names, command, *, force):
    """Run experiments one after another, each saved as soon as it ends."""
    for name in names:
        results = load(out)
        known = results["experiments"].get(name, {})
        if not force and "figures" in known and known["defaults"] == defaults_hash():
            print(f"{name}: there already", flush=True)
            continue
        print(f"{name}: {EXPERIMENTS[name].__doc__.splitlines()[0]}", flush=True)
        entry = measure(name, command)
        results = load(out)  # another run may have added to it
        found = {**results["experiments"], name: entry}
        results["experiments"] = {key: found[key] for key in EXPERIMENTS if key in found}
        save(out, results)
        print(render_npt.as_text(entry), flush=True)


def main(arguments=None):
    """Run from the command line; the exit status tells whether an experiment broke down."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help="default: all not there yet. " + " ".join(EXPERIMENTS))  # fmt: skip
    parser.add_argument("--force", action="store_true", help="measure all again")
    parser.add_argument("--out", type=Path, default=OUT, help="results file")
    parser.add_argument("--render", action="store_true", help="page and picture only")
    options = parser.parse_args(given)
    unknown = [name for name in options.names if name not in EXPERIMENTS]
    if unknown:
        parser.error(f"no such experiment: {', '.join(unknown)}; there are {' '.join(EXPERIMENTS)}")
    if options.render:
        render_npt.write_page(load(options.out), ROOT)
        return 0
    command = shlex.join(["python", "benchmarks/bench_npt.py", *given])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            run(options.out, options.names or list(EXPERIMENTS), command,
                force=options.force or bool(options.names))  # fmt: skip
    finally:
        torch.set_num_threads(threads)
    return int(any("error" in entry for entry in load(options.out)["experiments"].values()))


if __name__ == "__main__":
    sys.exit(main())
