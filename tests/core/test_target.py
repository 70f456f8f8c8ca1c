"""What is refused as a target, and in which words."""

import datetime
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor

from sklearn_selfattn.core.target import check_target

DAYS = ["2020-01-01", "2020-01-02", "2020-01-01"]
DATES = {
    "numpy": np.array(DAYS, dtype="datetime64[D]"),
    "durations": np.array([1, 2, 1], dtype="timedelta64[h]"),
    "pandas": pd.Series(pd.to_datetime(DAYS)),
    "time zone": pd.Series(pd.to_datetime(DAYS, utc=True)),
    "a missing one": pd.Series(pd.to_datetime([*DAYS[:2], None])),
    "polars": pl.Series([datetime.date(2020, 1, 1)] * 3),
    "list": [datetime.date(2020, 1, 1)] * 3,
    "Timestamps": np.array(list(pd.to_datetime(DAYS)), dtype=object),
}


@pytest.mark.parametrize("y", DATES.values(), ids=DATES)
def test_dates_are_refused(y):
    words = r"y holds dates or durations \(.*\), which DummyRegressor .* numbers first"
    with pytest.raises(TypeError, match=words):
        check_target(y, DummyRegressor())
    with pytest.raises(TypeError, match="which DummyClassifier .* text or whole numbers first"):
        check_target(y, DummyClassifier())


@pytest.mark.parametrize("estimator", [DummyRegressor(), DummyClassifier()])
@pytest.mark.parametrize("gap", [None, np.nan, pd.NA, pd.NaT], ids=repr)
def test_gaps_are_refused(estimator, gap):
    y = np.array([1.0, gap, 2.0], dtype=object)
    with pytest.raises(ValueError, match=r"Input y contains NaN. .* 1 of 3 .* the first in row 1"):
        check_target(y, estimator)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        check_target([1.0, np.nan, 2.0], estimator)


def test_text_for_a_regressor():
    for y in (["low", "high"], np.array(["low", "high"], dtype=object), pd.Series(["low", "high"])):
        with pytest.raises(ValueError, match="y has to hold numbers for DummyRegressor: .*'low'"):
            check_target(y, DummyRegressor())
        assert len(check_target(y, DummyClassifier())) == 2
    with pytest.raises(TypeError, match="y has to hold numbers for DummyRegressor: .*'dict'"):
        check_target(np.array([{}, 1], dtype=object), DummyRegressor())


@pytest.mark.parametrize(
    "y",
    [
        [1, 2],
        np.array([1, 2.0], dtype=object),
        [decimal.Decimal("1"), decimal.Decimal("2")],
        ["1", "2.0"],
        pd.Series([1, 2], dtype="Int64"),
        pl.Series([1, 2]),
    ],
    ids=lambda y: type(y).__name__,
)
def test_numbers_of_any_kind(y):
    checked = check_target(y, DummyRegressor())
    assert checked.dtype.kind in "if"
    np.testing.assert_array_equal(checked, [1, 2])
