"""Rows in parts: the same outputs for any size of the parts, and where memory is short."""

import re
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris

from sklearn_selfattn.core.parts import in_parts
from sklearn_selfattn.npt import NPTClassifier
from sklearn_selfattn.primal import PrimalAttentionClassifier
from sklearn_selfattn.time_events import EventSequences, TimeEventRegressor
from sklearn_selfattn.transport import OTTabularClassifier
from sklearn_selfattn.vision_language import VisualParsingClassifier


class SmallMemory:
    """Stands before a method of a net, and lets so many rows through at once."""

    def __init__(self, method, n_rows, dim):
        self.method, self.n_rows, self.dim, self.sizes = method, n_rows, dim, []

    def __call__(self, rows, *args, **kwargs):
        first = rows[0] if isinstance(rows, tuple) else rows
        n_rows = first.shape[self.dim]
        if n_rows > self.n_rows:
            raise torch.cuda.OutOfMemoryError(f"tried to allocate {n_rows} rows")
        self.sizes.append(n_rows)
        return self.method(rows, *args, **kwargs)


@pytest.mark.parametrize("n_rows", [0, 1, 7, 12])
@pytest.mark.parametrize("dim", [0, 1])
def test_parts_are_joined_in_order(n_rows, dim):
    X = torch.arange(24.0).reshape(12, 2)[:n_rows]
    X = X if dim == 0 else X.T
    found = in_parts(lambda rows: 2 * X.narrow(dim, rows.start, rows.stop - rows.start), n_rows, 5,
                     dim=dim)  # fmt: skip
    torch.testing.assert_close(found, 2 * X, rtol=0, atol=0)


def test_a_part_that_does_not_fit_is_halved_from_there_on():
    X, seen = torch.arange(20.0), []

    def forward(rows):
        # a later part is the one that is too large
        if rows.start >= 8 and rows.stop - rows.start > 3:
            raise torch.cuda.OutOfMemoryError("too many rows")
        seen.append(rows.stop - rows.start)
        return X[rows]

    with pytest.warns(UserWarning) as caught:
        found = in_parts(forward, 20, 8)
    torch.testing.assert_close(found, X, rtol=0, atol=0)
    assert seen == [8, 2, 2, 2, 2, 2, 2]
    tried = [re.search(r"for (\d+) rows", str(w.message))[1] for w in caught]
    assert tried == ["8", "4"]

    def never(rows):
        raise torch.cuda.OutOfMemoryError("not even one")

    with pytest.warns(UserWarning), pytest.raises(torch.cuda.OutOfMemoryError, match="not even"):
        in_parts(never, 20, 8)


X, y = load_iris(return_X_y=True)
RNG = np.random.default_rng(0)
EVENTS = EventSequences.from_lists(list(RNG.exponential(size=(60, 5)).cumsum(axis=1)))
PICTURES = RNG.random((60, 64))
SMALL = {"max_epochs": 1, "random_state": 0, "early_stopping": False}
CASES = {
    # estimator, rows, target, method of the net, axis of rows
    "npt": (NPTClassifier(**SMALL), X, y, "query", 1),
    "primal": (PrimalAttentionClassifier(**SMALL), X, y, "forward", 0),
    "transport": (OTTabularClassifier(**SMALL), X, y, "log_share", 0),
    "events": (TimeEventRegressor(**SMALL), EVENTS, RNG.random(60), "forward", 0),
    "pictures": (VisualParsingClassifier(**SMALL), PICTURES, y[:120:2], "forward", 0),
}


@pytest.mark.parametrize("case", CASES)
def test_predictions_do_not_fail_where_memory_is_short(case, monkeypatch):
    model, rows, target, method, dim = CASES[case]
    model.fit(rows, target)
    expected = model.predict(rows)
    small = SmallMemory(getattr(model.module_, method), 9, dim)
    monkeypatch.setattr(model.module_, method, small)
    with pytest.warns(UserWarning, match="too little memory"):
        found = model.predict(rows)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert sum(small.sizes) == len(target)  # each row once
    small.n_rows = len(target)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(model.predict(rows), expected, rtol=1e-9)
