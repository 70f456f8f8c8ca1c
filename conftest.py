"""What doctests and tests share: pictures without windows, closed when a test is over.

What only the tests under ``tests`` need stands in ``tests/conftest.py``.
"""

import os
import sys

import pytest

os.environ.setdefault("MPLBACKEND", "agg")


@pytest.fixture(autouse=True)
def close_figures():
    """Close what a test drew: matplotlib warns of too many open figures."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
