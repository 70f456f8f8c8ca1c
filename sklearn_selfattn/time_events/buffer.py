"""The events of many sequences, in one piece."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from .times import TimeAxis


@dataclass(frozen=True)
class EventBuffer:
    """All events, sequence after sequence; windows on them share it.

    Parameters
    ----------
    offsets : ndarray of int64 of shape (n_sequences + 1,)
        Where each sequence begins and the last one ends.
    times : ndarray of shape (n_events,)
        Kept times, rising within a sequence.
    codes : ndarray of int32 of shape (n_events,), or None
        Positions in `type_names`; -1 for a missing type. None where events have no type.
    type_names : ndarray of object
        What types are called.
    values : ndarray of float64 of shape (n_events, n_values)
        Numbers that come with each event; NaN where missing.
    axis : TimeAxis
        What the times are.
    ids : ndarray of shape (n_sequences,)
        What sequences are called.
    names : dict
        Names of the columns: "id", "time", "type" and, a list, "values".
    """

    offsets: np.ndarray
    times: np.ndarray
    codes: np.ndarray | None
    type_names: np.ndarray
    values: np.ndarray
    axis: TimeAxis
    ids: np.ndarray
    names: dict[str, Any]

    def select(self, kept):
        """Return the buffer of some sequences only."""
        lengths = np.diff(self.offsets)[kept]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        events = np.repeat(self.offsets[:-1][kept] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return replace(
            self,
            offsets=offsets,
            times=self.times[events],
            codes=None if self.codes is None else self.codes[events],
            values=self.values[events],
            ids=self.ids[kept],
        )


def factorize(series):
    """Return codes of types and their names, sorted; -1 where missing."""
    codes, names = pd.factorize(series, sort=True)
    return codes.astype(np.int32), np.asarray(names, dtype=object)


def named(events, index):
    """Return the types of some events by name; None where missing."""
    names = np.append(events.type_names, np.array([None], dtype=object))
    found = names[events.codes[index]]  # -1 is the last
    return pd.Series(found, dtype=object).infer_objects().to_numpy()


def no_names():
    """Return the names of no types."""
    return np.empty(0, dtype=object)
