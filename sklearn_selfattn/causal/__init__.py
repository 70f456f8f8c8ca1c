"""Causal reading of attention: graphs of tokens, and smallest sets that explain an outcome."""

from ..core.lazy import lazy_names

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
