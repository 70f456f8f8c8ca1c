"""make_event_windows: right against a plain loop, and no history knows its target."""

import numpy as np
import pandas as pd
import pytest

from sklearn_selfattn import EventSequences, make_event_windows
from tests.time_events.test_sequences import event_log


def by_hand(log, target, max_len=64):
    """Return (id, history, target) of each row, from the words of the docstring."""
    rows = []
    for who in log["who"].unique():
        own = log[log["who"] == who].sort_values("at", kind="stable")
        seen = set()
        for _, event in own.iterrows():
            history = own[own["at"] < event["at"]]
            if not len(history):
                continue
            last = history["at"].iloc[-1]
            if target == "time_to_next":
                if event["at"] in seen:
                    continue
                seen.add(event["at"])
                y = (event["at"] - last) / pd.Timedelta("1h")
            else:
                y = event["what"] if target == "next_type" else event["value"]
                if y != y:
                    continue
            rows.append((who, history["at"].tolist()[-max_len:], y))
    return rows


@pytest.mark.parametrize("target", ["time_to_next", "next_type", "next_value"])
def test_rows_are_those_of_a_plain_loop(target):
    log = event_log(120)  # hours, so that some events tie
    X, y, groups, last = make_event_windows(
        log, "who", "at", "what", ["value"], target=target, unit="h", max_len=6
    )
    expected = by_hand(log, target, 6)
    assert groups.tolist() == [who for who, _, _ in expected]
    assert y.tolist() == [y for _, _, y in expected]
    assert [X[i]["at"].tolist() for i in range(len(X))] == [times for _, times, _ in expected]
    assert last.tolist() == [times[-1] for _, times, _ in expected]


def test_ties_are_no_history_unless_asked_for():
    log = pd.DataFrame({"id": 0, "at": [0.0, 1.0, 1.0], "what": ["a", "b", "c"]})
    strict, y, *_ = make_event_windows(log, "id", "at", "what", target="next_type")
    assert (y.tolist(), strict.lengths.tolist()) == (["b", "c"], [1, 1])
    loose, y, *_ = make_event_windows(log, "id", "at", "what", target="next_type", allow_ties=True)
    assert (y.tolist(), loose.lengths.tolist()) == (["b", "c"], [1, 2])


def test_time_to_a_type():
    log = pd.DataFrame({"id": 0, "at": [0.0, 1.0, 3.0, 6.0, 7.0], "what": list("aabab")})
    X, y, _, last = make_event_windows(log, "id", "at", "what", target="time_to_type:b")
    assert last.tolist() == [0.0, 1.0, 3.0, 6.0]
    assert y.tolist() == [3.0, 2.0, 4.0, 1.0]


def test_cutoffs_see_only_what_was_before():
    log = pd.DataFrame({"id": [0, 0, 0, 1], "at": [0.0, 2.0, 5.0, 1.0]})
    X, y, groups, moments = make_event_windows(log, "id", "at", cutoffs=[2.0, 4.0], min_history=0)
    assert groups.tolist() == [0, 0]  # nothing more is known of the other
    assert moments.tolist() == [2.0, 4.0]
    assert X.lengths.tolist() == [1, 2]  # the event at the cut-off itself is not history
    assert y.tolist() == [0.0, 1.0]
    labels = {0: "churned", 1: "stayed"}
    X, y, *_ = make_event_windows(log, "id", "at", target="label", labels=labels, cutoffs={0: 3.0})
    assert (y.tolist(), X.lengths.tolist()) == (["churned"], [2])


def test_censoring_keeps_long_waits():
    log = pd.DataFrame({"id": [0, 0, 0, 1, 2], "at": [0.0, 1.0, 9.0, 2.0, 20.0]})
    options = {"id_col": "id", "time_col": "at", "horizon": 5.0}
    _, dropped, *_ = make_event_windows(log, **options)
    assert dropped.tolist() == [1.0]
    _, kept, groups, _ = make_event_windows(log, **options, censoring="horizon")
    assert kept.tolist() == [1.0, 5.0, 5.0, 5.0]
    assert groups.tolist() == [0, 0, 0, 1]  # what became of 2 within the horizon, nobody knows
    _, kept, *_ = make_event_windows(log, **options, censoring="horizon", observed_until=30.0)
    assert len(kept) == 5


def test_the_future_changes_no_history():
    """The leak canary: shuffle all that comes after, and X stays."""
    log = event_log(200, dates=False).sort_values(["who", "at"]).reset_index(drop=True)
    X, _, _, last = make_event_windows(log, "who", "at", "what", ["value"], max_len=8)
    row = len(X) // 2
    cut = last[row]
    later = log[(log["who"] == X.ids[row]) & (log["at"] > cut)]
    assert len(later) > 3
    changed = log.copy()
    changed.loc[later.index, "what"] = later["what"].to_numpy()[::-1]
    changed.loc[later.index, "value"] = 99.0
    changed.loc[later.index, "at"] += 1
    again, *_ = make_event_windows(changed, "who", "at", "what", ["value"], max_len=8)
    pd.testing.assert_frame_equal(X[row], again[row])


def test_target_time_is_known_only_when_asked_for():
    log = event_log(60)
    options = {"target": "next_type", "id_col": "who", "time_col": "at", "type_col": "what"}
    plain, *_ = make_event_windows(log, **options)
    assert plain.query_times is None
    known, _, _, moments = make_event_windows(log, **options, target_time_known=True)
    assert (moments > plain.last_times()).all()


def test_stride_and_min_history():
    log = pd.DataFrame({"id": np.repeat([0, 1], 10), "at": np.arange(20.0)})
    X, _, groups, _ = make_event_windows(log, "id", "at", min_history=3, stride=2)
    assert X.lengths.tolist() == [3, 5, 7, 9] * 2
    assert groups.tolist() == [0] * 4 + [1] * 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": "next"}, "target has to be one of"),
        ({"censoring": "keep"}, "censoring has to be"),
        ({"censoring": "horizon"}, "needs a horizon"),
        ({"target_time_known": True}, "target_time_known is for"),
        ({"target": "label"}, "needs labels"),
        ({"target": "next_value:size"}, "no value column 'size'"),
        ({"target": "time_to_type:z"}, "No event has the type 'z'"),
        ({"min_history": 1000}, "No row is left"),
    ],
)
def test_bad_requests_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        make_event_windows(event_log(), "who", "at", "what", ["value"], **options)


def test_windows_of_windows_are_refused():
    X, *_ = make_event_windows(event_log(), "who", "at")
    with pytest.raises(ValueError, match="whole sequences"):
        make_event_windows(X)
    whole = EventSequences.from_frame(event_log(), id_col="who", time_col="at")
    assert len(make_event_windows(whole)[0]) == len(X)
