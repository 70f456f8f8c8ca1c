"""Turn the results of `bench_depth_width.py` into a page."""

from depth_width_experiments import EXPERIMENTS
from depth_width_figures import SETS, figures, numbers_of, tables_measured
from render_npt import number, target_words
from render_transport import _grid, _heading


def _shape(depth, width):
    return f"{depth} x {width}"


def _chase_table(records):
    rows = []
    for n in numbers_of(records, "chase"):
        for hops in (2, 1):
            rows += [
                [hops, depth, f"{n[f'{hops} hops: parameters of {depth}']:,}",
                 number(n[f"{hops} hops: accuracy of {depth}"]),
                 "**chosen**" if n[f"{hops} hops: chosen"] == depth else ""]
                for depth in (1, 2, 3)
                if f"{hops} hops: accuracy of {depth}" in n
            ]  # fmt: skip
    return _grid(["hops", "layers", "parameters", "accuracy", ""], rows)


def _tables_table(records):
    rows = []
    for name, n in tables_measured(records):
        cells = [name]
        for key in ("auto", "fixed", "search"):
            entry = n[key]
            cells += [_shape(*entry["shape"]), number(-entry["test"]), number(entry["cpu_s"])]
        rows.append(cells)
    head = ["table"]
    for key in ("recommended", "fixed", "searched"):
        head += [f"{key}", "test loss", "CPU s"]
    return _grid(head, rows)


def _rank_table(records):
    rows = [
        [name, *[cell for key in ("unaware", "aware") for cell in (
            _shape(*n[f"{name}: {key} shape"]),
            f"{number(-n[f'{name}: {key}'])} ± {number(n[f'{name}: {key} se'])}")]]
        for n in numbers_of(records, "embedding_rank")
        for name in SETS
    ]  # fmt: skip
    return _grid(["data", "without", "loss", "with the rank", "loss"], rows)


def page(results):
    """Write the documentation page."""
    records, machine = results["records"], results["machine"]
    found = figures(records)
    judged = [(group, f) for group, entries in found.items() for f in entries if "target" in f]
    lost = [(group, f) for group, f in judged if not f["reached"]]
    out = [
        _heading("Depth and width: what it is held to", "="),
        ".. This page is written by ``python benchmarks/bench_depth_width.py --render``;\n"
        "   its numbers come from ``benchmarks/results/depth_width.json``.\n",
        "Targets were set before anything was measured. The guide is :ref:`depth_width`.\n",
        f"{len(judged) - len(lost)} of {len(judged)} targets are reached."
        + (" Missed:\n" if lost else "\n"),
    ]
    out += [
        f"- {group} {f['name']}: {number(f['value'])} (target {target_words(f)})"
        for group, f in lost
    ]
    out += [""] if lost else []
    missing = [name for name in EXPERIMENTS if not numbers_of(records, name)]
    if missing:
        out.append(f"**Not measured**, so nothing is claimed: {', '.join(missing)}.\n")
    details = {
        "Does the search find depth where it is needed?": _chase_table,
        "Is the recommendation of use on tables?": _tables_table,
        "Does a small embedding rank ask for depth?": _rank_table,
    }
    words = {True: "reached", False: "**missed**", None: ""}
    for group, entries in found.items():
        out.append(_heading(group, "-"))
        rows = [
            [f["name"], number(f["value"]), target_words(f), words[f.get("reached")]]
            for f in entries
        ]
        out.append(_grid(["figure", "measured", "target", ""], rows))
        if group in details:
            out.append(details[group](records))
    out.append(_heading("How it was run", "-"))
    out.append(
        "The nets are plain pre-norm transformers of two heads, in "
        "``benchmarks/depth_width_nets.py``. *Pointer chasing*: ten symbols, a permutation f "
        "and a start s; the label is f(f(s)), or f(s) in the control; 16,000 rows, three random "
        "splits, layers of about 27,500 parameters. *Tables*: a quarter of the rows is the test "
        "part; log loss or root mean squared error; how many parameters the recommendation spends "
        "on a row was chosen by cross-validation on the training rows of these tables (the "
        "smallest of three rules within a standard error of the best mean rank), with the test "
        "scores in sight, so other tables have to confirm it; the search "
        "looks at one to four layers for 20 and for 60 on each row, three folds, and takes the "
        "best mean. *Embedding rank*: numbers embedded linearly, 50,000 "
        "parameters, cross-validation. One thread.\n"
    )
    runs = {name: len(numbers_of(records, name)) for name in EXPERIMENTS}
    spent = sum(record["cpu_s"] for record in records)
    out.append(
        "Runs of each experiment: "
        + ", ".join(f"{name}: {count}" for name, count in runs.items() if count)
        + f". {spent / 60:.0f} CPU minutes in all.\n"
    )
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    out.append(
        f"Machine: {machine['cpu']}, {machine['n_cores']} cores, {machine['system']}. "
        f"Versions: {versions}.\n"
    )
    out.append("::\n\n" + "".join(f"   {command}\n" for command in results["commands"]))
    return "\n".join(out)
