"""Optimal transport: classes mapped onto dummy Gaussians, and training seen as transport."""

from ..core.lazy import lazy_names

# Public name -> the module of this room that defines it.
_HOMES = {
    "OTMapDisplay": "display",
    "OTTabularClassifier": "estimator",
    "OTTrainingDisplay": "display",
    "OTTrainingMonitor": "monitor",
    "displacement_report": "displacement",
    "thesis_preset": "presets",
    "trajectory_efficiency": "displacement",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
