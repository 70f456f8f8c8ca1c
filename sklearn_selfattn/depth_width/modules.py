"""The torch modules inside a fitted estimator, wherever they are."""

from collections.abc import Mapping

from sklearn.base import BaseEstimator


def module_holders(estimator):
    """Return the objects inside a fitted estimator that hold a trained module as `module_`.

    Our own estimators and skorch's nets do, alone, in pipelines, or as members of an ensemble.
    """
    holders, seen, waiting = [], set(), [estimator]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, Mapping):
            waiting.extend(thing.values())
        elif isinstance(thing, (list, tuple)):
            waiting.extend(thing)
        elif hasattr(thing, "get_params") and hasattr(thing, "__dict__"):
            if hasattr(vars(thing).get("module_"), "parameters"):
                holders.append(thing)
            elif isinstance(thing, BaseEstimator):
                waiting.extend(vars(thing).values())
    return holders


def fitted_modules(estimator):
    """Return the trained torch modules inside a fitted estimator; none is fine."""
    return [holder.module_ for holder in module_holders(estimator)]


def n_trainable(module):
    """Count the numbers of a module that training changes."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
