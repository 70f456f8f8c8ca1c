"""The published architecture, against the formulas and tables of the paper."""

import numpy as np
import pytest
import torch

from sklearn_selfattn import NPTClassifier, NPTRegressor
from sklearn_selfattn.npt import paper_preset
from sklearn_selfattn.npt.base import _warm_flat_cosine
from sklearn_selfattn.npt.masking import ROWS_PER_STEP
from sklearn_selfattn.npt.module import NPT
from sklearn_selfattn.npt.optim import Lamb


def build(n_columns, n_samples, n_classes=0, n_categories=()):
    """Return the module of the preset for numeric columns and categorical ones."""
    preset = paper_preset(n_samples)
    sizes = [*([0] * n_columns), *n_categories, n_classes]
    return NPT(
        preset["architecture"], preset["n_estimators"], sizes, preset["d_model"], 96, 192,
        preset["n_heads"], preset["n_layers"], preset["n_bins"], preset["dropout"], True,
    )  # fmt: skip


def test_settings_of_the_paper():
    small, base = paper_preset(506), paper_preset(45_730)
    assert (small["d_model"], base["d_model"]) == (128, 64)
    for preset in (small, base):
        assert preset["n_layers"] == 4  # blocks of two layers: eight in all
        assert preset["n_heads"] == 8
        assert preset["dropout"] == 0.1
        assert preset["learning_rate"] == 1e-3
        assert preset["weight_decay"] == 0
        assert preset["feature_mask_prob"] == 0.15
        assert preset["feature_loss_weight"] == 1
        assert preset["optimizer"] == "lamb"
        assert preset["n_bins"] == 0  # a number enters by one linear map
    assert paper_preset(999)["d_model"] != paper_preset(1000)["d_model"]
    # about as many steps as were asked for: ten in an epoch
    assert paper_preset(506, n_steps=10_000)["max_epochs"] == 1000
    assert paper_preset(506, n_steps=1)["max_epochs"] == 1


@pytest.mark.parametrize(
    ("n_columns", "n_samples", "n_classes", "n_categories"),
    [(9, 45_730, 0, ()), (3, 506, 2, ()), (3, 2000, 4, (5, 2))],
    ids=["protein", "small", "mixed"],
)
def test_every_weight_of_the_published_layers_is_there(
    n_columns, n_samples, n_classes, n_categories
):
    """Counts from the equations: with h = d e, a row layer has 4 h^2 + h^2 + 8 h^2 and biases."""
    net = build(n_columns, n_samples, n_classes, n_categories)
    e = paper_preset(n_samples)["d_model"]
    d = n_columns + len(n_categories) + 1
    n_codes = sum(n_categories) + n_classes

    def layer(h):  # Q, K, V and output; residual map; feed-forward of four times the width
        return 3 * h * h + (h * h + h) + h * h + (4 * h * h + 4 * h) + (4 * h * h + h)

    blocks = 4 * (layer(d * e) + layer(e))
    n_numeric = d - len(n_categories) - (n_classes > 0)
    tokens = n_numeric * e + n_codes * e + 2 * d * e
    outputs = (e + 1) * max(n_classes, 1) + d * e + n_codes * e
    assert sum(p.numel() for p in net.blocks.parameters()) == blocks
    assert sum(p.numel() for p in net.parameters()) == blocks + tokens + outputs
    assert len(net.blocks) == 4
    first = net.blocks[0]
    h = d * e
    assert first.rows.project.weight.shape == (1, h, 3 * h)
    assert first.row_residual.weight.shape == (1, h, h)
    assert first.row_feed_forward.expand.weight.shape == (1, h, 4 * h)
    assert first.cell_project.weight.shape == (1, e, 3 * e)
    assert first.cell_residual.weight.shape == (1, e, e)
    assert first.cell_feed_forward.expand.weight.shape == (1, e, 4 * e)
    assert first.cell_heads == first.rows.n_heads == 8
    # the score is divided by the root of the whole width, not of a head's
    assert first.rows.scale == pytest.approx(1 / np.sqrt(h))
    assert first.cell_scale == pytest.approx(1 / np.sqrt(e))
    assert net.target_output.weight.shape == (1, e, max(n_classes, 1))  # read from its own token
    assert net.read is None


def test_learning_rate_is_flat_and_then_a_cosine():
    flat = [_warm_flat_cosine(p) for p in np.linspace(0.06, 0.5, 20)]
    assert flat == [1.0] * 20
    falling = np.array([_warm_flat_cosine(p) for p in np.linspace(0.5, 1, 50)])
    assert (np.diff(falling) < 0).all()
    assert _warm_flat_cosine(0.75) == pytest.approx((1 + falling[-1]) / 2)
    assert falling[-1] < 0.03


@pytest.mark.parametrize("make", [NPTClassifier, NPTRegressor])
def test_the_preset_trains(make, monkeypatch):
    """At a tenth of its width: a few steps of LAMB on masked rows, and the loss falls."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(120, 3))
    y = X[:, 0] > 0 if make is NPTClassifier else X[:, 0]
    steps, masked, replaced = [], [], []
    step = Lamb.step

    def count(self, closure=None):
        steps.append({parameter.shape[0] for g in self.param_groups for parameter in g["params"]})
        return step(self, closure)

    make_loss = make._make_loss

    def watch(self, table):
        loss = make_loss(self, table)

        def watched(module, batch):
            masked.append(batch.hidden[..., :-1].double().mean().item())
            replaced.append((batch.replaced.sum() / batch.hidden[..., :-1].sum()).item())
            return loss(module, batch)

        return watched

    monkeypatch.setattr(Lamb, "step", count)
    monkeypatch.setattr(make, "_make_loss", watch)
    preset = {**paper_preset(120, n_steps=200), "d_model": 16, "learning_rate": 5e-3}
    model = make(**preset, random_state=0).fit(X, y)
    # three quarters of the rows are trained on, 32 in a step
    assert len(steps) == np.ceil(90 / ROWS_PER_STEP) * model.n_iter_
    assert set().union(*steps) == {1}
    assert np.mean(masked) == pytest.approx(0.15, abs=0.02)
    assert np.mean(replaced) == pytest.approx(0.1, abs=0.02)
    losses = [epoch["train_loss"] for epoch in model.history_]
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])
    assert isinstance(model.module_, NPT)
    assert model.module_.form == "paper"
    assert all(torch.isfinite(p).all() for p in model.module_.parameters())
