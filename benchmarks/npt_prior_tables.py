"""The tables of the benchmark of the pretrained NPT, and which rows are context and test.

The lists were fixed before any of these models was measured; no table was dropped or
added after seeing results.
"""

from dataclasses import replace
from zlib import crc32

import numpy as np
import pandas as pd
import tabular_data
from tabular_data import Table

#: Small classification tables; `vowel` has 11 classes, one more than the weights know.
CLASSIFICATION = (
    "iris", "wine", "wdbc", "digits", "credit_g", "vowel", "car", "tic_tac_toe", "soybean_10",
    "telco", "adult", "beed", "icu", "racket_sports", "ering",
)  # fmt: skip
#: Tables of 15 and 19 classes: reported beside the others, in no mean.
MANY_CLASSES = ("libras", "soybean")
REGRESSION = ("concrete", "energy", "autompg", "yacht", "abalone", "diabetes", "protein")
TABLES = CLASSIFICATION + MANY_CLASSES + REGRESSION

#: Context rows. A smaller training half is used whole at 500 and left out at 100 and 1,000.
SIZES = (500, 100, 1000)
AT_MOST = 500
TEST_SHARE = 0.5
MAX_TEST = 1000

#: What a table made from other data is, for the page.
MADE = {
    "soybean_10": "soybean with its 10 most frequent classes (of equally frequent ones the first "
    "by name)",
    "icu": "last value of each of the 38 parameters measured in at least a quarter of 4,000 stays "
    "in intensive care; the target is death in hospital",
    "racket_sports": "mean, standard deviation, minimum, maximum and mean absolute step of each "
    "of 6 channels",
    "ering": "the same of 4 channels",
    "libras": "the same of 2 channels",
}
SERIES = {"racket_sports": "RacketSports", "ering": "ERing", "libras": "Libras"}


def most_frequent_classes(table, n_classes, name):
    """Keep the rows of the most frequent classes, their codes counted anew from 0."""
    counts = np.bincount(table.y)  # (K,)
    kept = np.sort(np.argsort(-counts, kind="stable")[:n_classes])
    rows = np.flatnonzero(np.isin(table.y, kept))
    X = table.X.iloc[rows].reset_index(drop=True)
    return replace(table, name=name, X=X, y=np.searchsorted(kept, table.y[rows]))


def series_summaries(series):
    """Describe each channel of series (n, channels, steps) by five numbers."""
    summaries = {
        "mean": series.mean(axis=2),
        "sd": series.std(axis=2),
        "min": series.min(axis=2),
        "max": series.max(axis=2),
        "step": np.abs(np.diff(series, axis=2)).mean(axis=2),
    }  # each (n, channels)
    return pd.DataFrame(
        {
            f"{word}_{channel}": values[:, channel].astype(np.float64)
            for channel in range(series.shape[1])
            for word, values in summaries.items()
        }
    )


def _without_repeats(name, frame):
    """Make a table of features and ``target``."""
    kept = tabular_data.drop_repeated_rows(frame)
    y = pd.factorize(kept["target"], sort=True)[0].astype(np.int64)
    return Table(name, "classification", kept.drop(columns="target"), y, None, len(frame))


def _series(name):
    path = tabular_data.shared_folder().parent / "series" / f"{SERIES[name]}.npz"
    with np.load(path) as file:
        series = np.concatenate([file["X_train"], file["X_test"]])  # (n, channels, steps)
        y = np.concatenate([file["y_train"], file["y_test"]])  # (n,)
    return _without_repeats(name, series_summaries(series).assign(target=y))


def last_values(events, min_share=0.25):
    """Turn events into one row a stay: the last value of each parameter often measured.

    Parameters
    ----------
    events : DataFrame
        Columns stay, minute, parameter, value. A negative value stands for a missing one.
    min_share : float, default=0.25
        Parameters measured in a smaller share of the stays are left out.

    Returns
    -------
    table : DataFrame
        Index: stay. NaN where a parameter was not measured in a stay.
    """
    measured = events[events["value"] >= 0].sort_values("minute", kind="stable")
    table = measured.pivot_table(index="stay", columns="parameter", values="value", aggfunc="last")
    table = table.reindex(sorted(events["stay"].unique()))
    n_stays = events.groupby("parameter")["stay"].nunique()
    return table[sorted(n_stays.index[n_stays >= min_share * len(table)])]


def _icu():
    folder = tabular_data.shared_folder().parent / "events"
    table = last_values(pd.read_csv(folder / "icu2012_set_a.csv.gz"))
    died = pd.read_csv(folder / "icu2012_set_a_outcomes.csv.gz").set_index("stay")["died"]
    frame = table.assign(target=died.reindex(table.index)).reset_index(drop=True)
    frame.columns = list(frame.columns)
    for code in ("Gender", "ICUType"):
        frame[code] = frame[code].astype("category").cat.rename_categories("{:.0f}".format)
    return _without_repeats("icu", frame)


def load_table(name):
    """Load a table by its name, without repeated rows."""
    if name == "soybean_10":
        return most_frequent_classes(tabular_data.load_table("soybean"), 10, name)
    if name in SERIES:
        return _series(name)
    if name == "icu":
        return _icu()
    return tabular_data.load_table(name)


def draw_rows(table, rows, n, seed):
    """Draw `n` of `rows`, every class in its share and with one row at least.

    Parameters
    ----------
    table : Table
        Where the rows are from.
    rows : ndarray
        Row numbers to draw from.
    n : int
        How many; all if there are no more.
    seed : int
        The same rows for the same seed.

    Returns
    -------
    drawn : ndarray
        Sorted row numbers.
    """
    if n >= len(rows):
        return np.sort(rows)
    rng = np.random.default_rng([crc32(table.name.encode()), seed])
    rows = rng.permutation(rows)
    if table.task == "regression":
        return np.sort(rows[:n])
    classes, members = np.unique(table.y[rows], return_inverse=True)
    share = np.bincount(members) * n / len(rows)  # (K,)
    count = np.maximum(1, np.floor(share)).astype(int)
    # What rounding left over goes to the largest remainders; what it took from the largest.
    for k in np.argsort(count - share, kind="stable")[: max(0, n - count.sum())]:
        count[k] += 1
    count[count.argmax()] -= max(0, count.sum() - n)
    chosen = [rows[members == k][: count[k]] for k in range(len(classes))]
    return np.sort(np.concatenate(chosen))


def context_and_test(table, split, size):
    """Return the row numbers of context and test part, or None where rows are too few.

    Half of the rows may be context, the others are for the test; of them at most
    `MAX_TEST` are asked, the same for every size of the context.
    """
    train, test = tabular_data.split_rows(table, split, TEST_SHARE)
    if len(train) < size and size != AT_MOST:
        return None
    return draw_rows(table, train, size, split), draw_rows(table, test, MAX_TEST, split)
