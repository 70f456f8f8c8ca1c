"""The columns of an array or a frame, each as floats or as Python objects."""

import datetime
from collections import Counter
from numbers import Number
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from narwhals.exceptions import DuplicateError


class Column:
    """The cells of one column: floats where its type is numeric, else Python objects."""

    __slots__ = ("is_category", "order", "values")

    def __init__(
        self,
        values: np.ndarray | list[Any],
        is_category: bool,
        order: list[Any] | None = None,
    ) -> None:
        self.values = values  # ndarray of float64, or list of objects
        self.is_category = is_category
        self.order = order  # categories in their order, for ordered types


def frame_library(X: Any) -> Any:
    """Name the library of an eager frame, None for anything else."""
    try:
        frame = nw.from_native(X, pass_through=True)
    except DuplicateError:
        times = Counter(map(str, X.columns))
        twice = ", ".join(f"{name!r} {n} times" for name, n in times.items() if n > 1)
        raise ValueError(
            f"X has to have unique column names, got {twice}; rename them, or give an array."
        ) from None
    return frame.implementation.value if isinstance(frame, nw.DataFrame) else None


def read_columns(X: Any) -> tuple[list[str | int], list[Column]]:
    """Return the names and the columns of a frame or an array."""
    if isinstance(X, np.ndarray):
        names: list[str | int] = list(range(X.shape[1]))
        if X.dtype.kind in "fiu":
            return names, [Column(column, False) for column in X.T.astype(np.float64)]
        return names, [_read_objects(column.tolist(), name) for name, column in enumerate(X.T)]
    frame = nw.from_native(X, eager_only=True)  # one face for pandas, polars and pyarrow
    schema = list(frame.schema.items())
    names = [name for name, _ in schema]
    return names, [_read_series(frame[:, j], *item) for j, item in enumerate(schema)]


def _read_series(series: Any, name: str, dtype: Any) -> Column:
    """Return one column of a frame."""
    if dtype.is_numeric():
        values = series.to_numpy()
        return Column(
            to_numbers(values.tolist() if values.dtype == object else values, name), False
        )
    if dtype.is_temporal():
        raise TypeError(dates_message(name, dtype))
    if dtype.is_nested():
        raise TypeError(f"Column {name!r} holds {dtype} cells; {_KINDS}.")
    values = series.to_list()
    if isinstance(dtype, nw.Enum):  # what narwhals calls an ordered category
        return Column(values, True, order=list(dtype.categories))
    if isinstance(dtype, (nw.Categorical, nw.Boolean)):
        return Column(values, True)
    if isinstance(dtype, nw.String) and str(series.to_native().dtype) != "object":
        return Column(values, True)
    return _read_objects(values, name)


def _read_objects(values: list[Any], name: str | int) -> Column:
    """Decide by its cells what a column of Python objects holds."""
    kinds = {type(value) for value in values if not is_missing(value)}
    for kind in kinds:
        if issubclass(kind, _DATES):
            raise TypeError(dates_message(name, kind.__name__))
        if issubclass(kind, complex):
            raise ValueError(f"Complex data not supported\nColumn {name!r} holds complex numbers.")
        if not (issubclass(kind, (str, bytes, np.bool_)) or issubclass(kind, Number)):
            raise TypeError(
                f"Column {name!r}: the cell's argument must be a string or a number, "
                f"not '{kind.__name__}'."
            )
    has_text = any(issubclass(kind, (str, bytes)) for kind in kinds)
    if has_text or (kinds and kinds <= {bool, np.bool_}):
        return Column(values, True)
    return Column(to_numbers(values, name), False)


_KINDS = "a cell has to be a string or a number"
_DATES = (
    datetime.date,  # and with it datetime and pandas' Timestamp
    datetime.time,
    datetime.timedelta,
    np.datetime64,
    np.timedelta64,
)


def dates_message(name: str | int, kind: object) -> str:
    """Say what to do about a column of dates."""
    return (
        f"Column {name!r} holds dates or durations ({kind}), which are neither numbers nor "
        "categories. Turn it into numbers first, for example days since a fixed date, "
        "month and weekday."
    )


def cells_of_dates(values: np.ndarray) -> str | None:
    """Name the type of dates or durations that an array holds, None where it holds none."""
    if values.dtype.kind in "mM":
        return str(values.dtype)
    if values.dtype == object:
        for kind in {type(value) for value in values.flat}:
            if issubclass(kind, _DATES) and kind.__name__ != "NaTType":
                return kind.__name__
    return None


def is_missing(value: Any) -> bool:
    """Say whether a cell is None, NaN, `pandas.NA` or `NaT`."""
    if value is None:
        return True
    if isinstance(value, (float, np.floating)):
        return value != value
    return type(value).__name__ in ("NAType", "NaTType")


def to_numbers(values: np.ndarray | list[Any], name: str | int) -> np.ndarray:
    """Return the cells of a numeric column as floats, NaN where they are missing."""
    if isinstance(values, np.ndarray):
        return values.astype(np.float64)
    try:
        return np.array([np.nan if is_missing(value) else float(value) for value in values])
    except ValueError as error:
        raise ValueError(
            f"Column {name!r} should hold numbers only: {error}. To treat it as categorical, "
            "name it in `categorical_features` or give it a categorical type."
        ) from None
