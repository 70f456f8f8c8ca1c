"""What the raw numbers of the primal experiments say, beside the targets."""

import numpy as np
from npt_figures import figure
from primal_data import SERIES
from primal_experiments import ATTENTIONS, SIZES

GROUPS = {
    "accuracy": "Accuracy on series",
    "meeting": "Do tokens meet?",
    "speed": "Speed and memory",
    "tables": "Tables",
    "uncertainty": "Uncertainty",
    "spectrum": "The lens",
}
MODELS = (*ATTENTIONS, "minirocket", "trees", "ridge")


def numbers_of(records, name):
    """Return the raw numbers of an experiment, seed by seed."""
    return [r["numbers"] for r in records if r["experiment"] == name]


def mean_over_seeds(records, name, *keys):
    """Average one number over the seeds of an experiment; None where there are none."""
    found = numbers_of(records, name)
    for key in keys:
        found = [numbers[key] for numbers in found if key in numbers]
    return float(np.mean(found)) if found else None


def mean_over_sets(records, model, key="accuracy"):
    """Average a score over all sets of series; None until all are there."""
    values = [mean_over_seeds(records, f"series {name}", model, key) for name in SERIES]
    return None if None in values else float(np.mean(values))


def figures(records):
    """Return a list of figures for each group that something has been measured of."""
    found = {group: [] for group in GROUPS}

    def add(group, name, value, target=None):
        if value is not None:
            found[group].append(figure(name, value, target))

    _add_accuracy(records, add)
    for name, target in (
        ("primal", ">= 0.9"), ("weights not of the data", "<= 0.56"), ("none", "<= 0.56"),
        ("softmax", None), ("linear", None),
    ):  # fmt: skip
        add("meeting", f"cross-token XOR, 16 x 3: {name}", mean_over_seeds(records, "xor", name),
            target)  # fmt: skip
    hard = mean_over_seeds(records, "hard_xor", "primal")
    add("meeting", "cross-token XOR, 64 x 23: primal", hard, ">= 0.85")
    _add_speed(records, add)
    _add_tables(records, add)
    _add_uncertainty(records, add)
    shares = [
        mean_over_seeds(records, "spectrum", f"share of 5, {k}") for k in ("primal", "softmax")
    ]
    if None not in shares:
        add("spectrum", "share of the 5 largest singular values, last layer primal", shares[0])
        add("spectrum", "the same above that of softmax", shares[0] - shares[1], ">= 0.1")
        add("spectrum", "distance of e and r from the leading singular vectors (0 to 1)",
            mean_over_seeds(records, "spectrum", "residual"))  # fmt: skip
    return {group: entries for group, entries in found.items() if entries}


def _add_accuracy(records, add):
    means = {model: mean_over_sets(records, model) for model in MODELS}
    if None in means.values():
        return
    points = {model: 100 * (means["primal"] - mean) for model, mean in means.items()}
    add("accuracy", "mean accuracy over the five sets", means["primal"])
    for model, target in (("softmax", ">= -0.5"), ("none", ">= -0.5"),
                          ("trees", ">= 5"), ("minirocket", ">= -3"), ("ridge", None)):  # fmt: skip
        add("accuracy", f"points above {model}", points[model], target)
    add("accuracy", "points above minirocket (beyond)", points["minirocket"], ">= 0")
    vowels = mean_over_seeds(records, "series JapaneseVowels", "primal", "accuracy")
    add("accuracy", "JapaneseVowels: accuracy", vowels, ">= 0.975")
    add("accuracy", "mean expected calibration error", mean_over_sets(records, "primal", "ece"))
    total = len(SERIES) * mean_over_sets(records, "primal", "cpu_s")
    add("accuracy", "CPU seconds of the five fits", total, "<= 300")


def _add_speed(records, add):
    speed = numbers_of(records, "speed")
    if speed:
        times = speed[0]

        def ratio(what, over, size):
            return times[f"{what} {over} {size}"] / times[f"{what} primal {size}"]

        for what, targets in (
            ("core", (None, ">= 40", ">= 120")),
            ("train", (None, ">= 12", ">= 45")),
        ):
            words = {"core": "core of attention", "train": "training step of a layer"}[what]
            for size, target in zip(SIZES, targets, strict=True):
                add("speed", f"{words}, {size:,} tokens: times faster than softmax",
                    ratio(what, "softmax", size), target)  # fmt: skip
            for size in SIZES:
                add("speed", f"{words}, {size:,} tokens: time over linear attention's",
                    1 / ratio(what, "linear", size), "<= 1.15")  # fmt: skip
            logs = [np.log(times[f"{what} primal {size}"]) for size in SIZES]
            add("speed", f"{words}: slope of log time over log tokens",
                np.polyfit(np.log(SIZES), logs, 1)[0], "<= 1.1")  # fmt: skip
    for kind, target in (("primal", "<= 90"), ("softmax", None), ("linear", None)):
        add("speed", f"training step, 16,384 tokens: MB over a small one, {kind}",
            mean_over_seeds(records, "memory", f"{kind} 16384"), target)  # fmt: skip
    fits = [mean_over_seeds(records, "whole_fit", kind) for kind in ("primal", "softmax")]
    if None not in fits:
        add("speed", "fit of 64 series x 4,096 steps: times faster than with softmax",
            fits[1] / fits[0], ">= 8")  # fmt: skip


def _add_tables(records, add):
    name = "small_tables"
    if numbers_of(records, name):
        ours, ridge = (mean_over_seeds(records, name, f"diabetes {m}") for m in ("primal", "ridge"))
        add("tables", f"diabetes: R2 above ridge's ({ridge:.3f})", ours - ridge, ">= -0.02")
        for model, target in (("primal", ">= 0.965"), ("mlp", None)):
            add("tables", f"breast_cancer: accuracy, {model}",
                mean_over_seeds(records, name, f"breast_cancer {model}"), target)  # fmt: skip
    for model, target in (("primal", ">= 0.975"), ("mlp", None)):
        add("tables", f"digits as 64 tokens: accuracy, {model}",
            mean_over_seeds(records, "digits", model), target)  # fmt: skip


def _add_uncertainty(records, add):
    if not numbers_of(records, "uncertainty"):
        return
    for name in ("JapaneseVowels", "RacketSports"):

        def score(kind, key, name=name):
            return mean_over_seeds(records, "uncertainty", f"{name} {kind}", key)

        for key, words in (("log_loss", "log loss"), ("ece", "calibration error")):
            add("uncertainty", f"{name}: {words} over that without the process",
                score("svgp", key) - score("deterministic", key), "<= 0")  # fmt: skip
        add("uncertainty", f"{name}: points of accuracy above it",
            100 * (score("svgp", "accuracy") - score("deterministic", "accuracy")))  # fmt: skip
        add("uncertainty", f"{name}: failures found by entropy, area under the ROC curve",
            score("svgp", "failure_auc"), ">= 0.8")  # fmt: skip
        steps = np.diff([score("svgp", f"entropy {level}") for level in (0.0, 0.5, 1.0, 2.0)])
        add("uncertainty", f"{name}: least growth of the entropy by more noise", steps.min(), "> 0")
