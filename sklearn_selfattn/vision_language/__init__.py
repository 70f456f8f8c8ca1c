"""Visual parsing: pictures and sentences in one Transformer, and how they look at each other."""

from ..core.lazy import lazy_names

# Public name -> the module of this room that defines it.
_HOMES = {
    "CrossModalAttentionDisplay": "display",
    "InterModalityFlow": "flow",
    "InterModalityFlowDisplay": "display",
    "VisualParsingClassifier": "estimator",
    "VisualParsingRegressor": "estimator",
    "inter_modality_flow": "flow",
    "make_pairs": "pairs",
    "without_cross_attention": "flow",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
