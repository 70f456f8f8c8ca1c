"""Series as they come: arrays, ragged lists, NaN-padded; turned into one padded array."""

import numpy as np
import scipy.sparse as sp

from ..core.mixins import weighted_mean_and_scale


def is_series(X):
    """Say whether X is a set of series, and not a table.

    Series are an array with three axes, or a list (tuple, array of objects) of arrays with two.
    """
    if isinstance(X, np.ndarray) and X.dtype != object:
        return X.ndim == 3
    if isinstance(X, np.ndarray | list | tuple) and len(X) > 0:
        if isinstance(X, np.ndarray) and X.ndim != 1:
            return X.ndim == 3
        return all(_n_axes(series) == 2 for series in X)
    return False


def _n_axes(series):
    if hasattr(series, "columns"):  # a frame is a table, not a series
        return None
    if sp.issparse(series):
        return series.ndim
    if hasattr(series, "ndim"):
        return series.ndim
    try:
        return np.ndim(series)
    except ValueError:  # a ragged list
        return None


def read_series(X, *, layout, missing):
    """Check series and pad them with NaN to the length of the longest.

    Parameters
    ----------
    X : array-like of shape (n_series, n_channels, n_steps), or list of 2-D arrays
        Series; steps at the end that are NaN in all channels are padding.
    layout : {"channels_first", "channels_last"}
        Which axis of a series is which.
    missing : {"error", "interpolate"}
        What to do with other NaN.

    Returns
    -------
    ndarray of float64 of shape (n_series, n_steps, n_channels)
        NaN in all channels after the end of a series. With ``missing="interpolate"`` also where
        a channel has no value in the whole series.

    Raises
    ------
    TypeError
        A series is sparse or holds something that is no number.
    ValueError
        There is no series, one is empty, channels differ in number, or a value is infinite,
        complex or missing.
    """
    if len(X) == 0:
        raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
    if isinstance(X, np.ndarray) and X.dtype != object:
        values = np.asarray(_numbers(X, 0))
        series = list(values if layout == "channels_last" else values.transpose(0, 2, 1))
    else:
        series = [_numbers(one, index) for index, one in enumerate(X)]
        if layout == "channels_first":
            series = [one.T for one in series]
    channels = sorted({one.shape[1] for one in series})
    if len(channels) > 1:
        raise ValueError(
            f"All series need the same channels, got between {channels[0]} and {channels[-1]} of "
            f"them with layout={layout!r}."
        )
    if channels[0] == 0:
        raise ValueError("Found series with 0 channels while a minimum of 1 is required.")
    lengths = [_length(one) for one in series]
    if min(lengths) == 0:
        raise ValueError(f"Series {lengths.index(0)} is empty: it has no step with a value.")
    padded = np.full((len(series), max(lengths), channels[0]), np.nan)
    for row, one, length in zip(padded, series, lengths, strict=True):
        row[:length] = one[:length]
    if np.isinf(padded).any():
        raise ValueError("Input X contains infinity or a value too large for dtype('float64').")
    inside = np.arange(padded.shape[1]) < np.asarray(lengths)[:, None]  # (n, t)
    holes = np.isnan(padded) & inside[..., None]
    if holes.any():
        if missing == "error":
            raise ValueError(
                f"Input X contains NaN inside a series (the first in series "
                f"{np.argwhere(holes)[0][0]}); NaN is padding only at the end and in all "
                "channels. missing='interpolate' fills holes."
            )
        for row, hole, length in zip(padded, holes, lengths, strict=True):
            _interpolate(row[:length], hole[:length])
    return padded


def _numbers(series, index):
    if sp.issparse(series):
        raise TypeError(f"Sparse data was passed for series {index}, but dense data is required.")
    array = np.asarray(series)
    if np.iscomplexobj(array):
        raise ValueError("Complex data not supported\n" + repr(array))
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise type(error)(f"Series {index} does not hold numbers only: {error}") from error


def _length(one):
    """Return the number of steps up to the last that has a value in any channel."""
    filled = np.flatnonzero(~np.isnan(one).all(axis=1))
    return int(filled[-1]) + 1 if len(filled) else 0


def _interpolate(one, hole):
    """Fill holes in place along a line between neighbours in time; ends are held."""
    steps = np.arange(len(one))
    for channel in np.flatnonzero(hole.any(axis=0)):
        known = ~hole[:, channel]
        if known.any():
            one[:, channel] = np.interp(steps, steps[known], one[known, channel])


def series_lengths(padded):
    """Return the number of steps of each padded series, ``(n, t, g) -> (n,)``."""
    filled = ~np.isnan(padded).all(axis=2)  # (n, t)
    return padded.shape[1] - filled[:, ::-1].argmax(axis=1)


class ChannelScaler:
    """Mean 0 and deviation 1 for each channel, over all steps of the series of `fit`.

    Parameters
    ----------
    padded : ndarray of shape (n_series, n_steps, n_channels)
        The series to learn from, as `read_series` returns them.
    scale : bool
        False changes nothing but what is missing.
    """

    def __init__(self, padded, scale):
        n_channels = padded.shape[2]
        self.mean_, self.scale_ = np.zeros(n_channels), np.ones(n_channels)
        if scale:
            self.mean_, self.scale_ = weighted_mean_and_scale(padded.reshape(-1, n_channels))

    def __call__(self, padded):
        """Return scaled series; a channel that is missing altogether is at its mean."""
        lengths = series_lengths(padded)
        inside = np.arange(padded.shape[1]) < lengths[:, None]
        scaled = np.nan_to_num((padded - self.mean_) / self.scale_)
        scaled[~inside] = np.nan
        return scaled
