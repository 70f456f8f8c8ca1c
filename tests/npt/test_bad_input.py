"""What cannot be fitted or predicted: the error, its words, and that nothing is lost."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sklearn_selfattn import NPTClassifier, NPTRegressor
from tests.npt.tables import SMALL, classes_of, mixed_table

both = pytest.mark.parametrize("make", [NPTClassifier, NPTRegressor])


def small(make, **changed):
    return make(**{**SMALL, "max_epochs": 2, **changed})


def target_for(make, target):
    return classes_of(target) if make is NPTClassifier else target


@pytest.fixture(scope="module")
def fitted():
    frame, target = mixed_table(40)
    return {
        make: small(make).fit(frame, target_for(make, target))
        for make in (NPTClassifier, NPTRegressor)
    }


def output(model, X):
    return model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X)


def objects(value):
    cells = np.ones((40, 2), dtype=object)
    cells[3, 1] = value
    return cells


def numbers(value=1.0):
    X = np.random.RandomState(0).normal(size=(40, 5))
    X[3, 1] = value
    return X


BAD_TABLES = {
    "inf": (lambda: numbers(np.inf), ValueError, "contains infinity"),
    "inf in a frame": (lambda: mixed_table(40)[0].assign(size=np.inf), ValueError, "infinity"),
    "complex": (lambda: numbers().astype(complex), ValueError, "Complex data not supported"),
    "sparse": (lambda: sparse.csr_array(numbers()), TypeError, "[Ss]parse data was passed"),
    "1-D": (lambda: numbers()[:, 0], ValueError, "Expected 2D array, got 1D array"),
    "3-D": (lambda: numbers()[None], ValueError, "dim 3|with dim"),
    "no rows": (lambda: numbers()[:0], ValueError, "0 sample"),
    "no columns": (lambda: numbers()[:, :0], ValueError, "0 feature"),
    "dict": (lambda: objects({}), TypeError, "'dict'"),
    "list": (lambda: objects([1]), TypeError, "'list'"),
    "dates": (lambda: mixed_table(40)[0].assign(size=pd.Timestamp(0)), TypeError, "dates"),
    "lengths": (lambda: numbers()[:-1], ValueError, "inconsistent numbers of samples: .39, 40"),
}


@both
@pytest.mark.parametrize(("spoilt", "error", "words"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_tables_that_cannot_be_fitted(fitted, make, spoilt, error, words):
    model, (frame, target) = fitted[make], mixed_table(40)
    before, state = output(model, frame), dict(vars(model))
    with pytest.raises(error, match=words):
        model.fit(spoilt(), target_for(make, target))
    assert vars(model) == state
    np.testing.assert_array_equal(output(model, frame), before)


BAD_TARGETS = {
    "none": (lambda y: None, ValueError, "requires y to be passed, but the target y is None"),
    "lengths": (lambda y: y[:-1], ValueError, "inconsistent numbers of samples: .40, 39"),
    "2-D": (lambda y: np.column_stack([y, y]), ValueError, "1d array"),
    "nan": (lambda y: np.where(np.arange(40) == 3, np.nan, y), ValueError, "contains NaN"),
    "inf": (lambda y: np.where(np.arange(40) == 3, np.inf, y), ValueError, "contains infinity"),
    "complex": (lambda y: y.astype(complex), ValueError, "Complex data not supported"),
}


@both
@pytest.mark.parametrize(("spoil", "error", "words"), BAD_TARGETS.values(), ids=BAD_TARGETS)
def test_targets_that_cannot_be_fitted(fitted, make, spoil, error, words):
    model, (frame, target) = fitted[make], mixed_table(40)
    before = output(model, frame)
    with pytest.raises(error, match=words):
        model.fit(frame, spoil(target))
    np.testing.assert_array_equal(output(model, frame), before)


def test_targets_of_the_other_kind(fitted):
    frame, target = mixed_table(40)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        fitted[NPTClassifier].fit(frame, target)
    with pytest.raises(ValueError, match="could not convert string to float"):
        fitted[NPTRegressor].fit(frame, classes_of(target))


@both
def test_a_row_alone_cannot_be_fitted(fitted, make):
    frame, target = mixed_table(40)
    words = f"n_samples=1 while a minimum of 2 is required by {make.__name__}"
    with pytest.raises(ValueError, match=words):
        fitted[make].fit(frame.head(1), target_for(make, target)[:1])


def test_one_class_is_predicted_for_every_row():
    frame, _ = mixed_table(40)
    model = small(NPTClassifier).fit(frame, ["only"] * 40)
    assert set(model.predict(frame)) == {"only"}
    np.testing.assert_array_equal(model.predict_proba(frame), np.ones((40, 1)))
    assert set(model.predict_loo()) == {"only"}
    assert model.context_reliance(frame, ["only"] * 40).reliance == 0


@both
@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"d_model": 9}, "d_model has to be divisible by n_heads, got d_model=9 and n_heads=2"),
        ({"row_dim": 17}, "row_dim has to be divisible by n_heads, got row_dim=17 and n_heads=2"),
        ({"batch_size": 1}, "batch_size has to be at least 2, a context row and a query, got"),
        ({"device": "abacus"}, "device has to be 'auto' or the name of a torch device.*'abacus'"),
        ({"architecture": "columns"}, "'architecture' parameter of .* must be a str among"),
        ({"optimizer": "sgd"}, "'optimizer' parameter of .* must be a str among"),
        ({"dtype": "float16"}, "'dtype' parameter of .* must be a str among"),
        ({"n_estimators": 0}, r"'n_estimators' parameter .* in the range \[1, inf\). Got 0"),
        ({"n_bins": -1}, r"'n_bins' parameter .* in the range \[0, inf\). Got -1"),
        ({"feature_mask_prob": 1.0}, r"'feature_mask_prob' .* in the range \[0.0, 1.0\). Got 1.0"),
        ({"feature_loss_weight": 1.5}, r"'feature_loss_weight' .*\[0.0, 1.0\]. Got 1.5"),
        ({"dropout": 1.0}, r"'dropout' parameter .* \[0.0, 1.0\). Got 1.0"),
        ({"validation_fraction": 1.0}, r"'validation_fraction' .* \(0.0, 1.0\). Got 1.0"),
        ({"learning_rate": 0.0}, r"'learning_rate' .* \(0.0, inf\). Got 0.0"),
        ({"context_size": 0}, r"'context_size' parameter .* \[1, inf\). Got 0"),
        ({"max_epochs": 2.5}, "'max_epochs' parameter .* must be an int"),
        ({"max_categories": 1}, r"'max_categories' parameter .* \[2, inf\). Got 1"),
        ({"use_cell_attention": "yes"}, "'use_cell_attention' parameter .* must be"),
        ({"early_stopping": "never"}, "'early_stopping' parameter .* must be"),
        ({"categorical_features": [7]}, "column indices in 0..4, got .7."),
        ({"categorical_features": ["hue"]}, "names columns that X does not have: .'hue'."),
        ({"learning_rate": 1e30}, r"learning_rate \(it was 1e\+30\)"),
    ],
    ids=lambda case: next(iter(case)) if isinstance(case, dict) else "",
)
def test_parameters_that_make_no_sense(fitted, make, params, words):
    frame, target = mixed_table(40)
    model = fitted[make]
    before, kept = output(model, frame), model.get_params()
    try:
        model.set_params(**params)
        with pytest.raises(ValueError, match=words):
            model.fit(frame, target_for(make, target))
    finally:
        model.set_params(**kept)
    np.testing.assert_array_equal(output(model, frame), before)


@both
def test_groups_have_to_be_one_for_each_row(fitted, make):
    frame, target = mixed_table(40)
    y = target_for(make, target)
    for bad in (np.arange(39), np.arange(41)):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            fitted[make].fit(frame, y, groups=bad)
    with pytest.raises(ValueError, match="1d array"):
        fitted[make].fit(frame, y, groups=np.zeros((40, 2)))


@both
@pytest.mark.parametrize("method", ["predict", "neighbors", "attention_weights", "impute"])
@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda X: X.drop(columns="size"), ValueError, "feature names should match"),
        (lambda X: X[X.columns[::-1]], ValueError, "feature names should match"),
        (lambda X: X.rename(columns={"size": "length"}), ValueError, "feature names should match"),
        (lambda X: X.assign(size=np.inf), ValueError, "infinity"),
        (lambda X: X.assign(size="large"), (TypeError, ValueError), "size"),
        (lambda X: X.iloc[:0], ValueError, "0 sample"),
    ],
    ids=["missing", "order", "renamed", "inf", "text", "empty"],
)
def test_rows_that_cannot_be_predicted(fitted, make, method, spoil, error, words):
    frame, _ = mixed_table(40)
    with pytest.raises(error, match=words):
        getattr(fitted[make], method)(spoil(frame))


@both
def test_a_number_of_columns_that_was_not_fitted(make):
    X = numbers()
    model = small(make).fit(X, target_for(make, X[:, 0]))
    words = f"X has 4 features, but {make.__name__} is expecting 5 features as input"
    for method in ("predict", "neighbors", "impute"):
        with pytest.raises(ValueError, match=words):
            getattr(model, method)(X[:, :4])
        with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
            getattr(model, method)(X[:, 0])
        with pytest.raises(TypeError, match="[Ss]parse data was passed"):
            getattr(model, method)(sparse.csr_array(X))


@both
def test_what_looks_odd_but_is_no_error(make):
    """All-missing and constant columns, unknown categories, duplicates, two rows."""
    frame, target = mixed_table(40)
    frame["empty"] = np.nan
    y = target_for(make, target)
    model = small(make).fit(frame, y)
    odd = frame.assign(colour="violet", size=np.nan, count=1e300)
    assert np.isfinite(output(model, odd)).all()
    doubled = pd.concat([frame, frame])
    assert np.isfinite(output(small(make).fit(doubled, np.tile(y, 2)), frame)).all()
    first = [int(np.flatnonzero(y == label)[0]) for label in np.unique(y)[:2]]
    assert np.isfinite(output(small(make).fit(frame.iloc[first], y[first]), frame)).all()
