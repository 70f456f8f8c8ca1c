"""The shipped weights in an estimator: when they are used, on what, and what they promise."""

import copy
import json
import pickle
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import skops.io
import torch
from sklearn.base import clone

from sklearn_selfattn import NPTClassifier, NPTRegressor
from sklearn_selfattn.npt import context, pretrained, weights
from sklearn_selfattn.npt.weights import load_weights
from tests.npt.tables import SMALL, classes_of, mixed_table

N_CONTEXT = 60
QUICK = {"n_estimators": 2, "random_state": 0}
MAKERS = {"classifier": NPTClassifier, "regressor": NPTRegressor}
FITTED = {}
every_kind = pytest.mark.parametrize("kind", MAKERS)


def make(kind, **changed):
    return MAKERS[kind](**{**QUICK, **changed})


def table(kind, n_rows=N_CONTEXT, seed=0):
    frame, target = mixed_table(n_rows, seed)
    return frame, classes_of(target) if kind == "classifier" else target


def fit(kind):
    """Return a model of a mixed table, fitted once, and queries."""
    if kind not in FITTED:
        FITTED[kind] = make(kind).fit(*table(kind))
    return copy.deepcopy(FITTED[kind]), table(kind, 25, seed=1)[0]


def output(model, X):
    return model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X)


def assert_close(one, other, atol=1e-9):
    np.testing.assert_allclose(one, other, rtol=0, atol=atol)


def noise(n_rows, n_columns, n_classes=2, seed=0):
    rng = np.random.RandomState(seed)
    return rng.normal(size=(n_rows, n_columns)), np.arange(n_rows) % n_classes


# --- the rule -----------------------------------------------------------------------------------

BEYOND = {
    "rows": (noise(60, 3), "60 rows", "each member sees 50 of the rows"),
    "columns": (noise(40, 6), "6 columns", "each member sees 5 of the columns"),
    "classes": (noise(48, 3, 12), "12 classes", "each member tells 10 groups of classes apart"),
    "all": (noise(60, 6, 12), "60 rows and 6 columns and 12 classes", "rows; .*columns; .*classes"),
}


@pytest.fixture
def low_limits(monkeypatch):
    monkeypatch.setattr(pretrained, "MAX_ROWS", 50)
    monkeypatch.setattr(pretrained, "MAX_COLUMNS", 5)
    monkeypatch.setattr(context, "CONTEXT_ROWS", 50)
    monkeypatch.setattr(pretrained, "CONTEXT_ROWS", 50)


@every_kind
def test_within_the_limits_the_weights_are_used_without_a_word(kind):
    model, _ = fit(kind)
    assert model.weights_ == load_weights()[1]["sha256"]
    assert model.history_ == [] and model.n_iter_ == 0
    assert model.n_context_ == N_CONTEXT
    scratch = make(kind, **{**SMALL, "max_epochs": 1}).fit(*table(kind))
    assert scratch.weights_ is None and scratch.n_iter_ == 1


@pytest.mark.parametrize(("data", "found", "done"), BEYOND.values(), ids=BEYOND)
def test_auto_trains_beyond_the_limits_and_says_so(low_limits, data, found, done):
    model = NPTClassifier(**{**SMALL, "pretrained": "auto", "max_epochs": 1})
    with pytest.warns(UserWarning, match=f"has {found}, .* 50 rows, 5 columns, 10 classes") as told:
        model.fit(*data)
    assert [warning.filename for warning in told] == [__file__]
    assert model.weights_ is None and model.n_iter_ == 1


@pytest.mark.parametrize(("data", "found", "done"), BEYOND.values(), ids=BEYOND)
def test_true_uses_them_all_the_same_and_says_how(low_limits, data, found, done):
    (X, y), n_columns, n_seen = data, min(data[0].shape[1], 5), min(len(data[0]), 50)
    with pytest.warns(UserWarning, match=f"has {found}, .*: .*{done}") as told:
        model = make("classifier", pretrained=True).fit(X, y)
    assert [warning.filename for warning in told] == [__file__]
    assert model._member_rows.shape == (2, n_seen)
    assert model.module_.order.shape == (2, n_columns)
    assert_close(model.predict_proba(X[:7]).sum(axis=1), 1)
    assert_close(model.predict_proba(X[3:4]), model.predict_proba(X[:7])[3:4])
    assert model.predict_loo("predict_proba").shape == (model.n_context_, len(np.unique(y)))
    maps = model.attention_weights(X[:3])
    assert all(layer.shape[2:] == (X.shape[1] + 1,) * 2 for layer in maps.weights)
    rows = model.attention_weights(X[:3], layer=0, between="rows").weights[0]
    assert ((rows[..., :-1] > 0).sum(axis=-1) == n_seen).all()  # others of the context are not seen


def test_many_classes_are_told_apart():
    rng = np.random.RandomState(0)
    label = np.arange(144) % 12
    X = np.column_stack([label % 4, label // 4]) * 5.0 + rng.normal(scale=0.5, size=(144, 2))
    with pytest.warns(UserWarning, match="12 classes"):
        model = NPTClassifier(pretrained=True, random_state=0).fit(X[:96], label[:96])
    assert model.score(X[96:], label[96:]) > 0.8


# --- the file ------------------------------------------------------------------------------------


def damaged(how):
    """Return the bytes of a weights file with something wrong in them."""
    whole = (weights.FOLDER / f"{weights.DEFAULT}.npz").read_bytes()
    if how == "cut off":
        return whole[: len(whole) // 2]
    if how == "altered":
        middle = len(whole) // 2
        return whole[:middle] + bytes(b ^ 255 for b in whole[middle : middle + 64]) + whole[-1:]
    return {"empty": b"", "text": b"weights", "an array": b"\x93NUMPY\x01\x00"}[how]


@pytest.mark.parametrize("how", ["missing", "cut off", "altered", "empty", "text", "an array"])
def test_without_a_whole_file_nothing_is_lost(how, tmp_path, monkeypatch):
    model, queries = fit("regressor")
    before, state = output(model, queries), dict(vars(model))
    path = tmp_path / f"{weights.DEFAULT}.npz"
    if how != "missing":
        path.write_bytes(damaged(how))
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    error = FileNotFoundError if how == "missing" else ValueError
    with pytest.raises(error, match="pretrained=False") as told:
        model.fit(*table("regressor"))
    assert str(path) in str(told.value)
    assert vars(model) == state
    np.testing.assert_array_equal(output(model, queries), before)
    copied = pickle.loads(pickle.dumps(model))  # which needs no file
    np.testing.assert_array_equal(output(copied, queries), before)
    assert make("regressor", **SMALL).fit(*table("regressor")).weights_ is None


def test_bytes_that_differ_are_noticed_or_without_effect(tmp_path):
    whole = (weights.FOLDER / f"{weights.DEFAULT}.npz").read_bytes()
    path, expected = tmp_path / "altered.npz", load_weights()[0].state_dict()
    for place in np.random.RandomState(0).randint(len(whole), size=25):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            found = load_weights(path)[0].state_dict()
        except ValueError as error:
            assert "altered.npz are damaged" in str(error)
        else:
            assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("change", ["an array", "the sizes", "no facts"])
def test_a_file_with_other_contents_is_refused(change, tmp_path):
    path = weights.FOLDER / f"{weights.DEFAULT}.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    facts = json.loads(str(arrays["facts"]))
    if change == "an array":
        arrays["thinking"] = arrays["thinking"] + np.float16(0.1)
    elif change == "the sizes":
        facts["config"]["d_model"] *= 2
        arrays["facts"] = np.array(json.dumps(facts))
    else:
        del arrays["facts"]
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(ValueError, match=r"other.npz are damaged: .+[\w']\. .* pretrained=False"):
        load_weights(tmp_path / "other.npz")


def test_no_network_and_no_global_random_state(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    model = make("classifier").fit(*table("classifier"))
    output(model, table("classifier", 5)[0])
    model.predict_loo()
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


# --- exactness ------------------------------------------------------------------------------------


@every_kind
def test_alone_among_others_in_any_order_and_in_chunks(kind, monkeypatch):
    model, queries = fit(kind)
    together = output(model, queries)
    assert together.std(axis=0).min() > 1e-3
    for i in (0, 7, 24):
        assert_close(output(model, queries.iloc[[i]]), together[[i]])
    order = np.random.RandomState(0).permutation(25)
    assert_close(output(model, queries.iloc[order]), together[order])
    sizes, query = [], model.module_.query

    def counted(cells, *rest):
        sizes.append(cells.shape[1])
        return query(cells, *rest)

    monkeypatch.setattr(model.module_, "query", counted)
    one = model.module_.per_query(model._memories)
    assert one >= 2 * 6 * model.module_.net.config.d_model  # tokens of a row, of either member
    monkeypatch.setattr(context, "NUMBERS_AT_ONCE", 7 * one)
    assert_close(output(model, queries), together)
    assert max(sizes) <= 7 and sum(sizes) == 25


@every_kind
def test_order_of_rows_and_columns_of_the_table_does_not_matter(kind):
    model, queries = fit(kind)
    frame, target = table(kind)
    rng = np.random.RandomState(0)
    rows, columns = rng.permutation(N_CONTEXT), rng.permutation(frame.columns)
    other = make(kind).fit(frame.iloc[rows][columns], target[rows])
    assert_close(output(other, queries[columns]), output(model, queries))


def test_large_tables_are_predicted_in_float32(monkeypatch):
    model, queries = fit("classifier")
    assert {p.dtype for p in model.module_.parameters()} == {torch.float64}
    monkeypatch.setattr("sklearn_selfattn.npt.base.EXACT_CELLS", 50)
    single = make("classifier").fit(*table("classifier"))
    assert {p.dtype for p in single.module_.parameters()} == {torch.float32}
    assert_close(output(single, queries), output(model, queries), atol=1e-4)
    assert_close(output(single, queries.iloc[[4]]), output(single, queries)[[4]], atol=1e-5)


@every_kind
def test_copies_predict_the_same_bits(kind):
    model, queries = fit(kind)
    before = output(model, queries)
    saved = skops.io.dumps(model)
    restored = skops.io.loads(saved, trusted=skops.io.get_untrusted_types(data=saved))
    refitted = clone(model).fit(*table(kind))
    for other in (pickle.loads(pickle.dumps(model)), restored, refitted):
        np.testing.assert_array_equal(output(other, queries), before)
        np.testing.assert_array_equal(other.predict_loo(), model.predict_loo())
        assert other.weights_ == model.weights_


@every_kind
def test_fits_in_threads_give_the_same_bits(kind):
    model, queries = fit(kind)
    with ThreadPoolExecutor(2) as pool:
        models = list(pool.map(lambda _: make(kind).fit(*table(kind)), range(3)))
    for other in models:
        np.testing.assert_array_equal(output(other, queries), output(model, queries))


def test_a_model_of_a_device_that_is_not_here_predicts_and_imputes():
    model, queries = fit("classifier")
    before, filled = output(model, queries), model.impute(queries)
    model.device = "cuda:99"
    elsewhere = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(output(elsewhere, queries), before)
    assert elsewhere.impute(queries).equals(filled)
