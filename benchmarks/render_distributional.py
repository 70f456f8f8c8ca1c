"""Turn the results of `bench_distributional.py` into a page."""

from pages import heading, opening
from render_npt import experiment, figures_of, how_it_was_run

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


def page(results):
    """Write the documentation page."""
    experiments = results["experiments"]
    out = opening(
        "distributional",
        "Distributional projection beside LSA and word2vec",
        "Vectors of documents and of words in context, all from the corpus at hand. **Attention "
        "helps where a word's own context is asked for; pooled over a document it blurs**, so "
        "documents are shown with it and without. Full tf-idf, which keeps a column for every "
        "word, stands beside the vectors of width 100.",
        figures_of(experiments),
        [],
        TITLES,
    )
    for name, entry in experiments.items():
        out += [heading(TITLES[name], "-"), *experiment(entry)]
        if "error" not in entry:
            out.append(f"{entry['cpu_s']:.0f} CPU seconds in all.\n")
    return "\n".join([*out, *how_it_was_run(experiments)])
