"""Turn the results of `bench_transport.py` into a page."""

from render_npt import number, target_words, verdict
from transport_experiments import EXPERIMENTS, OURS, PEERS, RANKED
from transport_figures import GROUPS, figures, mean_over_seeds, mean_ranks, seeds_of

LABELS = {
    "ot": "**OTTabularClassifier**",
    "hgb": "HistGradientBoosting",
    "linear": "LogisticRegression",
    "mlp": "MLP",
    "knn": "5 neighbours",
    "qda": "QDA",
}
TABLES = {
    "digits": "digits, half",
    "wine": "wine",
    "wdbc": "breast_cancer",
    "vowel": "vowel",
    "credit_g": "credit_g",
    "clusters": "make_classification, 6,000 x 20, 5 classes of 3 clusters",
    "telco": "telco",
    "beed": "beed, half, in blocks of 200 rows",
}


def _heading(text, mark):
    return f"{text}\n{mark * len(text)}\n"


def _grid(head, rows):
    lines = [".. list-table::", "   :header-rows: 1", "   :class: benchmark", ""]
    for row in [head, *rows]:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}".rstrip() for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def _scores(records, key):
    models = [*OURS, *PEERS]
    rows = []
    for name in RANKED:
        seeds = seeds_of(records, f"table {name}")
        if seeds:
            cells = [number(mean_over_seeds(records, f"table {name}", m, key)) for m in models]
            rows.append([TABLES[name], len(seeds), *cells])
        else:
            rows.append([TABLES[name], 0, *["not run"] * len(models)])
    mean = mean_ranks(records, key) if key != "cpu_s" else {}
    if mean:
        rows.append(["mean rank", "", *[f"{mean[m]:.2f}" for m in models]])
    return _grid(["table", "splits", *[LABELS[m] for m in models]], rows)


def page(results):
    """Write the documentation page."""
    records = results["records"]
    found = figures(records)
    judged = [(group, f) for group, entries in found.items() for f in entries if "target" in f]
    lost = [(group, f) for group, f in judged if not f["reached"]]
    out = [
        _heading("Optimal transport: what it is held to", "="),
        ".. This page is written by ``python benchmarks/bench_transport.py --render``;\n"
        "   its numbers come from ``benchmarks/results/transport.json``.\n",
        ":class:`~sklearn_selfattn.OTTabularClassifier` at its defaults beside named peers, and "
        "beside itself without the transport: targets were set before. The guide is "
        ":ref:`transport`.\n",
        f"{len(judged) - len(lost)} of {len(judged)} targets are reached."
        + (" Missed:\n" if lost else "\n"),
    ]
    if lost:
        lines = [
            f"- {GROUPS[group]}: {f['name']}: {number(f['value'])} (target {target_words(f)})"
            for group, f in lost
        ]
        out.append("\n".join(lines) + "\n")
    missing = [name for name in EXPERIMENTS if not seeds_of(records, name)]
    if missing:
        out.append(f"**Not measured yet**, so nothing is claimed: {', '.join(missing)}.\n")
    for group, entries in found.items():
        out.append(_heading(GROUPS[group], "-"))
        rows = []
        for f in entries:
            word = verdict(f)
            rows.append([f["name"], number(f["value"]), target_words(f),
                         "**missed**" if word == "MISSED" else word])  # fmt: skip
        out.append(_grid(["figure", "measured", "target", ""], rows))
    for key, title in (
        ("accuracy", "Accuracy"), ("log_loss", "Log loss"), ("cpu_s", "CPU seconds of a fit"),
    ):  # fmt: skip
        out += [_heading(title, "-"), _scores(records, key)]
    out.append(_heading("How it was run", "-"))
    out.append(
        "Means over splits; a split is a seed, and every model sees the same rows. One thread. "
        "MLP is scikit-learn's with ``max_iter=1000, n_iter_no_change=50``; QDA has "
        "``reg_param=0.1``; the others are at their defaults. Rows of beed follow each other in "
        "time, so that a random split leaks: its blocked split is the one to read.\n"
    )
    runs = [f"{name}: {len(seeds_of(records, name))}"
            for name in dict.fromkeys(r["experiment"] for r in records)]  # fmt: skip
    out.append("Runs of each experiment: " + ", ".join(runs) + ".\n")
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    out.append(
        f"Machine: {machine['cpu']}, {machine['n_cores']} cores, {machine['system']}. "
        f"Versions: {versions}.\n"
    )
    out.append(f"::\n\n   {results['command']}\n")
    return "\n".join(out)
