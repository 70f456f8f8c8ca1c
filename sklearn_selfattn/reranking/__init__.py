"""Contextual similarity: nearest neighbours re-ranked by attention between the items of a list."""

from ..core.lazy import lazy_names

# Public name -> the module of this room that defines it.
_HOMES = {
    "AttentionReranker": "estimator",
    "RankedListDisplay": "display",
    "RerankDisplay": "display",
    "database_augmentation": "peers",
    "diffusion": "graphs",
    "k_reciprocal": "graphs",
    "make_retrieval_scorer": "scoring",
    "pair_features": "peers",
    "paper_preset": "presets",
    "query_expansion": "peers",
    "relevance_hits": "metrics",
    "retrieval_metric": "metrics",
    "superglobal": "peers",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
