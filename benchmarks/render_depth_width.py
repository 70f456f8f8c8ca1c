"""Turn the results of `bench_depth_width.py` into a page."""

from depth_width_experiments import EXPERIMENTS
from depth_width_figures import (
    ESTIMATOR,
    SETS,
    figures,
    numbers_of,
    splits_of_estimator,
    tables_measured,
)
from pages import closing, figure_table, grid, heading, number, opening


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
    return grid(["hops", "layers", "parameters", "accuracy", ""], rows)


def _losses_table(splits, labels):
    """Show shape, loss and time of some ways, a row for each split of a table."""
    rows = []
    for name, n in splits:
        cells = [name]
        for key in labels:
            entry = n[key]
            cells += [_shape(*entry["shape"]), number(-entry["test"]), number(entry["cpu_s"])]
        rows.append(cells)
    head = ["table"]
    for label in labels.values():
        head += [label, "test loss", "CPU s"]
    return grid(head, rows)


def _tables_table(records):
    labels = {"auto": "recommended", "fixed": "fixed", "search": "searched"}
    return _losses_table(tables_measured(records), labels)


def _estimator_table(records):
    return _losses_table(splits_of_estimator(records), {"default": "default", "auto": "auto"})


def _rank_table(records):
    rows = [
        [name, *[cell for key in ("unaware", "aware") for cell in (
            _shape(*n[f"{name}: {key} shape"]),
            f"{number(-n[f'{name}: {key}'])} ± {number(n[f'{name}: {key} se'])}")]]
        for n in numbers_of(records, "embedding_rank")
        for name in SETS
    ]  # fmt: skip
    return grid(["data", "without", "loss", "with the rank", "loss"], rows)


def page(results):
    """Write the documentation page."""
    records = results["records"]
    found = figures(records)
    unmeasured = [name for name in EXPERIMENTS if not numbers_of(records, name)]
    says = "Targets were set before anything was measured. The guide is :ref:`depth_width`."
    out = opening("depth_width", "Depth and width: what it is held to", says, found, unmeasured)
    details = {
        "Does the search find depth where it is needed?": _chase_table,
        "Is the recommendation of use on tables?": _tables_table,
        ESTIMATOR: _estimator_table,
        "Does a small embedding rank ask for depth?": _rank_table,
    }
    for group, entries in found.items():
        out.append(heading(group, "-"))
        out.append(figure_table(entries))
        if group in details:
            out.append(details[group](records))
    how = (
        "The nets are plain pre-norm transformers of two heads, in "
        "``benchmarks/depth_width_nets.py``. *Pointer chasing*: ten symbols, a permutation f "
        "and a start s; the label is f(f(s)), or f(s) in the control; 16,000 rows, three random "
        "splits, layers of about 27,500 parameters. *Tables*: a quarter of the rows is the test "
        "part; log loss or root mean squared error; how many parameters the recommendation spends "
        "on a row was chosen by cross-validation on the training rows of these tables (the "
        "smallest of three rules within a standard error of the best mean rank), with the test "
        "scores in sight, so other tables have to confirm it; the search "
        "looks at one to four layers for 20 and for 60 on each row, three folds, and takes the "
        "best mean. *PrimalAttention*: the same rule on those tables and on seven others, which "
        "had no part in it. *Embedding rank*: numbers embedded linearly, 50,000 "
        "parameters, cross-validation. One thread.\n"
    )
    return "\n".join([*out, *closing(results, [how])])
