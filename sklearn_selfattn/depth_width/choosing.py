"""Which of the shapes that were scored to take, and the table of their scores."""

import math

import numpy as np
import pandas as pd


def choose(results, metric, rule):
    """Return the row of `cv_results_` that a rule selects.

    Parameters
    ----------
    results : dict
        `cv_results_` with the columns "budget" and "depth".
    metric : str
        Name of the score.
    rule : {"1se", "best", "cheapest"}
        See `DepthWidthSearchCV`.

    Returns
    -------
    int
        Index into the results; of shapes trained in full, if any has a score.
    """
    rows = _last_rows(results)
    mean = results[f"mean_test_{metric}"][rows]
    if not np.isfinite(mean).any():
        return int(rows[0])
    best = int(np.nanargmax(mean))
    if rule == "best":
        return int(rows[best])
    error = _standard_errors(_split_scores(results, metric)[rows])
    near = rows[mean >= mean[best] - np.nan_to_num(error[best])]
    if rule == "cheapest":
        return int(near[results["mean_fit_time"][near].argmin()])
    return int(min(near, key=lambda i: (results["budget"][i], results["depth"][i])))


def curves_of(results, metric):
    """Return the table of shapes trained in full, and their scores (n_shapes, n_splits)."""
    rows = _last_rows(results)
    scores = _split_scores(results, metric)[rows]
    curves = pd.DataFrame(
        {
            **{name: results[name][rows] for name in ("depth", "width", "budget", "n_params")},
            "score": scores.mean(axis=1),
            "std": scores.std(axis=1),
            "se": _standard_errors(scores),
            "n_splits": scores.shape[1],
            "fit_time": results["mean_fit_time"][rows],
        }
    )
    return curves, scores


def _last_rows(results):
    """Return the rows that were trained in full."""
    if "iter" not in results:
        return np.arange(len(results["params"]))
    return np.flatnonzero(results["iter"] == results["iter"].max())


def _split_scores(results, metric):
    """Return the scores of all rows, (n_rows, n_splits)."""
    end = f"_test_{metric}"
    n_splits = sum(name.startswith("split") and name.endswith(end) for name in results)
    return np.stack([results[f"split{i}{end}"] for i in range(n_splits)], axis=1)


def _standard_errors(scores):
    if scores.shape[1] < 2:
        return np.full(len(scores), np.nan)
    return scores.std(axis=1, ddof=1) / math.sqrt(scores.shape[1])
