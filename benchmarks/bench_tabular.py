"""Compare NPT with named peers on real tables: repeated splits, scores, costs.

Examples
--------
The small tables with every model that is installed, resuming where it stopped::

    python benchmarks/bench_tabular.py

The demonstration, on tables that scikit-learn carries with it::

    python benchmarks/bench_tabular.py --demo

NPT again after a change, with a peer in the same process for the ratio of times::

    python benchmarks/bench_tabular.py --models npt hgb --force

Your own choice of tables from OpenML, by their numbers, into a file of their own::

    python benchmarks/bench_tabular.py --openml 31 1494 --out mine.json

Only the page and the pictures, from the results at hand::

    python benchmarks/bench_tabular.py --render
"""

import argparse
import gc
import importlib.metadata
import json
import os
import platform
import shlex
import sys
import time
import warnings
from pathlib import Path

import draw_tabular
import render_tabular
import tabular_data
import tabular_peers
from tabular_scores import classification_scores, regression_scores, summarise
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[1]
TABLE_SETS = {
    "ten": tabular_data.TEN,
    "all": tuple(dict.fromkeys(tabular_data.TEN + tabular_data.BUNDLED + tabular_data.MIDDLE)),
}
DEMO_SPLITS = 2
VERSIONED = (
    "sklearn-selfattn", "scikit-learn", "numpy", "pandas", "torch", "skorch",
    "catboost", "lightgbm", "xgboost", "pytabkit",
)  # fmt: skip


# ------------------------------------------------------------------ one measurement


def cpu_seconds():
    """CPU time of this process with all its threads, and of its ended children."""
    children = 0.0
    if os.name == "posix":
        import resource

        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        children = usage.ru_utime + usage.ru_stime
    return time.process_time() + children


class PeakMemory:
    """Rise of resident memory over a block of code, in MB, in `rise`.

    The highest resident size within the block less the resident size at its start.
    Linux lets a process reset its high-water mark; elsewhere `rise` stays None.
    Memory that an earlier model left with the allocator is reused unseen, so this is a
    lower bound.
    """

    rise = None

    @staticmethod
    def _status(field):
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith(field))
        return int(line.split()[1]) / 1024  # kB to MB

    def __enter__(self):
        gc.collect()
        try:
            with open("/proc/self/clear_refs", "w") as reset:
                reset.write("5")
            self._start = self._status("VmRSS")
        except OSError:
            self._start = None
        return self

    def __exit__(self, *error):
        if self._start is not None:
            self.rise = round(max(0.0, self._status("VmHWM") - self._start), 1)


def fit_and_score(make, task, train, test, *, n_threads=1, more_scores=None):
    """Fit one model and score its predictions.

    Parameters
    ----------
    make : callable
        Returns the unfitted model.
    task : {"classification", "regression"}
        Kind of target.
    train, test : tuple of (DataFrame, ndarray)
        Features and targets.
    n_threads : int, default=1
        Threads of BLAS and OpenMP, as many for every model.
    more_scores : callable, default=None
        ``more_scores(model, X, y)`` returns further scores of the fitted model; its time
        is not counted.

    Returns
    -------
    entries : dict
        ``scores`` and ``cost``, and ``warnings`` where there were any; for a model that
        failed ``error`` in place of them.
    """
    predict = "predict_proba" if task == "classification" else "predict"
    score = classification_scores if task == "classification" else regression_scores
    # Caught warnings are kept by their kind.
    with threadpool_limits(n_threads), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator = make()
            with PeakMemory() as memory:
                cpu, wall = [cpu_seconds()], [time.perf_counter()]
                estimator.fit(*train)
                cpu.append(cpu_seconds())
                wall.append(time.perf_counter())
                output = getattr(estimator, predict)(test[0])
                cpu.append(cpu_seconds())
                wall.append(time.perf_counter())
            scores = score(test[1], output)
            if more_scores is not None:
                scores |= more_scores(estimator, *test)
        except Exception as error:  # one model's failure must not end the others' run
            return {"error": f"{type(error).__name__}: {error}"[:500]}
    entries = {"scores": {key: float(f"{value:.6g}") for key, value in scores.items()}}
    entries["cost"] = {
        "fit_cpu_s": round(cpu[1] - cpu[0], 4),
        "fit_wall_s": round(wall[1] - wall[0], 4),
        "predict_cpu_s": round(cpu[2] - cpu[1], 4),
        "predict_wall_s": round(wall[2] - wall[1], 4),
        "peak_memory_mb": memory.rise,
    }
    kinds = sorted({warning.category.__name__ for warning in caught})
    return {**entries, "warnings": kinds} if kinds else entries


def measure(table, split, model, n_threads=1):
    """Fit one model on one split and return its record.

    A model that fails leaves a record with ``error`` in place of ``scores``.
    """
    train, test = (
        (table.X.iloc[rows], table.y[rows]) for rows in tabular_data.split_rows(table, split)
    )
    record = {"table": table.name, "task": table.task, "split": split, "model": model}
    record["settings"] = tabular_peers.settings_hash(model, table.task)

    def make():
        return tabular_peers.MODELS[model](table.task, split, n_threads)

    return record | fit_and_score(make, table.task, train, test, n_threads=n_threads)


# ------------------------------------------------------------------ the store of records


def key_of(record):
    """Return what makes two records the same measurement."""
    return tuple(record[field] for field in ("table", "split", "model", "settings"))


def load_records(out, key=key_of):
    """Read all records: the results file, overlaid by the lines that came after it."""
    merged = {}
    if out.exists():
        merged = {key(record): record for record in json.loads(out.read_text())["records"]}
    lines = out.with_suffix(".jsonl")
    if lines.exists():
        for line in lines.read_text().splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue  # the run was stopped in the middle of this line
            merged[key(record)] = record
    return list(merged.values())


def append_record(out, record):
    """Add a record to the lines beside the results file, at once."""
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = out.with_suffix(".jsonl")
    torn = lines.exists() and lines.stat().st_size and not lines.read_bytes().endswith(b"\n")
    with open(lines, "a") as file:
        file.write(("\n" if torn else "") + json.dumps(record) + "\n")


def newest(records, fields=("table", "split", "model")):
    """Keep of records that agree in all `fields` the one with the settings measured last."""
    latest = {}
    for record in sorted(records, key=lambda record: record.get("finished", "")):
        latest[tuple(record[field] for field in fields)] = record
    return list(latest.values())


def machine():
    """Describe the machine and the versions of what was run."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), cpu)
    versions = {"python": platform.python_version()}
    for package in VERSIONED:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "cpu": cpu,
        "n_cores": os.cpu_count(),
        "system": platform.system(),
        "versions": versions,
    }


def write_results(out, command, tables):
    """Write the results file from all records, whole or not at all."""
    records = newest(load_records(out))
    known = json.loads(out.read_text()) if out.exists() else {}
    order = list(tabular_peers.MODELS)
    known_names = {*TABLE_SETS["all"], *tabular_data.ON_REQUEST}
    openml = sorted({record["table"] for record in records} - known_names)
    sets = {**TABLE_SETS, "all": (*TABLE_SETS["all"], *openml)}
    names = [*sets["all"], *tabular_data.ON_REQUEST]
    records.sort(key=lambda r: (names.index(r["table"]), r["split"], order.index(r["model"])))
    head = {
        "commands": list(dict.fromkeys([*known.get("commands", []), *filter(None, [command])])),
        "machine": machine() if command else known.get("machine"),
        "tables": {**known.get("tables", {}), **tables},
        "settings": {m: tabular_peers.SETTINGS[m] for m in order},
        "summary": summarise([r for r in records if "scores" in r], sets),
    }
    return replace_results(out, head, records)


def replace_results(out, head, records):
    """Write a results file, whole or not at all, and return what it holds."""
    # One record a line: a change of one measurement is a change of one line.
    body = ",\n".join(json.dumps(record) for record in records)
    text = json.dumps(head, indent=1)[:-2] + ',\n "records": [\n' + body + "\n]}\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".tmp")
    partial.write_text(text)
    os.replace(partial, out)
    return json.loads(text)


# ------------------------------------------------------------------ the run


class Progress:
    """Say what runs and how long the rest will take, from what each model took so far."""

    def __init__(self, jobs, records, stream=None, labels=None):
        self.labels = labels or tabular_peers.LABELS
        self.stream = stream or sys.stderr
        self.todo = [model for *_, model in jobs]
        self.n_jobs = len(jobs)
        self.seconds = {}
        for record in records:
            self._learn(record)

    def _learn(self, record):
        if "cost" in record:
            seconds = record["cost"]["fit_wall_s"] + record["cost"]["predict_wall_s"]
            self.seconds.setdefault(record["model"], []).append(seconds)

    def time_left(self):
        """Seconds for the jobs to come; a model not seen yet counts as the mean one."""
        means = {model: sum(x) / len(x) for model, x in self.seconds.items()}
        usual = sum(means.values()) / len(means) if means else 1.0
        return sum(means.get(model, usual) for model in self.todo)

    def _line(self, text, end):
        done = self.n_jobs - len(self.todo)
        if self.stream.isatty():
            filled = round(24 * done / max(1, self.n_jobs))
            bar = "█" * filled + "░" * (24 - filled)
            text = f"\r{bar} {done}/{self.n_jobs}  {text}"
            print(f"{text:<100}"[:110], end="", file=self.stream, flush=True)
        elif end:
            print(f"[{done}/{self.n_jobs}] {text}", file=self.stream, flush=True)

    def start(self, table, split, model):
        """Name the fit that begins."""
        left = self.time_left()
        left = f"{left:.0f} s" if left < 100 else f"{left / 60:.0f} min"
        self._line(f"{self.labels[model]} on {table}, split {split}, {left} left", False)

    def end(self, record):
        """Note a fit that ended."""
        self.todo.remove(record["model"])
        self._learn(record)
        result = record.get("error")
        if result is None:
            loss, value = next(iter(record["scores"].items()))
            seconds = record["cost"]["fit_cpu_s"]
            result = f"{loss} {value:.4g}, fit {seconds:.2f} CPU s, {self.time_left():.0f} s left"
        where = f"{record['table']} {record['split']} {record['model']}"
        self._line(f"{where}: {result}", True)

    def close(self):
        """End the line of the bar."""
        if self.stream.isatty():
            print(file=self.stream)


def run(out, table_names, models, splits, *, force, n_threads, time_limit, n_digits=None):
    """Measure what is not yet measured; return what describes the tables.

    All models of one (table, split) run one after another in this process.
    """
    tables = {name: tabular_data.load_table(name, n_digits) for name in table_names}
    records = load_records(out)
    done = {key_of(record) for record in records if "scores" in record}
    settings = {
        (model, task): tabular_peers.settings_hash(model, task)
        for model in models
        for task in {table.task for table in tables.values()}
    }
    jobs = [
        (name, split, model)
        for split in splits
        for name in table_names
        for model in models
        if tabular_peers.takes(model, tables[name].task)
        and (force or (name, split, model, settings[model, tables[name].task]) not in done)
    ]
    progress = Progress(jobs, records)
    started, warm = time.perf_counter(), set()
    for name, split, model in jobs:
        if time_limit is not None and time.perf_counter() - started > time_limit:
            print("\ntime limit reached: run again to go on", file=sys.stderr)
            break
        progress.start(name, split, model)
        task = tables[name].task
        if (model, task) not in warm:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tabular_peers.warm_up(model, task, n_threads)
            warm.add((model, task))
        record = measure(tables[name], split, model, n_threads)
        record["finished"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        append_record(out, record)
        progress.end(record)
    progress.close()
    return {name: table.describe() for name, table in tables.items()}


def parse(arguments):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = (*TABLE_SETS["all"], *tabular_data.ON_REQUEST)
    parser.add_argument("--tables", nargs="+", choices=every, default=None, metavar="NAME",
                        help="default: all but the costly. " + " ".join(every))  # fmt: skip
    parser.add_argument("--openml", nargs="+", type=int, default=None, metavar="ID",
                        help="tables of OpenML instead, fetched when online")  # fmt: skip
    parser.add_argument("--models", nargs="+", choices=list(tabular_peers.MODELS), default=None,
                        metavar="MODEL", help=" ".join(tabular_peers.MODELS))  # fmt: skip
    parser.add_argument("--splits", type=int, default=None, help="number of repetitions (5)")
    parser.add_argument("--out", type=Path, default=None, help="results file")
    parser.add_argument("--force", action="store_true", help="measure again what is there")
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True,
                        help="go on from the records at hand (default)")  # fmt: skip
    parser.add_argument("--threads", type=int, default=1, help="threads for every model (1)")
    parser.add_argument("--time-limit", type=float, default=None,
                        help="start no fit after so many seconds")  # fmt: skip
    parser.add_argument("--demo", action="store_true",
                        help="bundled tables, core models, table and picture in demo/")  # fmt: skip
    parser.add_argument("--render", action="store_true", help="page and picture only")
    return parser.parse_args(arguments)


def main(arguments=None):
    """Run from the command line."""
    given = sys.argv[1:] if arguments is None else arguments
    options = parse(given)
    demo = options.demo
    folder = ROOT / ("demo" if demo else "benchmarks/results")
    out = options.out or folder / ("results.json" if demo else "tabular.json")
    tables = [f"openml_{number}" for number in options.openml or ()]
    tables += options.tables or []
    tables = tables or list(tabular_data.BUNDLED if demo else TABLE_SETS["all"])
    models = options.models or list(tabular_peers.CORE if demo else tabular_peers.MODELS)
    absent = [model for model in models if not tabular_peers.installed(model)]
    if absent:
        print(f"not installed, left out: {', '.join(absent)}", file=sys.stderr)
    models = [m for m in tabular_peers.MODELS if m in models and m not in absent]
    splits = range(options.splits or (DEMO_SPLITS if demo else 5))
    command = None
    facts = {}
    if not options.render:
        if not options.resume or demo:
            for old in (out, out.with_suffix(".jsonl")):
                old.unlink(missing_ok=True)
        command = shlex.join(["python", "benchmarks/bench_tabular.py", *given])
        facts = run(out, tables, models, splits, force=options.force, n_threads=options.threads,
                    time_limit=options.time_limit,
                    n_digits=tabular_data.DIGITS_ROWS if demo else None)  # fmt: skip
    results = write_results(out, command, facts)
    print(render_tabular.terminal_table(results))
    if demo:
        picture = out.parent / "tabular_benchmark.png"
        draw_tabular.draw(results, picture)
        print(f"\nResults: {out}\nPicture: {picture}")
    elif options.render:
        render_tabular.write_page(results, ROOT)


if __name__ == "__main__":
    main()
