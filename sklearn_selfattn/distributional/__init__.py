"""Attention from co-occurrence: words look at each other by how often a corpus puts them near."""

from importlib import import_module

# Public name -> the module of this room that defines it.
_HOMES = {
    "DistributionalProjectionVectorizer": "estimator",
    "SentenceAttentionDisplay": "display",
    "SpectrumDisplay": "display",
    "WordNeighborsDisplay": "display",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
