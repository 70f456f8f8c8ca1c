"""Functional time encoders: moments become vectors, and products tell how far apart they are."""

from numbers import Integral, Real

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from ..core.columns import frame_library
from .spectra import find_periods, period_seeds
from .times import UNITS, in_words, read_times

_INITS = [StrOptions({"auto", "log", "calendar", "periodogram"}), "array-like"]
_FAMILIES = {"normal": stats.norm, "laplace": stats.laplace, "cauchy": stats.cauchy}


class _TimeEncoder(TransformerMixin, BaseEstimator):
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

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
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

    def transform(self, X):
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

    def get_feature_names_out(self, input_features=None):
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

    def kernel(self, t1, t2, column=0):
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


class BochnerTimeEncoder(_TimeEncoder):
    r"""Times as waves, after Bochner's theorem: near times get like vectors, at any scale.

    A continuous kernel that depends on the difference of two times alone is the Fourier transform
    of a spectral distribution. Waves at frequencies from that distribution are a map whose inner
    products are the kernel. Use it to give a linear model or a net more of a date than a number:
    what matters is how far apart times are, and where they are in a day, a week, a year.

    Parameters
    ----------
    n_frequencies : int, default=16
        Number of frequencies for each column; two features each.
    distribution : {"nonparametric", "normal", "laplace", "cauchy"} or object, \
            default="nonparametric"
        The spectral distribution. "nonparametric": the frequencies themselves are chosen, by
        `frequency_init`. The other names draw from a fixed family. An object with a method `ppf`,
        such as a frozen distribution of :mod:`scipy.stats`, is the inverse of any cumulative
        distribution.
    scale : float or "auto", default="auto"
        Scale of a fixed family, in radians per unit of time; "auto" is one over the median
        distance of two times.
    sampling : {"random", "quantiles"}, default="random"
        Whether frequencies of a distribution are drawn, or are its quantiles at even steps.
    frequency_init : {"auto", "log", "calendar", "periodogram"} or array-like, default="auto"
        Periods of "nonparametric". "log": evenly spaced logarithms. "calendar": days, weeks,
        years and their parts. "auto": half from the calendar where the unit is known.
        "periodogram": the strongest periods of `y`. An array holds periods in units.
    unit : {"s", "min", "h", "D"}, default=None
        Unit of periods; "s" for dates. For numbers, what they count; unknown by default.
    random_state : int, RandomState instance or None, default=None
        Draws frequencies.

    Attributes
    ----------
    frequencies_ : list of ndarray of shape (n_frequencies,)
        For each column, angular frequencies in radians per unit.
    periods_ : list of ndarray of shape (n_frequencies,)
        The periods, in units.
    weights_ : list of ndarray of shape (n_frequencies,)
        Weight of each frequency in the kernel. They sum to 1, except with "periodogram": there they
        are the shares of y's variance that the frequencies explain.
    time_origins_ : list
        What is subtracted from each column first.
    time_axes_ : list of TimeAxis
        What the columns hold.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Their names, if `X` was a frame with names.

    See Also
    --------
    MercerTimeEncoder : Harmonics of a few periods, with weights for each.

    Notes
    -----
    .. math:: \psi(t_1 - t_2) = \int e^{i \omega (t_1 - t_2)} p(\omega) d\omega
       \approx \langle \Phi(t_1), \Phi(t_2) \rangle, \qquad
       \Phi(t) = [\sqrt{w_i} \cos \omega_i t, \sqrt{w_i} \sin \omega_i t]_i

    with :math:`w_i = 1/d` for d draws. The error over a span T is of order :math:`1/\sqrt{d}` if p
    has a second moment [1]_; frequencies that were not drawn at random have no such bound. The
    kernel depends on differences exactly, because sine and cosine share frequency and weight (in
    the published code they do not). Phases are computed in float64, after subtracting an origin.

    References
    ----------
    .. [1] Xu, Ruan, Korpeoglu, Kumar, Achan, "Self-attention with Functional Time Representation
       Learning", NeurIPS 2019, arXiv:1911.12864.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_selfattn import BochnerTimeEncoder
    >>> X = pd.DataFrame({"at": pd.date_range("2026-01-01", periods=500, freq="h")})
    >>> encoder = BochnerTimeEncoder(frequency_init=[24.0, 168.0], unit="h").fit(X)
    >>> encoder.get_feature_names_out()
    array(['at__cos(7D)', 'at__cos(1D)', 'at__sin(7D)', 'at__sin(1D)'], dtype=object)
    >>> encoder.kernel(X["at"][:3], X["at"][168:171]).round(6)  # a week apart
    array([1., 1., 1.])
    """

    _parameter_constraints = {
        "n_frequencies": [Interval(Integral, 1, None, closed="left")],
        "distribution": [StrOptions({"nonparametric", *_FAMILIES}), HasMethods(["ppf"])],
        "scale": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "sampling": [StrOptions({"random", "quantiles"})],
        "frequency_init": _INITS,
        "unit": [StrOptions(set(UNITS)), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        n_frequencies=16,
        distribution="nonparametric",
        scale="auto",
        sampling="random",
        frequency_init="auto",
        unit=None,
        random_state=None,
    ):
        self.n_frequencies = n_frequencies
        self.distribution = distribution
        self.scale = scale
        self.sampling = sampling
        self.frequency_init = frequency_init
        self.unit = unit
        self.random_state = random_state

    def _fit_columns(self, columns, signal, random_state):
        self.frequencies_, self.periods_, self.weights_ = [], [], []
        for j, times in enumerate(columns):
            frequencies, weights = self._spectrum(times, signal, j, random_state)
            self.frequencies_.append(frequencies)
            with np.errstate(divide="ignore"):
                self.periods_.append(2 * np.pi / np.abs(frequencies))
            self.weights_.append(weights)

    def _spectrum(self, times, signal, column, random_state):
        d = self.n_frequencies
        if isinstance(self.distribution, str) and self.distribution == "nonparametric":
            periods, shares = self._seeds(self.frequency_init, d, times, signal, column)
            uniform = np.full(len(periods), 1 / len(periods))
            return 2 * np.pi / periods, uniform if shares is None else shares
        family = self.distribution
        if isinstance(family, str):
            family = _FAMILIES[family](scale=self._scale_of(times))
        if self.sampling == "random":
            share = random_state.uniform(size=d)
        else:
            share = (np.arange(d) + 0.5) / d
        return np.asarray(family.ppf(share), dtype=np.float64), np.full(d, 1 / d)

    def _scale_of(self, times):
        if self.scale != "auto":
            return self.scale
        known = np.sort(times[np.isfinite(times)])
        distance = np.median(np.abs(known - known[::-1])) if len(known) else 0.0
        return 1 / distance if distance > 0 else 1.0

    def _map(self, times, column):
        angle = _phase(times, self.frequencies_[column])
        root = np.sqrt(self.weights_[column])
        return np.concatenate([root * np.cos(angle), root * np.sin(angle)], axis=1)

    def _names(self, column):
        words = [self._unit_name(period, column) for period in self.periods_[column]]
        return [f"{wave}({word})" for wave in ("cos", "sin") for word in _distinct(words)]

    def spectral_density(self, frequencies, column=0):
        """Return the spectral density at angular frequencies.

        Parameters
        ----------
        frequencies : array-like of shape (n,)
            Radians per unit.
        column : int, default=0
            Position of the column.

        Returns
        -------
        ndarray of shape (n,)
            The density of the family; of "nonparametric", a weighted kernel estimate over
            frequencies of both signs.
        """
        check_is_fitted(self)
        grid = np.asarray(frequencies, dtype=np.float64)
        own, weights = self.frequencies_[column], self.weights_[column]
        family = self.distribution
        if isinstance(family, str) and family in _FAMILIES:
            # what `fit` used, even if times are gone: quantiles know their scale
            scale = self.scale if self.scale != "auto" else _scale_from(own, _FAMILIES[family])
            return _FAMILIES[family](scale=scale).pdf(grid)
        if not isinstance(family, str) and hasattr(family, "pdf"):
            return np.asarray(family.pdf(grid))
        both, mass = np.append(own, -own), np.append(weights, weights)
        if mass.sum() <= 0:
            return np.zeros(len(grid))
        return stats.gaussian_kde(both, weights=mass / mass.sum())(grid)


class MercerTimeEncoder(_TimeEncoder):
    r"""Times as harmonics of a few periods, after Mercer's theorem.

    A periodic kernel that depends on the difference of two times has the Fourier basis as its
    eigenfunctions. Use it where rhythms have known periods and sharp shapes: what happens on
    Mondays at nine needs many harmonics of a week, and here each has a weight.

    Parameters
    ----------
    periods : array-like or None, default=None
        Periods in units; None chooses `n_periods` of them by `frequency_init`.
    n_periods : int, default=4
        Number of periods to choose.
    degree : int, default=3
        Number of harmonics of each period.
    coefficients : array-like of shape (degree + 1,) or None, default=None
        Weights :math:`c_0, ..., c_{degree}` of the constant and of each harmonic, the same for
        each period. None: all alike, with :math:`\psi(0) = 1`.
    frequency_init : {"auto", "log", "calendar", "periodogram"} or array-like, default="auto"
        How periods are chosen, as for `BochnerTimeEncoder`.
    unit : {"s", "min", "h", "D"}, default=None
        Unit of periods; "s" for dates. For numbers, what they count; unknown by default.
    random_state : int, RandomState instance or None, default=None
        Unused; here so that time encoders can be exchanged.

    Attributes
    ----------
    periods_ : list of ndarray of shape (n_periods,)
        For each column, the periods in units.
    coefficients_ : ndarray of shape (degree + 1,)
        The weights.
    time_origins_ : list
        What is subtracted from each column first.
    time_axes_ : list of TimeAxis
        What the columns hold.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Their names, if `X` was a frame with names.

    See Also
    --------
    BochnerTimeEncoder : One wave for each frequency.

    Notes
    -----
    For each period P, with :math:`\theta = 2 \pi t / P`,

    .. math:: \Phi_P(t) = [\sqrt{c_0}, \sqrt{c_1} \cos \theta, \sqrt{c_1} \sin \theta, ...,
       \sqrt{c_d} \cos d \theta, \sqrt{c_d} \sin d \theta],

    stacked over the periods. Sine and cosine of a harmonic share a weight, without which the
    kernel would not depend on differences alone. Cutting off after degree d costs an error of
    :math:`\sum_{j > d} c_j`. The published code adds the harmonics of a period up to one
    number instead; ``time_encoding="mercer_summed"`` of the estimators does that.

    References
    ----------
    .. [1] Xu, Ruan, Korpeoglu, Kumar, Achan, "Self-attention with Functional Time Representation
       Learning", NeurIPS 2019, arXiv:1911.12864.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn import MercerTimeEncoder
    >>> X = np.arange(0.0, 50.0).reshape(-1, 1)
    >>> encoder = MercerTimeEncoder(periods=[24.0], degree=2).fit(X)
    >>> encoder.transform(X).shape, encoder.kernel([0.0, 100.0], [12.0, 112.0]).round(6)
    ((50, 5), array([0.333333, 0.333333]))
    """

    _parameter_constraints = {
        "periods": ["array-like", None],
        "n_periods": [Interval(Integral, 1, None, closed="left")],
        "degree": [Interval(Integral, 1, None, closed="left")],
        "coefficients": ["array-like", None],
        "frequency_init": _INITS,
        "unit": [StrOptions(set(UNITS)), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        periods=None,
        n_periods=4,
        degree=3,
        coefficients=None,
        frequency_init="auto",
        unit=None,
        random_state=None,
    ):
        self.periods = periods
        self.n_periods = n_periods
        self.degree = degree
        self.coefficients = coefficients
        self.frequency_init = frequency_init
        self.unit = unit
        self.random_state = random_state

    def _fit_columns(self, columns, signal, random_state):
        init = self.frequency_init if self.periods is None else self.periods
        self.periods_ = [
            self._seeds(init, self.n_periods, times, signal, j)[0]
            for j, times in enumerate(columns)
        ]
        if self.coefficients is None:
            n_terms = len(self.periods_[0]) * (self.degree + 1)
            self.coefficients_ = np.full(self.degree + 1, 1 / n_terms)
            return
        coefficients = np.asarray(self.coefficients, dtype=np.float64)
        if coefficients.shape != (self.degree + 1,) or (coefficients < 0).any():
            raise ValueError(
                f"coefficients has to hold degree + 1 = {self.degree + 1} numbers of at least 0, "
                f"got {self.coefficients!r}."
            )
        self.coefficients_ = coefficients

    def _map(self, times, column):
        roots, features = np.sqrt(self.coefficients_), []
        for period in self.periods_[column]:
            base = _phase(times, np.array([2 * np.pi / period]))[:, 0]
            features.append(np.where(np.isnan(times), np.nan, roots[0]))
            for j in range(1, self.degree + 1):
                features += [roots[j] * np.cos(j * base), roots[j] * np.sin(j * base)]
        return np.stack(features, axis=1)

    def _names(self, column):
        names = []
        words = [self._unit_name(period, column) for period in self.periods_[column]]
        for word in _distinct(words):
            names.append(f"const({word})")
            for j in range(1, self.degree + 1):
                part = word if j == 1 else f"{word}/{j}"
                names += [f"cos({part})", f"sin({part})"]
        return names


class Time2VecEncoder(_TimeEncoder):
    r"""A line and sines with random phases: Time2Vec, for comparison.

    Its inner products depend on when, not only on how far apart. Prefer
    :class:`BochnerTimeEncoder`, unless you compare.

    Parameters
    ----------
    n_frequencies : int, default=16
        Number of sines for each column.
    frequency_init : {"auto", "log", "calendar", "periodogram"} or array-like, default="auto"
        How periods are chosen, as for `BochnerTimeEncoder`.
    unit : {"s", "min", "h", "D"}, default=None
        Unit of periods; "s" for dates. For numbers, what they count; unknown by default.
    random_state : int, RandomState instance or None, default=None
        Draws the phases.

    Attributes
    ----------
    periods_ : list of ndarray of shape (n_frequencies,)
        For each column, the periods in units.
    phases_ : list of ndarray of shape (n_frequencies,)
        The phases.
    time_scales_ : list of float
        What the line is divided by.
    time_origins_ : list
        What is subtracted from each column first.
    time_axes_ : list of TimeAxis
        What the columns hold.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Their names, if `X` was a frame with names.

    Notes
    -----
    :math:`\Phi(t) = [t / s, \sin(\omega_1 t + \varphi_1), ..., \sin(\omega_d t + \varphi_d)]` [1]_.

    References
    ----------
    .. [1] Kazemi et al., "Time2Vec: Learning a Vector Representation of Time", arXiv:1907.05321.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn import Time2VecEncoder
    >>> X = np.arange(0.0, 50.0).reshape(-1, 1)
    >>> Time2VecEncoder(n_frequencies=3, random_state=0).fit_transform(X).shape
    (50, 4)
    """

    _parameter_constraints = {
        "n_frequencies": [Interval(Integral, 1, None, closed="left")],
        "frequency_init": _INITS,
        "unit": [StrOptions(set(UNITS)), None],
        "random_state": ["random_state"],
    }

    def __init__(self, *, n_frequencies=16, frequency_init="auto", unit=None, random_state=None):
        self.n_frequencies = n_frequencies
        self.frequency_init = frequency_init
        self.unit = unit
        self.random_state = random_state

    def _fit_columns(self, columns, signal, random_state):
        self.periods_, self.phases_, self.time_scales_ = [], [], []
        for j, times in enumerate(columns):
            periods, _ = self._seeds(self.frequency_init, self.n_frequencies, times, signal, j)
            self.periods_.append(periods)
            self.phases_.append(random_state.uniform(0, 2 * np.pi, size=len(periods)))
            known = times[np.isfinite(times)]
            scale = known.std() if len(known) else 0.0
            self.time_scales_.append(float(scale) if scale > 0 else 1.0)

    def _map(self, times, column):
        angle = _phase(times, 2 * np.pi / self.periods_[column]) + self.phases_[column]
        return np.column_stack([times / self.time_scales_[column], np.sin(angle)])

    def _names(self, column):
        words = [self._unit_name(period, column) for period in self.periods_[column]]
        return ["line", *(f"sin({word})" for word in _distinct(words))]


def _phase(times, frequencies):
    """Return angles, (n,) and (d,) -> (n, d); whole turns are taken off before multiplying."""
    with np.errstate(divide="ignore", invalid="ignore"):
        turn = 2 * np.pi / frequencies
        rest = np.fmod(times[:, None], turn)
    return frequencies * np.where(np.isfinite(turn), rest, times[:, None])


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


def _distinct(words):
    """Give numbers to words that occur more than once, so that columns have names of their own."""
    seen, names = {}, []
    for word in words:
        seen[word] = seen.get(word, 0) + 1
        names.append(word if seen[word] == 1 else f"{word}#{seen[word]}")
    return names


def _scale_from(frequencies, family):
    """Return the scale that the quartiles of drawn frequencies speak for."""
    spread = np.subtract(*np.percentile(frequencies, [75, 25]))
    return spread / np.subtract(*family.ppf([0.75, 0.25])) if spread > 0 else 1.0
