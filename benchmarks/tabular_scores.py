"""Scores of one fit, and what many fits say together."""

import numpy as np
from scipy.stats import studentized_range
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

N_ECE_BINS = 15
#: The score that ranks models, by task. Lower is better for both.
LOSS = {"classification": "log_loss", "regression": "rmse"}


def expected_calibration_error(y, probabilities, n_bins=N_ECE_BINS):
    r"""Mean distance of confidence and accuracy, over bins of equal width.

    .. math:: \sum_b \frac{n_b}{n} |\mathrm{accuracy}_b - \mathrm{confidence}_b|

    where the confidence of a row is its largest class probability and the bins cut
    :math:`(0, 1]`.
    """
    confidence = probabilities.max(axis=1)  # (n,)
    correct = probabilities.argmax(axis=1) == y  # (n,)
    bins = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)  # (n,)
    gap = np.bincount(bins, weights=correct - confidence, minlength=n_bins)  # (n_bins,)
    return float(np.abs(gap).sum() / len(y))


def macro_auc(y, probabilities):
    """Area under the ROC curve: plain for two classes, mean of one-vs-rest for more.

    Classes that do not occur in `y` have no curve and are left out of the mean.
    """
    if probabilities.shape[1] == 2:
        return float(roc_auc_score(y, probabilities[:, 1]))
    present = [k for k in np.unique(y) if 0 < np.sum(y == k) < len(y)]
    return float(np.mean([roc_auc_score(y == k, probabilities[:, k]) for k in present]))


def classification_scores(y, probabilities):
    """Score class probabilities (n, K) against class codes (n,).

    Probabilities of exactly zero are raised to the smallest step of float64 before the
    logarithm, as :func:`sklearn.metrics.log_loss` does.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)  # (n, K)
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    return {
        "log_loss": float(log_loss(y, probabilities, labels=np.arange(probabilities.shape[1]))),
        "accuracy": float(accuracy_score(y, probabilities.argmax(axis=1))),
        "auc": macro_auc(y, probabilities),
        "ece": expected_calibration_error(y, probabilities),
    }


def regression_scores(y, predictions):
    """Score predictions (n,) against values (n,)."""
    return {
        "rmse": float(root_mean_squared_error(y, predictions)),
        "mae": float(mean_absolute_error(y, predictions)),
        "r2": float(r2_score(y, predictions)),
    }


def ranks(values):
    """Rank values from 1 (smallest) up; equal values share the mean of their ranks."""
    values = np.asarray(values, dtype=np.float64)
    below = (values[:, None] > values).sum(axis=1)  # (m,)
    equal = (values[:, None] == values).sum(axis=1)  # (m,)
    return below + (equal + 1) / 2


def critical_difference(n_models, n_tables, alpha=0.05):
    r"""Difference of mean ranks beyond which two of the models differ (Nemenyi's test).

    .. math:: q_\alpha \sqrt{\frac{k (k + 1)}{6 N}}

    for k models on N tables, with the quantile of the studentized range over
    :math:`\sqrt 2` (Demsar, "Statistical Comparisons of Classifiers over Multiple Data
    Sets", JMLR 7, 2006).
    """
    quantile = studentized_range.ppf(1 - alpha, n_models, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(n_models * (n_models + 1) / (6 * n_tables)))


def table_means(records):
    """Mean and spread over the splits.

    Parameters
    ----------
    records : list of dict
        One per (table, split, model), each with ``scores`` and costs.

    Returns
    -------
    means : dict
        ``means[table][model]`` maps every score and cost to its mean, ``<loss>_sd`` to
        the standard deviation of the ranking loss, ``n_splits`` to the number of splits.
    """
    groups = {}
    for record in records:
        if "scores" in record:
            groups.setdefault((record["table"], record["model"]), []).append(record)
    means = {}
    for (table, model), group in groups.items():
        flat = [{**record["scores"], **record["cost"]} for record in group]
        entry = {}
        for key in flat[0]:
            known = [row[key] for row in flat if row[key] is not None]
            entry[key] = float(np.mean(known)) if known else None
        loss = LOSS[group[0]["task"]]
        entry[f"{loss}_sd"] = float(np.std([row[loss] for row in flat], ddof=len(flat) > 1))
        entry["n_splits"] = len(flat)
        entry["task"] = group[0]["task"]
        means.setdefault(table, {})[model] = entry
    return means


def _losses(records):
    """Return ``losses[table][model][split]`` of the ranking loss."""
    losses = {}
    for record in records:
        if "scores" in record:
            value = record["scores"][LOSS[record["task"]]]
            by_model = losses.setdefault(record["table"], {})
            by_model.setdefault(record["model"], {})[record["split"]] = value
    return losses


def mean_ranks(records):
    """Mean rank of each model over the tables of `records`.

    On each table models are ranked by the mean loss over its splits. A model that lacks
    a split of some table is left out, for a mean over fewer tables cannot be compared.
    """
    losses = _losses(records)
    splits = {table: set().union(*by_model.values()) for table, by_model in losses.items()}
    models = sorted({model for by_model in losses.values() for model in by_model})
    complete = [
        model
        for model in models
        if all(set(losses[table].get(model, ())) == splits[table] for table in losses)
    ]
    per_table = {}
    for table in losses:
        values = [np.mean([losses[table][m][s] for s in sorted(splits[table])]) for m in complete]
        per_table[table] = dict(zip(complete, ranks(values).tolist(), strict=True))
    n_models, n_tables = len(complete), len(losses)
    return {
        "mean_rank": {m: float(np.mean([per_table[t][m] for t in losses])) for m in complete},
        "critical_difference": critical_difference(n_models, n_tables) if n_models > 1 else None,
        "rank_per_table": per_table,
        "incomplete": [model for model in models if model not in complete],
    }


def compare(records, model, peer):
    """Set a model beside one peer on the (table, split) pairs that both have.

    Returns
    -------
    comparison : dict
        ``wins``, ``ties``, ``losses``: tables on which the model's mean loss is lower,
        equal, higher. ``clear_wins``, ``clear_losses``: those where the paired
        differences over the splits leave zero by more than two standard errors.
        ``ratios``: mean loss over the peer's, by table; ``loss_ratio``: their geometric
        mean; ``cpu_ratio``: the same of CPU seconds to fit. ``worst_rmse_ratio`` and
        ``worst_auc_difference`` with their tables.
    """
    pairs = {}
    for record in records:
        if record["model"] in (model, peer) and "scores" in record:
            key = (record["table"], record["split"])
            pairs.setdefault(key, {})[record["model"]] = record
    tables = {}
    for (table, _), pair in sorted(pairs.items()):
        if len(pair) == 2:
            tables.setdefault(table, []).append((pair[model], pair[peer]))
    result = dict.fromkeys(("wins", "ties", "losses", "clear_wins", "clear_losses"), 0)
    result["n_tables"] = len(tables)
    result["ratios"] = {}
    log_costs, rmse_ratios, auc_differences = [], {}, {}
    for table, group in tables.items():
        task = group[0][0]["task"]
        ours, theirs = (np.array([pair[i]["scores"][LOSS[task]] for pair in group]) for i in (0, 1))
        difference = ours - theirs  # (n_splits,)
        mean = difference.mean()
        outcome = "ties" if mean == 0 else "wins" if mean < 0 else "losses"
        result[outcome] += 1
        if len(group) > 1 and abs(mean) > 2 * difference.std(ddof=1) / np.sqrt(len(group)):
            result[f"clear_{outcome}"] += 1
        ratio = float(ours.mean() / theirs.mean())
        result["ratios"][table] = float(f"{ratio:.5g}")
        cpu = [np.mean([pair[i]["cost"]["fit_cpu_s"] for pair in group]) for i in (0, 1)]
        log_costs.append(np.log(cpu[0] / cpu[1]))
        if task == "regression":
            rmse_ratios[table] = ratio
        else:
            auc_differences[table] = float(
                np.mean([a["scores"]["auc"] - b["scores"]["auc"] for a, b in group])
            )
    if tables:
        result["loss_ratio"] = float(np.exp(np.mean(np.log(list(result["ratios"].values())))))
        result["cpu_ratio"] = float(np.exp(np.mean(log_costs)))
    if rmse_ratios:
        result["worst_rmse_ratio"] = max((v, k) for k, v in rmse_ratios.items())
    if auc_differences:
        result["worst_auc_difference"] = min((v, k) for k, v in auc_differences.items())
    return result


def summarise(records, table_sets, references=("npt_pretrained", "npt", "hgb")):
    """Summarise all records.

    Parameters
    ----------
    records : list of dict
        One per (table, split, model).
    table_sets : dict of str to sequence of str
        Named sets of tables to rank over.
    references : sequence of str
        Models that are set beside every other one.

    Returns
    -------
    summary : dict
        ``means`` and for each set ``ranking``, ``ranking_classes`` (over its tables with
        classes alone) and ``versus[reference][peer]``.
    """
    sets = {}
    for name, tables in table_sets.items():
        chosen = [record for record in records if record["table"] in tables]
        if not chosen:
            continue
        models = sorted({record["model"] for record in chosen})
        sets[name] = {
            "tables": sorted({record["table"] for record in chosen}, key=list(tables).index),
            "ranking": mean_ranks(chosen),
            "ranking_classes": mean_ranks([r for r in chosen if r["task"] == "classification"]),
            "versus": {
                a: {b: compare(chosen, a, b) for b in models if b != a}
                for a in references
                if a in models
            },
        }
    return {"means": table_means(records), "sets": sets}


def main_set(results):
    """Return the set of tables that the summary rests on: the ten if all are there."""
    sets = results["summary"]["sets"]
    complete = "ten" in sets and len(sets["ten"]["tables"]) == 10
    return sets["ten" if complete else "all"] if sets else None


def mean_cost(results, model, key):
    """Geometric mean of a cost over the tables that ranks rest on; at least .1 ms each."""
    means = [results["summary"]["means"][table] for table in main_set(results)["tables"]]
    values = [by_model[model][key] for by_model in means if model in by_model]
    return float(np.exp(np.mean(np.log(np.maximum(values, 1e-4))))) if values else None
