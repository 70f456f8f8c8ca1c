"""Where a deeper network overtakes a shallower one of as many parameters, and how sure that is."""

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator
from scipy.stats import t as student

LEVEL = 0.95  # of the intervals
_GRID = 200
_MIN_SPLITS = 3  # fewer tell nothing of the spread
_COLUMNS = [
    "depth_lo", "depth_hi", "status", "log_n_cross", "ci_low", "ci_high", "width_cross",
]  # fmt: skip


def find_crossings(curves, scores, n_bootstrap, rng):
    """Compare the curves of neighbouring depths.

    Both are interpolated monotonically in the logarithm of the actual number of parameters.
    Splits are drawn anew, the same for all shapes. The spread of the differences, with Student's
    quantile for so many splits and Bonferroni's correction for so many sizes, gives an interval for
    the difference at every size; the draws give one for where it changes its sign.

    Parameters
    ----------
    curves : DataFrame
        Columns depth, width, n_params; a row for each shape.
    scores : ndarray of shape (n_shapes, n_splits)
        Scores of these rows, the higher the better.
    n_bootstrap : int
        How often splits are drawn.
    rng : RandomState
        Draws them.

    Returns
    -------
    DataFrame
        A row for each pair: depth_lo, depth_hi; status; where it is "crosses", log_n_cross with
        its interval ci_low, ci_high, and width_cross, the deeper network's width there.

        A status other than "undetermined" needs differences whose intervals exclude zero:
        "deeper always" or "shallower always" at all sizes that both have; "crosses" where
        the shallower is ahead first and the deeper later; "crosses back" for the reverse.
    """
    depths = sorted(curves["depth"].unique())
    draws = rng.randint(scores.shape[1], size=(n_bootstrap, scores.shape[1]))
    means = np.concatenate(
        [scores.mean(axis=1, keepdims=True), scores[:, draws].mean(axis=2)], axis=1
    )  # (n_shapes, 1 + n_bootstrap): the first is of the splits as they are
    rows = [
        _compare(curves, means, lo, hi, scores.shape[1])
        for lo, hi in zip(depths[:-1], depths[1:], strict=True)
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _compare(curves, means, lo, hi, n_splits):
    row = dict.fromkeys(_COLUMNS, np.nan) | {"depth_lo": lo, "depth_hi": hi}
    below, above = (_curve(curves, means, depth) for depth in (lo, hi))
    start = max(below[0][0], above[0][0])
    stop = max(min(below[0][-1], above[0][-1]), start)  # a single budget: one place
    grid = np.linspace(start, stop, _GRID if stop > start else 1)
    difference = _interpolate(above[0], above[1], grid) - _interpolate(below[0], below[1], grid)
    row["status"] = "undetermined"
    if n_splits < _MIN_SPLITS:
        return row
    tail = (1 - LEVEL) / 2
    # drawing from so few shows too little spread
    error = difference[:, 1:].std(axis=1) * np.sqrt(n_splits / (n_splits - 1))  # (n_grid,)
    error *= student.ppf(1 - tail / max(len(below[0]), len(above[0])), n_splits - 1)
    ahead, behind = difference[:, 0] > error, difference[:, 0] < -error
    if ahead.all() or behind.all():
        row["status"] = "deeper always" if ahead.all() else "shallower always"
    elif ahead.any() and behind.any():
        if behind.argmax() > ahead.argmax():
            row["status"] = "crosses back"
        else:
            places = _last_rise(difference, grid)
            row["status"] = "crosses"
            row["log_n_cross"] = places[0]
            row["ci_low"], row["ci_high"] = np.nanquantile(places[1:], [tail, 1 - tail])
            row["width_cross"] = float(np.exp(np.interp(places[0], above[0], above[2])))
    return row


def _curve(curves, means, depth):
    """Return log n_params in rising order, the scores there, and the log widths."""
    here = curves[curves["depth"] == depth].sort_values("n_params")
    log_n = np.log(here["n_params"].to_numpy(dtype=float))
    return log_n, means[here.index], np.log(here["width"].to_numpy(dtype=float))


def _interpolate(log_n, values, grid):
    if len(log_n) == 1:
        return np.repeat(values, len(grid), axis=0)
    inside = np.clip(grid, log_n[0], log_n[-1])
    return PchipInterpolator(log_n, values, axis=0)(inside)


def _last_rise(difference, grid):
    """Return where each column goes from negative to positive for the last time; NaN if never."""
    rises = (difference[:-1] < 0) & (difference[1:] >= 0)  # (n_grid - 1, n)
    index = len(rises) - 1 - rises[::-1].argmax(axis=0)
    column = np.arange(difference.shape[1])
    before, after = difference[index, column], difference[index + 1, column]
    share = before / np.where(before == after, 1.0, before - after)
    return np.where(
        rises.any(axis=0), grid[index] + share * (grid[index + 1] - grid[index]), np.nan
    )


def fit_law(crossings):
    """Fit ``log width_cross = a + b depth_hi`` to the crossings found.

    Returns
    -------
    dict or None
        a, b and their standard errors a_error, b_error; None for fewer than three crossings.
    """
    found = crossings[crossings["status"] == "crosses"]
    if len(found) < 3:
        return None
    depth = found["depth_hi"].to_numpy(dtype=float)
    design = np.stack([np.ones_like(depth), depth], axis=1)
    log_width = np.log(found["width_cross"].to_numpy(dtype=float))
    (a, b), *_ = np.linalg.lstsq(design, log_width)
    spread = ((log_width - design @ [a, b]) ** 2).sum() / (len(depth) - 2)
    errors = np.sqrt(spread * np.diag(np.linalg.inv(design.T @ design)))
    return {"a": float(a), "b": float(b), "a_error": float(errors[0]), "b_error": float(errors[1])}
