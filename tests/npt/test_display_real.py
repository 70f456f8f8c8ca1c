"""The displays with real models: what is drawn is what the model says."""

import matplotlib
import numpy as np
import pytest

from sklearn_selfattn import (
    ContextRelianceDisplay,
    InterventionDisplay,
    NeighborsDisplay,
    NPTAttentionDisplay,
    TrainingHistoryDisplay,
)
from tests.npt.tables import classes_of, classifier, mixed_table, regressor

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="module")
def species():
    """Return a fitted classifier, its context, and queries with their labels."""
    frame, target = mixed_table(120)
    queries, asked = mixed_table(15, seed=1)
    context = frame, classes_of(target)
    return classifier(early_stopping=True).fit(*context), context, (queries, classes_of(asked))


@pytest.fixture(scope="module")
def amounts():
    frame, target = mixed_table(120)
    return regressor().fit(frame, target), (frame, target), mixed_table(15, seed=1)


def widths(bars):
    return [bar.get_width() for bar in bars]


def test_attention(species):
    model, _, (X, y) = species
    display = NPTAttentionDisplay.from_estimator(model, X, y, layer=0)
    weights = model.attention_weights(X, 0, between="rows")[0].mean(axis=1)[:, 0]
    rows, columns = display.query_order_, display.context_order_
    drawn = np.asarray(display.image_.get_array())
    np.testing.assert_array_equal(drawn, weights[rows][:, columns])
    np.testing.assert_allclose(
        drawn.sum(axis=1) + widths(display.self_bars_), 1, rtol=0, atol=1e-12
    )
    assert list(model.context_target_[columns]) == sorted(model.context_target_)


def test_attention_of_pretrained_weights(species):
    """Where a trained net has the row itself, pretrained weights have rows that were learnt."""
    _, (frame, labels), (X, y) = species
    model = classifier(pretrained=True).fit(frame, labels)
    display = NPTAttentionDisplay.from_estimator(model, X, y)
    maps = model.attention_weights(X, -1, between="rows")
    assert maps.key_labels[-1] == "learnt rows"
    given = maps[0].mean(axis=1)[:, 0]
    np.testing.assert_array_equal(widths(display.self_bars_), given[display.query_order_, -1])
    drawn = np.asarray(display.image_.get_array())
    np.testing.assert_array_equal(drawn, given[display.query_order_][:, display.context_order_])
    assert "on learnt rows" in {axes.get_xlabel() for axes in display.ax_.child_axes}
    assert NeighborsDisplay.from_estimator(model, X.head(2), n_neighbors=3).bars_
    changed = InterventionDisplay.from_estimator(model, X.head(2), frame, labels, row=0)
    assert np.ptp(changed.lines_[0].get_ydata()) > 0


@pytest.mark.parametrize("kind", ["species", "amounts"])
def test_neighbors(kind, request):
    model, _, (X, _) = request.getfixturevalue(kind)
    display = NeighborsDisplay.from_estimator(model, X.head(3), n_neighbors=4)
    table = model.neighbors(X.head(3), n_neighbors=4)
    assert [widths(bars) for bars in display.bars_] == [
        rows["weight"].tolist() for _, rows in table.groupby("query")
    ]


def test_intervention_on_a_number(amounts):
    model, (X, y), (queries, _) = amounts
    before = model.predict(queries)
    values = np.array([0.0, 10.0, 20.0])
    display = InterventionDisplay.from_estimator(model, queries.head(3), X, y, row=4, values=values)
    for value, drawn in zip(values, np.array([line.get_ydata() for line in display.lines_]).T,
                            strict=True):  # fmt: skip
        changed = y.copy()
        changed[4] = value
        model.set_context(X, changed)
        np.testing.assert_allclose(drawn, model.predict(queries.head(3)), rtol=0, atol=1e-10)
    model.set_context(X, y)
    np.testing.assert_allclose(model.predict(queries), before, rtol=0, atol=1e-10)
    assert np.abs(display.slopes_).max() > 0


def test_intervention_on_a_label_leaves_the_model_alone(species):
    model, (X, y), (queries, _) = species
    before, state = model.predict_proba(queries), dict(vars(model))
    display = InterventionDisplay.from_estimator(model, queries.head(2), X, y, row=0)
    assert all(vars(model)[name] is value for name, value in state.items())
    np.testing.assert_allclose(display.baseline_line_.get_ydata(), before[0], rtol=0, atol=1e-10)
    # each label makes itself likelier, or at least not the opposite of what it was before
    assert np.isfinite(display.lines_[0].get_ydata()).all()
    true_label = list(model.classes_).index(y[0])
    assert display.lines_[0].get_ydata()[true_label] == pytest.approx(
        before[0, true_label], abs=1e-10
    )


@pytest.mark.parametrize("kind", ["species", "amounts"])
def test_context_reliance(kind, request):
    model, _, (X, y) = request.getfixturevalue(kind)
    display = ContextRelianceDisplay.from_estimator(model, X, y, n_repeats=3, random_state=0)
    report = model.context_reliance(X, y, n_repeats=3, random_state=0)
    np.testing.assert_array_equal(display.repeat_points_.get_xdata(), report.corrupted_scores)
    assert display.true_point_.get_xdata()[0] == pytest.approx(model.score(X, y), abs=1e-12)


def test_history(species):
    model = species[0]
    display = TrainingHistoryDisplay.from_estimator(model)
    losses = [row["valid_loss"] for row in model.history_]
    np.testing.assert_array_equal(display.valid_line_.get_ydata(), losses)
    assert display.best_epoch_ == np.argmin(losses) + 1
