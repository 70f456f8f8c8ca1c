"""The peers beside slow, dense versions of the same equations."""

import tracemalloc

import numpy as np
import pytest

from sklearn_selfattn.reranking import (
    database_augmentation,
    diffusion,
    k_reciprocal,
    pair_features,
    query_expansion,
    superglobal,
)
from tests.reranking import reference
from tests.reranking.data import clusters

PEERS = [query_expansion, database_augmentation, superglobal, k_reciprocal, diffusion]
every_peer = pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.__name__)


@pytest.fixture(scope="module")
def lists():
    X, _ = clusters(n_classes=8, n_each=9, noise=0.5)
    queries, gallery = X[::6], np.delete(X, np.s_[::6], axis=0)
    return queries, gallery, reference.full_ranking(queries, gallery)


@pytest.mark.parametrize("length", [60, 12])
@pytest.mark.parametrize(("k", "alpha"), [(1, 0.0), (4, 3.0), (70, 1.0)])
def test_query_expansion(lists, k, alpha, length):
    Q, G, ranking = lists[0], lists[1], lists[2][:, :length]
    new = query_expansion(Q, G, ranking, n_neighbors=k, alpha=alpha)
    np.testing.assert_array_equal(new, reference.query_expansion(Q, G, ranking, k, alpha))


@pytest.mark.parametrize("length", [60, 12])
@pytest.mark.parametrize(("k", "alpha"), [(1, 0.0), (4, 3.0), (70, 1.0)])
def test_database_augmentation(lists, k, alpha, length):
    Q, G, ranking = lists[0], lists[1], lists[2][:, :length]
    new = database_augmentation(Q, G, ranking, n_neighbors=k, alpha=alpha)
    np.testing.assert_array_equal(new, reference.database_augmentation(Q, G, ranking, k, alpha))


@pytest.mark.parametrize(("m", "k", "beta"), [(20, 5, 0.15), (1, 3, 1.0), (100, 2, 0.5)])
def test_superglobal(lists, m, k, beta):
    new = superglobal(*lists, n_top=m, n_neighbors=k, beta=beta)
    np.testing.assert_array_equal(new, reference.superglobal(*lists, m, k, beta))
    np.testing.assert_array_equal(new[:, m:], lists[2][:, m:])


@pytest.mark.parametrize("length", [60, 12])
@pytest.mark.parametrize(("k1", "k2", "weight"), [(6, 3, 0.3), (7, 1, 0.0), (4, 6, 1.0)])
def test_k_reciprocal(lists, k1, k2, weight, length):
    Q, G, ranking = lists[0], lists[1], lists[2][:, :length]
    new = k_reciprocal(Q, G, ranking, k1=k1, k2=k2, original_weight=weight)
    np.testing.assert_array_equal(new, reference.k_reciprocal(Q, G, ranking, k1, k2, weight))


@pytest.mark.parametrize("length", [60, 12])
@pytest.mark.parametrize(("k", "alpha", "gamma"), [(5, 0.99, 3.0), (3, 0.5, 1.0), (9, 0.0, 2.0)])
def test_diffusion(lists, k, alpha, gamma, length):
    Q, G, ranking = lists[0], lists[1], lists[2][:, :length]
    new = diffusion(Q, G, ranking, n_neighbors=k, alpha=alpha, gamma=gamma)
    np.testing.assert_array_equal(new, reference.diffusion(Q, G, ranking, k, alpha, gamma))


def test_pair_features_say_what_they_say(lists):
    Q, G, ranking = lists
    found = pair_features(Q, G, ranking[:, :15], n_neighbors=6)
    q, g = reference.unit(Q), reference.unit(G)
    near = reference.full_ranking(G, G, np.arange(len(G)))[:, :6]
    for i, place in ((0, 0), (3, 7), (11, 14)):
        j, first = ranking[i, place], ranking[i, :6]
        np.testing.assert_allclose(
            found[i, place],
            [
                q[i] @ g[j],
                np.log(place + 1),
                len(set(near[j]) & set(first)) / 6,
                (g[first] @ g[j]).mean(),
                (g[near[j]] @ g[j] > q[i] @ g[j]).mean(),
                q[i] @ g[j] - q[i] @ g[ranking[i, 0]],
            ],
            atol=1e-6,
        )


def test_diffusion_follows_a_chain_that_similarity_does_not():
    """Two spirals: the end of the query's own arm is farther than the other arm."""
    t = np.linspace(0.0, 2.6, 90)
    arms = [np.stack([np.cos(t + s), np.sin(t + s), np.full(90, h)], axis=1)
            for s, h in ((0.0, 0.35), (0.5, -0.35))]  # fmt: skip
    gallery, arm = np.concatenate(arms), np.repeat([0, 1], 90)
    query = arms[0][:1]
    ranking = reference.full_ranking(query, gallery)
    before = arm[ranking[0, :90]]
    after = arm[diffusion(query, gallery, ranking, n_neighbors=6)[0, :90]]
    assert (before == 0).mean() < 0.75
    assert (after == 0).mean() == 1.0


@every_peer
def test_one_query_is_ranked_alike_in_any_company(peer, lists):
    if peer is k_reciprocal:
        return  # queries are neighbours of each other in it, and its docstring says so
    Q, G, ranking = lists
    whole = peer(Q, G, ranking)
    for i in range(3):
        np.testing.assert_array_equal(peer(Q[[i]], G, ranking[[i]])[0], whole[i])


@every_peer
@pytest.mark.parametrize("kind", ["copies", "constant", "one column", "zeros", "tiny list", "half"])
def test_hostile_galleries_are_permuted_and_nothing_else(peer, kind):
    X, _ = clusters(n_classes=4, n_each=8)
    gallery = {
        "copies": np.repeat(X[:4], 8, axis=0),
        "constant": np.ones_like(X),
        "one column": X[:, :1],
        "zeros": np.where(np.arange(len(X))[:, None] % 3, X, 0.0),
        "tiny list": X,
        "half": X.astype(np.float16),
    }[kind]
    ranking = reference.full_ranking(np.abs(gallery[:5]) + 1e-3, np.abs(gallery) + 1e-3)
    ranking = ranking[:, : 1 if kind == "tiny list" else None]
    new = peer(gallery[:5], gallery, ranking)
    np.testing.assert_array_equal(np.sort(new, axis=1), np.sort(ranking, axis=1))


@every_peer
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda q, g, r: (q, g, r.astype(float)), TypeError, "ranking has to hold indices"),
        (lambda q, g, r: (q, g, r + 1), ValueError, "from 0 to 59, .* got 60"),
        (lambda q, g, r: (q, g, -r), ValueError, "from 0 to 59"),
        (lambda q, g, r: (q, g, r[:, [0, 1, 0]]), ValueError, "twice for query 0"),
        (lambda q, g, r: (q, g, r[1:]), ValueError, r"\(n_queries, length\) = \(12, length\)"),
        (lambda q, g, r: (q, g, r[:, :0]), ValueError, "best first"),
        (lambda q, g, r: (q[:, :2], g, r), ValueError, "queries have 2 features"),
        (lambda q, g, r: (q * np.nan, g, r), ValueError, "queries contains NaN"),
        (lambda q, g, r: (q, g * np.inf, r), ValueError, "gallery contains"),
    ],
)
def test_bad_input(peer, lists, change, error, words):
    with pytest.raises(error, match=words), np.errstate(invalid="ignore"):
        peer(*change(*lists))


@pytest.mark.parametrize(
    ("peer", "params"),
    [
        (query_expansion, {"n_neighbors": 0}), (query_expansion, {"alpha": -1.0}),
        (database_augmentation, {"n_neighbors": 0}), (superglobal, {"n_top": 0}),
        (superglobal, {"beta": -0.1}), (k_reciprocal, {"k1": 0}), (k_reciprocal, {"k2": 0}),
        (k_reciprocal, {"original_weight": 1.1}), (diffusion, {"alpha": 1.0}),
        (diffusion, {"gamma": -1.0}), (diffusion, {"n_neighbors": 0}),
        (pair_features, {"n_neighbors": 0}),
    ],
)  # fmt: skip
def test_bad_parameters(peer, params, lists):
    (name,) = params
    with pytest.raises(ValueError, match=f"{name} == "):
        peer(*lists, **params)


@pytest.mark.parametrize("peer", [k_reciprocal, diffusion], ids=lambda peer: peer.__name__)
def test_no_square_of_all_rows_is_held(peer):
    rng = np.random.RandomState(0)
    gallery = rng.normal(size=(6000, 8))
    queries = gallery[:4] + 0.1
    ranking = np.tile(np.arange(50), (4, 1))
    tracemalloc.start()
    peer(queries, gallery, ranking)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.6 * 8 * 6000**2
