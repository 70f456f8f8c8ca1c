"""Visual parsing: pictures and sentences in one Transformer, and how they look at each other."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:  # for editors and type checkers, which do not run __getattr__
    from .display import CrossModalAttentionDisplay as CrossModalAttentionDisplay
    from .display import InterModalityFlowDisplay as InterModalityFlowDisplay
    from .estimator import VisualParsingClassifier as VisualParsingClassifier
    from .estimator import VisualParsingRegressor as VisualParsingRegressor
    from .flow import InterModalityFlow as InterModalityFlow
    from .flow import inter_modality_flow as inter_modality_flow
    from .flow import without_cross_attention as without_cross_attention
    from .pairs import make_pairs as make_pairs

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
