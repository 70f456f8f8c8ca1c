"""What every estimator has to do, whatever its method.

A new room adds its estimators to `ESTIMATORS`, with parameters that make a fit take well under a
second; everything below then runs on them, once at these and once at default parameters.
"""

import copy
import pickle
import random
import re
from unittest import SkipTest

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
import torch
from sklearn import config_context
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_validate, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks
from sklearn.utils.validation import has_fit_parameter

from sklearn_selfattn import (
    AttentionReranker,
    NPTClassifier,
    NPTRegressor,
    OTTabularClassifier,
    PrimalAttentionClassifier,
    PrimalAttentionRegressor,
    TimeEventClassifier,
    TimeEventRegressor,
    VisualParsingClassifier,
    VisualParsingRegressor,
)
from tests.core.toy import (
    TableTransformerClassifier,
    TableTransformerRegressor,
    TableTransformerTransformer,
)

TOY = {"d_model": 8, "max_epochs": 25, "learning_rate": 2e-2}
NPT = {
    "pretrained": False, "d_model": 8, "n_heads": 2, "row_dim": 16, "feed_forward_dim": 16,
    "n_layers": 1,
    "n_estimators": 2, "n_bins": 4, "dropout": 0.0, "max_epochs": 6, "batch_size": 64,
    "learning_rate": 3e-2,
}  # fmt: skip
OT = {
    "hidden_layer_sizes": (16,), "n_estimators": 2, "n_draws": 1, "max_epochs": 8,
    "learning_rate": 2e-2,
}  # fmt: skip
TIME = {
    "d_model": 8, "n_heads": 2, "n_frequencies": 4, "feed_forward_dim": 16, "dropout": 0.0,
    "max_epochs": 10, "learning_rate": 3e-2,
}  # fmt: skip
PRIMAL = {
    "n_estimators": 2, "d_model": 8, "n_layers": 1, "max_epochs": 15, "learning_rate": 2e-2,
}  # fmt: skip
RERANKER = {
    "d_model": 8, "n_anchors": 8, "n_candidates": 16, "n_train_candidates": 16, "max_epochs": 4,
    "learning_rate": 1e-2,
}  # fmt: skip
VISION = {
    "d_model": 8, "n_heads": 2, "n_layers": 1, "dropout": 0.0, "max_epochs": 60,
    "learning_rate": 1e-2,
}  # fmt: skip
ESTIMATORS = {
    TableTransformerClassifier: TOY,
    TableTransformerRegressor: TOY,
    TableTransformerTransformer: TOY,
    NPTClassifier: NPT,
    NPTRegressor: NPT,
    OTTabularClassifier: OT,
    TimeEventClassifier: TIME,
    TimeEventRegressor: TIME,
    PrimalAttentionClassifier: PRIMAL,
    PrimalAttentionRegressor: PRIMAL,
    AttentionReranker: RERANKER,
    VisualParsingClassifier: VISION,
    VisualParsingRegressor: VISION,
}
#: Take embeddings or pixels: numbers only, none missing. All others take tables as they are.
TAKES_NUMBERS = {AttentionReranker, VisualParsingClassifier, VisualParsingRegressor}

EXTRA_CHECKS = [
    "check_param_validation",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_output_transform_pandas",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_dataframe_column_names_consistency",
    "check_inplace_ensure_writeable",
    "check_get_feature_names_out_error",
]
# Only transformers have columns to name; a skip would be no skip of ours.
TRANSFORMER_CHECKS = [name for name in EXTRA_CHECKS if "output" in name or "names_out" in name]

every_estimator = pytest.mark.parametrize(
    "make", [pytest.param(cls, id=cls.__name__) for cls in ESTIMATORS]
)


def small(cls, **params):
    """Return an estimator that fits fast, with a seed."""
    return cls(**{**ESTIMATORS[cls], "random_state": 0, **params})


def noisy(cls):
    """Return one that draws random numbers while training, where it can."""
    known = cls().get_params()
    return small(cls, **{name: 0.2 for name in ("dropout",) if name in known})


def mixed_table(n_rows=60, seed=0):
    """Return a frame with every kind of column, missing cells, and a target in three classes."""
    rng = np.random.RandomState(seed)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=n_rows),
            "count": rng.randint(0, 9, size=n_rows),
            "colour": rng.choice(["red", "green", "blue"], size=n_rows),
            "is_new": rng.rand(n_rows) < 0.5,
            "constant": 1.0,
            "empty": np.full(n_rows, np.nan),
        }
    )
    frame.loc[::7, "size"] = np.nan
    target = frame["colour"].map({"red": 0, "green": 1, "blue": 2}).to_numpy()
    frame.loc[3::11, "colour"] = None
    return frame, target


def table_for(cls, n_rows=60, seed=0):
    """Return a frame of what an estimator takes, and a target in three classes."""
    frame, target = mixed_table(n_rows, seed)
    if cls in TAKES_NUMBERS:
        rng = np.random.RandomState(seed)
        frame = pd.DataFrame({name: rng.normal(size=n_rows) for name in ("size", "b", "c", "d")})
        frame["size"] += 2 * target
    return frame, target


def numbers(n_rows=60, seed=0):
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n_rows, 4))
    return X, (X[:, 0] > 0).astype(int)


def target_for(cls, y):
    return y.astype(float) if is_regressor(cls()) else y


def outputs(estimator, X):
    """Return all that a fitted estimator says about rows, as arrays."""
    names = ("predict", "predict_proba", "decision_function", "transform")
    return [np.asarray(getattr(estimator, n)(X)) for n in names if hasattr(estimator, n)]


def assert_same_outputs(one, other, X, atol=0.0):
    for a, b in zip(outputs(one, X), outputs(other, X), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


# --- scikit-learn's own checks ----------------------------------------------------------------


@parametrize_with_checks([cls(**params) for cls, params in ESTIMATORS.items()])
def test_scikit_learn_check(estimator, check):
    try:
        check(estimator)
    except SkipTest as reason:
        pytest.fail(f"skipped: {reason}")


@every_estimator
def test_check_estimator_at_defaults(make):
    results = check_estimator(make(), on_fail=None, on_skip=None)
    assert len(results) > 40
    assert [
        (r["check_name"], r["status"], r["exception"]) for r in results if r["status"] != "passed"
    ] == []


@every_estimator
@pytest.mark.parametrize("name", EXTRA_CHECKS)
@pytest.mark.filterwarnings("ignore:X .* feature names")  # they mix kinds of X
def test_extra_check(make, name):
    if name in TRANSFORMER_CHECKS and not hasattr(make, "transform"):
        assert not hasattr(make, "get_feature_names_out")
        return
    try:
        getattr(estimator_checks, name)(make.__name__, small(make))
    except SkipTest as reason:
        pytest.fail(f"skipped: {reason}")


@every_estimator
def test_no_tag_switches_a_check_off(make):
    tags = get_tags(make())
    assert not (tags.non_deterministic or tags.no_validation or tags._skip_test)
    assert tags.requires_fit
    assert tags.input_tags.allow_nan == (make not in TAKES_NUMBERS)
    assert not (tags.input_tags.categorical or tags.input_tags.string)  # would soften the data
    for of_kind in (tags.classifier_tags, tags.regressor_tags):
        assert of_kind is None or not of_kind.poor_score


# --- tables -----------------------------------------------------------------------------------


@every_estimator
def test_pandas_polars_and_numpy_agree(make):
    frame, y = table_for(make)
    y = target_for(make, y)
    from_pandas = small(make).fit(frame, y)
    from_polars = small(make).fit(pl.from_pandas(frame), y)
    from_numpy = small(make).fit(frame.to_numpy(dtype=object), y)
    for a, b, c in zip(
        outputs(from_pandas, frame),
        outputs(from_polars, pl.from_pandas(frame)),
        outputs(from_numpy, frame.to_numpy(dtype=object)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


@every_estimator
def test_odd_rows_are_predicted(make):
    """Unknown categories, rows of missing cells, columns that change their type."""
    if make in TAKES_NUMBERS:
        return  # which embeddings have not
    frame, y = table_for(make)
    estimator = small(make).fit(frame, target_for(make, y))
    odd = frame.head(3).copy()
    odd["colour"] = "violet"
    odd["count"] = odd["count"].astype(float)
    odd["size"] = pd.Series([None, None, None], dtype=object)
    as_category = frame.assign(colour=frame["colour"].astype("category"))
    for X in (odd, odd.head(1), frame.head(3).assign(colour=None)):
        assert all(np.isfinite(output).all() for output in outputs(estimator, X))
    for a, b in zip(outputs(estimator, frame), outputs(estimator, as_category), strict=True):
        np.testing.assert_array_equal(a, b)


@every_estimator
def test_a_row_is_predicted_alike_in_any_company(make):
    frame, y = table_for(make, 200)
    estimator = small(make, **{"batch_size": 64} if "batch_size" in make().get_params() else {})
    estimator.fit(frame, target_for(make, y))
    order = np.random.RandomState(1).permutation(len(frame))
    together = outputs(estimator, frame)
    for whole, shuffled, alone in zip(
        together,
        outputs(estimator, frame.iloc[order]),
        outputs(estimator, frame.iloc[[17]]),
        strict=True,
    ):
        np.testing.assert_allclose(whole[order], shuffled, rtol=0, atol=1e-10)
        np.testing.assert_allclose(whole[[17]], alone, rtol=0, atol=1e-10)


@every_estimator
@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda X: X.assign(size=np.inf), ValueError, "infinity"),
        (lambda X: X.assign(size=1j), ValueError, "[Cc]omplex"),
        (lambda X: X.assign(when=pd.Timestamp("2020-01-01")), TypeError, "dates|DateTime64"),
        (lambda X: X.iloc[:0], ValueError, "0 sample"),
        (lambda X: X["size"], ValueError, "2D array|2-dimensional"),
        (lambda X: X.head(7), ValueError, "inconsistent numbers of samples"),
    ],
    ids=["inf", "complex", "dates", "empty", "1-D", "lengths"],
)
def test_bad_tables_are_refused_and_nothing_is_lost(make, spoil, error, words):
    frame, y = table_for(make)
    y = target_for(make, y)
    estimator = small(make).fit(frame, y)
    before, attributes = outputs(estimator, frame), set(vars(estimator))
    if words.startswith("inconsistent") and not get_tags(estimator).target_tags.required:
        return  # what takes no target has no lengths to compare
    with pytest.raises(error, match=words):
        estimator.fit(spoil(frame), y)
    assert set(vars(estimator)) == attributes
    for a, b in zip(before, outputs(estimator, frame), strict=True):
        np.testing.assert_array_equal(a, b)


@every_estimator
@pytest.mark.parametrize("unit", ["datetime64[D]", "timedelta64[h]", "objects"])
def test_dates_as_a_target_are_refused_and_nothing_is_lost(make, unit):
    frame, y = table_for(make)
    estimator = small(make).fit(frame, target_for(make, y))
    if not get_tags(estimator).target_tags.required:
        return  # what takes no target looks at none
    before = outputs(estimator, frame)
    dates = y.astype("datetime64[D]")
    dates = list(pd.to_datetime(dates)) if unit == "objects" else y.astype(unit)
    with pytest.raises(TypeError, match="y holds dates or durations .*Turn it into"):
        estimator.fit(frame, dates)
    for a, b in zip(before, outputs(estimator, frame), strict=True):
        np.testing.assert_array_equal(a, b)


@every_estimator
def test_a_diverging_refit_loses_nothing(make):
    frame, y = table_for(make)
    estimator = small(make).fit(frame, target_for(make, y))
    before = outputs(estimator, frame)
    estimator.set_params(learning_rate=1e30)
    with pytest.raises(ValueError, match=re.escape("learning_rate (it was 1e+30)")):
        estimator.fit(*[part[::-1] for part in table_for(make, 40)])
    for a, b in zip(before, outputs(estimator, frame), strict=True):
        np.testing.assert_array_equal(a, b)


@every_estimator
def test_columns_have_to_be_those_of_fit(make):
    frame, y = table_for(make)
    estimator = small(make).fit(frame, target_for(make, y))
    method = estimator.predict if hasattr(estimator, "predict") else estimator.transform
    with pytest.raises(ValueError, match="feature names should match"):
        method(frame[frame.columns[::-1]])
    with pytest.raises(ValueError, match="feature names should match"):
        method(frame.drop(columns="size"))
    with pytest.raises(TypeError, match="'dict'"):
        method(frame.assign(size=pd.Series([{}] * len(frame), dtype=object)))


# --- saving and copying -----------------------------------------------------------------------


@every_estimator
def test_pickle_is_small_and_exact(make):
    frame, y = table_for(make)
    estimator = small(make).fit(frame, target_for(make, y))
    saved = pickle.dumps(estimator)
    assert_same_outputs(estimator, pickle.loads(saved), frame)
    n_parameters = sum(p.numel() for p in estimator.module_.parameters())
    n_kept = getattr(estimator, "n_context_", len(getattr(estimator, "gallery_", ())))
    context = n_kept * (estimator.n_features_in_ + 2)
    assert len(saved) <= 8 * (n_parameters + context) + 32_768


@every_estimator
def test_parameters_set_after_fit_do_not_spoil_the_pickle(make):
    """They say how to fit next time; the module was built from those of last time."""
    frame, target = table_for(make)
    estimator = small(make).fit(frame, target_for(make, target))
    shown = outputs(estimator, frame)
    sizes = {"d_model": 12, "n_estimators": 3, "n_layers": 3, "hidden_layer_sizes": (5, 4)}
    changed = {name: value for name, value in sizes.items() if name in estimator.get_params()}
    assert changed
    loaded = pickle.loads(pickle.dumps(estimator.set_params(**changed)))
    for before, after in zip(shown, outputs(loaded, frame), strict=True):
        np.testing.assert_array_equal(before, after)
    assert {name: loaded.get_params()[name] for name in changed} == changed


@every_estimator
def test_training_rows_stay_out_of_the_pickle(make):
    if hasattr(make, "set_context") or hasattr(make, "set_gallery"):
        return  # keeps its context rows, or its gallery, and says so
    X, y = numbers(600)  # enough rows for early stopping to hold some out
    X[::2, 1] = sentinel = 1234.56789
    estimator = small(make, max_epochs=2).fit(X, target_for(make, y))
    assert np.float64(sentinel).tobytes() not in pickle.dumps(estimator)


@every_estimator
def test_skops_and_memory_maps(make, tmp_path):
    frame, y = table_for(make)
    estimator = small(make).fit(frame, target_for(make, y))
    saved = skops.io.dumps(estimator)
    unknown = skops.io.get_untrusted_types(data=saved)
    assert all(name.startswith(("sklearn_selfattn.", "tests.")) for name in unknown)
    assert_same_outputs(estimator, skops.io.loads(saved, trusted=unknown), frame)
    joblib.dump(estimator, tmp_path / "estimator.joblib")
    mapped = joblib.load(tmp_path / "estimator.joblib", mmap_mode="r")
    assert_same_outputs(estimator, mapped, frame)
    assert_same_outputs(estimator, copy.deepcopy(estimator), frame)


@every_estimator
def test_another_version_warns(make, monkeypatch):
    X, y = numbers()
    saved = pickle.dumps(small(make).fit(X, target_for(make, y)))
    monkeypatch.setattr("sklearn_selfattn.__version__", "99.0")
    with pytest.warns(UserWarning, match="saved by sklearn_selfattn .* loaded by 99.0"):
        pickle.loads(saved)


@every_estimator
def test_clone_is_unfitted_and_fits_alike(make):
    X, y = numbers()
    estimator = small(make).fit(X, target_for(make, y))
    copied = clone(estimator)
    assert not hasattr(copied, "module_")
    assert_same_outputs(estimator, copied.fit(X, target_for(make, y)), X)


# --- among other estimators -------------------------------------------------------------------


@every_estimator
def test_grid_search_in_processes(make):
    X, y = numbers()
    y = target_for(make, y)
    scoring = None if hasattr(make, "score") else (lambda est, X, y=None: -est.transform(X).std())
    grid = {"learning_rate": [1e-3, 2e-2]}
    searches = [
        GridSearchCV(small(make), grid, cv=2, scoring=scoring, n_jobs=n).fit(X, y) for n in (1, 2)
    ]
    scores = [search.cv_results_["mean_test_score"] for search in searches]
    np.testing.assert_array_equal(*scores)
    assert np.isfinite(scores[0]).all()


@every_estimator
def test_pipeline_and_set_output(make):
    X, y = numbers()
    y = target_for(make, y)
    Z = StandardScaler().fit_transform(X)
    pipeline = make_pipeline(StandardScaler(), small(make)).fit(X, y)
    direct = small(make).fit(Z, y)
    for a, b in zip(outputs(pipeline, X), outputs(direct, Z), strict=True):
        np.testing.assert_array_equal(a, b)
    if hasattr(make, "transform"):
        frame = small(make).set_output(transform="polars").fit(X, y).transform(X)
        assert isinstance(frame, pl.DataFrame)
        assert frame.columns == list(direct.get_feature_names_out())


@pytest.mark.parametrize(
    "kind",
    [
        BaggingClassifier,
        CalibratedClassifierCV,
        FrozenEstimator,
        StackingClassifier,
        VotingClassifier,
    ],
)
@pytest.mark.parametrize("make", [cls for cls in ESTIMATORS if is_classifier(cls())])
def test_classifiers_inside_others(make, kind):
    X, y = numbers()
    if kind is FrozenEstimator:
        combined = kind(small(make).fit(X, y))
    elif kind in (StackingClassifier, VotingClassifier):
        combined = kind([("one", small(make)), ("two", small(make, random_state=1))])
    else:
        combined = kind(small(make), **{"random_state": 0} if kind is BaggingClassifier else {})
    assert combined.fit(X, y).predict(X).shape == y.shape
    assert combined.score(X, y) > 0.8


@pytest.mark.parametrize("make", [cls for cls in ESTIMATORS if hasattr(cls, "predict")])
def test_tools_of_model_selection(make):
    X, y = numbers()
    y = target_for(make, y)
    method = "predict_proba" if is_classifier(make()) else "predict"
    assert len(cross_val_predict(small(make), X, y, cv=3, method=method)) == len(X)
    sizes, _, scores = learning_curve(small(make), X, y, cv=3, train_sizes=[0.5, 1.0])
    assert scores.shape == (2, 3)
    assert sizes.tolist() == [20, 40]
    importances = permutation_importance(small(make).fit(X, y), X, y, n_repeats=3, random_state=0)
    assert importances.importances_mean.argmax() == 0  # the target depends on the first column
    columns = ColumnTransformer([("pick", "passthrough", [0, 1])])
    assert make_pipeline(columns, small(make)).fit(X, y).predict(X).shape == y.shape


@every_estimator
def test_metadata_routing(make):
    X, y = numbers()
    y = target_for(make, y)
    weight = np.random.RandomState(0).randint(1, 4, size=len(y)).astype(float)
    with config_context(enable_metadata_routing=True):
        estimator = small(make).fit(X, y)  # routing switched on changes nothing by itself
        assert_same_outputs(estimator, small(make).fit(X, y), X)
        if not has_fit_parameter(make, "sample_weight"):
            assert "sample_weight" not in estimator.get_metadata_routing().fit.requests
            return
        weighted = (
            small(make).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        )
        pipeline = make_pipeline("passthrough", weighted)
        scores = cross_validate(pipeline, X, y, params={"sample_weight": weight}, cv=2)
        assert np.isfinite(scores["test_score"]).all()
        routed = pipeline.fit(X, y, sample_weight=weight)
        assert_same_outputs(small(make).fit(X, y, sample_weight=weight), routed[-1], X)


# --- nothing else is touched ------------------------------------------------------------------


@every_estimator
def test_global_state_is_unchanged(make):
    def state():
        kind, keys, *rest = np.random.get_state()  # noqa: NPY002
        return (
            torch.get_rng_state().tolist(), kind, keys.tolist(), rest, random.getstate(),
            torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(),
        )  # fmt: skip

    X, y = numbers()
    before = state()
    estimator = noisy(make).fit(X, target_for(make, y))
    outputs(estimator, X)
    pickle.loads(pickle.dumps(estimator))
    assert state() == before


@every_estimator
def test_fits_do_not_depend_on_global_state(make):
    X, y = numbers()
    first = noisy(make).fit(X, target_for(make, y))
    with torch.random.fork_rng(devices=[]):
        torch.rand(7)
        second = noisy(make).fit(X, target_for(make, y))
    assert_same_outputs(first, second, X)


@every_estimator
def test_fits_in_threads_equal_fits_in_sequence(make):
    X, y = numbers()
    y = target_for(make, y)

    def fit(seed):
        return noisy(make).set_params(random_state=seed).fit(X, y)

    alone = [fit(seed) for seed in range(4)]
    together = joblib.Parallel(n_jobs=4, backend="threading")(
        joblib.delayed(fit)(seed) for seed in range(4)
    )
    for one, other in zip(alone, together, strict=True):
        assert_same_outputs(one, other, X)


@every_estimator
def test_arrays_are_float64_and_labels_are_labels(make):
    X, y = numbers()
    labels = np.array(["no", "yes"])[y] if is_classifier(make()) else target_for(make, y)
    estimator = small(make, dtype="float32").fit(X, labels)
    for name in ("predict_proba", "predict_log_proba", "decision_function", "transform"):
        if hasattr(estimator, name):
            assert getattr(estimator, name)(X).dtype == np.float64
    if is_classifier(estimator):
        assert set(estimator.predict(X)) <= {"no", "yes"}
    assert [row["epoch"] for row in estimator.history_] == list(range(1, estimator.n_iter_ + 1))


@every_estimator
def test_verbose_writes_to_stderr_only_when_asked(make, capsys):
    X, y = numbers()
    small(make).fit(X, target_for(make, y))
    assert capsys.readouterr() == ("", "")
    small(make, verbose=1).fit(X, target_for(make, y))
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(r"epoch +\d+/\d+ .*loss \d+\.\d+ .*\d+:\d\d left", err)
