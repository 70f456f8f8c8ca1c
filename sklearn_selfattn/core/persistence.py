"""How a fitted module is saved: plain arrays, small, on no device, by no torch type."""

import warnings

import numpy as np
import sklearn
import torch

import sklearn_selfattn


def current_versions() -> dict[str, str]:
    """Return the versions that a saved estimator carries."""
    return {
        "sklearn_selfattn": sklearn_selfattn.__version__,
        "scikit-learn": sklearn.__version__,
        "torch": str(torch.__version__),
    }


def warn_of_other_version(name: str, versions: dict[str, str]) -> None:
    """Warn when an estimator was saved by another version of this package."""
    saved, here = versions["sklearn_selfattn"], sklearn_selfattn.__version__
    if saved != here:
        warnings.warn(
            f"This {name} was saved by sklearn_selfattn {saved} and is loaded by {here}. It may "
            "predict differently or not at all; fit it again, or install the version that "
            f"saved it (it was saved with scikit-learn {versions['scikit-learn']} and torch "
            f"{versions['torch']}).",
            stacklevel=3,
        )


def to_small_array(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as an array, in float32 where that loses nothing.

    What was trained in float32 and is kept in float64 for exact predictions is saved in half
    the space.
    """
    array = tensor.detach().cpu().numpy()
    if array.dtype == np.float64:
        with np.errstate(over="ignore"):
            small = array.astype(np.float32)
        if np.array_equal(small, array):
            return small
    return array.copy()
