"""What the fits of the pretrained NPT and its peers say together, and what was aimed at."""

import numpy as np
from npt_figures import figure
from npt_prior_models import LABELS, MODELS, PEERS, VARIANTS
from npt_prior_tables import CLASSIFICATION, REGRESSION
from scipy.stats import wilcoxon
from tabular_scores import ranks, table_means

TABLES = {"classification": CLASSIFICATION, "regression": REGRESSION}
#: Scores that are ranked and compared, the first one before all.
SCORES = {"classification": ("log_loss", "auc", "accuracy"), "regression": ("rmse",)}
HIGHER_IS_BETTER = ("auc", "accuracy", "r2")
WORDS = {"log_loss": "log loss", "auc": "AUC", "accuracy": "accuracy", "rmse": "RMSE"}
COMBINATORIAL = {"tic_tac_toe": 0.99, "car": 0.985}
COVERED = "0.88 to 0.92"
N_TABLES = {"classification": 14, "regression": 6}


def scores_by_model(records):
    """Return ``found[model][table, split]``, the scores of every fit that has them."""
    found = {}
    for record in records:
        if "scores" in record:
            key = record["table"], record["split"]
            found.setdefault(record["model"], {})[key] = record["scores"]
    return {model: found[model] for model in MODELS if model in found}


def means_by_table(of_model, pairs, score):
    """Mean of a score over the splits of each table among `pairs`."""
    values = {}
    for table, split in sorted(pairs):
        values.setdefault(table, []).append(of_model[table, split][score])
    return {table: float(np.mean(list_)) for table, list_ in values.items()}


def mean_ranks(found, models, pairs, score):
    """Mean over the tables of the rank by the mean score over the splits; 1 is the best."""
    sign = -1 if score in HIGHER_IS_BETTER else 1
    means = [means_by_table(found[model], pairs, score) for model in models]
    per_table = [ranks([sign * mean[table] for mean in means]) for table in means[0]]
    return dict(zip(models, np.mean(per_table, axis=0).tolist(), strict=True))


def board(found, models, pairs, task):
    """Set models side by side on the same (table, split) pairs.

    Returns
    -------
    board : dict
        ``means[model][score]``: mean over the tables of means over the splits. Regression
        has ``relative_rmse``, RMSE over the standard deviation of the test targets, in
        place of RMSE. ``ranks[score][name]``: mean ranks of all peers and of the variant
        `name` of NPT, without the other variants; ``"peers"`` of the peers alone.
    """
    means = {}
    for model in models:
        keys = set.intersection(*(set(found[model][pair]) for pair in pairs))
        means[model] = {
            key: float(np.mean(list(means_by_table(found[model], pairs, key).values())))
            for key in sorted(keys - {"rmse", "mae"})
        }
        if task == "regression":
            left = {pair: {"sd": max(0.0, 1 - found[model][pair]["r2"]) ** 0.5} for pair in pairs}
            relative = means_by_table(left, pairs, "sd")
            means[model]["relative_rmse"] = float(np.mean(list(relative.values())))
    peers = [model for model in models if model in PEERS]
    fields = {name: [name, *peers] for name in models if name in VARIANTS}
    if peers:
        fields["peers"] = peers
    return {
        "models": models,
        "tables": sorted({table for table, _ in pairs}, key=TABLES[task].index),
        "n_fits": len(pairs),
        "means": means,
        "ranks": {
            score: {name: mean_ranks(found, field, pairs, score) for name, field in fields.items()}
            for score in SCORES[task]
        },
    }


def signed_rank(differences):
    """Two-sided p of Wilcoxon's signed-rank test; 1 where nothing differs."""
    differences = np.asarray(differences)
    return float(wilcoxon(differences).pvalue) if np.any(differences) else 1.0


def beside(found, model, peer, score):
    """Compare two models by one score on the (table, split) pairs that both have.

    Returns
    -------
    comparison : dict
        Tables won, tied and lost by the mean over the splits, the lost ones by name;
        ``difference``: mean over the tables of model less peer; p-values of signed-rank
        tests over the fits (splits of one table share rows, so these are too small) and
        over the tables; ``rank_difference``: mean rank of the model less that of the peer
        among ``n_ranked`` models, which are the two and every other peer that has all
        these pairs.
    """
    pairs = sorted(set(found[model]) & set(found[peer]))
    ours, theirs = (means_by_table(found[name], pairs, score) for name in (model, peer))
    difference = {table: ours[table] - theirs[table] for table in ours}
    gain = {t: d if score in HIGHER_IS_BETTER else -d for t, d in difference.items()}
    fits = [found[model][pair][score] - found[peer][pair][score] for pair in pairs]
    field = [model, *(name for name in found if name in PEERS and set(pairs) <= set(found[name]))]
    ranked = mean_ranks(found, field, pairs, score)
    return {
        "n_tables": len(gain),
        "n_fits": len(pairs),
        "won": sum(g > 0 for g in gain.values()),
        "tied": sum(g == 0 for g in gain.values()),
        "lost": [table for table, g in gain.items() if g < 0],
        "difference": float(np.mean(list(difference.values()))),
        "p_fits": signed_rank(fits),
        "p_tables": signed_rank(list(difference.values())),
        "rank_difference": ranked[model] - ranked[peer],
        "n_ranked": len(field),
    }


def summarise_task(records, task):
    """Summarise the records of one task and one size of the context.

    Returns
    -------
    summary : dict
        ``complete``: the board of the models that have every fit that any model has.
        ``common``: if some lack fits, the board of all models that lack one table at
        most, on the fits that all of them have. ``left_out``: models in neither.
        ``versus[variant][peer][score]``: NPT beside each peer.
    """
    found = scores_by_model([r for r in records if r["table"] in TABLES[task]])
    if not found:
        return None
    pairs = set().union(*found.values())
    tables = {table for table, _ in pairs}
    complete = [model for model in found if set(found[model]) == pairs]
    covering = [m for m in found if len({table for table, _ in found[m]}) >= len(tables) - 1]
    common = set.intersection(pairs, *(set(found[model]) for model in covering))
    summary = {"tables": sorted(tables, key=TABLES[task].index), "n_fits": len(pairs)}
    if complete:
        summary["complete"] = board(found, complete, pairs, task)
    if len(covering) > len(complete) and common:
        summary["common"] = board(found, covering, common, task)
    shown = {
        m for name in ("complete", "common") for m in summary.get(name, {"models": ()})["models"]
    }
    summary["left_out"] = [model for model in found if model not in shown]
    summary["versus"] = {
        variant: {
            peer: {score: beside(found, variant, peer, score) for score in SCORES[task]}
            for peer in found
            if peer in PEERS and set(found[variant]) & set(found[peer])
        }
        for variant in found
        if variant in VARIANTS
    }
    return summary


def summarise(records):
    """Summarise all records, by size of the context and by task."""
    sizes = sorted({record["n"] for record in records}, key=lambda n: (n != 500, n))
    of_size = {n: [record for record in records if record["n"] == n] for n in sizes}
    return {
        "means": {str(n): table_means(of_size[n]) for n in sizes},
        "tasks": {
            task: {
                str(n): summary
                for n in sizes
                if (summary := summarise_task(of_size[n], task)) is not None
            }
            for task in TABLES
        },
    }


# ------------------------------------------------------------------ targets


def _figure(summary, size, variant, peer, score, target, key="difference"):
    """Return a list of the figure, empty if the pair lacks more than one table."""
    entry = summary["versus"].get(variant, {}).get(peer, {}).get(score)
    if entry is None or entry["n_tables"] < len(summary["tables"]) - 1:
        return []
    among = f", {entry['n_ranked']} models" if key == "rank_difference" else ""
    what = f"rank by {WORDS[score]}" if key == "rank_difference" else WORDS[score]
    name = (f"{LABELS[variant]}, {size} rows: mean {what} less that of {LABELS[peer]} "
            f"({entry['n_tables']} tables, {entry['n_fits']} fits{among})")  # fmt: skip
    return [figure(name, entry[key], target)]


def _ranked(summary, size, variant, peer, score):
    return _figure(summary, size, variant, peer, score, "< 0", "rank_difference")


def _classification_figures(summary, size):
    result = []
    for peer in ("hgb", "forest"):
        for score, target in (("auc", ">= 0"), ("log_loss", "<= 0")):
            result += _figure(summary, size, "npt_pretrained", peer, score, target)
    result += _ranked(summary, size, "npt_pretrained", "catboost", "log_loss")
    for score, target in (("auc", "> 0"), ("log_loss", "< 0")):
        result += _figure(summary, size, "npt_fine_tuned", "catboost", score, target)
        result += _ranked(summary, size, "npt_fine_tuned", "catboost", score)
    return result


def _regression_figures(summary, size):
    result = []
    for peer in ("hgb", "forest"):
        result += _ranked(summary, size, "npt_pretrained", peer, "rmse")
    for name in ("complete", "common"):
        board = summary.get(name, {"means": {}})
        means = board["means"].get("npt_pretrained", {})
        if "coverage_90" in means:
            words = (f"NPT pretrained, {size} rows: share of test rows within the 90 % interval "
                     f"({len(board['tables'])} tables, {board['n_fits']} fits)")  # fmt: skip
            return [*result, figure(words, means["coverage_90"], COVERED)]
    return result


def figures(summary):
    """Set what was measured beside the targets; only what has results of NPT is judged."""
    result = []
    makers = {"classification": _classification_figures, "regression": _regression_figures}
    for task, by_size in summary["tasks"].items():
        for size, entry in by_size.items():
            found = makers[task](entry, size)
            if found and size == "500":
                n_tables = len(entry["tables"])
                found.insert(0, figure(f"{task} tables", n_tables, f">= {N_TABLES[task]}"))
            result += found
    for table, target in COMBINATORIAL.items():
        entry = summary["means"].get("500", {}).get(table, {}).get("npt_fine_tuned")
        if entry:
            name = f"NPT fine-tuned, 500 rows: AUC on {table} ({entry['n_splits']} splits)"
            result.append(figure(name, entry["auc"], f">= {target}"))
    return result
