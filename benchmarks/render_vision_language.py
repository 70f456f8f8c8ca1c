"""Turn the results of `bench_vision_language.py` into a page."""

from pages import closing, figure_table, heading, opening
from vision_language_experiments import EXPERIMENTS
from vision_language_figures import GROUPS, figures, numbers_of


def page(results):
    """Write the documentation page."""
    records = results["records"]
    found = figures(records)
    unmeasured = [name for name in EXPERIMENTS if not numbers_of(records, name)]
    says = (
        ":class:`~sklearn_selfattn.VisualParsingClassifier` at its defaults beside named peers, "
        "and beside itself without cross attention: targets were set before. The guide is "
        ":ref:`vision_language`."
    )
    title = "Visual parsing: what it is held to"
    out = opening("vision_language", title, says, found, unmeasured, GROUPS)
    for group, entries in found.items():
        out += [heading(GROUPS[group], "-"), figure_table(entries)]
    how = (
        "easy-VQA: 12,000 questions of the training part, pictures at 32 x 32 pixels, all 9,673 "
        "test questions. Scenes: 20,000 from seven tenths of the pictures of digits, 3,000 from "
        "the others. Features of the peers: 60 principal components of the pixels, counts of "
        "words and of pairs of words. Pretraining: the hybrid backbone, 4,000 pairs without "
        "labels, then 500 of them with. Defaults were chosen on scenes from parts of the "
        "training pictures. One thread.\n"
    )
    return "\n".join([*out, *closing(results, [how])])
