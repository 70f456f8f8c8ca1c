"""Bad input: what is said, and that nothing fitted is lost."""

import copy
import re

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_selfattn.reranking import AttentionReranker, make_retrieval_scorer
from tests.reranking.data import clusters
from tests.reranking.test_estimator import SMALL

X, Y = clusters()
N = len(X)


@pytest.fixture(scope="module")
def fitted():
    return AttentionReranker(**SMALL).fit(X, Y)


@pytest.mark.filterwarnings("ignore:The number of unique classes")
@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (lambda: ((np.where(X > 1, np.nan, X), Y), {}), ValueError, "NaN"),
        (lambda: ((np.where(X > 1, np.inf, X), Y), {}), ValueError, "infinity"),
        (lambda: ((X[0], Y), {}), ValueError, "Expected 2D array"),
        (lambda: ((X[:1], Y[:1]), {}), ValueError, "minimum of 2"),
        (lambda: ((X, Y[:-1]), {}), ValueError, "inconsistent numbers of samples"),
        (lambda: ((X, Y + 0.5), {}), ValueError, "continuous"),
        (lambda: ((sparse.csr_matrix(X), Y), {}), TypeError, "[Ss]parse"),
        (lambda: ((X,), {}), ValueError, "requires y to be passed"),
        (lambda: ((X, np.arange(N)), {}), ValueError, "no positive pairs"),
        (lambda: ((X, Y), {"relevance": [[0, 1]]}), ValueError, "y or relevance, not both"),
        (lambda: ((X, Y), {"queries": X}), ValueError, "with relevance= only"),
        (lambda: ((X, Y), {"views": [X[1:]]}), ValueError, "one has 119 rows, X has 120"),
        (lambda: ((X, Y), {"views": [X * np.nan]}), ValueError, "views contains NaN"),
        (lambda: ((X,), {"relevance": [[0, 1]], "views": [X]}), ValueError, "cannot go with"),
        (lambda: ((X,), {"relevance": [[0, N]]}), ValueError, f"from {N} to {N}, and there are"),
        (lambda: ((X,), {"relevance": [[-1, 0]]}), ValueError, "name a query that is not there"),
        (lambda: ((X,), {"relevance": [[0.5, 0.0]]}), TypeError, "whole numbers"),
        (lambda: ((X,), {"relevance": sparse.eye(3)}), ValueError, r"\(120, 120\), got \(3, 3\)"),
        (
            lambda: ((X,), {"relevance": [[0, 1]], "queries": X[:, :3]}),
            ValueError,
            "queries have 3 features, X has 10",
        ),
    ],
)
def test_fit_refuses_and_nothing_is_lost(fitted, arguments, error, words):
    model = copy.copy(fitted)
    before, attributes = model.kneighbors(X), set(vars(model))
    args, kwargs = arguments()
    with pytest.raises(error, match=words):
        model.fit(*args, **kwargs)
    assert set(vars(model)) == attributes
    for a, b in zip(before, model.kneighbors(X), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"n_candidates": 0}, "'n_candidates'"), ({"n_anchors": 0}, "'n_anchors'"),
        ({"n_train_candidates": 0}, "'n_train_candidates'"), ({"n_neighbors": 0}, "'n_neighbors'"),
        ({"temperature": 0}, "'temperature'"), ({"blend": -1}, "'blend'"),
        ({"weights": "rank"}, "'weights'"), ({"searcher": object()}, "'searcher'"),
        ({"positives": "all"}, "'positives'"), ({"n_layers": -1}, "'n_layers'"),
        ({"feature_dropout": 1.0}, "'feature_dropout'"),
        ({"reconstruction_weight": -0.1}, "'reconstruction_weight'"),
        ({"n_heads": 3}, "d_model=8 and n_heads=3"),
    ],
)  # fmt: skip
def test_parameters(params, words):
    with pytest.raises((InvalidParameterError, ValueError), match=re.escape(words)):
        AttentionReranker(**{**SMALL, **params}).fit(X, Y)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: m.kneighbors(X[:, :3]), ValueError, "expecting 10 features"),
        (lambda m: m.kneighbors(X, 21), ValueError, "n_neighbors=21 is more than the n_cand"),
        (lambda m: m.kneighbors(X, N + 1), ValueError, "n_samples_fit = 120"),
        (lambda m: m.kneighbors(None, N), ValueError, "n_samples_fit = 119"),
        (lambda m: m.kneighbors(X, 0), ValueError, "Expected 1 <= n_neighbors"),
        (lambda m: m.kneighbors(X, 2.5), TypeError, "n_neighbors has to be an integer"),
        (lambda m: m.kneighbors_graph(X, 2, mode="adjacency"), ValueError, "mode has to be"),
        (lambda m: m.rerank(X[:1], [[0.0, 1.0]]), TypeError, "ranking has to hold indices"),
        (lambda m: m.rerank(X[:1], [[0, N]]), ValueError, "from 0 to 119, .* got 120"),
        (lambda m: m.rerank(X[:1], [[3, 3]]), ValueError, "twice for query 0"),
        (lambda m: m.rerank(X[:2], [[0, 1]]), ValueError, r"\(n_queries, length\) = \(2,"),
        (lambda m: m.rerank(X[:1], [[0]], n_candidates=0), ValueError, "n_candidates == 0"),
        (lambda m: m.rerank(X[:1], [[0]], place_weight=-1), ValueError, "place_weight == -1"),
        (lambda m: m.retrieval_score(X, Y, "map@x"), ValueError, "metric has to be"),
        (lambda m: m.retrieval_score(X), ValueError, "Pass y, the label of each row"),
        (lambda m: m.retrieval_score(X, Y[:3]), ValueError, "Pass y, the label of each row"),
        (lambda m: m.retrieval_score(X[:1], [99]), ValueError, "No query has a relevant row"),
        (lambda m: m.set_gallery(X[:, :2]), ValueError, "expecting 10 features"),
        (lambda m: m.set_gallery(X, Y[1:]), ValueError, "inconsistent numbers of samples"),
        (lambda m: m.set_gallery(X * np.nan), ValueError, "NaN"),
        (lambda m: m.predict([[np.inf] * 10]), ValueError, "infinity"),
    ],
)
def test_fitted_methods(fitted, call, error, words):
    model = copy.copy(fitted)
    with np.errstate(invalid="ignore"), pytest.raises(error, match=words):
        call(model)
    for name in ("gallery_", "gallery_y_", "classes_", "searcher_"):
        assert getattr(model, name) is getattr(fitted, name)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.predict(X), lambda m: m.predict_proba(X), lambda m: m.kneighbors(X),
        lambda m: m.kneighbors_graph(X), lambda m: m.rerank(X[:1], [[0]]), lambda m: m.refine(X),
        lambda m: m.attention_weights(X), lambda m: m.set_gallery(X), lambda m: m.affinity(X),
        lambda m: m.retrieval_score(X, Y),
    ],
)  # fmt: skip
def test_unfitted(call):
    with pytest.raises(NotFittedError):
        call(AttentionReranker())


def test_scorer_and_attention_without_layers():
    with pytest.raises(ValueError, match="gallery has to be one of"):
        make_retrieval_scorer("map", gallery="test")
    with pytest.raises(ValueError, match="metric has to be"):
        make_retrieval_scorer("mean")
    linear = AttentionReranker(**{**SMALL, "n_layers": 0}).fit(X, Y)
    with pytest.raises(ValueError, match="n_layers=0 has no attention"):
        linear.attention_weights(X)


def test_embeddings_that_saw_the_labels_are_noticed():
    perfect, y = clusters(n_classes=60, n_each=10, noise=0.01)
    with pytest.warns(UserWarning, match="all but perfect before re-ranking"):
        AttentionReranker(**{**SMALL, "max_epochs": 1, "n_candidates": 12}).fit(perfect, y)


@pytest.mark.parametrize(
    "kind",
    ["copies", "constant", "giant class", "one column", "half", "zeros", "one class", "huge"],
)
def test_hostile_galleries(kind):
    rows, y = X, Y
    if kind == "copies":
        rows = np.repeat(X[::10], 10, axis=0)
    elif kind == "constant":
        rows = np.ones_like(X)
    elif kind == "giant class":
        y = np.minimum(Y, 1) * (np.arange(N) > N - 4)
    elif kind == "one column":
        rows = X[:, :1]
    elif kind == "half":
        rows = X.astype(np.float16)
    elif kind == "zeros":
        rows = np.where(np.arange(N)[:, None] % 3, X, 0.0)
    elif kind == "one class":
        y = np.zeros(N, dtype=int)
    else:
        rows = X * 1e300
    model = AttentionReranker(**SMALL).fit(rows, y)
    d, ranking = model.kneighbors(None, 12)
    assert np.isfinite(d).all()
    assert all(len(set(row)) == 12 for row in ranking.tolist())
    assert set(model.predict(rows)) <= set(y)
    assert 0 <= model.retrieval_score() <= 1
    if kind == "huge":  # length is no matter
        plain = AttentionReranker(**SMALL).fit(X, Y)
        np.testing.assert_array_equal(plain.kneighbors(None, 12)[1], ranking)
