"""Attention from co-occurrence: words look at each other by how often a corpus puts them near."""

from ..core.lazy import lazy_names

# Public name -> the module of this room that defines it.
_HOMES = {
    "DistributionalProjectionVectorizer": "estimator",
    "SentenceAttentionDisplay": "display",
    "SpectrumDisplay": "display",
    "WordNeighborsDisplay": "display",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
