"""``n_layers="auto"``: the recommendation, in every estimator that has depth and width."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_wine

from sklearn_selfattn import (
    AttentionReranker,
    DepthWidthSearchCV,
    NPTClassifier,
    PrimalAttentionClassifier,
    TimeEventClassifier,
    VisualParsingClassifier,
    recommend_depth_width,
)
from sklearn_selfattn.datasets import make_digit_scenes

SMALL = {"max_epochs": 1, "random_state": 0, "n_layers": "auto"}
AUTO = {
    AttentionReranker: {"n_heads": 2, "n_anchors": 8, "n_candidates": 16, **SMALL},
    PrimalAttentionClassifier: {"n_heads": 2, "n_estimators": 1, **SMALL},
    TimeEventClassifier: {"n_heads": 4, **SMALL},
    VisualParsingClassifier: {"n_heads": 4, **SMALL},
}
wine = load_wine()
X, y = (wine.data - wine.data.mean(0)) / wine.data.std(0), wine.target
noise = np.random.RandomState(0).normal(size=(2000, 13))


def blocks(model):
    return next(
        part for name, part in model.module_.named_modules() if name.endswith("blocks") and part
    )


@pytest.mark.parametrize("cls", AUTO, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("n_rows", [178, 2000])
def test_depth_and_width_follow_the_rows(cls, n_rows):
    rows = np.arange(n_rows) % len(X)
    model = cls(d_model=9, **AUTO[cls])  # left aside, and so is what n_heads has to divide
    model.fit(X[rows] + 2 * noise[:n_rows], y[rows])
    wanted = recommend_depth_width(60 * max(n_rows, 250), n_heads=model.n_heads)
    assert (model.n_layers_, model.d_model_) == (wanted.depth, wanted.width)
    assert len(blocks(model)) == wanted.depth == (2 if n_rows == 178 else 3)
    assert (model.n_layers, model.d_model) == ("auto", 9)
    again = pickle.loads(pickle.dumps(model.set_params(n_layers=1)))  # as it was fitted
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert not hasattr(clone(model), "n_layers_")


@pytest.mark.parametrize("cls", AUTO, ids=lambda cls: cls.__name__)
def test_the_search_counts_and_ranks_shapes_of_real_estimators(cls):
    model = cls(**{**AUTO[cls], "n_layers": 1, "max_epochs": 2})
    budgets = [6000, 12_000] if cls is AttentionReranker else [12_000, 24_000]
    search = DepthWidthSearchCV(model, n_params=budgets, depths=[1, 2], cv=2, tolerance=0.4)
    search.fit(X + 2 * noise[: len(X)], y)
    found = search.cv_results_
    assert sorted(set(found["depth"])) == [1, 2]
    assert (np.abs(np.log(found["n_params"] / found["budget"])) < 0.4).all()
    best = search.best_estimator_
    assert (best.n_layers_, best.d_model_) == (search.best_depth_, search.best_width_)
    assert best.n_layers_ == len(blocks(best))


def test_what_was_pretrained_keeps_its_shape():
    model = VisualParsingClassifier(**AUTO[VisualParsingClassifier]).pretrain(
        make_digit_scenes(40, random_state=0)[0]
    )
    chosen = model.n_layers_, model.d_model_
    scenes, answers = make_digit_scenes(2000, random_state=1)
    alone = clone(model).fit(scenes, answers)
    assert (alone.n_layers_, alone.d_model_) != chosen
    for fit in (model.fit, model.partial_fit):
        fit(scenes, answers)
        assert (model.n_layers_, model.d_model_) == chosen
        assert len(model.module_.blocks) == chosen[0]


def test_two_widths_have_no_one_rule():
    """NPT has a width of cells and one of rows."""
    with pytest.raises(ValueError, match="'n_layers' parameter of NPTClassifier must be an int"):
        NPTClassifier(n_layers="auto").fit(X, y)
