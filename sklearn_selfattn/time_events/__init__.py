"""Continuous time: histories of events, what comes next and when."""

from ..core.lazy import lazy_names

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
