"""A prediction depends on the row and the context alone, to 1e-10, however it is asked for."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_selfattn.npt import context
from tests.npt.tables import classes_of, classifier, mixed_table, regressor

N_CONTEXT = 90
quick = settings(derandomize=True, deadline=None, max_examples=15)
every_kind = pytest.mark.parametrize(
    "fitted", ["rows", "cells", "paper", "regressor"], indirect=True
)


def fit(kind):
    frame, target = mixed_table(N_CONTEXT)
    if kind == "regressor":
        return regressor().fit(frame, target)
    return classifier(architecture=kind).fit(frame, classes_of(target))


MODELS = {}


@pytest.fixture
def fitted(request):
    """Return a model of a kind, trained once, with missing cells and categories in its context."""
    if request.param not in MODELS:
        MODELS[request.param] = fit(request.param)
    return copy.deepcopy(MODELS[request.param])


def output(model, X):
    return model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X)


def assert_close(one, other):
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-10)


@every_kind
def test_the_cache_is_the_forward_pass(fitted):
    """Context and queries through the net at once, targets of queries hidden: the same."""
    frame, _ = mixed_table(40, seed=1)
    cells = fitted._as_cells(fitted._encode_table(frame, reset=False))
    assert np.isnan(cells[:, :-1]).any()
    cells[:, -1] = 0.0  # there, but not to be seen
    together = np.concatenate([fitted._context, cells])
    hidden = np.zeros(together.shape, dtype=bool)
    hidden[N_CONTEXT:, -1] = True
    with torch.inference_mode():
        tensors = [torch.as_tensor(part).expand(2, *part.shape) for part in (together, hidden)]
        H = fitted.module_(*tensors, N_CONTEXT)
        uncached = fitted._combine(fitted.module_.target(H), None)
    assert_close(fitted._raw_predict(frame), uncached)
    assert uncached.std(axis=0).min() > 1e-3


@every_kind
def test_alone_among_others_and_in_any_order(fitted):
    frame, _ = mixed_table(60, seed=2)
    together = output(fitted, frame)
    for i in (0, 3, 7, 59):
        assert_close(output(fitted, frame.iloc[[i]]), together[[i]])

    @given(st.permutations(range(60)), st.integers(1, 60))
    @quick
    def some_in_another_order(order, n_rows):
        rows = order[:n_rows]
        assert_close(output(fitted, frame.iloc[rows]), together[rows])

    some_in_another_order()


@every_kind
def test_order_of_the_context_does_not_matter(fitted):
    frame, target = mixed_table(N_CONTEXT)
    target = classes_of(target) if hasattr(fitted, "classes_") else target
    queries, _ = mixed_table(30, seed=3)
    before = output(fitted, queries)
    assert_close(output(fitted.set_context(frame, target), queries), before)
    order = np.random.RandomState(0).permutation(N_CONTEXT)
    fitted.set_context(frame.iloc[order], target[order])
    if hasattr(fitted, "classes_"):
        assert (fitted.context_target_ == target[order]).all()
    else:
        assert_close(fitted.context_target_, target[order])
    assert_close(output(fitted, queries), before)


@every_kind
@pytest.mark.parametrize("n_rows", [1, 2, 63, 500])
def test_chunks_do_not_show(fitted, n_rows, monkeypatch):
    frame, _ = mixed_table(n_rows, seed=4)
    whole = output(fitted, frame)
    sizes = []
    module_query = fitted.module_.query

    def counted(cells, *rest):
        sizes.append(cells.shape[1])
        return module_query(cells, *rest)

    monkeypatch.setattr(fitted.module_, "query", counted)
    keys = fitted._memories[0].keys
    per_query = keys[..., 0, 0].numel() * (N_CONTEXT + 1)
    monkeypatch.setattr(context, "NUMBERS_AT_ONCE", 7 * per_query)
    assert_close(output(fitted, frame), whole)
    assert max(sizes) <= 7
    assert sum(sizes) == n_rows
    monkeypatch.setattr(context, "NUMBERS_AT_ONCE", 1)  # never less than a row at a time
    assert_close(output(fitted, frame), whole)


@every_kind
def test_asking_again_gives_the_same_bits(fitted):
    frame, _ = mixed_table(20, seed=5)
    row = frame.iloc[[4]]
    first = output(fitted, row)
    output(fitted, frame)
    for _ in range(3):
        np.testing.assert_array_equal(output(fitted, row), first)


@every_kind
def test_a_copy_predicts_the_same_bits(fitted):
    frame, _ = mixed_table(40, seed=6)
    expected = output(fitted, frame)
    for copied in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(output(copied, frame), expected)
        np.testing.assert_array_equal(copied.predict_loo(), fitted.predict_loo())
        # and has a context of its own
        half, target = mixed_table(30, seed=7)
        target = classes_of(target) if hasattr(fitted, "classes_") else target
        copied.set_context(half, target)
        assert fitted.n_context_ == N_CONTEXT
        assert not np.array_equal(output(copied, frame), expected)
        np.testing.assert_array_equal(output(fitted, frame), expected)


def test_a_copy_of_a_sampled_context_keeps_the_sample():
    frame, target = mixed_table(N_CONTEXT)
    model = regressor(context_size=20).fit(frame, target)
    queries, _ = mixed_table(20, seed=1)
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.predict(queries), model.predict(queries))
    np.testing.assert_array_equal(copied.context_target_, model.context_target_)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision_is_what_was_asked_for(dtype):
    frame, target = mixed_table(N_CONTEXT)
    model = regressor(dtype=dtype).fit(frame, target)
    assert {p.dtype for p in model.module_.parameters()} == {getattr(torch, dtype)}
    assert model.predict(frame).dtype == np.float64
