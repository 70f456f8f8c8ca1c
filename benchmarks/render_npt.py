"""Turn the results of `bench_npt.py` into lines of text, a page and a picture."""

TITLES = {
    "lookup": "Looking a label up in another row",
    "intervention": "Changing a label by hand",
    "lookup_at_defaults": "Lookup at the estimator's defaults",
    "exactness": "Exactness",
    "leakage": "Nothing is found where there is nothing",
    "leave_one_out": "Leaving rows out",
    "missing": "Missing cells",
    "imputation": "Filling cells",
    "uses_rows": "Does it use its rows?",
    "new_labels": "New labels without training",
    "cell_attention": "Attention between cells",
    "cost_fit": "Cost of a fit",
    "cost_predict": "Cost of predictions",
    "cost_growth": "Growth",
    "cost_adult": "A large table",
    "conformance": "scikit-learn's checks",
}


def number(value):
    """Write a figure with four significant digits, large ones in full."""
    if value is None:
        return "–"
    if value != 0 and abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def target_words(entry):
    """Write the target of a figure, a dash for none."""
    text = entry.get("target", "–")
    if text[:2] in ("<=", ">="):
        text = f"{'≤' if text[0] == '<' else '≥'} {number(float(text[3:]))}"
    return text


def verdict(entry):
    """Tell whether a target is reached; nothing without a target."""
    return {True: "reached", False: "MISSED"}[entry["reached"]] if "target" in entry else ""


def as_text(entry):
    """Write an experiment's figures as lines for a terminal."""
    if "error" in entry:
        return f"  broke down: {entry['error']}"
    lines = [
        f"  {number(f['value']):>9}  {target_words(f):>12}  {verdict(f):8} {f['name']}"
        for f in entry["figures"]
    ]
    return "\n".join([*lines, f"  {entry['cpu_s']} CPU s"])


def missed(results):
    """List (experiment, figure) of every target that was missed."""
    return [
        (name, f)
        for name, entry in results["experiments"].items()
        for f in entry.get("figures", [])
        if f.get("reached") is False
    ]


def _grid(rows):
    lines = [".. list-table::", "   :header-rows: 1", "   :class: benchmark", ""]
    for row in [["figure", "measured", "target", ""], *rows]:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}".rstrip() for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def _heading(text, mark):
    return f"{text}\n{mark * len(text)}\n"


def page(results):
    """Write the documentation page."""
    experiments = results["experiments"]
    judged = [
        f for entry in experiments.values() for f in entry.get("figures", []) if "target" in f
    ]
    lost = missed(results)
    out = [
        _heading("What NPT is held to", "="),
        ".. This page is written by ``python benchmarks/bench_npt.py --render``;\n"
        "   its numbers come from ``benchmarks/results/npt.json``.\n",
        "The properties that make NPT what it is, each measured beside a target set before. How "
        "it does on real tables beside its peers is told in :doc:`tabular`.\n",
        f"{len(judged) - len(lost)} of {len(judged)} targets are reached."
        + (" Missed:\n" if lost else "\n"),
    ]
    if lost:
        out.append(
            "\n".join(
                f"- {TITLES[name]}: {f['name']}: {number(f['value'])} (target {target_words(f)})"
                for name, f in lost
            )
            + "\n"
        )
    out.append(
        ".. image:: npt.png\n   :alt: Predictions that follow a changed label, loss against "
        "missing cells, and cost against rows and columns.\n"
    )
    for name, entry in experiments.items():
        out.append(_heading(TITLES[name], "-"))
        out.append(entry["says"] + "\n")
        if "error" in entry:
            out.append(f"**The experiment broke down**: ``{entry['error']}``\n")
            continue
        out.append(f"Configuration: ``{entry['configuration']}``.\n")
        out += [note + "\n" for note in entry["notes"]]
        rows = []
        for f in entry["figures"]:
            word = verdict(f)
            word = "**missed**" if word == "MISSED" else word
            rows.append([f["name"], number(f["value"]), target_words(f), word])
        out.append(_grid(rows))
        seeds = ", ".join(map(str, entry["seeds"])) or "none"
        out.append(f"Seeds: {seeds}. {entry['cpu_s']:.0f} CPU seconds in all.\n")
    out.append(_heading("How it was run", "-"))
    out.append("One thread. " + " ".join(_machines(experiments)) + "\n")
    commands = dict.fromkeys(entry["command"] for entry in experiments.values())
    out.append("::\n\n" + "\n".join(f"   {command}" for command in commands) + "\n")
    return "\n".join(out)


def _machines(experiments):
    """Describe each machine and set of versions that results come from, once."""
    words = []
    for entry in experiments.values():
        machine = entry["machine"]
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        words.append(
            f"Machine: {machine['cpu']}, {machine['n_cores']} cores, {machine['system']}. "
            f"Versions: {versions}."
        )
    return list(dict.fromkeys(words))


def write_page(results, root):
    """Write page and picture into the docs."""
    from draw_npt import draw

    folder = root / "docs" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "npt.rst").write_text(page(results))
    draw(results, folder / "npt.png")
