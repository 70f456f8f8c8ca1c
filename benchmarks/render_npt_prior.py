"""Turn the results of `bench_npt_prior.py` into lines of text, a page and a picture."""

import json

from npt_prior_models import LABELS, PEERS, VARIANTS
from npt_prior_summary import HIGHER_IS_BETTER, SCORES, TABLES, WORDS
from npt_prior_tables import MANY_CLASSES, MAX_TEST
from pages import grid, number, target_words, verdict
from render_tabular import SHORT as SHORT_PEERS
from render_tabular import join

SHORT = {**SHORT_PEERS, "npt_pretrained": "NPT", "npt_fine_tuned": "NPT tuned",
         "npt_scratch": "NPT scratch"}  # fmt: skip


def load(out):
    """Read the results file, or return nothing."""
    return json.loads(out.read_text()) if out.exists() else {}


def boards(summary):
    """Yield the boards of a task and size that are there: name and board."""
    for name in ("complete", "common"):
        if name in summary:
            yield name, summary[name]


def rank_of(board, score, model):
    """Mean rank of a model: a variant of NPT beside the peers, a peer beside the first variant."""
    fields = board["ranks"][score]
    if model in VARIANTS:
        return fields[model][model]
    return next(iter(fields.values()))[model]


def board_rows(board, task):
    """Rows of model, mean scores and mean ranks, the best mean rank first."""
    ranked = ("log_loss", "auc") if task == "classification" else ("rmse",)
    shown = ("log_loss", "auc", "accuracy") if task == "classification" else ("relative_rmse", "r2")
    models = sorted(board["models"], key=lambda model: rank_of(board, ranked[0], model))
    head = ["model", *(f"mean {words_of(key)}" for key in shown),
            *(f"mean rank by {words_of(key)}" for key in ranked)]  # fmt: skip
    rows = [
        [LABELS[model], *(f"{board['means'][model][key]:.4f}" for key in shown),
         *(f"{rank_of(board, key, model):.2f}" for key in ranked)]
        for model in models
    ]  # fmt: skip
    return head, rows


def words_of(key):
    """Write the name of a score."""
    return {**WORDS, "relative_rmse": "RMSE / sd", "r2": "R²"}.get(key, key)


def terminal_table(results):
    """Write the boards as lines of text."""
    lines = []
    for task, by_size in results["summary"]["tasks"].items():
        for size, summary in by_size.items():
            for name, board in boards(summary):
                head, rows = board_rows(board, task)
                lines.append(
                    f"\n{task}, {size} context rows, {len(board['tables'])} tables, "
                    f"{board['n_fits']} fits a model ({name})"
                )
                for row in [head, *rows]:
                    lines.append(f"{row[0]:<22}" + "".join(f"{cell:>24}" for cell in row[1:]))
    return "\n".join(lines) or "no results"


# ------------------------------------------------------------------ the page


def _heading(text, mark):
    return f"{text}\n{mark * len(text)}\n"


def _score_grid(means, tables, models, score):
    """Scores by table, the best in bold; † marks a mean over fewer splits than others'."""
    sign = -1 if score in HIGHER_IS_BETTER else 1
    rows = []
    for table in tables:
        known = {m: e for m, e in means[table].items() if m in models}
        most = max(entry["n_splits"] for entry in known.values())
        whole = {m: e[score] for m, e in known.items() if e["n_splits"] == most}
        best = min(whole, key=lambda m: sign * whole[m])
        cells = []
        for model in models:
            text = "–"
            if model in known:
                value = known[model][score]
                text = f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"
                text = f"**{text}**" if model == best else text
                text += "" if model in whole else "†"
            cells.append(text)
        rows.append([table, *cells])
    return grid(["table", *(SHORT[model] for model in models)], rows)


def _versus_rows(summary, task):
    rows = []
    for variant, by_peer in summary["versus"].items():
        for peer, by_score in by_peer.items():
            for score in SCORES[task][:2]:
                entry = by_score[score]
                rows.append(
                    [LABELS[variant], LABELS[peer], words_of(score),
                     f"{entry['won']} / {entry['tied']} / {len(entry['lost'])}",
                     "–" if task == "regression" else f"{entry['difference']:+.4f}",
                     number(entry["p_fits"]), number(entry["p_tables"]),
                     ", ".join(entry["lost"]) or "none"]
                )  # fmt: skip
    return rows


def _task_size(results, task, size, summary):
    means = results["summary"]["means"][size]
    models = [m for m in LABELS if any(m in means[table] for table in summary["tables"])]
    out = [_heading(f"{task.capitalize()}, {size} context rows", "-")]
    if size == "500":
        out.append("Tables whose training half has fewer rows give all of them.\n")
    for name, board in boards(summary):
        head, rows = board_rows(board, task)
        words = (f"{len(board['tables'])} tables, {board['n_fits']} fits of each model; a variant "
                 "of NPT is ranked among the peers, without the other variants")  # fmt: skip
        if name == "complete":
            out.append(f"Models that have every fit: {words}.\n")
        else:
            out.append(
                f"All models that lack one table at most, on the fits that all of them have: "
                f"{words}. Not every model was run on every split, for some are costly.\n"
            )
        out.append(grid(head, rows))
    if summary["left_out"]:
        left = join([LABELS[m] for m in summary["left_out"]])
        out.append(f"In no mean, for they lack whole tables: {left}.\n")
    versus = _versus_rows(summary, task)
    if versus:
        out.append(
            "NPT beside each peer on the fits that both have: tables won / tied / lost, mean "
            "difference of the score, p of Wilcoxon's signed-rank test over the fits (splits of "
            "one table share rows: too small) and over the tables.\n"
        )
        head = ["", "beside", "score", "won / tied / lost", "difference", "p, fits", "p, tables",
                "lost on"]  # fmt: skip
        out.append(grid(head, versus))
    for score in SCORES[task]:
        sense = "higher" if score in HIGHER_IS_BETTER else "lower"
        out.append(
            f"{words_of(score)[0].upper()}{words_of(score)[1:]} on each table, {sense} is better, "
            "the best in bold; † not all splits:\n"
        )
        out.append(_score_grid(means, summary["tables"], models, score))
    if task == "regression":
        out += _intervals(means, summary["tables"])
    return out


def _intervals(means, tables):
    rows = [
        [table, LABELS[m], f"{100 * e['coverage_90']:.1f} %", f"{e['width_90']:.2f}"]
        for table in tables
        for m, e in means[table].items()
        if "coverage_90" in e
    ]
    if not rows:
        return []
    head = ["table", "model", "rows within", "width / sd of the target"]
    return ["Intervals from the 5 % to the 95 % quantile:\n", grid(head, rows)]


def _many_classes(results):
    means = results["summary"]["means"].get("500", {})
    tables = [table for table in MANY_CLASSES if table in means]
    if not tables:
        return []
    models = [m for m in LABELS if any(m in means[table] for table in tables)]
    out = [
        _heading("More classes than the weights know", "-"),
        "Tables of 15 and 19 classes, all their training half as context; they are in no mean "
        "above.\n",
    ]
    for score in SCORES["classification"]:
        out.append(f"{words_of(score)[0].upper()}{words_of(score)[1:]}:\n")
        out.append(_score_grid(means, tables, models, score))
    return out


def _figure_grid(figures):
    rows = []
    for entry in figures:
        word = verdict(entry)
        word = "**missed**" if word == "MISSED" else word
        target = entry.get("target", "–")
        target = target if target[:2] in ("> ", "< ") else target_words(entry)
        rows.append([entry["name"], number(entry["value"]), target, word])
    return grid(["figure", "measured", "target", ""], rows)


def _weights(results):
    if not results["weights"]:
        return ["There are no pretrained weights in the package yet.\n"]
    rows = [
        [f"``{w['file']}``", f"{w['bytes']:,}", f"``{w['sha256'][:16]}…``",
         "; ".join(f"{key}: {value}" for key, value in _flat(w["says"]).items()) or "–"]
        for w in results["weights"]
    ]  # fmt: skip
    return [
        "Weights in use; all were made from synthetic tables only. What is done with them on these "
        "tables was looked at while they were made: they are development tables.\n",
        grid(["file", "bytes", "SHA-256", "says of itself"], rows),
    ]


def _flat(says, prefix=""):
    """Flatten nested facts to short ones; lists and long texts are left out."""
    flat = {}
    for key, value in says.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        elif not isinstance(value, list) and len(str(value)) < 60:
            flat[prefix + key] = f"{value:.3g}" if isinstance(value, float) else value
    return flat


def page(results):
    """Write the documentation page."""
    summary = results["summary"]
    judged = [f for f in results["figures"] if "target" in f]
    lost = [f for f in judged if not f["reached"]]
    n_splits = len({record["split"] for record in results["records"]})
    out = [
        _heading("The pretrained NPT on small tables", "="),
        ".. This page is written by ``python benchmarks/bench_npt_prior.py --render``;\n"
        "   its numbers come from ``benchmarks/results/npt_prior.json``.\n",
        f"Half of every table may be context, the other half is for the test ({n_splits} splits, "
        "classes in their shares, seeds 0, 1, ...). Each model gets the same 500, 100 or 1,000 "
        f"rows of the first half, every class with one row at least, and at most {MAX_TEST:,} rows "
        "of the second are asked. All models run on one thread; none is tuned to a table. "
        "Repeated rows are dropped before.\n",
        *_weights(results),
        ".. image:: npt_prior.png\n   :alt: Mean rank of each model, log loss on each table "
        "relative to HistGradientBoosting, and the training curve of the weights.\n",
        _heading("Targets", "-"),
    ]
    if judged:
        out.append(f"{len(judged) - len(lost)} of {len(judged)} targets are reached.\n")
        out.append(_figure_grid(results["figures"]))
    else:
        out.append("No result of NPT yet.\n")
    for task, by_size in summary["tasks"].items():
        for size, entry in by_size.items():
            out += _task_size(results, task, size, entry)
    out += _many_classes(results)
    out += _curve(results)
    if results["cost"]:
        out.append(_heading("Cost and exactness", "-"))
        out += [note + "\n" for note in results["cost"].get("notes", [])]
        out.append(f"``{results['cost']['configuration']}``. Figures: among the targets above.\n")
    means = summary["means"].get("500", {})
    models = [m for m in LABELS if any(m in by_model for by_model in means.values())]
    rows = [
        [table, *("–" if m not in by_model else " / ".join(
            number(by_model[m][key]) for key in ("fit_cpu_s", "predict_cpu_s")) for m in models)]
        for table, by_model in means.items()
    ]  # fmt: skip
    out.append("CPU seconds to fit / to predict with 500 context rows, imports not counted:\n")
    out.append(grid(["table", *(SHORT[m] for m in models)], rows))
    out += _how_it_was_run(results, models)
    return "\n".join(out)


def _curve(results):
    """Tell how the weights became what they are, where that was written down."""
    rows = []
    for run, entry in results["pretraining"].items():
        points = [point for point in entry["points"] if point.get("development")]
        for i in sorted({0, len(points) // 4, len(points) // 2, len(points) - 1}):
            if 0 <= i < len(points):
                point, real = points[i], points[i]["development"]
                rows.append(
                    [run, f"{point['step']:,}", f"{point['flop']:.2g}", f"{point['seconds']:,.0f}",
                     f"{point['validation_loss']:.4f}", f"{real['auc']:.4f}",
                     f"{real['log_loss']:.4f}", real["n_tables"]]
                )  # fmt: skip
    if not rows:
        return []
    head = ["run", "step", "FLOP", "seconds", "loss on synthetic tables", "AUC", "log loss",
            "tables"]  # fmt: skip
    return [
        _heading("Training curve", "-"),
        "The picture shows log loss on development tables against compute: one member in one "
        "pass, on half of the rows as context; the lines of the peers are their log loss on split "
        "0 of the tables of the same names, which are other rows. Some of its points:\n",
        grid(head, rows),
    ]


def _how_it_was_run(results, models):
    in_mean = {table for tables in TABLES.values() for table in tables}
    rows = [
        [name, t["task"], t["n_rows"], t["n_features"], t["n_categorical"], t["n_classes"] or "–",
         f"{100 * t['missing_fraction']:.1f} %", t["split"],
         results["made"].get(name, "–") + ("" if name in in_mean else "; in no mean")]
        for name, t in results["tables"].items()
    ]  # fmt: skip
    head = ["table", "task", "rows", "features", "categorical", "classes", "missing", "split",
            "made of"]  # fmt: skip
    out = [_heading("Tables and models", "-"), grid(head, rows)]
    settings = results["settings"]
    out.append(grid(["model", "how it is run"], [[LABELS[m], settings[m]] for m in models]))
    failed = {
        f"- {LABELS[r['model']]} on {r['table']} with {r['n']} rows: ``{r['error']}``"
        for r in results["records"]
        if "error" in r and (r["model"] in PEERS or r["model"] in models)
    }
    if failed:
        out.append("Failed fits:\n\n" + "\n".join(sorted(failed)) + "\n")
    machine = results["machine"]
    if machine:
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        out.append(
            f"Machine: {machine['cpu']}, {machine['n_cores']} cores, {machine['system']}; one "
            f"thread a model. Versions: {versions}.\n\nCommands, in this order:\n"
        )
    out.append("::\n\n" + "\n".join(f"   {command}" for command in results["commands"]) + "\n")
    return out


def write_page(results, root):
    """Write page and picture into the docs."""
    from draw_npt_prior import draw

    folder = root / "docs" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "npt_prior.rst").write_text(page(results))
    draw(results, folder / "npt_prior.png")
