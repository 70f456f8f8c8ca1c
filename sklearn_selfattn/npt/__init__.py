"""Attention between datapoints: models that read the whole table when they predict a row.

Names are resolved on first use: `sklearn_selfattn.npt.pretrain` runs where only torch is.
"""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:  # for editors and type checkers, which do not run __getattr__
    from .context_display import ContextRelianceDisplay as ContextRelianceDisplay
    from .context_display import InterventionDisplay as InterventionDisplay
    from .display import NeighborsDisplay as NeighborsDisplay
    from .display import NPTAttentionDisplay as NPTAttentionDisplay
    from .estimator import NPTClassifier as NPTClassifier
    from .estimator import NPTRegressor as NPTRegressor
    from .presets import paper_preset as paper_preset

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
