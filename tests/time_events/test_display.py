"""What the pictures of this room hold."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from sklearn_selfattn import (
    AttentionByLagDisplay,
    BochnerTimeEncoder,
    MercerTimeEncoder,
    Time2VecEncoder,
    TimeEventRegressor,
    TimeKernelDisplay,
    TimeSpectrumDisplay,
    TimeToEventCalibrationDisplay,
    make_event_windows,
)
from tests.time_events.test_sequences import event_log

FAST = {"d_model": 8, "n_heads": 2, "n_frequencies": 6, "max_epochs": 2, "random_state": 0}


@pytest.fixture(scope="module")
def fitted():
    X, y, *_ = make_event_windows(event_log(), "who", "at", "what", ["value"], unit="h", max_len=5)
    return TimeEventRegressor(**FAST, loss="lognormal_mixture").fit(X, y), X, y


def test_kernel_is_the_learnt_one(fitted):
    model, *_ = fitted
    display = TimeKernelDisplay.from_estimator(model, lags=[0.0, 5.0])
    np.testing.assert_allclose(display.kernel, model.time_kernel([0.0, 5.0]))
    assert display.band_ is None  # frequencies were learnt, not drawn
    assert display.ax_.get_xlabel() == "elapsed time (hours)"
    with pytest.raises(NotFittedError):
        TimeKernelDisplay.from_estimator(TimeEventRegressor())


def test_band_holds_the_kernel_that_is_drawn_from():
    encoder = BochnerTimeEncoder(
        n_frequencies=200, distribution="normal", scale=1.0, random_state=0
    ).fit(np.zeros((1, 1)))
    display = TimeKernelDisplay.from_estimator(encoder, lags=np.linspace(0.1, 5, 50))
    truth = np.exp(-(display.lags**2) / 2)
    inside = np.abs(display.kernel - truth) <= 2 * display.error
    assert inside.mean() > 0.8
    assert display.band_ is not None


def test_spectrum_shows_weights_by_period():
    encoder = MercerTimeEncoder(periods=[24.0], degree=2, coefficients=[0.5, 0.4, 0.1], unit="h")
    display = TimeSpectrumDisplay.from_estimator(encoder.fit(np.zeros((1, 1))))
    np.testing.assert_allclose(display.periods, [24.0, 12.0])
    np.testing.assert_allclose(display.weights, [0.4, 0.1])
    assert display.ax_.get_xscale() == "log"
    assert {text.get_text() for text in display.ax_.texts} == {"1D", "12h"}
    with pytest.raises(ValueError, match="Time2VecEncoder has no time kernel"):
        TimeSpectrumDisplay.from_estimator(Time2VecEncoder().fit(np.zeros((2, 1))))


def test_attention_is_told_by_lag_and_type(fitted):
    model, X, _ = fitted
    display = AttentionByLagDisplay.from_estimator(model, X, n_bins=6)
    assert len(display.lags) == X.lengths.sum()
    assert sorted(line.get_label() for line in display.lines_) == ["x", "y"]
    maps = model.attention_weights(X)
    total = maps[0].mean(axis=1)[:, 0, :-1].sum()
    assert display.attention.sum() == pytest.approx(total)
    grid = TimeEventRegressor(**FAST).fit(np.eye(4), np.arange(4.0))
    with pytest.raises(ValueError, match="plain table has no events"):
        AttentionByLagDisplay.from_estimator(grid, np.eye(4))


def test_calibration_counts_what_came(fitted):
    model, X, y = fitted
    display = TimeToEventCalibrationDisplay.from_estimator(model, X, y, n_levels=3)
    expected = (y[:, None] <= model.predict_quantile(X, [0.25, 0.5, 0.75])).mean(axis=0)
    np.testing.assert_array_equal(display.observed, expected)
    np.testing.assert_array_equal(display.line_.get_ydata(), expected)
