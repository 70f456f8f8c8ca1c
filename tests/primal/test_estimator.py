"""The estimators on series: containers, lengths, layouts, twins, uncertainty, persistence."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

from sklearn_selfattn import PrimalAttentionClassifier, PrimalAttentionRegressor
from sklearn_selfattn.primal import paper_preset
from tests.primal.series_data import cross_token_xor, pad, rhythms

SMALL = {"n_estimators": 2, "d_model": 8, "max_epochs": 6, "learning_rate": 1e-2, "random_state": 0}


def small(cls=PrimalAttentionClassifier, **params):
    return cls(**{**SMALL, **params})


@pytest.fixture(scope="module")
def fitted():
    X, y = rhythms()
    return small().fit(X, y)


# --- the test that a toy would fail ---------------------------------------------------------------


def test_cross_token_xor():
    """Only a net in which tokens meet can know the sign of a product of two steps."""
    X, y = cross_token_xor(1000, seed=0)
    X_test, y_test = cross_token_xor(1000, seed=1)
    scores = {}
    for name, params in {
        "primal": {},
        "no data": {"data_dependent": False},
        "none": {"attention": "none"},
    }.items():
        model = PrimalAttentionClassifier(
            stem="linear", pooling="flatten", augment=False, early_stopping=False, n_estimators=1,
            batch_size=32, max_epochs=15, learning_rate=4e-3, dropout=0.0, random_state=0, **params,
        )  # fmt: skip
        scores[name] = model.fit(X, y).score(X_test, y_test)
    assert scores["primal"] > 0.9
    assert scores["no data"] < 0.56
    assert scores["none"] < 0.56


# --- containers -----------------------------------------------------------------------------------


def test_all_containers_say_the_same(fitted):
    X, y = rhythms()
    expected = fitted.predict_proba(X)
    as_objects = np.empty(len(X), dtype=object)
    as_objects[:] = X
    last = clone(fitted).set_params(layout="channels_last").fit([x.T for x in X], y)
    for proba in (
        fitted.predict_proba(pad(X, 24)),
        fitted.predict_proba(pad(X, 74)),
        fitted.predict_proba(tuple(X)),
        fitted.predict_proba(as_objects),
        fitted.predict_proba([x.tolist() for x in X]),
        np.concatenate([fitted.predict_proba([x]) for x in X]),
        fitted.predict_proba(X[::-1])[::-1],
        clone(fitted).fit(pad(X, 40), y).predict_proba(X),
        last.predict_proba(pad(X, 30, "channels_last")),
    ):
        np.testing.assert_allclose(proba, expected, atol=1e-10)


@pytest.mark.parametrize("params", [
    {"attention": "softmax"}, {"attention": "linear"}, {"attention": "none"},
    {"uncertainty": "svgp"}, {"pooling": "flatten"}, {"pooling": "mean"},
    {"n_layers": 2, "primal_layers": "last"}, {"ksvd_trace": "data", "ksvd_reduction": "batch"},
])  # fmt: skip
def test_padding_and_company_play_no_part_whatever_the_net(params):
    X, y = rhythms()
    model = small(**params).fit(X, y)
    expected = model.predict_proba(X)
    length = 24 if params.get("pooling") == "flatten" else 60
    np.testing.assert_allclose(model.predict_proba(pad(X, length)), expected, atol=1e-10)
    alone = np.concatenate([model.predict_proba([x]) for x in X[:5]])
    np.testing.assert_allclose(alone, expected[:5], atol=1e-10)
    assert model.score(X, y) > 0.8


def test_published_architecture_counts_padding_and_keeps_its_length():
    X, y = rhythms()
    preset = {**paper_preset(), "d_model": 16, "n_heads": 2, "feed_forward_dim": 32, "rank": 8}
    model = PrimalAttentionClassifier(**{**preset, "max_epochs": 4}, random_state=0).fit(X, y)
    expected = model.predict_proba(X)
    np.testing.assert_allclose(model.predict_proba(pad(X, 24))[:3], expected[:3], atol=1e-10)
    with pytest.raises(ValueError, match="25 steps.* at most 24"):
        model.predict_proba([np.ones((2, 25))])
    assert model.module_.paper
    shorter = [x[:, :14] for x in X]
    rows = model.module_.steps_of(torch.as_tensor(model._inputs(shorter))).rows
    assert rows[-1] == 23  # spread over the padding too


def test_any_length_but_with_a_flat_head(fitted):
    X, _ = rhythms(6, seed=3, shortest=60, longest=90)
    assert np.isfinite(fitted.predict_proba(X)).all()
    flat = small(pooling="flatten").fit(*rhythms())
    with pytest.raises(ValueError, match="has a series of .* steps, but .* at most 24"):
        flat.predict(X)


def test_ragged_lists_in_model_selection():
    X, y = rhythms(40)
    assert cross_val_score(small(), X, y, cv=2).mean() > 0.8
    search = GridSearchCV(small(max_epochs=2), {"rank": [2, 4]}, cv=2).fit(X, y)
    assert search.best_estimator_.rank_ in (2, 4)


def test_columns_as_steps():
    X, y = rhythms(60, n_channels=1, shortest=20, longest=20)
    table = np.stack([x[0] for x in X])
    model = small(tokenizer="timestep").fit(table, y)
    series = small().fit(table[:, None], y)
    np.testing.assert_array_equal(model.predict_proba(table), series.predict_proba(table[:, None]))
    assert model.n_features_in_ == 20
    assert series.n_features_in_ == 1


def test_holes_are_filled_along_a_line():
    X, y = rhythms(20, shortest=20, longest=20)
    X = np.stack(X)
    straight, holes = X.copy(), X.copy()
    straight[:, 0, 5:8] = np.linspace(X[:, 0, 4], X[:, 0, 8], 5)[1:4].T
    holes[:, 0, 5:8] = np.nan
    model = small(missing="interpolate").fit(holes, y)
    np.testing.assert_allclose(model.predict_proba(holes), model.predict_proba(straight), atol=1e-9)
    holes[0, 1] = np.nan  # a channel without any value is at its mean
    assert np.isfinite(model.predict_proba(holes)).all()
    with pytest.raises(ValueError, match="Input X contains NaN inside a series"):
        small().fit(holes, y)


def test_scale_of_the_channels_is_learnt_from_training_rows_alone():
    X, y = rhythms(40)
    shifted = [1000 + 50 * x for x in X]
    one, other = small().fit(X, y), small().fit(shifted, y)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(shifted), atol=1e-3)
    held = small(early_stopping=True, validation_fraction=0.5, max_epochs=1).fit(X, y)
    assert not np.array_equal(held._scaler.mean_, one._scaler.mean_)


# --- regression and uncertainty -------------------------------------------------------------------


def test_regressor_of_series():
    X, _ = rhythms(150)
    y = np.array([x[0].mean() + x[1, -1] for x in X]) * 30 + 7
    model = PrimalAttentionRegressor(max_epochs=12, n_estimators=1, random_state=0)
    model.fit(X[:100], y[:100])
    assert model.score(X[100:], y[100:]) > 0.5


def test_uncertainty_of_classes():
    X, y = rhythms()
    model = small(uncertainty="svgp", n_posterior_samples=5, max_epochs=12).fit(X, y)
    total, aleatoric, epistemic = model.predict_uncertainty(X)
    proba = model.predict_proba(X)
    np.testing.assert_allclose(total, -(proba * np.log(proba)).sum(axis=1), atol=1e-10)
    np.testing.assert_allclose(total, aleatoric + epistemic, atol=1e-10)
    assert (epistemic > 0).all()
    np.testing.assert_array_equal(model.predict_proba(X), proba)  # the draws are always the same
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), proba)
    rng = np.random.default_rng(0)
    noisy = [
        np.mean([model.predict_uncertainty([x + s * rng.normal(size=x.shape) for x in X]).total])
        for s in (0.0, 1.0)
    ]
    assert noisy[1] > noisy[0]


def test_without_a_process_members_alone_disagree():
    X, y = rhythms()
    one = small(n_estimators=1).fit(X, y).predict_uncertainty(X)
    np.testing.assert_allclose(one.epistemic, 0, atol=1e-12)
    assert small(n_estimators=3).fit(X, y).predict_uncertainty(X).epistemic.min() > 0


def test_uncertainty_of_numbers_finds_the_noise():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y = 10 * X[:, 0] + 5 * rng.normal(size=400)
    model = small(
        PrimalAttentionRegressor, uncertainty="svgp", max_epochs=40, early_stopping=False
    ).fit(X, y)
    total, aleatoric, epistemic = model.predict_uncertainty(X)
    np.testing.assert_allclose(total**2, aleatoric**2 + epistemic**2)
    assert 3.5 < aleatoric.mean() < 6.5
    assert not hasattr(small(PrimalAttentionRegressor), "predict_uncertainty")


# --- settings -------------------------------------------------------------------------------------


def test_which_layers_are_primal():
    X, y = rhythms(20)
    kinds = {}
    for layers in ("all", "last", 2, 9):
        model = small(n_layers=3, primal_layers=layers, max_epochs=1).fit(X, y)
        kinds[layers] = [type(block.attention).__name__[:4] for block in model.module_.blocks]
    assert kinds["all"] == kinds[9] == ["Prim"] * 3
    assert kinds["last"] == ["Soft", "Soft", "Prim"]
    assert kinds[2] == ["Soft", "Prim", "Prim"]


def test_the_term_of_the_kernel_svd_pulls_J_to_zero():
    X, y = rhythms()
    J = {}
    for eta in (0.0, 5.0):
        model = small(eta=eta, max_epochs=15).fit(X, y)
        model.module_.train()
        model._forward(model._inputs(X), model.module_)
        J[eta] = model.module_.blocks[0].attention.objective.square().mean().item()
    assert J[5.0] < 0.1 * J[0.0]


def test_attention_weights_of_series(fitted):
    X, y = rhythms()
    maps = fitted.attention_weights(X[:3])
    assert maps.kind == "kernel"
    assert maps[0].shape == (3, 4, max(x.shape[1] for x in X[:3]), maps.n_keys)
    assert np.abs(maps[0]).max() <= 1 + 1e-12  # cosines
    for row, one in zip(maps[0], X, strict=False):
        assert (row[:, one.shape[1] :] == 0).all()
    softmax = small(attention="softmax", max_epochs=1).fit(X, y)
    assert softmax.attention_weights(X[:3]).kind == "softmax"
    with pytest.raises(ValueError, match="net without attention"):
        small(attention="none", max_epochs=1).fit(X, y).attention_weights(X)
    with pytest.raises(ValueError, match=r"layer has to be in \[-1, 1\), got 1"):
        fitted.attention_weights(X, layer=1)
    with pytest.raises(ValueError, match="Maps of 1100 tokens"):
        fitted.attention_weights(np.zeros((1, 2, 1100)) + np.arange(1100))


def test_a_fitted_model_of_series_survives_pickling(fitted):
    X, _ = rhythms()
    loaded = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))


def test_refit_on_another_kind_forgets_the_first():
    X, y = rhythms(20)
    model = small(max_epochs=1).fit(X, y)
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 3)), columns=list("abc"))
    model.fit(frame, y)
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    model.fit(X, y)
    assert not hasattr(model, "feature_names_in_")


def test_a_step_takes_fewer_series_where_they_are_long():
    X, y = rhythms(40)
    model = small(max_epochs=1).fit(X, y)
    sizes = {}
    for n_steps in (24, 4096, 16384, 10**6):
        model.n_timesteps_in_ = n_steps
        sizes[n_steps] = model._resolve_batch_size(1000)
    assert sizes == {24: 125, 4096: 64, 16384: 16, 10**6: 1}
    assert model.set_params(batch_size=7)._resolve_batch_size(1000) == 7
