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
    from .primal import AsymmetricKSVD as AsymmetricKSVD
    from .primal import AttentionSpectrumDisplay as AttentionSpectrumDisplay
    from .primal import PrimalAttentionClassifier as PrimalAttentionClassifier
    from .primal import PrimalAttentionRegressor as PrimalAttentionRegressor
    from .primal import attention_spectrum as attention_spectrum
    from .transport import OTMapDisplay as OTMapDisplay
    from .transport import OTTabularClassifier as OTTabularClassifier
    from .transport import OTTrainingDisplay as OTTrainingDisplay
    from .transport import OTTrainingMonitor as OTTrainingMonitor

__version__ = "0.1.0.dev0"

# Public name -> the module of this package that defines it.
_HOMES = {
    "AlphaPathDisplay": "causal",
    "AsymmetricKSVD": "primal",
    "AttentionCausalDiscovery": "causal",
    "AttentionMaps": "core.maps",
    "AttentionSpectrumDisplay": "primal",
    "CITestCountDisplay": "causal",
    "CLEANNExplainer": "causal",
    "ContextRelianceDisplay": "npt",
    "CumulativeExplainer": "causal",
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
    "PrimalAttentionClassifier": "primal",
    "PrimalAttentionRegressor": "primal",
    "SentenceAttentionDisplay": "distributional",
    "SpectrumDisplay": "distributional",
    "SubsetSearchExplainer": "causal",
    "TrainingHistoryDisplay": "core.display",
    "WordNeighborsDisplay": "distributional",
    "attention_spectrum": "primal",
}

__all__ = ["__version__", *_HOMES]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
