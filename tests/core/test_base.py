import pickle
import re

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils._param_validation import InvalidParameterError
from skorch.callbacks import Callback

from sklearn_selfattn.core import base
from sklearn_selfattn.core.base import BaseSelfAttention, weighted_mean_and_scale
from sklearn_selfattn.core.holdout import hold_out
from tests.core.toy import (
    TableTransformerClassifier,
    TableTransformerRegressor,
    TableTransformerTransformer,
)

SMALL = {"d_model": 8, "max_epochs": 15, "learning_rate": 2e-2, "random_state": 0}


@pytest.fixture
def numbers():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(80, 3))
    return X, X[:, 0] + 0.5 * X[:, 1] ** 2


@pytest.fixture
def many():
    """Enough rows for early stopping, and a target that noise makes easy to overfit."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(600, 3))
    return X, X[:, 0] + rng.normal(size=600)


# --- parameters -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"d_model": 9}, "d_model has to be divisible by n_heads, got d_model=9 and n_heads=2"),
        ({"device": "gpu"}, "device has to be 'auto' or the name of a torch device .* got 'gpu'"),
        ({"device": "cuda:99"}, "device='cuda:99' is not available on this machine"),
        ({"dtype": "float16"}, "'dtype' parameter .* Got 'float16'"),
        ({"dropout": 1.0}, r"'dropout' parameter .* range \[0.0, 1.0\)"),
        ({"early_stopping": "yes"}, "'early_stopping' parameter"),
        ({"max_epochs": 0}, "'max_epochs' parameter"),
    ],
)
def test_bad_parameters_are_named_with_what_would_do(numbers, params, words):
    estimator = TableTransformerRegressor(**params)
    with pytest.raises(ValueError, match=words):
        estimator.fit(*numbers)
    with pytest.raises(NotFittedError):
        estimator.predict(numbers[0])


def test_every_shared_parameter_is_constrained():
    assert set(BaseSelfAttention._parameter_constraints) == set(BaseSelfAttention().get_params())
    with pytest.raises(InvalidParameterError, match="callbacks"):
        TableTransformerRegressor(callbacks="all").fit([[0.0], [1.0]], [0.0, 1.0])
    with pytest.raises(NotImplementedError, match="has to define _make_module"):
        BaseSelfAttention()._make_module()


def test_precision_follows_the_size(numbers):
    X, y = numbers
    whole = TableTransformerRegressor(**SMALL, batch_size=80).fit(X, y)
    cut = TableTransformerRegressor(**SMALL, batch_size=40).fit(X, y)
    single = TableTransformerRegressor(**SMALL, dtype="float32").fit(X, y)

    def of(estimator):
        saved = {value.dtype for value in estimator.__getstate__()["module_"].values()}
        return {p.dtype for p in estimator.module_.parameters()}, saved

    # Trained in float64 and kept so; trained in float32, predicting in float64, saved small.
    in_use, saved = of(whole)
    assert in_use == {torch.float64}
    assert np.dtype("float64") in saved
    assert of(cut) == ({torch.float64}, {np.dtype("float32")})
    assert of(single) == ({torch.float32}, {np.dtype("float32")})


def test_a_default_dtype_of_the_user_is_respected(numbers):
    X, y = numbers
    torch.set_default_dtype(torch.float64)
    try:
        predicted = TableTransformerRegressor(**SMALL).fit(X, y).predict(X)
        assert torch.get_default_dtype() is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert np.isfinite(predicted).all()


# --- fitting ----------------------------------------------------------------------------------


def test_weights_are_repetitions_on_a_mixed_table():
    """Integer weights against repeated rows, with categories, missing cells and zero weights."""
    rng = np.random.RandomState(0)
    frame = pd.DataFrame({"n": rng.normal(size=40), "c": rng.choice(list("abc"), size=40)})
    frame.loc[::5, "n"] = np.nan
    counts = rng.randint(0, 4, size=40)
    counts[frame["c"] == "c"] = 0  # a category that only rows of weight 0 have
    y = np.where(frame["c"] == "c", 2, (frame["n"].fillna(0) > 0).astype(int))
    repeated = frame.loc[frame.index.repeat(counts)].reset_index(drop=True)
    weighted = TableTransformerClassifier(**SMALL).fit(frame, y, sample_weight=counts)
    expected = TableTransformerClassifier(**SMALL).fit(repeated, np.repeat(y, counts))
    assert weighted.classes_.tolist() == [0, 1]
    assert weighted.encoder_.categories_[1].tolist() == ["a", "b"]
    np.testing.assert_allclose(
        weighted.predict_proba(frame), expected.predict_proba(frame), rtol=0, atol=1e-9
    )


def test_early_stopping_from_500_rows_on(many):
    X, y = many
    params = {**SMALL, "n_iter_no_change": 5, "max_epochs": 300}
    stopped = TableTransformerRegressor(**params).fit(X, y)
    losses = [row["valid_loss"] for row in stopped.history_]
    assert len(losses) == stopped.n_iter_ == int(np.argmin(losses)) + 1 + 5 < 300
    fewer = TableTransformerRegressor(**SMALL).fit(X[:499], y[:499])
    assert all("valid_loss" not in row for row in fewer.history_)
    off = TableTransformerRegressor(**SMALL, early_stopping=False).fit(X, y)
    assert all("valid_loss" not in row for row in off.history_)


def test_the_module_kept_is_the_best_on_the_held_out_rows(many):
    X, y = many
    estimator = TableTransformerRegressor(**{**SMALL, "n_iter_no_change": 3, "max_epochs": 100})
    estimator.fit(X, y)
    seed = estimator._draw_seeds()[0]
    train, valid = estimator._split_validation(600, seed)
    assert len(valid) == 60
    error = (estimator.predict(X[valid]) - y[valid]) / estimator.target_scale_
    best = min(row["valid_loss"] for row in estimator.history_)
    assert np.mean(error**2) == pytest.approx(best, rel=1e-5)
    assert estimator.target_mean_ == pytest.approx(y[train].mean(), rel=1e-12)  # of those alone


def test_one_class_is_predicted_with_certainty(numbers):
    X, _ = numbers
    estimator = TableTransformerClassifier(**SMALL).fit(X, ["only"] * len(X))
    assert set(estimator.predict(X)) == {"only"}
    np.testing.assert_array_equal(estimator.predict_proba(X), np.ones((len(X), 1)))
    np.testing.assert_array_equal(estimator.predict_log_proba(X), np.zeros((len(X), 1)))
    assert estimator.decision_function(X).shape == (len(X),)
    with pytest.raises(ValueError, match="X has 2 features"):
        estimator.predict(X[:, :2])


def test_one_or_two_logits_for_two_classes(numbers):
    """A module may give one logit, or one for each class: the probabilities are the same."""
    X, y = numbers

    class TwoLogits(TableTransformerClassifier):
        def _raw_predict(self, X):
            logits = super()._raw_predict(X)
            return np.hstack([3.0 * np.ones_like(logits), logits + 3.0])

    one = TableTransformerClassifier(**SMALL).fit(X, y > 0)
    two = TwoLogits(**SMALL).fit(X, y > 0)
    assert one.decision_function(X).shape == (len(X),)
    np.testing.assert_allclose(one.predict_proba(X), two.predict_proba(X), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(one.predict(X), one.decision_function(X) > 0)


def test_log_probabilities_do_not_underflow(numbers):
    X, y = numbers

    class Sure(TableTransformerClassifier):
        def _raw_predict(self, X):
            return np.tile([[0.0, 2000.0]], (len(X), 1))

    log_proba = Sure(**SMALL).fit(X, y > 0).predict_log_proba(X)
    np.testing.assert_array_equal(log_proba, np.tile([-2000.0, 0.0], (len(X), 1)))


def test_a_target_of_any_scale(numbers):
    X, y = numbers
    plain = TableTransformerRegressor(**SMALL).fit(X, y).predict(X)
    shifted = TableTransformerRegressor(**SMALL).fit(X, 1e6 * y + 1e9).predict(X)
    np.testing.assert_allclose(shifted, 1e6 * plain + 1e9, rtol=1e-6)
    constant = TableTransformerRegressor(**SMALL).fit(X, np.full(len(X), 3.0))
    assert constant.target_scale_ == 1.0
    np.testing.assert_allclose(constant.predict(X), 3.0, atol=0.5)


def test_predicting_in_chunks_changes_nothing(numbers, monkeypatch):
    X, y = numbers
    estimator = TableTransformerRegressor(**SMALL).fit(X, y)
    whole = estimator.predict(X)
    monkeypatch.setattr(base, "PREDICT_ROWS", 7)
    np.testing.assert_allclose(estimator.predict(X), whole, rtol=0, atol=1e-12)


def test_a_failed_first_fit_leaves_nothing(numbers):
    X, _ = numbers
    estimator = TableTransformerClassifier(**SMALL)
    with pytest.raises(ValueError, match="y contains NaN|Input y contains NaN"):
        estimator.fit(X, np.full(len(X), np.nan))
    with pytest.raises(ValueError, match="target y is None"):
        estimator.fit(X, None)
    assert vars(estimator) == TableTransformerClassifier(**SMALL).get_params()


def test_labels_and_probabilities_of_a_refit_replace_the_old(numbers):
    X, y = numbers
    estimator = TableTransformerClassifier(**SMALL).fit(pd.DataFrame(X, columns=list("abc")), y > 0)
    estimator.fit(X[:, :2], np.digitize(y, [0, 1]))
    assert estimator.predict_proba(X[:, :2]).shape == (len(X), 3)
    assert not hasattr(estimator, "feature_names_in_")


# --- held-out rows ----------------------------------------------------------------------------


def test_hold_out_keeps_the_shares_of_the_classes():
    classes = np.repeat([0, 1, 2], [600, 300, 100])
    train, valid = hold_out(1000, 0.1, seed=0, stratify=classes)
    assert np.bincount(classes[valid]).tolist() == [60, 30, 10]
    assert sorted([*train, *valid]) == list(range(1000))
    again = hold_out(1000, 0.1, seed=0, stratify=classes)
    np.testing.assert_array_equal(valid, again[1])
    assert not np.array_equal(valid, hold_out(1000, 0.1, seed=1, stratify=classes)[1])


def test_hold_out_leaves_the_only_row_of_a_class_in_training():
    classes = np.array([0] * 50 + [1] * 49 + [2])
    for seed in range(20):
        train, _ = hold_out(100, 0.5, seed, stratify=classes)
        assert 99 in train
    few = np.arange(10) // 2  # five classes, one row to hold out: no shares to keep
    assert len(hold_out(10, 0.1, 0, stratify=few)[1]) == 1


def test_hold_out_keeps_groups_together():
    groups = np.repeat(np.arange(20), 5)
    train, valid = hold_out(100, 0.2, 0, groups=groups)
    assert len(valid) == 20
    assert not set(groups[train]) & set(groups[valid])


def test_hold_out_without_a_row_to_spare():
    assert [len(part) for part in hold_out(5, 0.0, 0)] == [5, 0]
    with pytest.warns(UserWarning, match="no row to spare"):
        assert [len(part) for part in hold_out(1, 0.1, 0)] == [1, 0]
    with pytest.warns(UserWarning, match="no row to spare"):
        assert len(hold_out(3, 0.5, 0, stratify=np.arange(3))[1]) == 0
    with pytest.warns(UserWarning, match="no group to spare"):
        assert len(hold_out(9, 0.5, 0, groups=np.zeros(9))[1]) == 0


# --- scaling ----------------------------------------------------------------------------------


def test_weighted_mean_and_scale():
    rng = np.random.RandomState(0)
    values = rng.normal(size=(30, 2)) * [1, 1e200] + [1e3, 0]
    values[::4, 0] = np.nan
    counts = rng.randint(0, 4, size=30)
    repeated = np.repeat(values, counts, axis=0)
    mean, scale = weighted_mean_and_scale(values, counts.astype(float))
    np.testing.assert_allclose(mean, np.nanmean(repeated, axis=0), rtol=1e-12)
    unit = np.array([1, 1e200])
    np.testing.assert_allclose(scale / unit, np.nanstd(repeated / unit, axis=0), rtol=1e-9)


def test_scale_of_columns_without_spread():
    values = np.array([[0.1, np.nan, 0.0, 5e300], [0.1, np.nan, 0.0, 5e300]])
    mean, scale = weighted_mean_and_scale(values)
    np.testing.assert_allclose(mean, [0.1, 0, 0, 5e300])
    np.testing.assert_allclose(scale, 1.0)


# --- persistence ------------------------------------------------------------------------------


def test_saved_on_a_device_that_is_not_here(numbers):
    X, y = numbers
    estimator = TableTransformerRegressor(**SMALL).fit(X, y)
    estimator.device = "cuda:99"
    loaded = pickle.loads(pickle.dumps(estimator))
    assert {p.device.type for p in loaded.module_.parameters()} == {"cpu"}
    np.testing.assert_array_equal(loaded.predict(X), estimator.predict(X))


def test_what_is_saved_is_plain(numbers):
    estimator = TableTransformerRegressor(**SMALL, early_stopping=True).fit(*numbers)
    state = estimator.__getstate__()
    assert all(type(value) is np.ndarray for value in state["module_"].values())
    assert {type(value) for row in state["history_"] for value in row.values()} == {int, float}
    assert b"torch" not in pickle.dumps({**state, "_versions": None, "encoder_": None})
    unfitted = pickle.loads(pickle.dumps(TableTransformerRegressor()))
    assert vars(unfitted) == vars(TableTransformerRegressor())


# --- scikit-learn's callbacks -----------------------------------------------------------------


def test_scoring_monitor_sees_every_epoch(numbers):
    X, y = numbers
    monitor = ScoringMonitor(scoring="r2")
    estimator = TableTransformerRegressor(**SMALL).set_callbacks(monitor).fit(X, y)
    rows = monitor.get_logs().data
    scores = [row["r2"] for row in rows if row["task_name"] == "epoch"]
    assert len(scores) == estimator.n_iter_ == SMALL["max_epochs"]
    assert scores[0] < scores[-1] == estimator.score(X, y)
    unwatched = TableTransformerRegressor(**SMALL).fit(X, y)
    np.testing.assert_array_equal(estimator.predict(X), unwatched.predict(X))


class StopAfter:
    """A callback of scikit-learn's protocol that stops, or fails, after some epochs."""

    def __init__(self, n_epochs, error=None):
        self.n_epochs, self.error, self.events = n_epochs, error, []

    def setup(self, estimator, context):
        self.events.append("setup")

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if context.task_name != "epoch":
            return False
        self.events.append(float(fitted_estimator.predict(np.zeros((1, 3)))[0]))
        if self.error and len(self.events) > self.n_epochs:
            raise self.error
        return len(self.events) > self.n_epochs

    def teardown(self, estimator, context):
        self.events.append("teardown")


def test_a_callback_may_stop_the_fit(numbers):
    X, y = numbers
    callback = StopAfter(3)
    estimator = TableTransformerRegressor(**SMALL).set_callbacks(callback).fit(X, y)
    assert estimator.n_iter_ == 3
    assert callback.events[0] == "setup"
    assert callback.events[-1] == "teardown"
    assert len(set(callback.events[1:4])) == 3  # a model of its own after every epoch
    assert callback.events[3] == estimator.predict(np.zeros((1, 3)))[0]


def test_a_failing_callback_is_torn_down_and_loses_nothing(numbers):
    X, y = numbers
    estimator = TableTransformerRegressor(**SMALL).fit(X, y)
    before, attributes = estimator.predict(X), set(vars(estimator))
    callback = StopAfter(2, RuntimeError("full disk"))
    estimator.set_callbacks(callback)
    for target in (y, np.digitize(y, [0])):  # also a refit that would have other sizes
        callback.events.clear()
        with pytest.raises(RuntimeError, match="full disk"):
            estimator.fit(X, target)
        assert callback.events[-1] == "teardown"
        assert set(vars(estimator)) == attributes | {"_skl_callbacks"}
        np.testing.assert_array_equal(estimator.predict(X), before)


class SmallMemory(Callback):
    """A device on which so many rows at once are too many."""

    def __init__(self, n_rows):
        self.n_rows = n_rows

    def on_batch_begin(self, net, batch=None, training=None, **kwargs):
        if training and len(batch[0]) > self.n_rows:
            raise torch.cuda.OutOfMemoryError(f"tried to allocate {len(batch[0])} rows")


def test_too_little_memory_halves_the_batch(numbers):
    X, y = numbers
    model = TableTransformerRegressor(
        batch_size=40, max_epochs=2, random_state=0, callbacks=[SmallMemory(12)]
    )
    with pytest.warns(UserWarning) as caught:
        model.fit(X, y)
    sizes = [re.search(r"batch_size=(\d+) instead", str(w.message))[1] for w in caught]
    assert sizes == ["20", "10"]
    assert {w.filename for w in caught} == {__file__}
    assert model.batch_size == 40  # the parameter stays
    ten = TableTransformerRegressor(batch_size=10, max_epochs=2, random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), ten.predict(X))
    # where not even two rows fit, the error is what it was, and the model too
    model.set_params(callbacks=[SmallMemory(0)])
    with pytest.warns(UserWarning), pytest.raises(torch.cuda.OutOfMemoryError):
        model.fit(X, y)
    assert model.batch_size == 40
    np.testing.assert_array_equal(model.predict(X), ten.predict(X))


def test_progress_bar_also_inside_a_search(numbers, capsys):
    X, y = numbers
    small = TableTransformerClassifier(**{**SMALL, "max_epochs": 2})
    small.set_callbacks(ProgressBar()).fit(X, y > 0)
    alone = capsys.readouterr().out
    assert re.search(r"TableTransformerClassifier - fit .*100%", alone)
    small = TableTransformerClassifier(**{**SMALL, "max_epochs": 2})
    search = GridSearchCV(small, {"d_model": [4, 8]}, cv=2)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, y > 0)
    assert "TableTransformerClassifier - fit #1" in capsys.readouterr().out
    assert not hasattr(search.best_estimator_, "_parent_callback_ctx")


def test_transformer_names_its_columns(numbers):
    X, y = numbers
    vectors = TableTransformerTransformer(**SMALL).set_output(transform="pandas").fit(X)
    frame = vectors.transform(X)
    assert frame.columns.tolist() == [f"tabletransformertransformer{j}" for j in range(8)]
    assert frame.shape == (len(y), 8)
