"""Causal reading of attention: graphs of tokens, and smallest sets that explain an outcome."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:  # for editors and type checkers, which do not run __getattr__
    from .attention import AttentionCausalDiscovery as AttentionCausalDiscovery
    from .display import ExplanationDisplay as ExplanationDisplay
    from .display import PAGDisplay as PAGDisplay
    from .estimator import PAGDiscovery as PAGDiscovery
    from .explainer import CLEANNExplainer as CLEANNExplainer
    from .explanation import Explanation as Explanation
    from .huggingface import HFAttention as HFAttention
    from .pag import PAG as PAG
    from .peers import CumulativeExplainer as CumulativeExplainer
    from .peers import SubsetSearchExplainer as SubsetSearchExplainer
    from .reading import DegenerateAttentionWarning as DegenerateAttentionWarning
    from .reading import attention_correlation as attention_correlation
    from .search_display import AlphaPathDisplay as AlphaPathDisplay
    from .search_display import CITestCountDisplay as CITestCountDisplay

# Public name -> the module of this room that defines it.
_HOMES = {
    "AlphaPathDisplay": "search_display",
    "AttentionCausalDiscovery": "attention",
    "CITestCountDisplay": "search_display",
    "CLEANNExplainer": "explainer",
    "CumulativeExplainer": "peers",
    "DegenerateAttentionWarning": "reading",
    "Explanation": "explanation",
    "ExplanationDisplay": "display",
    "HFAttention": "huggingface",
    "PAG": "pag",
    "PAGDiscovery": "estimator",
    "PAGDisplay": "display",
    "SubsetSearchExplainer": "peers",
    "attention_correlation": "reading",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
