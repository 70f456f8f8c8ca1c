"""What all time encoders share: columns of times in, columns of features out."""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from ..core.columns import frame_library
from ..core.typing import Table, checked_fit
from .spectra import find_periods, period_seeds
from .times import in_words, read_times


class TimeEncoder(TransformerMixin, BaseEstimator):
    """Columns of times in, columns of features out; a subclass knows the map."""

    def _read(self, X, *, reset):
        """Return each column in units after its origin, NaN where missing."""
        has_dates = False
        if frame_library(X) is not None:
            frame = X if isinstance(X, pd.DataFrame) else X.to_pandas()
            validate_data(self, X, reset=reset, skip_check_array=True)
            has_dates = any(dtype.kind in "mM" for dtype in frame.dtypes)
        else:
            values = np.asarray(X) if isinstance(X, np.ndarray) else X
            has_dates = isinstance(values, np.ndarray) and values.dtype.kind in "mM"
            if has_dates:
                if values.ndim != 2:
                    raise ValueError(f"Expected 2D array, got {values.ndim}D array instead.")
                validate_data(self, X, reset=reset, skip_check_array=True)
                frame = pd.DataFrame(values)
        if has_dates:
            if not len(frame):
                raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
            read = [read_times(frame.iloc[:, j], unit=self.unit, name=f"Column {name!r}",
                               missing="keep") for j, name in enumerate(frame)]  # fmt: skip
        else:
            X = validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan")
            read = [read_times(column, unit=self.unit, missing="keep") for column in X.T]
        if reset:
            self.time_axes_ = [axis for _, axis in read]
            self.time_origins_ = [_origin(times) for times, _ in read]
        for axis, (_, given) in zip(self.time_axes_, read, strict=True):
            axis.check_same(given, "X")
        columns = []
        for (times, axis), origin in zip(read, self.time_origins_, strict=True):
            missing = times == np.iinfo(np.int64).min if times.dtype == np.int64 else None
            units = axis.difference(times, origin)
            columns.append(units if missing is None else np.where(missing, np.nan, units))
        return columns

    @checked_fit
    def fit(self, X: Table, y: ArrayLike | None = None) -> Self:
        """Choose the periods of each column.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            Columns of times: dates, durations or numbers; missing ones are fine.
        y : array-like of shape (n_samples,), default=None
            The signal whose periods are looked for with ``frequency_init="periodogram"``;
            otherwise ignored. Without it, the periodogram is of how often something happens.

        Returns
        -------
        self : object
            The fitted encoder.
        """
        columns = self._read(X, reset=True)
        signal = None
        if y is not None:
            signal = np.asarray(y)
            if signal.dtype.kind not in "fiub":
                signal = np.unique(signal, return_inverse=True)[1]
            signal = signal.astype(np.float64).reshape(len(signal), -1)[:, 0]
            if len(signal) != len(columns[0]):
                raise ValueError(
                    "Found input variables with inconsistent numbers of samples: "
                    f"{[len(columns[0]), len(signal)]}"
                )
        random_state = check_random_state(self.random_state)
        self._fit_columns(columns, signal, random_state)
        return self

    def transform(self, X: Table) -> np.ndarray:
        """Return the features of each time.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            Columns of times, as in `fit`.

        Returns
        -------
        ndarray of float64 of shape (n_samples, n_features_out)
            Features of the first column, then of the second, and so on; NaN for missing times.
        """
        check_is_fitted(self)
        columns = self._read(X, reset=False)
        return np.concatenate([self._map(t, j) for j, t in enumerate(columns)], axis=1)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Name the features, by column and period.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns; those of `fit` by default.

        Returns
        -------
        ndarray of str objects
            ``hired_at__cos(1D)`` and the like.
        """
        check_is_fitted(self, "n_features_in_")
        names = _check_feature_names_in(self, input_features)
        return np.array(
            [f"{name}__{own}" for j, name in enumerate(names) for own in self._names(j)],
            dtype=object,
        )

    def kernel(self, t1: ArrayLike, t2: ArrayLike, column: int = 0) -> np.ndarray:
        r"""Return the kernel :math:`\langle \Phi(t_1), \Phi(t_2) \rangle` of pairs of times.

        Parameters
        ----------
        t1, t2 : array-like of shape (n,)
            Times of the kind that the column holds.
        column : int, default=0
            Position of the column.

        Returns
        -------
        ndarray of shape (n,)
            The products.
        """
        check_is_fitted(self)
        features = []
        for times in (t1, t2):
            kept, axis = read_times(np.ravel(times), unit=self.unit)
            if axis.kind == "number" and self.time_axes_[column].kind == "number":
                kept = kept.astype(np.float64)
            self.time_axes_[column].check_same(axis, "kernel")
            features.append(self._map(axis.difference(kept, self.time_origins_[column]), column))
        return (features[0] * features[1]).sum(axis=1)

    def _unit_name(self, period, column):
        return in_words(period, self.time_axes_[column].seconds)

    def _limits(self, times):
        """Return the shortest and the longest period that such times can tell."""
        known = np.unique(times[np.isfinite(times)])
        span = np.ptp(known) if len(known) > 1 else 1.0
        gap = np.median(np.diff(known)) if len(known) > 1 else 1.0
        return min(2 * gap, span), span

    def _seeds(self, init, n, times, signal, column):
        """Return periods, and what share of the signal each explains (None: not asked)."""
        shortest, longest = self._limits(times)
        if isinstance(init, str) and init == "periodogram":
            if signal is None:
                times, signal = _rate(times)
            periods, shares = find_periods(times, signal, n, shortest=shortest, longest=longest)
            rest = n - len(periods)
            more = np.geomspace(longest, shortest, rest) if rest else np.empty(0)
            return np.append(periods, more), np.append(shares, np.zeros(rest))
        seconds = self.time_axes_[column].seconds
        limits = {"shortest": shortest, "longest": longest}
        return period_seeds(init, n, seconds=seconds, **limits), None

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _origin(times):
    """Return what to subtract first: whole, and exact for times in whole nanoseconds."""
    if times.dtype == np.int64:
        known = times[times != np.iinfo(np.int64).min]
        return known.min() if len(known) else np.int64(0)
    known = times[np.isfinite(times)]
    return np.floor(known.min()) if len(known) else 0.0


def _rate(times):
    """Return bins of time and how much happens in each."""
    known = times[np.isfinite(times)]
    if len(known) < 8 or np.ptp(known) == 0:
        return known, np.zeros(len(known))
    counts, edges = np.histogram(known, bins=min(2000, 4 * len(known)))
    return (edges[1:] + edges[:-1]) / 2, counts.astype(np.float64)
