"""What the pages of the benchmarks share: headings, tables, targets reached and missed."""


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


def heading(text, mark):
    """Underline a line."""
    return f"{text}\n{mark * len(text)}\n"


def grid(head, rows):
    """Write a table."""
    lines = [".. list-table::", "   :header-rows: 1", "   :class: benchmark", ""]
    for row in [head, *rows]:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}".rstrip() for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def opening(room, title, says, found, unmeasured, groups=None):
    """Write what a page begins with: what it is, targets missed, experiments not run.

    Parameters
    ----------
    room, title, says : str
        The room's name, the page's title, and what stands below it.
    found : dict of str to list of dict
        Figures of each group.
    unmeasured : list of str
        Experiments without results.
    groups : dict of str to str, default=None
        Titles of the groups; None where the groups go by their titles.

    Returns
    -------
    list of str
        Paragraphs.
    """
    judged = [(group, f) for group, entries in found.items() for f in entries if "target" in f]
    lost = [(group, f) for group, f in judged if not f["reached"]]
    out = [
        heading(title, "="),
        f".. This page is written by ``python benchmarks/bench_{room}.py --render``;\n"
        f"   its numbers come from ``benchmarks/results/{room}.json``.\n",
        says + "\n",
        f"{len(judged) - len(lost)} of {len(judged)} targets are reached."
        + (" Missed:\n" if lost else "\n"),
    ]
    if lost:
        titles = groups or {group: group for group in found}
        lines = [
            f"- {titles[group]}: {f['name']}: {number(f['value'])} (target {target_words(f)})"
            for group, f in lost
        ]
        out.append("\n".join(lines) + "\n")
    if unmeasured:
        out.append(f"**Not measured yet**, so nothing is claimed: {'; '.join(unmeasured)}.\n")
    return out


def figure_table(entries):
    """Write the figures of a group beside their targets."""
    rows = [
        [f["name"], number(f["value"]), target_words(f), verdict(f).replace("MISSED", "**missed**")]
        for f in entries
    ]
    return grid(["figure", "measured", "target", ""], rows)


def closing(results, how):
    """Write how it was run: in words, how often, on what machine, by which commands."""
    records = results["records"]
    runs = {}
    for record in records:
        runs[record["experiment"]] = runs.get(record["experiment"], 0) + 1
    commands = "\n".join(f"   {command}" for command in results["commands"])
    return [
        heading("How it was run", "-"),
        *how,
        "Runs of each experiment: "
        + ", ".join(f"{name}: {count}" for name, count in runs.items())
        + ".\n",
        " ".join(machine_words(results["machines"])) + "\n",
        f"::\n\n{commands}\n",
    ]


def machine_words(machines):
    """Describe each machine and set of versions that results come from, once."""
    words = []
    for machine in machines:
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        words.append(
            f"Machine: {machine['cpu']}, {machine['n_cores']} cores, {machine['system']}. "
            f"Versions: {versions}."
        )
    return list(dict.fromkeys(words))
