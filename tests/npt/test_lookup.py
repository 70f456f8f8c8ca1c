"""The semi-synthetic lookup task of the paper, small: what only attention between rows can do.

Every row has a twin with the same features and a label one higher; labels are drawn at random,
so that features say nothing. The net never saw the pairs that it is asked about.
"""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.neighbors import KNeighborsRegressor

from tests.npt.tables import joined, pairs, regressor

N_NEW = 100


@pytest.fixture(scope="module")
def lookup():
    """Return a net trained on pairs, with new twins as its context, and the new originals."""
    X, y, groups = joined(*pairs(2500, seed=0))
    model = regressor(
        n_estimators=1, row_dim=32, n_heads=4, feed_forward_dim=32, n_bins=0, batch_size=64,
        max_epochs=45, learning_rate=3e-3, early_stopping=False, feature_mask_prob=0.0,
        random_state=1,
    ).fit(X, y, groups=groups)  # fmt: skip
    return model, *pairs(N_NEW, seed=1)


def error(y, prediction):
    return np.sqrt(np.mean((y - prediction) ** 2))


def test_labels_are_looked_up_and_corrected(lookup):
    """Peers with the same rows, the new twins included, are left with guesses."""
    model, originals, y, twins, twin_label = lookup
    prediction = model.set_context(twins, twin_label).predict(originals)
    assert np.corrcoef(prediction, y)[0, 1] > 0.9
    assert error(y, prediction) < 0.45  # the labels have a standard deviation of 1
    X, label, _ = joined(*pairs(2500, seed=0))
    X, label = np.concatenate([X, twins]), np.concatenate([label, twin_label])
    for peer in (
        KNeighborsRegressor(1),
        KNeighborsRegressor(10),
        HistGradientBoostingRegressor(max_iter=30),
    ):
        assert error(y, peer.fit(X, label).predict(originals)) > 0.85
    assert error(y, y.mean()) > 0.85


def test_without_the_twins_the_same_net_guesses(lookup):
    """Twins with the labels of other rows, and contexts without the twins, say nothing."""
    model, originals, y, twins, twin_label = lookup
    wrong = np.random.RandomState(0).permutation(twin_label)
    model.set_context(twins, wrong)
    assert error(y, model.predict(originals)) > 0.85
    others = pairs(N_NEW, seed=2)
    model.set_context(others[2], others[3])
    assert error(y, model.predict(originals)) > 0.85
    assert abs(np.corrcoef(model.predict(originals), y)[0, 1]) < 0.3


def test_prediction_follows_the_label_of_the_twin_and_of_nobody_else(lookup):
    model, originals, y, twins, twin_label = lookup
    before = model.set_context(twins, twin_label).predict(originals)
    values = np.linspace(-1, 2, 7)
    slopes, correlations, moved = [], [], []
    for row in range(0, N_NEW, 10):
        predictions = []
        for value in values:
            label = twin_label.copy()
            label[row] = value
            predictions.append(model.set_context(twins, label).predict(originals))
        predictions = np.array(predictions)
        slopes.append(np.polyfit(values, predictions[:, row], 1)[0])
        correlations.append(np.corrcoef(values, predictions[:, row])[0, 1])
        others = np.delete(predictions, row, axis=1)
        moved.append(np.median(np.ptp(others, axis=0)))
    assert 0.85 < np.median(slopes) < 1.15
    assert np.median(correlations) > 0.99
    assert max(moved) < 0.01  # of a sweep of 3
    model.set_context(twins, twin_label)
    np.testing.assert_allclose(model.predict(originals), before, rtol=0, atol=1e-12)


def test_what_is_predicted_beside_does_not_move_a_row(lookup):
    """The strict half of the intervention: another query, even a twin's, changes no bit of it."""
    model, originals, y, twins, twin_label = lookup
    model.set_context(twins, twin_label)
    alone = model.predict(originals)
    beside = np.concatenate([originals, originals[::-1] + 0.01, twins])
    np.testing.assert_allclose(model.predict(beside)[:N_NEW], alone, rtol=0, atol=1e-12)


def test_the_twin_is_the_nearest_neighbor(lookup):
    model, originals, y, twins, twin_label = lookup
    model.set_context(twins, twin_label)
    table = model.neighbors(originals, n_neighbors=3)
    first = table[table["rank"] == 0]
    assert (first["context_row"].to_numpy() == np.arange(N_NEW)).mean() > 0.5  # by chance 0.01
    found = table.groupby("query")["context_row"].apply(lambda rows: rows.name in set(rows))
    assert found.mean() > 0.9
    np.testing.assert_allclose(table["target"], twin_label[table["context_row"]], atol=1e-12)


def test_reliance_on_the_context_is_large(lookup):
    model, originals, y, twins, twin_label = lookup
    model.set_context(twins, twin_label)
    before = model.predict(originals)
    report = model.context_reliance(originals, y, n_repeats=3, random_state=0)
    assert report.score > 0.8
    assert report.corrupted_scores.shape == (3,)
    assert report.corrupted_scores.max() < 0.2
    assert report.reliance == pytest.approx(report.score - report.corrupted_scores.mean())
    assert report.score == pytest.approx(model.score(originals, y), abs=1e-12)
    again = model.context_reliance(originals, y, n_repeats=3, random_state=0)
    np.testing.assert_array_equal(again.corrupted_scores, report.corrupted_scores)
    assert len(set(report.corrupted_scores)) == 3
    np.testing.assert_array_equal(model.predict(originals), before)  # the context is as it was


def test_own_label_is_seen_by_predict_and_not_by_predict_loo(lookup):
    """A row of the context is looked at by everybody, unless it is the one left out."""
    model, originals, y, twins, twin_label = lookup
    seen, left_out = [], []
    for row in range(0, N_NEW, 20):
        found = []
        for value in (-1.0, 2.0):
            label = y.copy()
            label[row] = value
            model.set_context(twins, label)
            found.append([model.predict(twins)[row], model.predict_loo()[row]])
        moved = np.abs(np.diff(found, axis=0))[0]
        seen.append(moved[0])
        left_out.append(moved[1])
    assert min(seen) > 0  # how much depends on what the net thinks of a row that is no twin
    assert max(seen) > 1e-3
    assert max(left_out) == 0


def test_a_table_of_features_only_needs_no_context():
    """Where the features tell the label, other rows are hardly missed."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(300, 3))
    y = 2 * X[:, 0] - X[:, 1]
    model = regressor(max_epochs=25, n_estimators=1).fit(X[:200], y[:200])
    report = model.context_reliance(X[200:], y[200:], random_state=0)
    assert report.score > 0.9
    assert report.reliance < 0.25
