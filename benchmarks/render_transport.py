"""Turn the results of `bench_transport.py` into a page."""

from pages import closing, figure_table, grid, heading, number, opening
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
    return grid(["table", "splits", *[LABELS[m] for m in models]], rows)


def page(results):
    """Write the documentation page."""
    records = results["records"]
    found = figures(records)
    unmeasured = [name for name in EXPERIMENTS if not seeds_of(records, name)]
    says = (
        ":class:`~sklearn_selfattn.OTTabularClassifier` at its defaults beside named peers, and "
        "beside itself without the transport: targets were set before. The guide is "
        ":ref:`transport`."
    )
    title = "Optimal transport: what it is held to"
    out = opening("transport", title, says, found, unmeasured, GROUPS)
    for group, entries in found.items():
        out.append(heading(GROUPS[group], "-"))
        out.append(figure_table(entries))
    for key, title in (
        ("accuracy", "Accuracy"), ("log_loss", "Log loss"), ("cpu_s", "CPU seconds of a fit"),
    ):  # fmt: skip
        out += [heading(title, "-"), _scores(records, key)]
    how = (
        "Means over splits; a split is a seed, and every model sees the same rows. One thread. "
        "MLP is scikit-learn's with ``max_iter=1000, n_iter_no_change=50``; QDA has "
        "``reg_param=0.1``; the others are at their defaults. Rows of beed follow each other in "
        "time, so that a random split leaks: its blocked split is the one to read.\n"
    )
    return "\n".join([*out, *closing(results, [how])])
