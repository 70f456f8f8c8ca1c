"""Attention from co-occurrence: words look at each other by how often a corpus puts them near."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:  # for editors and type checkers, which do not run __getattr__
    from .display import SentenceAttentionDisplay as SentenceAttentionDisplay
    from .display import SpectrumDisplay as SpectrumDisplay
    from .display import WordNeighborsDisplay as WordNeighborsDisplay
    from .estimator import DistributionalProjectionVectorizer as DistributionalProjectionVectorizer

# Public name -> the module of this room that defines it.
_HOMES = {
    "DistributionalProjectionVectorizer": "estimator",
    "SentenceAttentionDisplay": "display",
    "SpectrumDisplay": "display",
    "WordNeighborsDisplay": "display",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
