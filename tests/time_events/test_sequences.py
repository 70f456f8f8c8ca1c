"""EventSequences: nothing lost, nothing copied, and scikit-learn can split it."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, KFold, train_test_split

from sklearn_selfattn import EventSequences, make_event_windows


def event_log(n=40, seed=0, dates=True):
    """Return a log of three people, two types and a value, in no order."""
    rng = np.random.default_rng(seed)
    hours = rng.integers(0, 500, size=n)
    at = pd.Timestamp("2026-03-01") + pd.to_timedelta(hours, unit="h") if dates else hours
    value = rng.normal(size=n)
    value[::7] = np.nan
    return pd.DataFrame(
        {"who": rng.choice(["a", "b", "c"], n), "at": at, "what": rng.choice(["x", "y"], n),
         "value": value}
    )  # fmt: skip


COLUMNS = {"id_col": "who", "time_col": "at", "type_col": "what", "value_cols": ["value"]}


def test_frame_comes_back_sorted_and_whole():
    log = event_log()
    X = EventSequences.from_frame(log, **COLUMNS)
    order = {name: i for i, name in enumerate(log["who"].unique())}
    expected = log.assign(place=log["who"].map(order)).sort_values(["place", "at"], kind="stable")
    back = X.to_frame()
    for column in ("who", "at", "what"):
        assert back[column].tolist() == expected[column].tolist()
    np.testing.assert_array_equal(back["value"], expected["value"])
    assert X.shape == (3,)
    assert X.lengths.sum() == len(log)


def test_polars_and_pandas_agree():
    log = event_log()
    one = EventSequences.from_frame(log, **COLUMNS).to_frame()
    other = EventSequences.from_frame(pl.from_pandas(log), **COLUMNS).to_frame()
    pd.testing.assert_frame_equal(one, other, check_dtype=False)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(
    st.lists(st.lists(st.floats(-1e6, 1e6, allow_nan=False), max_size=6), min_size=1, max_size=5)
)
def test_lists_come_back(times):
    X = EventSequences.from_lists(times, sort=True)
    assert len(X) == len(times)
    for row, part in enumerate(times):
        assert X[row].iloc[:, 0].tolist() == sorted(part)


@pytest.mark.parametrize("dates", [True, False])
def test_wide_tables_come_back(dates):
    X, *_ = make_event_windows(event_log(dates=dates), "who", "at", "what", ["value"], max_len=4)
    wide = X.to_wide()
    assert list(wide)[:2] == ["time__-4", "time__-3"]
    again = EventSequences.from_wide(wide)
    pd.testing.assert_frame_equal(again.to_wide(), wide)
    assert (again.lengths == X.lengths).all()
    assert (again.last_times() == X.last_times()).all()


def test_rows_are_views_and_pickles_are_small():
    log = event_log(3000)
    X, y, groups, _ = make_event_windows(log, "who", "at", "what", ["value"], max_len=64)
    part = X[::2]
    assert part.events is X.events
    assert np.shares_memory(X[np.arange(5)].events.times, X.events.times)
    assert len(pickle.dumps(X)) < 60 * len(log) + 30 * len(X)  # not 64 events for each row
    only = X[np.flatnonzero(groups == "a")]
    loaded = pickle.loads(pickle.dumps(only))
    assert loaded.events.ids.tolist() == ["a"]
    pd.testing.assert_frame_equal(loaded.to_frame(), only.to_frame())


def test_repr_counts_an_event_once_however_many_rows_share_it():
    X = EventSequences.from_lists([[1.0, 2.0, 3.0], [1.0, 5.0]])
    for rows, shown in ((slice(None), "2, n_events=5"), ([0, 0], "2, n_events=3"), ([], "0, n")):
        assert f"n_rows={shown}" in repr(X[rows])
    histories = make_event_windows(event_log(30), **COLUMNS)[0]
    assert histories.lengths.sum() > 30
    assert f"n_events={len(np.unique(histories._event_index()))}," in repr(histories)


def test_scikit_learn_splits_it():
    X, y, groups, _ = make_event_windows(event_log(200), "who", "at", "what", max_len=5)
    for train, test in GroupKFold(3).split(X, y, groups):
        assert not set(X[train].ids) & set(X[test].ids)
        assert len(X[train]) + len(X[test]) == len(X)
    seen = np.concatenate([X[test].lengths for _, test in KFold(4).split(X)])
    assert seen.tolist() == X.lengths.tolist()
    one, other = train_test_split(X, random_state=0)
    assert isinstance(one, EventSequences)
    assert len(one) + len(other) == len(X)
    assert len(X[np.arange(len(X)) < 3]) == 3
    assert len(X[[]]) == 0
    with pytest.raises(IndexError):
        X[len(X)]


def test_zones_are_kept_and_elapsed_time_is_in_utc():
    """An hour that the clock skips has not passed."""
    at = pd.DatetimeIndex(["2026-03-29 00:30", "2026-03-29 03:30"]).tz_localize("Europe/Rome")
    X = EventSequences.from_frame(
        pd.DataFrame({"who": 0, "at": at}), id_col="who", time_col="at", unit="h"
    )
    axis, times = X.events.axis, X.events.times
    assert axis.difference(times[1], times[0]) == 2.0
    assert np.diff(axis.clock(times)).tolist() == [3.0]
    assert np.diff(axis.clock(times, local=False)).tolist() == [2.0]
    assert X.to_frame()["at"].tolist() == at.tolist()
    assert str(X.to_frame()["at"].dt.tz) == "Europe/Rome"


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda d: d.assign(at=d["at"].where(d.index != 3)), ValueError, "missing .* at row 3"),
        (lambda d: d.assign(at=np.where(d.index == 2, np.inf, 1.0)), ValueError, "row 2"),
        (lambda d: d.assign(at=d["at"].astype(str)), TypeError, "to_datetime"),
        (lambda d: d.assign(at=True), TypeError, "dates, durations or numbers"),
        (lambda d: d.assign(who=d["who"].where(d.index != 1)), ValueError, "'who' is missing at"),
        (lambda d: d.assign(value="high"), ValueError, "have to hold numbers"),
        (lambda d: d.assign(value=np.inf), ValueError, "infinity at row 0"),
        (lambda d: d.drop(columns="what"), ValueError, "no column 'what'"),
        (lambda d: d.iloc[:0], ValueError, "0 rows"),
        (
            lambda d: d.assign(
                at=[pd.Timestamp("2026-01-01", tz=("UTC", "Asia/Tokyo")[i % 2]) for i in d.index]
            ),
            ValueError,
            "mixes time zones",
        ),
    ],
)
def test_bad_logs_are_refused(spoil, error, words):
    with pytest.raises(error, match=words):
        EventSequences.from_frame(spoil(event_log()), **COLUMNS)


def test_bad_lists_and_wide_tables_are_refused():
    with pytest.raises(ValueError, match="sequence 1 are not sorted"):
        EventSequences.from_lists([[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(ValueError, match="types and times have different lengths"):
        EventSequences.from_lists([[1.0, 2.0]], [["a"]])
    with pytest.raises(ValueError, match="unit has to be one of"):
        EventSequences.from_lists([[1.0]], unit="weeks")
    wide = pd.DataFrame({"time__-2": [0.0, 1.0], "time__-1": [1.0, np.nan]})
    with pytest.raises(ValueError, match="Row 1 misses a time"):
        EventSequences.from_wide(wide)
    wide = pd.DataFrame({"time__-2": [np.nan, 3.0], "time__-1": [1.0, 2.0],
                         "type__-2": [None, "a"], "type__-1": ["a", "b"]})  # fmt: skip
    with pytest.raises(ValueError, match="row 1 are not sorted"):
        EventSequences.from_wide(wide)
    with pytest.raises(ValueError, match="Row 0 has a type without a time"):
        EventSequences.from_wide(wide.assign(**{"type__-2": "a"}))
    with pytest.raises(ValueError, match="expected time__-L"):
        EventSequences.from_wide(wide.drop(columns="type__-1"))
    with pytest.raises(ValueError, match="query_times are needed"):
        EventSequences.from_lists([[1.0], []]).last_times()
