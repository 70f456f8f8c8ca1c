"""Attention between datapoints: models that read the whole table when they predict a row.

Names are resolved on first use: `sklearn_selfattn.npt.pretrain` runs where only torch is.
"""

from importlib import import_module

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


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
