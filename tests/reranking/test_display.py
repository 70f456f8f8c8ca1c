"""The displays: what they show is what the estimator finds."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sklearn_selfattn import AttentionReranker, RankedListDisplay, RerankDisplay
from sklearn_selfattn.core.display import GREEN, VERMILION
from sklearn_selfattn.reranking import relevance_hits, retrieval_metric


@pytest.fixture(scope="module")
def digits():
    return load_digits()


@pytest.fixture(scope="module")
def model(digits):
    model = AttentionReranker(
        n_candidates=24, n_anchors=12, n_train_candidates=24, d_model=8, max_epochs=2,
        random_state=0,
    )  # fmt: skip
    return model.fit(digits.data[:300], digits.target[:300])


def test_average_precision_of_each_query(model, digits):
    X, y = digits.data[300:360], digits.target[300:360]
    display = RerankDisplay.from_estimator(model, X, y)
    before, after = display.points_.get_offsets().T
    assert before.mean() == pytest.approx(model.retrieval_score(X, y, rerank=False))
    assert after.mean() == pytest.approx(model.retrieval_score(X, y))
    assert display.n_wins_ == (after > before).sum()
    assert display.n_losses_ == (after < before).sum()
    assert f"{display.n_wins_} queries gain" in display.axes_[0].get_title(loc="left")


def test_precision_over_recall_is_interpolated(model, digits):
    X, y = digits.data[300:310], digits.target[300:310]
    display = RerankDisplay.from_estimator(model, X, y, name="model")
    ranking = model.kneighbors(X, 24, return_distance=False, rerank=False)
    rest = [np.setdiff1d(np.arange(300), row) for row in ranking]
    cosine = np.array([
        r[np.argsort(-(model.gallery_[r] @ (x / np.linalg.norm(x))), kind="stable")]
        for r, x in zip(rest, X, strict=True)
    ])  # fmt: skip
    hits, n_relevant = relevance_hits(np.hstack([ranking, cosine]), (y, digits.target[:300]))
    curve = display.lines_[0].get_ydata()
    for level, value in zip(display.levels, curve, strict=True):
        expected = []
        for row, total in zip(hits, n_relevant, strict=True):
            count = np.cumsum(row)
            reached = count >= max(level * total, 1) - 1e-9
            expected.append((count / np.arange(1, 301))[reached].max())
        assert value == pytest.approx(np.mean(expected))
    assert np.diff(curve).max() <= 1e-12


def test_each_gallery_row_can_be_the_query(model):
    display = RerankDisplay.from_estimator(model)
    assert len(display.before) == 300


def test_one_list_with_pictures(model, digits):
    x, label = digits.data[300], digits.target[300]
    display = RankedListDisplay.from_estimator(
        model, x, label, images=digits.images[:300], query_image=digits.images[300], n_shown=7,
        n_items=20,
    )  # fmt: skip
    ranking = {
        "before": model.kneighbors([x], 7, return_distance=False, rerank=False)[0],
        "after": model.kneighbors([x], 7, return_distance=False)[0],
    }
    from matplotlib.colors import to_hex

    for axes, rows in zip(display.strips_, ranking.values(), strict=True):
        assert [ax.get_title() for ax in axes] == [str(row) for row in rows]
        for ax, row in zip(axes, rows, strict=True):
            np.testing.assert_array_equal(ax.images[0].get_array(), digits.images[row])
            color = GREEN if digits.target[row] == label else VERMILION
            assert to_hex(ax.spines["top"].get_edgecolor()) == color.lower()
    affinity, attention = (ax.images[0].get_array() for ax in display.maps_)
    np.testing.assert_allclose(affinity, model.affinity([x])[0, :21])
    maps = model.attention_weights([x])
    mean = (maps[0][0].mean(axis=0) + maps[1][0].mean(axis=0)) / 2
    np.testing.assert_allclose(attention, mean[:21, :21])
    first = model.kneighbors([x], 20, return_distance=False, rerank=False)[0]
    n_marks = 1 + (digits.target[first] == label).sum()
    assert all(len(ax.lines) == n_marks for ax in display.maps_)


def test_one_list_without_pictures_labels_or_layers(digits):
    linear = AttentionReranker(n_candidates=12, n_layers=0, max_epochs=1, random_state=0)
    linear.fit(digits.data[:100], digits.target[:100]).set_gallery(digits.data[:100])
    relevant = digits.target[:100] == digits.target[300]
    display = RankedListDisplay.from_estimator(linear, digits.data[300], relevant=relevant)
    assert len(display.maps_) == 1
    assert not display.strips_[0][0].images


def test_bad_input(model, digits):
    with pytest.raises(ValueError, match="Pass the query's label, or relevant"):
        RankedListDisplay.from_estimator(model, digits.data[300])
    with pytest.raises(ValueError, match="No query has a relevant row"):
        RerankDisplay.from_estimator(model, digits.data[300:301], [77])


def test_mean_of_shown_precision_is_the_metric(model, digits):
    X, y = digits.data[300:330], digits.target[300:330]
    before = [b for b, _, n in model._retrieve(X, y, None, None, None)]
    n_relevant = [n for _, _, n in model._retrieve(X, y, None, None, None)]
    found = retrieval_metric(np.concatenate(before), n_relevant=np.concatenate(n_relevant))
    assert found == pytest.approx(model.retrieval_score(X, y, rerank=False))
