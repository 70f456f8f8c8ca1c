"""What the raw numbers of the depth and width experiments say, beside the targets."""

import math

import numpy as np
from depth_width_experiments import DECIDING, PER_ROW, PROJECTIONS, TABLES
from npt_figures import figure
from tabular_scores import ranks

from sklearn_selfattn.core.shape import PARAMETERS_PER_ROW

ESTIMATOR = 'n_layers="auto" in PrimalAttention, beside its defaults'
SETS = ("iris", "wine", "diabetes", "sign of a product of four")


def numbers_of(records, name):
    """Return the numbers of an experiment, a dict for each seed."""
    return [record["numbers"] for record in records if record["experiment"] == name]


def _mean(found, key):
    return float(np.mean([numbers[key] for numbers in found]))


def tables_measured(records, per_row=PARAMETERS_PER_ROW):
    """Return (table, numbers) of every split on which both experiments have run.

    "auto" is the recommendation at so many parameters per row.
    """
    return [
        (name, {**n, "auto": recommended[str(per_row)]})
        for name in TABLES
        for n, recommended in zip(
            numbers_of(records, f"table {name}"), numbers_of(records, f"budgets {name}"),
            strict=False,
        )
    ]  # fmt: skip


def mean_rank_of_budgets(records):
    """Rank the budgets by cross-validation on the training rows, and average: 1 is best."""
    by_split = [
        ranks([-n[str(per_row)]["cv"] for per_row in PER_ROW])
        for name in TABLES
        for n in numbers_of(records, f"budgets {name}")
    ]
    return dict(zip(PER_ROW, np.mean(by_split, axis=0), strict=True))


def figures(records):
    """Return figures by group; a group is there once something of it has been measured."""
    groups = {
        "Exact ranks and bounds": _exact(records),
        "Recommendation": _law(records),
        "Separation rank of fitted models": _models(records),
        "Does the search find depth where it is needed?": _chase(records),
        "Is the recommendation of use on tables?": _tables(records),
        ESTIMATOR: _estimator(records),
        "Does a small embedding rank ask for depth?": _embedding_rank(records),
        "Cost": _cost(records),
    }
    return {name: entries for name, entries in groups.items() if entries}


def _exact(records):
    found = numbers_of(records, "exact")
    if not found:
        return []
    per_seed = len(found)
    return [
        figure(f"ranks that are wrong, of 14 on each of {per_seed} seeds",
               sum(n["wrong"] for n in found), "<= 0"),
        figure("ranks outside the bounds", sum(n["outside the bounds"] for n in found), "<= 0"),
        figure("CPU seconds of all, all seeds", sum(n["seconds"] for n in found), "<= 60"),
    ]  # fmt: skip


def _law(records):
    entries = []
    for n in numbers_of(records, "law"):
        entries += [
            figure(f"layers off the paper's projection, worst of {len(PROJECTIONS)}",
                   n["layers off"], "<= 1"),
            figure("share of the width off it, worst", n["width off"], "<= 0.02"),
            figure("closed form against root finding, relative", n["relative error"], "<= 1e-9"),
            figure("bounds at 48 x 12,288: ms", n["ms of the bounds"], "<= 1"),
        ]  # fmt: skip
    return entries


def _models(records):
    found, entries = numbers_of(records, "anchors"), []
    if found:
        for model, rank in (("linear", 2), ("boosted stumps", 2), ("polynomial, degree 2", 7),
                            ("polynomial, degree 3", 12)):  # fmt: skip
            value = _mean(found, f"{model}: rank")
            entries.append(figure(f"diabetes, 5|5: rank of {model}", value, f"{rank} to {rank}"))
        entries += [
            figure(f"diabetes, 5|5: share of interaction in {model}",
                   _mean(found, f"{model}: interaction"))
            for model in ("linear", "polynomial, degree 2", "boosting")
        ]  # fmt: skip
    for n in numbers_of(records, "training"):
        before, after = (n[f"products, {w}: effective rank"] for w in ("one epoch", "trained"))
        entries += [
            figure("net on products: effective rank gained in training", after - before, "> 0"),
            figure("net on a sum: effective rank", n["sum, trained: effective rank"], "<= 2.1"),
            figure("net on products: share of interaction", n["products, trained: interaction"]),
            figure("net on a sum: share of interaction", n["sum, trained: interaction"]),
        ]
    return entries


def _chase(records):
    entries = []
    for n in numbers_of(records, "chase"):
        deep = max(n[f"2 hops: accuracy of {depth}"] for depth in (2, 3))
        one = n["2 hops: accuracy of 1"]
        entries += [
            figure("two hops: layers chosen", n["2 hops: chosen"], ">= 2"),
            figure("two hops: accuracy of the deeper net", deep, ">= 0.9"),
            figure("two hops: above one layer of as many parameters", deep - one, ">= 0.4"),
            figure("one hop, the control: layers chosen", n["1 hops: chosen"], "1 to 1"),
            figure("CPU minutes of both searches",
                   (n["2 hops: seconds"] + n["1 hops: seconds"]) / 60, "<= 10"),
        ]  # fmt: skip
    return entries


def mean_ranks(records, per_row=PARAMETERS_PER_ROW):
    """Rank recommended and fixed shape on the test rows of each split, 1 is best, and average."""
    by_split = [
        ranks([-n["auto"]["test"], -n["fixed"]["test"]])
        for _, n in tables_measured(records, per_row)
    ]
    return np.mean(by_split, axis=0) if by_split else None


def _tables(records):
    found = tables_measured(records)
    if not found:
        return []
    auto, fixed = mean_ranks(records)
    near = [n["auto"]["cv"] >= n["search"]["cv"] - n["search"]["se"] for _, n in found]
    cost = [n["auto"]["cpu_s"] / n["search"]["cpu_s"] for _, n in found]
    n_tables = len({name for name, _ in found})
    return [
        figure(f"mean rank over {n_tables} tables, against a fixed 3 x 64 (its rank as target)",
               auto, f"<= {fixed:.4g}"),
        figure("tables measured", n_tables, ">= 6"),
        figure(f"of {len(near)} splits, within one standard error of the search's best",
               sum(near), f">= {math.ceil(2 * len(near) / 3)}"),
        figure("fit time over that of the search, mean", np.mean(cost), "<= 0.1"),
    ] + [
        figure(f"{per_row} parameters per row: mean rank, training rows", rank)
        for per_row, rank in mean_rank_of_budgets(records).items()
    ] + [
        figure(f"{per_row} parameters per row: mean rank against the fixed shape, test rows",
               mean_ranks(records, per_row)[0])
        for per_row in PER_ROW
    ]  # fmt: skip


def splits_of_estimator(records):
    """Return (table, numbers) of each split on which n_layers="auto" met the defaults."""
    return [(name, n) for name in DECIDING for n in numbers_of(records, f"estimator {name}")]


def _estimator(records):
    splits = splits_of_estimator(records)
    if not splits:
        return []
    found = [n for _, n in splits]
    both = [[-n["auto"]["test"], -n["default"]["test"]] for n in found]
    auto, default = np.mean([ranks(losses) for losses in both], axis=0)
    ratios = [ours / theirs for ours, theirs in both]
    times = [n["auto"]["cpu_s"] / n["default"]["cpu_s"] for n in found]
    mean_ratio, mean_time = np.exp(np.log([ratios, times]).mean(axis=1))
    n_tables = len({name for name, _ in splits})
    return [
        figure(f"mean rank over {n_tables} tables, against the defaults (their rank as target)",
               auto, f"<= {default:.4g}"),
        figure("tables measured", n_tables, ">= 6"),
        figure("loss over that of the defaults, geometric mean", mean_ratio),
        figure("fit time over that of the defaults, geometric mean", mean_time),
    ]  # fmt: skip


def _embedding_rank(records):
    entries = []
    for n in numbers_of(records, "embedding_rank"):
        for name in SETS:
            gain = n[f"{name}: aware"] - n[f"{name}: unaware"]
            error = n[f"{name}: unaware se"]
            target = "> 0" if name == SETS[-1] else ">= -1"
            entries.append(
                figure(f"{name}: gain of the deeper, in standard errors", gain / error, target)
            )
    return entries


def _cost(records):
    return [
        figure(key, value, "<= 60" if key == "elimination of 2000: seconds" else None)
        for n in numbers_of(records, "cost")
        for key, value in n.items()
        if key.endswith("seconds")
    ]
