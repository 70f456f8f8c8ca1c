"""Histories as wide tables: a row for each, a column for each slot of each channel."""

import re

import numpy as np
import pandas as pd

from .buffer import EventBuffer, factorize, no_names
from .times import read_times


def wide_channels(X):
    """Return slots and channels of a wide frame; None where its columns are no such layout."""
    found: dict[str, set[int]] = {}
    for name in map(str, X.columns):
        match = re.fullmatch(r"(.+)__-(\d+)", name)
        if match:
            found.setdefault(match[1], set()).add(int(match[2]))
        elif name != "query_time" and not name.startswith("static__"):
            return None
    if "time" not in found:
        return None
    n_slots = max(found["time"])
    if any(slots != set(range(1, n_slots + 1)) for slots in found.values()):
        return None
    return n_slots, [name for name in found if name != "time"]


def read_wide(X, unit):
    """Return events, static numbers, their names and query times of a wide table.

    See :meth:`EventSequences.from_wide`.
    """
    channels = wide_channels(X)
    if channels is None:
        raise ValueError(
            "The columns do not follow the layout: expected time__-L, ..., time__-1 and for "
            f"other channels as many, got {list(X.columns)}."
        )
    n_slots, others = channels
    grid = X[[f"time__-{k}" for k in range(n_slots, 0, -1)]]
    present = grid.notna().to_numpy()
    if (present[:, :-1] & ~present[:, 1:]).any():
        row = int((present[:, :-1] & ~present[:, 1:]).any(axis=1).argmax())
        raise ValueError(f"Row {row} misses a time between events: histories end at slot -1.")
    for name in others:
        table = X[[f"{name}__-{k}" for k in range(n_slots, 0, -1)]].notna().to_numpy()
        if (table & ~present).any():
            row = int((table & ~present).any(axis=1).argmax())
            raise ValueError(f"Row {row} has a {name} without a time.")
    flat = pd.concat([grid[column] for column in grid], ignore_index=True)
    flat = flat.to_numpy() if flat.dtype == object else flat
    position = np.flatnonzero(present.T.ravel())  # column after column
    order = position[np.argsort(position % len(X), kind="stable")]
    lengths = present.sum(axis=1)
    kept, axis = read_times(pd.Series(flat).iloc[order].reset_index(drop=True), unit=unit)
    sequence = np.repeat(np.arange(len(X)), lengths)
    unsorted = (kept[1:] < kept[:-1]) & (sequence[1:] == sequence[:-1])
    if unsorted.any():
        raise ValueError(f"Times of row {sequence[1:][unsorted][0]} are not sorted.")

    def channel(name):
        columns = [X[f"{name}__-{k}"] for k in range(n_slots, 0, -1)]
        return pd.concat(columns, ignore_index=True).iloc[order]

    codes, type_names = None, no_names()
    if "type" in others:
        codes, type_names = factorize(channel("type"))
    value_names = [name for name in others if name != "type"]
    values = np.empty((len(kept), 0))
    if value_names:
        values = np.stack([channel(name).to_numpy(np.float64) for name in value_names], axis=1)
    names = {"id": "row", "time": "time", "type": "type" if codes is not None else None,
             "values": value_names}  # fmt: skip
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    events = EventBuffer(offsets, kept, codes, type_names, values, axis, np.arange(len(X)), names)
    static = [name for name in X.columns if str(name).startswith("static__")]
    fixed = X[static].to_numpy(np.float64) if static else None
    query_times = None
    if "query_time" in X.columns:
        query_times, query_axis = read_times(X["query_time"], unit=unit, name="query_time")
        axis.check_same(query_axis, "query_time")
    return events, fixed, [name[len("static__") :] for name in static], query_times
