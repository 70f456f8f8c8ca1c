"""What is refused, in which words, and that a refusal costs nothing."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError

from sklearn_selfattn import PrimalAttentionClassifier, PrimalAttentionRegressor
from tests.primal.series_data import rhythms

SMALL = {"n_estimators": 1, "d_model": 8, "max_epochs": 1, "random_state": 0}


def spoiled(**changes):
    """Return series of which the first is another."""
    X, y = rhythms(12)
    return [changes["first"](X[0]), *X[1:]], y


BAD_SERIES = {
    "NaN inside": (lambda x: np.where(np.arange(x.shape[1]) == 3, np.nan, x), ValueError,
                   "Input X contains NaN inside a series"),
    "inf": (lambda x: np.where(np.arange(x.shape[1]) == 3, np.inf, x), ValueError, "infinity"),
    "complex": (lambda x: x + 1j, ValueError, "Complex data not supported"),
    "sparse": (sp.csr_array, TypeError, "Sparse data was passed"),
    "channels": (lambda x: x[:1], ValueError, "same channels, got between 1 and 2"),
    "empty": (lambda x: x[:, :0], ValueError, "Series 0 is empty"),
    "all NaN": (lambda x: x * np.nan, ValueError, "Series 0 is empty"),
    "words": (lambda x: np.full(x.shape, "a"), ValueError, "does not hold numbers only"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(BAD_SERIES))
def test_bad_series(name):
    first, error, words = BAD_SERIES[name]
    X, y = rhythms(12)
    model = PrimalAttentionClassifier(**SMALL).fit(X, y)
    before, attributes = model.predict_proba(X), set(vars(model))
    bad, _ = spoiled(first=first)
    with pytest.raises(error, match=words):
        model.fit(bad, y)
    with pytest.raises(error, match=words):
        model.predict(bad)
    assert set(vars(model)) == attributes
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_other_kinds_than_in_fit():
    X, y = rhythms(12)
    series = PrimalAttentionClassifier(**SMALL).fit(X, y)
    table = PrimalAttentionClassifier(**SMALL).fit(np.stack([x[:, :3].ravel() for x in X]), y)
    with pytest.raises(ValueError, match="fitted on series, got a table"):
        series.predict(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="fitted on a table, got series"):
        table.predict(X)
    with pytest.raises(ValueError, match="X has 3 features, but .* is expecting 2 features"):
        series.predict(np.zeros((2, 3, 9)))
    with pytest.raises(ValueError, match="Reshape your data"):
        series.set_params(tokenizer="auto").fit(X[0][0], y)
    with pytest.raises(ValueError, match="0 sample"):
        series.fit(np.zeros((0, 2, 5)), [])
    with pytest.raises(ValueError, match="0 channels"):
        series.fit(np.zeros((3, 0, 5)), [0, 1, 0])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        series.fit(X, y[:-1])
    with pytest.raises(ValueError, match="Unknown label type"):
        series.fit(X, np.linspace(0, 1, len(y)))
    with pytest.raises(ValueError, match="requires y to be passed"):
        series.fit(X, None)
    with pytest.raises(ValueError, match="tokenizer='feature' is for tables"):
        PrimalAttentionClassifier(**SMALL, tokenizer="feature").fit(X, y)
    with pytest.raises(ValueError, match="needs columns of numbers"):
        PrimalAttentionClassifier(**SMALL, tokenizer="timestep").fit([["a"], ["b"]], [0, 1])
    with pytest.raises(NotFittedError):
        PrimalAttentionClassifier().predict(X)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"d_model": 10, "n_heads": 4}, "d_model has to be divisible by n_heads"),
        ({"rank": 0}, "'rank' parameter"),
        ({"eta": -1}, "'eta' parameter"),
        ({"attention": "cosine"}, "'attention' parameter"),
        ({"pooling": 1}, "'pooling' parameter"),
        ({"primal_layers": "first"}, "'primal_layers' parameter"),
        ({"uncertainty": "svgp", "attention": "none"}, "it needs attention='primal', got"),
        ({"layout": "time_first"}, "'layout' parameter"),
    ],
)
@pytest.mark.parametrize("cls", [PrimalAttentionClassifier, PrimalAttentionRegressor])
def test_bad_parameters(cls, params, words):
    X, y = rhythms(12)
    with pytest.raises(ValueError, match=words):
        cls(**{**SMALL, **params}).fit(X, y)


def test_a_rank_above_the_width_of_a_head_warns():
    X, y = rhythms(12)
    with pytest.warns(UserWarning, match="rank=9 is more than the width of a head, .* = 4"):
        PrimalAttentionClassifier(**SMALL, rank=9).fit(X, y)


def test_one_class_and_one_step():
    X, _ = rhythms(6)
    model = PrimalAttentionClassifier(**SMALL).fit(X, np.ones(6))
    np.testing.assert_array_equal(model.predict_proba(X), np.ones((6, 1)))
    assert model.predict(X).tolist() == [1.0] * 6
    assert model.predict_uncertainty(X).total.tolist() == [0.0] * 6
    with pytest.raises(ValueError, match="infinity"):
        model.predict([x * np.inf for x in X])
    single = PrimalAttentionClassifier(**SMALL).fit([x[:, :1] for x in X], [0, 1] * 3)
    assert np.isfinite(single.predict_proba(X)).all()
