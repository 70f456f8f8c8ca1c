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
    from .core.checkpoint import TrainingCheckpoint as TrainingCheckpoint
    from .core.display import TrainingHistoryDisplay as TrainingHistoryDisplay
    from .core.distributed import DistributedTraining as DistributedTraining
    from .core.export import export_inputs as export_inputs
    from .core.export import export_onnx as export_onnx
    from .core.export import export_program as export_program
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
    from .primal import AsymmetricKSVD as AsymmetricKSVD
    from .primal import AttentionSpectrumDisplay as AttentionSpectrumDisplay
    from .primal import PrimalAttentionClassifier as PrimalAttentionClassifier
    from .primal import PrimalAttentionRegressor as PrimalAttentionRegressor
    from .primal import attention_spectrum as attention_spectrum
    from .reranking import AttentionReranker as AttentionReranker
    from .reranking import RankedListDisplay as RankedListDisplay
    from .reranking import RerankDisplay as RerankDisplay
    from .time_events import AttentionByLagDisplay as AttentionByLagDisplay
    from .time_events import BochnerTimeEncoder as BochnerTimeEncoder
    from .time_events import EventSequences as EventSequences
    from .time_events import MercerTimeEncoder as MercerTimeEncoder
    from .time_events import Time2VecEncoder as Time2VecEncoder
    from .time_events import TimeEventClassifier as TimeEventClassifier
    from .time_events import TimeEventRegressor as TimeEventRegressor
    from .time_events import TimeKernelDisplay as TimeKernelDisplay
    from .time_events import TimeSpectrumDisplay as TimeSpectrumDisplay
    from .time_events import TimeToEventCalibrationDisplay as TimeToEventCalibrationDisplay
    from .time_events import make_event_windows as make_event_windows
    from .transport import OTMapDisplay as OTMapDisplay
    from .transport import OTTabularClassifier as OTTabularClassifier
    from .transport import OTTrainingDisplay as OTTrainingDisplay
    from .transport import OTTrainingMonitor as OTTrainingMonitor
    from .vision_language import CrossModalAttentionDisplay as CrossModalAttentionDisplay
    from .vision_language import InterModalityFlowDisplay as InterModalityFlowDisplay
    from .vision_language import VisualParsingClassifier as VisualParsingClassifier
    from .vision_language import VisualParsingRegressor as VisualParsingRegressor
    from .vision_language import inter_modality_flow as inter_modality_flow

__version__ = "0.1.0"

# Public name -> the module of this package that defines it.
_HOMES = {
    "AlphaPathDisplay": "causal",
    "AsymmetricKSVD": "primal",
    "AttentionByLagDisplay": "time_events",
    "AttentionCausalDiscovery": "causal",
    "AttentionMaps": "core.maps",
    "AttentionReranker": "reranking",
    "AttentionSpectrumDisplay": "primal",
    "BochnerTimeEncoder": "time_events",
    "CITestCountDisplay": "causal",
    "CLEANNExplainer": "causal",
    "ContextRelianceDisplay": "npt",
    "CrossModalAttentionDisplay": "vision_language",
    "CumulativeExplainer": "causal",
    "DepthWidthDisplay": "depth_width",
    "DepthWidthSearchCV": "depth_width",
    "DistributedTraining": "core.distributed",
    "DistributionalProjectionVectorizer": "distributional",
    "EventSequences": "time_events",
    "ExplanationDisplay": "causal",
    "HFAttention": "causal",
    "InterModalityFlowDisplay": "vision_language",
    "InterventionDisplay": "npt",
    "MercerTimeEncoder": "time_events",
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
    "RankedListDisplay": "reranking",
    "RerankDisplay": "reranking",
    "SentenceAttentionDisplay": "distributional",
    "SeparationBoundsDisplay": "depth_width",
    "SeparationRankDisplay": "depth_width",
    "SpectrumDisplay": "distributional",
    "SubsetSearchExplainer": "causal",
    "Time2VecEncoder": "time_events",
    "TimeEventClassifier": "time_events",
    "TimeEventRegressor": "time_events",
    "TimeKernelDisplay": "time_events",
    "TimeSpectrumDisplay": "time_events",
    "TimeToEventCalibrationDisplay": "time_events",
    "TrainingCheckpoint": "core.checkpoint",
    "TrainingHistoryDisplay": "core.display",
    "VisualParsingClassifier": "vision_language",
    "VisualParsingRegressor": "vision_language",
    "WordNeighborsDisplay": "distributional",
    "attention_spectrum": "primal",
    "export_inputs": "core.export",
    "export_onnx": "core.export",
    "export_program": "core.export",
    "inter_modality_flow": "vision_language",
    "make_event_windows": "time_events",
    "recommend_depth_width": "depth_width",
    "separation_rank": "depth_width",
}

__all__ = ["__version__", *_HOMES]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
