"""Functional time encoders: moments become vectors, and products tell how far apart they are."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .encoding import TimeEncoder
from .times import UNITS

_INITS = [StrOptions({"auto", "log", "calendar", "periodogram"}), "array-like"]
_FAMILIES = {"normal": stats.norm, "laplace": stats.laplace, "cauchy": stats.cauchy}


class BochnerTimeEncoder(TimeEncoder):
    r"""Times as waves, after Bochner's theorem: near times get like vectors, at any scale.

    A continuous kernel that depends on the difference of two times alone is the Fourier transform
    of a spectral distribution. Waves at frequencies from that distribution are a map whose inner
    products are the kernel. Use it to give a linear model or a net more of a date than a number:
    what matters is how far apart times are, and where they are in a day, a week, a year.

    Parameters
    ----------
    n_frequencies : int, default=16
        Number of frequencies for each column; two features each.
    distribution : str or object, default="nonparametric"
        The spectral distribution. "nonparametric": the frequencies themselves are chosen, by
        `frequency_init`. "normal", "laplace", "cauchy" draw from a fixed family. An object with a
        method `ppf`, such as a frozen distribution of :mod:`scipy.stats`, is the inverse of any
        cumulative distribution.
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
        n_frequencies: int = 16,
        distribution: Literal["nonparametric", "cauchy", "laplace", "normal"]
        | Any = "nonparametric",
        scale: float | Literal["auto"] = "auto",
        sampling: Literal["random", "quantiles"] = "random",
        frequency_init: Literal["auto", "log", "calendar", "periodogram"] | ArrayLike = "auto",
        unit: Literal["s", "min", "h", "D"] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
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

    def spectral_density(self, frequencies: ArrayLike, column: int = 0) -> np.ndarray:
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


class MercerTimeEncoder(TimeEncoder):
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
        periods: ArrayLike | None = None,
        n_periods: int = 4,
        degree: int = 3,
        coefficients: ArrayLike | None = None,
        frequency_init: Literal["auto", "log", "calendar", "periodogram"] | ArrayLike = "auto",
        unit: Literal["s", "min", "h", "D"] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
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


class Time2VecEncoder(TimeEncoder):
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

    def __init__(
        self,
        *,
        n_frequencies: int = 16,
        frequency_init: Literal["auto", "log", "calendar", "periodogram"] | ArrayLike = "auto",
        unit: Literal["s", "min", "h", "D"] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
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


def _distinct(words):
    """Give numbers to words that occur more than once, so that columns have names of their own."""
    seen: dict[str, int] = {}
    names = []
    for word in words:
        seen[word] = seen.get(word, 0) + 1
        names.append(word if seen[word] == 1 else f"{word}#{seen[word]}")
    return names


def _scale_from(frequencies, family):
    """Return the scale that the quartiles of drawn frequencies speak for."""
    spread = np.subtract(*np.percentile(frequencies, [75, 25]))
    return spread / np.subtract(*family.ppf([0.75, 0.25])) if spread > 0 else 1.0
