"""The picture of the benchmark of the pretrained NPT: ranks, tables, the training curve."""

from itertools import cycle

import numpy as np
from draw_tabular import COLOURS, GREY, MARKERS
from npt_prior_models import LABELS, PEERS, VARIANTS
from npt_prior_tables import CLASSIFICATION
from render_npt_prior import boards, rank_of

INK, LIGHT = "#24292E", "#E6E9EB"
COLOUR = {**COLOURS, "npt_pretrained": COLOURS["npt"], "npt_fine_tuned": COLOURS["npt"],
          "npt_scratch": GREY}  # fmt: skip
FILL = {"npt_fine_tuned": "white"}


def _plain(axes, title, xlabel):
    axes.set_title(title, loc="left", fontsize=10.5, color=INK)
    axes.set_xlabel(xlabel, fontsize=9)
    axes.tick_params(labelsize=8, length=3)
    axes.spines[["top", "right"]].set_visible(False)


def _mark(model):
    colour = COLOUR.get(model, GREY)
    return {
        "marker": MARKERS.get(model, "o"), "ls": "", "ms": 9 if model in VARIANTS else 6.5,
        "mfc": FILL.get(model, colour), "mec": colour if model in FILL else "white", "mew": 1.2,
        "zorder": 3 + (model in VARIANTS),
    }  # fmt: skip


def _draw_ranks(axes, summary):
    """Draw mean rank by log loss as bars; faint ones come from the fits all models share."""
    ranked, faint = {}, set()
    for name, board in boards(summary):
        for model in board["models"]:
            if model not in ranked:
                ranked[model] = rank_of(board, "log_loss", model)
                if name == "common":
                    faint.add(model)
    models = sorted(ranked, key=ranked.get)
    for row, model in enumerate(models):
        axes.barh(row, ranked[model], height=0.66, color=COLOUR.get(model, GREY),
                  alpha=0.45 if model in faint else 1)  # fmt: skip
        axes.text(ranked[model] + 0.1, row, f"{ranked[model]:.2f}", va="center", fontsize=8)
    names = [LABELS[model] + ("†" if model in faint else "") for model in models]
    axes.set_yticks(range(len(models)), names)
    axes.set_ylim(len(models) - 0.5, -0.5)
    axes.set_xlim(0, max(ranked.values()) * 1.15)
    words = "mean rank by log loss   (← better)"
    _plain(axes, "Over classification tables", words + ("\n† on fewer splits" if faint else ""))


def _draw_tables(axes, means, tables, limit=4.0):
    """Draw log loss relative to HistGradientBoosting, one line per table."""
    shown = [*VARIANTS, *PEERS]
    tables = [table for table in tables if "hgb" in means[table]]
    labelled = set()
    for row, table in enumerate(tables):
        axes.plot([1 / limit, limit], [row, row], color=LIGHT, lw=1, zorder=0)
        for model in shown:
            if model == "hgb" or model not in means[table]:
                continue
            ratio = means[table][model]["log_loss"] / means[table]["hgb"]["log_loss"]
            mark = _mark(model)
            if not 1 / limit <= ratio <= limit:
                # Off the scale: an arrow at the edge; the page gives the value.
                mark |= {"marker": ">" if ratio > limit else "<", "ms": 5}
            elif model not in labelled:
                labelled.add(model)
                mark["label"] = LABELS[model]
            axes.plot(np.clip(ratio, 1 / limit, limit), row, **mark, clip_on=False)
    axes.axvline(1, color=COLOUR["hgb"], lw=1.6, zorder=1)
    axes.set_xscale("log", base=2)
    axes.set_xlim(1 / limit, limit)
    axes.set_xticks([0.25, 0.5, 1, 2, 4], ["1/4", "1/2", "1", "2", "4"])
    axes.minorticks_off()
    axes.set_yticks(range(len(tables)), tables)
    axes.set_ylim(len(tables) - 0.5, -0.5)
    axes.legend(frameon=False, fontsize=7.5, loc="upper center", bbox_to_anchor=(0.5, -0.16),
                ncols=3, columnspacing=1, handletextpad=0.3)  # fmt: skip
    _plain(axes, "On each table", "log loss / HistGradientBoosting's   (← better)")
    axes.spines["left"].set_visible(False)


def reference_lines(results, tables=()):
    """Mean log loss of HistGradientBoosting and CatBoost on split 0 with 500 context rows.

    Over those of `tables` that the benchmark has, all classification tables if there are
    none; nothing for a model that lacks one.
    """
    losses = {}
    for record in results["records"]:
        if record["n"] == 500 and record["split"] == 0 and "scores" in record:
            by_table = losses.setdefault(record["model"], {})
            by_table[record["table"]] = record["scores"].get("log_loss")
    known = [table for table in CLASSIFICATION if any(table in of for of in losses.values())]
    tables = [table for table in known if table in tables] or known
    return {
        model: float(np.mean([losses[model][table] for table in tables]))
        for model in ("hgb", "catboost")
        if model in losses and set(tables) <= set(losses[model])
    }


def _draw_curve(axes, results):
    """Draw log loss on the development tables against compute spent in pretraining."""
    styles = cycle(["-", "--", ":", "-."])
    tables = ()
    for (run, entry), style in zip(results["pretraining"].items(), styles, strict=False):
        known = [point for point in entry["points"] if point.get("development")]
        if not known:
            continue
        tables = entry["tables"]
        axes.plot(
            [point["flop"] for point in known],
            [point["development"]["log_loss"] for point in known],
            color=COLOUR["npt_pretrained"], ls=style, marker="o", ms=3.5, lw=1.5, label=run,
        )  # fmt: skip
    for model, value in reference_lines(results, tables).items():
        axes.axhline(value, color=COLOUR[model], lw=1.4)
        axes.annotate(LABELS[model], (0.99, value), xycoords=("axes fraction", "data"),
                      xytext=(0, 2), textcoords="offset points", ha="right", fontsize=8,
                      color=COLOUR[model])  # fmt: skip
    axes.set_xscale("log")
    axes.legend(frameon=False, fontsize=8)
    _plain(axes, "Pretraining: one member, no tuning", "compute, FLOP")
    axes.set_ylabel("mean log loss, development tables", fontsize=9)


def has_curve(results):
    """Tell whether the pretraining was measured on development tables."""
    return any(
        point.get("development")
        for entry in results["pretraining"].values()
        for point in entry["points"]
    )


def draw(results, path):
    """Draw the panels that have results into a file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    summary = results["summary"]["tasks"]["classification"].get("500")
    drawers = []
    if summary:
        means = results["summary"]["means"]["500"]
        drawers = [
            lambda axes: _draw_ranks(axes, summary),
            lambda axes: _draw_tables(axes, means, summary["tables"]),
        ]
    if has_curve(results):
        drawers.append(lambda axes: _draw_curve(axes, results))
    picture = Figure(figsize=(4.3 * max(len(drawers), 1), 4.8), layout="constrained")
    FigureCanvasAgg(picture)
    for i, drawer in enumerate(drawers):
        drawer(picture.add_subplot(1, len(drawers), i + 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=110)
