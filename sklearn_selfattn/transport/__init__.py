"""Optimal transport: classes mapped onto dummy Gaussians, and training seen as transport."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:  # for editors and type checkers, which do not run __getattr__
    from .displacement import displacement_report as displacement_report
    from .displacement import trajectory_efficiency as trajectory_efficiency
    from .display import OTMapDisplay as OTMapDisplay
    from .display import OTTrainingDisplay as OTTrainingDisplay
    from .estimator import OTTabularClassifier as OTTabularClassifier
    from .monitor import OTTrainingMonitor as OTTrainingMonitor
    from .presets import thesis_preset as thesis_preset

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
