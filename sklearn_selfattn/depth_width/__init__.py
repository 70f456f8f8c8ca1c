"""Depth and width: how to spend a parameter budget, and how strongly features interact."""

from ..core.lazy import lazy_names

# Public name -> the module that defines it: of this room, or the core's.
_HOMES = {
    "DepthWidth": ".core.shape",
    "DepthWidthDisplay": "display",
    "DepthWidthSearchCV": "search",
    "ExtrapolationWarning": ".core.shape",
    "SeparationBoundsDisplay": "display",
    "SeparationRank": "separation",
    "SeparationRankDisplay": "display",
    "depth_threshold": ".core.shape",
    "exact_separation_rank": "exact",
    "params_per_layer": ".core.shape",
    "recommend_depth_width": ".core.shape",
    "recommend_for_table": "table_shape",
    "separation_rank": "separation",
    "separation_rank_bounds": "bounds",
    "table_embedding_rank": "table_shape",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
