"""What can be asked of a pretrained model and its context, down to tables that say nothing."""

import copy

import numpy as np
import pandas as pd
import pytest

from sklearn_selfattn import NPTClassifier, NPTRegressor
from tests.npt.tables import SMALL, classes_of, mixed_table

QUICK = {"n_estimators": 2, "random_state": 0}
N_CONTEXT = 60


def classifier(**changed):
    return NPTClassifier(**{**QUICK, **changed})


def regressor(**changed):
    return NPTRegressor(**{**QUICK, **changed})


def line(n_rows, seed=0):
    """Return features, and a noisy difference of two of them."""
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n_rows, 3))
    return X, X[:, 0] - X[:, 1] + 0.3 * rng.normal(size=n_rows)


@pytest.fixture(scope="module")
def shared():
    frame, target = mixed_table(N_CONTEXT)
    return classifier().fit(frame, classes_of(target)), frame, classes_of(target)


@pytest.fixture
def fitted(shared):
    """Return a model fitted once, its table and its labels."""
    return copy.deepcopy(shared[0]), *shared[1:]


# --- tables at the edge ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels", [np.array([3, 7, 9]), np.array(["a", "b", "c"]), np.array([-1.0, 0.0, 2.0])]
)
def test_names_of_labels_do_not_matter(labels):
    X, y = line(40)
    codes = np.searchsorted([-0.5, 0.5], y)
    plain = classifier().fit(X, codes)
    named = classifier().fit(X, labels[codes])
    np.testing.assert_array_equal(named.classes_, labels)
    np.testing.assert_array_equal(named.predict_proba(X), plain.predict_proba(X))
    np.testing.assert_array_equal(named.predict(X), labels[plain.predict(X)])


def test_truth_values_are_labels():
    X, y = line(40)
    plain, named = classifier().fit(X, (y > 0).astype(int)), classifier().fit(X, y > 0)
    assert named.predict(X).dtype == bool
    np.testing.assert_array_equal(named.predict_proba(X), plain.predict_proba(X))


def test_one_class_is_certain():
    X, _ = line(12)
    model = classifier().fit(X, np.full(12, "only"))
    assert (model.predict(X) == "only").all() and (model.predict_proba(X) == 1).all()
    assert (model.predict_loo() == "only").all()


def test_one_target_is_certain():
    X, _ = line(12)
    model = regressor().fit(X, np.full(12, 5.5))
    assert (model.predict(X) == 5.5).all() and (model.predict_loo() == 5.5).all()
    assert (model.predict_quantiles(X) == 5.5).all()


def test_one_column_is_enough():
    X = line(80)[0][:, :1]
    model = classifier().fit(X[:40], X[:40, 0] > 0)
    assert model.score(X[40:], X[40:, 0] > 0) > 0.9
    assert np.corrcoef(regressor().fit(X[:40], X[:40, 0]).predict(X[40:]), X[40:, 0])[0, 1] > 0.95


@pytest.mark.parametrize("useless", [np.nan, 3.0])
def test_columns_that_say_nothing(useless):
    X, y = line(60)
    with_it = np.column_stack([np.full(60, useless), X])
    model = regressor().fit(with_it[:40], y[:40])
    assert np.isfinite(model.predict(with_it)).all()
    assert model.score(with_it[40:], y[40:]) > 0.5
    with_it[:, 0] = 1e6  # what is new there does not blow up
    assert model.score(with_it[40:], y[40:]) > 0
    only = regressor().fit(np.full((10, 1), useless), y[:10])
    assert np.ptp(only.predict(np.full((5, 1), useless))) < 1e-9


@pytest.mark.parametrize("make", [classifier, regressor])
def test_two_rows_are_a_table(make):
    model = make().fit([[0.0], [1.0]], [0, 1])
    assert model.n_context_ == 2
    assert model.predict([[0.0], [1.0]]).shape == model.predict_loo().shape == (2,)
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        make().fit([[0.0]], [0])


def test_huge_offsets_and_scales_cost_no_more_than_their_digits():
    X, y = line(60)
    far = 1e12 + X
    near = far - 1e12  # the same numbers, with as few digits
    one, other = regressor().fit(far[:40], y[:40]), regressor().fit(near[:40], y[:40])
    np.testing.assert_allclose(one.predict(far), other.predict(near), rtol=0, atol=1e-6)
    scaled = regressor().fit(X[:40] * 2.0**60, y[:40] * 2.0**-40)
    plain = regressor().fit(X[:40], y[:40])
    found = scaled.predict(X * 2.0**60)
    np.testing.assert_allclose(found, plain.predict(X) * 2.0**-40, rtol=1e-6)


def test_unseen_categories_count_as_missing(fitted):
    model, frame, _ = fitted
    rows = frame.head(8)
    unseen = model.predict_proba(rows.assign(colour="violet"))
    np.testing.assert_array_equal(unseen, model.predict_proba(rows.assign(colour=None)))
    assert np.abs(unseen - model.predict_proba(rows.assign(colour="red"))).max() > 1e-3


def test_more_categories_than_pretraining_has_seen():
    rng = np.random.RandomState(0)
    code = rng.permutation(np.arange(200) % 40)
    frame = pd.DataFrame({"place": [f"place {i}" for i in code], "x": rng.normal(size=200)})
    target = np.arange(40) % 2 == 0  # told by the place alone
    model = classifier().fit(frame[:160], target[code[:160]])
    assert model.score(frame[160:], target[code[160:]]) > 0.75


def test_one_member():
    X, y = line(40)
    model = regressor(n_estimators=1).fit(X, y)
    assert model._member_rows.shape == (1, 40)
    assert np.isfinite(model.predict_quantiles(X)).all()


# --- the context ---------------------------------------------------------------------------------


def test_refused_calls_change_nothing(fitted):
    model, frame, labels = fitted
    before, state = model.predict_proba(frame), dict(vars(model))
    for call in (
        lambda: model.set_context(frame, np.full(N_CONTEXT, "unknown")),
        lambda: model.set_context(frame, labels[:-1]),
        lambda: model.set_context(frame.drop(columns="size"), labels),
        lambda: model.predict(frame.rename(columns={"size": "weight"})),
        lambda: model.neighbors(frame, n_neighbors=N_CONTEXT + 1),
        lambda: model.attention_weights(frame, layer=99),
        lambda: model.fit(frame.assign(size=np.inf), labels),
    ):
        with pytest.raises(ValueError):
            call()
    assert vars(model) == state
    np.testing.assert_array_equal(model.predict_proba(frame), before)


def test_another_context_is_what_predictions_are_made_from(fitted):
    model, frame, labels = fitted
    queries, target = mixed_table(30, seed=1)
    before = model.predict_proba(queries)
    model.set_context(frame, labels)
    np.testing.assert_allclose(model.predict_proba(queries), before, rtol=0, atol=1e-9)
    opposite = {"low": "high", "middle": "middle", "high": "low"}
    model.set_context(frame, np.array([opposite[label] for label in labels]))
    ranks = [
        np.argsort(np.argsort(p[:, 0] - p[:, 1])) for p in (before, model.predict_proba(queries))
    ]
    assert np.corrcoef(*ranks)[0, 1] < -0.5
    model.set_context(queries, classes_of(target), append=True)
    assert model.n_context_ == N_CONTEXT + 30


def test_left_out_predictions_do_not_know_the_label_of_their_row(fitted):
    model, frame, labels = fitted
    before = model.set_context(frame, labels).predict_loo("predict_proba")
    for i in (0, 17):
        changed = labels.copy()
        changed[i] = "low" if labels[i] != "low" else "high"
        after = model.set_context(frame, changed).predict_loo("predict_proba")
        np.testing.assert_allclose(after[i], before[i], rtol=0, atol=1e-12)
        assert np.abs(after - before).max() > 1e-3  # of others it is known


@pytest.mark.parametrize("make", [classifier, regressor])
def test_groups_are_left_out_together(make):
    X, y = line(40)
    y = y > 0 if make is classifier else y
    groups = np.arange(40) % 8
    model = make().fit(X, y, groups=groups)
    method = "predict_proba" if make is classifier else "predict"
    found = model.predict_loo(method)
    for group in (0, 5):
        rest = copy.deepcopy(model).set_context(X[groups != group], y[groups != group])
        expected = getattr(rest, method)(X[groups == group])
        np.testing.assert_allclose(found[groups == group], expected, rtol=0, atol=1e-9)
    alone = make().fit(X, y, groups=np.zeros(40))  # one group: its rows predict each other
    assert np.isfinite(alone.predict_loo(method)).all()


def test_neighbors_and_maps_tell_the_same(fitted):
    model, frame, labels = fitted
    queries = mixed_table(6, seed=1)[0]
    maps = model.attention_weights(queries, between="rows")
    assert maps.key_labels == [*range(N_CONTEXT), "learnt rows"]
    n_heads = 2 * model.module_.net.config.n_heads
    assert all(layer.shape == (6, n_heads, 1, N_CONTEXT + 1) for layer in maps.weights)
    for layer in (*maps.weights, *model.attention_weights(queries).weights):
        np.testing.assert_allclose(layer.sum(axis=-1), 1, rtol=0, atol=1e-9)
    weight = np.mean([layer.mean(axis=(1, 2)) for layer in maps.weights], axis=0)[:, :-1]
    found = model.neighbors(queries, n_neighbors=5)
    for query, rows in found.groupby("query"):
        np.testing.assert_allclose(rows["weight"], np.sort(weight[query])[::-1][:5], atol=1e-12)
        np.testing.assert_allclose(rows["weight"], weight[query][rows["context_row"]], atol=1e-12)
        np.testing.assert_array_equal(rows["target"], labels[rows["context_row"]])
    names = [*frame.columns, "target"]
    assert model.attention_weights(queries, layer=-1).query_labels == names


def test_a_model_relies_on_its_context():
    X, y = line(120)
    model = classifier().fit(X[:60], y[:60] > 0)
    told = model.context_reliance(X[60:], y[60:] > 0, n_repeats=3, random_state=0)
    assert told.score == model.score(X[60:], y[60:] > 0) > 0.8
    assert told.reliance == told.score - told.corrupted_scores.mean() > 0.15


def test_imputation_uses_the_other_columns():
    rng = np.random.RandomState(0)
    cause = rng.normal(size=160)
    whole = pd.DataFrame(
        {
            "a": cause,
            "b": 50 + 10 * cause + rng.normal(size=160),
            "sign": np.where(cause > 0, "up", "down"),
            "empty": np.nan,
        },
        index=[f"row {i}" for i in range(160)],
    )
    holes = rng.rand(160, 4) < [0.2, 0.2, 0.2, 0]
    model = classifier().fit(whole[:80].mask(holes[:80]), cause[:80] > 1)
    table, asked = whole[80:].mask(holes[80:]), holes[80:]
    filled = model.impute(table)
    assert not filled.isna().any().any()
    assert list(filled.index) == list(table.index)
    for j, name in enumerate(("a", "b")):
        np.testing.assert_array_equal(filled[name][~asked[:, j]], table[name][~asked[:, j]])
        error = (filled[name] - whole[80:][name])[asked[:, j]].to_numpy()
        spread = (whole[80:][name] - whole[:80][name].mean())[asked[:, j]].to_numpy()
        assert np.mean(error**2) < 0.3 * np.mean(spread**2)
    assert (filled["sign"] == whole[80:]["sign"])[asked[:, 2]].mean() > 0.85


# --- distributions -------------------------------------------------------------------------------


def test_intervals_hold_the_share_they_promise():
    X, y = line(400)
    model = regressor().fit(X[:200], y[:200])
    low, middle, high = model.predict_quantiles(X[200:]).T
    assert (low < middle).all() and (middle < high).all()
    assert 0.8 < np.mean((low < y[200:]) & (y[200:] < high)) < 0.98
    assert 0.4 < np.mean(y[200:] < middle) < 0.6
    one = model.predict_quantiles(X[200:203], 0.5)
    np.testing.assert_allclose(one[:, 0], middle[:3], rtol=0, atol=1e-9)
    assert np.abs(model.predict(X[200:]) - middle).mean() < 0.2 * y.std()


@pytest.mark.parametrize("levels", [0.0, [0.5, 1.0], [[0.5]], [np.nan], [-0.1]])
def test_levels_that_are_none_are_refused(levels):
    X, y = line(20)
    with pytest.raises(ValueError, match="quantiles have to lie between 0 and 1"):
        regressor(n_estimators=1).fit(X, y).predict_quantiles(X, levels)


def test_a_net_of_the_table_has_no_quantiles():
    X, y = line(20)
    model = regressor(**{**SMALL, "max_epochs": 1}).fit(X, y)
    with pytest.raises(ValueError, match="fit with pretrained=True"):
        model.predict_quantiles(X)
