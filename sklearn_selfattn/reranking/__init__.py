"""Contextual similarity: nearest neighbours re-ranked by attention between the items of a list."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:  # for editors and type checkers, which do not run __getattr__
    from .display import RankedListDisplay as RankedListDisplay
    from .display import RerankDisplay as RerankDisplay
    from .estimator import AttentionReranker as AttentionReranker
    from .graphs import diffusion as diffusion
    from .graphs import k_reciprocal as k_reciprocal
    from .metrics import relevance_hits as relevance_hits
    from .metrics import retrieval_metric as retrieval_metric
    from .peers import database_augmentation as database_augmentation
    from .peers import pair_features as pair_features
    from .peers import query_expansion as query_expansion
    from .peers import superglobal as superglobal
    from .presets import paper_preset as paper_preset
    from .scoring import make_retrieval_scorer as make_retrieval_scorer

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
