"""What a regressor's net puts out, and how it is held against the target."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import ndtr

from ..core.base import weighted_mean_and_scale

N_COMPONENTS = 8
_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
_LOWEST_LOG_SPREAD = math.log(1e-3)  # of standardised logarithms


class Scale:
    """A target on a scale that a net likes, and back.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Targets.
    weight : ndarray of shape (n,)
        Their weights.
    kind : {"plain", "log1p", "log"}
        Whether logarithms are taken. "log" moves what is not positive to half of the smallest
        positive one.

    Attributes
    ----------
    unit : float
        What y is divided by before ``log1p``: the geometric mean of the positive ones.
    mean, spread : float
        Of the transformed target; the net puts out standardised ones.
    """

    def __init__(self, y, weight, kind):
        self.kind = kind
        positive = y > 0
        self.unit, self.lowest = 1.0, 1.0
        if kind != "plain" and positive.any():
            self.unit = float(np.exp(np.average(np.log(y[positive]), weights=weight[positive])))
            self.lowest = float(y[positive].min()) / 2
        z = self._bend(y)
        self.mean, spread = (float(v[0]) for v in weighted_mean_and_scale(z[:, None], weight))
        # a clock's gaps have the rounding error of its times for a spread
        self.spread = spread if spread > 1e-12 * max(abs(self.mean), 1e-300) else 1.0

    def _bend(self, y):
        if self.kind == "log1p":
            return np.log1p(y / self.unit)
        if self.kind == "log":
            return np.log(np.maximum(y, self.lowest) / self.unit)
        return y

    def forward(self, y):
        """Return standardised targets."""
        return (self._bend(y) - self.mean) / self.spread

    def backward(self, z):
        """Return targets from standardised ones."""
        bent = z * self.spread + self.mean
        if self.kind == "log1p":
            return np.maximum(np.expm1(bent), 0.0) * self.unit
        return np.exp(bent) * self.unit if self.kind == "log" else bent

    def backward_tensor(self, z):
        """Return the same from a tensor, for an exported graph."""
        bent = z * self.spread + self.mean
        if self.kind == "log1p":
            return bent.expm1().clamp(min=0.0) * self.unit
        return bent.exp() * self.unit if self.kind == "log" else bent


def absolute_error(output, target):
    """Absolute error of (n, 1) for (n, 2): target and whether it is censored."""
    return (output[:, 0] - target[:, 0]).abs()


def squared_error(output, target):
    """Squared error."""
    return (output[:, 0] - target[:, 0]) ** 2


def huber(output, target):
    """Squared error near 0, absolute error beyond one standard deviation."""
    return F.huber_loss(output[:, 0], target[:, 0], reduction="none")


def mixture(output, target):
    """Negative log-likelihood of a mixture of normals; of survival where censored."""
    share, mean, log_spread = _parts(output)
    z = (target[:, :1] - mean) / log_spread.exp()  # (n, k)
    log_density = -0.5 * z**2 - log_spread - _HALF_LOG_TAU
    log_survival = torch.special.log_ndtr(-z)
    log_part = torch.where(target[:, 1:] > 0, log_survival, log_density)
    return -torch.logsumexp(share + log_part, dim=1)


def _parts(output):
    share, mean, log_spread = output.chunk(3, dim=1)
    place = torch.linspace(-2, 2, share.shape[1], dtype=output.dtype, device=output.device)
    log_spread = log_spread.clamp(_LOWEST_LOG_SPREAD, 5.0)
    return share.log_softmax(dim=1), mean + place, log_spread


LOSSES = {
    "absolute_error": (absolute_error, 1),
    "squared_error": (squared_error, 1),
    "huber": (huber, 1),
    "lognormal_mixture": (mixture, 3 * N_COMPONENTS),
}


def mixture_quantiles(output, levels):
    """Return quantiles of the mixtures: (n, 3 k) and (m,) -> (n, m), standardised."""
    share, mean, log_spread = (part.numpy() for part in _parts(torch.as_tensor(output)))
    spread = np.exp(log_spread)
    low = np.tile((mean - 9 * spread).min(axis=1)[:, None], (1, len(levels)))
    high = np.tile((mean + 9 * spread).max(axis=1)[:, None], (1, len(levels)))
    for _ in range(60):  # halving: exact to the last bits
        middle = (low + high) / 2
        z = (middle[:, :, None] - mean[:, None]) / spread[:, None]  # (n, m, k)
        below = (np.exp(share)[:, None] * ndtr(z)).sum(axis=2) < levels
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def mixture_median(output):
    """Return the medians of the mixtures, (n, 3 k) -> (n,), in steps that can be exported."""
    share, mean, log_spread = _parts(output)
    spread = log_spread.exp()
    low, high = (mean - 9 * spread).amin(dim=1), (mean + 9 * spread).amax(dim=1)
    for _ in range(45):
        middle = (low + high) / 2
        z = (middle[:, None] - mean) / spread
        is_below = (share.exp() * torch.erf(z * math.sqrt(0.5))).sum(dim=1) < 0
        low, high = torch.where(is_below, middle, low), torch.where(is_below, high, middle)
    return (low + high) / 2
