"""Self-attention for tables, as scikit-learn estimators.

Names are resolved on first use (PEP 562): ``import sklearn_selfattn`` alone imports neither torch
nor scikit-learn.
"""

from typing import TYPE_CHECKING

from .core.lazy import lazy_names

if TYPE_CHECKING:  # for editors and type checkers, which do not run __getattr__
    from .causal import AlphaPathDisplay as AlphaPathDisplay
    from .causal import AttentionCausalDiscovery as AttentionCausalDiscovery
    from .causal import CITestCountDisplay as CITestCountDisplay
    from .causal import CLEANNExplainer as CLEANNExplainer
    from .causal import CumulativeExplainer as CumulativeExplainer
    from .causal import ExplanationDisplay as ExplanationDisplay
    from .causal import HFAttention as HFAttention
    from .causal import PAGDiscovery as PAGDiscovery
    from .causal import PAGDisplay as PAGDisplay
    from .causal import SubsetSearchExplainer as SubsetSearchExplainer
    from .core.display import TrainingHistoryDisplay as TrainingHistoryDisplay
    from .core.maps import AttentionMaps as AttentionMaps
    from .depth_width import DepthWidthDisplay as DepthWidthDisplay
    from .depth_width import DepthWidthSearchCV as DepthWidthSearchCV
    from .depth_width import SeparationBoundsDisplay as SeparationBoundsDisplay
    from .depth_width import SeparationRankDisplay as SeparationRankDisplay
    from .depth_width import recommend_depth_width as recommend_depth_width
    from .depth_width import separation_rank as separation_rank
    from .distributional import (
        DistributionalProjectionVectorizer as DistributionalProjectionVectorizer,
    )
    from .distributional import SentenceAttentionDisplay as SentenceAttentionDisplay
    from .distributional import SpectrumDisplay as SpectrumDisplay
    from .distributional import WordNeighborsDisplay as WordNeighborsDisplay
    from .npt import ContextRelianceDisplay as ContextRelianceDisplay
    from .npt import InterventionDisplay as InterventionDisplay
    from .npt import NeighborsDisplay as NeighborsDisplay
    from .npt import NPTAttentionDisplay as NPTAttentionDisplay
    from .npt import NPTClassifier as NPTClassifier
    from .npt import NPTRegressor as NPTRegressor
    from .transport import OTMapDisplay as OTMapDisplay
    from .transport import OTTabularClassifier as OTTabularClassifier
    from .transport import OTTrainingDisplay as OTTrainingDisplay
    from .transport import OTTrainingMonitor as OTTrainingMonitor

__version__ = "0.1.0.dev0"

# Public name -> the module of this package that defines it.
_HOMES = {
    "AlphaPathDisplay": "causal",
    "AttentionCausalDiscovery": "causal",
    "AttentionMaps": "core.maps",
    "CITestCountDisplay": "causal",
    "CLEANNExplainer": "causal",
    "ContextRelianceDisplay": "npt",
    "CumulativeExplainer": "causal",
    "DepthWidthDisplay": "depth_width",
    "DepthWidthSearchCV": "depth_width",
    "DistributionalProjectionVectorizer": "distributional",
    "ExplanationDisplay": "causal",
    "HFAttention": "causal",
    "InterventionDisplay": "npt",
    "NPTAttentionDisplay": "npt",
    "NPTClassifier": "npt",
    "NPTRegressor": "npt",
    "NeighborsDisplay": "npt",
    "OTMapDisplay": "transport",
    "OTTabularClassifier": "transport",
    "OTTrainingDisplay": "transport",
    "OTTrainingMonitor": "transport",
    "PAGDiscovery": "causal",
    "PAGDisplay": "causal",
    "SentenceAttentionDisplay": "distributional",
    "SeparationBoundsDisplay": "depth_width",
    "SeparationRankDisplay": "depth_width",
    "SpectrumDisplay": "distributional",
    "SubsetSearchExplainer": "causal",
    "TrainingHistoryDisplay": "core.display",
    "WordNeighborsDisplay": "distributional",
    "recommend_depth_width": "depth_width",
    "separation_rank": "depth_width",
}

__all__ = ["__version__", *_HOMES]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
