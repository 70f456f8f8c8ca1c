"""Nobody sees the label he has to predict: in training, in validation, in predict_loo."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from sklearn_selfattn import NPTRegressor
from sklearn_selfattn.npt.module import NPT
from tests.npt.tables import classes_of, classifier, mixed_table, pairs, regressor


def test_shuffled_labels_leave_predict_loo_at_chance():
    """While `predict` on the same rows, which sees their labels, is better than chance."""
    X, y = load_breast_cancer(return_X_y=True)
    seen, left_out = [], []
    for seed in range(4):
        rng = np.random.RandomState(seed)
        rows = rng.permutation(len(X))[:200]
        labels = rng.permutation(y[rows])
        model = classifier(n_estimators=4, max_epochs=15, random_state=seed)
        model.fit(X[rows], labels)
        seen.append(roc_auc_score(labels, model.predict_proba(X[rows])[:, 1]))
        left_out.append(roc_auc_score(labels, model.predict_loo("predict_proba")[:, 1]))
    assert abs(np.mean(left_out) - 0.5) < 0.05  # 2.5 standard errors of 4 x 200 labels
    assert np.mean(seen) > 0.57


@pytest.mark.parametrize("architecture", ["rows", "cells"])
def test_own_label_is_not_used_by_predict_loo(architecture):
    """Change one label: bit-equal for the row itself and what is left out with it."""
    frame, target = mixed_table(130)
    labels = classes_of(target)
    model = classifier(architecture=architecture, n_estimators=4).fit(frame, labels)
    before, seen = model.predict_loo("predict_proba"), model.predict_proba(frame)
    for row in (0, 50, 129):
        cells = model._context.copy()
        cells[row, -1] = (cells[row, -1] + 1) % 3
        model._take_context(cells, model._context_fold)
        after = model.predict_loo("predict_proba")
        together = model._context_fold == model._context_fold[row]
        np.testing.assert_array_equal(after[together], before[together])
        assert (np.abs(after[~together] - before[~together]).max(axis=1) > 0).all()
        # the ablation: predict on that row does see the label
        assert np.abs(model.predict_proba(frame.iloc[[row]]) - seen[row]).max() > 0
        cells[row, -1] = model._encode_target(labels[[row]])[0]
        model._take_context(cells, model._context_fold)
    np.testing.assert_array_equal(model.predict_loo("predict_proba"), before)


def test_own_label_is_not_used_for_a_context_that_came_later():
    frame, target = mixed_table(100)
    model = regressor().fit(frame, target)
    later, labels = mixed_table(60, seed=1)
    before = model.set_context(later, labels).predict_loo()
    seen = model.predict(later)
    changed = labels.copy()
    changed[7] += 5
    after = model.set_context(later, changed).predict_loo()
    assert after[7] == before[7]
    assert model.predict(later.iloc[[7]])[0] != seen[7]
    assert (after != before).sum() >= 60 - np.ceil(60 / 10)  # all but its own part of ten


def test_labels_of_queries_are_hidden_in_training(monkeypatch):
    """The net gets the true label beside each query, and a change of it changes no output."""
    frame, target = mixed_table(80)
    seen = []

    def look(module, step_cells, hidden, n_context):
        other = step_cells.clone()
        other[:, n_context:, -1] += 3.0
        with torch.no_grad():
            seen.append((forward(module, step_cells, hidden, n_context),
                         forward(module, other, hidden, n_context)))  # fmt: skip
        return forward(module, step_cells, hidden, n_context)

    forward = NPT.forward
    monkeypatch.setattr(NPT, "forward", look)
    regressor(max_epochs=2, feature_mask_prob=0.2).fit(frame, target)
    assert len(seen) > 4
    assert all(torch.equal(one, other) for one, other in seen)


@pytest.mark.parametrize("grouped", [False, True], ids=["rows", "groups"])
def test_held_out_rows_are_in_no_training_step_and_no_context_of_their_validation(
    grouped, monkeypatch
):
    """What each member trains on, looks at and is asked, taken from a real fit."""
    n_rows = 160
    X = np.random.RandomState(0).normal(size=(n_rows, 3))
    X[:, 0] = np.arange(n_rows)  # tells the row
    y = X[:, 1].copy()
    groups = np.arange(n_rows) // 4 if grouped else None
    record = {"validated": [], "trained": [set(), set(), set()]}
    held_out = NPTRegressor._held_out_output
    make_loss = NPTRegressor._make_loss

    def watch_validation(self, module, table, context, queries):
        record["validated"].append((context, queries))
        return held_out(self, module, table, context, queries)

    def watch_training(self, table):
        loss = make_loss(self, table)

        def watched(module, step):
            for member, rows in enumerate(step.rows.tolist()):
                record["trained"][member] |= set(rows)
            return loss(module, step)

        return watched

    monkeypatch.setattr(NPTRegressor, "_held_out_output", watch_validation)
    monkeypatch.setattr(NPTRegressor, "_make_loss", watch_training)
    model = regressor(n_estimators=3, early_stopping=True, validation_fraction=0.25)
    model.fit(X, y, groups=groups)
    assert len(record["validated"]) == model.n_iter_ + 1  # every epoch, and to calibrate
    asked_of_all = []
    for member in range(3):
        trained = record["trained"][member]
        held = set(np.flatnonzero(model._context_fold == member))
        assert len(held) == pytest.approx(n_rows / 4, abs=4)
        assert not held & trained
        assert held | trained == set(range(n_rows))
        for context, queries in record["validated"]:
            looked_at, asked = set(context[member].tolist()), set(queries[member].tolist())
            assert asked <= held
            assert not asked & looked_at
            if grouped:
                # a held-out group shows one half of its rows and is asked for the other
                assert looked_at & held == held - asked
                assert len(asked) == len(held) / 2
                assert {row // 4 for row in asked} == {row // 4 for row in held}
            else:
                assert asked == held
                assert looked_at <= trained
        asked_of_all.append(asked)
    assert not asked_of_all[0] & asked_of_all[1]
    if grouped:
        per_group = model._context_fold.reshape(-1, 4)
        assert (per_group == per_group[:, :1]).all()


def test_predict_loo_is_like_cross_validation():
    """A member predicts rows that it never saw as well as a net fitted anew without them."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(240, 4))
    y = X[:, 0] + np.sin(2 * X[:, 1]) + 0.3 * rng.normal(size=240)
    settings = {"max_epochs": 15, "validation_fraction": 0.25}
    members = regressor(n_estimators=4, early_stopping=True, **settings).fit(X, y)
    anew = regressor(n_estimators=1, early_stopping=False, **settings)
    errors = [(members.predict_loo() - y) ** 2, (cross_val_predict(anew, X, y, cv=4) - y) ** 2]
    difference = errors[0] - errors[1]
    assert abs(difference.mean()) < 2 * difference.std() / np.sqrt(len(y))
    assert np.mean(errors) < 0.25 * y.var()  # both have learnt something
    # the ablation: to look at its own label makes the error smaller than it is
    assert ((members.predict(X) - y) ** 2).mean() < 0.9 * errors[0].mean()


def test_a_constant_target_needs_no_label():
    X = pairs(30, 0)[0]
    model = regressor(max_epochs=2).fit(X, np.full(30, 4.25))
    np.testing.assert_allclose(model.predict_loo(), 4.25, atol=0.5)
