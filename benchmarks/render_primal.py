"""Turn the results of `bench_primal.py` into a page."""

from pages import closing, figure_table, grid, heading, number, opening
from primal_data import SERIES
from primal_experiments import EXPERIMENTS
from primal_figures import GROUPS, MODELS, figures, mean_over_seeds, mean_over_sets, numbers_of

LABELS = {
    "primal": "**primal**",
    "softmax": "softmax",
    "none": "no attention",
    "minirocket": "MiniRocket",
    "trees": "ExtraTrees, flat",
    "ridge": "ridge, flat",
}
SIZES = {
    "JapaneseVowels": "270 / 370, 12 x 7-29, 9 classes",
    "BasicMotions": "40 / 40, 6 x 100, 4 classes",
    "RacketSports": "151 / 152, 6 x 30, 4 classes",
    "Libras": "180 / 180, 2 x 45, 15 classes",
    "ERing": "30 / 270, 4 x 65, 6 classes",
}


def _scores(records, key):
    rows = []
    without = () if key in ("accuracy", "cpu_s") else ("minirocket", "ridge")
    models = [m for m in MODELS if m not in without]
    for name in SERIES:
        n = len(numbers_of(records, f"series {name}"))
        cells = [mean_over_seeds(records, f"series {name}", m, key) for m in models]
        cells = [number(value) if n else "not run" for value in cells]
        rows.append([f"{name} ({SIZES[name]})", n, *cells])
    means = [mean_over_sets(records, m, key) for m in models]
    rows.append(["mean", "", *[number(value) for value in means]])
    return grid(["set (train / test)", "seeds", *[LABELS[m] for m in models]], rows)


def page(results):
    """Write the documentation page."""
    records = results["records"]
    found = figures(records)
    unmeasured = [name for name in EXPERIMENTS if not numbers_of(records, name)]
    says = (
        ":class:`~sklearn_selfattn.PrimalAttentionClassifier` at its defaults beside named peers, "
        "and beside itself with other attention and with none: targets were set before. The guide "
        "is :ref:`primal`."
    )
    title = "Primal attention: what it is held to"
    out = opening("primal", title, says, found, unmeasured, GROUPS)
    for group, entries in found.items():
        out.append(heading(GROUPS[group], "-"))
        out.append(figure_table(entries))
    for key, title in (
        ("accuracy", "Accuracy, set by set"), ("log_loss", "Log loss"),
        ("ece", "Expected calibration error"), ("cpu_s", "CPU seconds of a fit"),
    ):  # fmt: skip
        out += [heading(title, "-"), _scores(records, key)]
    how = (
        "Official splits: fitted on the training part, scored once on the test part; means over "
        "seeds. The test part chooses nothing: no epoch, no parameter. One configuration, the "
        "defaults, for all sets; it was chosen by cross-validation on training parts. One thread, "
        "one process for all models of a set. MiniRocket is aeon's at its defaults (with ridge: no "
        "probabilities), on zero-padded series where lengths differ, compiled before it is timed; "
        "ExtraTrees and ridge see the steps side by side. Times of attention are the least of many "
        "calls taken in turns, width 64, 2 heads, rank 20; the core has queries, keys and values "
        "given, softmax is PyTorch's own kernel. The machine was shared: read ratios, not "
        "seconds.\n"
    )
    return "\n".join([*out, *closing(results, [how])])
