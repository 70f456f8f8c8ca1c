"""Where to begin: periods worth trying, because gradients cannot find far ones."""

import numpy as np
from scipy.optimize import least_squares

DAY, WEEK, YEAR = 86400.0, 7 * 86400.0, 365.25 * 86400.0
#: Seconds of the rhythms of clocks and calendars, what matters most first.
CALENDAR = (
    DAY, 7 * DAY, DAY / 2, 365.25 * DAY, DAY / 3, 3.5 * DAY, 3600.0, DAY / 4, 30.436875 * DAY,
    DAY / 6, 7 / 3 * DAY, DAY / 8, 60.0, 182.625 * DAY, DAY / 12,
)  # fmt: skip
#: Times, at most, that a periodogram looks at.
MOST_TIMES = 2000
_MOST_FREQUENCIES = 20_000


def period_seeds(init, n, *, shortest, longest, seconds=None, times=None, signal=None):
    """Choose periods to begin with.

    Parameters
    ----------
    init : {"auto", "log", "calendar", "periodogram"} or array-like of float
        "log": evenly spaced logarithms. "calendar": days, weeks, years and their parts, filled
        up with "log". "auto": at most half from the calendar where the unit is known.
        "periodogram": the highest peaks of the Lomb-Scargle periodogram of a signal.
    n : int
        Number of periods; of an array, as many as it has.
    shortest, longest : float
        Limits, in the unit of time.
    seconds : float, default=None
        Seconds in a unit, which "calendar" needs.
    times, signal : ndarray of shape (n_times,), default=None
        What "periodogram" looks at.

    Returns
    -------
    ndarray of float64
        Periods in the unit of time, falling.

    Raises
    ------
    ValueError
        Unknown words, periods that are not positive, a calendar without a unit.
    """
    if not isinstance(init, str):
        periods = np.asarray(init, dtype=np.float64).ravel()
        if not len(periods) or not (np.isfinite(periods) & (periods > 0)).all():
            raise ValueError(f"frequency_init has to hold positive periods, got {init!r}.")
        return np.sort(periods)[::-1].copy()
    longest = max(longest, shortest)
    if init == "periodogram":
        found = find_periods(times, signal, n, shortest=shortest, longest=longest)[0]
    elif init == "calendar":
        if seconds is None:
            raise ValueError(
                "frequency_init='calendar' needs dates, durations, or numbers with unit=: how long "
                "a day is in these numbers is not known."
            )
        found = _from_calendar(seconds, shortest, longest)[:n]
    elif init == "auto" and seconds is not None:
        found = _from_calendar(seconds, shortest, longest)[: n // 2]
    else:
        found = np.empty(0)
    rest = np.geomspace(longest, shortest, n - len(found)) if n > len(found) else np.empty(0)
    return np.sort(np.concatenate([found, rest]))[::-1].copy()


def _from_calendar(seconds, shortest, longest):
    periods = np.array(CALENDAR) / seconds
    return periods[(periods >= shortest) & (periods <= longest)]


def lomb_scargle(times, signal, frequencies):
    r"""Return the share of a signal's variance that each frequency explains.

    The least-squares periodogram, :math:`1 - \min_{a, b} \sum_k (x_k - a \cos 2 \pi f t_k - b \sin
    2 \pi f t_k)^2 / \sum_k x_k^2`, which takes times as unevenly spaced as they come [1]_.

    Parameters
    ----------
    times, signal : ndarray of shape (n_times,)
        When, and what, with mean 0.
    frequencies : ndarray of shape (n_frequencies,)
        Cycles in a unit of time.

    Returns
    -------
    ndarray of shape (n_frequencies,)
        Shares between 0 and 1.

    References
    ----------
    .. [1] Scargle, "Studies in astronomical time series analysis II", Astrophysical Journal 263,
       1982.
    """
    total = signal @ signal
    if total <= 0:
        return np.zeros(len(frequencies))
    power = np.empty(len(frequencies))
    for part in np.array_split(np.arange(len(frequencies)), max(1, len(frequencies) // 500)):
        angle = 2 * np.pi * np.outer(frequencies[part], times)  # (f, n)
        cos, sin = np.cos(angle), np.sin(angle)
        cc, ss, cs = (cos**2).sum(1), (sin**2).sum(1), (cos * sin).sum(1)
        c, s = cos @ signal, sin @ signal
        # a ridge of a trillionth keeps frequencies without a sine finite
        determinant = cc * ss - cs**2 + 1e-12 * len(times) ** 2
        power[part] = (c**2 * ss + s**2 * cc - 2 * c * s * cs) / determinant / total
    return np.clip(power, 0.0, 1.0)


def find_periods(times, signal, n, *, shortest, longest):
    """Find the periods of a signal, the strongest first, and refine them together.

    One peak of the periodogram at a time is taken out of the signal before the next is looked
    for; in the end all frequencies and amplitudes are fitted together by least squares.

    Parameters
    ----------
    times, signal : ndarray of shape (n_times,)
        When and what. Of many, an even sample is looked at.
    n : int
        The most periods.
    shortest, longest : float
        Limits of the periods.

    Returns
    -------
    periods : ndarray of shape (at most n,)
        The strongest first.
    shares : ndarray of the same shape
        Share of the variance that each explains. Zeros for a constant signal.
    """
    keep = np.isfinite(times) & np.isfinite(signal)
    times, signal = times[keep], signal[keep]
    if len(times) > MOST_TIMES:
        chosen = np.random.RandomState(0).permutation(len(times))[:MOST_TIMES]
        times, signal = times[chosen], signal[chosen]
    if len(times) < 4 or np.ptp(times) == 0 or np.ptp(signal) == 0:
        return np.empty(0), np.empty(0)
    times = times - times.mean()
    signal = (signal - signal.mean()) / signal.std()
    step = 1 / (5 * np.ptp(times))
    highest = min(1 / shortest, 1 / longest + _MOST_FREQUENCIES * step)
    grid = np.arange(1 / longest, highest + step, step)
    # as many waves as the signal can bear: three numbers each
    n = min(n, (len(times) - 1) // 3)
    found, rest = [], signal
    for _ in range(n):
        found.append(grid[lomb_scargle(times, rest, grid).argmax()])
        waves = _waves(times, np.array(found))
        rest = signal - waves @ np.linalg.lstsq(waves, signal, rcond=None)[0]
        if rest @ rest < 1e-12 * len(rest):
            break
    frequencies = np.array(found)
    start = np.concatenate([np.zeros(len(found)), [0.0]])[:-1]

    def residual(shift):  # variable projection: amplitudes are solved for inside
        waves = _waves(times, frequencies + shift * step)
        return signal - waves @ np.linalg.lstsq(waves, signal, rcond=None)[0]

    frequencies = (
        frequencies + step * least_squares(residual, start, bounds=(-2.0, 2.0), max_nfev=20).x
    )
    frequencies = np.maximum(frequencies, step)
    waves = _waves(times, frequencies)
    amplitudes = np.linalg.lstsq(waves, signal, rcond=None)[0][1:].reshape(2, -1)
    shares = (amplitudes**2).sum(axis=0) / 2
    order = np.argsort(-shares)
    return 1 / frequencies[order], shares[order]


def _waves(times, frequencies):
    angle = 2 * np.pi * np.outer(times, frequencies)
    return np.concatenate([np.ones((len(times), 1)), np.cos(angle), np.sin(angle)], axis=1)
