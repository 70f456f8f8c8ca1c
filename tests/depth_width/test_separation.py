"""Separation rank of fitted models: known ranks, and what training does to a net."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from sklearn_selfattn import NPTRegressor, separation_rank
from tests.core.toy import TableTransformerRegressor


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True)


@pytest.mark.parametrize(
    ("make", "rank"),
    [
        (lambda: LinearRegression(), 2),
        (lambda: HistGradientBoostingRegressor(max_depth=1), 2),
        (lambda: make_pipeline(PolynomialFeatures(2), LinearRegression()), 7),
        (lambda: make_pipeline(PolynomialFeatures(3), LinearRegression()), 12),
    ],
    ids=["linear", "boosted stumps", "degree 2", "degree 3"],
)
def test_known_ranks(diabetes, make, rank):
    X, y = diabetes
    model = make().fit(X, y)
    for seed in range(3):  # other halves, other rows
        found = separation_rank(model, X, random_state=seed)
        assert found.rank == rank
        assert len(found.features_a) == len(found.features_b) == 5
        assert (found.interaction < 1e-20) == (rank == 2)
        assert (found.interaction_rank == 0) == (rank == 2)
    # and a model that interacts as deep as it can has as many as there are rows
    assert separation_rank(HistGradientBoostingRegressor().fit(X, y), X).rank > 95


@settings(derandomize=True, max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 1000))
def test_sums_of_products_have_as_many_terms(n_terms, n_features, seed):
    rng = np.random.RandomState(seed)
    left, right = (rng.normal(size=(n_features + 1, n_terms)) for _ in range(2))
    X = rng.normal(size=(80, 2 * n_features + 1))
    a = np.arange(n_features + 1)

    def f(X):
        return (np.cos(X[:, a] @ left) * np.cos(X[:, len(a) :] @ right[:-1] + right[-1])).sum(1)

    found = separation_rank(f, X, a, n_templates=60, tol=1e-11, random_state=0)
    assert found.rank == n_terms
    assert 1 <= found.stable_rank <= found.effective_rank + 1e-9
    assert found.effective_rank <= n_terms + 1e-9
    np.testing.assert_array_equal(found.features_b, np.setdiff1d(np.arange(X.shape[1]), a))


def test_matrix_is_of_all_pairs():
    """Against the definition, with two loops."""
    X = np.random.RandomState(0).normal(size=(9, 3))

    def f(X):
        return np.exp(X[:, 0] * X[:, 2]) + X[:, 1]

    found = separation_rank(f, X, [0, 1], n_templates=9, random_state=3)
    M = np.array([[np.exp(a[0] * b[2]) + a[1] for b in X] for a in X])
    values = np.linalg.svd(M, compute_uv=False)
    np.testing.assert_allclose(found.singular_values, values / 9, rtol=1e-10, atol=1e-14)
    share = values**2 / (values**2).sum()
    assert found.effective_rank == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    assert found.stable_rank == pytest.approx((values**2).sum() / values[0] ** 2)
    # two-way analysis of variance, by least squares
    design = np.array([[*np.eye(9)[i], *np.eye(9)[j]] for i in range(9) for j in range(9)])
    fitted = design @ np.linalg.lstsq(design, M.ravel())[0]
    expected = ((M.ravel() - fitted) ** 2).mean() / M.var()
    assert found.interaction == pytest.approx(expected)


def target_of(kind, X):
    return (X[:, :4] * X[:, 4:]).sum(axis=1) if kind == "products" else np.sin(X).sum(axis=1)


def test_training_ties_together_what_the_target_ties_together():
    """Four products of features either side: interactions appear; an additive target has none."""
    X = np.random.RandomState(0).normal(size=(500, 8))
    found = {}
    for kind, max_epochs in (("products", 1), ("products", 50), ("sum", 50)):
        net = TableTransformerRegressor(
            d_model=16, n_layers=2, max_epochs=max_epochs, batch_size=128,
            learning_rate=6e-3, early_stopping=False, random_state=0,
        ).fit(X, target_of(kind, X))  # fmt: skip
        found[kind, max_epochs] = separation_rank(net, X, range(4), n_templates=50, random_state=0)
    untrained, trained, additive = found.values()
    assert trained.effective_rank > 2.3 > untrained.effective_rank
    assert trained.interaction > 0.7 > 0.1 > additive.interaction
    assert additive.effective_rank < 2.1
    # softmax has no finite rank: counting singular values tells nothing
    assert min(trained.rank, additive.rank) > 40


def test_float32_noise_is_not_counted(diabetes):
    X, y = diabetes
    net = NPTRegressor(
        pretrained=False, n_estimators=1, max_epochs=1, dtype="float32", random_state=0
    ).fit(X, y)
    found = separation_rank(net, X, n_templates=40, tol=1e-12, random_state=0)
    assert found.noise_floor == pytest.approx(1e-6 * 40**0.5, rel=0.1)
    assert found.tol == found.noise_floor
    assert found.rank < 40
    exact = separation_rank(LinearRegression().fit(X, y), X, n_templates=40, tol=1e-12)
    assert (exact.noise_floor < 1e-13, exact.tol, exact.rank) == (True, 1e-12, 2)


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_tables_keep_their_types(kind):
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(
        {"x": rng.normal(size=70), "c": pd.Categorical(rng.choice(list("abc"), 70)),
         "z": rng.normal(size=70)},
        index=rng.permutation(70),
    )  # fmt: skip

    def f(table):
        assert [str(t).lower() for t in (table["c"].dtype,)][0].startswith("categor")
        codes = np.array([{"a": 1.0, "b": 2.0, "c": 4.0}[v] for v in table["c"]])
        return codes * np.asarray(table["x"]) * np.asarray(table["z"])

    X = frame if kind == "pandas" else pl.from_pandas(frame.reset_index(drop=True))
    found = separation_rank(f, X, ["c", "x"], n_templates=30, random_state=0)
    assert (found.rank, found.features_b.tolist()) == (1, [2])
    as_numbers = np.column_stack([frame["x"], frame["c"].cat.codes, frame["z"]])

    def same(X):
        return np.array([1.0, 2.0, 4.0])[X[:, 1].astype(int)] * X[:, 0] * X[:, 2]

    other = separation_rank(same, as_numbers, [0, 1], n_templates=30, random_state=0)
    np.testing.assert_allclose(found.singular_values, other.singular_values, atol=1e-14)


def test_what_classifiers_are_asked():
    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=500).fit(X, y)
    assert separation_rank(model, X, random_state=0).rank == 2  # the logit is linear
    shares = separation_rank(model, X, response_method="predict_proba", output=0, random_state=0)
    assert shares.rank > 2
    forest = RandomForestClassifier(20, random_state=0).fit(X, y)
    assert separation_rank(forest, X, random_state=0).rank > 2
    with pytest.raises(ValueError, match="labels"):
        separation_rank(model, X, response_method="predict")
    with pytest.raises(ValueError, match="no method decision_function"):
        separation_rank(forest, X, response_method="decision_function")
    with pytest.raises(ValueError, match="output=3, but there are 3 outputs"):
        separation_rank(model, X, output=3)


def test_several_partitions_report_the_most_tied():
    def f(X):
        return X[:, 0] * X[:, 1] + X[:, 2] * X[:, 3]

    X = np.random.RandomState(0).normal(size=(50, 4))
    found = separation_rank(f, X, n_partitions=20, random_state=0)
    assert found.partition_ranks.shape == (20,)
    assert set(found.partition_ranks) == {2}  # two products, or a function of either half
    assert found.partition_effective_ranks.max() == found.effective_rank
    assert found.partition_effective_ranks.min() < found.effective_rank
    constant = separation_rank(lambda X: np.zeros(len(X)), X)
    assert (constant.rank, constant.effective_rank, constant.interaction) == (0, 0.0, 0.0)
    assert separation_rank(lambda X: np.full(len(X), 7.0), X).rank == 1


def test_results_are_reproducible(diabetes):
    X, y = diabetes
    model = HistGradientBoostingRegressor(max_iter=10).fit(X, y)
    one, two = (separation_rank(model, X, n_templates=20, random_state=5) for _ in range(2))
    np.testing.assert_array_equal(one.singular_values, two.singular_values)


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (([0, 1], [1, 2, 3]), r"apart, both hold \[1\]"),
        (([], [0, 1, 2, 3]), "features_a is empty"),
        (([0, 1, 2, 3], None), "features_b is empty"),
        (([0], [1, 2]), r"\[3\] are missing"),
        (([0, 4], None), r"positions in 0\.\.3, got \[0, 4\]"),
        ((["age"], None), r"columns that X does not have: \['age'\]"),
        (([0.5], None), "positions, names or a mask"),
        (([[0]], None), "1-D"),
    ],
)
def test_bad_groups(groups, words):
    X = np.zeros((5, 4))
    with pytest.raises(ValueError, match=words):
        separation_rank(lambda X: X[:, 0], X, *groups)


def test_bad_input(diabetes):
    X, _ = diabetes
    with pytest.raises(NotFittedError):
        separation_rank(LinearRegression(), X)
    with pytest.raises(ValueError, match="estimator"):
        separation_rank(3, X)
    with pytest.raises(ValueError, match="two groups need at least 2"):
        separation_rank(lambda X: X[:, 0], X[:, :1])
    with pytest.raises(ValueError, match="2 dimensions"):
        separation_rank(lambda X: X, X[:, 0])
    with pytest.raises(ValueError, match="one number or one row of numbers for each"):
        separation_rank(lambda X: X[:3, 0], X)
    with pytest.raises(ValueError, match="not all finite"):
        separation_rank(lambda X: np.full(len(X), np.nan), X)
    for name, value in {"n_templates": 1, "tol": 0.0, "response_method": "logit"}.items():
        with pytest.raises(ValueError, match=name):
            separation_rank(lambda X: X[:, 0], X, **{name: value})
