"""AttentionReranker: the two stages, exactness, galleries, classes."""

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedKFold
from sklearn.neighbors import KNeighborsTransformer, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_selfattn.reranking import (
    AttentionReranker,
    make_retrieval_scorer,
    paper_preset,
    relevance_hits,
    retrieval_metric,
)
from sklearn_selfattn.reranking.search import nearest, unit_rows
from tests.reranking import reference
from tests.reranking.data import clusters

SMALL = {
    "n_candidates": 20, "n_anchors": 8, "n_train_candidates": 16, "d_model": 8, "max_epochs": 3,
    "random_state": 0,
}  # fmt: skip


def small(**params):
    return AttentionReranker(**{**SMALL, **params})


@pytest.fixture(scope="module")
def data():
    """Rows to train on, a gallery of other classes, queries of these."""
    X, y = clusters(n_classes=24, n_each=10)
    seen, query = y < 12, np.arange(len(y)) % 10 == 0
    return {
        "X": X[seen], "y": y[seen], "gallery": X[~seen & ~query], "gallery_y": y[~seen & ~query],
        "queries": X[~seen & query], "queries_y": y[~seen & query],
    }  # fmt: skip


@pytest.fixture(scope="module")
def fitted(data):
    model = small().fit(data["X"], data["y"])
    return model.set_gallery(data["gallery"], data["gallery_y"])


# --- exactness --------------------------------------------------------------------------------


@pytest.mark.parametrize("n_candidates", [20, 90])
@pytest.mark.parametrize("blend", [0.0, 0.4])
def test_scores_are_those_of_the_equations(fitted, data, n_candidates, blend):
    """First stage, affinities, net, blend and order, beside a program that knows none of them."""
    model = copy.copy(fitted).set_params(n_candidates=n_candidates)
    model.set_gallery(data["gallery"], data["gallery_y"]).blend_ = blend
    distances, ranking = model.kneighbors(data["queries"], 15)
    G = reference.unit(data["gallery"].astype(np.float32))
    weights = {k: v.numpy() for k, v in model.module_.state_dict().items()}
    for i, q in enumerate(reference.unit(data["queries"])):
        first = reference.full_ranking(q[None], G)[0, :n_candidates]
        items = np.concatenate([q[None], G[first]])
        scores, _ = reference.encoder_scores(weights, items, 8, 2, 2)
        scores = (scores[1:] + blend * items[1:] @ q) / (1 + blend)
        order = np.argsort(-scores, kind="stable")[:15]
        np.testing.assert_allclose(distances[i], 1 - scores[order], rtol=0, atol=1e-6)
        np.testing.assert_array_equal(ranking[i], first[order])


def test_what_is_behind_the_candidates_stays(fitted, data):
    ranking = fitted.kneighbors(data["queries"], 20, return_distance=False, rerank=False)
    for n_candidates in (1, 5, 20, 90):
        new = fitted.rerank(data["queries"], ranking, n_candidates=n_candidates)
        np.testing.assert_array_equal(new[:, n_candidates:], ranking[:, n_candidates:])
        front = slice(None, n_candidates)
        np.testing.assert_array_equal(np.sort(new[:, front]), np.sort(ranking[:, front]))
    assert (fitted.rerank(data["queries"], ranking, n_candidates=1) == ranking).all()
    assert (new != ranking).any()


def test_order_of_candidates_is_no_matter_behind_the_anchors(fitted, data):
    """Items behind the anchors may come in any order: the same scores for the same rows."""
    ranking = fitted.kneighbors(data["queries"], 20, return_distance=False, rerank=False)
    shuffled = ranking.copy()
    shuffled[:, 8:] = np.random.default_rng(0).permuted(ranking[:, 8:], axis=1)
    one, other = (fitted.rerank(data["queries"], r) for r in (ranking, shuffled))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(
        np.sort(fitted.refine(data["queries"], ranking), axis=1),
        np.sort(fitted.refine(data["queries"], shuffled), axis=1),
        atol=1e-9,
    )


def test_order_of_the_gallery_is_no_matter(fitted, data):
    order = np.random.RandomState(0).permutation(len(data["gallery"]))
    shuffled = copy.copy(fitted).set_gallery(data["gallery"][order], data["gallery_y"][order])
    for rerank in (False, True):
        d, ranking = fitted.kneighbors(data["queries"], rerank=rerank)
        d_there, there = shuffled.kneighbors(data["queries"], rerank=rerank)
        np.testing.assert_array_equal(order[there], ranking)
        np.testing.assert_allclose(d_there, d, rtol=0, atol=1e-9)


def test_queries_do_not_see_each_other(fitted, data):
    d, ranking = fitted.kneighbors(data["queries"])
    for rows in ([3], [3, 3, 0], slice(None, None, -1)):
        d_there, there = fitted.kneighbors(data["queries"][rows])
        np.testing.assert_array_equal(there, ranking[rows])
        np.testing.assert_array_equal(d_there, d[rows])


def test_copies_of_rows_and_blocks_of_queries_change_nothing(monkeypatch, fitted, data):
    gallery = np.repeat(data["gallery"], 3, axis=0)
    model = copy.copy(fitted).set_gallery(gallery, np.repeat(data["gallery_y"], 3))
    whole = model.kneighbors(data["queries"])
    monkeypatch.setattr("sklearn_selfattn.reranking.search.QUERY_BLOCK_BYTES", 1)
    monkeypatch.setattr("sklearn_selfattn.reranking.search.GALLERY_BLOCK", 7)
    monkeypatch.setattr("sklearn_selfattn.reranking.lists.CHUNK_BYTES", 1)
    for a, b in zip(whole, model.kneighbors(data["queries"]), strict=True):
        np.testing.assert_array_equal(a, b)


# --- what a toy would fail --------------------------------------------------------------------


def test_learns_what_helps_classes_it_has_not_seen():
    """Above the first stage on unseen classes; with labels that mean nothing it is not."""
    X, y = clusters(n_classes=60, n_each=12, n_dims=24, noise=0.3, seed=3)
    seen = y < 40
    params = {
        "n_candidates": 60, "n_train_candidates": 40, "n_anchors": 24, "max_epochs": 8,
        "random_state": 0,
    }  # fmt: skip
    gain = {}
    for name, labels, changes in (
        ("learnt", y[seen], {}),
        ("shuffled", np.random.RandomState(0).permutation(y[seen]), {}),
        ("linear", y[seen], {"n_layers": 0}),
    ):
        model = AttentionReranker(**params, **changes).fit(X[seen], labels)
        model.set_gallery(X[~seen], y[~seen])
        first = model.retrieval_score(rerank=False)
        gain[name] = model.retrieval_score() - first
        if name == "learnt":
            at_one = [model.retrieval_score(metric="precision@1", rerank=r) for r in (0, 1)]
            model.set_params(n_candidates=150).set_gallery(X[~seen], y[~seen])
            gain["in lists four times as long"] = model.retrieval_score() - first
    assert gain["learnt"] > 0.045
    assert gain["in lists four times as long"] > 0.045
    assert gain["shuffled"] < 0.02
    assert gain["learnt"] > gain["linear"] + 0.003
    assert at_one[1] > at_one[0]


def test_digits_are_classified_as_well_as_by_plain_neighbours():
    from sklearn.model_selection import cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    X, y = load_digits(return_X_y=True)
    X, y = X[::2], y[::2]
    model = small(n_candidates=48, max_epochs=1)
    cv = StratifiedKFold(3, shuffle=True, random_state=0)
    ours = cross_val_score(model, X, y, cv=cv).mean()
    plain = cross_val_score(KNeighborsClassifier(metric="cosine"), X, y, cv=cv).mean()
    assert ours > plain - 0.01


# --- the neighbours API -----------------------------------------------------------------------


def test_first_stage_is_scikit_learns(fitted, data):
    plain = NearestNeighbors(metric="cosine").fit(data["gallery"])
    for X in (data["queries"], None):
        d, ranking = fitted.kneighbors(X, 7, rerank=False)
        d_there, there = plain.kneighbors(X, 7)
        np.testing.assert_array_equal(ranking, there)
        np.testing.assert_allclose(d, d_there, atol=1e-6)


def test_a_gallery_row_does_not_find_itself_but_a_query_finds_its_copy(fitted, data):
    ranking = fitted.kneighbors(None, 20, return_distance=False)
    assert not (ranking == np.arange(len(ranking))[:, None]).any()
    d, ranking = fitted.kneighbors(data["gallery"], 1)
    np.testing.assert_array_equal(ranking[:, 0], np.arange(len(ranking)))
    np.testing.assert_allclose(d, 0, atol=1e-6)


def test_distances_rise_and_the_graph_holds_them(fitted, data):
    d, ranking = fitted.kneighbors(data["queries"], 9)
    assert (np.diff(d, axis=1) >= 0).all()
    assert ((d >= 0) & (d <= 2)).all()
    graph = fitted.kneighbors_graph(data["queries"], 9, mode="distance").toarray()
    np.testing.assert_array_equal(np.take_along_axis(graph, ranking, axis=1), d)
    connected = fitted.kneighbors_graph(data["queries"], 9)
    assert connected.shape == graph.shape
    assert (connected.toarray().sum(axis=1) == 9).all()


class Wrapped:
    """An index as others have them: no scikit-learn base, only the two methods."""

    def fit(self, X):
        self.rows = np.array(X)
        return self

    def kneighbors(self, X, n_neighbors, return_distance=True):
        near = nearest(X, self.rows, n_neighbors)
        return (None, near) if return_distance else near


@pytest.mark.parametrize(
    "searcher",
    [NearestNeighbors(), NearestNeighbors(algorithm="kd_tree"), KNeighborsTransformer(), Wrapped()],
    ids=["brute", "tree", "transformer", "wrapped"],
)
def test_any_searcher_is_a_first_stage(searcher, fitted, data):
    model = small(searcher=searcher).fit(data["X"], data["y"])
    assert not hasattr(searcher, "rows")
    assert not hasattr(searcher, "n_samples_fit_")  # it is a copy that was fitted
    model.set_gallery(data["gallery"], data["gallery_y"])
    for X in (data["queries"], None):
        for a, b in zip(model.kneighbors(X), fitted.kneighbors(X), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.predict(data["queries"]), model.predict(data["queries"]))


def test_lists_of_another_first_stage_and_their_places(fitted, data):
    rng = np.random.RandomState(0)
    lists = np.array([rng.permutation(len(data["gallery"]))[:12] for _ in data["queries"]])
    new = fitted.rerank(data["queries"], lists)
    np.testing.assert_array_equal(np.sort(new), np.sort(lists))
    assert (new != lists).any()
    faithful = fitted.rerank(data["queries"], lists, place_weight=1e6)
    np.testing.assert_array_equal(faithful, lists)


def test_blend_of_infinity_does_not_rerank(fitted, data):
    model = copy.copy(fitted)
    model.blend_ = np.inf
    for a, b in zip(
        model.kneighbors(data["queries"]), model.kneighbors(data["queries"], rerank=False),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(a, b)


# --- classes and scores -----------------------------------------------------------------------


def test_votes(fitted, data):
    d, ranking = fitted.kneighbors(data["queries"])
    votes = data["gallery_y"][ranking][:, :, None] == fitted.classes_
    np.testing.assert_allclose(fitted.predict_proba(data["queries"]), votes.mean(axis=1))
    by_distance = copy.copy(fitted).set_params(weights="distance").predict_proba(data["queries"])
    weight = 1 / d
    expected = (votes * weight[:, :, None]).sum(axis=1) / weight.sum(axis=1)[:, None]
    np.testing.assert_allclose(by_distance, expected)
    own = copy.copy(fitted).set_params(weights="distance").predict_proba(data["gallery"])
    assert (own.max(axis=1) == 1).all()  # a row at distance zero decides alone
    given = copy.copy(fitted).set_params(weights=lambda d: d == d.min(axis=1, keepdims=True))
    first = given.predict(data["queries"])
    np.testing.assert_array_equal(first, data["gallery_y"][ranking[:, 0]])


def test_retrieval_score_is_the_metric_of_the_ranking(fitted, data):
    Q, G = unit_rows(data["queries"]), unit_rows(data["gallery"])
    ranking = nearest(Q, G, len(G))
    truth = data["queries_y"], data["gallery_y"]
    for rerank in (False, True):
        lists = fitted.rerank(data["queries"], ranking) if rerank else ranking
        hits, n_relevant = relevance_hits(lists, truth)
        for metric in ("map", "map_step", "ndcg@5", "precision@1", "recall@40"):
            found = fitted.retrieval_score(
                data["queries"], data["queries_y"], metric, rerank=rerank
            )
            assert found == pytest.approx(retrieval_metric(hits, metric, n_relevant=n_relevant))


def test_relevance_by_pairs_is_that_of_labels(data):
    """The same truth told as labels, as a matrix, and as pairs, gives the same model."""
    X, y = data["X"], data["y"]
    truth = (y[:, None] == y) & ~np.eye(len(y), dtype=bool)
    by_label = small(early_stopping=False).fit(X, y)
    for relevance in (sparse.csr_matrix(truth), np.argwhere(truth)):
        by_pair = small(early_stopping=False).fit(X, relevance=relevance)
        for a, b in zip(by_label.kneighbors(X), by_pair.kneighbors(X), strict=True):
            np.testing.assert_array_equal(a, b)
    assert not hasattr(by_pair, "classes_")
    assert by_pair.retrieval_score(relevance=np.argwhere(truth)) == by_label.retrieval_score()
    with pytest.raises(ValueError, match="no labels to vote with"):
        by_pair.predict(X)
    with pytest.raises(ValueError, match="no labels: give them to set_gallery"):
        by_pair.retrieval_score()


def test_queries_with_an_encoder_of_their_own(data):
    """Documents in X, queries apart: relevance no partition, one query with two topics."""
    X, y = data["X"], data["y"]
    queries = np.array([X[y == c].mean(axis=0) for c in range(12)])
    pairs = np.array([(c, row) for c in range(12) for row in np.flatnonzero(y == c)])
    pairs = np.concatenate([pairs, [(0, row) for row in np.flatnonzero(y == 1)]])
    model = small().fit(X, relevance=pairs, queries=queries)
    assert model.retrieval_score(queries, relevance=pairs) > 0.5
    junk = pairs[-10:]
    assert model.retrieval_score(queries, relevance=pairs[:-10], junk=junk) > 0.5


def test_views_are_lists_of_their_own(data):
    one = small().fit(data["X"], data["y"])
    other = small().fit(data["X"], data["y"], views=[data["X"][:, :6]])
    assert one.module_.project.weight.shape == other.module_.project.weight.shape
    assert (one.module_.project.weight != other.module_.project.weight).any()


def test_held_out_classes_choose_epoch_and_blend():
    X, y = clusters(n_classes=50, n_each=10)
    model = AttentionReranker(
        n_candidates=40, n_train_candidates=24, n_anchors=12, max_epochs=4, random_state=0
    ).fit(X, y)
    losses = [row["valid_loss"] for row in model.history_]
    assert len(losses) >= 2
    fixed = clone(model).set_params(blend=1.5).fit(X, y)
    assert fixed.blend_ == 1.5


def test_paper_preset_is_the_publication():
    preset = paper_preset()
    assert (preset["temperature"], preset["exclude_query"], preset["positives"]) == (
        2.0, False, "any",
    )  # fmt: skip
    model = AttentionReranker(**{**preset, **SMALL, "n_heads": 2, "d_model": 8})
    X, y = clusters()
    model.fit(X, y)
    assert model.blend_ == 0.0
    assert "valid_loss" not in model.history_[0]


# --- among other tools ------------------------------------------------------------------------


def test_grid_search_with_accuracy_and_with_retrieval(data):
    X, y = data["X"], data["y"]
    grid = {"temperature": [0.2, 1.0], "n_candidates": [10, 20]}
    closed = GridSearchCV(small(max_epochs=1), grid, cv=StratifiedKFold(2)).fit(X, y)
    assert np.isfinite(closed.cv_results_["mean_test_score"]).all()
    scorer = make_retrieval_scorer("map@10", gallery="scored")
    search = GridSearchCV(small(max_epochs=1), grid, cv=GroupKFold(3), scoring=scorer)
    search.fit(X, y, groups=y)
    assert search.best_score_ > 0.3
    assert "map@10" in repr(scorer)


def test_scorers_see_through_pipelines(data):
    X, y = data["X"], data["y"]
    pipe = make_pipeline(StandardScaler(), PCA(6, random_state=0), small(max_epochs=1)).fit(X, y)
    Z = pipe[:-1].transform(X)
    assert make_retrieval_scorer("map")(pipe, X, y) == pipe[-1].retrieval_score(Z, y)
    before = pipe[-1].gallery_
    there = make_retrieval_scorer("map", gallery="scored", rerank=False)(pipe, X[::3], y[::3])
    expected = copy.copy(pipe[-1]).set_gallery(Z[::3], y[::3]).retrieval_score(rerank=False)
    assert there == expected
    assert pipe[-1].gallery_ is before


def test_saved_models_find_the_same(fitted, data, tmp_path):
    joblib.dump(fitted, tmp_path / "model.joblib")
    for loaded in (
        pickle.loads(pickle.dumps(fitted)),
        joblib.load(tmp_path / "model.joblib"),
        joblib.load(tmp_path / "model.joblib", mmap_mode="r"),
    ):
        for a, b in zip(
            loaded.kneighbors(data["queries"]), fitted.kneighbors(data["queries"]), strict=True
        ):
            np.testing.assert_array_equal(a, b)


def test_attention_and_features_of_lists(fitted, data):
    queries = data["queries"][:3]
    maps = fitted.attention_weights(queries)
    assert len(maps) == 2
    assert maps[0].shape == (3, 2, 21, 21)
    assert maps.query_labels[:2] == ["query", 1]
    assert len(fitted.attention_weights(queries, layer=1)) == 1
    refined, affinity = fitted.refine(queries), fitted.affinity(queries)
    assert refined.shape == (3, 21, 8)
    assert affinity.shape == (3, 21, 8)
    np.testing.assert_allclose(affinity[:, 0, 0], 1, atol=1e-6)
    names = pd.DataFrame(queries, columns=[f"x{i}" for i in range(queries.shape[1])])
    with pytest.warns(UserWarning, match="feature names"):
        fitted.refine(names)
