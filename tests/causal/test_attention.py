"""Attention that is a known structural equation model gives the graph of that model."""

import pickle
from unittest import SkipTest

import networkx as nx
import numpy as np
import pytest
from causal_truth import Oracle, brute_force_pag, random_dag
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator

from sklearn_selfattn import AttentionCausalDiscovery, AttentionMaps
from sklearn_selfattn.causal import DegenerateAttentionWarning, attention_correlation
from sklearn_selfattn.causal.independence import FunctionTest
from sklearn_selfattn.causal.learning import learn_marks
from tests.causal.models import MeanClassifier, structural_attention

EXACT = {"n_samples": 1e9, "alpha": 1e-6}


def known(seed, n_nodes=10, n_hidden=2, degree=2):
    """Return attention over all nodes, those observed, and the graph's marks over these."""
    rng = np.random.default_rng(seed)
    graph = random_dag(n_nodes, degree, rng)
    A = structural_attention(graph, rng)
    observed = np.sort(rng.permutation(n_nodes)[: n_nodes - n_hidden])
    oracle = Oracle(graph, observed.tolist())
    truth, _, _ = learn_marks(FunctionTest(oracle, len(observed)), alpha=0.5)
    return A, observed, truth


def test_the_correlation_is_that_of_the_structural_model():
    """A (I - G) = scale: the covariance of x = G x + u, whatever the scale of the rows."""
    rng = np.random.default_rng(0)
    graph = random_dag(6, 2, rng)
    A = structural_attention(graph, rng)
    x = A @ rng.normal(size=(6, 400_000))
    np.testing.assert_allclose(attention_correlation(A), np.corrcoef(x), atol=0.01)
    np.testing.assert_allclose(
        attention_correlation(A * rng.uniform(1, 9, (6, 1))), attention_correlation(A), atol=1e-12
    )


def test_known_attention_gives_the_right_graph():
    """Hidden tokens marginalised: all 40. Dropped instead, as if they were not there: few."""
    dropped = 0
    for seed in range(40):
        A, observed, truth = known(seed)
        found = AttentionCausalDiscovery(nodes=observed, **EXACT).discover(A)[0][0]
        np.testing.assert_array_equal(found.marks, truth)
        assert found.nodes == observed.tolist()
        B = A[np.ix_(observed, observed)]
        cut = AttentionCausalDiscovery(**EXACT).discover(B / B.sum(axis=1, keepdims=True))[0][0]
        dropped += np.array_equal(cut.marks, truth)
    assert dropped < 35


def test_the_graph_agrees_with_all_graphs_that_fit():
    """The same by brute force, which shares no code with the package."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        graph = random_dag(7, 2.5, rng)
        A = structural_attention(graph, rng)
        found = AttentionCausalDiscovery(nodes=range(5), **EXACT).discover(A)[0][0]
        np.testing.assert_array_equal(found.marks, brute_force_pag(Oracle(graph, range(5)), 5))


def test_what_does_not_matter():
    A, observed, truth = known(3)
    reader = AttentionCausalDiscovery(check_rows=False, nodes=observed, **EXACT)
    rng = np.random.default_rng(0)
    scaled = A * rng.uniform(0.1, 10, size=(len(A), 1))
    np.testing.assert_array_equal(reader.discover(scaled)[0][0].marks, truth)
    padded = np.hstack([A, np.zeros((len(A), 4))])  # keys that nobody attends to
    np.testing.assert_array_equal(reader.discover(padded)[0][0].marks, truth)
    order = rng.permutation(len(A))
    places = np.argsort(order)[observed]
    moved = reader.set_params(nodes=places).discover(A[np.ix_(order, order)])[0][0]
    back = np.argsort(order[moved.nodes])  # nodes come by position
    np.testing.assert_array_equal(moved.marks[np.ix_(back, back)], truth)


def test_one_graph_for_each_head_and_sample():
    parts = [known(seed)[0] for seed in range(6)]
    weights = np.array(parts).reshape(3, 2, 10, 10)
    reader = AttentionCausalDiscovery(**EXACT)
    graphs = reader.discover(weights)
    assert [len(heads) for heads in graphs] == [2, 2, 2]
    flat = [graph for heads in graphs for graph in heads]
    for A, graph in zip(parts, flat, strict=True):
        assert graph == reader.discover(A)[0][0]
    assert flat != flat[::-1]
    two = reader.set_params(heads=[1], n_jobs=2).discover(weights)
    assert two == [heads[1:] for heads in graphs]
    mean = reader.set_params(heads="mean").discover(weights)
    assert mean[0][0] == reader.discover(weights.mean(axis=1, keepdims=True))[0][0]


def test_layers_maps_and_lists():
    A, B = known(0)[0], known(1)[0]
    layers = np.stack([A, B])[:, None, None]
    reader = AttentionCausalDiscovery(**EXACT)
    names = list("abcdefghij")
    maps = AttentionMaps(
        layers, query_labels=names, key_labels=names, query_axis="word", key_axis="word"
    )
    last = reader.discover(B)[0][0]
    assert reader.discover(layers)[0][0] == last  # the deepest layer
    assert reader.discover(list(layers))[0][0] == last
    assert reader.discover(B[None])[0][0] == last
    many = np.stack([A, B])
    graphs = reader.discover(many)
    assert [len(heads) for heads in graphs] == [1, 1]
    assert clone(reader).set_params(check_rows=False).discover(many) == graphs
    named = reader.discover(maps)[0][0]
    assert named.nodes == names
    np.testing.assert_array_equal(named.marks, last.marks)
    reader.set_params(layer=0)
    assert reader.discover(layers)[0][0] == reader.set_params(layer=-1).discover(A)[0][0]


def test_sequence_order():
    """No token causes an earlier one; arrowheads only."""
    rng = np.random.default_rng(0)
    n_fewer = 0
    for _ in range(5):
        graph = nx.DiGraph()
        graph.add_nodes_from(range(8))
        graph.add_edges_from(
            (i, j) for i in range(8) for j in range(i + 1, 8) if rng.random() < 0.3
        )
        A = structural_attention(graph, rng)
        free = AttentionCausalDiscovery(**EXACT).discover(A)[0][0]
        told = AttentionCausalDiscovery(order="sequence", **EXACT).discover(A)[0][0]
        np.testing.assert_array_equal(free.marks > 0, told.marks > 0)
        earlier, later = np.nonzero(np.triu(told.marks > 0))
        assert (told.marks[earlier, later] == 2).all()
        n_fewer += (told.marks == 1).sum() < (free.marks == 1).sum()
    assert n_fewer > 0


def test_sample_size_and_level_make_the_graph():
    rng = np.random.default_rng(0)
    logits = np.exp(rng.normal(size=(20, 20)))
    A = logits / logits.sum(axis=1, keepdims=True)
    edges = [
        AttentionCausalDiscovery(n_samples=n, alpha=alpha).discover(A)[0][0].n_edges
        for n, alpha in ((16, 0.01), (64, 0.01), (768, 0.01))
    ]
    assert edges == sorted(edges)
    assert edges[-1] > 2 * edges[0]


def test_too_many_tokens_are_cut_to_those_the_target_attends_to():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(12), size=(1, 2, 12))
    graph = AttentionCausalDiscovery(n_samples=50, max_nodes=5, target=3).discover(weights)[0][0]
    attended = weights[0, :, 3].mean(axis=0)
    attended[3] = np.inf
    assert graph.nodes == sorted(np.argsort(-attended)[:5].tolist())


def test_degenerate_heads_are_skipped_and_told():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(6), size=(2, 3, 6))
    weights[1, 0] = 1 / 6  # all tokens attend alike
    weights[0, 2, 4] = weights[0, 2, 1]  # two do
    reader = AttentionCausalDiscovery(n_samples=50)
    with pytest.warns(
        DegenerateAttentionWarning, match="2 of 6 heads .* head 2 of sample 0, head 0"
    ):
        graphs = reader.discover(weights)
    assert [[graph is None for graph in heads] for heads in graphs] == [
        [False, False, True], [True, False, False]
    ]  # fmt: skip


# --- with a model -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    return rng.normal(size=(40, 4)) + y[:, None], y


def test_check_estimator_with_a_model():
    results = check_estimator(
        AttentionCausalDiscovery(MeanClassifier()), on_fail=None, on_skip=None
    )
    assert len(results) > 40
    assert [
        (r["check_name"], r["status"], r["exception"]) for r in results if r["status"] != "passed"
    ] == []


@pytest.mark.parametrize(
    "name",
    [
        "check_set_output_transform",
        "check_set_output_transform_pandas",
        "check_set_output_transform_polars",
        "check_global_output_transform_pandas",
        "check_transformer_get_feature_names_out",
        "check_transformer_get_feature_names_out_pandas",
        "check_dataframe_column_names_consistency",
        "check_get_feature_names_out_error",
    ],
)
@pytest.mark.filterwarnings("ignore:X .* feature names")  # they mix kinds of X
def test_extra_check_with_a_model(name):
    reader = AttentionCausalDiscovery(MeanClassifier())
    try:
        getattr(estimator_checks, name)("AttentionCausalDiscovery", reader)
    except SkipTest as reason:
        pytest.fail(f"skipped: {reason}")


def test_saved_and_searched_with_a_model(blobs):
    X, y = blobs
    reader = AttentionCausalDiscovery(MeanClassifier()).fit(X, y)
    loaded = pickle.loads(pickle.dumps(reader))
    assert loaded.discover(X[:2]) == reader.discover(X[:2])
    model = make_pipeline(AttentionCausalDiscovery(MeanClassifier()), LogisticRegression())
    grid = {"attentioncausaldiscovery__alpha": [0.2, 0.01]}
    search = GridSearchCV(model, grid, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_model_is_asked_for_its_attention(blobs):
    X, y = blobs
    reader = AttentionCausalDiscovery(MeanClassifier()).fit(X, y)
    model = MeanClassifier().fit(X, y)
    alone = AttentionCausalDiscovery(n_samples=16)  # 32 channels in 2 heads
    assert reader.discover(X[:3]) == alone.discover(model.attention_weights(X[:3]))
    assert reader.discover(X[:3])[0][0].n_samples == 16
    wide = clone(reader).set_params(n_samples="hidden_size").fit(X, y)
    assert wide.discover(X[:1])[0][0].n_samples == 32
    frozen = AttentionCausalDiscovery(FrozenEstimator(model)).fit(X[:2])
    assert frozen.discover(X[:3]) == reader.discover(X[:3])
    assert reader.attention_weights(X[:3], layer=0)[0].shape == (3, 2, 4, 4)


def test_transform_tells_edges(blobs):
    X, y = blobs
    reader = AttentionCausalDiscovery(MeanClassifier()).set_output(transform="pandas").fit(X, y)
    frame = reader.transform(X)
    assert frame.columns[0] == "head0 x0-x1"
    assert frame.columns[-1] == "head1 x2-x3"
    graphs = reader.discover(X)
    for row, (first, second) in zip(frame.to_numpy(), graphs, strict=True):
        upper = np.triu_indices(4, 1)
        np.testing.assert_array_equal(
            row, np.concatenate([first.marks[upper] > 0, second.marks[upper] > 0])
        )
    assert 0 < frame.to_numpy().mean() < 1
    assert make_pipeline(reader, LogisticRegression()).fit(X, y).score(X, y) > 0.4


def test_attention_of_a_model_that_does_not_tell(blobs):
    X, y = blobs

    def attention(model, X):
        assert model.coef_.shape == (1, 4)
        return np.broadcast_to(known(0)[0], (len(X), 1, 10, 10))

    reader = AttentionCausalDiscovery(LogisticRegression(), attention=attention, **EXACT).fit(X, y)
    assert (
        reader.discover(X[:2])[1][0]
        == AttentionCausalDiscovery(**EXACT).discover(known(0)[0])[0][0]
    )
    with pytest.raises(TypeError, match="LogisticRegression does not answer attention_weights"):
        AttentionCausalDiscovery(LogisticRegression()).fit(X, y)


# --- bad input --------------------------------------------------------------------------------

GOOD = np.full((1, 1, 3, 3), 0.25) + 0.25 * np.eye(3)


@pytest.mark.parametrize(
    ("params", "spoil", "words"),
    [
        ({}, lambda A: A * 1.11, "rows of shares, .* sums go from 1.11 to 1.11. .* training mode"),
        ({}, lambda A: A - np.eye(3), "not negative"),
        ({}, lambda A: np.where(A > 0.3, np.nan, A), "must be finite"),
        ({}, lambda A: A[0, 0, 0], "array of shape"),
        ({"layer": 3}, lambda A: A, "layer has to be one of 1 layers, got 3"),
        ({"heads": 2}, lambda A: A, "heads has to be positions among 1 heads"),
        ({"heads": [0.5]}, lambda A: A, "heads has to be positions"),
        ({"target": 7}, lambda A: A, "target has to be one of 3 queries"),
        ({"nodes": [0, 5]}, lambda A: A, "nodes has to be a mask or positions among 3"),
        ({"nodes": [True, False]}, lambda A: A, r"mask of nodes has to have the shape \(3,\)"),
        (
            {"n_samples": "head_dim"},
            lambda A: A,
            "needs a model with d_model and n_heads, there is",
        ),
        ({"n_samples": 1}, lambda A: A, "'n_samples' parameter"),
        ({"alpha": 0}, lambda A: A, "'alpha' parameter"),
    ],
)
def test_bad_input_is_refused(params, spoil, words):
    reader = AttentionCausalDiscovery(**{"n_samples": 100, **params})
    with pytest.raises(ValueError, match=words):
        reader.discover(spoil(GOOD))


def test_rows_close_to_shares_are_rescaled_and_kernels_refused():
    reader = AttentionCausalDiscovery(n_samples=100)
    assert reader.discover(GOOD * (1 + 5e-4)) == reader.discover(GOOD)
    maps = AttentionMaps(
        GOOD[None] - 0.5, query_labels="abc", key_labels="abc", query_axis="a", key_axis="a",
        kind="kernel",
    )  # fmt: skip
    with pytest.raises(ValueError, match="kind 'kernel', no attention"):
        reader.discover(maps)
    assert reader.set_params(check_rows=False).discover(maps)[0][0].nodes == list("abc")


def test_not_fitted(blobs):
    reader = AttentionCausalDiscovery(MeanClassifier())
    for method in (reader.discover, reader.transform, reader.attention_weights):
        with pytest.raises(NotFittedError):
            method(blobs[0])


def test_transform_needs_the_same_nodes(blobs):
    X, y = blobs
    reader = AttentionCausalDiscovery(MeanClassifier(), max_nodes=3).fit(X, y)
    with pytest.raises(ValueError, match="same nodes in all samples"):
        reader.transform(X)
