"""The picture of the NPT benchmark: what is changed by hand, what is missing, what it costs."""

import numpy as np
from draw_tabular import COLOURS, GREY

INK, LIGHT = "#24292E", "#E6E9EB"


def _plain(axes, title, xlabel, ylabel):
    axes.set_title(title, loc="left", fontsize=10.5, color=INK)
    axes.set_xlabel(xlabel, fontsize=9)
    axes.set_ylabel(ylabel, fontsize=9)
    axes.tick_params(labelsize=8, length=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_intervention(axes, curves):
    label, prediction = np.array(curves["label"]), np.array(curves["prediction"])
    axes.axvspan(*curves["inside"], color=LIGHT, zorder=0, lw=0)
    for row in prediction:
        axes.plot(label, row, color=COLOURS["npt"], lw=0.7, alpha=0.3)
    axes.plot(label, np.median(prediction, axis=0), color=COLOURS["npt"], lw=2)
    axes.plot(label, label - 1, color=INK, lw=1, ls=(0, (4, 3)))
    axes.text(np.mean(curves["inside"]), -5.7, "seen in training", ha="center", fontsize=8,
              color=GREY)  # fmt: skip
    axes.text(-4.9, -3.6, "label − 1", fontsize=8, color=INK, rotation=35)
    axes.set_ylim(-6.2, 4.5)
    _plain(axes, "Predictions follow the twin's label", "label given to the twin, sd",
           "prediction, sd")  # fmt: skip


def _draw_missing(axes, curves):
    styles = {"credit_g": "-", "concrete": (0, (5, 2)), "wdbc": (0, (1.5, 1.5))}
    for table, style in styles.items():
        for model in ("npt", "hgb"):
            values = np.array(curves[table][model])
            axes.plot(100 * np.array(curves["fraction"]), values - values[0],
                      color=COLOURS[model], ls=style, marker="o", ms=3.5, lw=1.4)  # fmt: skip
    for table, style in styles.items():
        axes.plot([], [], color=GREY, ls=style, label=table)
    for model, name in (("npt", "NPT"), ("hgb", "HistGradientBoosting")):
        axes.plot([], [], color=COLOURS[model], lw=2.5, label=name)
    axes.legend(frameon=False, fontsize=8)
    _plain(axes, "What missing cells cost", "cells missing, %",
           "rise of log loss, or RMSE / sd")  # fmt: skip


def _draw_growth(axes, curves):
    for axis, colour in (("rows", COLOURS["npt"]), ("columns", COLOURS["hgb"])):
        entries = curves[axis]
        size = np.array([entry[axis] for entry in entries]) / entries[0][axis]
        for key, style, words in (("fit_cpu_s", "-", "an epoch"),
                                  ("predict_cpu_s", (0, (2, 2)), "2,000 predictions")):  # fmt: skip
            seconds = [entry[key] for entry in entries]
            axes.plot(size, seconds, color=colour, ls=style, marker="o", ms=4, lw=1.5,
                      label=f"{words}, more {axis}")  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    seconds = [t for t in (0.2, 0.5, 1, 2, 5, 10, 20, 50) if low <= t <= high]
    axes.set_yticks(seconds, [f"{t:g}" for t in seconds])
    axes.set_xticks([1, 2, 5, 10, 25], ["1", "2", "5", "10", "25"])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)
    first = curves["rows"][0]["rows"], curves["columns"][0]["columns"]
    _plain(axes, "How cost grows", f"times {first[0]:,} rows, or {first[1]} columns", "CPU s")


def draw(results, path):
    """Draw the panels whose experiments have results."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [
        (drawer, results["experiments"][name]["curves"])
        for name, drawer in (("intervention", _draw_intervention), ("missing", _draw_missing),
                             ("cost_growth", _draw_growth))
        if "curves" in results["experiments"].get(name, {})
    ]  # fmt: skip
    picture = Figure(figsize=(4.2 * max(len(panels), 1), 3.6), layout="constrained")
    FigureCanvasAgg(picture)
    for i, (drawer, curves) in enumerate(panels):
        drawer(picture.add_subplot(1, len(panels), i + 1), curves)
    picture.savefig(path, dpi=110)
