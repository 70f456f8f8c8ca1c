"""What the raw numbers of the transport experiments say, beside the targets."""

import numpy as np
from npt_figures import figure
from tabular_scores import ranks
from transport_experiments import CONTROLLED, OURS, PEERS, RANKED

GROUPS = {
    "ranking": "Accuracy and calibration beside peers",
    "transport": "Does the transport earn its keep?",
    "geometry": "Where the class means stand",
    "imbalance": "Rare classes",
    "novelty": "Rows of unknown classes",
    "cost": "Cost",
    "truths": "The lens",
}
_MODELS = (*OURS, *PEERS)


def mean_over_seeds(records, name, model=None, key=None):
    """Average one number over the seeds of an experiment; None where there are none."""
    found = [r["numbers"] for r in records if r["experiment"] == name]
    if not found:
        return None
    return float(np.mean([n[model][key] if model else n[key] for n in found]))


def seeds_of(records, name):
    """List the seeds with which an experiment has run."""
    return sorted(r["seed"] for r in records if r["experiment"] == name)


def measured_tables(records):
    """List the tables of the ranking that have been measured."""
    return [name for name in RANKED if seeds_of(records, f"table {name}")]


def mean_ranks(records, key):
    """Rank the models on each table by a mean score (1 is best), and average the ranks."""
    sign = 1 if key == "log_loss" else -1
    by_table = [
        ranks([sign * mean_over_seeds(records, f"table {name}", m, key) for m in _MODELS])
        for name in measured_tables(records)
    ]
    return dict(zip(_MODELS, np.mean(by_table, axis=0), strict=True)) if by_table else {}


def difference(records, name, one, other, key="accuracy"):
    """Return how many points one model of an experiment is above another; None if not there."""
    values = [mean_over_seeds(records, name, model, key) for model in (one, other)]
    return None if None in values else 100 * (values[0] - values[1])


def figures(records):
    """Return a list of figures for each group that something has been measured of."""
    found = {group: [] for group in GROUPS}

    def add(group, name, value, target=None):
        if value is not None:
            found[group].append(figure(name, value, target))

    for key, words in (("accuracy", "accuracy"), ("log_loss", "log loss")):
        mean = mean_ranks(records, key)
        if mean:
            n = len(measured_tables(records))
            target = f"<= {mean['mlp']:.4g}"
            add("ranking", f"mean rank by {words} over {n} tables (MLP's as target)", mean["ot"],
                target if key == "accuracy" else None)  # fmt: skip
    add("ranking", "digits: log loss", mean_over_seeds(records, "table digits", "ot", "log_loss"),
        "<= 0.1")  # fmt: skip
    add("ranking", "digits: expected calibration error",
        mean_over_seeds(records, "table digits", "ot", "ece"), "<= 0.02")  # fmt: skip
    beed, blocked = "transport beed_random", "table beed"
    for control, words in (("ot_random", "random pairs"), ("ot_without", "no transport")):
        add("transport", f"beed, blocks (primary): points above {words}",
            difference(records, blocked, "ot", control))  # fmt: skip
        add("transport", f"beed, random split: points above {words}",
            difference(records, beed, "ot", control), ">= 0.7")  # fmt: skip
        for name in CONTROLLED[:-1]:
            add("transport", f"{name}: points above {words}",
                difference(records, f"table {name}", "ot", control), ">= -0.7")  # fmt: skip
    circle = mean_over_seeds(records, "geometry", key="regression circle")
    if circle is not None:
        for kind in ("hybrid", "regression"):
            circle = mean_over_seeds(records, "geometry", key=f"{kind} circle")
            for other in ("simplex", "orthogonal"):
                value = mean_over_seeds(records, "geometry", key=f"{kind} {other}")
                add("geometry", f"{kind}: points of {other} above circle ({100 * circle:.1f} %)",
                    100 * (value - circle), ">= 6")  # fmt: skip
    for name, words in (("imbalance", ""), ("imbalance weighted", "class_weight='balanced': ")):
        add("imbalance", f"{words}balanced accuracy: points above HistGradientBoosting",
            difference(records, name, "ot", "hgb", "balanced_accuracy"), ">= 4")  # fmt: skip
        gap = difference(records, name, "ot", "linear", "log_loss")
        add("imbalance", f"{words}log loss above LogisticRegression's",
            None if gap is None else gap / 100, "<= 0.05")  # fmt: skip
    weighted, plain = (
        mean_over_seeds(records, name, model, "log_loss")
        for name, model in (("imbalance weighted", "ot"), ("imbalance", "linear"))
    )
    if weighted is not None and plain is not None:
        add("imbalance", "log loss with class_weight='balanced' above unweighted "
            "LogisticRegression's", weighted - plain)  # fmt: skip
    for name in ("anchored", "default", "largest probability", "IsolationForest"):
        add("novelty", f"area under the ROC curve: {name}",
            mean_over_seeds(records, "novelty", key=name))  # fmt: skip
    _add_cost(records, add)
    for name, target in (
        ("gap of a convex gradient", "<= 1e-9"), ("gap of shuffled targets", "> 0"),
        ("efficiency off one", "<= 1e-12"), ("thesis distance off", "<= 1e-10"),
    ):  # fmt: skip
        add("truths", name, mean_over_seeds(records, "truths", key=name), target)
    return {group: entries for group, entries in found.items() if entries}


def _add_cost(records, add):
    name = "cost_against_attention"
    if seeds_of(records, name):
        ours, theirs = (mean_over_seeds(records, name, m, "cpu_s") for m in ("ot", "npt"))
        add("cost", "beed, 4,000 rows: fit time over the attention classifier's", ours / theirs,
            "<= 0.25")  # fmt: skip
        add("cost", "beed, 4,000 rows: points of accuracy above it",
            difference(records, name, "ot", "npt"), ">= 0")  # fmt: skip
    name = "cost_of_transport"
    if seeds_of(records, name):
        transport, fit = (mean_over_seeds(records, name, key=k) for k in ("transport_s", "fit_s"))
        add("cost", "50,000 x 16: CPU seconds of the transport", transport, "<= 15")
        add("cost", "50,000 x 16: its share of the fit", transport / fit, "<= 0.1")
        add("cost", "50,000 x 16: peak memory, GB",
            mean_over_seeds(records, name, key="peak_gb"), "<= 1.5")  # fmt: skip
    name = "cost_of_monitor"
    if seeds_of(records, name):
        plain, watched = (
            min(mean_over_seeds(records, name, key=k) for k in (key, f"{key} again"))
            for key in ("without", "with")
        )
        add("cost", "monitor: share added to the fit of 4,000 rows", watched / plain - 1, "<= 0.15")
        add("cost", "monitor: difference of the last training loss",
            abs(mean_over_seeds(records, name, key="loss with")
                - mean_over_seeds(records, name, key="loss without")), "<= 0")  # fmt: skip
