"""Turn the results of `bench_npt.py` into lines of text, a page and a picture."""

from pages import figure_table, heading, machine_words, number, opening, target_words, verdict

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


def as_text(entry):
    """Write an experiment's figures as lines for a terminal."""
    if "error" in entry:
        return f"  broke down: {entry['error']}"
    lines = [
        f"  {number(f['value']):>9}  {target_words(f):>12}  {verdict(f):8} {f['name']}"
        for f in entry["figures"]
    ]
    return "\n".join([*lines, f"  {entry['cpu_s']} CPU s"])


def figures_of(experiments):
    """Return the figures of each experiment."""
    return {name: entry.get("figures", []) for name, entry in experiments.items()}


def experiment(entry):
    """Write what an experiment is and what it found."""
    if "error" in entry:
        return [f"{entry['says']}\n", f"**The experiment broke down**: ``{entry['error']}``\n"]
    return [
        f"{entry['says']}\n",
        f"Configuration: ``{entry['configuration']}``.\n",
        *(f"{note}\n" for note in entry["notes"]),
        figure_table(entry["figures"]),
    ]


def how_it_was_run(experiments):
    """Write machines and commands."""
    commands = dict.fromkeys(entry["command"] for entry in experiments.values())
    return [
        heading("How it was run", "-"),
        "One thread. " + " ".join(machine_words(e["machine"] for e in experiments.values())) + "\n",
        "::\n\n" + "\n".join(f"   {command}" for command in commands) + "\n",
    ]


def page(results):
    """Write the documentation page."""
    experiments = results["experiments"]
    out = opening(
        "npt",
        "What NPT is held to",
        "The properties that make NPT what it is, each measured beside a target set before. How "
        "it does on real tables beside its peers is told in :doc:`tabular`.",
        figures_of(experiments),
        [],
        TITLES,
    )
    out.append(
        ".. image:: npt.png\n   :alt: Predictions that follow a changed label, loss against "
        "missing cells, and cost against rows and columns.\n"
    )
    for name, entry in experiments.items():
        out += [heading(TITLES[name], "-"), *experiment(entry)]
        if "error" not in entry:
            seeds = ", ".join(map(str, entry["seeds"])) or "none"
            out.append(f"Seeds: {seeds}. {entry['cpu_s']:.0f} CPU seconds in all.\n")
    return "\n".join([*out, *how_it_was_run(experiments)])


def write_page(results, root):
    """Write page and picture into the docs."""
    from draw_npt import draw

    folder = root / "docs" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "npt.rst").write_text(page(results))
    draw(results, folder / "npt.png")
