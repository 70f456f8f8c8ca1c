"""What the pictures of this room hold."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression

from sklearn_selfattn import (
    DepthWidthDisplay,
    DepthWidthSearchCV,
    SeparationBoundsDisplay,
    SeparationRankDisplay,
    separation_rank,
)
from sklearn_selfattn.depth_width import separation_rank_bounds
from tests.core.toy import TableTransformerClassifier


@pytest.fixture(scope="module")
def search():
    X = np.random.RandomState(0).normal(size=(60, 3))
    net = TableTransformerClassifier(max_epochs=2, learning_rate=2e-2, random_state=0)
    return DepthWidthSearchCV(
        net, n_params=(600, 2000), depths=(1, 2), cv=3, tolerance=0.2, scoring="neg_log_loss"
    ).fit(X, X[:, 0] > 0)


def test_scores_are_drawn_against_size(search):
    display = DepthWidthDisplay.from_search(search)
    for line, depth in zip(display.lines_, (1, 2), strict=True):
        part = search.curves_[search.curves_["depth"] == depth].sort_values("n_params")
        np.testing.assert_allclose(line.get_xydata(), part[["n_params", "score"]])
    for band, (_, part) in zip(display.bands_, search.curves_.groupby("depth"), strict=True):
        reach = band.get_paths()[0].vertices[:, 1]
        assert reach.max() == pytest.approx((part["score"] + part["se"]).max())
        assert reach.min() == pytest.approx((part["score"] - part["se"]).min())
    assert display.ax_.get_ylabel() == "neg log loss"
    at = search.curves_.query("depth == @search.best_depth_ and width == @search.best_width_")
    np.testing.assert_allclose(
        display.chosen_mark_.get_xydata(), at[["n_params", "score"]].to_numpy()
    )
    assert display.crossing_marks_ == []  # three splits tell nothing here


def test_crossings_are_marked_with_their_interval():
    curves = pd.DataFrame(
        {"depth": [1, 1, 2, 2], "n_params": [1e4, 1e6, 1e4, 1e6], "score": [0.6, 0.7, 0.5, 0.9],
         "se": 0.01, "budget": [1e4, 1e6, 1e4, 1e6], "width": 8}
    )  # fmt: skip
    crossings = pd.DataFrame(
        {"depth_lo": [1, 2], "depth_hi": [2, 3], "status": ["crosses", "undetermined"],
         "log_n_cross": [np.log(1e5), np.nan], "ci_low": [np.log(8e4), np.nan],
         "ci_high": [np.log(2e5), np.nan]}
    )  # fmt: skip
    display = DepthWidthDisplay(curves=curves, crossings=crossings).plot()
    (mark,) = display.crossing_marks_
    assert mark.get_xdata()[0] == pytest.approx(1e5)
    assert display.chosen_mark_ is None
    assert [text.get_text() for text in display.ax_.texts] == ["2 > 1"]
    assert [tick.get_text() for tick in display.ax_.get_xticklabels()] == ["10k", "1M"]


def test_a_single_budget_shows_points_with_bars(search):
    part = search.curves_[search.curves_["budget"] == 600]
    display = DepthWidthDisplay(curves=part, crossings=search.crossings_).plot()
    assert display.bands_ == []
    assert len(display.ax_.containers) == 2


def test_spectra_are_those_of_the_results():
    X, y = load_diabetes(return_X_y=True)
    model = LinearRegression().fit(X, y)
    models = {"linear": model, "product": lambda X: X[:, 0] * X[:, 9]}
    display = SeparationRankDisplay.from_estimator(models, X, range(5), n_templates=30)
    expected = separation_rank(model, X, range(5), n_templates=30, random_state=0)
    np.testing.assert_array_equal(
        display.results["linear"].singular_values, expected.singular_values
    )
    share = expected.singular_values / expected.singular_values[0]
    np.testing.assert_allclose(display.lines_[0].get_ydata()[:2], share[:2])
    assert [line.get_label() for line in display.lines_] == ["linear: rank 2", "product: rank 1"]
    assert display.floor_.get_y() + display.floor_.get_height() == pytest.approx(
        expected.noise_floor
    )


def test_bounds_are_drawn_with_their_thresholds():
    display = SeparationBoundsDisplay.from_widths([27, 243], depths=range(2, 7), n_heads=3)
    assert [line.get_xdata()[0] for line in display.threshold_lines_] == pytest.approx([3, 5])
    for width, lower, upper in zip([27, 243], display.lines_, display.upper_lines_, strict=True):
        bounds = [separation_rank_bounds(depth, width, 3) for depth in range(2, 7)]
        np.testing.assert_allclose(lower.get_ydata(), [b["log_lower"] for b in bounds])
        np.testing.assert_allclose(upper.get_ydata(), [b["log_upper"] for b in bounds])


def test_what_cannot_be_drawn():
    with pytest.raises(NotFittedError):
        DepthWidthDisplay.from_search(DepthWidthSearchCV(TableTransformerClassifier()))
