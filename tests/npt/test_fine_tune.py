"""Weights that go on training on the table: so many steps, and never to its harm."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.callback import ScoringMonitor
from sklearn.metrics import log_loss

from sklearn_selfattn import NPTClassifier, NPTRegressor
from sklearn_selfattn.npt import pretrained
from sklearn_selfattn.npt.ensemble import Ensemble

QUICK = {"n_estimators": 2, "random_state": 0}


def data(n_rows=48, seed=0):
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n_rows, 3))
    return X, (X[:, 0] + 0.5 * rng.normal(size=n_rows) > 0).astype(int)


def tuned(fine_tune, make=NPTClassifier, **changed):
    return make(**{**QUICK, "fine_tune": fine_tune, **changed})


@pytest.mark.parametrize("n_steps", [1, 7, 10, 13])
def test_a_number_is_a_number_of_steps(n_steps, monkeypatch):
    taken, step = [], torch.optim.AdamW.step

    def counted(self, *rest):
        taken.append(1)
        return step(self, *rest)

    monkeypatch.setattr(torch.optim.AdamW, "step", counted)
    X, y = data()
    model = tuned(n_steps).fit(X, y)
    assert len(taken) == n_steps
    assert model.n_iter_ == len(model.history_) == -(-n_steps // pretrained.STEPS)
    assert model.weights_ is not None
    assert all(p.grad is None for p in model.module_.parameters())
    assert not model.module_.training


@pytest.mark.parametrize("make", [NPTClassifier, NPTRegressor])
def test_tuning_is_reproducible_in_threads_too(make):
    X, y = data()
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = tuned(3, make).fit(X, y)
    with ThreadPoolExecutor(2) as pool:
        models = list(pool.map(lambda _: tuned(3, make).fit(X, y), range(2)))
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    for other in models:
        for one, same in zip(first.module_.parameters(), other.module_.parameters(), strict=True):
            assert torch.equal(one, same)
        np.testing.assert_array_equal(other.predict(X), first.predict(X))
    untuned = tuned(False, make).fit(X, y)
    weights = zip(first.module_.parameters(), untuned.module_.parameters(), strict=True)
    assert max((one - other).abs().max().item() for one, other in weights) > 1e-5


def test_tuned_predictions_do_not_depend_on_the_order_of_columns(monkeypatch):
    """Views are drawn over the ranking of the columns; over their positions they would differ."""
    X, y = data()
    order = [2, 0, 1]

    def difference():
        one, other = tuned(5).fit(X, y), tuned(5).fit(X[:, order], y)
        return np.abs(one.predict_proba(X) - other.predict_proba(X[:, order])).max()

    assert difference() < 1e-5  # trained in float32
    arrange = Ensemble.arrange

    def arranged_only_to_look(self, cells):
        arrange(self, cells)
        self.ranking.copy_(torch.arange(len(self.ranking)))

    monkeypatch.setattr(Ensemble, "arrange", arranged_only_to_look)
    assert difference() > 1e-3


@pytest.mark.parametrize("rate", [1.0, 1e30], ids=["worse", "not even finite"])
@pytest.mark.parametrize("make", [NPTClassifier, NPTRegressor])
def test_auto_keeps_nothing_that_hurts(make, rate, monkeypatch):
    monkeypatch.setattr(pretrained, "TUNING_RATE", rate)
    monkeypatch.setattr(pretrained, "TUNING_EPOCHS", 2)
    X, y = data()
    model, untuned = tuned("auto", make).fit(X, y), tuned(False, make).fit(X, y)
    for one, other in zip(model.module_.parameters(), untuned.module_.parameters(), strict=True):
        assert torch.equal(one, other)
    np.testing.assert_array_equal(model.predict(X), untuned.predict(X))
    ruined = tuned(5, make)  # which a number of steps does not prevent
    if rate > 1e9:
        with pytest.raises(ValueError, match="Training diverged"):
            ruined.fit(X, y)
    else:
        assert np.abs(ruined.fit(X, y).predict(X) - untuned.predict(X)).max() > 0.1


def test_auto_judges_by_rows_and_groups_that_it_does_not_learn_from(monkeypatch):
    monkeypatch.setattr(pretrained, "TUNING_EPOCHS", 1)
    judged, learnt = [], []
    judge, learn = Ensemble.held_out_loss, Ensemble.training_loss

    def held_out_loss(self, context, queries):
        judged.append((set(context[:, 0].tolist()), set(queries[:, 0].tolist())))
        return judge(self, context, queries)

    def training_loss(self, cells, *rest):
        learnt.append(set(cells[..., 0].flatten().tolist()))
        return learn(self, cells, *rest)

    monkeypatch.setattr(Ensemble, "held_out_loss", held_out_loss)
    monkeypatch.setattr(Ensemble, "training_loss", training_loss)
    X, y = data(96)
    groups = np.arange(96) % 48
    X[:, 0] = groups  # so that cells tell their group
    tuned("auto").fit(X, y, groups=groups)
    (context, queries), *again = judged
    assert context.isdisjoint(queries) and len(context) == 36 and len(queries) == 12
    assert all(pair == (context, queries) for pair in again)
    assert set.union(*learnt) <= context


def test_of_too_few_rows_none_is_held_out():
    X, y = data(pretrained.TUNING_FROM - 1)
    model = tuned("auto").fit(X, y)
    assert model.history_ == []
    untuned = tuned(False).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), untuned.predict_proba(X))


def test_a_monitor_sees_a_model_after_every_epoch():
    X, y = data()
    monitor = ScoringMonitor(scoring="neg_log_loss")
    watched = tuned(20).set_callbacks(monitor).fit(X, y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(rows) == 2 and rows[0]["neg_log_loss"] != rows[1]["neg_log_loss"]
    np.testing.assert_array_equal(watched.predict(X), tuned(20).fit(X, y).predict(X))


@pytest.mark.parametrize("fine_tune", [True, 0, -3, 1.5, "always", None])
def test_what_is_no_number_of_steps_is_refused(fine_tune):
    with pytest.raises(ValueError, match="fine_tune"):
        tuned(fine_tune).fit(*data())


def test_a_rule_of_many_columns_is_learnt():
    """Whether three marks stand side by side in a row of eight places."""
    boards = np.array(list(itertools.product([0.0, 1.0], repeat=8)))
    wins = np.array([boards[:, i] * boards[:, i + 1] * boards[:, i + 2] for i in range(6)])
    y = wins.any(axis=0).astype(int)
    order = np.random.RandomState(0).permutation(len(boards))
    train, test = order[:128], order[128:]
    losses = [
        log_loss(
            y[test],
            tuned(fine_tune, categorical_features=[True] * 8)
            .fit(boards[train], y[train])
            .predict_proba(boards[test]),
        )
        for fine_tune in (False, 80)
    ]
    assert losses[1] < 0.9 * losses[0]
