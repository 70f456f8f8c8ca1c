"""What the net is trained for, and what rows held out say about it."""

import math

import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar

CHUNK = 4096  # held-out rows that go through the net at once
TEMPERATURE_SPREAD = 0.35  # standard deviation of the prior of log(temperature)


class Objective:
    """Loss of a batch ``(X, target, weight, codes, fold)``.

    Row i is held out by the member ``fold[i]``, by none if that is -1.

    Parameters
    ----------
    kind : {"hybrid", "regression"}
        "hybrid": cross-entropy and the two terms below. "regression": squared distance to the
        target.
    first_style_dim : int
        From here on coordinates are compared with the target.
    ce_weight, transport_weight, anchor_weight : float
        Weights of cross-entropy, of the squared distance to the style (a mean over coordinates),
        and of the squared distance to the class mean.
    """

    def __init__(self, kind, first_style_dim, ce_weight, transport_weight, anchor_weight):
        self.kind = kind
        self.first_style_dim = first_style_dim
        self.ce_weight = ce_weight
        self.transport_weight = transport_weight
        self.anchor_weight = anchor_weight

    def __call__(self, module, batch):
        """Return the training loss: the mean over members of what each may train on."""
        X, target, weight, codes, fold = batch
        row_loss = self._row_loss(module, module(X), target, codes)  # (m, b)
        member = torch.arange(len(row_loss), device=fold.device)[:, None]
        weight = weight * (fold != member)  # (m, b)
        total = weight.sum(dim=1).clamp(min=torch.finfo(weight.dtype).tiny)
        return ((row_loss * weight).sum(dim=1) / total).mean()

    def _row_loss(self, module, z, target, codes):
        if self.kind == "regression":
            return ((z - target) ** 2).mean(dim=-1)
        codes = codes.expand(len(z), -1)  # (m, b)
        distances = module.squared_distances(z)  # (m, b, k)
        logits = -0.5 * module.log_gain.exp()[:, None, None] * distances
        entropy = F.cross_entropy(logits.transpose(1, 2), codes, reduction="none")
        row_loss = self.ce_weight * entropy
        if self.transport_weight:
            style = self.first_style_dim
            off = ((z[..., style:] - target[:, style:]) ** 2).mean(dim=-1)
            row_loss = row_loss + self.transport_weight * off
        if self.anchor_weight:
            off = distances.gather(2, codes[..., None])[..., 0]
            row_loss = row_loss + self.anchor_weight * off
        return row_loss

    def held_out_loss(self, module, held_out):
        """Return the loss of held-out rows: squared error, or the logarithm of their class."""
        _, target, weight, codes, _ = held_out
        if self.kind == "regression":
            losses = ((_held_out_points(module, held_out) - target) ** 2).mean(dim=1)
        else:
            logits = _held_out_logits(module, held_out)
            losses = F.cross_entropy(logits, codes, reduction="none")
        return float((losses * weight).sum() / weight.sum())


def best_temperature(module, held_out):
    """Return the temperature under which held-out rows are most likely.

    A prior around 1 keeps rows that are all predicted right from asking for certainty.
    """
    _, _, weight, codes, _ = held_out
    logits = _held_out_logits(module, held_out)
    share = weight / weight.sum()

    def loss(log_temperature):
        losses = F.cross_entropy(logits / math.exp(log_temperature), codes, reduction="none")
        likely = float((losses * share).sum())
        return likely * len(codes) + 0.5 * (log_temperature / TEMPERATURE_SPREAD) ** 2

    return math.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x)


def _held_out_points(module, held_out):
    """Return where held-out rows land, (n, l), each by the member that holds it out."""
    X, fold = held_out[0], held_out[-1]
    z = torch.cat([module(part) for part in X.split(CHUNK)], dim=1)  # (m, n, l)
    return z[fold, torch.arange(len(fold), device=fold.device)]


def _held_out_logits(module, held_out):
    gain = module.log_gain.exp()[held_out[-1], None]  # (n, 1)
    return -0.5 * gain * module.squared_distances(_held_out_points(module, held_out))
