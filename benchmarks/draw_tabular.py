"""The picture of the tabular benchmark."""

import numpy as np
from tabular_peers import LABELS, OURS
from tabular_scores import LOSS, main_set, mean_cost

#: Okabe and Ito's palette: told apart by readers with any colour vision.
COLOURS = {
    "npt_pretrained": "#E69F00", "npt": "#D55E00", "ot": "#CC79A7", "primal": "#8C564B",
    "hgb": "#0072B2", "catboost": "#009E73",
}  # fmt: skip
GREY = "#8A9299"
MARKERS = {
    "forest": "s", "linear": "D", "mlp": "^", "knn": "v", "lightgbm": "P", "xgboost": "X",
    "realmlp": "p", "tabm": "h",
}  # fmt: skip


def _mark(model):
    """Return how a model is drawn, the same in both panels."""
    return {
        "marker": MARKERS.get(model, "o"), "ms": 10 if model in OURS else 7.5, "ls": "",
        "color": COLOURS.get(model, GREY), "mec": "white", "mew": 0.8,
        "zorder": 3 + (model in COLOURS) + (model in OURS), "clip_on": False,
    }  # fmt: skip


def _draw_ratios(axes, results, limit=8.0):
    """Draw each model's loss relative to HistGradientBoosting, one line per table."""
    means = results["summary"]["means"]
    tables = [table for table in means if "hgb" in means[table]]
    names = []
    for row, table in enumerate(tables):
        loss = LOSS[means[table]["hgb"]["task"]]
        names.append(f"{table}  ({'log loss' if loss == 'log_loss' else 'RMSE'})")
        axes.plot([1 / limit, limit], [row, row], color="#E6E9EB", lw=1, zorder=0)
        for model in means[table]:
            if model == "hgb":
                continue
            ratio = means[table][model][loss] / means[table]["hgb"][loss]
            if 1 / limit <= ratio <= limit:
                axes.plot(ratio, row, **_mark(model))
                continue
            # Off the scale: an arrow at the edge; the tables give the value.
            edge, marker = (limit, ">") if ratio > limit else (1 / limit, "<")
            axes.plot(edge, row, **{**_mark(model), "marker": marker, "ms": 6})
    axes.axvline(1, color=COLOURS["hgb"], lw=1.6, zorder=1)
    axes.set_xscale("log", base=2)
    axes.set_xlim(1 / limit, limit)
    ticks = [0.125, 0.25, 0.5, 1, 2, 4, 8]
    axes.set_xticks(ticks, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.minorticks_off()
    axes.set_ylim(len(tables) - 0.5, -0.5)
    axes.set_yticks(range(len(tables)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("mean loss / that of HistGradientBoosting   (← better)")


def _place_labels(points, height):
    """Choose a side and a height for the label of each point so that none covers another.

    Returns ``{model: (side, y)}``: side 1 is right of the point, -1 left of it.
    """
    placed = {}
    for model, x, y in sorted(points, key=lambda point: point[2]):
        # To the left where another point would lie under a label on the right.
        side = 1
        for other, other_x, other_y in points:
            ahead = np.log10(other_x / x)
            if other != model and 0 <= ahead < 0.9 and abs(other_y - y) < height:
                side = -1 if ahead > 0 else side
        for other, (other_side, other_y) in placed.items():
            other_x = next(point[1] for point in points if point[0] == other)
            if side == other_side and abs(np.log10(x / other_x)) < 0.9 and y - other_y < height:
                y = other_y + height
        placed[model] = (side, y)
    return placed


def _draw_ranks(axes, results):
    """Draw mean rank against time to fit, each point with its name.

    Grey: the models that Nemenyi's test does not tell from the best.
    """
    ranking = main_set(results)["ranking"]["mean_rank"]
    difference = main_set(results)["ranking"]["critical_difference"]
    if difference:
        best = min(ranking.values())
        axes.axhspan(best, best + difference, color="#F1F3F4", zorder=0)
        axes.text(
            0.015, best + 0.12, "grey: not told apart from the best (Nemenyi, 5 %)",
            transform=axes.get_yaxis_transform(), va="top", fontsize=9, color=GREY,
        )  # fmt: skip
    points = [(m, mean_cost(results, m, "fit_cpu_s"), rank) for m, rank in ranking.items()]
    labels = _place_labels(points, height=(len(points) + 1) / 26)
    for model, seconds, rank in points:
        side, y = labels[model]
        axes.plot(seconds, rank, **_mark(model))
        axes.annotate(
            LABELS[model], (seconds, y), xytext=(9 * side, 0), textcoords="offset points",
            ha="left" if side > 0 else "right", va="center", fontsize=9.5,
            color=COLOURS.get(model, "#4A5157"),
            weight="bold" if model in OURS else "normal",
        )  # fmt: skip
    seconds = [point[1] for point in points]
    axes.set_xscale("log")
    axes.set_xlim(min(seconds) / 6, max(seconds) * 10)
    axes.set_ylim(max(ranking.values()) + 0.6, min(1.0, min(ranking.values())) - 0.3)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("CPU seconds to fit   (← better)")
    axes.set_ylabel(f"mean rank of {len(points)} models   (better →)")
    axes.grid(color="#EEF0F2")
    axes.set_axisbelow(True)


def draw(results, path):
    """Draw the picture of the benchmark into a file.

    Left: the loss of each model relative to HistGradientBoosting, table by table.
    Right: mean rank against CPU seconds to fit.
    """
    from matplotlib.figure import Figure

    n_tables = len(results["summary"]["means"])
    figure = Figure(figsize=(11.5, 2.8 + 0.25 * n_tables), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.1, 1])
    _draw_ratios(left, results)
    _draw_ranks(right, results)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#B5BBC0")
        axes.tick_params(color="#B5BBC0", labelcolor="#2B3035")
    left.spines["left"].set_visible(False)
    title = {"loc": "left", "fontsize": 11, "pad": 10, "color": "#2B3035"}
    left.set_title("Loss on each table, relative to HistGradientBoosting", **title)
    right.set_title("Mean rank against time to fit", **title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
