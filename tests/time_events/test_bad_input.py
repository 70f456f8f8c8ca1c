"""What may not go in, row by row of the specification: kind and words, and nothing is lost."""

import numpy as np
import pytest

from sklearn_selfattn import (
    EventSequences,
    TimeEventClassifier,
    TimeEventRegressor,
    make_event_windows,
)
from tests.time_events.test_sequences import event_log

FAST = {"d_model": 8, "n_heads": 2, "max_epochs": 1, "random_state": 0}


@pytest.fixture(scope="module")
def fitted():
    X, y, *_ = make_event_windows(event_log(), "who", "at", "what", ["value"], unit="h", max_len=5)
    return TimeEventRegressor(**FAST).fit(X, y), X, y


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda X, y: (X, np.where(np.arange(len(y)) == 2, np.nan, y)), ValueError,
         "Input y contains NaN"),
        (lambda X, y: (X, -y), ValueError, "Durations cannot be negative"),
        (lambda X, y: (X, y[1:]), ValueError, "inconsistent numbers of samples"),
        (lambda X, y: (X[:0], y[:0]), ValueError, "0 rows"),
        (lambda X, y: (X, None), ValueError, "requires y"),
        (lambda X, y: (X.to_wide().drop(columns="type__-2"), y), TypeError, "dates"),
    ],
)  # fmt: skip
def test_bad_training_data_is_refused_and_nothing_is_lost(fitted, spoil, error, words):
    model, X, y = fitted
    before, attributes = model.predict(X), set(vars(model))
    options = {"target_transform": "log1p"} if "negative" in words else {}
    model.set_params(**options)
    try:
        with pytest.raises(error, match=words):
            model.fit(*spoil(X, y))
    finally:
        model.set_params(target_transform="auto")
    assert set(vars(model)) == attributes
    np.testing.assert_array_equal(model.predict(X), before)


def test_other_kinds_of_times_are_refused(fitted):
    model, X, _ = fitted
    log = event_log()
    columns = {"id_col": "who", "time_col": "at", "type_col": "what", "value_cols": ["value"]}
    zoned = log.assign(at=log["at"].dt.tz_localize("UTC"))
    with pytest.raises(TypeError, match="dates without a time zone, this is dates in UTC"):
        model.predict(EventSequences.from_frame(zoned, **columns, unit="h"))
    numbers = event_log(dates=False)
    with pytest.raises(TypeError, match="this is numbers"):
        model.predict(EventSequences.from_frame(numbers, **columns))
    with pytest.raises(TypeError, match="Times differ"):
        model.predict(EventSequences.from_frame(log, **columns, unit="D"))
    with pytest.raises(TypeError, match="fit was given histories of events"):
        model.predict(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="other values"):
        model.predict(EventSequences.from_frame(log, **columns | {"value_cols": []}, unit="h"))
    grid = TimeEventRegressor(**FAST).fit(np.eye(4), np.arange(4.0))
    with pytest.raises(TypeError, match="fit was given a table"):
        grid.predict(X)
    with pytest.raises(ValueError, match="no times to predict"):
        grid.predict_event_time(np.eye(4))


def test_unknown_types_are_told_or_ignored(fitted):
    model, X, _ = fitted
    log = event_log()
    log["what"] = "never seen"
    strange, *_ = make_event_windows(log, "who", "at", "what", ["value"], unit="h", max_len=5)
    assert np.isfinite(model.predict(strange)).all()
    model.set_params(handle_unknown="error")
    try:
        model.predict(X)
        with pytest.raises(ValueError, match="'never seen' was not seen in fit"):
            model.predict(strange)
    finally:
        model.set_params(handle_unknown="infrequent")


def test_empty_long_and_simultaneous_histories_are_predicted():
    times = [[], [1.0], [2.0, 2.0, 2.0], np.arange(300.0)]
    X = EventSequences.from_lists(times, query_times=[5.0, 5.0, 5.0, 300.0])
    model = TimeEventRegressor(**FAST, max_len=16).fit(X, [1.0, 2.0, 3.0, 4.0])
    found = model.predict(X)
    assert np.isfinite(found).all()
    late = EventSequences.from_lists([np.arange(250.0, 300.0)], query_times=[300.0])
    np.testing.assert_allclose(model.predict(late), found[3:], rtol=1e-9)  # the latest 16 count
    nothing = EventSequences.from_lists([[], []], query_times=[1.0, 2.0])
    assert np.isfinite(TimeEventRegressor(**FAST).fit(nothing, [1.0, 2.0]).predict(nothing)).all()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"time_encoding": "sinusoid"}, "time_encoding"),
        ({"time_grid": [0.0, 1.0]}, "a time for each of the 4 columns"),
        ({"frequency_init": [0.0]}, "positive periods"),
        ({"d_model": 9}, "divisible by n_heads"),
    ],
)
def test_bad_parameters_are_refused(params, words):
    with pytest.raises(ValueError, match=words):
        TimeEventRegressor(**{**FAST, **params}).fit(np.eye(4), np.arange(4.0))


def test_what_cannot_be_is_told(fitted):
    _, X, y = fitted
    with pytest.raises(ValueError, match="prefix_training needs times that each event"):
        TimeEventRegressor(**FAST, prefix_training=True, time_encoding="time2vec").fit(X, y)
    with pytest.raises(ValueError, match="censored rows need loss='lognormal_mixture'"):
        TimeEventRegressor(**FAST).fit(X, y, censored=y > 3)
    with pytest.raises(ValueError, match="'positional' has no kernel"):
        TimeEventRegressor(**FAST, time_encoding="positional").fit(X, y).time_kernel([1.0])
    numbers, gaps, *_ = make_event_windows(event_log(dates=False), "who", "at")
    with pytest.raises(ValueError, match="how long a day is"):
        TimeEventRegressor(**FAST, frequency_init="calendar").fit(numbers, gaps)
    one_class = np.zeros(len(X))
    assert (TimeEventClassifier(**FAST).fit(X, one_class).predict(X) == 0).all()
    assert not hasattr(TimeEventRegressor(), "predict_quantile")
    mixture = TimeEventRegressor(**FAST, loss="lognormal_mixture").fit(X, y)
    with pytest.raises(ValueError, match="between 0 and 1"):
        mixture.predict_quantile(X, 1.5)
