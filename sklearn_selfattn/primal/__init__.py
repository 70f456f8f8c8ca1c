"""Primal attention: self-attention as an asymmetric kernel SVD, linear in the tokens."""

from ..core.lazy import lazy_names

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
