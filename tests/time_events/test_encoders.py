"""The encoders: the equations of the paper, exact invariance, periods found."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import ive
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator

from sklearn_selfattn import BochnerTimeEncoder, MercerTimeEncoder, Time2VecEncoder
from sklearn_selfattn.time_events.spectra import lomb_scargle

ENCODERS = [BochnerTimeEncoder, MercerTimeEncoder, Time2VecEncoder]
BILLION = 10**9


@pytest.mark.parametrize("make", ENCODERS)
@pytest.mark.filterwarnings("ignore:X .* feature names")  # some checks mix kinds of X
def test_check_estimator_at_defaults(make):
    results = check_estimator(make(), on_fail=None, on_skip=None)
    assert len(results) > 40
    assert [r["check_name"] for r in results if r["status"] != "passed"] == []
    for name in (
        "check_param_validation", "check_set_output_transform_pandas",
        "check_set_output_transform_polars", "check_global_output_transform_pandas",
        "check_transformer_get_feature_names_out", "check_transformer_get_feature_names_out_pandas",
        "check_dataframe_column_names_consistency", "check_get_feature_names_out_error",
    ):  # fmt: skip
        getattr(estimator_checks, name)(make.__name__, make())


def dates(n=50, seed=0, span=BILLION):
    seconds = np.random.default_rng(seed).integers(0, span, size=n)
    return pd.Series(pd.Timestamp("1990-01-01") + pd.to_timedelta(np.sort(seconds), unit="s"))


# --- the equations ----------------------------------------------------------------------------


def test_bochner_is_the_formula():
    times = np.random.default_rng(0).uniform(-5, 90, size=(30, 1))
    encoder = BochnerTimeEncoder(n_frequencies=7, distribution="laplace", random_state=0).fit(times)
    omega, t = encoder.frequencies_[0], times[:, 0] - np.floor(times.min())
    expected = np.sqrt(1 / 7) * np.concatenate(
        [np.cos(t[:, None] * omega), np.sin(t[:, None] * omega)], axis=1
    )
    np.testing.assert_allclose(encoder.transform(times), expected, atol=1e-10)
    lag = times - times.T
    kernel = np.cos(lag[..., None] * omega).mean(axis=2)
    features = encoder.transform(times)
    np.testing.assert_allclose(features @ features.T, kernel, atol=1e-10)


def test_mercer_is_the_formula():
    times = np.random.default_rng(0).uniform(0, 90, size=(30, 1))
    c = np.array([0.5, 0.3, 0.15, 0.05])
    encoder = MercerTimeEncoder(periods=[24.0, 7.0], degree=3, coefficients=c).fit(times)
    t, expected = times[:, 0] - np.floor(times.min()), []
    for half in (12.0, 3.5):  # the paper's omega: the period is 2 omega
        expected.append(np.full(30, np.sqrt(c[0])))
        for j in (1, 2, 3):
            expected += [np.sqrt(c[j]) * np.cos(j * np.pi * t / half),
                         np.sqrt(c[j]) * np.sin(j * np.pi * t / half)]  # fmt: skip
    np.testing.assert_allclose(encoder.transform(times), np.stack(expected, axis=1), atol=1e-10)


@pytest.mark.parametrize(("degree", "bound"), [(1, 0.3), (5, 6e-4), (10, 1e-7)])
def test_mercer_error_is_the_tail_of_the_coefficients(degree, bound):
    """exp(2 (cos - 1)) has Bessel functions as coefficients."""
    exact = np.append(ive(0, 2.0), 2 * ive(np.arange(1, 40), 2.0))
    lags = np.linspace(0, 24, 500)
    encoder = MercerTimeEncoder(periods=[24.0], degree=degree, coefficients=exact[: degree + 1])
    encoder.fit(np.zeros((1, 1)))
    error = np.abs(
        encoder.kernel(lags, np.zeros(500)) - np.exp(2 * (np.cos(lags * np.pi / 12) - 1))
    )
    tail = exact[degree + 1 :].sum()
    assert error.max() == pytest.approx(tail, rel=1e-3, abs=1e-14)
    assert error.max() <= bound


@pytest.mark.parametrize(("family", "exact"), [
    ("normal", lambda lag: np.exp(-(lag**2) / 2)),
    ("laplace", lambda lag: 1 / (1 + lag**2)),
])  # fmt: skip
def test_error_of_draws_falls_with_the_square_root(family, exact):
    """Claim 1: the largest error over a span, for more and more frequencies."""
    lags, sizes = np.linspace(0, 100, 1001), (32, 128, 512, 1024)
    errors = []
    for d in sizes:
        own = [
            np.abs(
                BochnerTimeEncoder(n_frequencies=d, distribution=family, scale=1.0, random_state=s)
                .fit(np.zeros((1, 1)))
                .kernel(lags, np.zeros(len(lags)))
                - exact(lags)
            ).max()
            for s in range(5)
        ]
        errors.append(np.median(own))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert -0.6 < slope < -0.4
    assert errors[1] <= 0.24
    assert errors[3] <= 0.09


def test_inverse_cdf_takes_any_quantile_function():
    X = np.zeros((1, 1))
    by_name = BochnerTimeEncoder(distribution="cauchy", scale=2.0, sampling="quantiles").fit(X)
    by_ppf = BochnerTimeEncoder(distribution=stats.cauchy(scale=2.0), sampling="quantiles").fit(X)
    np.testing.assert_array_equal(by_name.frequencies_[0], by_ppf.frequencies_[0])
    grid = np.linspace(-3, 3, 7)
    np.testing.assert_allclose(by_name.spectral_density(grid), stats.cauchy(scale=2).pdf(grid))
    free = BochnerTimeEncoder(n_frequencies=4).fit(np.arange(20.0)[:, None])
    wide = np.linspace(-20, 20, 4001)
    assert np.trapezoid(free.spectral_density(wide), wide) == pytest.approx(1, abs=0.01)


# --- invariances -------------------------------------------------------------------------------


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    st.integers(0, BILLION), st.integers(0, BILLION), st.integers(0, BILLION),
    st.sampled_from([BochnerTimeEncoder, MercerTimeEncoder]), st.booleans(),
)  # fmt: skip
def test_kernels_depend_on_differences_alone(t, u, s, make, as_dates):
    """Up to 10^9 seconds, to 10^-6; sines with phases of their own fail by orders."""
    X = pd.DataFrame({"at": dates()})
    encoder = make(frequency_init="auto").fit(X)
    if not as_dates:
        encoder = make(unit="s").fit(np.linspace(0, BILLION, 50)[:, None])

    def moment(k):
        if as_dates:
            return pd.Series(pd.Timestamp("1990-01-01") + pd.to_timedelta([k], unit="s"))
        return np.array([float(k)])

    one = encoder.kernel(moment(t), moment(u))
    other = encoder.kernel(moment(t + s), moment(u + s))
    assert abs(one - other).max() <= 1e-6 * encoder.kernel(moment(t), moment(t)).max()


def test_time2vec_is_not_invariant():
    """The ablation of the test above."""
    encoder = Time2VecEncoder(random_state=0).fit(np.linspace(0, 100, 50)[:, None])
    one, other = encoder.kernel([3.0], [5.0]), encoder.kernel([43.0], [45.0])
    assert abs(one - other).max() > 0.05 * encoder.kernel([3.0], [3.0]).max()


@pytest.mark.parametrize("make", ENCODERS)
def test_units_do_not_matter(make):
    X = pd.DataFrame({"at": dates()})
    elapsed = (X["at"] - X["at"].min()).dt.total_seconds().to_numpy()[:, None]
    options = {"frequency_init": "log", "random_state": 0}
    by_date, by_day = make(**options).fit(X), make(**options).fit(elapsed / 86400)
    np.testing.assert_allclose(by_date.periods_[0], by_day.periods_[0] * 86400, rtol=1e-9)
    np.testing.assert_allclose(by_date.transform(X), by_day.transform(elapsed / 86400), atol=1e-6)


# --- frequencies that are found -----------------------------------------------------------------


def two_lines(seed):
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 2000, size=600))
    clean = 1.43 * np.sin(2 * np.pi * times / 7.0 + 1) + np.cos(2 * np.pi * times / 24.3)
    return times[:, None], clean + rng.normal(size=600) * clean.std()


@pytest.mark.parametrize("seed", range(3))
def test_hidden_periods_are_found(seed):
    X, y = two_lines(seed)
    options = {"n_frequencies": 4, "random_state": 0}
    encoder = BochnerTimeEncoder(frequency_init="periodogram", **options).fit(X, y)
    np.testing.assert_allclose(encoder.periods_[0][:2], [7.0, 24.3], rtol=5e-3)
    ratio = np.sqrt(encoder.weights_[0][0] / encoder.weights_[0][1])
    assert abs(ratio / 1.43 - 1) < 0.25
    blind = BochnerTimeEncoder(frequency_init="log", **options).fit(X, y)
    for period in (7.0, 24.3):
        assert abs(blind.periods_[0] / period - 1).min() > 5e-3


def test_periodogram_is_least_squares():
    rng = np.random.default_rng(0)
    times, signal = np.sort(rng.uniform(0, 50, 80)), rng.normal(size=80)
    signal -= signal.mean()
    grid = np.array([0.05, 0.3, 1.1])
    for f, found in zip(grid, lomb_scargle(times, signal, grid), strict=True):
        waves = np.stack([np.cos(2 * np.pi * f * times), np.sin(2 * np.pi * f * times)], axis=1)
        rest = signal - waves @ np.linalg.lstsq(waves, signal, rcond=None)[0]
        assert found == pytest.approx(1 - rest @ rest / (signal @ signal), abs=1e-8)


def test_a_constant_signal_weighs_nothing():
    X, _ = two_lines(0)
    encoder = BochnerTimeEncoder(frequency_init="periodogram").fit(X, np.ones(len(X)))
    assert (encoder.weights_[0] == 0).all()
    assert np.isfinite(encoder.transform(X)).all()


# --- as transformers -----------------------------------------------------------------------------


def test_in_a_column_transformer_and_a_search():
    """A daily rhythm is linear in the features, and not in the time itself."""
    at = pd.Series(pd.date_range("2026-01-01", periods=400, freq="7h"))
    X = pd.DataFrame({"at": at, "size": 1.0})
    y = np.sin(2 * np.pi * at.dt.hour / 24)
    pipeline = make_pipeline(
        make_column_transformer((BochnerTimeEncoder(unit="h"), ["at"]), remainder="passthrough"),
        Ridge(1e-3),
    )
    grid = {"columntransformer__bochnertimeencoder__frequency_init": ["log", "calendar"]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
    assert (
        search.best_params_["columntransformer__bochnertimeencoder__frequency_init"] == "calendar"
    )
    assert search.best_score_ > 0.99
    names = search.best_estimator_[0].get_feature_names_out()
    assert "bochnertimeencoder__at__cos(1D)" in names


@pytest.mark.parametrize("make", ENCODERS)
def test_frames_missing_times_and_several_columns(make):
    frame = pd.DataFrame({"hired": dates(), "left": dates(seed=1)})
    frame.loc[3, "left"] = pd.NaT
    encoder = make(random_state=0).fit(frame)
    features = encoder.transform(frame)
    assert features.shape[1] == len(set(encoder.get_feature_names_out()))
    half = features.shape[1] // 2
    assert np.isnan(features[3, half:]).all()
    assert np.isfinite(np.delete(features, 3, axis=0)).all()
    np.testing.assert_array_equal(features, encoder.transform(pl.from_pandas(frame)))
    zoned = frame.apply(lambda column: column.dt.tz_localize("Asia/Tokyo"))
    with pytest.raises(TypeError, match="dates without a time zone, this is dates in Asia/Tokyo"):
        encoder.transform(zoned)
    with pytest.raises(TypeError, match="this is numbers"):
        encoder.transform(pd.DataFrame({"hired": [1.0], "left": [2.0]}))


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        (BochnerTimeEncoder(frequency_init="calendar"), "how long a day is"),
        (BochnerTimeEncoder(frequency_init=[-1.0]), "positive periods"),
        (MercerTimeEncoder(coefficients=[1.0]), "degree \\+ 1 = 4"),
        (BochnerTimeEncoder(unit="year"), "unit"),
    ],
)
def test_bad_parameters_are_refused(encoder, words):
    with pytest.raises(ValueError, match=words):
        encoder.fit(np.arange(9.0)[:, None])
