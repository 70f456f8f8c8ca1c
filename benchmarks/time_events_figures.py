"""What the raw numbers of the time-events experiments say, beside the targets."""

import numpy as np
from npt_figures import figure
from time_events_experiments import FUNCTIONAL

GROUPS = {
    "equations": "Equations and invariances",
    "lookup": "The event 24 hours ago",
    "renewal": "Clockworks",
    "hawkes": "Hawkes and Poisson processes",
    "flights": "Flights: when a plane departs next",
    "badges": "Stack Overflow: which badge is next, and when",
    "mortality": "Intensive care: who dies",
    "cost": "Cost",
}


def mean_over_seeds(records, name, *keys):
    """Average one number over the seeds of an experiment; None where there are none."""
    found = []
    for record in records:
        if record["experiment"] == name:
            value = record["numbers"]
            for key in keys:
                value = value[key]
            found.append(value)
    return float(np.mean(found)) if found else None


def seeds_of(records, name):
    """List the seeds with which an experiment has run."""
    return sorted(r["seed"] for r in records if r["experiment"] == name)


def figures(records):
    """Return a list of figures for each group that something has been measured of."""
    found = {group: [] for group in GROUPS}

    def mean(*keys):
        return mean_over_seeds(records, *keys)

    def add(group, name, value, target=None):
        if value is not None:
            found[group].append(figure(name, value, target))

    for kind in ("bochner", "mercer"):
        add("equations", f"{kind} kernel: largest change over shifts up to 1e9 s",
            mean("invariance", kind), "<= 1e-6")  # fmt: skip
    add("equations", "seconds, days, dates: largest relative change of a prediction",
        mean("units", "difference"), "<= 1e-4")  # fmt: skip
    for family in ("normal", "laplace"):
        for d, target in ((256, "<= 0.17"), (4096, "<= 0.045")):
            add("equations", f"{d} draws of {family}: largest error",
                mean("claim", f"{family} {d}"), target)  # fmt: skip
        add("equations", f"{family}: slope of the error, logarithmic",
            mean("claim", f"{family} slope"), "-0.6 to -0.4")  # fmt: skip
    add("equations", "Mercer, degree 5: error", mean("claim", "mercer 5"), "<= 0.0006")
    add("equations", "Mercer, degree 10: error", mean("claim", "mercer 10"), "<= 1e-7")
    add("equations", "two hidden periods: found within 0.5 %, of 10 draws",
        mean("periods", "hits"), ">= 9")  # fmt: skip
    add("equations", "their amplitudes: median relative error of the ratio",
        mean("periods", "ratio"), "<= 0.15")  # fmt: skip
    _add_lookup(mean, add)
    for name, target in (("1", "<= 0.01"), ("86400", "<= 0.01"), ("1, 3", "<= 0.05")):
        add("renewal", f"gaps of {name}: median relative error", mean("renewal", name), target)
    add("renewal", "targets times 1e5: largest relative change of a prediction",
        mean("renewal", "scaled"), "<= 1e-6")  # fmt: skip
    if seeds_of(records, "hawkes"):
        ours, truth = mean("hawkes", "hawkes"), mean("hawkes", "truth")
        add("hawkes", "error of the gap over that of the true intensity", ours / truth, "<= 1.02")
        add("hawkes", "over that of a fit by maximum likelihood",
            ours / mean("hawkes", "fitted"), "<= 1.02")  # fmt: skip
        add("hawkes", "best constant over the true intensity",
            mean("hawkes", "hawkes constant") / truth)  # fmt: skip
        add("hawkes", "Poisson: error over that of the best constant",
            mean("hawkes", "poisson") / mean("hawkes", "poisson constant"),
            "0.99 to 1.01")  # fmt: skip
    _add_flights(records, mean, add)
    _add_badges(records, mean, add)
    add("mortality", "area under the ROC curve, raw measurements alone",
        mean("mortality", "bochner"), ">= 0.84")  # fmt: skip
    if seeds_of(records, "mortality"):
        boosted = mean("mortality", "hgb")
        add("mortality", "HistGradientBoosting on aggregates", boosted)
        add("mortality", "mean of both logits, above the aggregates",
            mean("mortality", "mean of both") - boosted, ">= 0.004")  # fmt: skip
    _add_cost(records, mean, add)
    return {group: entries for group, entries in found.items() if entries}


def _add_lookup(mean, add):
    for name in (*FUNCTIONAL, "mercer_summed", "time2vec", "positional", "none", "hgb"):
        target = ">= 0.97" if name in FUNCTIONAL else "<= 0.5" if name == "positional" else None
        add("lookup", f"{name}: accuracy", mean("lookup", name, "accuracy"), target)
    boosted = mean("lookup", "hgb", "accuracy")
    if boosted is not None:
        least = min(mean("lookup", name, "accuracy") for name in FUNCTIONAL)
        add("lookup", "worst functional encoding above HistGradientBoosting", least - boosted,
            ">= 0.06")  # fmt: skip
    add("lookup", "40 events, 6 marks: bochner", mean("lookup, hard", "bochner", "accuracy"),
        ">= 0.96")  # fmt: skip
    add("lookup", "40 events, 6 marks: HistGradientBoosting",
        mean("lookup, hard", "hgb", "accuracy"))  # fmt: skip


def _add_flights(records, mean, add):
    if not seeds_of(records, "flights"):
        return
    ours = mean("flights", "bochner", "mae")
    add("flights", "mean absolute error of log(1 + hours)", ours, "<= 0.735")
    add("flights", "over HistGradientBoosting's, lags and clock",
        ours / mean("flights", "hgb lags and clock", "mae"), "<= 0.96")  # fmt: skip
    add("flights", "below its positional twin, share",
        1 - ours / mean("flights", "positional", "mae"), ">= 0.05")  # fmt: skip
    for name in ("positional", "hgb lags and clock", "hgb lags", "constant"):
        add("flights", f"{name}: error", mean("flights", name, "mae"))


def _add_badges(records, mean, add):
    for words, name in (("history only", "next badge, history only"),
                        ("time of the target known", "next badge, time known")):  # fmt: skip
        if not seeds_of(records, name):
            continue
        only = words == "history only"
        accuracy, loss = (mean(name, "bochner", key) for key in ("accuracy", "log_loss"))
        add("badges", f"{words}: accuracy", accuracy, None if only else ">= 0.478")
        add("badges", f"{words}: accuracy above logistic regression",
            accuracy - mean(name, "logistic", "accuracy"),
            ">= 0.001" if only else None)  # fmt: skip
        add("badges", f"{words}: log loss below logistic regression",
            mean(name, "logistic", "log_loss") - loss, ">= 0.01" if only else None)  # fmt: skip
        add("badges", f"{words}: accuracy above the positional twin",
            accuracy - mean(name, "positional", "accuracy"), ">= 0" if only else None)  # fmt: skip
    if seeds_of(records, "next badge, when"):
        ours, boosted = (mean("next badge, when", key) for key in ("bochner", "hgb"))
        add("badges", "when: mean absolute error, days", ours)
        add("badges", "when: over HistGradientBoosting's", ours / boosted, "<= 1")


def _add_cost(records, mean, add):
    if seeds_of(records, "speed"):
        for n_slots, target in ((16, ">= 200000"), (64, ">= 60000")):
            add("cost", f"events a CPU second in training, {n_slots} in a history",
                mean("speed", f"bochner {n_slots}"), target)  # fmt: skip
            for kind in ("bochner", "mercer"):
                add("cost", f"{kind}, {n_slots} events: step over the positional one",
                    mean("speed", f"positional {n_slots}") / mean("speed", f"{kind} {n_slots}"),
                    "<= 1.25")  # fmt: skip
        add("cost", "64 events: one pass for all prefixes, share of the time of windows",
            mean("speed", "shared True") / mean("speed", "shared False"))  # fmt: skip
        for n in (2000, 4000):
            add("cost", f"{n} histories of 32 events: time of a fit over that of 1000",
                mean("speed", f"rows {n}") / mean("speed", "rows 1000"))  # fmt: skip
    if seeds_of(records, "reading"):
        for how in ("sorted", "shuffled"):
            add("cost", f"from_frame, 1.7 million rows, {how}: CPU seconds",
                mean("reading", how), "<= 2")  # fmt: skip
