"""Attention between datapoints: models that read the whole table when they predict a row."""

from .context_display import ContextRelianceDisplay, InterventionDisplay
from .display import NeighborsDisplay, NPTAttentionDisplay
from .estimator import NPTClassifier, NPTRegressor
from .presets import paper_preset

__all__ = [
    "ContextRelianceDisplay",
    "InterventionDisplay",
    "NPTAttentionDisplay",
    "NPTClassifier",
    "NPTRegressor",
    "NeighborsDisplay",
    "paper_preset",
]
