"""EventSequences: many histories of events of different lengths, as one thing that can be split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ..core.typing import Frame
from .buffer import EventBuffer, factorize, named, no_names
from .times import read_times
from .wide import read_wide


class EventSequences:
    """Histories of events of different lengths: what the estimators of this room take as X.

    A row is one history: events with a time, perhaps a type and values, oldest first. Rows can be
    indexed, so that scikit-learn's splitters, searches and pipelines work on it; they are views,
    so that a thousand windows of a long sequence cost no more memory than the sequence.

    Make one with `from_frame` (a table with a row for each event), `from_lists` or `from_wide`;
    or with :func:`make_event_windows`, which also makes the targets.

    Parameters
    ----------
    events : EventBuffer
        All events. Not meant to be made by hand.
    sequence : ndarray of int64 of shape (n_rows,)
        Which sequence a row is a part of.
    start, stop : ndarray of int64 of shape (n_rows,)
        First event of a row, and the one after its last.
    query_times : ndarray of shape (n_rows,), default=None
        The moment that each row is looked at from; None for the time of its last event.
    static : ndarray of float64 of shape (n_rows, n_static), default=None
        Numbers that belong to a row as a whole.
    static_names : list of str, default=()
        Their names.

    Attributes
    ----------
    shape : tuple
        ``(n_rows,)``.

    See Also
    --------
    make_event_windows : Histories and targets from an event log.

    Notes
    -----
    Indexing takes :math:`O(n)` for the n chosen rows. A pickle holds only the sequences that its
    rows are parts of.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_selfattn import EventSequences
    >>> log = pd.DataFrame({
    ...     "user": ["a", "b", "a"],
    ...     "at": pd.to_datetime(["2026-01-01 08:00", "2026-01-01 09:00", "2026-01-02 08:00"]),
    ...     "what": ["in", "in", "out"],
    ... })
    >>> X = EventSequences.from_frame(log, id_col="user", time_col="at", type_col="what")
    >>> X
    EventSequences(n_rows=2, n_events=3, times='dates without a time zone', n_types=2)
    >>> X[0]
                       at what
    0 2026-01-01 08:00:00   in
    1 2026-01-02 08:00:00  out
    """

    def __init__(
        self,
        events: EventBuffer,
        sequence: np.ndarray,
        start: np.ndarray,
        stop: np.ndarray,
        query_times: np.ndarray | None = None,
        static: np.ndarray | None = None,
        static_names: Sequence[str] = (),
    ) -> None:
        self.events = events
        self.sequence = sequence
        self.start = start
        self.stop = stop
        self.query_times = query_times
        self.static = np.empty((len(start), 0)) if static is None else static
        self.static_names = list(static_names)

    # --- constructors -------------------------------------------------------------------

    @classmethod
    def from_frame(
        cls,
        df: Frame,
        *,
        id_col: str,
        time_col: str,
        type_col: str | None = None,
        value_cols: Sequence[str] = (),
        static: Sequence[str] | None = None,
        unit: Literal["s", "min", "h", "D"] | None = None,
    ) -> Self:
        """Make sequences from a table with a row for each event.

        Parameters
        ----------
        df : frame of shape (n_events, n_columns)
            The event log, pandas or polars, in any order.
        id_col : str
            Column that says which sequence an event belongs to.
        time_col : str
            Column of times: dates, durations or numbers.
        type_col : str, default=None
            Column of event types.
        value_cols : sequence of str, default=()
            Columns of numbers; missing ones are fine.
        static : sequence of str, default=None
            Columns of numbers that are the same for all events of a sequence.
        unit : {"s", "min", "h", "D"}, default=None
            Unit in which durations are told ("s" for dates); for numeric times, what they count.

        Returns
        -------
        EventSequences
            One row for each sequence, in the order in which they first appear. Events are sorted
            by time; those at the same time stay in their order.

        Raises
        ------
        ValueError
            A missing column, id or time, or dates of several time zones.
        """
        frame: Any = df
        if not isinstance(df, pd.DataFrame):
            frame = nw.from_native(frame, eager_only=True).to_pandas()
        wanted = [id_col, time_col, *([type_col] if type_col else []), *value_cols, *(static or ())]
        missing = [name for name in wanted if name not in frame.columns]
        if missing:
            raise ValueError(f"The frame has no column {missing[0]!r}; it has {list(frame)}.")
        if not len(frame):
            raise ValueError("The frame has no events: 0 rows.")
        times, axis = read_times(frame[time_col], unit=unit, name=f"Column {time_col!r}")
        sequence, ids = pd.factorize(frame[id_col])
        if (sequence < 0).any():
            raise ValueError(f"Column {id_col!r} is missing at row {int((sequence < 0).argmax())}.")
        codes, type_names = factorize(frame[type_col]) if type_col else (None, no_names())
        values = _numbers(frame, value_cols)
        later = sequence[1:] > sequence[:-1]
        if not (later | ((sequence[1:] == sequence[:-1]) & (times[1:] >= times[:-1]))).all():
            order = np.lexsort((times, sequence))  # stable
            sequence, times, values = sequence[order], times[order], values[order]
            codes = None if codes is None else codes[order]
        else:
            order = np.arange(len(sequence))
        offsets = np.concatenate([[0], np.cumsum(np.bincount(sequence, minlength=len(ids)))])
        names = {"id": id_col, "time": time_col, "type": type_col, "values": list(value_cols)}
        events = EventBuffer(
            offsets, times, codes, type_names, values, axis, np.asarray(ids), names
        )
        fixed = None
        if static:
            fixed = _numbers(frame, static)[order][offsets[:-1]]
        return cls._whole(events, fixed, list(static or ()))

    @classmethod
    def from_lists(
        cls,
        times: Sequence[Sequence[Any] | np.ndarray],
        types: Sequence[Sequence[Any] | np.ndarray] | None = None,
        values: Sequence[Sequence[Any] | np.ndarray] | None = None,
        *,
        ids: ArrayLike | None = None,
        query_times: ArrayLike | None = None,
        unit: Literal["s", "min", "h", "D"] | None = None,
        sort: bool = False,
    ) -> Self:
        """Make sequences from lists of arrays.

        Parameters
        ----------
        times : list of array-like
            Times of each sequence's events. An empty sequence is a history without events.
        types : list of array-like, default=None
            Their types.
        values : list of array-like of shape (n_events,) or (n_events, n_values), default=None
            Their values.
        ids : array-like of shape (n_rows,), default=None
            Names of the sequences; 0, 1, ... by default.
        query_times : array-like of shape (n_rows,), default=None
            The moment each row is looked at from.
        unit : {"s", "min", "h", "D"}, default=None
            As in `from_frame`.
        sort : bool, default=False
            Whether to sort events by time; otherwise unsorted ones raise.

        Returns
        -------
        EventSequences
            One row for each list.

        Raises
        ------
        ValueError
            Lists of unequal lengths, events that are not sorted.
        """
        lengths = np.array([len(part) for part in times], dtype=np.int64)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        parts = [part for part in times if len(part)] or [np.empty(0)]
        kept, axis = read_times(
            pd.concat([pd.Series(part) for part in parts], ignore_index=True), unit=unit
        )
        for name, given in (("types", types), ("values", values)):
            if given is not None and [len(part) for part in given] != lengths.tolist():
                raise ValueError(f"{name} and times have different lengths.")
        codes, type_names = None, no_names()
        if types is not None:
            listed = [item for part in types for item in np.asarray(part).tolist()]
            codes, type_names = factorize(pd.Series(listed, dtype=object).infer_objects())
        table = np.empty((len(kept), 0))
        if values is not None and len(kept):
            table = np.concatenate([_columns(part) for part in values if len(part)])
        sequence = np.repeat(np.arange(len(lengths)), lengths)
        unsorted = (kept[1:] < kept[:-1]) & (sequence[1:] == sequence[:-1])
        if unsorted.any():
            if not sort:
                raise ValueError(
                    f"Times of sequence {sequence[1:][unsorted][0]} are not sorted; sort them, or "
                    "pass sort=True."
                )
            order = np.lexsort((kept, sequence))
            kept, table = kept[order], table[order]
            codes = None if codes is None else codes[order]
        names = {"id": "id", "time": "time", "type": None if types is None else "type",
                 "values": [f"value{j}" for j in range(table.shape[1])]}  # fmt: skip
        ids = np.arange(len(lengths)) if ids is None else np.asarray(ids)
        events = EventBuffer(offsets, kept, codes, type_names, table, axis, ids, names)
        made = cls._whole(events)
        if query_times is not None:
            made.query_times, query_axis = read_times(query_times, unit=unit, name="query_times")
            axis.check_same(query_axis, "query_times")
        return made

    @classmethod
    def from_wide(
        cls, X: pd.DataFrame, *, unit: Literal["s", "min", "h", "D"] | None = None
    ) -> Self:
        """Make sequences from a table with a row for each history, as `to_wide` writes it.

        Parameters
        ----------
        X : DataFrame of shape (n_rows, n_columns)
            Columns ``time__-L, ..., time__-1`` and, each of them or none, ``type__-L, ...`` and
            ``NAME__-L, ...`` for values; ``query_time`` and ``static__NAME`` where there are.
            Histories end at ``-1``; slots before their beginning are missing.
        unit : {"s", "min", "h", "D"}, default=None
            As in `from_frame`.

        Returns
        -------
        EventSequences
            One row for each row.

        Raises
        ------
        ValueError
            Columns that do not fit the layout, a missing time between events, or a type or value
            without a time; the message names the row.
        """
        events, static, static_names, query_times = read_wide(X, unit)
        made = cls._whole(events, static, static_names)
        made.query_times = query_times
        return made

    @classmethod
    def _whole(cls, events, static=None, static_names=()):
        """Make a row of each sequence."""
        sequence = np.arange(len(events.offsets) - 1)
        return cls(
            events, sequence, events.offsets[:-1], events.offsets[1:], None, static, static_names
        )

    # --- a container that scikit-learn can split -----------------------------------------

    def __len__(self):
        return len(self.start)

    @property
    def shape(self) -> tuple[int]:
        """Number of rows, as a tuple."""
        return (len(self.start),)

    def __getitem__(self, key):
        if isinstance(key, tuple):  # scikit-learn asks for X[rows, ...]
            key = key[0]
        if isinstance(key, (int, np.integer)):
            return self._one(int(key))
        if not isinstance(key, slice):
            key = np.asarray(key)
            if key.dtype.kind not in "biu":
                key = key.astype(np.int64)  # an empty list
        return EventSequences(
            self.events,
            self.sequence[key],
            self.start[key],
            self.stop[key],
            None if self.query_times is None else self.query_times[key],
            self.static[key],
            self.static_names,
        )

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        types = "" if self.events.codes is None else f", n_types={len(self.events.type_names)}"
        # rows may share events: how many begin and end at each, and where at least one covers it
        steps = np.zeros(len(self.events.times) + 1, dtype=np.int64)
        np.add.at(steps, self.start, 1)
        np.add.at(steps, self.stop, -1)
        n_events = int((steps.cumsum() > 0).sum())
        return (
            f"{type(self).__name__}(n_rows={len(self)}, n_events={n_events}, "
            f"times={str(self.events.axis)!r}{types})"
        )

    def __getstate__(self):
        return self._compact().__dict__

    def _compact(self):
        """Return the same rows on a buffer of the sequences that they are parts of."""
        kept, sequence = np.unique(self.sequence, return_inverse=True)
        if len(kept) == len(self.events.ids):
            return self
        events = self.events.select(kept)
        moved = events.offsets[sequence] - self.events.offsets[self.sequence]
        return EventSequences(
            events, sequence, self.start + moved, self.stop + moved, self.query_times, self.static,
            self.static_names,
        )  # fmt: skip

    # --- what is in it --------------------------------------------------------------------

    @property
    def lengths(self) -> np.ndarray:
        """Number of events of each row."""
        return self.stop - self.start

    @property
    def ids(self) -> np.ndarray:
        """Name of the sequence that each row is a part of."""
        return self.events.ids[self.sequence]

    @property
    def unit(self) -> str | None:
        """Unit of durations; None for plain numbers."""
        return self.events.axis.unit

    def last_times(self) -> pd.DatetimeIndex | pd.TimedeltaIndex | np.ndarray:
        """Return the time that each row is looked at from, as it was given.

        The query time where there is one, else the time of the last event.

        Returns
        -------
        DatetimeIndex, TimedeltaIndex or ndarray of shape (n_rows,)
            The times.
        """
        return self.events.axis.restore(self._query())

    def _query(self):
        if self.query_times is not None:
            return self.query_times
        if (self.start == self.stop).any():
            row = int((self.start == self.stop).argmax())
            if not len(self.events.times):
                return np.zeros(len(self))
            raise ValueError(
                f"Row {row} has no events, so query_times are needed: where is it looked at from?"
            )
        return self.events.times[self.stop - 1]

    def _one(self, row):
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        part = slice(self.start[row], self.stop[row])
        names, events = self.events.names, self.events
        frame = {names["time"]: events.axis.restore(events.times[part])}
        if events.codes is not None:
            frame[names["type"]] = named(events, part)
        frame |= dict(zip(names["values"], events.values[part].T, strict=True))
        return pd.DataFrame(frame)

    def to_frame(self) -> pd.DataFrame:
        """Return a table with a row for each event, as `from_frame` reads it.

        Returns
        -------
        DataFrame of shape (n_events, n_columns)
            Events of all rows, row after row. Those that several rows share appear several times.
        """
        events, names = self.events, self.events.names
        index = self._event_index()
        frame = {
            names["id"]: np.repeat(self.ids, self.lengths),
            names["time"]: events.axis.restore(events.times[index]),
        }
        if events.codes is not None:
            frame[names["type"]] = named(events, index)
        frame |= dict(zip(names["values"], events.values[index].T, strict=True))
        for j, name in enumerate(self.static_names):
            frame[name] = np.repeat(self.static[:, j], self.lengths)
        return pd.DataFrame(frame)

    def to_wide(self, n_slots: int | None = None) -> pd.DataFrame:
        """Return a table with a row for each history, for models that take tables.

        Parameters
        ----------
        n_slots : int, default=None
            Number of latest events to keep; the longest history by default.

        Returns
        -------
        DataFrame of shape (n_rows, n_columns)
            ``time__-L, ..., time__-1``, then types and values in the same way, then
            ``static__NAME`` and ``query_time`` where there are. Older slots of short
            histories are missing.
        """
        events, names = self.events, self.events.names
        n_slots = int(self.lengths.max(initial=1)) if n_slots is None else n_slots
        slots = range(n_slots, 0, -1)
        index = self.stop[:, None] - np.arange(n_slots, 0, -1)  # (n, L)
        present = index >= self.start[:, None]
        index = np.where(present, index, 0)
        frame = {}
        for j, k in enumerate(slots):
            times = pd.Series(events.axis.restore(events.times[index[:, j]]))
            if events.axis.kind == "number":
                times = times.astype(np.float64)
            frame[f"time__-{k}"] = times.where(present[:, j])
        if events.codes is not None:
            for j, k in enumerate(slots):
                types = pd.Series(named(events, index[:, j]))
                frame[f"type__-{k}"] = types.where(present[:, j])
        for v, name in enumerate(names["values"]):
            for j, k in enumerate(slots):
                column = np.where(present[:, j], events.values[index[:, j], v], np.nan)
                frame[f"{name}__-{k}"] = column
        for j, name in enumerate(self.static_names):
            frame[f"static__{name}"] = self.static[:, j]
        if self.query_times is not None:
            frame["query_time"] = events.axis.restore(self.query_times)
        return pd.DataFrame(frame)

    def _event_index(self):
        """Return positions of the events of all rows in the buffer."""
        lengths = self.lengths
        first = np.cumsum(lengths) - lengths
        return np.repeat(self.start - first, lengths) + np.arange(lengths.sum())


def _numbers(frame, columns):
    if not len(columns):
        return np.empty((len(frame), 0))
    try:
        values = frame[list(columns)].to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Columns {list(columns)} have to hold numbers: {error}") from None
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        raise ValueError(f"Column {columns[column]!r} holds infinity at row {row}.")
    return values


def _columns(part):
    part = np.asarray(part, dtype=np.float64)
    return part.reshape(len(part), -1)
