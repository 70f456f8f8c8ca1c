"""Missing cells are filled with what the rest of the row tells."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tests.npt.tables import classifier, mixed_table, regressor


def correlated(n_rows, seed):
    """Return a table of two hidden causes: every cell can be told from the others."""
    rng = np.random.RandomState(seed)
    cause = rng.normal(size=(n_rows, 2))
    noise = 0.1 * rng.normal(size=(n_rows, 4))
    return pd.DataFrame(
        {
            "a": cause[:, 0] + noise[:, 0],
            "b": 50 + 10 * (cause[:, 0] + noise[:, 1]),
            "c": cause[:, 1] + noise[:, 2],
            "d": cause[:, 1] - cause[:, 0] + noise[:, 3],
            "sign": np.where(cause[:, 0] > 0, "up", "down"),
        },
        index=[f"row {i}" for i in range(n_rows)],
    )


def with_holes(frame, seed, share=0.2):
    holes = np.random.RandomState(seed).rand(*frame.shape) < share
    return frame.mask(holes), holes


def test_imputation_is_far_better_than_column_means():
    train, whole = correlated(400, 0), correlated(200, 1)
    table, holes = with_holes(whole, 2)
    model = regressor(
        n_estimators=1, max_epochs=40, batch_size=128, feature_mask_prob=0.3,
        feature_loss_weight=1.0, early_stopping=False,
    ).fit(train, train["a"] + train["c"])  # fmt: skip
    filled = model.impute(table)
    ratios = []
    for j, name in enumerate("abcd"):
        hole, truth = holes[:, j], whole[name]
        error = np.sqrt(((filled[name] - truth)[hole] ** 2).mean())
        ratios.append(error / np.sqrt(((train[name].mean() - truth)[hole] ** 2).mean()))
    assert np.mean(ratios) < 0.7
    assert max(ratios) < 0.95
    right = (filled["sign"] == whole["sign"])[holes[:, 4]].mean()
    most_frequent = (train["sign"].mode()[0] == whole["sign"])[holes[:, 4]].mean()
    assert right > 0.85
    assert most_frequent < 0.6


def test_a_cell_that_follows_from_another_needs_attention_between_cells():
    """Column by column nothing is known of a hidden cell but how frequent its values are."""
    rng = np.random.RandomState(0)

    def table(n_rows):
        codes = rng.randint(4, size=(n_rows, 2))
        return np.column_stack([codes, (codes[:, 0] + 1) % 4]).astype(float)

    train, whole = table(400), table(200)
    holes = whole.copy()
    holes[:, 2] = np.nan
    right = []
    for use_cell_attention in (True, False):
        model = regressor(
            architecture="cells", use_cell_attention=use_cell_attention, n_estimators=1,
            categorical_features=[0, 1, 2], feature_mask_prob=0.4, feature_loss_weight=1.0,
            max_epochs=40, batch_size=64, early_stopping=False,
        ).fit(train, rng.normal(size=400))  # fmt: skip
        right.append(np.mean(model.impute(holes)[:, 2] == whole[:, 2]))
    assert right[0] > 0.95
    assert right[1] < 0.4


@pytest.fixture(scope="module")
def mixed():
    frame, target = mixed_table(100)
    return regressor(feature_mask_prob=0.2, feature_loss_weight=0.5).fit(frame, target)


def test_what_was_there_stays_and_nothing_is_missing(mixed):
    frame, _ = mixed_table(30, seed=1)
    frame.index = np.arange(30) * 3
    given = frame.copy()
    filled = mixed.impute(frame)
    pd.testing.assert_frame_equal(frame, given)
    assert isinstance(filled, pd.DataFrame)
    assert list(filled.columns) == list(frame.columns)
    assert (filled.index == frame.index).all()
    assert not filled.isna().any().any()
    for name in frame:
        there = frame[name].notna()
        if frame[name].dtype == float:  # scaled and back
            np.testing.assert_array_equal(filled[name][there], frame[name][there])
        else:
            assert (filled[name][there] == frame[name][there]).all()
    assert set(filled["colour"]) <= {"red", "green", "blue"}


def test_unknown_categories_count_as_missing(mixed):
    frame, _ = mixed_table(10, seed=1)
    frame["colour"] = "violet"
    assert set(mixed.impute(frame)["colour"]) <= {"red", "green", "blue"}


def test_rows_are_filled_alone_as_among_others(mixed):
    frame, _ = mixed_table(30, seed=2)
    whole = mixed.impute(frame)
    for i in (0, 3, 14):
        alone = mixed.impute(frame.iloc[[i]])
        assert alone["colour"].iloc[0] == whole["colour"].iloc[i]
        assert alone["size"].iloc[0] == pytest.approx(whole["size"].iloc[i], abs=1e-9)


def test_kind_of_table_is_that_of_fit():
    frame, target = mixed_table(60)
    from_polars = regressor(max_epochs=3).fit(pl.from_pandas(frame), target)
    filled = from_polars.impute(pl.from_pandas(frame))
    assert isinstance(filled, pl.DataFrame)
    assert filled.columns == list(frame.columns)
    assert sum(filled.null_count().row(0)) == 0
    from_objects = regressor(max_epochs=3).fit(frame.to_numpy(dtype=object), target)
    filled = from_objects.impute(frame.to_numpy(dtype=object))
    assert filled.dtype == object
    assert not pd.isna(filled).any()
    X = np.random.RandomState(0).normal(size=(40, 3))
    numbers = regressor(max_epochs=3).fit(X, X[:, 0])
    X[::3, 1] = np.nan
    filled = numbers.impute(X)
    assert filled.dtype == np.float64
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[~np.isnan(X)], X[~np.isnan(X)])


def test_columns_without_a_cell_and_outliers_are_filled_with_numbers():
    frame, target = mixed_table(60)
    frame["empty"] = np.nan
    model = regressor(max_epochs=3).fit(frame, target)
    frame.loc[3, "size"] = 1e9
    filled = model.impute(frame)
    assert np.isfinite(filled["empty"]).all()
    assert filled.loc[3, "size"] == 1e9
    # what is filled in lies where numbers of the column can lie
    assert filled["size"].drop(3).abs().max() < 100


def test_a_net_that_has_not_learnt_it_says_so():
    frame, target = mixed_table(40)
    for off in ({"feature_mask_prob": 0.0}, {"feature_loss_weight": 0.0}):
        model = classifier(max_epochs=2, **off).fit(frame, target > 9)
        with pytest.raises(ValueError, match="fit with feature_mask_prob > 0 and"):
            model.impute(frame)
