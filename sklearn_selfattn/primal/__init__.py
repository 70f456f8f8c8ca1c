"""Primal attention: self-attention as an asymmetric kernel SVD, linear in the tokens."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:  # for editors and type checkers, which do not run __getattr__
    from .display import AttentionSpectrumDisplay as AttentionSpectrumDisplay
    from .estimator import PrimalAttentionClassifier as PrimalAttentionClassifier
    from .estimator import PrimalAttentionRegressor as PrimalAttentionRegressor
    from .ksvd import AsymmetricKSVD as AsymmetricKSVD
    from .presets import paper_preset as paper_preset
    from .spectrum import AttentionSpectrum as AttentionSpectrum
    from .spectrum import attention_spectrum as attention_spectrum
    from .spectrum import ksvd_residual as ksvd_residual

# Public name -> the module of this room that defines it.
_HOMES = {
    "AsymmetricKSVD": "ksvd",
    "AttentionSpectrum": "spectrum",
    "AttentionSpectrumDisplay": "display",
    "PrimalAttentionClassifier": "estimator",
    "PrimalAttentionRegressor": "estimator",
    "attention_spectrum": "spectrum",
    "ksvd_residual": "spectrum",
    "paper_preset": "presets",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
