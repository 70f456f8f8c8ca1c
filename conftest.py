"""What every test and doctest gets: the array API on, pictures without windows, the real tables."""

import os
import sys
from pathlib import Path

# Before scipy is imported: without it scikit-learn's check of array API input skips itself.
os.environ["SCIPY_ARRAY_API"] = "1"
os.environ.setdefault("MPLBACKEND", "agg")

import pytest


def shared_data_folder():
    """Return the folder of real tables, whether or not it is there."""
    named = os.environ.get("SELFATTN_DATA")
    return Path(named) if named else Path(__file__).resolve().parent.parent / "shared" / "data"


def pytest_runtest_setup(item):
    """Skip a test on the real tables where there are none, unless somebody said where they are."""
    if item.get_closest_marker("shared_data") is None or shared_data_folder().is_dir():
        return
    reason = f"the real tables are not at {shared_data_folder()}"
    if os.environ.get("SELFATTN_DATA"):
        pytest.fail(f"SELFATTN_DATA is set, but {reason}")
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def close_figures():
    """Close what a test drew: matplotlib warns of too many open figures."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
