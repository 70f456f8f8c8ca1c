"""Training as a user sees it: history, early stopping, callbacks, interrupts, forms, members."""

import numpy as np
import pytest
import torch
from sklearn.callback import ScoringMonitor
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

from sklearn_selfattn import NPTClassifier, NPTRegressor
from sklearn_selfattn.npt.estimator import TEMPERATURE_SPREAD
from tests.npt.tables import classes_of, classifier, mixed_table, pairs, regressor


def noisy_line(n_rows=160, seed=0):
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n_rows, 3))
    return X, X[:, 0] + 0.5 * rng.normal(size=n_rows)


# --- what a fit leaves ----------------------------------------------------------------------


def test_history_with_and_without_held_out_rows():
    X, y = noisy_line()
    model = regressor(early_stopping=True, max_epochs=8).fit(X, y)
    assert [row["epoch"] for row in model.history_] == list(range(1, model.n_iter_ + 1))
    assert {"train_loss", "valid_loss", "lr", "dur"} <= set(model.history_[0])
    whole = regressor(early_stopping=False, max_epochs=8).fit(X, y)
    assert len(whole.history_) == whole.n_iter_ == 8
    assert "valid_loss" not in whole.history_[0]
    assert (whole._context_fold == -1).all()


@pytest.mark.parametrize(("n_rows", "held_out"), [(99, False), (100, True)])
def test_rows_are_held_out_from_a_hundred_on(n_rows, held_out):
    X, y = noisy_line(n_rows)
    model = regressor(max_epochs=1).fit(X, y)
    assert ("valid_loss" in model.history_[0]) is held_out


def test_groups_are_what_counts_for_holding_out():
    X, y = noisy_line(160)
    few = regressor(max_epochs=1).fit(X, y, groups=np.arange(160) // 2)
    assert "valid_loss" not in few.history_[0]
    enough = regressor(max_epochs=1).fit(X, y, groups=[f"patient {i}" for i in range(160)])
    assert "valid_loss" in enough.history_[0]


def test_training_stops_when_nothing_is_gained_and_keeps_the_best_epoch():
    """Pure noise: what is learnt makes held-out rows worse."""
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(120, 5)), rng.normal(size=120)
    model = regressor(early_stopping=True, max_epochs=60, n_iter_no_change=4, learning_rate=3e-2)
    record = {}
    held_out = NPTRegressor._held_out_output

    def watch(self, module, table, context, queries):
        output = held_out(self, module, table, context, queries)
        target = table[queries][..., -1]
        record["last"] = self._target_loss(output, target).item()
        return output

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NPTRegressor, "_held_out_output", watch)
        model.fit(X, y)
    losses = [row["valid_loss"] for row in model.history_]
    assert model.n_iter_ < 60
    assert len(losses) - 1 - np.argmin(losses) <= 4
    # the last look, to calibrate, is with the weights that are kept
    assert record["last"] == pytest.approx(min(losses), rel=1e-4)
    assert record["last"] < losses[-1]


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_the_temperature_is_the_most_likely_one(factor):
    """Logits too small or too large by a factor, against a search over a grid with the prior."""
    rng = np.random.RandomState(0)
    logits = rng.normal(size=(2, 400, 3))
    share = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    target = (share.cumsum(axis=-1) < rng.rand(2, 400, 1)).sum(axis=-1)
    model = classifier()
    model._calibrate(torch.as_tensor(factor * logits), torch.as_tensor(target))

    def loss(temperature):
        z = factor * logits / temperature
        likelihood = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
        given = np.take_along_axis(likelihood, target[..., None], axis=-1).sum()
        return -given + 0.5 * (np.log(temperature) / TEMPERATURE_SPREAD) ** 2

    grid = np.exp(np.linspace(-2, 2, 2001))
    best = grid[np.argmin([loss(temperature) for temperature in grid])]
    assert model.temperature_ == pytest.approx(best, rel=0.01)
    assert model.temperature_ == pytest.approx(factor, rel=0.25)


def test_without_held_out_rows_there_is_no_temperature():
    X, y = noisy_line(150)
    assert classifier(max_epochs=1, early_stopping=False).fit(X, y > 0).temperature_ == 1.0
    assert classifier(max_epochs=1, early_stopping=True).fit(X, y > 0).temperature_ != 1.0


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_predictions_combine_the_members(kind):
    """Mean probability of members, or mean value."""
    frame, target = mixed_table(60)
    if kind == "classifier":
        model = classifier(n_estimators=3).fit(frame, classes_of(target))
    else:
        model = regressor(n_estimators=3).fit(frame, target)
    cells = model._as_cells(model._encode_table(frame, reset=False))
    output = model._query(cells, model.module_.target)  # (3, n, outputs)
    if kind == "classifier":
        expected = (output / model.temperature_).softmax(dim=-1).mean(dim=0).numpy()
        np.testing.assert_allclose(model.predict_proba(frame), expected, rtol=0, atol=1e-10)
    else:
        expected = output[..., 0].mean(dim=0).numpy() * target.std() + target.mean()
        np.testing.assert_allclose(model.predict(frame), expected, rtol=0, atol=1e-10)
    assert (output[0] - output[1]).abs().max() > 1e-2


def test_seeds_decide():
    X, y = noisy_line(60)
    first, second = (regressor().fit(X, y).predict(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, regressor(random_state=1).fit(X, y).predict(X))


def test_a_linear_change_of_features_and_target_is_no_change():
    X, y = noisy_line(60)
    model = regressor(dtype="float64").fit(X, y)
    scaled = regressor(dtype="float64").fit(1000 * X - 7, 50 * y + 3)
    np.testing.assert_allclose(
        scaled.predict(1000 * X - 7), 50 * model.predict(X) + 3, rtol=1e-5, atol=1e-4
    )


# --- callbacks and interrupts ---------------------------------------------------------------


class Interrupt(Callback):
    def __init__(self, epoch=3):
        self.epoch = epoch

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize("early_stopping", [False, True])
def test_an_interrupted_fit_leaves_a_model_with_its_context(early_stopping):
    frame, target = mixed_table(120)
    model = classifier(max_epochs=50, callbacks=[Interrupt()], early_stopping=early_stopping)
    kept = "The model of epoch" if early_stopping else "as the last step left it"
    with pytest.warns(ConvergenceWarning, match=f"interrupted after epoch 2 of at most .*{kept}"):
        model.fit(frame, classes_of(target))
    assert model.n_iter_ == 2
    assert model.n_context_ == 120
    np.testing.assert_allclose(model.predict_proba(frame).sum(axis=1), 1, rtol=0, atol=1e-12)
    assert len(model.predict_loo()) == 120


class Watch(Callback):
    def __init__(self):
        self.losses = []

    def on_epoch_end(self, net, **kwargs):
        net.history.record("seen", len(net.history))


def test_callbacks_see_the_epochs_and_stay_as_they_were():
    X, y = noisy_line(60)
    callback = Watch()
    model = regressor(callbacks=[callback], max_epochs=3).fit(X, y)
    assert [row["seen"] for row in model.history_] == [1, 2, 3]
    assert vars(callback) == {"losses": []}


def test_verbose_tells_the_losses(capsys):
    X, y = noisy_line(120)
    regressor(verbose=1, max_epochs=2).fit(X, y)
    out, err = capsys.readouterr()
    assert out == ""
    assert "loss" in err


# --- forms of the net -----------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["rows", "cells", "paper"])
def test_every_form_learns(architecture):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(400, 4))
    y = (X[:, 0] > 0) ^ (X[:, 1] > 0)  # of two cells, neither of which tells a thing alone
    model = classifier(
        architecture=architecture, n_estimators=1, max_epochs=30, early_stopping=False
    ).fit(X[:300], y[:300])
    assert model.score(X[300:], y[300:]) > 0.85
    assert 0.35 < y[300:].mean() < 0.65


def test_a_form_by_cells_is_as_large_whatever_the_table():
    """Beyond tokens and outputs; of rows, every weight grows with the columns."""

    def inner(architecture, n_rows, n_columns):
        X = np.random.RandomState(0).normal(size=(n_rows, n_columns))
        model = regressor(architecture=architecture, max_epochs=1).fit(X, X[:, 0])
        return sum(p.numel() for p in model.module_.blocks.parameters())

    sizes = {inner("cells", n_rows, d) for n_rows, d in ((30, 2), (90, 2), (30, 9))}
    assert len(sizes) == 1
    assert inner("rows", 30, 2) == inner("rows", 90, 2) < inner("rows", 30, 9)


def test_parameters_reach_the_net():
    X, y = noisy_line(40)
    net = regressor(
        n_estimators=3, d_model=16, row_dim=20, feed_forward_dim=7, n_heads=4, n_layers=2,
        n_bins=5, dropout=0.25, max_epochs=1,
    ).fit(X, y).module_  # fmt: skip
    assert len(net.blocks) == 2
    block = net.blocks[0]
    assert block.rows.project.weight.shape == (3, 4 * 16, 3 * 20)
    assert block.row_feed_forward.expand.weight.shape == (3, 4 * 16, 7)
    assert block.cell_project.weight.shape == (3, 16, 48)
    assert block.rows.n_heads == 4
    assert block.row_feed_forward.dropout == block.cell_feed_forward.dropout == 0.25
    assert net.tokenizer.low.shape == (4, 5)
    assert not hasattr(
        regressor(use_cell_attention=False, max_epochs=1).fit(X, y).module_.blocks[0],
        "cell_project",
    )


def test_batches_and_masking_follow_the_parameters(monkeypatch):
    X, y = noisy_line(300)
    seen = []
    make_loss = NPTRegressor._make_loss

    def watch(self, table):
        loss = make_loss(self, table)

        def watched(module, step):
            seen.append((step.rows.shape, step.hidden[..., :-1].double().mean().item()))
            return loss(module, step)

        return watched

    monkeypatch.setattr(NPTRegressor, "_make_loss", watch)
    regressor(batch_size=50, feature_mask_prob=0.4, early_stopping=False).fit(X, y)
    assert {shape for shape, _ in seen} == {(2, 50)}
    # a quarter of the rows have hidden cells
    assert np.mean([share for _, share in seen]) == pytest.approx(0.1, abs=0.02)
    seen.clear()
    regressor(feature_mask_prob=0.0, max_epochs=1).fit(X, y)
    assert all(share == 0 for _, share in seen)


def test_groups_are_trained_on_together():
    """Twins tell each other's labels only if a step shows both: else the net cannot learn it."""
    originals, label, twins, twin_label = pairs(200, seed=0)
    X, y = np.concatenate([originals, twins]), np.concatenate([label, twin_label])
    groups = np.tile(np.arange(200), 2)
    model = regressor(early_stopping=True, max_epochs=2).fit(X, y, groups=groups)
    fold = model._context_fold
    assert (fold[:200] == fold[200:]).all()
    assert set(fold) == {-1, 0, 1}
    anew = regressor(early_stopping=True, max_epochs=2).fit(X, y)
    assert not (anew._context_fold[:200] == anew._context_fold[200:]).all()


def test_lamb_is_an_optimizer_to_choose():
    X, y = noisy_line(60)
    adam, lamb = (
        regressor(optimizer=name, max_epochs=3).fit(X, y).history_ for name in ("adamw", "lamb")
    )
    assert adam[0]["train_loss"] != lamb[0]["train_loss"]
    assert np.isfinite(lamb[-1]["train_loss"])


def test_defaults_are_the_same_for_both():
    assert NPTClassifier().get_params() == NPTRegressor().get_params()


def test_nothing_of_training_is_kept():
    """No gradients, no optimiser, no held-out rows beside the context."""
    X, y = noisy_line(120)
    model = regressor(early_stopping=True, max_epochs=2).fit(X, y)
    assert all(p.grad is None for p in model.module_.parameters())
    assert not model.module_.training
    tensors = [name for name, value in vars(model).items() if isinstance(value, torch.Tensor)]
    assert tensors == []
    assert "_memories" not in model.__getstate__()


def test_too_few_rows_for_folds_are_said():
    X, y = np.arange(14.0).reshape(7, 2), np.arange(7.0)
    with pytest.warns(UserWarning, match="4 folds need at least 8 rows, got 7"):
        regressor(n_estimators=2, early_stopping=True, max_epochs=1).fit(X, y)
    quiet = regressor(n_estimators=2, early_stopping="auto", max_epochs=1).fit(X, y)
    assert "valid_loss" not in quiet.history_[-1]  # and no warning, which would be an error


def test_scoring_monitor_sees_a_model_with_its_context_after_every_epoch():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    y = X @ [1.0, -2.0, 0.5]
    monitor = ScoringMonitor(scoring="r2")
    watched = regressor(max_epochs=4).fit(X, y).set_callbacks(monitor).fit(X, y)  # a refit too
    rows = monitor.get_logs().data
    scores = [row["r2"] for row in rows if row["task_name"] == "epoch"]
    assert len(scores) == 4 and len(set(scores)) == 4  # each of another model
    plain = regressor(max_epochs=4).fit(X, y)
    np.testing.assert_array_equal(watched.predict(X), plain.predict(X))  # watching changes nothing
    assert sorted(vars(watched)) == sorted({*vars(plain), "_skl_callbacks"})
