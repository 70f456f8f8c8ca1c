"""Write the first page of the guide, "Which method, when", from the results of all benchmarks.

Examples
--------
::

    python benchmarks/render_which.py
"""

import importlib
import json
from typing import NamedTuple

from experiments import ROOT
from pages import grid, heading
from tabular_peers import LABELS
from tabular_scores import main_set, mean_cost

RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "guide" / "which.rst"
ATTENTION_CALLS = "CLEANN's model calls over those of subsets by attention"
#: Rooms whose results are records, from which ``ROOM_figures`` works the figures out.
WITH_RECORDS = (
    "causal", "depth_width", "primal", "reranking", "time_events", "transport",
    "vision_language",
)  # fmt: skip


class Row(NamedTuple):
    """What somebody has, what to take, and what was measured of it."""

    data: str
    take: str
    cost: str
    beside: str
    name: str = ""
    measured: str = ""


def load(room):
    """Read a results file."""
    return json.loads((RESULTS / f"{room}.json").read_text())


def figures_of(room):
    """Return the figures of a room as (group, figure) pairs."""
    results = load(room)
    if room == "npt_prior":
        return [("scores", figure) for figure in results["figures"]] + [
            ("cost", figure) for figure in results["cost"]["figures"]
        ]
    if room in WITH_RECORDS:
        found = importlib.import_module(f"{room}_figures").figures(results["records"])
        found = found[0] if isinstance(found, tuple) else found
    else:
        found = {name: entry["figures"] for name, entry in results["experiments"].items()}
    return [(group, figure) for group, figures in found.items() for figure in figures]


class Figures:
    """Look figures up by room, group and the beginning of their name."""

    def __init__(self):
        self._known = {}

    def __call__(self, room, group, start):
        """Return a value; there must be one figure, and one only, whose name begins so."""
        if room not in self._known:
            self._known[room] = figures_of(room)
        found = [f for g, f in self._known[room] if g == group and f["name"].startswith(start)]
        found = [f for f in found if f["name"] == start] or found
        if len(found) != 1:
            raise LookupError(f"{room}, {group}: {len(found)} figures begin with {start!r}")
        return found[0]["value"]


class Ranks:
    """Mean ranks and costs of the tabular benchmark."""

    def __init__(self):
        self._results = load("tabular")
        self.main = main_set(self._results)

    def seconds(self, model):
        """CPU seconds to fit, geometric mean over the tables."""
        return mean_cost(self._results, model, "fit_cpu_s")

    def words(self, *models, which="ranking"):
        """Write the mean ranks of some models."""
        ranks = self.main[which]["mean_rank"]
        return ", ".join(
            f"{LABELS[model]} {ranks[model]:.1f}"
            for model in sorted((m for m in models if m in ranks), key=ranks.get)
        )


def tables(value, ranks):
    """Rows for tables."""

    def prior(rows, score, peer):
        start = f"NPT pretrained, {rows} rows: mean {score} less that of {peer}"
        return f"{value('npt_prior', 'scores', start):+.3f}"

    def lookup(start, digits=2):
        return f"{value('npt', 'lookup', start):.{digits}f}"

    def strange(detector):
        return f"{value('transport', 'novelty', f'area under the ROC curve: {detector}'):.2f}"

    adult = value("npt", "cost_adult", "adult: fit, CPU min")
    return [
        Row(
            "A table of a few dozen to 500 rows; nothing to be tuned; probabilities matter",
            ":class:`~sklearn_selfattn.NPTClassifier` or ``NPTRegressor`` as they are, with "
            ":ref:`pretrained weights <npt_pretrained>`",
            f"{value('npt_prior', 'cost', '500 x 20 context and 500 queries, CPU s'):.1f} s for "
            "500 rows and as many predictions; no training",
            "a linear model, always; TabPFN, if its download and licence suit you",
            "Pretrained NPT",
            f"log loss beside HistGradientBoosting {prior(100, 'log loss', 'Hist')} with 100 rows, "
            f"{prior(500, 'log loss', 'Hist')} with 500; beside RandomForest "
            f"{prior(100, 'log loss', 'Rand')} and {prior(500, 'log loss', 'Rand')}. The area "
            f"under the ROC curve is not its strength: {prior(500, 'AUC', 'Rand')} beside "
            "RandomForest's (:doc:`/benchmarks/npt_prior`).",
        ),
        Row(
            "Some hundred to some ten thousand rows, and half a minute",
            ":ref:`NPT <npt>` trained on the table: ``pretrained=False``",
            f"{ranks.seconds('npt'):.0f} s on the ten tables, {adult:.1f} minutes for adult's "
            f"{value('npt', 'cost_adult', 'adult: rows'):,.0f} rows",
            "HistGradientBoosting, CatBoost: "
            f"{ranks.seconds('npt') / ranks.seconds('hgb'):.0f} times faster; compare",
            "Trained NPT",
            "mean rank over ten tables: "
            + ranks.words("npt", "primal", "xgboost", "hgb", "forest", "mlp", "linear")
            + " (:doc:`/benchmarks/tabular`).",
        ),
        Row(
            "Rows that answer for other rows: near-duplicates, reference cases, labels that "
            "arrive or get corrected",
            ":ref:`NPT <npt>` with ``groups=``, set up for looking rows up; ``set_context``",
            f"{lookup('fit, CPU s', 0)} s for 20,000 pairs; new labels need no training",
            "a join, or nearest neighbours, if you know which columns tell rows that belong "
            "together",
            "Looking rows up",
            f"error {lookup('error, sd of the label')} standard deviations, r "
            f"{lookup('correlation of prediction', 3)}; HistGradientBoosting "
            f"{lookup('error of HistGradientBoosting, sd')} (:doc:`/benchmarks/npt`). On ordinary "
            "tables the other rows hardly matter, and ``context_reliance`` says so.",
        ),
        Row(
            "Classes to look at in a plane; rows that belong to none of them",
            ":class:`~sklearn_selfattn.OTTabularClassifier` (:ref:`guide <transport>`)",
            f"{ranks.seconds('ot'):.1f} s on the tables with classes",
            "LogisticRegression where classes are rare; IsolationForest for strange rows alone",
            "Optimal transport",
            "mean rank over the tables with classes: "
            + ranks.words("npt", "ot", "primal", "hgb", "linear", which="ranking_classes")
            + f" (:doc:`/benchmarks/tabular`). Strange rows: area {strange('anchored')} anchored, "
            f"{strange('default')} at defaults, {strange('largest probability')} by the largest "
            f"probability, IsolationForest {strange('IsolationForest')} "
            "(:doc:`/benchmarks/transport`).",
        ),
        Row(
            "A large table with nothing of the kind; a model of a few kilobytes; a fit in no time",
            "none of ours",
            f"HistGradientBoosting: {ranks.seconds('hgb'):.1f} s on the ten tables",
            "HistGradientBoosting, CatBoost, LightGBM, a linear model",
        ),
    ]


def sequences(value):
    """Rows for series and for logs of events."""

    def primal(group, start):
        return value("primal", group, start)

    def time(group, start):
        return value("time_events", group, start)

    return [
        Row(
            "Time series of different lengths, of thousands of steps, or with gaps; class "
            "probabilities and their uncertainty",
            ":class:`~sklearn_selfattn.PrimalAttentionClassifier` (:ref:`guide <primal>`)",
            f"{primal('accuracy', 'CPU seconds of the five fits') / 5:.0f} s a set; linear in "
            "the steps",
            "MiniRocket (aeon), first of all for short series of one length",
            "Primal attention",
            f"mean accuracy over five sets {primal('accuracy', 'mean accuracy'):.3f}; points above "
            f"MiniRocket {primal('accuracy', 'points above minirocket'):+.1f}, above trees on flat "
            f"input {primal('accuracy', 'points above trees'):+.1f}, above the same net without "
            f"attention {primal('accuracy', 'points above none'):+.1f}. A step of training with "
            "16,384 tokens is "
            f"{primal('speed', 'training step of a layer, 16,384 tokens: times faster'):.0f} times "
            "faster than with softmax (:doc:`/benchmarks/primal`).",
        ),
        Row(
            "An event log (who, when, what): when is the next event, which one, what becomes of "
            "a sequence",
            ":func:`~sklearn_selfattn.make_event_windows` and "
            ":class:`~sklearn_selfattn.TimeEventClassifier` or ``TimeEventRegressor`` "
            "(:ref:`guide <time_events>`)",
            "an epoch takes a second for every "
            f"{time('cost', 'events a CPU second in training, 64'):,.0f} events",
            "HistGradientBoosting on lags and clock features",
            "Continuous time",
            f"an event exactly a day ago is found in {time('lookup', 'bochner: accuracy'):.1%}, by "
            f"positions in {time('lookup', 'positional: accuracy'):.1%}, by HistGradientBoosting "
            f"in {time('lookup', 'hgb: accuracy'):.1%}. When planes depart: error "
            f"{time('flights', 'over HistGradientBoosting'):.3f} times HistGradientBoosting's; "
            "intensive care: area "
            f"{time('mortality', 'area under the ROC curve, raw'):.3f}, HistGradientBoosting on "
            f"aggregates {time('mortality', 'HistGradientBoosting on aggregates'):.3f} "
            "(:doc:`/benchmarks/time_events`).",
        ),
        Row(
            "Dates as features of another model",
            ":class:`~sklearn_selfattn.BochnerTimeEncoder` in a ``ColumnTransformer`` "
            "(:ref:`guide <time_events>`)",
            "a product of matrices",
            "hour, weekday and month as categories, if these are the periods",
        ),
    ]


def others(value):
    """Rows for embeddings, texts and questions about a model."""

    def rerank(start):
        return value("reranking", "omniglot", start)

    def causal(group, start):
        return value("causal", group, start)

    return [
        Row(
            "Embeddings to search by; better neighbours wanted among classes not known yet",
            ":class:`~sklearn_selfattn.AttentionReranker`, trained on other classes "
            "(:ref:`guide <reranking>`)",
            "the first stage, and a time for each query that does not grow with the gallery",
            "``reranking.k_reciprocal``, ``reranking.query_expansion``: no training",
            "Re-ranking",
            f"mean average precision {rerank('gain in mean average precision'):+.3f} over the "
            "first stage on unseen alphabets, "
            f"{rerank('mean average precision above k-reciprocal'):+.3f} beside k-reciprocal "
            "(:doc:`/benchmarks/reranking`).",
        ),
        Row(
            "Short texts, logs or baskets, and no pretrained encoder",
            ":class:`~sklearn_selfattn.DistributionalProjectionVectorizer` "
            "(:ref:`guide <distributional>`)",
            f"{value('distributional', 'cost_fit', 'the slower projection / LSA'):.1f} times LSA",
            "all of tf-idf with a linear model; a pretrained sentence encoder, if it may be "
            "downloaded",
            "Distributional projection",
            "accuracy beside LSA "
            f"{value('distributional', 'reviews', 'recipe over LSA'):+.3f} on film reviews, "
            f"{value('distributional', 'questions', 'recipe over LSA'):+.3f} on questions; all of "
            "tf-idf stays ahead on both (:doc:`/benchmarks/distributional`).",
        ),
        Row(
            "A picture and a text in every row, and answers that depend on what the text says of "
            "the picture",
            ":class:`~sklearn_selfattn.VisualParsingClassifier` (:ref:`guide <vision_language>`)",
            f"{value('vision_language', 'vqa', 'fit, CPU s'):.0f} s for 12,000 questions about "
            "pictures of 32 x 32 pixels",
            "HistGradientBoosting on features of both; a pretrained encoder (CLIP), if it may be "
            "downloaded",
            "Visual parsing",
            f"easy-VQA {value('vision_language', 'vqa', 'accuracy'):.3f}, HistGradientBoosting "
            f"{value('vision_language', 'vqa', 'HistGradientBoosting'):.3f}, the question alone "
            f"{value('vision_language', 'vqa', 'the question alone'):.3f} "
            "(:doc:`/benchmarks/vision_language`).",
        ),
        Row(
            "An outcome to explain: without which tokens would the model have said otherwise?",
            ":class:`~sklearn_selfattn.CLEANNExplainer` (:ref:`guide <causal>`)",
            f"{causal('sentiment', ATTENTION_CALLS):.0%} of the calls of a search by attention",
            ":class:`~sklearn_selfattn.SubsetSearchExplainer`; integrated gradients",
            "CLEANN",
            f"its sets are {causal('sentiment', 'mean size of CLEANN'):.2f} times as large as "
            "those by cumulated attention, "
            f"{causal('sentiment', 'the same over cumulative integrated gradients'):.2f} times as "
            "large as those by integrated gradients (:doc:`/benchmarks/causal`).",
        ),
        Row(
            "Columns, and the question which of them may cause which, hidden causes allowed",
            ":class:`~sklearn_selfattn.PAGDiscovery` (:ref:`guide <causal>`)",
            f"{causal('finite', '15 nodes, 1,000 rows: tests over FCI'):.0%} of FCI's tests",
            "FCI of causal-learn: more tests of independence to choose from",
            "Graphs",
            "edges beside FCI's with 1,000 rows of 15 columns: F1 "
            f"{causal('finite', '15 nodes, 1,000 rows: skeleton F1'):+.3f} "
            "(:doc:`/benchmarks/causal`).",
        ),
        Row(
            "How deep, how wide? How strongly does a model tie features together?",
            ":class:`~sklearn_selfattn.DepthWidthSearchCV`, "
            ":func:`~sklearn_selfattn.separation_rank` (:ref:`guide <depth_width>`)",
            "a cross-validation; a few thousand predictions",
            "``GridSearchCV``, where sizes need not be equal",
        ),
        Row(
            "A net in training: what does it do to its points?",
            ":class:`~sklearn_selfattn.OTTrainingMonitor` (:ref:`guide <transport>`)",
            f"{value('transport', 'cost', 'monitor: share added'):.0%} of the fit",
            "learning curves",
        ),
    ]


def page():
    """Write the page."""
    value, ranks = Figures(), Ranks()
    parts = {
        "A table": tables(value, ranks),
        "Series and events": sequences(value),
        "Embeddings, texts, pictures, questions about a model": others(value),
    }
    out = [
        ".. _which:\n",
        heading("Which method, when", "="),
        ".. This page is written by ``python benchmarks/render_which.py``;\n"
        "   its numbers come from ``benchmarks/results``.\n",
        "Find what you have and read its row to the end: in the last column stands what we would "
        "try beside ours, and often first. Costs are CPU seconds of one thread; what was measured "
        "stands below each table, losses included.\n",
    ]
    head = ["You have", "Take", "It costs", "Try beside it"]
    for title, rows in parts.items():
        out += [heading(title, "-"), grid(head, [row[:4] for row in rows])]
        out.append(
            "\n".join(f"- {row.name}: {row.measured}" for row in rows if row.measured) + "\n"
        )
    difference, of_classes = (
        ranks.main[which]["critical_difference"] for which in ("ranking", "ranking_classes")
    )
    out.append(
        f"Mean ranks that differ by less than {difference:.1f} (over the tables with classes "
        f"{of_classes:.1f}) are not told apart by Nemenyi's test at 5 %: ten tables decide little, "
        "yours decides more. :ref:`A notebook <sphx_glr_gallery_plot_tabular_benchmark.py>` runs "
        "the comparison on it.\n"
    )
    return "\n".join(out)


if __name__ == "__main__":
    PAGE.write_text(page())
