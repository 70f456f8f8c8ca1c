"""Count the parameters of an estimator's layers at any depth and width, on the real module."""

import math
import warnings
from dataclasses import dataclass
from typing import Any

from sklearn.base import clone

from .modules import module_holders, n_trainable


@dataclass(frozen=True)
class Shape:
    """A candidate: so many layers so wide, for this budget, with so many parameters in them."""

    depth: int
    width: int
    budget: float
    n_params: int


class LayerCounter:
    r"""Counts what depth adds to an estimator, whatever the names of its modules.

    The parameters of embedding and output do not depend on the depth, so that the layers have

    .. math:: N(L, d) = P(L, d) - P_0(d), \qquad P_0(d) = 2 P(1, d) - P(2, d)

    of the P parameters of the whole module.

    One fit of a single epoch tells the sizes of the table; after that, our own estimators
    build the module of any shape without training it, and others are fitted for an epoch at
    each.

    Parameters
    ----------
    estimator : estimator
        Cloned.
    depth_param, width_param : str
        Names of its parameters.
    X, y : array-like
        What the probe is fitted on.
    count_params : callable, default=None
        ``count_params(estimator, X, y)`` returns the number for an unfitted estimator with
        its shape set, in place of all this.
    """

    def __init__(self, estimator, depth_param, width_param, X, y, count_params=None):
        self.estimator = estimator
        self.depth_param, self.width_param = depth_param, width_param
        self.X, self.y = X, y
        self.count_params = count_params
        self._probe: list[Any] = []
        self._totals = {}

    def __call__(self, depth, width):
        """Return the parameters of the layers."""
        if self.count_params is not None:
            return self._total(depth, width)
        one, two = self._total(1, width), self._total(2, width)
        if two <= one:
            raise ValueError(
                f"{self.depth_param} does not change the number of parameters: "
                f"{type(self.estimator).__name__} has {one} of them with 1 and {two} with 2 layers"
                f" at {self.width_param}={width}. (Pretrained weights have their own shape.)"
            )
        return self._total(depth, width) - (2 * one - two)

    def _total(self, depth, width):
        if (depth, width) not in self._totals:
            shape = {self.depth_param: depth, self.width_param: width}
            if self.count_params is not None:
                candidate = clone(self.estimator).set_params(**shape)
                count = self.count_params(candidate, self.X, self.y)
            else:
                count = self._count(shape)
            self._totals[depth, width] = count
        return self._totals[depth, width]

    def _count(self, shape):
        if not self._probe or not self._rebuild:
            self._fit_probe(shape)
            return sum(n_trainable(holder.module_) for holder in self._probe)
        names = {name.rpartition("__")[2]: value for name, value in shape.items()}
        return sum(n_trainable(_build(holder, names)) for holder in self._probe)

    def _fit_probe(self, shape):
        probe = clone(self.estimator).set_params(**shape)
        epochs = sibling(self.depth_param, "max_epochs")
        if epochs in probe.get_params():
            probe.set_params(**{epochs: 1})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            probe.fit(self.X) if self.y is None else probe.fit(self.X, self.y)
        self._probe = module_holders(probe)
        if not self._probe:
            raise ValueError(
                f"{type(self.estimator).__name__} has no torch module to count: give "
                "count_params, a function of (estimator, X, y)."
            )
        own = {name.rpartition("__")[2] for name in (self.depth_param, self.width_param)}
        self._rebuild = all(
            hasattr(holder, "_make_module") and own <= set(holder.get_params(deep=False))
            for holder in self._probe
        )


def sibling(name, other):
    """Return the name that a parameter beside a nested one goes by."""
    prefix, separator, _ = name.rpartition("__")
    return prefix + separator + other


def _build(holder, params):
    """Build the untrained module that a fitted estimator of ours would have at other parameters.

    `_make_module` builds from parameters and fitted sizes alone, which is how unpickling works.
    """
    from ..core.randomness import seeded

    before = holder.__dict__.copy()
    try:
        holder.set_params(**params)
        if hasattr(holder, "n_layers_"):
            holder._choose_shape(n_rows=0)  # as given: a candidate's depth is a number
        with seeded(0):
            return holder._make_module()
    finally:
        holder.__dict__.clear()
        holder.__dict__.update(before)


def shape_for_budget(count, depth, budget, step):
    """Return the shape of a depth whose count comes nearest to a budget, above or below it.

    Parameters
    ----------
    count : callable
        ``count(depth, width)``, which rises with the width.
    depth : int
        Number of layers.
    budget : float
        Parameters wanted.
    step : int
        The width is a multiple of it.

    Returns
    -------
    Shape
        Possibly far from the budget, where steps are coarse.
    """
    high = 1
    while count(depth, high * step) < budget:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(depth, middle * step) < budget else (low, middle)
    near = [Shape(depth, k * step, budget, count(depth, k * step)) for k in (low, high) if k]
    return min(near, key=lambda shape: abs(math.log(shape.n_params / budget)))
