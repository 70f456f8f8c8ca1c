"""Turn the results of `bench_distributional.py` into a page."""

from render_npt import _grid, _heading, _machines, number, target_words, verdict

TITLES = {
    "exactness": "Exactness",
    "reviews": "Film reviews",
    "news": "News",
    "questions": "Questions",
    "similarity": "Similar sentences",
    "pseudo_words": "Words in context",
    "cost_fit": "Cost of a fit",
    "cost_growth": "Growth",
    "stream": "A corpus in chunks",
}


def missed(results):
    """List (experiment, figure) of every target that was missed."""
    return [
        (name, f)
        for name, entry in results["experiments"].items()
        for f in entry.get("figures", [])
        if f.get("reached") is False
    ]


def page(results):
    """Write the documentation page."""
    experiments = results["experiments"]
    figures = [f for entry in experiments.values() for f in entry.get("figures", [])]
    judged, lost = [f for f in figures if "target" in f], missed(results)
    out = [
        _heading("Distributional projection beside LSA and word2vec", "="),
        ".. This page is written by ``python benchmarks/bench_distributional.py --render``;\n"
        "   its numbers come from ``benchmarks/results/distributional.json``.\n",
        "Vectors of documents and of words in context, all from the corpus at hand. **Attention "
        "helps where a word's own context is asked for; pooled over a document it blurs**, so "
        "documents are shown with it and without. Full tf-idf, which keeps a column for every "
        "word, stands beside the vectors of width 100.\n",
        f"{len(judged) - len(lost)} of {len(judged)} targets are reached."
        + (" Missed:\n" if lost else "\n"),
    ]
    if lost:
        out.append("\n".join(
            f"- {TITLES[name]}: {f['name']}: {number(f['value'])} (target {target_words(f)})"
            for name, f in lost
        ) + "\n")  # fmt: skip
    for name, entry in experiments.items():
        out += [_heading(TITLES[name], "-"), entry["says"] + "\n"]
        if "error" in entry:
            out.append(f"**The experiment broke down**: ``{entry['error']}``\n")
            continue
        out.append(f"Configuration: ``{entry['configuration']}``.\n")
        out += [note + "\n" for note in entry["notes"]]
        rows = [
            [f["name"], number(f["value"]), target_words(f),
             verdict(f).replace("MISSED", "**missed**")]
            for f in entry["figures"]
        ]  # fmt: skip
        out += [_grid(rows), f"{entry['cpu_s']:.0f} CPU seconds in all.\n"]
    out += [_heading("How it was run", "-")]
    out.append("One thread. " + " ".join(_machines(experiments)) + "\n")
    commands = dict.fromkeys(entry["command"] for entry in experiments.values())
    out.append("::\n\n" + "\n".join(f"   {command}" for command in commands) + "\n")
    return "\n".join(out)
