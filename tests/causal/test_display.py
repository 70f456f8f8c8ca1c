"""What the pictures of this room hold."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from sklearn_selfattn import (
    AlphaPathDisplay,
    CITestCountDisplay,
    ExplanationDisplay,
    PAGDiscovery,
    PAGDisplay,
    SubsetSearchExplainer,
)
from sklearn_selfattn.causal import PAG, Explanation
from tests.causal.models import MeanClassifier

MARKS = np.zeros((5, 5), dtype=int)
for i, j, at_i, at_j in ((0, 1, 3, 2), (1, 2, 2, 2), (2, 3, 1, 2), (0, 3, 1, 1)):
    MARKS[j, i], MARKS[i, j] = at_i, at_j
GRAPH = PAG(MARKS, nodes=list("abcde"), alpha=0.01, n_samples=64)


def test_every_end_carries_its_mark():
    display = PAGDisplay(GRAPH).plot()
    assert len(display.edges_) == 4
    circles = [line for line in display.ax_.lines if line.get_marker() == "o"]
    arrows = display.ax_.patches
    assert (len(circles), len(arrows)) == (3, 4)  # and one tail, which is the line itself
    # the arrowhead of a --> b is nearer to b than to a
    tip = arrows[0].get_xy().mean(axis=0)
    a, b = display.positions_[:2]
    assert np.linalg.norm(tip - b) < 0.4 * np.linalg.norm(tip - a)
    # hidden causes stand out
    colors = [line.get_color() for line in display.edges_]
    assert [color != colors[0] for color in colors] == [False, False, True, False]
    assert display.ax_.get_title(loc="left") == "Causal graph: 4 edges, alpha 0.01, 64 samples"


def test_around_a_target():
    display = PAGDisplay(GRAPH, target="b", labels=["one", "two", "3", "4", "5"]).plot()
    radius = np.linalg.norm(display.positions_, axis=1)
    assert radius[1] == 0
    assert radius[0] == radius[2] < radius[3] <= radius[4]  # e is not joined at all
    assert [text.get_text() for text in display.ax_.texts] == ["one", "two", "3", "4", "5"]


def test_a_fitted_graph():
    X = np.random.default_rng(0).normal(size=(100, 3))
    X[:, 2] += X[:, 0]
    model = PAGDiscovery().fit(X)
    assert len(PAGDisplay.from_estimator(model).edges_) == model.pag_.n_edges == 1
    one = PAGDisplay(PAG([[0]]), target=0).plot()
    assert one.positions_.shape == (1, 2)


def test_sets_over_tokens():
    found = Explanation(
        sets=[(1,), (0, 2), (3,)], outcome_before="good", outcome_after="bad", target=4,
        labels=list("abcde"),
    )  # fmt: skip
    display = ExplanationDisplay(found, max_sets=2).plot()
    np.testing.assert_array_equal(display.image_.get_array(), [[0, 1, 0, 0, 2], [1, 0, 1, 0, 2]])
    assert display.ax_.get_title(loc="left") == "good becomes bad without"
    assert display.ax_.get_ylabel() == "set (of 3)"
    nothing = ExplanationDisplay(Explanation(outcome_before=1, labels=[0, 1])).plot()
    assert nothing.ax_.get_title(loc="left") == "No set changes 1"


def test_a_row_explained():
    X, y = np.diag([0.5, 1, 1, 1])[[0, 1, 0, 1]], [0, 1, 0, 1]
    model = SubsetSearchExplainer(MeanClassifier(), mask_value=0, target=None, order="recency")
    display = ExplanationDisplay.from_estimator(model.fit(X, y), X[1:], tokens=list("wxyz"))
    np.testing.assert_array_equal(display.image_.get_array(), [[0, 1, 0, 0]])


def test_counts_are_those_of_the_search():
    X = np.random.default_rng(0).normal(size=(100, 5)) @ (np.eye(5) + np.eye(5, k=1))
    models = [PAGDiscovery(method).fit(X) for method in ("icd", "fci")]
    display = CITestCountDisplay.from_estimator(*models)
    for bars, model in zip(display.bars_, models, strict=True):
        assert [bar.get_height() for bar in bars] == model.n_ci_tests_.tolist()
    with pytest.raises(ValueError, match="2 estimators need as many names"):
        CITestCountDisplay.from_estimator(models[0], models[0])
    with pytest.raises(NotFittedError):
        CITestCountDisplay.from_estimator(PAGDiscovery())


def test_edges_by_level():
    X = np.random.default_rng(0).normal(size=(60, 6)) @ (np.eye(6) + np.eye(6, k=1))
    display = AlphaPathDisplay.from_estimator(PAGDiscovery(), X, alphas=[0.3, 0.01])
    assert display.counts_["all"] == [pag.n_edges for pag in display.pags]
    assert [pag.alpha for pag in display.pags] == [0.3, 0.01]
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), display.counts_["all"])
    hidden = AlphaPathDisplay(alphas=[0.1], pags=[GRAPH]).plot()
    assert hidden.counts_ == {"all": [4], "cause": [1], "hidden cause": [1]}
