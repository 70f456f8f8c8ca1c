"""Depth and width: how to spend a parameter budget, and how strongly features interact."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:  # for editors and type checkers, which do not run __getattr__
    from ..core.shape import DepthWidth as DepthWidth
    from ..core.shape import ExtrapolationWarning as ExtrapolationWarning
    from ..core.shape import depth_threshold as depth_threshold
    from ..core.shape import params_per_layer as params_per_layer
    from ..core.shape import recommend_depth_width as recommend_depth_width
    from .bounds import separation_rank_bounds as separation_rank_bounds
    from .display import DepthWidthDisplay as DepthWidthDisplay
    from .display import SeparationBoundsDisplay as SeparationBoundsDisplay
    from .display import SeparationRankDisplay as SeparationRankDisplay
    from .exact import exact_separation_rank as exact_separation_rank
    from .search import DepthWidthSearchCV as DepthWidthSearchCV
    from .separation import SeparationRank as SeparationRank
    from .separation import separation_rank as separation_rank
    from .table_shape import recommend_for_table as recommend_for_table
    from .table_shape import table_embedding_rank as table_embedding_rank

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
