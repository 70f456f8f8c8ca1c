"""Attention between datapoints: models that read the whole table when they predict a row.

Names are resolved on first use: `sklearn_selfattn.npt.pretrain` runs where only torch is.
"""

from ..core.lazy import lazy_names

# Public name -> the module of this room that defines it.
_HOMES = {
    "ContextRelianceDisplay": "context_display",
    "InterventionDisplay": "context_display",
    "NPTAttentionDisplay": "display",
    "NPTClassifier": "estimator",
    "NPTRegressor": "estimator",
    "NeighborsDisplay": "display",
    "paper_preset": "presets",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
