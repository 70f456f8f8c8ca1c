"""Turn the results of `bench_time_events.py` into a page."""

from render_npt import number, target_words, verdict
from time_events_experiments import EXPERIMENTS
from time_events_figures import GROUPS, figures, seeds_of


def _heading(text, mark):
    return f"{text}\n{mark * len(text)}\n"


def _grid(head, rows):
    lines = [".. list-table::", "   :header-rows: 1", "   :class: benchmark", ""]
    for row in [head, *rows]:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}".rstrip() for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def page(results):
    """Write the documentation page."""
    records = results["records"]
    found = figures(records)
    judged = [(group, f) for group, entries in found.items() for f in entries if "target" in f]
    lost = [(group, f) for group, f in judged if not f["reached"]]
    out = [
        _heading("Continuous time: what it is held to", "="),
        ".. This page is written by ``python benchmarks/bench_time_events.py --render``;\n"
        "   its numbers come from ``benchmarks/results/time_events.json``.\n",
        ":class:`~sklearn_selfattn.TimeEventRegressor` and "
        ":class:`~sklearn_selfattn.TimeEventClassifier` beside named peers, and beside themselves "
        "without time: targets were set before. The guide is :ref:`time_events`.\n",
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
        out.append(f"**Not measured yet**, so nothing is claimed: {'; '.join(missing)}.\n")
    for group, entries in found.items():
        out.append(_heading(GROUPS[group], "-"))
        rows = []
        for f in entries:
            word = verdict(f)
            rows.append([f["name"], number(f["value"]), target_words(f),
                         "**missed**" if word == "MISSED" else word])  # fmt: skip
        out.append(_grid(["figure", "measured", "target", ""], rows))
    out.append(_heading("How it was run", "-"))
    out.append(
        "Means over seeds; a seed is another simulation or another split, by plane and by user, "
        "and every model sees the same rows. One thread, on a machine that others used as well: "
        "CPU seconds are inflated, ratios less so. Estimators are at their defaults, except for "
        "flights (``n_layers=2, dropout=0.2, max_epochs=12``), badges (``dropout=0.2, "
        "max_epochs=12``) and intensive care (all events of a stay, ``d_model=64, n_heads=8, "
        "dropout=0.3, weight_decay=0.01, batch_size=64, learning_rate=2e-3, max_epochs=12``). "
        "Depth and dropout for the logs were set on a part of the training planes; those for "
        "intensive care were not searched for. A first run of it saw the last 512 events only, "
        "which cut off the age of long stays. HistGradientBoosting stops early, with up to 600 "
        "iterations at a rate of 0.05 for times and 300 for classes. For flights it is given 16 "
        "gaps, the last five destinations, four distances and delays, hour, weekday and day of "
        "the year. Badges: 1,500 of 4,468 users, a fifth held out, and the two protocols "
        "(history only; time of the target given) are kept apart. Intensive care: a seed is a "
        "fold of five. The classical peer of the Hawkes process is a fit by maximum likelihood "
        "with scipy, in place of the package tick.\n"
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
