import decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import clone

from sklearn_selfattn.core.table import TableEncoder

NAN = np.nan


def one_column(values, **options):
    """Encode a single column; return the encoder and the column."""
    X = values.to_frame() if isinstance(values, (pd.Series, pl.Series)) else values
    encoder = TableEncoder(**options)
    return encoder, encoder.fit(X).transform(X)[:, 0]


def assert_column(values, expected, categories, **options):
    encoder, column = one_column(values, **options)
    np.testing.assert_array_equal(column, expected)
    assert column.dtype == np.float64
    found = encoder.categories_[0]
    assert (found if found is None else found.tolist()) == categories
    assert encoder.n_categories_.tolist() == [len(categories or [])]
    assert encoder.is_categorical_.tolist() == [categories is not None]


def objects(*cells):
    column = np.empty((len(cells), 1), dtype=object)
    column[:, 0] = cells
    return column


CATEGORIES = [
    pytest.param(pd.Series(["b", None, "a", "b"], dtype="str"), id="pandas-str"),
    pytest.param(pd.Series(["b", None, "a", "b"], dtype="object"), id="pandas-object"),
    pytest.param(pd.Series(["b", None, "a", "b"], dtype="string"), id="pandas-string"),
    pytest.param(pd.Series(["b", None, "a", "b"], dtype="category"), id="pandas-category"),
    pytest.param(
        pd.Series(pd.Categorical(["b", None, "a", "b"], categories=["b", "z", "a"])),
        id="pandas-unsorted-category",
    ),
    pytest.param(pl.Series("x", ["b", None, "a", "b"]), id="polars-string"),
    pytest.param(pl.Series("x", ["b", None, "a", "b"], dtype=pl.Categorical), id="polars-cat"),
    pytest.param(
        pl.Series("x", ["b", None, "a", "b"], dtype=pl.Enum(["a", "b", "z"])), id="polars-enum"
    ),
    pytest.param(pl.Series("x", ["b", None, "a", "b"], dtype=pl.Object), id="polars-object"),
    pytest.param(objects("b", None, "a", "b"), id="objects-None"),
    pytest.param(objects("b", NAN, "a", "b"), id="objects-nan"),
    pytest.param(objects("b", pd.NA, "a", "b"), id="objects-NA"),
    pytest.param([["b"], [None], ["a"], ["b"]], id="list"),
]


@pytest.mark.parametrize("values", CATEGORIES)
def test_text_columns_become_codes(values):
    assert_column(values, [1, NAN, 0, 1], ["a", "b"])


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([True, None, False, True], dtype="boolean"),
        pd.Series([True, None, False, True], dtype=object),
        pl.Series("x", [True, None, False, True]),
        objects(True, None, False, np.True_),
    ],
    ids=["pandas", "pandas-object", "polars", "objects"],
)
def test_bools_become_codes(values):
    assert_column(values, [1, NAN, 0, 1], [False, True])


def test_bool_arrays_become_codes():
    assert_column(np.array([[True], [False]]), [1, 0], [False, True])
    assert_column(np.array([[True], [True]]), [0, 0], [True])  # what was not seen has no code


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1.5, None, -2, 3]),
        pd.Series([1.5, None, -2, 3], dtype="Float64"),
        pd.Series([1.5, None, -2, 3], dtype=object),
        pd.Series([1.5, None, -2, 3], dtype="float64[pyarrow]"),
        pl.Series("x", [1.5, None, -2, 3]),
        pl.Series("x", [1.5, None, -2, 3]).cast(pl.Decimal(10, 2)),
        objects(1.5, None, -2, True + 2),
        objects(decimal.Decimal("1.5"), pd.NA, np.int8(-2), np.float32(3)),
        [[1.5], [None], [-2], [3]],
        np.array([[1.5], [NAN], [-2], [3]], dtype=np.float32),
    ],
)
def test_numbers_stay(values):
    assert_column(values, [1.5, NAN, -2, 3], None)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "Int32", "UInt16", "int64[pyarrow]"])
def test_integers_stay(dtype):
    assert_column(pd.Series([3, 1, 2], dtype=dtype), [3, 1, 2], None)
    assert_column(pl.Series("x", [3, 1, 2], dtype=pl.Int16), [3, 1, 2], None)


def test_ordered_categories_keep_their_order():
    sizes = ["small", "medium", "large", "huge"]
    values = ["large", "small", None, "medium"]
    ordered = pd.Series(pd.Categorical(values, categories=sizes, ordered=True))
    enum = pl.Series("x", values, dtype=pl.Enum(sizes))
    for column in (ordered, enum):  # "huge" does not occur, so it has no code
        assert_column(column, [2, 0, NAN, 1], ["small", "medium", "large"])


def test_numbers_beside_text_are_categories():
    assert_column(objects("a", 10, 2, "10"), [3, 1, 0, 2], [2, 10, "10", "a"])
    assert_column([[1], ["a"]], [0, 1], [1, "a"])  # numpy alone would make "1" of 1


def test_columns_without_a_number():
    text = pd.array([None] * 3, dtype="string")
    frame = pd.DataFrame({"none": [None] * 3, "nan": [NAN] * 3, "text": text})
    schema = {"none": pl.Null, "nan": pl.Float64, "text": pl.String}
    for X in (frame, pl.DataFrame([[None] * 3] * 3, schema=schema)):
        encoder = TableEncoder().fit(X)
        assert np.isnan(encoder.transform(X)).all()
        assert encoder.n_categories_.tolist() == [0, 0, 0]
        assert encoder.is_categorical_.tolist() == [False, False, True]
    assert np.isnan(TableEncoder().fit(frame.iloc[:, :2]).transform(frame.iloc[:, :2])).all()


def test_unseen_categories_and_changed_types():
    fitted = TableEncoder().fit(
        pd.DataFrame({"text": ["a", "b"], "number": [1, 2], "flag": [True, False]})
    )
    X = pd.DataFrame(
        {
            "text": pd.Categorical(["b", "new", None]),
            "number": [None, None, None],
            "flag": [0, 1, 2],
        }
    )
    np.testing.assert_array_equal(
        fitted.transform(X), [[1, NAN, 0], [NAN, NAN, 1], [NAN, NAN, NAN]]
    )
    X = X.assign(number=["1.5", "2", None])  # text that is a number, in a column of numbers
    np.testing.assert_array_equal(fitted.transform(X)[:, 1], [1.5, 2, NAN])
    with pytest.raises(ValueError, match=r"Column 'number' .*could not convert string.*'x'"):
        fitted.transform(X.assign(number=["x", "2", None]))


def test_rarer_categories_share_a_code():
    cells = ["a"] * 3 + ["b"] * 1 + ["c"] * 2 + ["d"] * 1
    values = np.array(cells, dtype=object).reshape(-1, 1)
    encoder, column = one_column(values, max_categories=3)
    assert encoder.categories_[0].tolist() == ["a", "c", "(other)"]
    np.testing.assert_array_equal(column, [0, 0, 0, 2, 1, 1, 2])
    unseen = encoder.transform([["e"], ["d"]])
    np.testing.assert_array_equal(unseen, [[NAN], [2]])
    assert TableEncoder(max_categories=4).fit(values).categories_[0].tolist() == list("abcd")


def test_a_category_called_other_is_none_of_the_rest():
    cells = ["(other)"] * 3 + ["b", "c", "d"]
    values = np.array(cells, dtype=object).reshape(-1, 1)
    encoder, column = one_column(values, max_categories=3)
    assert column[:3].tolist() == [0, 0, 0]
    assert column[0] not in column[3:]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("from_dtype", [False, True, False]),
        ([True, True, False], [True, True, False]),
        ([0, 1], [True, True, False]),
        (["n", "text"], [True, True, False]),
        (np.array(["text"]), [False, True, False]),
        (("text",), [False, True, False]),
    ],
)
def test_categorical_features(chosen, expected):
    X = pd.DataFrame({"n": [3, 1, 3], "text": ["a", "b", "a"], "x": [0.5, 1.5, NAN]})
    encoder = TableEncoder(categorical_features=chosen).fit(X)
    assert encoder.is_categorical_.tolist() == expected
    codes = [1, 0, 1] if expected[0] else [3, 1, 3]
    np.testing.assert_array_equal(encoder.transform(X)[:, 0], codes)


def test_no_categorical_features():
    np.testing.assert_array_equal(
        TableEncoder(None).fit_transform([[True, 2], [False, NAN]]), [[1, 2], [0, NAN]]
    )
    np.testing.assert_array_equal(TableEncoder([]).fit_transform([[1.0]]), [[1.0]])
    for chosen in (None, [1]):
        with pytest.raises(ValueError, match="Column 0 .*name it in `categorical_features`"):
            TableEncoder(chosen).fit_transform(np.array([["a", 1]], dtype=object))


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ("dtype", "'from_dtype', None or an array-like of bools"),
        ([True], "mask of 1 columns, but X has 2"),
        ([2], r"column indices in 0..1, got \[2\]"),
        ([-1], "column indices"),
        (["a", "z"], r"does not have: \['z'\]"),
        ([[0, 1]], "1-D"),
        ([0.5], "array-like of type float64"),
    ],
)
def test_categorical_features_that_do_not_fit(chosen, words):
    X = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0]})
    with pytest.raises(ValueError, match=words):
        TableEncoder(chosen).fit(X)
    if chosen == ["a", "z"]:
        with pytest.raises(ValueError, match="X has none: give a frame"):
            TableEncoder(chosen).fit(X.to_numpy())


@pytest.mark.parametrize(
    ("X", "error", "words"),
    [
        (pd.DataFrame({"t": pd.to_datetime(["2020-01-01"])}), TypeError, "'t' holds dates"),
        (pd.DataFrame({"t": pd.to_timedelta([1], unit="s")}), TypeError, "dates or durations"),
        (pl.DataFrame({"t": [1]}).cast(pl.Date), TypeError, "'t' holds dates"),
        (np.array([["2020-01-01"]], dtype="datetime64[D]"), TypeError, "dates"),
        (objects(pd.Timestamp("2020-01-01")), TypeError, "Column 0 holds dates"),
        (pl.DataFrame({"l": [[1, 2]]}), TypeError, "'l' holds List"),
        (objects({"a": 1}), TypeError, "argument must be a string or a number, not 'dict'"),
        (objects("a", [1]), TypeError, "argument must be a string or a number, not 'list'"),
        (objects(1j, 2), ValueError, "Complex data not supported"),
        (np.array([[1j]]), ValueError, "Complex data not supported"),
        (np.array([[np.inf]]), ValueError, "X contains infinity"),
        (pd.DataFrame({"a": [1.0, -np.inf]}), ValueError, "X contains infinity"),
        (objects(1, float("inf")), ValueError, "X contains infinity"),
        (np.zeros((0, 2)), ValueError, r"0 sample\(s\)"),
        (pd.DataFrame({"a": []}), ValueError, r"0 sample\(s\)"),
        (np.zeros(3), ValueError, "Expected 2D array, got 1D array"),
        (pd.Series([1, 2]), ValueError, "2-dimensional"),
        (np.zeros((2, 2, 2)), ValueError, "dim 3"),
        (sparse.csr_array(np.eye(2)), TypeError, "[Ss]parse"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), ValueError, "unique column names"),
    ],
)
def test_tables_that_are_refused(X, error, words):
    encoder = TableEncoder()
    with pytest.raises(error, match=words):
        encoder.fit(X).transform(X)
    assert not hasattr(encoder, "categories_") or words == "X contains infinity"


def test_infinity_in_a_chosen_column():
    with pytest.raises(ValueError, match="X contains infinity"):
        TableEncoder([0]).fit([[1.0], [np.inf]])
    with pytest.raises(ValueError, match="X contains infinity"):
        TableEncoder([0]).fit([[1.0], [2.0]]).transform([[np.inf]])


def test_the_columns_of_fit_are_asked_for():
    X = pd.DataFrame({"a": [1.0], "b": ["x"]})
    encoder = TableEncoder().fit(X)
    with pytest.raises(ValueError, match="feature names should match"):
        encoder.transform(X[["b", "a"]])
    with pytest.raises(ValueError, match="feature names should match"):
        encoder.transform(pl.from_pandas(X).drop("a"))
    with pytest.raises(ValueError, match="X has 1 features, but TableEncoder is expecting 2"):
        TableEncoder().fit(X.to_numpy()).transform([[1.0]])


@pytest.mark.parametrize("library", ["pandas", "polars", "numpy"])
def test_inverse_transform(library):
    frame = pd.DataFrame({"n": [1.5, NAN, 2.0], "c": ["x", "y", None], "b": [True, False, True]})
    X = {"pandas": frame, "polars": pl.from_pandas(frame), "numpy": frame.to_numpy(object)}[library]
    encoder = TableEncoder().fit(X)
    back = encoder.inverse_transform(encoder.transform(X))
    assert isinstance(back, type(X))
    cells = pl.DataFrame(back).rows() if library != "numpy" else back.tolist()
    assert [row[1:] for row in map(list, cells)] == [["x", True], ["y", False], [None, True]]
    np.testing.assert_array_equal([NAN if row[0] is None else row[0] for row in cells], frame["n"])
    np.testing.assert_array_equal(encoder.transform(back), encoder.transform(X))


def test_inverse_transform_refuses_what_transform_never_gives():
    encoder = TableEncoder().fit([["a", 1], ["b", 2]])
    with pytest.raises(ValueError, match="Codes have to lie in 0..1"):
        encoder.inverse_transform([[2.0, 1.0]])
    with pytest.raises(ValueError, match="1 columns, but the encoder was fitted on 2"):
        encoder.inverse_transform([[0.0]])


def test_input_is_neither_changed_nor_returned():
    X = np.array([[1.0, NAN]])
    before = X.copy()
    out = TableEncoder().fit(X).transform(X)
    out[:] = 7
    np.testing.assert_array_equal(X, before)
    assert clone(TableEncoder(max_categories=7)).max_categories == 7
