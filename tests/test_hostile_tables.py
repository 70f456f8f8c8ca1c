"""Tables that nobody would send, and somebody will: a finite prediction, or an error in words."""

import os
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import is_classifier, is_regressor

from tests.test_common import ESTIMATORS, outputs, small

#: For each estimator; SELFATTN_HOSTILE_CASES=300 makes thousands of it.
N_CASES = int(os.environ.get("SELFATTN_HOSTILE_CASES", "8"))

#: Columns by what is wrong with them: functions of a random state and the number of rows.
COLUMNS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "constant": lambda rng, n: np.full(n, 3.0),
    "huge": lambda rng, n: rng.normal(size=n) * 1e200,
    "tiny": lambda rng, n: rng.normal(size=n) * 1e-200,
    "far": lambda rng, n: 1e12 + rng.normal(size=n),
    "one outlier": lambda rng, n: np.where(np.arange(n) == 0, 1e30, rng.normal(size=n)),
    "float16": lambda rng, n: rng.normal(size=n).astype(np.float16),
    "small ints": lambda rng, n: rng.integers(0, 3, size=n).astype(np.int8),
    "big ints": lambda rng, n: rng.integers(0, 2**62, size=n),
    "unsigned": lambda rng, n: rng.integers(0, 2**63, size=n, dtype=np.uint64),
    "bool": lambda rng, n: rng.random(n) < 0.5,
    "gaps": lambda rng, n: np.where(rng.random(n) < 0.5, np.nan, rng.normal(size=n)),
    "all missing": lambda rng, n: np.full(n, np.nan),
    "infinite": lambda rng, n: np.where(np.arange(n) == n - 1, np.inf, rng.normal(size=n)),
    "text": lambda rng, n: rng.choice(["a", "b", ""], size=n).astype(object),
    "every text another": lambda rng, n: np.array([f"id {i}" for i in range(n)], dtype=object),
    "text and numbers": lambda rng, n: np.array(["a", 1, 2.5, None] * n, dtype=object)[:n],
    "category": lambda rng, n: pd.Categorical(rng.choice(["x", "y"], size=n)),
    "empty category": lambda rng, n: pd.Categorical([None] * n, categories=["x"]),
    "nullable": lambda rng, n: pd.array(np.where(rng.random(n) < 0.5, 1, 2), dtype="Int64"),
    "nullable gaps": lambda rng, n: pd.array([1, None] * n, dtype="Int64")[:n],
    "complex": lambda rng, n: rng.normal(size=n) + 1j,
    "dates": lambda rng, n: pd.date_range("2020-01-01", periods=n),
    "lists": lambda rng, n: np.array([[i] for i in range(n)] + [None], dtype=object)[:n],
}
LABELS = {
    "two": lambda rng, n: np.arange(n) % 2,
    "one": lambda rng, n: np.zeros(n, dtype=int),
    "every row another": lambda rng, n: np.arange(n),
    "text": lambda rng, n: np.array(["no", "yes"])[np.arange(n) % 2],
    "bool": lambda rng, n: np.arange(n) % 2 == 0,
    "floats": lambda rng, n: rng.normal(size=n),
    "huge": lambda rng, n: rng.normal(size=n) * 1e200,
    "constant float": lambda rng, n: np.full(n, 0.5),
    "gaps": lambda rng, n: np.where(np.arange(n) == 0, np.nan, rng.normal(size=n)),
    "mixed": lambda rng, n: np.array(["a", 1] * n, dtype=object)[:n],
}
cases = st.tuples(
    st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=4),
    st.sampled_from(sorted(LABELS)),
    st.integers(1, 25),
    st.integers(0, 2**16),
    st.booleans(),
)


def make_table(columns, labels, n, seed, as_array):
    """Return a table with these columns, repeated ones included, and labels."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"{i} {name}": COLUMNS[name](rng, n) for i, name in enumerate(columns)})
    return frame.to_numpy() if as_array else frame, LABELS[labels](rng, n)


def try_table(cls, X, y):
    """Fit and predict; return "predicted" or "refused", and raise for anything else."""
    estimator = small(cls)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # overflow and the like, deep inside
            warnings.filterwarnings("ignore", category=UserWarning)
            # scikit-learn's own, where it asks whether float labels are whole numbers
            warnings.filterwarnings("ignore", "invalid value encountered in cast")
            estimator.fit(X, y)
            said = outputs(estimator, X)
    except (ValueError, TypeError) as error:
        if not str(error) or "size of tensor" in str(error) or "broadcast" in str(error):
            raise AssertionError(f"no words for a user: {error!r}") from error
        return "refused"
    for output in said:
        if output.dtype.kind == "f" and not np.isfinite(output).all():
            raise AssertionError(f"not finite: {output}")
    assert len(said[0]) == len(X)
    return "predicted"


@pytest.mark.parametrize("cls", ESTIMATORS, ids=lambda cls: cls.__name__)
def test_hostile_tables_are_predicted_or_refused(cls):
    """Both happen: a test in which everything is refused would say nothing."""
    ends = {"predicted": 0, "refused": 0}

    @settings(max_examples=N_CASES, derandomize=True, deadline=None, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(cases)
    def try_one(case):
        ends[try_table(cls, *make_table(*case))] += 1

    try_one()
    rng = np.random.default_rng(0)
    y = rng.normal(size=20) if is_regressor(cls()) else np.arange(20) % 2
    assert is_classifier(cls()) or is_regressor(cls()) or hasattr(cls, "transform")
    ends[try_table(cls, rng.normal(size=(20, 3)), y)] += 1
    assert ends["predicted"]
    assert ends["refused"]
