"""The estimators on pictures with questions: what only looking at a place can answer."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_selfattn import (
    CrossModalAttentionDisplay,
    InterModalityFlowDisplay,
    VisualParsingClassifier,
    VisualParsingRegressor,
)
from sklearn_selfattn.vision_language import make_pairs, without_cross_attention

COLOURS = np.array([(220, 40, 40), (30, 170, 60), (40, 60, 220)])
PLACES = ("upper left", "upper right", "lower left", "lower right")
LINEAR = {
    "backbone": "linear", "patch_size": 4, "d_model": 32, "dropout": 0.0, "max_epochs": 10,
    "random_state": 0,
}  # fmt: skip


def squares(n, seed):
    """Four squares, a question about one of them, and the colour that is asked for."""
    rng = np.random.default_rng(seed)
    grids, place = rng.integers(3, size=(n, 4)), rng.integers(4, size=n)
    pixels = COLOURS[grids].reshape(n, 2, 2, 3).repeat(4, axis=1).repeat(4, axis=2)
    pixels = (pixels + rng.integers(-20, 21, size=pixels.shape)).clip(0, 255).astype(np.uint8)
    X = pd.DataFrame({"image": list(pixels), "text": [f"what is {PLACES[p]} ?" for p in place]})
    return X, grids[np.arange(n), place], place


@pytest.fixture(scope="module")
def looking():
    X, y, _ = squares(2000, 0)
    return VisualParsingClassifier(**LINEAR).fit(X, y)


def test_a_word_finds_its_place(looking):
    """Neither half knows the answer, nor do both when the question is not heard while looking."""
    X, y, place = squares(300, 1)
    assert looking.score(X, y) > 0.95
    assert without_cross_attention(looking).score(X, y) < 0.75
    assert looking.score(X.assign(text="what is it ?"), y) < 0.75
    pixels = np.stack(X["image"]).reshape(300, -1) / 255
    both = np.hstack([pixels, np.eye(4)[place]])
    train, y_train, place_train = squares(2000, 0)
    both_train = np.hstack(
        [np.stack(train["image"]).reshape(2000, -1) / 255, np.eye(4)[place_train]]
    )
    side_by_side = LogisticRegression(max_iter=300).fit(both_train, y_train)
    assert side_by_side.score(both, y) < 0.75
    # and the token that answers looks at the square that is asked for
    looks = looking.attention_weights(X)[-1].mean(1)[:, 0, 1:5]
    assert (looks.argmax(1) == place).mean() > 0.7


def test_a_pair_is_predicted_alike_in_any_company(looking):
    X, _, _ = squares(100, 2)
    X.loc[3, "text"] = ""
    together = looking.predict_proba(X)
    alone = np.concatenate([looking.predict_proba(X[i : i + 1]) for i in range(8)])
    np.testing.assert_allclose(together[:8], alone, rtol=0, atol=1e-10)
    np.testing.assert_allclose(together[::-1], looking.predict_proba(X[::-1]), rtol=0, atol=1e-10)
    copies = X.assign(image=[image.copy() for image in X["image"]])
    np.testing.assert_array_equal(together, looking.predict_proba(copies))


def test_maps_name_places_and_words(looking):
    X, _, _ = squares(4, 3)
    one = looking.attention_weights(X[:1])
    assert one.query_labels[:3] == ["[CLS]", "image[0, 0]", "image[0, 1]"]
    assert one.query_labels[6:] == X["text"][0].split()
    assert len(looking.attention_weights(X, layer=-1)) == 1
    with pytest.raises(ValueError, match=r"layer has to be in \[-2, 2\), got 2"):
        looking.attention_weights(X, layer=2)
    X.loc[0, "text"] = "what ?"
    padded = looking.attention_weights(X)[0]
    assert (padded[0, :, :, 8:] == 0).all()  # nothing looks beyond the end


def test_copies_predict_the_same(looking):
    X, _, _ = squares(20, 4)
    again = pickle.loads(pickle.dumps(looking))
    np.testing.assert_array_equal(again.predict_proba(X), looking.predict_proba(X))
    apart = pickle.loads(pickle.dumps(without_cross_attention(looking)))
    assert abs(apart.predict_proba(X) - looking.predict_proba(X)).max() > 0.1


def test_pairs_go_through_grid_search_and_pipelines():
    X, y, _ = squares(60, 5)
    small = VisualParsingClassifier(**{**LINEAR, "d_model": 8, "max_epochs": 1})
    search = GridSearchCV(small, {"n_layers": [1, 2]}, cv=2).fit(X, y)
    assert search.predict(X[:3]).shape == (3,)
    pairs = make_pairs(X["image"], X["text"])
    np.testing.assert_array_equal(
        clone(small).fit(pairs, y).predict_proba(pairs), clone(small).fit(X, y).predict_proba(X)
    )
    model = make_pipeline(small, LogisticRegression()).fit(X, y)
    assert model.predict(X).shape == (60,)
    assert list(small.fit(X, y).get_feature_names_out()[:1]) == ["visualparsingclassifier0"]


def test_pretraining_learns_to_match_and_fit_goes_on_from_there():
    X, y, _ = squares(600, 6)
    X["text"] = [f"{text[8:-2]} {colour}" for text, colour in zip(X["text"], y, strict=True)]
    model = VisualParsingClassifier(**{**LINEAR, "max_epochs": 12}).pretrain(X)
    losses = [row["train_loss"] for row in model.pretrain_history_]
    assert losses[-1] < 0.7 * losses[0]
    rng = np.random.default_rng(0)
    wrong = X.assign(
        text=[f"{t[:-1]}{(c + rng.integers(1, 3)) % 3}" for t, c in zip(X["text"], y, strict=True)]
    )
    right, false = model.match_proba(X), model.match_proba(wrong)
    assert np.mean(right > false) > 0.6  # an untrained net: one half
    proba, best = model.retrieve(X["image"][:30], [X["text"][0]], n_neighbors=30)
    np.testing.assert_allclose(np.sort(proba[0])[::-1], proba[0])
    pairs = make_pairs(X["image"][:30], [X["text"][0]] * 30)
    with pytest.warns(UserWarning, match="valid feature names"):
        np.testing.assert_allclose(model.match_proba(pairs)[best[0]], proba[0], atol=1e-10)
    before = model.vocabulary_
    once = model.set_params(max_epochs=1).fit(X[:40], y[:40]).predict_proba(X)
    assert model.vocabulary_ == before
    np.testing.assert_array_equal(model.fit(X[:40], y[:40]).predict_proba(X), once)
    fresh = clone(model).fit(X[:40], y[:40])
    assert abs(fresh.predict_proba(X) - once).max() > 0.05


def test_hidden_tokens_are_those_that_belong_together():
    """The mask follows attention, or does not when it is drawn at random."""
    import torch

    from sklearn_selfattn.vision_language.pretraining import mask_tokens, mask_words

    blocks = torch.block_diag(*[torch.ones(4, 4)] * 4).expand(200, 16, 16)
    generator = torch.Generator().manual_seed(0)
    guided = mask_tokens(blocks, torch.Size((200, 16)), 0.25, generator)
    assert guided.sum(1).eq(4).all()
    assert guided.view(200, 4, 4).any(-1).sum(1).eq(1).all()  # all in one block
    drawn = mask_tokens(None, torch.Size((200, 16)), 0.25, generator)
    assert drawn.sum(1).eq(4).all()
    assert drawn.view(200, 4, 4).any(-1).sum(1).double().mean() > 2
    words = torch.tensor([[3, 4, 5, 6, 0, 0]] * 2000)
    hidden, chosen = mask_words(words, 0.15, 10, generator)
    assert not chosen[:, 4:].any()
    assert chosen.any(1).all()
    changed = hidden[chosen] != words[chosen]
    assert 0.85 < (hidden[chosen] == 2).double().mean() + 0.1 < 0.95
    assert (hidden[~chosen] == words[~chosen]).all()
    assert 0.84 < changed.double().mean() < 0.94


def test_partial_fit_goes_on():
    X, y, _ = squares(600, 7)
    model = VisualParsingClassifier(**LINEAR)
    scores = []
    for _ in range(12):
        model.partial_fit(X, y, classes=[0, 1, 2])
        scores.append(model.score(X, y))
    assert scores[-1] > scores[0] + 0.15


def test_numbers_are_predicted_in_their_unit():
    X, _, _ = squares(600, 8)
    y = 1000 + 50 * np.array([image[..., 0].mean() for image in X["image"]])
    model = VisualParsingRegressor(**{**LINEAR, "max_epochs": 40}).fit(X[:500], y[:500])
    assert model.score(X[500:], y[500:]) > 0.8
    once = VisualParsingRegressor(**LINEAR).partial_fit(X[:300], y[:300])
    mean = once.target_mean_
    assert once.partial_fit(X[300:500], y[300:500]).target_mean_ == mean


def test_pictures_show_every_word_and_chance(looking):
    pytest.importorskip("matplotlib").use("agg")
    X, _, _ = squares(20, 9)
    display = CrossModalAttentionDisplay.from_estimator(looking, X[:1])
    assert len(display.overlays_) == 1 + len(X["text"][0].split())
    veil = display.overlays_[0].get_array()
    weights = looking.attention_weights(X[:1])[-1][0].mean(0)[0, 1:5].reshape(2, 2)
    np.testing.assert_allclose(veil[..., 3], 0.9 * (1 - weights / weights.max()))
    assert display.axes_[1].get_title().startswith("what")
    with pytest.raises(ValueError, match="X has to be one pair, got 2"):
        CrossModalAttentionDisplay.from_estimator(looking, X[:2])
    flow = InterModalityFlowDisplay.from_estimator(looking, X)
    np.testing.assert_allclose(flow.lines_[0].get_ydata(), flow.flow.flow.mean(0))
    assert flow.chance_.get_ydata()[0] == pytest.approx(2 * 4 * 5 / 9**2)
