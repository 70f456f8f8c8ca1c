"""Depth and width: how to spend a parameter budget, and how strongly features interact."""

from ..core.lazy import lazy_names

# Public name -> the module of this room that defines it.
_HOMES = {
    "DepthWidth": "law",
    "DepthWidthDisplay": "display",
    "DepthWidthSearchCV": "search",
    "ExtrapolationWarning": "law",
    "SeparationBoundsDisplay": "display",
    "SeparationRank": "separation",
    "SeparationRankDisplay": "display",
    "depth_threshold": "law",
    "exact_separation_rank": "exact",
    "params_per_layer": "law",
    "recommend_depth_width": "law",
    "recommend_for_table": "table_shape",
    "separation_rank": "separation",
    "separation_rank_bounds": "bounds",
    "table_embedding_rank": "table_shape",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
