"""What the raw numbers of the vision-language experiments say, beside the targets."""

import numpy as np
from npt_figures import figure
from vision_language_experiments import DEFAULT, PRETRAINING

from sklearn_selfattn.vision_language.module import BACKBONES

GROUPS = {
    "vqa": "Questions about pictures (easy-VQA)",
    "scenes": "Digit scenes",
    "backbones": "Backbones",
    "pretraining": "Pretraining",
    "matching": "Sentences about unseen combinations",
    "cost": "Cost",
}
PEERS = {
    "hgb": "HistGradientBoosting, both side by side", "mlp": "MLP, both side by side",
    "logistic": "logistic regression, both side by side",
    "product": "convolutions times bag of words", "question only": "the question alone",
}  # fmt: skip


def numbers_of(records, name):
    """Return the raw numbers of an experiment, seed by seed."""
    return [r["numbers"] for r in records if r["experiment"] == name]


def mean(records, name, *keys):
    """Average one number over the seeds of an experiment; None where there are none."""
    found = numbers_of(records, name)
    for key in keys:
        found = [numbers[key] for numbers in found]
    found = [value for value in found if value is not None]
    return np.mean(found, axis=0).tolist() if found else None


def figures(records):
    """Return a list of figures for each group that something has been measured of."""
    found = {group: [] for group in GROUPS}

    def add(group, name, value, target=None):
        if value is not None:
            found[group].append(figure(name, value, target))

    add("vqa", "accuracy", mean(records, "easy-VQA", "accuracy"), ">= 0.95")
    add("vqa", "accuracy (ambition)", mean(records, "easy-VQA", "accuracy"), ">= 0.98")
    add("vqa", "accuracy of yes and no", mean(records, "easy-VQA", "yes/no"), ">= 0.95")
    add("vqa", "fit, CPU s", mean(records, "easy-VQA", "cpu_s"), "<= 300")
    for peer, label in PEERS.items():
        add("vqa", f"{label}: accuracy", mean(records, "peers easy-VQA", peer, "accuracy"))
    add("vqa", "cross attention set to zero: accuracy",
        mean(records, "easy-VQA", "without cross", "accuracy"))  # fmt: skip
    add("scenes", "accuracy", mean(records, "scenes", "accuracy"), ">= 0.9")
    for kind, target in (("exist", None), ("count", None), ("relation", ">= 0.7")):
        add("scenes", f"accuracy, {kind}", mean(records, "scenes", kind), target)
    add("scenes", "fit, CPU s", mean(records, "scenes", "cpu_s"), "<= 300")
    for peer, label in PEERS.items():
        for kind in ("accuracy", "relation"):
            add("scenes", f"{label}: {kind}", mean(records, "peers scenes", peer, kind))
    for kind in ("accuracy", "relation"):
        add("scenes", f"cross attention set to zero: {kind}",
            mean(records, "scenes", "without cross", kind))  # fmt: skip
    add("scenes", "right answers for which [CLS] looks most at the cell asked for",
        mean(records, "scenes", "right cell"), ">= 0.7")  # fmt: skip
    for layer, value in enumerate(mean(records, "scenes", "relative") or (), start=1):
        add("scenes", f"flow over chance, layer {layer}", value)
    _add_backbones(records, add)
    _add_pretraining(records, add)
    add("matching", "accuracy", mean(records, "matching", "ours"), ">= 0.85")
    first = numbers_of(records, "matching")[:1]
    for peer, label in PEERS.items():
        if first and peer in first[0]:
            add("matching", f"{label}: accuracy", first[0][peer])
    times = [mean(records, "speed", name) for name in ("encoder", "ours")]
    if None not in times:
        add("cost", "steps of training a second over those of nn.TransformerEncoder",
            times[0] / times[1], ">= 1")  # fmt: skip
    return {group: entries for group, entries in found.items() if entries}


def _add_backbones(records, add):
    relations = {}
    for name in BACKBONES:
        experiment = "scenes" if name == DEFAULT else f"backbone {name}"
        for kind in ("accuracy", "relation"):
            add("backbones", f"{name}: {kind}", mean(records, experiment, kind))
        relations[name] = mean(records, experiment, "relation")
        flow = mean(records, experiment, "relative")
        if flow is not None:
            add("backbones", f"{name}: flow over chance, mean of the layers", float(np.mean(flow)))
    if None not in (relations["hybrid"], relations["cnn"]):
        add("backbones", "hybrid above cnn in relations (the paper's claim, in small)",
            relations["hybrid"] - relations["cnn"], ">= 0")  # fmt: skip


def _add_pretraining(records, add):
    found = {name: mean(records, "pretraining", name) for name in PRETRAINING}
    if None in found.values():
        return
    for name, value in found.items():
        add("pretraining", f"500 labels, {name}: accuracy", value)
    add("pretraining", "MLM + ITM above none", found["MLM + ITM"] - found["none"], ">= 0")
    add("pretraining", "MLM + ITM + MFR above MLM + ITM",
        found["MLM + ITM + MFR"] - found["MLM + ITM"], ">= 0")  # fmt: skip
    add("pretraining", "masks by attention above random masks",
        found["MLM + ITM + MFR"] - found["random masks"], ">= 0")  # fmt: skip
