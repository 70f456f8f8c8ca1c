"""The monitor: it changes nothing, sees what is there, and says what it cannot follow."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_selfattn import NPTClassifier
from sklearn_selfattn.core.attention import FeedForward
from sklearn_selfattn.transport import (
    OTTrainingDisplay,
    OTTrainingMonitor,
    displacement_report,
    trajectory_efficiency,
)
from sklearn_selfattn.transport.monitor import RECORDED
from tests.transport.tables import fast


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


class Residual(nn.Module):
    """Tokens that keep their width, dropout included: something to disturb."""

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Dropout(0.2))
        self.norm = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, X):
        return self.head(self.norm(X + self.block(X)))


def skorch_net(X, y, *callbacks):
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        net = NeuralNetClassifier(
            Residual, criterion=nn.CrossEntropyLoss, max_epochs=4, batch_size=32, lr=0.1,
            train_split=None, callbacks=list(callbacks), verbose=0, iterator_train__shuffle=True,
        )  # fmt: skip
        return net.fit(X.astype(np.float32), y)


def test_estimators_train_bit_by_bit_as_without_it(iris):
    X, y = iris
    plain = fast(dropout=0.2).fit(X, y)
    watched = fast(dropout=0.2, callbacks=[OTTrainingMonitor("out", X, y)]).fit(X, y)
    for name, value in plain.module_.state_dict().items():
        assert torch.equal(value, watched.module_.state_dict()[name])
    for before, after in zip(plain.history_, watched.history_, strict=True):
        assert (before["train_loss"], before["valid_loss"]) == (
            after["train_loss"], after["valid_loss"]
        )  # fmt: skip
        assert set(RECORDED) <= set(after) - set(before)


def test_skorch_nets_train_bit_by_bit_as_without_it(iris):
    X, y = iris
    probe = X[::3].astype(np.float32)
    plain = skorch_net(X, y)
    watched = skorch_net(X, y, OTTrainingMonitor("norm", probe, y[::3]))
    for name, value in plain.module_.state_dict().items():  # running means included
        assert torch.equal(value, watched.module_.state_dict()[name])
    assert watched.history[-1]["ot_displacement"] > 0


def test_the_numbers_are_those_of_the_reports(iris):
    """Keep every epoch's module, send the rows through by hand, and compute the definitions."""
    X, y = iris
    probe = X[::3].astype(np.float32)
    kept = []

    class Keep(OTTrainingMonitor):
        def _look(self, net):
            found = super()._look(net)
            module = net.module_
            with torch.inference_mode():
                module.eval()
                x = torch.as_tensor(probe)
                kept.append((x + module.block(x)).double().numpy())
                module.train()
            return found

    class Sum(Residual):
        def __init__(self):
            super().__init__()
            self.sum = nn.Identity()

        def forward(self, X):
            return self.head(self.norm(self.sum(X + self.block(X))))

    net = NeuralNetClassifier(
        Sum, criterion=nn.CrossEntropyLoss, max_epochs=3, batch_size=32, lr=0.1, verbose=0,
        train_split=None, callbacks=[Keep("sum", probe, y[::3])],
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        net.fit(X.astype(np.float32), y)
    assert len(kept) == 4
    for epoch in (1, 2, 3):
        row = net.history[epoch - 1]
        report = displacement_report(kept[0], kept[epoch], y[::3], n_null=0)
        assert row["ot_wasserstein"] == pytest.approx(report.wasserstein, abs=1e-10)
        assert row["ot_monge_gap"] == pytest.approx(report.monge_gap, abs=1e-10)
        assert row["ot_optimality"] == pytest.approx(report.optimality, abs=1e-10)
        assert row["ot_optimality_centered"] == pytest.approx(report.optimality_centered)
        path = np.stack(kept[: epoch + 1])
        assert row["ot_efficiency"] == pytest.approx(trajectory_efficiency(path)[0], abs=1e-10)
        step = np.linalg.norm(kept[epoch] - kept[epoch - 1], axis=1).mean()
        assert row["ot_step"] == pytest.approx(step, abs=1e-10)
        assert row["ot_optimality_low"] <= row["ot_optimality_high"] or np.isnan(
            row["ot_optimality_low"]
        )


def test_every_reference_and_points(iris):
    X, y = iris
    X = np.hstack([X, X])

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix = nn.Linear(4, 4)
            self.head = nn.Linear(8, 3)

        def forward(self, X):
            return self.head(self.mix(X.unflatten(1, (2, 4))).flatten(1))

    monitor = OTTrainingMonitor(
        "mix", X.astype(np.float32), y, reference="input", points="tokens", every=2, max_points=60
    )
    net = NeuralNetClassifier(
        Tokens, criterion=nn.CrossEntropyLoss, max_epochs=4, lr=0.1, verbose=0, train_split=None,
        callbacks=[monitor],
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        net.fit(X.astype(np.float32), y)
    assert ["ot_step" in row for row in net.history] == [False, True, False, True]
    assert monitor._n_rows == 60
    assert not hasattr(monitor, "_first")  # no rows are kept
    display = OTTrainingDisplay.from_history(net.history)
    assert list(display.epochs) == [2, 4]


def test_it_follows_other_estimators_of_ours(iris):
    X, y = iris
    model = NPTClassifier(
        pretrained=False, d_model=8, n_heads=2, row_dim=16, feed_forward_dim=16, n_estimators=2,
        n_bins=4, max_epochs=2, random_state=0,
    )  # fmt: skip
    plain = model.fit(X, y).predict_proba(X)
    layers = [n for n, part in model.module_.named_modules() if isinstance(part, FeedForward)]
    model.set_params(callbacks=[OTTrainingMonitor(layers[0], X[::5], y[::5])]).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), plain)
    assert 0 < model.history_[-1]["ot_efficiency"] <= 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layer": "attention.0"}, r"no layer 'attention.0'; there are .*hidden.0.*out"),
        ({"layer": "out", "reference": "input"}, r"takes .*24.* returns .*6.*reference='init'"),
        ({"layer": "out", "reference": "start"}, "reference has to be one of .*'start'"),
        ({"layer": "out", "points": "cells"}, "points has to be one of .*'cells'"),
    ],
)
def test_bad_requests_are_named_and_nothing_is_lost(iris, change, words):
    X, y = iris
    model = fast(max_epochs=2).fit(X, y)
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match=words):
        model.set_params(callbacks=[OTTrainingMonitor(X=X, y=y, **change)]).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_hooks_are_gone_after_training(iris):
    X, y = iris
    net = skorch_net(X, y, OTTrainingMonitor("norm", X.astype(np.float32), y))
    assert not any(part._forward_hooks for part in net.module_.modules())
