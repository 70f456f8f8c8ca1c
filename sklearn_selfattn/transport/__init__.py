"""Optimal transport: classes mapped onto dummy Gaussians, and training seen as transport."""

from importlib import import_module

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


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
