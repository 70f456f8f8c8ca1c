"""Metrics: by hand, beside scikit-learn where it agrees, and on what makes them differ."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import average_precision_score, ndcg_score

from sklearn_selfattn.reranking import relevance_hits, retrieval_metric
from tests.reranking.reference import average_precision_trapezoidal


@pytest.fixture
def hits():
    return (np.random.RandomState(0).rand(40, 30) < 0.2).astype(int)


def test_steps_and_ndcg_are_scikit_learns(hits):
    hits = hits[hits.any(axis=1)]
    scores = -np.arange(30.0)
    expected = [average_precision_score(row, scores) for row in hits]
    np.testing.assert_allclose(retrieval_metric(hits, "map_step", average=False), expected)
    every = np.tile(scores, (len(hits), 1))
    for k in (1, 7, 30):
        expected = ndcg_score(hits, every, k=k)
        np.testing.assert_allclose(retrieval_metric(hits, f"ndcg@{k}"), expected)
    np.testing.assert_allclose(retrieval_metric(hits, "ndcg"), ndcg_score(hits, every))


def test_trapezoids_are_those_of_the_landmark_benchmarks(hits):
    n_relevant = hits.sum(axis=1) + 2
    expected = [average_precision_trapezoidal(*pair) for pair in zip(hits, n_relevant, strict=True)]
    found = retrieval_metric(hits, "map", n_relevant=n_relevant, average=False)
    np.testing.assert_allclose(found, expected)
    assert abs(retrieval_metric(hits, "map") - retrieval_metric(hits, "map_step")) > 0.01


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        # relevant at places 2 and 3 of 4; a third relevant item was not ranked
        ("map_step", (1 / 2 + 2 / 3) / 3),
        ("map", ((0 + 1 / 2) / 2 + (1 / 2 + 2 / 3) / 2) / 3),
        ("map@2", (1 / 2) / 2),
        ("map@4", (1 / 2 + 2 / 3) / 3),
        ("mrr", 1 / 2),
        ("mrr@1", 0.0),
        ("precision@1", 0.0),
        ("precision@3", 2 / 3),
        ("precision@8", 2 / 8),
        ("recall@2", 1 / 3),
        ("recall@4", 2 / 3),
        ("ndcg@2", (1 / np.log2(3)) / (1 + 1 / np.log2(3))),
    ],
)
def test_by_hand(metric, expected):
    assert retrieval_metric([[0, 1, 1, 0]], metric, n_relevant=[3]) == pytest.approx(expected)


def test_junk_is_taken_out_before_places_are_counted(hits):
    junk = np.random.RandomState(1).rand(*hits.shape) < 0.3
    with_junk = np.where(junk, -1, hits)
    for metric in ("map", "map_step", "ndcg", "mrr", "map@5", "precision@5", "recall@5"):
        found = retrieval_metric(with_junk, metric, average=False)
        for row, is_junk, value in zip(hits, junk, found, strict=True):
            (expected,) = retrieval_metric(row[None, ~is_junk], metric, average=False)
            np.testing.assert_allclose(value, expected)


def test_queries_without_relevant_items_have_no_value():
    hits = [[0, 0], [1, 0]]
    np.testing.assert_array_equal(retrieval_metric(hits, "map", average=False), [np.nan, 1.0])
    assert retrieval_metric(hits, "map") == 1.0
    # but one whose relevant item was not found has: zero
    assert retrieval_metric(hits, "map", n_relevant=[1, 1]) == 0.5
    with pytest.raises(ValueError, match="nothing to measure"):
        retrieval_metric([[0, 0]], "map")


def test_labels_and_pairs_agree():
    rng = np.random.RandomState(0)
    y_queries, y_gallery = rng.randint(5, size=12), rng.randint(4, size=30)
    ranking = np.array([rng.permutation(30)[:20] for _ in range(12)])
    matrix = sparse.csr_array(y_queries[:, None] == y_gallery)
    for own in (None, rng.randint(30, size=12)):
        by_label = relevance_hits(ranking, (y_queries, y_gallery), own=own)
        for pairs in (matrix, sparse.coo_matrix(matrix)):
            by_pair = relevance_hits(ranking, pairs, own=own)
            np.testing.assert_array_equal(by_label[0], by_pair[0])
            np.testing.assert_array_equal(by_label[1], by_pair[1])
    assert (by_label[1][y_queries == 4] == 0).all()  # a class that the gallery has not


def test_junk_pairs_leave_the_relevant_count_too():
    junk = sparse.csr_array([[0, 1, 0, 1]])
    truth = (["a"], ["a", "a", "b", "b"])
    for relevance in (truth, sparse.csr_array([[1, 1, 0, 0]])):
        hits, n_relevant = relevance_hits([[3, 2, 1, 0]], relevance, junk=junk)
        assert hits.tolist() == [[-1, 0, -1, 1]]
        assert n_relevant.tolist() == [1]


@pytest.mark.parametrize(
    "metric", ["MAP", "map@0", "precision", "recall", "precision@-1", "map_step@3", "p@1", None]
)
def test_unknown_metrics_are_named(metric):
    with pytest.raises(ValueError, match=f"metric has to be .* got {metric!r}"):
        retrieval_metric([[1]], metric)


@pytest.mark.parametrize(
    ("hits", "n_relevant", "words"),
    [
        ([1, 0], None, "n_queries, length"),
        ([[2, 0]], None, "values 1, 0 and -1"),
        ([[1, 1]], [1], "at least those"),
        ([[1, 1]], [2, 2], "n_relevant has to count"),
    ],
)
def test_bad_hits(hits, n_relevant, words):
    with pytest.raises(ValueError, match=words):
        retrieval_metric(hits, n_relevant=n_relevant)
