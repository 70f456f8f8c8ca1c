"""Continuous time: histories of events, what comes next and when."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:  # for editors and type checkers, which do not run __getattr__
    from .classifier import TimeEventClassifier as TimeEventClassifier
    from .display import AttentionByLagDisplay as AttentionByLagDisplay
    from .display import TimeKernelDisplay as TimeKernelDisplay
    from .display import TimeSpectrumDisplay as TimeSpectrumDisplay
    from .display import TimeToEventCalibrationDisplay as TimeToEventCalibrationDisplay
    from .encoders import BochnerTimeEncoder as BochnerTimeEncoder
    from .encoders import MercerTimeEncoder as MercerTimeEncoder
    from .encoders import Time2VecEncoder as Time2VecEncoder
    from .presets import paper_preset as paper_preset
    from .regressor import TimeEventRegressor as TimeEventRegressor
    from .sequences import EventSequences as EventSequences
    from .windows import make_event_windows as make_event_windows

# Public name -> the module of this room that defines it.
_HOMES = {
    "AttentionByLagDisplay": "display",
    "BochnerTimeEncoder": "encoders",
    "EventSequences": "sequences",
    "MercerTimeEncoder": "encoders",
    "Time2VecEncoder": "encoders",
    "TimeEventClassifier": "classifier",
    "TimeEventRegressor": "regressor",
    "TimeKernelDisplay": "display",
    "TimeSpectrumDisplay": "display",
    "TimeToEventCalibrationDisplay": "display",
    "make_event_windows": "windows",
    "paper_preset": "presets",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
