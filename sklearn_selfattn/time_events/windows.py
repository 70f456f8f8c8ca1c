"""Histories and targets from an event log, so that no history knows its target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from ..core.typing import Frame
from .sequences import EventSequences
from .times import read_times

TARGETS = ("time_to_next", "next_type", "next_value", "label")
_TIMES = ("time_to_next", "time_to_type")


def make_event_windows(
    data: Frame,
    id_col: str | None = None,
    time_col: str | None = None,
    type_col: str | None = None,
    value_cols: Sequence[str] = (),
    *,
    target: str = "time_to_next",
    labels: Any = None,
    cutoffs: Any = None,
    min_history: int = 1,
    max_len: int = 64,
    stride: int = 1,
    horizon: Any = None,
    censoring: Literal["drop", "horizon"] = "drop",
    observed_until: Any = None,
    allow_ties: bool = False,
    target_time_known: bool = False,
    static: Sequence[str] | None = None,
    unit: Literal["s", "min", "h", "D"] | None = None,
) -> tuple[
    EventSequences, np.ndarray, np.ndarray, pd.DatetimeIndex | pd.TimedeltaIndex | np.ndarray
]:
    """Cut an event log into histories, and say what came after each.

    Without `cutoffs`, each event is looked at from the one before it: a sequence of n events gives
    n - 1 rows. With `cutoffs`, each sequence is looked at from given moments.

    Parameters
    ----------
    data : frame of shape (n_events, n_columns), or EventSequences
        The event log.
    id_col, time_col, type_col : str, default=None
        Columns of a frame, as in :meth:`EventSequences.from_frame`.
    value_cols : sequence of str, default=()
        Columns of numbers.
    target : str, default="time_to_next"
        What y is: "time_to_next", "next_type", "next_value" (of the first value column; or
        "next_value:COLUMN"), "time_to_type:TYPE", or "label".
    labels : Series or dict, default=None
        For the target "label": the label of each sequence, by its id.
    cutoffs : Series, dict or array-like, default=None
        A moment for each sequence, by its id; or moments that hold for all of them.
    min_history : int, default=1
        Fewer events before the cut-off make no row. 0 allows empty histories.
    max_len : int, default=64
        The most events of a history; older ones are left out.
    stride : int, default=1
        Take every so many rows of a sequence.
    horizon : float or Timedelta, default=None
        The longest time that is waited for the target, in units of `data`.
    censoring : {"drop", "horizon"}, default="drop"
        What becomes of rows for which nothing happened within the horizon: left out, or kept with
        ``y = horizon`` (``y >= horizon`` tells which; give that to `fit` as `censored`). Without
        a horizon, what has no next event is left out, and that makes waiting times look shorter
        than they are.
    observed_until : time, default=None
        When observation ended, for "horizon"; the last time of the whole log by default. Where
        the horizon ends later, nobody knows, and there is no row.
    allow_ties : bool, default=False
        Whether events at the very time of the target (or cut-off) count as its history.
    target_time_known : bool, default=False
        For "next_type" and "next_value": whether rows are looked at from the time of the target
        event itself. That is information from the target, and makes another, easier task.
    static : sequence of str, default=None
        Columns of a frame that belong to a sequence as a whole.
    unit : {"s", "min", "h", "D"}, default=None
        Unit of durations, of y too; "s" for dates. For numeric times, what they count.

    Returns
    -------
    X : EventSequences of n_rows
        The histories, as views on the log.
    y : ndarray of shape (n_rows,)
        Durations in units of `X`, types, values or labels.
    groups : ndarray of shape (n_rows,)
        The sequence each row comes from. Give these to
        :class:`~sklearn.model_selection.GroupKFold`: rows of a sequence overlap, and a split
        across them leaks.
    cutoff_times : DatetimeIndex, TimedeltaIndex or ndarray of shape (n_rows,)
        The moment each row is looked at from: the cut-off, or the last event's time.

    Raises
    ------
    ValueError
        An unknown target or censoring, labels that are missing, no row left.

    Notes
    -----
    Events at the same time as the target are no history of it, because they may have been caused by
    it or recorded with it. :math:`O(n)` for n events, after sorting.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_selfattn import make_event_windows
    >>> log = pd.DataFrame({"user": [1, 1, 1, 2, 2], "day": [0.0, 1.0, 4.0, 2.0, 2.5]})
    >>> X, y, groups, cutoff_times = make_event_windows(log, "user", "day")
    >>> y, groups, cutoff_times
    (array([1. , 3. , 0.5]), array([1, 1, 2]), array([0., 1., 2.]))
    """
    name, _, detail = target.partition(":")
    if name not in (*TARGETS, "time_to_type"):
        raise ValueError(
            f"target has to be one of {', '.join(TARGETS)} or 'time_to_type:TYPE', got {target!r}."
        )
    if censoring not in ("drop", "horizon"):
        raise ValueError(f"censoring has to be 'drop' or 'horizon', got {censoring!r}.")
    if censoring == "horizon" and (horizon is None or name not in _TIMES):
        raise ValueError("censoring='horizon' needs a horizon, and a target that is a time.")
    if target_time_known and (name in (*_TIMES, "label") or cutoffs is not None):
        raise ValueError("target_time_known is for next_type and next_value without cutoffs.")
    if not isinstance(data, EventSequences):
        if id_col is None or time_col is None:
            raise ValueError(f"A frame needs id_col and time_col, got {id_col!r} and {time_col!r}.")
        data = EventSequences.from_frame(
            data, id_col=id_col, time_col=time_col, type_col=type_col, value_cols=value_cols,
            static=static, unit=unit,
        )  # fmt: skip
    log = _Log(data)
    if name == "label" or cutoffs is not None:
        sequence, stop, query = log.at_cutoffs(cutoffs, allow_ties)
        following = np.where(stop < log.ends[sequence], stop, -1)
    elif name == "time_to_type":
        sequence, stop, following, query = log.after_each_event()
    else:
        only_first = name == "time_to_next" and not allow_ties
        sequence, stop, following, query = log.before_each_event(allow_ties, only_first)
        if target_time_known:
            query = np.where(following >= 0, log.times[following], 0)
    if name == "time_to_type":
        following = log.next_of_type(detail, stop, sequence)
    keep = stop - log.begins[sequence] >= min_history
    if name == "label":
        y, has_label = _labels_of(log.events.ids[sequence], labels)
        keep &= has_label
    else:
        y, keep = _what_came(log, name, detail, sequence, stop, following, query, keep,
                             horizon, censoring, observed_until)  # fmt: skip
    rows = np.flatnonzero(keep)
    rows = rows[_rank_within(sequence[rows]) % stride == 0]
    if not len(rows):
        raise ValueError(
            f"No row is left: no sequence has a target {target!r} after at least "
            f"{min_history} event(s)."
        )
    sequence, stop = sequence[rows], stop[rows]
    has_own_query = query is not None and (
        target_time_known or cutoffs is not None or (stop == log.begins[sequence]).any()
    )
    X = EventSequences(
        log.events,
        sequence,
        np.maximum(log.begins[sequence], stop - max_len),
        stop,
        query[rows] if has_own_query else None,
        data.static[sequence],
        data.static_names,
    )
    return X, y[rows], X.ids, X.last_times()


class _Log:
    """Whole sequences, and where in them one may look from."""

    def __init__(self, data):
        events = data.events
        whole = len(data) == len(events.ids) and (data.sequence == np.arange(len(data))).all()
        is_cut = not whole or (data.lengths != np.diff(events.offsets)).any()
        if is_cut:
            raise ValueError("data holds windows already: give whole sequences.")
        self.events, self.times = events, events.times
        self.begins, self.ends = events.offsets[:-1], events.offsets[1:]
        self.of_event = np.repeat(np.arange(len(self.begins)), np.diff(events.offsets))
        new = np.ones(len(self.times), dtype=bool)
        new[1:] = (self.times[1:] != self.times[:-1]) | (self.of_event[1:] != self.of_event[:-1])
        index = np.arange(len(self.times))
        self.first_tied = np.maximum.accumulate(np.where(new, index, 0))

    def before_each_event(self, allow_ties, only_first):
        """Look at each event from the one before it, and at the open end of each sequence."""
        target = np.arange(len(self.times))
        stop = target if allow_ties else self.first_tied
        if only_first:
            chosen = target == self.first_tied
            target, stop = target[chosen], stop[chosen]
        sequence = np.concatenate([self.of_event[target], np.arange(len(self.begins))])
        stop = np.concatenate([stop, self.ends])
        following = np.concatenate([target, np.full(len(self.begins), -1)])
        order = np.lexsort((stop, sequence))
        sequence, stop, following = sequence[order], stop[order], following[order]
        return sequence, stop, following, self._last_times(sequence, stop)

    def after_each_event(self):
        """Look ahead from each event, the last of those at the same time."""
        index = np.arange(len(self.times))
        is_last = np.append(self.first_tied[1:] == index[1:], True) if len(index) else index > 0
        stop = index[is_last] + 1
        sequence = self.of_event[stop - 1]
        return sequence, stop, np.full(len(stop), -1), self.times[stop - 1]

    def at_cutoffs(self, cutoffs, allow_ties):
        """Look from given moments; without any, from behind the last event."""
        if cutoffs is None:
            sequence = np.arange(len(self.begins))
            return sequence, self.ends.copy(), self._last_times(sequence, self.ends)
        if isinstance(cutoffs, (dict, pd.Series)):
            given = pd.Series(cutoffs)
            sequence = np.flatnonzero(pd.Index(self.events.ids).isin(given.index))
            moments = given.reindex(self.events.ids[sequence])
            query = self._read(moments.reset_index(drop=True))
        else:
            moments = self._read(cutoffs)
            sequence = np.repeat(np.arange(len(self.begins)), len(moments))
            query = np.tile(np.sort(moments), len(self.begins))
        side: Literal["left", "right"] = "right" if allow_ties else "left"
        stop = np.empty(len(sequence), dtype=np.int64)
        for row, (which, moment) in enumerate(zip(sequence, query, strict=True)):
            begin, end = self.begins[which], self.ends[which]
            stop[row] = begin + np.searchsorted(self.times[begin:end], moment, side)
        return sequence, stop, query

    def next_of_type(self, name, stop, sequence):
        """Return the first event of a type at or after each position; -1 for none."""
        if self.events.codes is None:
            raise ValueError("Events have no types: give type_col.")
        matches = [i for i, known in enumerate(self.events.type_names) if str(known) == name]
        if not matches:
            raise ValueError(f"No event has the type {name!r}.")
        n_events = len(self.times)
        is_type = np.append(self.events.codes == matches[0], False)
        index = np.where(is_type, np.arange(n_events + 1), n_events)
        following = np.minimum.accumulate(index[::-1])[::-1][stop]
        return np.where(following < self.ends[sequence], following, -1)

    def _last_times(self, sequence, stop):
        if not len(self.times):
            return None
        return np.where(stop > self.begins[sequence], self.times[np.maximum(stop - 1, 0)],
                        self.times[np.minimum(stop, len(self.times) - 1)])  # fmt: skip

    def _read(self, moments):
        times, axis = read_times(moments, unit=self.events.axis.unit, name="cutoffs")
        self.events.axis.check_same(axis, "cutoffs")
        return times

    def in_units(self, duration):
        """Return a duration in units."""
        if isinstance(duration, (int, float, np.integer, np.floating)):
            return float(duration)
        nanoseconds, _ = read_times([duration], name="horizon")
        return float(nanoseconds[0] / self.events.axis.per_unit)


def _what_came(
    log, name, detail, sequence, stop, following, query, keep, horizon, censoring, observed_until
):
    """Return the targets, and which rows have one."""
    happened = following >= 0
    at = np.where(happened, following, 0)
    has_history = stop > log.begins[sequence]
    if name in _TIMES:
        y = np.where(happened, log.events.axis.difference(log.times[at], query), np.nan)
        if horizon is not None:
            horizon = log.in_units(horizon)
            end = log.times.max() if observed_until is None else log._read([observed_until])[0]
            watched = log.events.axis.difference(end, query) >= horizon
            happened &= y <= horizon
            if censoring == "horizon":
                y = np.where(happened, y, horizon)
                return y, keep & (has_history | (name != "time_to_next")) & (happened | watched)
        return y, keep & happened & (has_history | (query is not None))
    keep = keep & happened
    if horizon is not None:
        keep &= log.events.axis.difference(log.times[at], query) <= log.in_units(horizon)
    if name == "next_type":
        if log.events.codes is None:
            raise ValueError("Events have no types: give type_col.")
        codes = log.events.codes[at]
        names = pd.Series(log.events.type_names).infer_objects().to_numpy()
        return names[np.maximum(codes, 0)], keep & (codes >= 0)
    known = log.events.names["values"]
    column = detail or (known[0] if known else None)
    if column not in known:
        raise ValueError(f"There is no value column {column!r}; there are {known}.")
    y = log.events.values[at, known.index(column)]
    return y, keep & ~np.isnan(y)


def _labels_of(ids, labels):
    if labels is None:
        raise ValueError("target='label' needs labels: one for each id, as a Series or a dict.")
    found = pd.Series(labels).reindex(ids)
    has_label = found.notna().to_numpy()
    if has_label.all():
        found = pd.Series(labels).loc[ids]  # whole numbers stay whole
    return found.to_numpy(), has_label


def _rank_within(sequence):
    """Count the rows of each sequence; rows of a sequence are next to each other."""
    if not len(sequence):
        return np.empty(0, dtype=np.int64)
    first = np.flatnonzero(np.append(True, sequence[1:] != sequence[:-1]))
    return np.arange(len(sequence)) - np.repeat(first, np.diff(np.append(first, len(sequence))))
