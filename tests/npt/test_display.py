import matplotlib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.datasets import load_diabetes, load_iris
from sklearn.preprocessing import StandardScaler

from sklearn_selfattn.core.maps import AttentionMaps
from sklearn_selfattn.npt.context_display import ContextRelianceDisplay, InterventionDisplay
from sklearn_selfattn.npt.display import NeighborsDisplay, NPTAttentionDisplay

matplotlib.use("Agg")


class _RowLookup(BaseEstimator):
    """Attention between rows by distance alone: small enough to check by hand.

    Two layers, the second sharper, with two heads each.
    """

    def __init__(self, sharpness=2.0):
        self.sharpness = sharpness

    def fit(self, X, y):
        X = np.asarray(X, dtype=np.float64)
        self.n_features_in_ = X.shape[1]
        self._learn_targets(np.asarray(y))
        return self.set_context(X, y)

    def _learn_targets(self, y):
        pass

    def set_context(self, X, y):
        self.context_ = np.array(X, dtype=np.float64)
        self.context_target_ = np.array(y)
        return self

    def attention_weights(self, X, layer=None, between="rows"):
        assert between == "rows"
        X = np.asarray(X, dtype=np.float64)
        distance = ((X[:, np.newaxis] - self.context_) ** 2).sum(axis=-1)  # (n, n_context)
        # The query itself is one more key, at a fixed distance.
        distance = np.column_stack([distance, np.full(len(X), 0.5)])
        layers = []
        for factor in (0.2, 1.0):
            heads = []
            for tilt in (0.8, 1.2):
                weight = np.exp(-tilt * factor * self.sharpness * distance)
                heads.append(weight / weight.sum(axis=1, keepdims=True))
            layers.append(np.stack(heads, axis=1)[:, :, np.newaxis])  # (n, heads, 1, n_context+1)
        n_context = len(self.context_)
        return AttentionMaps(
            layers if layer is None else [layers[layer]],
            query_labels=["row"],
            key_labels=[*range(n_context), "self"],
            query_axis="query",
            key_axis="context row",
        )

    def _context_weights(self, X):
        weights = self.attention_weights(X)[-1].mean(axis=1)[:, 0, :-1]  # (n, n_context)
        return weights / weights.sum(axis=1, keepdims=True)

    def neighbors(self, X, n_neighbors=10):
        weights = self._context_weights(X)
        rows = np.argsort(-weights, axis=1, kind="stable")[:, :n_neighbors]
        return pd.DataFrame(
            {
                "query": np.repeat(np.arange(len(weights)), rows.shape[1]),
                "rank": np.tile(np.arange(1, rows.shape[1] + 1), len(weights)),
                "context_row": rows.ravel(),
                "weight": np.take_along_axis(weights, rows, axis=1).ravel(),
                "target": self.context_target_[rows.ravel()],
            }
        )

    def context_reliance(self, X, y, n_repeats=5, random_state=None):
        rng = np.random.RandomState(random_state)
        X_context, y_context = self.context_, self.context_target_
        score, corrupted = self.score(X, y), []
        for _ in range(n_repeats):
            self.set_context(
                np.column_stack([rng.permutation(column) for column in X_context.T]),
                rng.permutation(y_context),
            )
            corrupted.append(self.score(X, y))
        self.set_context(X_context, y_context)
        return {"score": score, "corrupted_scores": np.array(corrupted)}


class RowLookupClassifier(ClassifierMixin, _RowLookup):
    def _learn_targets(self, y):
        self.classes_ = np.unique(y)

    def predict_proba(self, X):
        one_hot = self.context_target_[:, np.newaxis] == self.classes_
        return self._context_weights(X) @ one_hot

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class RowLookupRegressor(RegressorMixin, _RowLookup):
    def predict(self, X):
        return self._context_weights(X) @ self.context_target_


@pytest.fixture(autouse=True)
def close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture
def flowers():
    """Return a fitted classifier, 40 queries and their species."""
    data = load_iris()
    X = StandardScaler().fit_transform(data.data)
    y = data.target_names[data.target]
    order = np.random.RandomState(0).permutation(len(y))
    context, queries = order[:110], order[110:]
    return RowLookupClassifier().fit(X[context], y[context]), X[queries], y[queries]


@pytest.fixture
def patients():
    """Return a fitted regressor, 40 queries and their values."""
    data = load_diabetes()
    X = StandardScaler().fit_transform(data.data)
    model = RowLookupRegressor().fit(X[:200], data.target[:200])
    return model, X[200:240], data.target[200:240]


def tick_texts(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def drawn(display):
    return np.asarray(display.image_.get_array())


def snapshot(estimator):
    return {
        name: (value.copy() if isinstance(value, np.ndarray) else value, value)
        for name, value in vars(estimator).items()
    }


def assert_untouched(estimator, before):
    """Check that every attribute is the same object with the same content."""
    assert vars(estimator).keys() == before.keys()
    for name, (content, original) in before.items():
        assert getattr(estimator, name) is original
        np.testing.assert_array_equal(original, content)


# --- attention between rows -----------------------------------------------------------------


def test_attention_is_sorted_by_label_on_both_sides(flowers):
    model, X, y = flowers
    before = snapshot(model)
    display = NPTAttentionDisplay.from_estimator(model, X, y)
    assert_untouched(model, before)

    weights = model.attention_weights(X)[-1].mean(axis=1)[:, 0]  # (40, 111), itself last
    rows, columns = display.query_order_, display.context_order_
    np.testing.assert_array_equal(drawn(display), weights[rows][:, columns])
    assert sorted(columns) == list(range(110))
    assert list(model.context_target_[columns]) == sorted(model.context_target_)
    assert list(y[rows]) == sorted(y)
    # Within a label, rows that get more attention come first.
    received = weights[:, :-1].mean(axis=0)[columns]
    for label in model.classes_:
        assert (np.diff(received[model.context_target_[columns] == label]) <= 0).all()
    # What is drawn is all the attention there is: map and bars sum to 1 for each query.
    on_itself = [bar.get_width() for bar in display.self_bars_]
    np.testing.assert_allclose(drawn(display).sum(axis=1) + on_itself, 1.0, atol=1e-12)
    np.testing.assert_array_equal(on_itself, weights[rows, -1])
    # The blocks of equal labels hold most of it: the picture shows what it is for.
    same = y[rows][:, np.newaxis] == model.context_target_[columns]
    assert drawn(display)[same].sum() > 4 * drawn(display)[~same].sum()


def test_attention_labels_each_block_at_its_middle(flowers):
    model, X, y = flowers
    display = NPTAttentionDisplay.from_estimator(model, X, y)
    counts = np.array([(model.context_target_ == label).sum() for label in model.classes_])
    ends = counts.cumsum()
    assert tick_texts(display.ax_.xaxis) == list(model.classes_)
    np.testing.assert_allclose(display.ax_.get_xticks(), ends - counts / 2 - 0.5)
    assert tick_texts(display.ax_.yaxis) == list(model.classes_)
    ruled = {line.get_xdata()[0] for line in display.ax_.lines}
    assert set(ends[:-1] - 0.5) <= ruled
    assert display.ax_.get_xlabel() == "110 context rows (sorted by label)"
    assert display.colorbar_.ax.get_ylabel() == "attention weight (√ scale)"


def test_attention_sorted_by_attention_keeps_the_most_used_rows(flowers):
    model, X, _ = flowers
    display = NPTAttentionDisplay.from_estimator(model, X[:8], sort="attention", n_context=25)
    weights = model.attention_weights(X[:8])[-1].mean(axis=1)[:, 0, :-1]
    received = weights.mean(axis=0)
    np.testing.assert_array_equal(display.context_order_, np.argsort(-received, kind="stable")[:25])
    np.testing.assert_array_equal(drawn(display), weights[:, display.context_order_])
    assert display.ax_.get_xlabel() == "25 of 110 context rows (row number, most used first)"
    assert tick_texts(display.ax_.yaxis) == [str(query) for query in range(8)]
    shown = display.ax_.get_xticks().astype(int)
    assert tick_texts(display.ax_.xaxis) == [str(row) for row in display.context_order_[shown]]


def test_attention_of_one_layer_and_head_or_of_all(flowers):
    model, X, _ = flowers
    maps = model.attention_weights(X)
    first = NPTAttentionDisplay.from_estimator(model, X, layer=0, head=1)
    np.testing.assert_array_equal(first.weights, maps[0][:, 1, 0, :-1])
    everything = NPTAttentionDisplay.from_estimator(model, X, layer=None)
    mean = (maps[0].mean(axis=1) + maps[1].mean(axis=1))[:, 0] / 2
    np.testing.assert_allclose(everything.weights, mean[:, :-1], rtol=1e-14)
    np.testing.assert_allclose(everything.self_weight, mean[:, -1], rtol=1e-14)


def test_attention_of_a_regressor_is_sorted_by_value(patients):
    model, X, y = patients
    display = NPTAttentionDisplay.from_estimator(model, X, y)
    assert (np.diff(model.context_target_[display.context_order_]) >= 0).all()
    assert (np.diff(y[display.query_order_]) >= 0).all()
    assert display.ax_.get_xlabel() == "200 context rows (target value, rising)"
    shown = display.ax_.get_xticks().astype(int)
    expected = [f"{value:.4g}" for value in np.sort(model.context_target_)[shown]]
    assert tick_texts(display.ax_.xaxis) == expected


def test_classes_that_are_floats_are_still_labels(flowers):
    model, X, _ = flowers
    numbered = RowLookupClassifier().fit(model.context_, (model.context_target_ == "setosa") * 1.0)
    display = NPTAttentionDisplay.from_estimator(numbered, X)
    assert tick_texts(display.ax_.xaxis) == ["0", "1"]
    bars = NeighborsDisplay.from_estimator(numbered, X[:1])
    assert bars.ax_.get_legend() is not None


def test_attention_refuses_what_does_not_fit(flowers):
    model, X, y = flowers
    with pytest.raises(ValueError, match="sort must be 'label' or 'attention', got 'distance'"):
        NPTAttentionDisplay.from_estimator(model, X, sort="distance")
    with pytest.raises(ValueError, match="n_context must be at least 1 or None, got 0"):
        NPTAttentionDisplay.from_estimator(model, X, n_context=0)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        NPTAttentionDisplay.from_estimator(model, X, y[:-1])


# --- neighbours -----------------------------------------------------------------------------


def test_neighbors_are_bars_of_the_weights_with_rows_labels_and_colours(flowers):
    from matplotlib.colors import to_rgb

    model, X, _ = flowers
    border = model.predict_proba(X).max(axis=1).argmin()  # its neighbours disagree
    X, n_neighbors = X[[3, 8, border]], 7
    display = NeighborsDisplay.from_estimator(model, X, n_neighbors=n_neighbors)
    table = model.neighbors(X, n_neighbors=n_neighbors)
    predictions = model.predict(X)
    names, seen_colors = [], set()
    assert len(display.bars_) == 3
    for query, bars in enumerate(display.bars_):
        rows = table[table["query"] == query]
        np.testing.assert_array_equal([bar.get_width() for bar in bars], rows["weight"])
        assert (np.diff([bar.get_width() for bar in bars]) <= 0).all()
        agrees = (rows["target"] == predictions[query]).to_numpy()
        for bar, agreed in zip(bars, agrees, strict=True):
            assert (to_rgb(bar.get_facecolor()) == to_rgb("#0072B2")) == agreed
            seen_colors.add(agreed)
        names += [
            f"{target} · row {row}"
            for row, target in zip(rows["context_row"], rows["target"], strict=True)
        ]
    assert seen_colors == {True, False}
    assert tick_texts(display.ax_.yaxis) == names
    # Each bar stands at its label, and no two groups share a line.
    centres = [bar.get_y() + bar.get_height() / 2 for bars in display.bars_ for bar in bars]
    np.testing.assert_allclose(centres, display.ax_.get_yticks())
    assert np.diff(centres).min() >= 1.0 - 1e-9
    texts = [text.get_text() for text in display.ax_.texts]
    held = table[table["query"] == 0]["weight"].sum()
    assert f"query 0: predicted {predictions[0]} (these hold {held:.0%} of its attention)" in texts
    assert f"{table['weight'].iloc[0]:.1%}" in texts


def test_neighbors_follow_rank_whatever_the_order_of_the_table():
    table = pd.DataFrame(
        {
            "query": ["b", "b", "a"],
            "rank": [2, 1, 1],
            "context_row": [5, 7, 9],
            "weight": [0.0004, 0.6, 1.0],
            "target": [1.5, 2.25, 3.0],
        }
    )
    display = NeighborsDisplay(table, predictions=np.array([2.2, 3.0])).plot()
    assert [[bar.get_width() for bar in bars] for bars in display.bars_] == [[0.6, 0.0004], [1.0]]
    assert tick_texts(display.ax_.yaxis) == ["2.25 · row 7", "1.5 · row 5", "3 · row 9"]
    texts = [text.get_text() for text in display.ax_.texts]
    assert {"60.0%", "0.04%", "100.0%"} <= set(texts)
    assert display.ax_.get_legend() is None


def test_neighbors_of_too_many_queries_are_refused(flowers):
    model, X, _ = flowers
    with pytest.raises(ValueError, match="at most 12 queries, got 13: pass fewer rows of X."):
        NeighborsDisplay.from_estimator(model, X[:13])


# --- intervention ---------------------------------------------------------------------------


def test_intervention_follows_the_twin_and_leaves_the_estimator_alone(patients):
    model, X, _ = patients
    X_context, y_context = model.context_.copy(), model.context_target_.copy()
    row = 17
    queries = np.vstack([X_context[row] + 0.01, X])
    before = snapshot(model)
    values = np.linspace(-100.0, 400.0, 11)
    display = InterventionDisplay.from_estimator(
        model, queries, X_context, y_context, row=row, values=values
    )
    assert_untouched(model, before)
    np.testing.assert_array_equal(y_context, model.context_target_)

    # This model is linear in the labels: its slope is its weight on the row, exactly.
    shares = model._context_weights(queries)[:, row]
    np.testing.assert_allclose(display.slopes_, shares, atol=1e-12)
    assert display.slopes_[0] > 0.9
    assert np.abs(display.slopes_[1:]).max() < 0.1
    assert display.correlation_ == pytest.approx(1.0, abs=1e-12)
    assert display.original_value == y_context[row]
    # The first value of each line, worked out with the changed labels.
    changed = y_context.copy()
    changed[row] = values[0]
    expected = model._context_weights(queries) @ changed
    np.testing.assert_allclose([line.get_ydata()[0] for line in display.lines_], expected)
    np.testing.assert_array_equal(display.lines_[0].get_xdata(), values)
    np.testing.assert_array_equal(display.identity_line_.get_xdata(), [-100.0, 400.0])
    np.testing.assert_array_equal(
        display.identity_line_.get_xdata(), display.identity_line_.get_ydata()
    )
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert f"query 0: slope {shares[0]:.2f}, r = 1.000" in legend
    assert any(text.startswith("40 other queries: slopes ") for text in legend)


def test_intervention_sweeps_the_range_of_the_labels_and_counts_from_the_end(patients):
    model, X, _ = patients
    y_context = pd.Series(np.arange(200))  # integers: a fraction must not be cut
    display = InterventionDisplay.from_estimator(model, X[:1], model.context_, y_context, row=-1)
    assert display.row == 199
    np.testing.assert_allclose(display.values, np.linspace(0, 199, 21))
    assert display.slopes_[0] == pytest.approx(model._context_weights(X[:1])[0, -1], abs=1e-12)


def test_intervention_on_a_prediction_that_does_not_move():
    display = InterventionDisplay(
        values=[1.0, 2.0], predictions=np.full((2, 1), 3.0), row=0, original_value=1.0
    ).plot()
    assert display.slopes_.tolist() == [0.0]
    assert np.isnan(display.correlation_)
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert "query 0: slope 0.00" in legend


def test_intervention_on_a_class_label(flowers):
    model, _, _ = flowers
    X_context, y_context = model.context_.copy(), model.context_target_.copy()
    row = int(np.flatnonzero(y_context == "setosa")[0])
    queries = X_context[[row, row + 1]]
    before = snapshot(model)
    display = InterventionDisplay.from_estimator(model, queries, X_context, y_context, row=row)
    assert_untouched(model, before)
    assert tick_texts(display.ax_.xaxis) == ["setosa", "versicolor", "virginica"]
    baseline = model.predict_proba(queries)[0]
    np.testing.assert_array_equal(display.baseline_line_.get_ydata(), baseline)
    # Writing another label moves exactly the weight of the row to that label.
    share = model._context_weights(queries)[0, row]
    np.testing.assert_allclose(
        display.lines_[0].get_ydata() - baseline, [0.0, share, share], atol=1e-12
    )
    assert share > 0.01
    assert len(display.lines_) == 2
    assert display.slopes_ is None


def test_intervention_refuses_rows_and_values_that_do_not_exist(flowers, patients):
    classifier, X, _ = flowers
    context = classifier.context_, classifier.context_target_
    with pytest.raises(ValueError, match="row must be a position among 110 rows, got 110."):
        InterventionDisplay.from_estimator(classifier, X, *context, row=110)
    with pytest.raises(ValueError, match="values must be among the classes"):
        InterventionDisplay.from_estimator(classifier, X, *context, row=0, values=["tulip"])
    regressor, X, _ = patients
    context = regressor.context_, regressor.context_target_
    with pytest.raises(ValueError, match="at least two different labels"):
        InterventionDisplay.from_estimator(regressor, X, *context, row=0, values=[1.0, 1.0])


# --- context reliance -----------------------------------------------------------------------


def test_context_reliance_draws_every_repeat_and_the_change(flowers):
    model, X, y = flowers
    display = ContextRelianceDisplay.from_estimator(model, X, y, n_repeats=4, random_state=3)
    expected = model.context_reliance(X, y, n_repeats=4, random_state=3)
    assert display.true_point_.get_xydata().tolist() == [[model.score(X, y), 1.0]]
    np.testing.assert_array_equal(display.repeat_points_.get_xdata(), expected["corrupted_scores"])
    mean = expected["corrupted_scores"].mean()
    assert display.mean_point_.get_xydata().tolist() == [[mean, 0.0]]
    assert mean < expected["score"] - 0.2
    texts = [text.get_text() for text in display.ax_.texts]
    assert texts[0] == f"{expected['score']:.3f}"
    assert texts[1] == f"{mean:.3f} (change −{expected['score'] - mean:.3f})"
    assert tick_texts(display.ax_.yaxis) == ["true context", "corrupted context\n(4 repeats)"]
    assert display.ax_.get_xlabel() == "accuracy"


def test_context_reliance_of_a_regressor_is_in_r2(patients):
    model, X, y = patients
    display = ContextRelianceDisplay.from_estimator(model, X, y, random_state=0)
    assert display.ax_.get_xlabel() == "R²"
    assert len(display.repeat_points_.get_xdata()) == 5


# --- all of them ----------------------------------------------------------------------------


def test_all_draw_on_the_axes_given_and_return_themselves(flowers):
    import matplotlib.pyplot as plt

    model, X, y = flowers
    figure, axes = plt.subplots(2, 2)
    context = model.context_, model.context_target_
    displays = [
        NPTAttentionDisplay.from_estimator(model, X, y, ax=axes[0, 0]),
        NeighborsDisplay.from_estimator(model, X[:2], ax=axes[0, 1]),
        InterventionDisplay.from_estimator(model, X[:1], *context, row=0, ax=axes[1, 0]),
        ContextRelianceDisplay.from_estimator(model, X, y, n_repeats=2, ax=axes[1, 1]),
    ]
    for display, ax in zip(displays, axes.ravel(), strict=True):
        assert display.ax_ is ax
        assert display.figure_ is figure
        assert display.plot(ax=plt.figure().add_subplot()) is display
    figure.canvas.draw()
