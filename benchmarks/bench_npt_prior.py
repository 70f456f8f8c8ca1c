"""Compare the pretrained NPT with named peers on small tables: repeated splits, three sizes.

Examples
--------
Everything that is not measured yet, resuming where it stopped::

    python benchmarks/bench_npt_prior.py

NPT with new weights (the hash of the weights file makes them a new model)::

    python benchmarks/bench_npt_prior.py --models npt_pretrained npt_fine_tuned

Two splits of the costly peers at 500 context rows::

    python benchmarks/bench_npt_prior.py --models realmlp tabm --sizes 500 --splits 2

What predictions cost and whether they are exact; page and picture only::

    python benchmarks/bench_npt_prior.py --cost
    python benchmarks/bench_npt_prior.py --render

The real tables on which the pretraining program scores its weights as it goes::

    python benchmarks/bench_npt_prior.py --development development.npz
"""

import argparse
import importlib.util
import shlex
import sys
import time
from itertools import product
from pathlib import Path

import npt_prior_models
import npt_prior_summary
import npt_prior_tables
import render_npt_card
import render_npt_prior
import tabular_peers
from bench_tabular import (
    Progress,
    append_record,
    fit_and_score,
    load_records,
    machine,
    newest,
    replace_results,
)
from npt_prior_models import LABELS, MODELS, SETTINGS
from npt_prior_pretraining import curve, weights_facts, write_development
from render_npt import as_text

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "benchmarks" / "results" / "npt_prior.json"
N_SPLITS = 5
#: A fit that needs more CPU seconds is given up.
LIMIT_S = 180
FIELDS = ("table", "n", "split", "model")


def key_of(record):
    """Return what makes two records the same measurement."""
    return tuple(record[field] for field in (*FIELDS, "settings"))


def is_too_slow(record):
    """Tell whether a fit was given up."""
    return record.get("error", "").startswith("TooSlow")


def measure(table, size, split, model, limit_s=LIMIT_S):
    """Fit one model on one context and return its record.

    A model that fails leaves a record with ``error`` in place of ``scores``.
    """
    rows = npt_prior_tables.context_and_test(table, split, size)
    context, test = ((table.X.iloc[part], table.y[part]) for part in rows)
    record = {"table": table.name, "task": table.task, "n": size, "split": split, "model": model}
    record["settings"] = npt_prior_models.settings_hash(model, table.task)
    record["n_context"] = len(context[1])
    more = npt_prior_models.interval_scores if table.task == "regression" else None
    try:
        with npt_prior_models.cpu_limit(limit_s):
            entries = fit_and_score(
                lambda: MODELS[model](table.task, split, 1), table.task, context, test,
                more_scores=more,
            )  # fmt: skip
    except npt_prior_models.TooSlow as error:
        entries = {"error": f"TooSlow: {error}"}
    return record | entries


def jobs_left(tables, models, sizes, splits, records, *, force):
    """List (table, size, split, model) not measured yet, in the order in which they run.

    A model that was too slow on one split of a table is not tried on the others.
    """
    done = {key_of(record) for record in records if "scores" in record}
    slow = {without_split(key_of(record)) for record in records if is_too_slow(record)}
    hashes = {
        (model, task): npt_prior_models.settings_hash(model, task)
        for model in models
        for task in {table.task for table in tables.values()}
    }
    jobs = []
    for size, model, split in product(sizes, models, splits):
        for name, table in tables.items():
            key = (name, size, split, model, hashes[model, table.task])
            known = key in done or without_split(key) in slow
            fits = npt_prior_tables.context_and_test(table, split, size) is not None
            if fits and (force or not known):
                jobs.append(key[:-1])
    return jobs


def without_split(key):
    """Return what the splits of one table have in common."""
    return key[:2] + key[3:]


def run(out, table_names, models, sizes, splits, *, force=False, limit_s=LIMIT_S):
    """Measure what is not yet measured; return what describes the tables."""
    tables = {name: npt_prior_tables.load_table(name) for name in table_names}
    records = load_records(out, key_of)
    jobs = jobs_left(tables, models, sizes, splits, records, force=force)
    progress = Progress(jobs, records, labels=LABELS)
    warm, slow = set(), set()
    for job in jobs:
        name, size, split, model = job
        if without_split(job) in slow:
            progress.todo.remove(model)
            continue
        progress.start(name, split, model)
        task = tables[name].task
        if (model, task) not in warm:
            npt_prior_models.warm_up(model, task)
            warm.add((model, task))
        record = measure(tables[name], size, split, model, limit_s)
        record["finished"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        append_record(out, record)
        if is_too_slow(record):
            slow.add(without_split(job))
        progress.end(record)
    progress.close()
    return {name: table.describe() for name, table in tables.items()}


def write_results(out, command=None, tables=None, cost=None):
    """Write the results file from all records, whole or not at all."""
    records = newest(load_records(out, key_of), FIELDS)
    known = render_npt_prior.load(out)
    order, names = list(MODELS), list(npt_prior_tables.TABLES)
    records.sort(
        key=lambda r: (r["n"], names.index(r["table"]), r["split"], order.index(r["model"]))
    )
    cost = cost or known.get("cost")
    summary = npt_prior_summary.summarise(records)
    head = {
        "commands": list(dict.fromkeys([*known.get("commands", []), *filter(None, [command])])),
        "machine": machine() if command else known.get("machine"),
        "tables": {**known.get("tables", {}), **(tables or {})},
        "made": npt_prior_tables.MADE,
        "settings": SETTINGS,
        "weights": weights_facts() or known.get("weights", []),
        "figures": npt_prior_summary.figures(summary) + (cost or {}).get("figures", []),
        "cost": cost,
        "summary": summary,
        "pretraining": curve(out.parent) or known.get("pretraining", {}),
    }
    return replace_results(out, head, records)


def installed(model):
    """Tell whether the package of a model is there."""
    return importlib.util.find_spec(tabular_peers.PACKAGES.get(model, "sklearn")) is not None


def parse(arguments):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=npt_prior_tables.TABLES, metavar="NAME",
                        default=list(npt_prior_tables.TABLES),
                        help="default: all. " + " ".join(npt_prior_tables.TABLES))  # fmt: skip
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS),
                        metavar="MODEL", help=" ".join(MODELS))  # fmt: skip
    parser.add_argument("--sizes", nargs="+", type=int, choices=npt_prior_tables.SIZES,
                        default=list(npt_prior_tables.SIZES), help="context rows")  # fmt: skip
    parser.add_argument("--splits", type=int, default=N_SPLITS, help="number of repetitions (5)")
    parser.add_argument("--out", type=Path, default=OUT, help="results file")
    parser.add_argument("--force", action="store_true", help="measure again what is there")
    parser.add_argument("--limit", type=float, default=LIMIT_S, metavar="SECONDS",
                        help="give a fit up after so many CPU seconds (180)")  # fmt: skip
    parser.add_argument("--cost", action="store_true", help="measure cost and exactness only")
    parser.add_argument("--development", type=Path, metavar="PATH",
                        help="only write tables to score the pretraining on")  # fmt: skip
    parser.add_argument("--render", action="store_true", help="page and picture only")
    return parser.parse_args(arguments)


def main(arguments=None):
    """Run from the command line."""
    given = sys.argv[1:] if arguments is None else arguments
    options = parse(given)
    if options.development:
        write_development(options.development)
        return
    if options.render:
        results = write_results(options.out)
        render_npt_prior.write_page(results, ROOT)
        render_npt_card.write_card(results, ROOT)
        return
    command = shlex.join(["python", "benchmarks/bench_npt_prior.py", *given])
    if options.cost:
        import npt_prior_cost  # needs an NPT that works; peers run without

        results = write_results(options.out, command, cost=npt_prior_cost.measure())
    else:
        absent = [model for model in options.models if not installed(model)]
        if absent:
            print(f"not installed, left out: {', '.join(absent)}", file=sys.stderr)
        models = [m for m in MODELS if m in options.models and m not in absent]
        facts = run(options.out, options.tables, models, options.sizes, range(options.splits),
                    force=options.force, limit_s=options.limit)  # fmt: skip
        results = write_results(options.out, command, facts)
    print(render_npt_prior.terminal_table(results))
    print(as_text({"figures": results["figures"], "cpu_s": "–"}))


if __name__ == "__main__":
    main()
