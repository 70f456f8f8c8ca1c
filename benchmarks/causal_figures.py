"""What the raw numbers of the causal experiments say, beside the targets."""

import numpy as np
from causal_experiments import CELLS
from npt_figures import figure

GROUPS = {
    "exact": "With a perfect test",
    "attention": "Attention whose graph is known",
    "finite": "With finite samples, beside causal-learn's FCI",
    "tests": "Tests asked with a perfect test",
    "flights": "Next destinations of planes",
    "sentiment": "Reviews",
    "speed": "Speed",
    "hugging_face": "Hugging Face",
}


def numbers_of(records, name):
    """List the numbers of an experiment, one entry for each seed."""
    return [r["numbers"] for r in records if r["experiment"] == name]


def total(records, name, key):
    """Add one number over the seeds of an experiment."""
    return sum(numbers[key] for numbers in numbers_of(records, name))


def mean(records, name, model, key):
    """Average one number over the seeds, where it is there; None where there is none."""
    found = [numbers[model][key] for numbers in numbers_of(records, name)]
    found = [value for value in found if value is not None]
    return float(np.mean(found)) if found else None


def seeds_of(records, name):
    """List the seeds with which an experiment has run."""
    return sorted(r["seed"] for r in records if r["experiment"] == name)


def figures(records):
    """Return a list of figures for each group that something has been measured of."""
    found = {group: [] for group in GROUPS}

    def add(group, name, value, target=None):
        if value is not None:
            found[group].append(figure(name, value, target))

    _add_graphs(records, add)
    _add_finite(records, add)
    for name in ("flights", "sentiment"):
        if seeds_of(records, name):
            _add_explanations(records, name, add)
    _add_cost(records, add)
    return {group: entries for group, entries in found.items() if entries}


def _add_graphs(records, add):
    for name, words in (
        ("exact", "5 observed, 0 to 3 hidden nodes"),
        ("dense", "7 observed, dense"),
        ("selection", "5 nodes, rows selected"),
    ):
        if not seeds_of(records, name):
            continue
        n = total(records, name, "graphs")
        for key in numbers_of(records, name)[0]:
            if key in ("graphs", "edges", "with undirected edges"):
                continue
            target = None if key == "causal-learn" else f">= {n}"
            words_of = {"icd": "ICD", "fci": "FCI"}.get(key, key.replace("icd", "ICD"))
            value = total(records, name, key)
            add("exact", f"{words}: graphs of {n} all right, {words_of}", value, target)
    if seeds_of(records, "soundness"):
        n = 20 * len(seeds_of(records, "soundness"))
        for key in ("icd", "icd, two conditioned on", "fci", "causal-learn"):
            add("exact", f"8 to 15 nodes, {n} graphs: wrong marks, {key.replace('icd', 'ICD')}",
                total(records, "soundness", key),
                None if key == "causal-learn" else "<= 0")  # fmt: skip
    if seeds_of(records, "known_attention"):
        n = total(records, "known_attention", "matrices")
        for key in ("n_samples 1e9", "n_samples 1e12"):
            add("attention", f"graphs of {n} all right, {key}",
                total(records, "known_attention", key), f">= {n}")  # fmt: skip
        add("attention", "the same with hidden tokens dropped, not marginalised",
            total(records, "known_attention", "hidden dropped"))  # fmt: skip


def _add_finite(records, add):
    peer = "causal-learn"
    for cell, (n_nodes, n_rows) in CELLS.items():
        name = f"finite {cell}"
        if not seeds_of(records, name):
            continue

        def gain(key, name=name):
            return round(mean(records, name, "icd", key) - mean(records, name, peer, key), 12)

        target = "> 0" if n_rows == 5000 else ">= -0.01"
        add("finite", f"{cell}: skeleton F1 above FCI's", gain("f1"), target)
        add("finite", f"{cell}: share of graphs all right, above FCI's", gain("exact"), ">= 0")
        ratio = mean(records, name, "icd", "tests") / mean(records, name, peer, "tests")
        add("finite", f"{cell}: tests over FCI's", ratio,
            "<= 0.75" if n_nodes == 10 else "<= 0.6")  # fmt: skip
    for n, target in (("8", "<= 0.75"), ("12", "<= 0.45"), ("15", "<= 0.45")):
        if seeds_of(records, "oracle_tests"):
            ratio = mean(records, "oracle_tests", n, "icd") / mean(
                records, "oracle_tests", n, "causal-learn"
            )
            add("tests", f"{n} nodes: tests over FCI's", ratio, target)


def _add_explanations(records, name, add):
    def value(model, key):
        return mean(records, name, model, key)

    cumulative = value("cumulative attention", "paired size")
    add(name, "mean size of CLEANN's sets over cumulative attention's, same rows",
        value("CLEANN", "paired size") / cumulative, "<= 0.5")  # fmt: skip
    if name == "sentiment":
        add(name, "the same over cumulative integrated gradients'",
            value("CLEANN", "paired size")
            / value("cumulative integrated gradients", "paired size"), "<= 0.5")  # fmt: skip
    add(name, "share of CLEANN's sets that are smallest", value("CLEANN", "smallest"), ">= 0.98")
    add(name, "the same with fallback", value("CLEANN with fallback", "smallest"), ">= 0.98")
    add(name, "share explained with fallback, less that of an exhaustive search",
        value("CLEANN with fallback", "found") - value("subsets by attention", "found"),
        ">= 0")  # fmt: skip
    if name == "flights":
        add(name, "mean replacement rank over cumulative attention's, same rows",
            value("CLEANN", "paired rank") / value("cumulative attention", "paired rank"),
            "<= 0.75")  # fmt: skip
    for model, words in (
        ("CLEANN", "CLEANN's"), ("CLEANN with fallback", "CLEANN's with fallback"),
    ):  # fmt: skip
        for order, target in (("in random order", "<= 0.7"), ("by attention", None),
                              ("by recency", None)):  # fmt: skip
            ratio = value(model, "paired calls") / value(f"subsets {order}", "paired calls")
            add(
                name, f"{words} model calls over those of subsets {order}, same rows", ratio, target
            )
    add(name, "share of rows that CLEANN explains", value("CLEANN", "found"))
    add(name, "share of rows that an exhaustive search explains",
        value("subsets by attention", "found"))  # fmt: skip


def _add_cost(records, add):
    if seeds_of(records, "speed"):
        for key, target in (
            ("8 tokens, n_samples 32", None), ("16 tokens, n_samples 32", "<= 0.05"),
            ("16 tokens, n_samples 768", "<= 0.05"), ("24 tokens, n_samples 64", None),
            ("48 tokens, n_samples 64", "<= 0.3"), ("48 tokens, n_samples 768", "<= 0.3"),
            ("96 tokens, n_samples 64", None),
        ):  # fmt: skip
            edges = mean(records, "speed", key, "edges")
            peak = mean(records, "speed", key, "peak_mb")
            add("speed", f"{key} ({edges:.0f} edges, {peak:.2g} MB): CPU seconds of a graph",
                mean(records, "speed", key, "cpu_s"), target)  # fmt: skip
    if seeds_of(records, "hugging_face"):
        add("hugging_face", "graphs of the real tokens only", total(records, "hugging_face",
            "right sizes"), ">= 1")  # fmt: skip
        add("hugging_face", "a model without eager attention is refused",
            total(records, "hugging_face", "sdpa refused"), ">= 1")  # fmt: skip
