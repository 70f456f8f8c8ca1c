"""Turn the results of the tabular benchmark into tables of text and a page."""

from draw_tabular import draw
from pages import grid
from tabular_peers import LABELS, SETTINGS
from tabular_scores import LOSS, main_set, mean_cost

README_MARKERS = ("<!-- benchmark-table -->", "<!-- /benchmark-table -->")
#: Names short enough for a terminal of 100 columns.
VARIANTS = ("npt_pretrained", "npt", "ot", "primal")
SHORT = {**LABELS, "hgb": "HistGB", "forest": "forest", "linear": "linear", "knn": "5-NN"}


def _models(results):
    """List the models that have results, in the order of the benchmark."""
    means = results["summary"]["means"]
    return [model for model in LABELS if any(model in by_model for by_model in means.values())]


def number(value):
    """Three significant digits, more for large numbers; a dash for none."""
    if value is None:
        return "–"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _mean_of(results, table, model, key):
    return results["summary"]["means"].get(table, {}).get(model, {}).get(key)


def loss_rows(results, mark="{}*"):
    """Rows of table name, score and the mean loss of each model, the best one marked.

    A mean over fewer splits than the others' bears a dagger and is never called the best.
    """
    models = _models(results)
    rows = []
    for table, by_model in results["summary"]["means"].items():
        loss = LOSS[next(iter(by_model.values()))["task"]]
        values = {m: by_model[m][loss] for m in models if m in by_model}
        n_splits = max(entry["n_splits"] for entry in by_model.values())
        partial = {m for m in values if by_model[m]["n_splits"] < n_splits}
        best = min(values.keys() - partial, key=values.get)
        cells = [number(values.get(m)) + ("†" if m in partial else "") for m in models]
        cells[models.index(best)] = mark.format(cells[models.index(best)])
        rows.append([table, {"log_loss": "log loss", "rmse": "RMSE"}[loss], *cells])
    return rows


def rank_row(results, which="ranking"):
    """Mean rank of each model over the main set; a dash for those that lack results."""
    ranking = main_set(results)[which]["mean_rank"]
    return [number(ranking.get(model)) for model in _models(results)]


def terminal_table(results):
    """Write losses, mean ranks and costs as lines of text."""
    if not results["records"]:
        return "no results"
    models = _models(results)
    head = ["", "", *(SHORT[model] for model in models)]
    rows = loss_rows(results)
    rows.append(None)
    rows.append(["mean rank", "", *rank_row(results)])
    rows.append(["", "classes", *rank_row(results, "ranking_classes")])
    for name, key in (("fit", "fit_cpu_s"), ("predict", "predict_cpu_s")):
        cells = [number(mean_cost(results, model, key)) for model in models]
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
    difference = main_set(results)["ranking"]["critical_difference"]
    if difference:
        lines += [f"Mean ranks closer than {difference:.1f} are not told apart (Nemenyi, 5 %)."]
    if any("†" in cell for row in rows if row for cell in row):
        lines += ["† not all splits were run."]
    for variant in VARIANTS:
        lines += [
            f"{LABELS[variant]}, beside {text}"
            for text in verdicts(results, variant)
            if text.startswith(LABELS["hgb"])
        ]
    return "\n".join(lines)


# ------------------------------------------------------------------ words


def join(names):
    """Write names as a list in words."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def ranked(main):
    """List models with their mean ranks over all tables and over those with classes.

    The best comes first; those that are made for classes alone come last.
    """
    every, classes = main["ranking"]["mean_rank"], main["ranking_classes"]["mean_rank"]
    models = [*sorted(every, key=every.get), *sorted(classes.keys() - every, key=classes.get)]
    return [
        (m, [f"{ranks[m]:.2f}" if m in ranks else "–" for ranks in (every, classes)])
        for m in models
    ]


def difference_words(main):
    """Say from where on mean ranks differ."""
    differences = [main[key]["critical_difference"] for key in ("ranking", "ranking_classes")]
    if None in differences:
        return ""
    return (
        "Two mean ranks that differ by less than {:.1f} ({:.1f} over classes alone) count as "
        "equal (critical difference of Nemenyi's test at 5 %).\n".format(*differences)
    )


def verdicts(results, variant):
    """One sentence for each peer of a method of ours: wins, losses by name, ratio."""
    main = main_set(results)
    sentences = []
    peers = main["versus"].get(variant, {})
    for peer in [model for model in LABELS if model in peers]:
        versus = peers[peer]
        if not versus["n_tables"]:
            continue
        lost = [t for t in main["tables"] if versus["ratios"].get(t, 0) > 1]
        text = (
            f"{LABELS[peer]}: lower loss on {versus['wins']} of {versus['n_tables']} tables "
            f"({versus['clear_wins']} clearly), higher on {versus['losses']} "
            f"({versus['clear_losses']} clearly)"
        )
        if lost:
            text += f": {join(lost)}"
        text += f". Mean ratio of losses {versus['loss_ratio']:.2f}"
        text += f", of CPU seconds to fit {number(versus['cpu_ratio'])}."
        sentences.append(text)
    return sentences


def _score_grid(results, key, task):
    models = _models(results)
    rows = []
    for table, by_model in results["summary"]["means"].items():
        if next(iter(by_model.values()))["task"] == task:
            values = [_mean_of(results, table, model, key) for model in models]
            rows.append([table, *("–" if v is None else f"{v:.3f}" for v in values)])
    return grid(["table", *(LABELS[model] for model in models)], rows)


def page(results):
    """Write the documentation page."""
    models = _models(results)
    main = main_set(results)
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
    costs = [
        [
            LABELS[m],
            *ranks,
            *(number(mean_cost(results, m, k)) for k in ("fit_cpu_s", "predict_cpu_s")),
        ]
        for m, ranks in ranked(main)
    ]
    head = ["model", "mean rank", "of classes alone", "fit, CPU s", "predict, CPU s"]
    out.append(grid(head, costs))
    left_out = [
        m for m in main["ranking"]["incomplete"] if m in main["ranking_classes"]["incomplete"]
    ]
    if left_out:
        left_out = join([LABELS[m] for m in left_out])
        out.append(f"Not ranked, for they lack some of the splits: {left_out}.\n")
    out.append(difference_words(main))
    for variant in VARIANTS:
        sentences = verdicts(results, variant)
        if not sentences:
            continue
        out.append(
            f"{LABELS[variant]}, beside each peer. *Clearly*: the paired differences over the "
            "splits leave zero by more than two standard errors.\n"
        )
        out.append("\n".join(f"- {sentence}" for sentence in sentences) + "\n")
        versus = main["versus"][variant].get("hgb")
        if versus and "worst_rmse_ratio" in versus and "worst_auc_difference" in versus:
            ratio, table_r = versus["worst_rmse_ratio"]
            auc, table_a = versus["worst_auc_difference"]
            out.append(
                f"Worst cases against HistGradientBoosting: {ratio:.2f} times its RMSE "
                f"({table_r}); AUC {auc:+.3f} ({table_a}).\n"
            )
    out.append(
        "Loss\n----\n\nMean over the splits, lower is better, the best in bold; † not all splits.\n"
    )
    head = ["table", "score", *(LABELS[model] for model in models)]
    out.append(grid(head, loss_rows(results, "**{}**")))
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
        [table, *(number(_mean_of(results, table, m, "fit_cpu_s")) for m in models)]
        for table in results["summary"]["means"]
    ]
    out.append(grid(["table", *(LABELS[m] for m in models)], rows))
    out.append(
        "Rise of resident memory during fit and predict, MB, the largest over tables and "
        "splits. It is a lower bound, for memory left by an earlier fit is used again.\n"
    )
    peak = {m: [] for m in models}
    for record in results["records"]:
        if record.get("cost", {}).get("peak_memory_mb") is not None:
            peak[record["model"]].append(record["cost"]["peak_memory_mb"])
    rows = [[number(max(peak[m])) if peak[m] else "–" for m in models]]
    out.append(grid([LABELS[m] for m in models], rows))
    out.append("Tables\n------\n")
    rows = [
        [name, t["task"], t["n_rows_raw"], t["n_rows"], t["n_features"], t["n_categorical"],
         f"{100 * t['missing_fraction']:.1f} %", t["split"]]
        for name, t in results["tables"].items()
        if name in results["summary"]["means"]
    ]  # fmt: skip
    head = ["table", "task", "rows", "without repeats", "features", "categorical", "missing"]
    out.append(grid([*head, "split"], rows))
    out.append("Models\n------\n")
    out.append(grid(["model", "how it is run"], [[LABELS[m], SETTINGS[m]] for m in models]))
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
    main = main_set(results)
    n, n_classes = (len(main[key]["mean_rank"]) for key in ("ranking", "ranking_classes"))
    lines = [
        f"| model | mean place, all tables (1 to {n}) | mean place, "
        f"classification (1 to {n_classes}) | tables where trained "
        "NPT is better / worse | error of trained NPT / error of this model | seconds to fit |",
        "|---|---|---|---|---|---|",
    ]
    for model, ranks in ranked(main):
        versus = main["versus"].get("npt", {}).get(model)
        beside = ["", ""]
        if versus:
            beside = [f"{versus['wins']} / {versus['losses']}", f"{versus['loss_ratio']:.2f}"]
        name = f"**{LABELS[model]}**" if model in VARIANTS else LABELS[model]
        fit = number(mean_cost(results, model, "fit_cpu_s"))
        lines.append(f"| {name} | {' | '.join([*ranks, *beside, fit])} |")
    n_splits = len({record["split"] for record in results["records"]})
    lines.append(
        f"\nOver {len(main['tables'])} tables, each cut {n_splits} times into rows to learn from "
        "and rows to be tested on. The error is scikit-learn's `log_loss` for classes and the root "
        "mean squared error for numbers. A model's place is 1 on the table where its error is the "
        "smallest; – stands where it cannot do all tables. A quotient of errors below 1 means that "
        "trained NPT errs less (geometric mean over tables). Seconds are CPU seconds. How each "
        "model is run, mostly at its defaults, stands on the benchmark's page. "
        f"{_places_words(main)} "
        "From `benchmarks/results/tabular.json`, made by `python benchmarks/bench_tabular.py`."
    )
    return "\n".join(lines)


def _places_words(main):
    """Say in plain words from where on mean places differ."""
    differences = [main[key]["critical_difference"] for key in ("ranking", "ranking_classes")]
    if None in differences:
        return ""
    return (
        "With so few tables, mean places less than {:.1f} apart ({:.1f} for classification) may "
        "differ by chance (Nemenyi's test at 5 %).".format(*differences)
    )


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
