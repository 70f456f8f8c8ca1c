"""What the benchmarks of the rooms share: experiments that resume, records of them in a file."""

import argparse
import hashlib
import importlib.metadata
import json
import os
import shlex
import sys
import time
from pathlib import Path

import torch
from bench_tabular import cpu_seconds, machine
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[1]


def fingerprint(parts):
    """Return a short hash of default parameters and the like: others ask for new measurements."""
    words = json.dumps(parts, sort_keys=True, default=repr)
    return hashlib.sha256(words.encode()).hexdigest()[:12]


def save(out, results):
    """Write a results file, whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".tmp")
    partial.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(partial, out)


class Bench:
    """The experiments of a room, its results file and its page.

    Parameters
    ----------
    room : str
        Names ``bench_ROOM.py``, ``results/ROOM.json`` and the page.
    experiments : dict of str to (callable, bool)
        ``measure(seed)`` returns numbers; True for what needs one seed only.
    page : callable
        ``page(results)`` returns the text of the page.
    defaults : str, default=None
        `fingerprint` of what was measured. Results at others are not counted.
    n_seeds : int, default=5
        Seeds, unless the command line says otherwise.
    packages : sequence of str, default=()
        Peers whose versions are written down where they are installed.
    """

    def __init__(self, room, experiments, page, defaults=None, *, n_seeds=5, packages=()):
        self.room, self.experiments, self.page = room, experiments, page
        self.defaults, self.n_seeds, self.packages = defaults, n_seeds, packages
        self.out = ROOT / "benchmarks" / "results" / f"{room}.json"
        self.page_path = ROOT / "docs" / "benchmarks" / f"{room}.rst"

    def load(self, out=None):
        """Read the results at these defaults, or return empty ones."""
        out = self.out if out is None else out
        results = json.loads(out.read_text()) if out.exists() else {}
        if results.get("defaults") != self.defaults:
            results = {"defaults": self.defaults, "records": []}
        return results

    def run(self, out, names, n_seeds, command):
        """Run what is missing, each result saved as soon as it is there; all of a seed first."""
        done = {(record["experiment"], record["seed"]) for record in self.load(out)["records"]}
        for seed in range(n_seeds):
            for name in names:
                measure, once = self.experiments[name]
                if (name, seed) in done or (once and seed):
                    continue
                start = cpu_seconds()
                record = {"experiment": name, "seed": seed, "numbers": measure(seed)}
                record["cpu_s"] = round(cpu_seconds() - start, 1)
                record["finished"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                results = self.load(out)  # another process may have written meanwhile
                results["records"].append(record)
                # a later, partial run must not sign for what others measured
                for key, value in (("machines", self._machine()), ("commands", command)):
                    known = results.setdefault(key, [])
                    if value not in known:
                        known.append(value)
                save(out, results)
                print(f"{name}, seed {seed}: {record['cpu_s']} CPU s", flush=True)

    def _machine(self):
        found = machine()
        for package in self.packages:
            try:
                found["versions"][package] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                continue
        return found

    def main(self, arguments=None):
        """Run from the command line."""
        given = sys.argv[1:] if arguments is None else arguments
        parser = argparse.ArgumentParser(description=f"Measure the room {self.room}.")
        known = ", ".join(self.experiments)
        parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {known}")
        parser.add_argument("--seeds", type=int, default=self.n_seeds, help="number of seeds")
        parser.add_argument("--out", type=Path, default=self.out, help="results file")
        parser.add_argument("--render", action="store_true", help="page only")
        options = parser.parse_args(given)
        unknown = [name for name in options.names if name not in self.experiments]
        if unknown:
            parser.error(f"no such experiment: {', '.join(unknown)}; there are {known}")
        if options.render:
            self.page_path.write_text(self.page(self.load(options.out)))
            return 0
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with threadpool_limits(1):
                command = shlex.join(["python", f"benchmarks/bench_{self.room}.py", *given])
                names = options.names or list(self.experiments)
                self.run(options.out, names, options.seeds, command)
        finally:
            torch.set_num_threads(threads)
        return 0
