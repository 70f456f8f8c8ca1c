"""Turn the results of the tabular benchmark into tables, a page and a picture."""

import numpy as np
from tabular_peers import LABELS, SETTINGS
from tabular_scores import LOSS

README_MARKERS = ("<!-- benchmark-table -->", "<!-- /benchmark-table -->")
#: Okabe and Ito's palette: told apart by readers with any colour vision.
COLOURS = {"npt": "#D55E00", "hgb": "#0072B2", "catboost": "#009E73"}
GREY = "#8A9299"


def _models(results):
    """List the models that have results, in the order of the benchmark."""
    means = results["summary"]["means"]
    return [model for model in LABELS if any(model in by_model for by_model in means.values())]


def _number(value):
    """Three significant digits, more for large numbers; a dash for none."""
    if value is None:
        return "–"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _mean_of(results, table, model, key):
    return results["summary"]["means"].get(table, {}).get(model, {}).get(key)


def _main_set(results):
    """Return the set of tables that the summary rests on: the ten if all are there."""
    sets = results["summary"]["sets"]
    complete = "ten" in sets and len(sets["ten"]["tables"]) == 10
    return sets["ten" if complete else "all"] if sets else None


def loss_rows(results, mark="{}*"):
    """Rows of table name, score and the mean loss of each model, the best one marked."""
    models = _models(results)
    rows = []
    for table, by_model in results["summary"]["means"].items():
        loss = LOSS[next(iter(by_model.values()))["task"]]
        values = {m: by_model[m][loss] for m in models if m in by_model}
        best = min(values, key=values.get)
        cells = [_number(values.get(model)) for model in models]
        cells[models.index(best)] = mark.format(cells[models.index(best)])
        rows.append([table, {"log_loss": "log loss", "rmse": "RMSE"}[loss], *cells])
    return rows


def rank_row(results):
    """Mean rank of each model over the main set; a dash for those that lack results."""
    ranking = _main_set(results)["ranking"]["mean_rank"]
    return [_number(ranking.get(model)) for model in _models(results)]


def _geometric_mean(results, model, key):
    values = [_mean_of(results, t, model, key) for t in results["summary"]["means"]]
    values = [max(value, 1e-4) for value in values if value is not None]
    return float(np.exp(np.mean(np.log(values)))) if values else None


def terminal_table(results):
    """Write losses, mean ranks and costs as lines of text."""
    if not results["records"]:
        return "no results"
    models = _models(results)
    head = ["", "", *(LABELS[model] for model in models)]
    rows = loss_rows(results)
    rows.append(None)
    rows.append(["mean rank", "", *rank_row(results)])
    for name, key in (("fit", "fit_cpu_s"), ("predict", "predict_cpu_s")):
        cells = [_number(_geometric_mean(results, model, key)) for model in models]
        rows.append([name, "CPU s", *cells])
    widths = [max(len(row[i]) for row in [head, *filter(None, rows)]) for i in range(len(head))]
    rule = "─" * (sum(widths) + 2 * len(widths))
    lines = [rule]
    for row in [head, None, *rows]:
        if row is None:
            lines.append(rule)
            continue
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join(left + right))
    splits = {record["split"] for record in results["records"]}
    lines += [rule, f"Means over {len(splits)} splits 75/25; lower is better; * is the best."]
    return "\n".join(lines)


# ------------------------------------------------------------------ words


def _join(names):
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def verdicts(results):
    """One sentence for each peer: wins, losses by name, ratio."""
    main = _main_set(results)
    sentences = []
    for peer, versus in main["versus"].get("npt", {}).items():
        if not versus["n_tables"]:
            continue
        lost = [t for t in main["tables"] if versus["ratios"].get(t, 0) > 1]
        text = (
            f"{LABELS[peer]}: lower loss on {versus['wins']} of {versus['n_tables']} tables "
            f"({versus['clear_wins']} clearly), higher on {versus['losses']} "
            f"({versus['clear_losses']} clearly)"
        )
        if lost:
            text += f": {_join(lost)}"
        text += f". Mean ratio of losses {versus['loss_ratio']:.2f}"
        text += f", of CPU seconds to fit {_number(versus['cpu_ratio'])}."
        sentences.append(text)
    return sentences


def _grid(head, rows):
    """Write an rst list-table."""
    lines = [".. list-table::", "   :header-rows: 1", "   :class: benchmark", ""]
    for row in [head, *rows]:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def _score_grid(results, key, task):
    models = _models(results)
    rows = []
    for table, by_model in results["summary"]["means"].items():
        if next(iter(by_model.values()))["task"] == task:
            values = [_mean_of(results, table, model, key) for model in models]
            rows.append([table, *("–" if v is None else f"{v:.3f}" for v in values)])
    return _grid(["table", *(LABELS[model] for model in models)], rows)


def page(results):
    """Write the documentation page."""
    models = _models(results)
    main = _main_set(results)
    machine = results["machine"]
    n_splits = len({record["split"] for record in results["records"]})
    title = "NPT and its peers on real tables"
    out = [f"{title}\n{'=' * len(title)}\n"]
    out.append(
        ".. This page is written by ``python benchmarks/bench_tabular.py --render``;\n"
        "   its numbers come from ``benchmarks/results/tabular.json``.\n"
    )
    out.append(
        f"Each model is fitted on {n_splits} splits of every table (75 % training, 25 % test, "
        "classes in their shares, seeds 0, 1, ...) in one process on the same rows. Rows that "
        "repeat another one in features and target are dropped before the split, for a model "
        "that looks rows up would profit from copies. No model is tuned to a table.\n"
    )
    out.append(
        ".. image:: tabular.png\n   :alt: Loss of each model relative to HistGradientBoosting, "
        "and mean rank against time to fit.\n"
    )
    names = ", ".join(main["tables"])
    out.append(f"Summary\n-------\n\nOver {len(main['tables'])} tables ({names}), mean ranks:\n")
    ranking = sorted(main["ranking"]["mean_rank"].items(), key=lambda item: item[1])
    costs = [
        [LABELS[m], f"{rank:.2f}",
         *(_number(_geometric_mean(results, m, k)) for k in ("fit_cpu_s", "predict_cpu_s"))]
        for m, rank in ranking
    ]  # fmt: skip
    out.append(_grid(["model", "mean rank", "fit, CPU s", "predict, CPU s"], costs))
    if main["ranking"]["incomplete"]:
        left_out = _join([LABELS[m] for m in main["ranking"]["incomplete"]])
        out.append(f"Not ranked, for they lack some of the splits: {left_out}.\n")
    sentences = verdicts(results)
    if sentences:
        out.append(
            "NPT beside each peer. *Clearly*: the paired differences over the splits leave "
            "zero by more than two standard errors.\n"
        )
        out.append("\n".join(f"- {sentence}" for sentence in sentences) + "\n")
        versus = main["versus"]["npt"].get("hgb")
        if versus and "worst_rmse_ratio" in versus and "worst_auc_difference" in versus:
            ratio, table_r = versus["worst_rmse_ratio"]
            auc, table_a = versus["worst_auc_difference"]
            out.append(
                f"Worst cases against HistGradientBoosting: {ratio:.2f} times its RMSE "
                f"({table_r}); AUC {auc:+.3f} ({table_a}).\n"
            )
    out.append("Loss\n----\n\nMean over the splits, lower is better, the best in bold.\n")
    head = ["table", "score", *(LABELS[model] for model in models)]
    out.append(_grid(head, loss_rows(results, "**{}**")))
    for heading, key, task in (
        ("Accuracy", "accuracy", "classification"),
        ("Area under the ROC curve", "auc", "classification"),
        ("Calibration error", "ece", "classification"),
        ("R²", "r2", "regression"),
    ):
        out.append(f"{heading}\n{'-' * len(heading)}\n")
        if key == "auc":
            out.append("For more than two classes the mean of one-vs-rest.\n")
        if key == "ece":
            out.append("Expected calibration error of the most likely class, 15 equal bins.\n")
        out.append(_score_grid(results, key, task))
    out.append(
        "Cost\n----\n\nCPU seconds to fit (all threads), mean over the splits. Imports are not "
        "counted: each model is fitted once on 90 rows first.\n"
    )
    rows = [
        [table, *(_number(_mean_of(results, table, m, "fit_cpu_s")) for m in models)]
        for table in results["summary"]["means"]
    ]
    out.append(_grid(["table", *(LABELS[m] for m in models)], rows))
    out.append(
        "Rise of resident memory during fit and predict, MB, the largest over tables and "
        "splits. It is a lower bound, for memory left by an earlier fit is used again.\n"
    )
    peak = {m: [] for m in models}
    for record in results["records"]:
        if record.get("cost", {}).get("peak_memory_mb") is not None:
            peak[record["model"]].append(record["cost"]["peak_memory_mb"])
    rows = [[_number(max(peak[m])) if peak[m] else "–" for m in models]]
    out.append(_grid([LABELS[m] for m in models], rows))
    out.append("Tables\n------\n")
    rows = [
        [name, t["task"], t["n_rows_raw"], t["n_rows"], t["n_features"], t["n_categorical"],
         f"{100 * t['missing_fraction']:.1f} %", t["split"]]
        for name, t in results["tables"].items()
        if name in results["summary"]["means"]
    ]  # fmt: skip
    head = ["table", "task", "rows", "without repeats", "features", "categorical", "missing"]
    out.append(_grid([*head, "split"], rows))
    out.append("Models\n------\n")
    out.append(_grid(["model", "how it is run"], [[LABELS[m], SETTINGS[m]] for m in models]))
    failed = [r for r in results["records"] if "error" in r]
    if failed:
        out.append("Failed fits:\n")
        failed = [f"- {LABELS[r['model']]} on {r['table']}: ``{r['error']}``" for r in failed]
        out.append("\n".join(sorted(set(failed))) + "\n")
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    out.append(
        f"Machine: {machine['cpu']}, {machine['n_cores']} cores, {machine['system']}; "
        f"one thread a model. Versions: {versions}.\n\n"
        "Commands, in this order:\n"
    )
    out.append("::\n\n" + "\n".join(f"   {command}" for command in results["commands"]) + "\n")
    return "\n".join(out)


def readme_table(results):
    """Write the short table of the README, losses included."""
    main = _main_set(results)
    ranking = sorted(main["ranking"]["mean_rank"].items(), key=lambda item: item[1])
    lines = [
        f"| model | mean rank of {len(ranking)} | NPT against it: lower / higher loss "
        "| mean ratio of losses | fit, CPU s |",
        "|---|---|---|---|---|",
    ]
    for model, rank in ranking:
        versus = main["versus"].get("npt", {}).get(model)
        beside = ["", ""]
        if versus:
            beside = [f"{versus['wins']} / {versus['losses']}", f"{versus['loss_ratio']:.2f}"]
        name = f"**{LABELS[model]}**" if model == "npt" else LABELS[model]
        fit = _number(_geometric_mean(results, model, "fit_cpu_s"))
        lines.append(f"| {name} | {rank:.2f} | {beside[0]} | {beside[1]} | {fit} |")
    n_splits = len({record["split"] for record in results["records"]})
    lines.append(
        f"\nOver {len(main['tables'])} tables, {n_splits} splits each; log loss for classes, "
        "RMSE for values; every model at its documented defaults. "
        "From `benchmarks/results/tabular.json`, made by `python benchmarks/bench_tabular.py`."
    )
    return "\n".join(lines)


def write_page(results, root):
    """Write page and picture into the docs, and fill the README's table."""
    folder = root / "docs" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tabular.rst").write_text(page(results))
    draw(results, folder / "tabular.png")
    readme = root / "README.md"
    text = readme.read_text() if readme.exists() else ""
    start, end = README_MARKERS
    if start in text and end in text:
        before, rest = text.split(start, 1)
        after = rest.split(end, 1)[1]
        readme.write_text(f"{before}{start}\n{readme_table(results)}\n{end}{after}")
    else:
        print(f"README.md has no {start} ... {end}: left as it is")


# ------------------------------------------------------------------ picture


def _draw_ratios(axes, results, limit=8.0):
    """Draw each model's loss relative to HistGradientBoosting, one line per table."""
    means = results["summary"]["means"]
    models = _models(results)
    tables = [table for table in means if "hgb" in means[table]]
    shown = set()
    for row, table in enumerate(tables):
        loss = LOSS[means[table]["hgb"]["task"]]
        base = means[table]["hgb"][loss]
        ratios = {m: means[table][m][loss] / base for m in models if m in means[table]}
        axes.plot([1 / limit, limit], [row, row], color="#EEF0F2", lw=7, zorder=0)
        # The models with a colour come last and lie on top.
        for model in sorted(ratios, key=lambda m: (m in COLOURS, m == "npt")):
            if model == "hgb":
                continue
            own = model in COLOURS
            ratio = np.clip(ratios[model], 1 / limit, limit)
            beyond = ratio != ratios[model]
            marker = {True: ">" if ratios[model] > 1 else "<"}.get(beyond, "o" if own else "|")
            label = LABELS[model] if own else "other models"
            axes.plot(
                ratio, row, ls="", marker=marker, clip_on=False,
                ms={"npt": 10}.get(model, 7 if own or not beyond else 4.5),
                mew=0.8 if own or beyond else 1.6,
                mec="white" if own else GREY, color=COLOURS.get(model, GREY),
                zorder=3 if own else 2, label=None if label in shown else label,
            )  # fmt: skip
            shown.add(label)
    axes.axvline(1, color=COLOURS["hgb"], lw=1.5, zorder=1)
    axes.text(1, -0.85, LABELS["hgb"], color=COLOURS["hgb"], ha="center", va="bottom", fontsize=9)
    axes.set_xscale("log", base=2)
    axes.set_xlim(1 / limit, limit)
    ticks = [0.125, 0.25, 0.5, 1, 2, 4, 8]
    axes.set_xticks(ticks, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.minorticks_off()
    axes.set_ylim(len(tables) - 0.4, -0.9)
    names = [f"{t}  ({'log loss' if LOSS[means[t]['hgb']['task']] == 'log_loss' else 'RMSE'})"
             for t in tables]  # fmt: skip
    axes.set_yticks(range(len(tables)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("loss relative to HistGradientBoosting  (← better)")
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=4, frameon=False,
        handletextpad=0.3, columnspacing=1.4, fontsize=9,
    )  # fmt: skip


def _place_labels(points, height):
    """Shift labels at nearly the same place apart, in units of the vertical axis."""
    placed = []
    for name, x, y in sorted(points, key=lambda point: point[2]):
        at = y
        for _, other_x, other_y in placed:
            if abs(np.log10(x / other_x)) < 0.75 and at - other_y < height:
                at = other_y + height
        placed.append((name, x, at))
    return {name: at for name, _, at in placed}


def _draw_ranks(axes, results):
    """Draw mean rank against time to fit, each point with its name."""
    ranking = _main_set(results)["ranking"]["mean_rank"]
    points = [(m, _geometric_mean(results, m, "fit_cpu_s"), rank) for m, rank in ranking.items()]
    labels = _place_labels(points, height=(len(points) + 1) / 22)
    for model, seconds, rank in points:
        colour = COLOURS.get(model, GREY)
        axes.plot(seconds, rank, "o", ms=10 if model == "npt" else 7, color=colour, mec="white")
        axes.annotate(
            LABELS[model], (seconds, labels[model]), xytext=(8, 0), textcoords="offset points",
            va="center", fontsize=9, color=COLOURS.get(model, "#4A5157"),
            weight="bold" if model == "npt" else "normal",
        )  # fmt: skip
    seconds = [point[1] for point in points]
    axes.set_xscale("log")
    axes.set_xlim(min(seconds) / 2, max(seconds) * 12)
    axes.set_ylim(max(ranking.values()) + 0.6, min(1.0, min(ranking.values())) - 0.3)
    axes.set_xlabel("CPU seconds to fit (geometric mean)")
    axes.set_ylabel(f"mean rank of {len(points)} models  (better ↑)")
    axes.grid(color="#EEF0F2")
    axes.set_axisbelow(True)


def draw(results, path):
    """Draw the picture of the benchmark into a file.

    Left: the loss of each model relative to HistGradientBoosting, table by table.
    Right: mean rank against CPU seconds to fit.
    """
    from matplotlib.figure import Figure

    n_tables = len(results["summary"]["means"])
    figure = Figure(figsize=(11, 3.2 + 0.24 * n_tables), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    _draw_ratios(left, results)
    _draw_ranks(right, results)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#B5BBC0")
        axes.tick_params(color="#B5BBC0", labelcolor="#2B3035")
    left.spines["left"].set_visible(False)
    left.set_title("Loss on each table", loc="left", fontsize=11)
    right.set_title("Score and time", loc="left", fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
