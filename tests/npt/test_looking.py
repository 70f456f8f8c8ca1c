"""Where the net looked: attention maps and neighbours, against weights worked out by hand."""

import numpy as np
import pandas as pd
import pytest
import torch

from sklearn_selfattn.core.maps import AttentionMaps, as_attention_maps
from tests.npt.tables import classes_of, classifier, mixed_table, regressor


@pytest.fixture(scope="module")
def fitted():
    frame, target = mixed_table(80)
    return classifier(n_layers=2).fit(frame, classes_of(target))


@pytest.fixture(scope="module")
def queries():
    return mixed_table(12, seed=1)[0]


def test_cells_look_at_cells(fitted, queries):
    maps = fitted.attention_weights(queries)
    names = [*queries.columns, "target"]
    assert isinstance(maps, AttentionMaps)
    assert maps.query_labels == maps.key_labels == names
    assert (maps.query_axis, maps.key_axis) == ("cells", "cells")
    assert len(maps) == 2
    for layer in maps.weights:
        assert layer.shape == (12, 2, 6, 6)  # two members with one head each
        assert layer.dtype == np.float64
        np.testing.assert_allclose(layer.sum(axis=-1), 1, rtol=0, atol=1e-12)
        assert np.abs(layer[:, 0] - layer[:, 1]).max() > 1e-3
    assert maps.rollout().n_keys == 6
    np.testing.assert_array_equal(as_attention_maps(fitted, queries)[0], maps[0])


def test_rows_look_at_the_context_and_at_themselves(fitted, queries):
    maps = fitted.attention_weights(queries, between="rows")
    assert maps.query_labels == ["row"]
    assert maps.key_labels == [*range(80), "self"]
    assert (maps.query_axis, maps.key_axis) == ("rows", "context rows")
    for layer in maps.weights:
        assert layer.shape == (12, 4, 1, 81)  # two members with two heads each
        np.testing.assert_allclose(layer.sum(axis=-1), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize("architecture", ["rows", "cells", "paper"])
def test_weights_between_rows_are_those_of_the_net(architecture, queries):
    """Worked out from the first block's projections, one query at a time."""
    frame, target = mixed_table(50)
    model = regressor(architecture=architecture, early_stopping=False).fit(frame, target)
    maps = model.attention_weights(queries, between="rows", layer=0)
    attention = model.module_.blocks[0].rows
    cells = model._as_cells(model._encode_table(queries, reset=False))
    memory = model._memories[0]
    for i in (0, 5, 11):
        hidden = torch.zeros(1, 1, 6, dtype=torch.bool)
        hidden[..., -1] = True
        with torch.no_grad():
            H = model.module_.tokenizer(torch.as_tensor(cells[None, [i]]), hidden)
            Q, own, _ = attention.heads(H)  # (m, [d,] h, 1, c)
            scores = attention.scale * torch.cat([Q @ memory.keys.mT, Q @ own.mT], dim=-1)
        expected = torch.softmax(scores, dim=-1).reshape(-1, 51)
        np.testing.assert_allclose(maps[0][i, :, 0], expected.numpy(), rtol=0, atol=1e-10)


def test_one_layer_or_all(fitted, queries):
    whole = fitted.attention_weights(queries, between="rows")
    for layer in (0, 1, -1):
        one = fitted.attention_weights(queries, layer, between="rows")
        assert len(one) == 1
        np.testing.assert_array_equal(one[0], whole[layer])


def test_looking_changes_nothing(fitted, queries):
    before = fitted.predict_proba(queries)
    state = dict(vars(fitted))
    fitted.attention_weights(queries)
    fitted.neighbors(queries)
    fitted.predict_loo()
    fitted.impute(queries)
    assert all(vars(fitted)[name] is value for name, value in state.items())
    np.testing.assert_array_equal(fitted.predict_proba(queries), before)


def test_columns_without_names_are_numbered():
    X = np.random.RandomState(0).normal(size=(30, 3))
    model = regressor(max_epochs=2).fit(X, X[:, 0])
    assert model.attention_weights(X[:2]).key_labels == ["x0", "x1", "x2", "target"]


def test_maps_that_do_not_exist_are_refused(fitted, queries):
    with pytest.raises(ValueError, match="between has to be 'cells' or 'rows', got 'columns'"):
        fitted.attention_weights(queries, between="columns")
    with pytest.raises(ValueError, match="layer has to lie between -2 and 1, got 2"):
        fitted.attention_weights(queries, layer=2)
    frame, target = mixed_table(40)
    model = regressor(use_cell_attention=False, max_epochs=2).fit(frame, target)
    with pytest.raises(ValueError, match="needs use_cell_attention=True in fit"):
        model.attention_weights(queries)
    assert model.attention_weights(queries, between="rows").n_keys == 41


# --- neighbours -----------------------------------------------------------------------------


def test_neighbors_are_the_mean_attention_in_order(fitted, queries):
    table = fitted.neighbors(queries, n_neighbors=80)
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == ["query", "rank", "context_row", "weight", "target"]
    maps = fitted.attention_weights(queries, between="rows")
    mean = np.mean([layer.mean(axis=1)[:, 0] for layer in maps.weights], axis=0)  # (12, 81)
    for query, rows in table.groupby("query"):
        assert rows["rank"].tolist() == list(range(80))
        assert sorted(rows["context_row"]) == list(range(80))
        assert (np.diff(rows["weight"]) <= 0).all()
        np.testing.assert_allclose(
            rows["weight"], mean[query, rows["context_row"]], rtol=0, atol=1e-12
        )
        # what is not on the context is on the row itself
        assert rows["weight"].sum() == pytest.approx(1 - mean[query, -1], abs=1e-12)
        assert (rows["target"].to_numpy() == fitted.context_target_[rows["context_row"]]).all()


def test_fewer_neighbors_are_the_first_of_all(fitted, queries):
    everything = fitted.neighbors(queries, n_neighbors=80)
    few = fitted.neighbors(queries, n_neighbors=3)
    assert len(few) == 36
    assert len(fitted.neighbors(queries)) == 120
    first = everything[everything["rank"] < 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(few, first)


@pytest.mark.parametrize("n_neighbors", [0, 81])
def test_neighbors_that_do_not_exist_are_refused(fitted, queries, n_neighbors):
    words = f"n_neighbors has to lie between 1 and the 80 context rows, got {n_neighbors}"
    with pytest.raises(ValueError, match=words):
        fitted.neighbors(queries, n_neighbors=n_neighbors)


@pytest.mark.parametrize("make", [classifier, regressor])
def test_reliance_needs_a_repeat_and_known_labels(make):
    frame, target = mixed_table(40)
    target = classes_of(target) if make is classifier else target
    model = make(max_epochs=2).fit(frame, target)
    with pytest.raises(ValueError, match="n_repeats has to be at least 1, got 0"):
        model.context_reliance(frame, target, n_repeats=0)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.context_reliance(frame, target[:-1])
    if make is classifier:
        with pytest.raises(ValueError, match="labels that were not seen in fit"):
            model.context_reliance(frame, np.full(40, "huge"))
