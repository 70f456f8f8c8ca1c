"""Times as users have them (dates, durations, numbers), kept exactly until they are subtracted."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

#: Seconds in each unit of duration that has a name.
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "D": 86400.0}
_NANOSECONDS = 1e9


@dataclass(frozen=True)
class TimeAxis:
    """What kind of times these are, and in which unit their differences are told.

    Parameters
    ----------
    kind : {"datetime", "timedelta", "number"}
        Dates and durations are kept as whole nanoseconds, numbers as they come.
    tz : str or None
        Time zone of dates; None where they have none.
    unit : {"s", "min", "h", "D"} or None
        Unit of durations. None for numbers without a physical meaning.
    """

    kind: str
    tz: str | None = None
    unit: str | None = None

    @property
    def per_unit(self):
        """Return how much of the kept times makes one unit of duration."""
        if self.kind == "number":
            return 1.0
        assert self.unit is not None  # dates and durations always have one
        return _NANOSECONDS * UNITS[self.unit]

    @property
    def seconds(self):
        """Return the seconds in a unit of duration; None where that is not known."""
        return None if self.unit is None else UNITS[self.unit]

    def __str__(self):
        if self.kind == "datetime":
            return "dates without a time zone" if self.tz is None else f"dates in {self.tz}"
        if self.kind == "timedelta":
            return "durations"
        return "numbers" if self.unit is None else f"numbers of unit {self.unit!r}"

    def difference(self, later, earlier):
        """Return how much later, in units; subtracted before anything is rounded."""
        return (later - earlier) / self.per_unit

    def clock(self, times, *, local=True):
        """Return units since 1970 on the wall clock, or in UTC; numbers count from 0.

        Parameters
        ----------
        times : ndarray
            Kept times.
        local : bool, default=True
            Whether dates with a time zone are read off the clock of that zone.

        Returns
        -------
        ndarray of float64
            Units since 1970.
        """
        if self.tz is not None and local:
            dates = pd.DatetimeIndex(times, tz="UTC").tz_convert(self.tz)
            times = dates.tz_localize(None).as_unit("ns").asi8
        return times / self.per_unit

    def restore(self, times):
        """Return kept times as the user had them.

        Parameters
        ----------
        times : ndarray
            Kept times; may be fractions of a nanosecond.

        Returns
        -------
        DatetimeIndex, TimedeltaIndex or ndarray
            Dates (in their zone), durations or numbers.
        """
        if self.kind == "number":
            return np.asarray(times)
        whole = np.rint(times).astype(np.int64) if times.dtype.kind == "f" else times
        if self.kind == "timedelta":
            return pd.TimedeltaIndex(whole.view("m8[ns]"))
        dates = pd.DatetimeIndex(whole.view("M8[ns]"))
        return dates if self.tz is None else dates.tz_localize("UTC").tz_convert(self.tz)

    def check_same(self, other, what):
        """Raise TypeError unless another axis is of the same kind, zone and unit."""
        if self != other:
            raise TypeError(f"{what}: fit was given {self}, this is {other}.")


def read_times(values, *, unit=None, name="time", missing="refuse"):
    """Read times of any kind.

    Parameters
    ----------
    values : array-like of shape (n,)
        Dates (with or without a zone), durations, or numbers.
    unit : {"s", "min", "h", "D"}, default=None
        Unit of durations. For dates and durations None is "s"; for numbers it says what they
        count, so that days and weeks can be recognised.
    name : str, default="time"
        What the times are called in messages.
    missing : {"refuse", "keep"}, default="refuse"
        Whether missing times raise; kept ones come back as the smallest integer or NaN.

    Returns
    -------
    times : ndarray of int64 or float64 of shape (n,)
        Nanoseconds (in UTC), or the numbers.
    axis : TimeAxis
        What they are.

    Raises
    ------
    ValueError
        A missing or infinite time, dates of several zones, an unknown unit.
    TypeError
        Neither dates, durations nor numbers.
    """
    if unit is not None and unit not in UNITS:
        raise ValueError(f"unit has to be one of {', '.join(UNITS)} or None, got {unit!r}.")
    series = values if isinstance(values, (pd.Series, pd.Index)) else pd.Series(_listed(values))
    if series.dtype == object or isinstance(series.dtype, pd.StringDtype):
        series = _from_objects(series, name)
    if isinstance(series.dtype, pd.DatetimeTZDtype) or series.dtype.kind == "M":
        dates = pd.DatetimeIndex(series)
        tz = None if dates.tz is None else str(dates.tz)
        axis = TimeAxis("datetime", tz, unit or "s")
        times = dates.as_unit("ns").asi8
        is_missing = np.asarray(dates.isna())
    elif series.dtype.kind == "m":
        durations = pd.TimedeltaIndex(series)
        axis, times = TimeAxis("timedelta", None, unit or "s"), durations.as_unit("ns").asi8
        is_missing = np.asarray(durations.isna())
    elif series.dtype.kind in "fiu":
        axis = TimeAxis("number", None, unit)
        times = series.to_numpy(dtype=np.int64 if series.dtype.kind in "iu" else np.float64)
        is_missing = ~np.isfinite(times)
    else:
        raise TypeError(f"{name} has to hold dates, durations or numbers, got {series.dtype}.")
    if missing == "refuse" and is_missing.any():
        row = int(is_missing.argmax())
        raise ValueError(f"{name} is missing or infinite at row {row}: {series.array[row]!r}.")
    return np.array(times), axis


def _listed(values):
    return values if isinstance(values, np.ndarray) else list(values)


def _from_objects(series, name):
    """Find out what Python objects are; text is no time here."""
    known = series.dropna()
    if len(known) and isinstance(known.iloc[0], str):
        raise TypeError(
            f"{name} holds text ({known.iloc[0]!r}); turn it into dates "
            "first, with pandas.to_datetime."
        )
    zones = {str(getattr(value, "tzinfo", None)) for value in known}
    if len(zones) > 1:
        raise ValueError(f"{name} mixes time zones: {', '.join(sorted(zones))}.")
    return series.infer_objects()


def in_words(period, seconds=None):
    """Write a period shortly: in its natural unit where seconds in a unit are known.

    Examples
    --------
    >>> from sklearn_selfattn.time_events.times import in_words
    >>> in_words(24.0, seconds=3600.0), in_words(24.0)
    ('1D', '24')
    """
    if seconds is None:
        return f"{period:.4g}"
    total = period * seconds
    for unit, size in (("y", 365.25 * 86400), *sorted(UNITS.items(), key=lambda i: -i[1])):
        if total >= size * 0.9995:
            return f"{total / size:.4g}{unit}"
    return f"{total:.3g}s"
