"""One measured figure beside its target."""

import math
import operator

_COMPARISONS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


def figure(name, value, target=None):
    """Set a value beside its target.

    Parameters
    ----------
    name : str
        What was measured, with its unit.
    value : float
        The measured value.
    target : str, default=None
        "<= 0.12", ">= 0.99", "< 0", "> 0" or "0.9 to 1.1"; None reports without judging.

    Returns
    -------
    dict
        ``name``, ``value`` (6 significant digits) and, with a target, ``target`` and ``reached``.
    """
    value = float(value)
    result = {"name": name, "value": float(f"{value:.6g}") if math.isfinite(value) else None}
    if target is not None:
        result["target"] = target
        result["reached"] = meets(value, target)
    return result


def meets(value, target):
    """Tell whether a value, unrounded, meets a target."""
    if " to " in target:
        low, high = map(float, target.split(" to "))
        return low <= value <= high
    comparison, bound = target.split()
    return bool(_COMPARISONS[comparison](value, float(bound)))
