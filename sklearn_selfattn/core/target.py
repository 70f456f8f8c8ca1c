"""The target that `fit` is given: no dates, no gaps, numbers where numbers are predicted."""

from typing import Any

import numpy as np
from sklearn.base import is_regressor
from sklearn.utils.validation import _check_y

from .columns import cells_of_dates, is_missing


def check_target(y: Any, estimator: Any) -> np.ndarray:
    """Check a target the way scikit-learn does, and what it lets pass.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        The target as given.
    estimator : estimator instance
        Named in errors. A regressor's target has to hold numbers.

    Returns
    -------
    ndarray of shape (n_samples,)
        The target; of float64 where a regressor was given Python objects or text.

    Raises
    ------
    TypeError
        It holds dates or durations, or, for a regressor, cells that are no numbers.
    ValueError
        It is missing or infinite somewhere, not 1-D, or text where numbers are wanted.
    """
    name, wants_numbers = type(estimator).__name__, is_regressor(estimator)
    values = np.asarray(y)
    kind = cells_of_dates(values)
    if kind is not None:
        advice = (
            "numbers first, for example days since a fixed date"
            if wants_numbers
            else "text or whole numbers first, for example the year or y.astype(str)"
        )
        raise TypeError(
            f"y holds dates or durations ({kind}), which {name} does not take. Turn it into "
            f"{advice}."
        )
    if values.dtype == object:
        gaps = [row for row, value in enumerate(values.flat) if is_missing(value)]
        if values.ndim and gaps:
            raise ValueError(
                f"Input y contains NaN. {name} needs a target for every row, but "
                f"{len(gaps)} of {len(values)} are missing (None or NaN), the first in row "
                f"{gaps[0]}. Leave these rows out."
            )
    checked: np.ndarray = _check_y(y, estimator=estimator)
    if not wants_numbers or checked.dtype.kind not in "OSUT":
        return checked
    try:
        return checked.astype(np.float64)
    except (ValueError, TypeError) as error:
        raise type(error)(
            f"y has to hold numbers for {name}: {error}. To predict labels, take a classifier."
        ) from None
