"""Tables as they come, turned into numbers: arrays, lists, pandas, polars."""

from collections import Counter
from numbers import Number

import narwhals.stable.v2 as nw
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from .columns import (
    dates_message,
    frame_library,
    is_missing,
    read_columns,
    to_numbers,
)

OTHER = "(other)"  # what `categories_` shows for the code that rarer categories share


class TableEncoder(TransformerMixin, BaseEstimator):
    """Turn a table into one float matrix: numbers stay, categories become codes.

    Every column keeps its place. A numeric column is copied as it is, missing cells
    become NaN. A categorical column (category, enum, string, bool) becomes codes
    ``0, 1, ..., n_categories - 1``; missing cells and categories that were not seen in
    `fit` become NaN. The same table gives the same codes as numpy array of objects, as
    pandas and as polars frame.

    Cost: one pass over the cells in `fit` and one in `transform`; plain numeric arrays
    are passed through.

    Parameters
    ----------
    categorical_features : "from_dtype", None or array-like of bool, int or str, \
            default="from_dtype"
        Which columns hold categories.

        - ``"from_dtype"``: the columns whose type says so: category, enum, string, bool,
          and columns of Python objects with at least one string (or with nothing but
          bools);
        - ``None``: none of them, every cell has to be a number;
        - array-like: a mask over the columns, their indices, or their names. Every other
          column has to hold numbers.

    max_categories : int, default=255
        The most codes that one column gets. When it has more categories, the
        ``max_categories - 1`` most frequent keep their own code and the rarer ones share
        the last.

    Attributes
    ----------
    categories_ : list of (ndarray of object or None), one for each column
        The category behind each code, in sorted order (ordered categories keep their
        order); None where the column is numeric. Where rarer categories share a code,
        the last entry is ``"(other)"``.
    is_categorical_ : ndarray of bool of shape (n_features,)
        Which columns hold categories.
    n_categories_ : ndarray of int of shape (n_features,)
        The number of codes, 0 where the column is numeric.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Their names; only when `fit` was given a frame whose column names are strings.

    See Also
    --------
    sklearn.preprocessing.OrdinalEncoder : Codes for columns that are all categorical.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_selfattn.core.table import TableEncoder
    >>> table = pd.DataFrame({"size": [1.5, None, 2.0], "colour": ["red", "blue", "red"]})
    >>> encoder = TableEncoder().fit(table)
    >>> encoder.transform(table)
    array([[1.5, 1. ],
           [nan, 0. ],
           [2. , 1. ]])
    >>> encoder.categories_[1]
    array(['blue', 'red'], dtype=object)
    """

    def __init__(self, categorical_features="from_dtype", max_categories=255):
        self.categorical_features = categorical_features
        self.max_categories = max_categories

    def fit(self, X, y=None):
        """Learn which columns hold categories, and which ones.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            The table.
        y : None
            Ignored.

        Returns
        -------
        TableEncoder
            The fitted encoder.

        Raises
        ------
        TypeError
            A column holds dates, or cells that are neither numbers nor strings.
        ValueError
            A cell is infinite, a column that should hold numbers does not, or
            `categorical_features` does not fit the table.
        """
        X = validate_table(self, X, reset=True)
        return self._fit(X, getattr(self, "feature_names_in_", None))

    def transform(self, X):
        """Encode a table with the columns seen in `fit`.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray of float64 of shape (n_samples, n_features)
            Numbers and codes; NaN where a cell is missing or its category is unknown.
        """
        check_is_fitted(self)
        return self._transform(validate_table(self, X, reset=False))

    def inverse_transform(self, values):
        """Turn codes back into categories.

        Parameters
        ----------
        values : ndarray of float of shape (n_samples, n_features)
            What `transform` returns.

        Returns
        -------
        DataFrame or ndarray of shape (n_samples, n_features)
            A frame of the library that `fit` was given, else an array (of objects when
            there are categorical columns). NaN codes become None.
        """
        check_is_fitted(self)
        values = check_array(values, dtype=np.float64, ensure_all_finite="allow-nan")
        if values.shape[1] != len(self.categories_):
            raise ValueError(
                f"values has {values.shape[1]} columns, but the encoder was fitted on "
                f"{len(self.categories_)}."
            )
        columns = [
            column if categories is None else _decode(column, categories)
            for column, categories in zip(values.T, self.categories_, strict=True)
        ]
        if self.frame_library is None:
            if not self.is_categorical_.any():
                return values.copy()
            return np.stack([column.astype(object) for column in columns], axis=1)
        names = getattr(self, "feature_names_in_", [f"x{j}" for j in range(len(columns))])
        frame = {
            str(name): column.tolist() if column.dtype == object else column
            for name, column in zip(names, columns, strict=True)
        }
        return nw.from_dict(frame, backend=self.frame_library).to_native()

    def _fit(self, X, feature_names):
        """Fit on a table that `validate_table` has seen."""
        names, columns = read_columns(X)
        chosen = _chosen_columns(self.categorical_features, len(columns), feature_names)
        self.frame_library = frame_library(X)
        if feature_names is not None:  # an estimator's encoder has to know them too
            self.feature_names_in_ = feature_names
        self.categories_, self._rare = [], []
        for name, column, is_chosen in zip(names, columns, chosen, strict=True):
            is_category = column.is_category if is_chosen is None else is_chosen
            kept, rare = (
                _find_categories(column, name, self.max_categories) if is_category else (None, None)
            )
            self.categories_.append(kept)
            self._rare.append(rare)
        self.n_categories_ = np.array([0 if c is None else len(c) for c in self.categories_])
        self.is_categorical_ = np.array([c is not None for c in self.categories_])
        return self

    def _transform(self, X):
        """Encode a table that `validate_table` has seen."""
        if isinstance(X, np.ndarray) and X.dtype.kind in "fiu" and not self.is_categorical_.any():
            return X.astype(np.float64)
        names, columns = read_columns(X)
        n_samples = len(columns[0].values) if columns else 0
        encoded = np.empty((n_samples, len(columns)))
        for j, (name, column) in enumerate(zip(names, columns, strict=True)):
            if self.categories_[j] is None:
                encoded[:, j] = to_numbers(column.values, name)
            else:
                encoded[:, j] = _to_codes(column.values, name, self.categories_[j], self._rare[j])
        # scikit-learn's own words for infinite cells and for a table without rows
        return check_array(encoded, ensure_all_finite="allow-nan", input_name="X")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def validate_table(estimator, X, *, reset):
    """Check the shape and the column names of a table the way scikit-learn does.

    Parameters
    ----------
    estimator : estimator instance
        Gets `n_features_in_` and `feature_names_in_` when `reset` is true, is compared
        with when it is false.
    X : array-like or frame of shape (n_samples, n_features)
        The table.
    reset : bool
        True in `fit`, False in `predict` and `transform`.

    Returns
    -------
    ndarray or frame of shape (n_samples, n_features)
        Frames are returned as they are, everything else as an array.
    """
    if frame_library(X) is not None:
        if not X.shape[1]:
            raise ValueError(
                f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is "
                f"required by {type(estimator).__name__}."
            )
        if not len(X):
            raise ValueError(
                f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is "
                f"required by {type(estimator).__name__}."
            )
        return validate_data(estimator, X, reset=reset, skip_check_array=True)
    if isinstance(X, (list, tuple)) and np.asarray(X).dtype.kind in "US":
        X = np.asarray(X, dtype=object)  # numpy would turn the numbers beside text into text
    X = validate_data(estimator, X, reset=reset, dtype=None, ensure_all_finite="allow-nan")
    if X.dtype.kind in "mM":
        raise TypeError(dates_message("X", X.dtype))
    return X


def _find_categories(column, name, max_categories):
    """Return the categories of a column that keep a code, and the rarer ones."""
    if isinstance(column.values, np.ndarray) and np.isinf(column.values).any():
        check_array(column.values.reshape(-1, 1), ensure_all_finite="allow-nan", input_name="X")
    values = column.values.tolist() if isinstance(column.values, np.ndarray) else column.values
    counts = Counter(value for value in values if not is_missing(value))
    if column.order is not None:
        found = [category for category in column.order if category in counts]
    else:
        # Numbers first, then text: one column may hold both.
        texts = [value for value in counts if not isinstance(value, Number)]
        found = sorted(set(counts) - set(texts)) + sorted(texts, key=str)
    if len(found) <= max_categories:
        return _object_array(found), _object_array([])
    by_count = sorted(found, key=lambda category: -counts[category])  # stable: ties stay sorted
    frequent = set(by_count[: max_categories - 1])
    kept = [category for category in found if category in frequent]
    rare = [category for category in found if category not in frequent]
    return _object_array([*kept, OTHER]), _object_array(rare)


def _to_codes(values, name, categories, rare):
    """Return the code of every cell, NaN where it has none."""
    own = categories[:-1] if len(rare) else categories
    codes = {category: code for code, category in enumerate(own)}
    codes.update(dict.fromkeys(rare, len(own)))
    if isinstance(values, np.ndarray):
        if np.isinf(values).any():
            return values  # refused by the caller, with scikit-learn's words
        values = values.tolist()
    return np.array([codes.get(value, np.nan) for value in values], dtype=np.float64)


def _decode(column, categories):
    """Return the categories behind the codes of one column."""
    if np.nanmax(column, initial=0) >= max(len(categories), 1) or np.nanmin(column, initial=0) < 0:
        raise ValueError(f"Codes have to lie in 0..{len(categories) - 1}.")
    with_missing = _object_array([*categories, None])
    return with_missing[np.where(np.isnan(column), len(categories), column).astype(np.intp)]


def _object_array(items):
    """Return a 1-D array of objects; `np.array` would look inside the items."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def _chosen_columns(categorical_features, n_features, feature_names):
    """Return for each column True, False, or None where its type decides."""
    if categorical_features is None:
        return [False] * n_features
    if isinstance(categorical_features, str):
        if categorical_features != "from_dtype":
            raise ValueError(
                "categorical_features has to be 'from_dtype', None or an array-like of bools, "
                f"column indices or column names, got {categorical_features!r}."
            )
        return [None] * n_features
    chosen = np.asarray(categorical_features)
    if chosen.size == 0:
        return [False] * n_features
    if chosen.ndim != 1:
        raise ValueError(f"categorical_features has to be 1-D, got shape {chosen.shape}.")
    if chosen.dtype.kind == "b":
        if len(chosen) != n_features:
            raise ValueError(
                f"categorical_features is a mask of {len(chosen)} columns, but X has {n_features}."
            )
        return chosen.tolist()
    if chosen.dtype.kind in "iu":
        if chosen.min() < 0 or chosen.max() >= n_features:
            raise ValueError(
                f"categorical_features has to hold column indices in 0..{n_features - 1}, "
                f"got {chosen.tolist()}."
            )
        return np.isin(np.arange(n_features), chosen).tolist()
    if chosen.dtype.kind in "OU" and all(isinstance(name, str) for name in chosen.tolist()):
        if feature_names is None:
            raise ValueError(
                "categorical_features holds column names, but X has none: give a frame, "
                "or use column indices."
            )
        unknown = sorted(set(chosen.tolist()) - set(feature_names))
        if unknown:
            raise ValueError(f"categorical_features names columns that X does not have: {unknown}.")
        return np.isin(feature_names.astype(str), chosen.astype(str)).tolist()
    raise ValueError(
        "categorical_features has to be 'from_dtype', None or an array-like of bools, column "
        f"indices or column names, got an array-like of type {chosen.dtype}."
    )
