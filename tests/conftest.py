"""What holds for the whole suite: environment, threads, and the real tables where they are."""

import os
from pathlib import Path

# Read when scipy is imported; without it scikit-learn skips one of its checks in silence.
os.environ["SCIPY_ARRAY_API"] = "1"

import pytest
import torch

if "OMP_NUM_THREADS" not in os.environ:
    torch.set_num_threads(1)  # small nets run faster so, and xdist's workers do not fight

SHARED_DATA = Path(
    os.environ.get("SELFATTN_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
)


def pytest_runtest_setup(item):
    """Skip a test on the real tables where there are none, unless somebody said where they are."""
    if item.get_closest_marker("shared_data") is None or SHARED_DATA.is_dir():
        return
    if os.environ.get("SELFATTN_DATA"):
        pytest.fail(f"SELFATTN_DATA names a folder that does not exist: {SHARED_DATA}")
    pytest.skip(f"needs the real tables: no folder {SHARED_DATA} (SELFATTN_DATA names another)")


@pytest.fixture
def shared_data():
    """Folder of the real tables; tests that ask for it carry the mark `shared_data`."""
    return SHARED_DATA
