"""OTTabularClassifier: equations, exactness, and what a toy would not do."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

from sklearn_selfattn.transport import OTTabularClassifier, thesis_preset
from sklearn_selfattn.transport.geometry import regular_simplex
from sklearn_selfattn.transport.objective import Objective
from tests.transport.tables import fast, gaussian_classes, ring_of_classes


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


# --- the equations -----------------------------------------------------------------------------


def landing_by_hand(model, X):
    """Return where each member sends rows: standardise, then the net, in numpy alone."""
    X = (X - model._features.mean) / model._features.scale
    weights = {name: value.numpy() for name, value in model.module_.state_dict().items()}
    x = np.repeat(X[None], model.n_estimators, axis=0)
    for i in range(len(model.hidden_layer_sizes)):
        x = x @ weights[f"hidden.{i}.weight"] + weights[f"hidden.{i}.bias"]
        x = 0.5 * x * (1 + torch.erf(torch.as_tensor(x) / np.sqrt(2)).numpy())
    return x @ weights["out.weight"] + weights["out.bias"], weights


@pytest.mark.parametrize("geometry", ["orthogonal", "simplex"])
def test_predictions_are_the_formula(iris, geometry):
    X, y = iris
    model = fast(geometry=geometry).fit(X, y)
    z, weights = landing_by_hand(model, X)
    np.testing.assert_allclose(model.transform(X), z.mean(axis=0), atol=1e-10)
    u = z[..., : model.classes_.size - 1] if geometry == "orthogonal" else z
    mu = weights["means"][:, : u.shape[-1]]  # as precise as the net was trained
    np.testing.assert_allclose(mu, model.dummy_means_[:, : u.shape[-1]], rtol=1e-6)
    far = ((u[:, :, None] - mu) ** 2).sum(axis=3)  # (m, n, k)
    gain = np.exp(weights["log_gain"])[:, None, None]
    logits = np.exp(-0.5 * gain * far / model.temperature_)
    share = (logits / logits.sum(axis=2, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(model.predict_proba(X), share, atol=1e-10)
    np.testing.assert_allclose(model.decision_function(X), np.log(share), atol=1e-8)


def test_thesis_preset_is_the_published_method(iris):
    X, y = iris
    preset = thesis_preset(len(X), 3)
    model = OTTabularClassifier(**preset, random_state=0).fit(X, y)
    angle = 2 * np.pi * np.arange(3) / 3
    expected = np.zeros((3, 4))
    expected[:, :2] = 9.0 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    np.testing.assert_allclose(model.dummy_means_, expected, atol=1e-12)
    np.testing.assert_array_equal(model.dummy_covariances_, np.repeat(np.eye(4)[None], 3, 0))
    assert [layer.weight.shape for layer in model.module_.hidden] == [(1, 4, 32), (1, 32, 32)]
    z = model.transform(X)
    score = np.exp(-np.linalg.norm(z[:, None] - expected, axis=2))
    share = score / score.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), share, atol=1e-10)
    assert model.score(X, y) > 0.9


def test_losses_are_the_formulas(iris):
    X, y = iris
    for params in (
        {"transport_weight": 0.7, "anchor_weight": 0.3, "ce_weight": 0.5},
        {"objective": "regression"},
    ):
        model = fast(**params, early_stopping=False).fit(X, y)
        z, weights = landing_by_hand(model, X)
        rng = np.random.RandomState(0)
        target = model.dummy_means_[y] + rng.normal(size=(len(X), 6)) * (np.arange(6) >= 2)
        tensors = [torch.as_tensor(a) for a in (np.ones(len(X)), y, np.full(len(X), -1))]
        inputs = torch.as_tensor(model._features(X))
        objective = Objective(
            model.objective, 2, model.ce_weight, model.transport_weight, model.anchor_weight / 16
        )
        loss = objective(model.module_, (inputs, torch.as_tensor(target), *tensors)).item()
        if "objective" in params:
            expected = ((z - target) ** 2).mean()
        else:
            far = ((z[:, :, None, :2] - weights["means"][:, :2]) ** 2).sum(axis=3)
            gain = np.exp(weights["log_gain"])[:, None, None]
            logits = -0.5 * gain * far
            log_share = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
            ce = -log_share[:, np.arange(len(y)), y].mean()
            style = ((z[..., 2:] - target[:, 2:]) ** 2).mean()
            anchor = far[:, np.arange(len(y)), y].mean() / 4.0**2
            expected = 0.5 * ce + 0.7 * style + 0.3 * anchor
        assert loss == pytest.approx(expected, rel=1e-10)


# --- what a toy would not do -------------------------------------------------------------------


def test_the_map_is_learnt_only_from_optimal_pairs():
    """New rows land where the closed form of their class sends them; random pairs teach nothing."""
    X, y = gaussian_classes(600)
    X_new, y_new = gaussian_classes(300, seed=1)
    found = {}
    for pairing in ("exact", "random"):
        model = fast(
            pairing=pairing, n_draws=4, max_epochs=30, hidden_layer_sizes=(48,), dropout=0.0,
            early_stopping=False,
        ).fit(X, y)  # fmt: skip
        Z = model._features.transport_points(model._features(X))
        Z_new = model._features.transport_points(model._features(X_new))
        style = model.transform(X_new)[:, 1:]
        expected = np.empty_like(style)
        for c in (0, 1):
            values, vectors = np.linalg.eigh(np.cov(Z[y == c].T))
            whiten = (vectors / np.sqrt(values)) @ vectors.T
            expected[y_new == c] = (Z_new[y_new == c] - Z[y == c].mean(axis=0)) @ whiten
        found[pairing] = np.corrcoef(style.ravel(), expected.ravel())[0, 1]
        assert model.score(X_new, y_new) > 0.9
    assert found["exact"] > 0.85
    assert abs(found["random"]) < 0.3


def test_a_circle_of_many_classes_costs_accuracy():
    X, y = ring_of_classes(480)
    X_new, y_new = ring_of_classes(800, seed=1)
    scores = {}
    for geometry in ("circle", "simplex", "orthogonal"):
        model = fast(geometry=geometry, objective="regression", radius=24.0, max_epochs=20)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            scores[geometry] = model.fit(X, y).score(X_new, y_new)
    assert min(scores["simplex"], scores["orthogonal"]) > scores["circle"] + 0.06


def test_rows_of_an_unknown_class_score_low():
    X, y = ring_of_classes(480, k=6, gap=4.0)
    known = y < 5
    model = fast().fit(X[known], y[known])
    anchored = fast(anchor_weight=1.0, ce_weight=0.05).fit(X[known], y[known])
    X_new, y_new = ring_of_classes(600, k=6, gap=4.0, seed=1)
    for fitted in (model, anchored):
        score = fitted.score_samples(X_new)
        strange, usual = score[y_new == 5], score[y_new < 5]
        assert (strange[:, None] < usual).mean() > 0.8  # area under the ROC curve
    far = np.full((1, 6), 100.0)
    assert model.score_samples(far) < model.score_samples(X_new).min()


# --- exactness ---------------------------------------------------------------------------------


def test_weights_are_repetitions(iris):
    X, y = iris[0][::3], iris[1][::3]
    weight = np.random.RandomState(0).randint(0, 4, size=len(y))
    repeated = np.repeat(np.arange(len(y)), weight)
    weighted = fast(batch_size=200, early_stopping=False).fit(X, y, sample_weight=weight)
    copies = fast(batch_size=200, early_stopping=False).fit(X[repeated], y[repeated])
    np.testing.assert_allclose(
        weighted.predict_proba(X), copies.predict_proba(X), rtol=1e-7, atol=1e-9
    )
    np.testing.assert_allclose(weighted.transport_cost_, copies.transport_cost_)


def test_scales_shifts_and_names_do_not_matter(iris):
    X, y = iris
    shares = fast().fit(X, y).predict_proba(X)
    scaled = X * [1e-3, 7.0, 1e4, 0.5] + [1, -50, 3, 0]
    np.testing.assert_allclose(fast().fit(scaled, y).predict_proba(scaled), shares, atol=1e-6)
    names = np.array(["a", "b", "c"])[y]
    renamed = fast().fit(X, names)
    np.testing.assert_array_equal(renamed.predict_proba(X), shares)
    np.testing.assert_array_equal(renamed.predict(X), renamed.classes_[shares.argmax(axis=1)])


def test_alone_or_among_others(iris):
    X, y = iris
    model = fast().fit(X, y)
    for method in (model.predict_proba, model.transform, model.score_samples):
        alone = np.concatenate([method(X[[i]]) for i in (0, 70, 149)])
        np.testing.assert_allclose(alone, method(X)[[0, 70, 149]], atol=1e-10)


def test_same_seed_same_bits_another_seed_another_fit(iris):
    X, y = iris
    first, again, other = (fast(random_state=s).fit(X, y).predict_proba(X) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-4


def test_each_member_holds_other_rows_out():
    model = OTTabularClassifier()
    model.classes_ = np.arange(3)
    codes = np.repeat([0, 1, 2], [397, 20, 1])
    fold = model._deal_folds(codes, np.random.RandomState(0))
    for c, n_rows in ((0, 397), (1, 20)):
        held = np.bincount(fold[codes == c] + 1, minlength=5)[1:]
        np.testing.assert_allclose(held, 0.15 * n_rows, atol=1)
    assert fold[-1] == -1  # the only row of a class is trained on
    assert (model._deal_folds(codes[:99], np.random.RandomState(0)) == -1).all()


# --- tables ------------------------------------------------------------------------------------


def test_categories_and_gaps_carry_what_they_carry():
    rng = np.random.RandomState(0)
    colour, hole = rng.choice(["red", "green", "blue"], 300), rng.rand(300) < 0.5
    table = pd.DataFrame({"colour": colour, "size": np.where(hole, np.nan, rng.normal(size=300))})
    y = (colour == "red") ^ hole  # nothing but the category and the gap tells
    model = fast(max_epochs=30).fit(table[:200], y[:200])
    assert model.score(table[200:], y[200:]) == 1.0
    odd = pd.DataFrame({"colour": ["violet", None], "size": [1e9, np.nan]})
    assert np.isfinite(model.predict_proba(odd)).all()


@pytest.mark.parametrize("k", [2, 50])
def test_from_two_classes_to_fifty(k):
    X, y = np.random.RandomState(0).normal(size=(4 * k, 5)), np.arange(4 * k) % k
    model = fast(max_epochs=2).fit(X, y)
    assert model.transform(X).shape == (4 * k, k - 1 + 5)
    assert model.dummy_means_.shape == (k, k - 1 + 5)
    np.testing.assert_allclose(model.dummy_means_[:, : k - 1], 4.0 * regular_simplex(k))
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


@pytest.mark.parametrize("pairing", ["exact", "sinkhorn", "gaussian", "random", "none"])
@pytest.mark.parametrize("geometry", ["orthogonal", "simplex", "circle"])
def test_every_switch_learns(iris, geometry, pairing):
    X, y = iris
    for objective in ("hybrid", "regression"):
        model = fast(geometry=geometry, pairing=pairing, objective=objective).fit(X, y)
        assert model.score(X, y) > 0.85


def test_grid_search_over_the_transport(iris):
    grid = {"transport_weight": [0.0, 5.0]}
    search = GridSearchCV(fast(max_epochs=3), grid, cv=2, scoring="neg_log_loss").fit(*iris)
    assert len(set(search.cv_results_["mean_test_score"])) == 2  # the parameter does something


# --- bad and odd input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"radius": 0.0}, "'radius' parameter .* must be a float in the range \\(0.0, inf"),
        ({"radius": -1.0}, "'radius' parameter"),
        (
            {"geometry": "sphere"},
            "'geometry' parameter (?=.*'circle')(?=.*'orthogonal').*'simplex'",
        ),
        ({"pairing": "greedy"}, "'pairing' parameter"),
        ({"block_size": 1}, "'block_size' parameter"),
        ({"hidden_layer_sizes": (8, 0)}, r"widths of at least 1, got \(8, 0\)"),
        ({"anchor_weight": -1}, "'anchor_weight' parameter"),
        ({"class_weight": "even"}, "'class_weight' parameter"),
    ],
)
def test_bad_parameters_are_named_and_nothing_is_lost(iris, params, words):
    X, y = iris
    model = fast(max_epochs=2).fit(X, y)
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match=words):
        model.set_params(**params).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), before)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_cells_are_refused(iris, value):
    X = iris[0].copy()
    X[3, 1] = value
    with pytest.raises(ValueError, match="infinity"):
        fast().fit(X, iris[1])


def test_one_class_is_predicted(iris):
    X = iris[0][:30]
    model = fast(max_epochs=2).fit(X, ["only"] * 30)
    assert set(model.predict(X)) == {"only"}
    np.testing.assert_array_equal(model.predict_proba(X), np.ones((30, 1)))
    assert model.transform(X).shape == (30, 4)


def test_a_class_of_one_row_is_learnt(iris):
    X, y = np.vstack([iris[0], [[20.0, 20, 20, 20]]]), np.append(iris[1], 7)
    model = fast(max_epochs=40).fit(X, y)
    assert model.transport_cost_[3] == 0
    assert model.predict(X[-1:]) == [7]


def test_more_classes_than_a_circle_holds_warn():
    X, y = ring_of_classes(80, k=4)
    with pytest.warns(UserWarning, match="4 classes are not equally far"):
        fast(geometry="circle", max_epochs=1).fit(X, y)


def test_unfitted(iris):
    for method in ("predict", "predict_proba", "decision_function", "transform", "score_samples"):
        with pytest.raises(NotFittedError):
            getattr(fast(), method)(iris[0])
