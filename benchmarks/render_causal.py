"""Turn the results of `bench_causal.py` into a page."""

from causal_experiments import CELLS, EXPERIMENTS
from causal_figures import GROUPS, figures, mean, numbers_of, seeds_of
from pages import closing, figure_table, grid, heading, number, opening

SEARCHES = ("flights", "sentiment")
_COLUMNS = {
    "found": "explained",
    "size": "size",
    "smallest": "smallest",
    "calls": "calls",
    "paired size": "size, same rows",
    "paired calls": "calls, same rows",
    "paired rank": "rank, same rows",
}


def _explanations(records, name):
    """Write the table of all explainers."""
    first = numbers_of(records, name)[0]
    rows = []
    for model, values in first.items():
        if isinstance(values, dict):
            cells = [number(mean(records, name, model, key)) for key in _COLUMNS]
            rows.append([f"**{model}**" if model.startswith("CLEANN") else model, *cells])
    return grid(["explainer", *_COLUMNS.values()], rows)


def _tables(records):
    """Write finite samples, method by method."""
    rows = []
    for cell in CELLS:
        name = f"finite {cell}"
        if not seeds_of(records, name):
            rows.append([cell, *["not run"] * 6])
            continue
        for method in numbers_of(records, name)[0]:
            keys = ("f1", "exact", "marks off", "tests", "cpu_s")
            cells = [number(mean(records, name, method, key)) for key in keys]
            rows.append([cell, method.replace("icd", "ICD").replace("fci", "FCI (ours)"), *cells])
    head = ["table", "method", "skeleton F1", "all right", "marks off", "tests", "CPU s"]
    return grid(head, rows)


def _story(records, name):
    """Tell in words what the causal order is worth."""

    def value(model, key):
        return mean(records, name, model, key)

    own, rest = value("CLEANN", "paired calls"), value("CLEANN with fallback", "paired calls")
    lines = [
        f"On the rows that CLEANN explains, it asks the model {number(own)} times on average "
        f"({number(rest)} with fallback), subsets by attention "
        f"{number(value('subsets by attention', 'paired calls'))}, by recency "
        f"{number(value('subsets by recency', 'paired calls'))}, in random order "
        f"{number(value('subsets in random order', 'paired calls'))}.",
        f"Over all rows, with fallback, {number(value('CLEANN with fallback', 'calls'))} against "
        f"{number(value('subsets by attention', 'calls'))} by attention: that difference is what "
        "the causal order adds to attention.",
        f"Without fallback, CLEANN explains {number(value('CLEANN', 'found'))} of the rows; the "
        f"exhaustive search {number(value('subsets by attention', 'found'))}.",
    ]
    return " ".join(lines) + "\n"


def page(results):
    """Write the documentation page."""
    records = results["records"]
    found = figures(records)
    unmeasured = [name for name in EXPERIMENTS if not seeds_of(records, name)]
    says = (
        "Graphs against all graphs with the same independences and beside causal-learn; "
        "explanations beside searches without a graph. Targets were set before. The guide is "
        ":ref:`causal`."
    )
    title = "Causal reading of attention: what it is held to"
    out = opening("causal", title, says, found, unmeasured, GROUPS)
    for group, entries in found.items():
        out.append(heading(GROUPS[group], "-"))
        out.append(figure_table(entries))
        if group in SEARCHES:
            out += [_explanations(records, group), _story(records, group)]
        if group == "finite":
            out.append(_tables(records))
    how = []
    how.append(
        "Means over seeds; one thread. Graphs are random, with hidden nodes; the truth is told by "
        "d-separation and brute force, without the rules of the package. causal-learn's FCI at its "
        "defaults gets the same p-values, and its distinct tests are counted. 1e9 samples still "
        "take a partial correlation below 0.00016 for none; where effects almost cancel, that is "
        "wrong, and 1e12 tells.\n"
    )
    how.append(
        "The explained models are small Transformers (two layers, two heads, width 64) trained for "
        "this benchmark with tokens left out at random: one fills in a plane's next destination "
        "after its last 14 (planes not seen in training), one tells good from bad reviews of up to "
        "20 words (test reviews that it gets right by a margin of 0.5). Sets have up to three "
        "tokens, but cumulative ones as many as it takes. *Calls* are sets tried until the first "
        "success, or all where there is none; leave-one-out also counts the calls of its ranking. "
        "*CLEANN* stops where its graphs do (``fallback=None``), with head_dim as the sample size "
        "or, as published, hidden_size. *Smallest* is the share of the found sets as small "
        "as an exhaustive search's. *Same rows* are those that CLEANN explains without fallback; "
        "sizes and ranks are means over those of them that the other explains, too. *Rank* is the "
        "place of the new outcome among the old ones.\n"
    )
    for name in SEARCHES:
        if seeds_of(records, name):
            hits = [n["hits"] for n in numbers_of(records, name)]
            words = f"Accuracy of the {name} model: {number(sum(hits) / len(hits))}"
            if name == "flights":
                common = [n["hits of the commonest"] for n in numbers_of(records, name)]
                words += (
                    f"; of the plane's commonest destination: {number(sum(common) / len(common))}"
                )
            how.append(words + ".\n")
    return "\n".join([*out, *closing(results, how)])
