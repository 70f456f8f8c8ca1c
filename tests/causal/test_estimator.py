"""PAGDiscovery as a scikit-learn estimator, on tables whose graph is known."""

import pickle
from unittest import SkipTest

import networkx as nx
import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import check_estimator

from sklearn_selfattn import PAGDiscovery
from sklearn_selfattn.causal import PAG

# One of scikit-learn's tables has columns that are combinations of others: that warning is right.
pytestmark = pytest.mark.filterwarnings("ignore:The correlation matrix is singular")

NAMES = ["rain", "hose", "street", "accidents"]


def street(n_rows=2000, seed=0):
    """Two causes of a common effect that causes a fourth."""
    rng = np.random.default_rng(seed)
    rain, hose = rng.normal(size=(2, n_rows))
    wet = rain + hose + rng.normal(size=n_rows)
    X = np.column_stack([rain, hose, wet, wet + rng.normal(size=n_rows)])
    return pd.DataFrame(X, columns=NAMES)


@pytest.mark.parametrize("method", ["icd", "fci", "pc"])
def test_check_estimator_at_defaults(method):
    results = check_estimator(PAGDiscovery(method), on_fail=None, on_skip=None)
    assert len(results) > 40
    assert [
        (r["check_name"], r["status"], r["exception"]) for r in results if r["status"] != "passed"
    ] == []


@pytest.mark.parametrize(
    "name",
    ["check_param_validation", "check_dataframe_column_names_consistency",
     "check_inplace_ensure_writeable"],
)  # fmt: skip
def test_extra_check(name):
    try:
        getattr(estimator_checks, name)("PAGDiscovery", PAGDiscovery())
    except SkipTest as reason:
        pytest.fail(f"skipped: {reason}")


def test_no_tag_switches_a_check_off():
    tags = get_tags(PAGDiscovery())
    assert not (tags.non_deterministic or tags.no_validation or tags._skip_test)
    assert tags.requires_fit


def test_the_street():
    model = PAGDiscovery().fit(street())
    assert model.pag_.edges() == [
        ("rain", "o->", "street"), ("hose", "o->", "street"), ("street", "-->", "accidents"),
    ]  # fmt: skip
    assert model.sepsets_ == {(0, 1): (), (0, 3): (2,), (1, 3): (2,)}
    assert model.n_ci_tests_.sum() < 6 + 2 * 6  # all pairs, given nothing and given each other
    assert model.n_iter_ == len(model.n_ci_tests_) - 1
    # an edge is there because all its tests had small p-values, and only then
    edge = model.marks_ > 0
    pairs = np.triu_indices(4, 1)
    assert (model.edge_pvalues_[edge] <= 0.01).all()
    assert (model.edge_pvalues_[pairs][~edge[pairs]] > 0.01).all()
    np.testing.assert_array_equal(model.edge_pvalues_, model.edge_pvalues_.T)


def test_order_and_tiers():
    X = street()
    by_name = PAGDiscovery(order=["hose", "rain", "street", "accidents"]).fit(X)
    by_index = PAGDiscovery(tiers=[[0, 1], [2], [3]]).fit(X)
    assert by_name.pag_ == by_index.pag_
    # the order says that the street does not cause rain; not that rain causes the street
    assert by_name.pag_.edges()[0] == ("rain", "o->", "street")
    # only an order tells which of two columns is not the cause
    pair = X[["rain", "street"]]
    assert PAGDiscovery().fit(pair).pag_.edges() == [("rain", "o-o", "street")]
    assert PAGDiscovery(order=["rain", "street"]).fit(pair).pag_.edges() == [
        ("rain", "o->", "street")
    ]
    without_hidden = PAGDiscovery("pc", order=["rain", "street"]).fit(pair)
    assert without_hidden.pag_.edges() == [("rain", "-->", "street")]


def test_precomputed_is_the_same():
    X = street()
    model = PAGDiscovery().fit(X)
    for matrix in (X.cov(), X.corr()):
        other = PAGDiscovery(covariance="precomputed", n_samples=len(X)).fit(matrix)
        np.testing.assert_array_equal(other.marks_, model.marks_)
        np.testing.assert_allclose(other.edge_pvalues_, model.edge_pvalues_, rtol=1e-6, atol=1e-300)


def test_own_test_of_independence():
    """A cause far from linear: a test by ranks of sizes sees it, Fisher's does not."""
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    x = rng.normal(size=250)
    x = np.concatenate([x, -x])
    X = np.column_stack([x, x**2 + 0.1 * rng.normal(size=500)])

    def by_ranks(i, j, z):
        return spearmanr(np.abs(X[:, i]), np.abs(X[:, j])).pvalue

    assert PAGDiscovery().fit(X).pag_.n_edges == 0
    model = PAGDiscovery(ci_test=by_ranks).fit(X)
    assert model.pag_.n_edges == 1
    assert model.correlation_ is None


def many_columns(seed, n_columns=9, n_rows=150):
    """Draw a noisy table from a random linear model: rules contradict each other there."""
    rng = np.random.default_rng(seed)
    effects = np.triu(rng.normal(size=(n_columns, n_columns)), 1) * (
        rng.random((n_columns,) * 2) < 0.4
    )
    return rng.normal(size=(n_rows, n_columns)) @ np.linalg.inv(np.eye(n_columns) - effects)


@pytest.mark.parametrize("method", ["icd", "fci", "pc"])
def test_columns_may_come_in_any_order(method):
    n_unstable = 0
    for seed in range(8):
        X = many_columns(seed)
        order = np.random.default_rng(seed).permutation(X.shape[1])
        marks = PAGDiscovery(method).fit(X).marks_
        np.testing.assert_array_equal(
            PAGDiscovery(method).fit(X[:, order]).marks_, marks[np.ix_(order, order)]
        )
        first, second = (PAGDiscovery(method, stable=False).fit(Z).marks_ for Z in (X, X[:, order]))
        n_unstable += not np.array_equal(second, first[np.ix_(order, order)])
    assert n_unstable > 0  # which is why stable is the default


def test_scale_and_shift_do_not_matter():
    X = many_columns(3)
    marks = PAGDiscovery().fit(X).marks_
    np.testing.assert_array_equal(
        PAGDiscovery().fit(X * np.geomspace(1e-9, 1e9, 9) + 5).marks_, marks
    )


def test_shrinkage_thins():
    X = many_columns(4)
    edges = [PAGDiscovery(shrinkage=s).fit(X).pag_.n_edges for s in (0.0, 0.5, 0.9, 1.0)]
    assert edges == sorted(edges, reverse=True)
    assert edges[0] > 0
    assert edges[-1] == 0


def test_fewer_rows_say_less():
    X = many_columns(5, n_rows=1000)
    edges = [PAGDiscovery(n_samples=n).fit(X).pag_.n_edges for n in (10, 100, 1000)]
    assert edges[0] < edges[1] < edges[2]


def test_frames_agree_and_keep_their_names():
    X = street()
    models = [PAGDiscovery().fit(Z) for Z in (X, pl.from_pandas(X))]
    assert models[0].pag_ == models[1].pag_
    assert models[0].pag_.nodes == NAMES
    assert PAGDiscovery().fit(X.to_numpy()).pag_.nodes == [0, 1, 2, 3]


def test_saving_copying_searching(tmp_path):
    X = street()
    model = PAGDiscovery().fit(X)
    for copied in (
        pickle.loads(pickle.dumps(model)),
        skops.io.loads(
            skops.io.dumps(model), trusted=["sklearn_selfattn.causal.estimator.PAGDiscovery",
                                            "sklearn_selfattn.causal.pag.PAG"],
        ),
    ):  # fmt: skip
        assert copied.pag_ == model.pag_
    assert not hasattr(clone(model), "pag_")
    assert make_pipeline(StandardScaler(), PAGDiscovery()).fit(X)[-1].pag_.n_edges == 3

    def edges(estimator, X, y=None):
        return -abs(estimator.pag_.n_edges - 3)

    search = GridSearchCV(PAGDiscovery(), {"alpha": [0.9, 0.01]}, scoring=edges, cv=2, n_jobs=2)
    assert search.fit(X).best_params_ == {"alpha": 0.01}


@pytest.mark.parametrize(
    ("params", "spoil", "words"),
    [
        ({}, lambda X: X.assign(rain=np.nan), "NaN"),
        ({}, lambda X: X.assign(rain=np.inf), "infinity"),
        ({}, lambda X: X.head(1), "1 sample"),
        ({}, lambda X: X.head(3), "n_samples has to be more than 3 .* got 3"),
        ({}, lambda X: X.assign(rain=1.0), r"zero variance .* columns \[0\]"),
        ({}, lambda X: X.assign(hose=1e8), r"zero variance .* columns \[1\]"),
        ({"order": ["rain", "hose"]}, lambda X: X, "order has to name each of the 4 columns once"),
        ({"order": [0, 1, 2, 2]}, lambda X: X, "order has to name each"),
        ({"tiers": [["rain", "snow"], [1, 2]]}, lambda X: X, "tiers has to name each"),
        ({"order": [0, 1, 2, 3], "tiers": [[0, 1, 2, 3]]}, lambda X: X, "give one of them"),
        ({"alpha": 1.5}, lambda X: X, "'alpha' parameter"),
        ({"n_samples": 2}, lambda X: X, "'n_samples' parameter"),
        ({"covariance": "precomputed", "n_samples": 9}, lambda X: X, "square, got shape"),
        ({"covariance": "precomputed"}, lambda X: X.cov(), "needs n_samples, got None"),
        ({"covariance": "precomputed", "n_samples": 9},
         lambda X: X.cov() + np.triu(np.ones((4, 4)), 1), "symmetric"),
        ({"covariance": "precomputed", "n_samples": 9}, lambda X: -X.cov(), "no negative numbers"),
        ({"covariance": "precomputed", "n_samples": 9}, lambda X: X.cov() + 5 - 5 * np.eye(4),
         "beyond -1 and 1"),
        ({"covariance": "precomputed", "n_samples": 9},
         lambda X: X.cov() * np.outer([0, 1, 1, 1], [0, 1, 1, 1]), "zero variance"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_and_nothing_is_lost(params, spoil, words):
    X = street(200)
    model = PAGDiscovery().fit(X)
    before = dict(vars(model))
    model.set_params(**params)
    with pytest.raises(ValueError, match=words):
        model.fit(spoil(X))
    fitted = [name for name in before if name.endswith("_")]
    assert all(vars(model)[name] is before[name] for name in fitted)


def test_singular_tables_warn():
    X = street(100).assign(copy=lambda X: X["rain"] + X["hose"])
    with pytest.warns(UserWarning, match="combinations of others"):
        model = PAGDiscovery().fit(X)
    assert np.isfinite(model.edge_pvalues_[np.triu_indices(5, 1)]).all()


def test_one_column():
    model = PAGDiscovery().fit(np.arange(10.0).reshape(-1, 1))
    assert model.marks_.tolist() == [[0]]
    assert model.n_ci_tests_.tolist() == [0]


# --- the graph itself -------------------------------------------------------------------------


@pytest.fixture
def graph():
    marks = np.zeros((4, 4), dtype=int)
    for i, j, at_i, at_j in ((0, 1, 3, 2), (1, 2, 2, 2), (2, 3, 1, 2), (0, 3, 1, 1)):
        marks[j, i], marks[i, j] = at_i, at_j
    return PAG(marks, nodes=["a", 'b"', "c", "d"], pvalues=np.full((4, 4), 0.001))


def test_exports(graph):
    assert graph.edges() == [
        ("a", "-->", 'b"'), ("a", "o-o", "d"), ('b"', "<->", "c"), ("c", "o->", "d")
    ]  # fmt: skip
    exported = graph.to_networkx()
    assert isinstance(exported, nx.DiGraph)
    assert exported.edges["a", 'b"'] == {"mark_u": "tail", "mark_v": "arrow", "pvalue": 0.001}
    assert exported.edges["a", "d"]["mark_u"] == "circle"
    dot = graph.to_dot()
    assert r'1 [label="b\""];' in dot
    assert "0 -> 1 [dir=both, arrowtail=none, arrowhead=normal];" in dot
    assert "2 -> 3 [dir=both, arrowtail=odot, arrowhead=normal];" in dot
    frame = graph.to_frame()
    assert frame["edge"].tolist() == ["-->", "o-o", "<->", "o->"]
    assert graph.possible_ancestors("d") == ["a", "c"]
    assert graph.possible_ancestors('b"') == ["a", "c", "d"]
    assert PAG(np.zeros((2, 2))).to_frame().columns.tolist() == [
        "a",
        "edge",
        "b",
        "mark_a",
        "mark_b",
    ]


def test_graphs_compare_by_what_they_say(graph):
    same = PAG(graph.marks, graph.nodes)
    assert graph == same
    assert graph != PAG(graph.marks, ["p", "q", "r", "s"])
    assert graph != "graph"
    assert repr(graph) == "PAG(n_nodes=4, n_edges=4)"


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        (np.zeros((2, 3)), "square matrix"),
        ([[0, 5], [1, 0]], "0 .no edge."),
        ([[0, 1], [0, 0]], "two ends"),
        ([[1, 0], [0, 0]], "two ends"),
    ],
)
def test_marks_that_are_none(marks, words):
    with pytest.raises(ValueError, match=words):
        PAG(marks)


def test_unknown_nodes(graph):
    with pytest.raises(ValueError, match="no node 'z'"):
        graph.possible_ancestors("z")
    with pytest.raises(ValueError, match="4 nodes and 1 names"):
        PAG(graph.marks, ["a"])
    with pytest.raises(NotFittedError):
        from sklearn_selfattn import PAGDisplay

        PAGDisplay.from_estimator(PAGDiscovery())
