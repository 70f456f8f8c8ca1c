"""What the time-events benchmark runs on: event logs, histories, and peers' features of them."""

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from tabular_data import shared_folder

from sklearn_selfattn.time_events import EventSequences, make_event_windows

EVENTS = shared_folder().parent / "events"


def read(name, **options):
    """Read a table of the shared event logs."""
    return pd.read_csv(EVENTS / f"{name}.csv.gz", **options)


def lookup(n, n_slots, n_marks, seed, lag=24.0):
    """Make histories whose label is the mark of the event nearest to `lag` before the last one.

    Gaps are exponential with mean 4 for 20 slots, so that any slot may be the one.
    """
    rng = np.random.default_rng(seed)
    times = rng.exponential(4.0, size=(n, n_slots)).cumsum(axis=1)
    marks = rng.integers(n_marks, size=(n, n_slots))
    nearest = np.abs(times[:, -1:] - times - lag).argmin(axis=1)
    X = EventSequences.from_lists(list(times), list(marks))
    return X, marks[np.arange(n), nearest]


def flat(X, n_slots=None):
    """Return marks and times before the last event as a table for gradient boosting."""
    wide = X.to_wide(n_slots)
    times = wide[[c for c in wide if c.startswith("time__")]].to_numpy(float)
    marks = wide[[c for c in wide if c.startswith("type__")]].to_numpy(float)
    return np.column_stack([times[:, -1:] - times, marks])


def flights(seed, n_train=60_000, n_test=20_000):
    """Return windows of 16 departures, split by plane: train and test, X, y and last times."""
    log = read("flights", parse_dates=["departure"])
    X, y, groups, last = make_event_windows(
        log, "plane", "departure", "dest", ["distance", "dep_delay"], unit="h", max_len=16
    )
    rng = np.random.default_rng(seed)
    planes = rng.permutation(np.unique(groups))
    is_test = np.isin(groups, planes[: len(planes) // 4])
    train = np.sort(rng.choice(np.flatnonzero(~is_test), n_train, replace=False))
    test = np.sort(rng.choice(np.flatnonzero(is_test), n_test, replace=False))
    return (X[train], y[train]), (X[test], y[test])


def lags(X, n_slots, *, clock, categories=None):
    """Return lags of time, types and values as a table for gradient boosting.

    Parameters
    ----------
    X : EventSequences
        Histories.
    n_slots : int
        Number of gaps.
    clock : bool
        Whether hour, weekday and day of the year of the last event are columns.
    categories : ndarray, default=None
        Types that are given a code each, in the last five slots.

    Returns
    -------
    ndarray of shape (n_rows, n_columns)
        Missing where histories are shorter.
    """
    events = X.events
    index = X.stop[:, None] - np.arange(1, n_slots + 2)  # latest first
    # beyond the window too: our events know the gap before the first of them
    there = index >= events.offsets[X.sequence][:, None]
    index = np.maximum(index, 0)
    times = np.where(there, events.axis.difference(events.times[index], events.times[index[:, :1]]),
                     np.nan)  # fmt: skip
    columns = [np.log1p(times[:, :-1] - times[:, 1:])]
    for v in range(events.values.shape[1]):
        columns.append(np.where(there, events.values[index, v], np.nan)[:, :4])
    if categories is not None:
        place = {name: i for i, name in enumerate(categories)}
        codes = np.array([*(place.get(name, np.nan) for name in events.type_names), np.nan])
        columns.append(np.where(there, codes[events.codes[index]], np.nan)[:, :5])
    if clock:
        hours = events.axis.clock(X._query()) * (events.axis.seconds or 1) / 3600
        columns += [(hours % 24)[:, None], (hours // 24 % 7)[:, None],
                    (hours / 24 % 365.25)[:, None]]  # fmt: skip
    return np.concatenate(columns, axis=1)


def hgb_regressor(seed):
    """Gradient boosting with the settings that did best on training parts."""
    return HistGradientBoostingRegressor(
        loss="absolute_error", max_iter=600, learning_rate=0.05, early_stopping=True,
        random_state=seed,
    )  # fmt: skip


def hgb_classifier(seed):
    """Gradient boosting for the look-up, enough trees to converge."""
    return HistGradientBoostingClassifier(max_iter=300, early_stopping=True, random_state=seed)


def stackoverflow(target, fold, known, n_users=1500):
    """Return badge histories of users, targets, and which rows are of held-out users.

    Of the 4,468 users (no two with the same history), a sample; a fifth of it is held out.
    """
    log = read("stackoverflow")
    users = np.random.default_rng(0).permutation(log["user"].unique())[:n_users]
    log = log[log["user"].isin(users)].assign(time=lambda d: d["time"] / 86400)
    X, y, groups, _ = make_event_windows(
        log, "user", "time", "badge", target=target, unit="D", target_time_known=known,
        allow_ties=target == "next_type",
    )  # fmt: skip
    held_out = np.array_split(users, 5)[fold]
    return X, y, np.isin(groups, held_out)


def type_features(X, known, n_lags=5):
    """Return one-hot lags, counts and gaps, as the best linear model for badges has them."""
    events = X.events
    n_types = len(events.type_names)
    columns = []
    for k in range(1, n_lags + 1):
        there = X.stop - k >= X.start
        codes = np.where(there, events.codes[np.maximum(X.stop - k, 0)], n_types)
        columns.append(np.eye(n_types + 1)[codes][:, :n_types])
    index = np.repeat(np.arange(len(X)), X.lengths)
    counts = np.zeros((len(X), n_types))
    np.add.at(counts, (index, events.codes[X._event_index()]), 1.0)
    columns.append(np.log1p(counts))
    columns.append(counts > 0)
    last = events.times[X.stop - 1]
    for k in (2, 3, 5):
        before = events.times[np.maximum(X.stop - k, X.start)]
        columns.append(np.log1p(last - before)[:, None])
    if known:
        since = np.maximum(X._query() - last, 0)
        columns.append(np.log1p(since)[:, None])
        columns.append((since[:, None] < [1e-9, 1e-3, 0.04, 1.0, 7.0]).astype(float))
        columns.append(np.log1p(since)[:, None] * columns[0])
    return np.concatenate(columns, axis=1).astype(np.float64)


def icu():
    """Return the histories of 4,000 stays, measurements with type and value, and who died."""
    log = read("icu2012_set_a")
    log = log.assign(value=log["value"].where(log["value"] > -1))  # -1 stands for missing
    died = read("icu2012_set_a_outcomes").set_index("stay")["died"]
    X, y, *_ = make_event_windows(
        log.dropna(), "stay", "minute", "parameter", ["value"], target="label", labels=died,
        unit="min", max_len=1500,
    )  # fmt: skip
    return X, y


def icu_aggregates(X):
    """Return mean, least, largest, last and number of the values of each parameter."""
    events = X.events
    whole = EventSequences(events, X.sequence, events.offsets[X.sequence],
                           events.offsets[X.sequence + 1])  # fmt: skip
    index = whole._event_index()
    frame = pd.DataFrame({"row": np.repeat(np.arange(len(X)), whole.lengths),
                          "type": events.codes[index],
                          "value": events.values[index, 0]})  # fmt: skip
    table = frame.groupby(["row", "type"])["value"].agg(["mean", "min", "max", "last", "count"])
    return table.unstack().reindex(range(len(X))).to_numpy()
