"""Muon: momentum whose steps are made orthogonal, for the matrices of the blocks."""

import math

import torch
from torch import Tensor

# Coefficients of the quintic iteration that drives all singular values towards 1 (K. Jordan, 2024).
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
N_ITERATIONS = 5


def orthogonalise(G: Tensor) -> Tensor:
    """Return the nearest semi-orthogonal matrices, roughly: singular values in .7 to 1.2.

    Parameters
    ----------
    G : Tensor of shape (k, rows, columns)
        Matrices.

    Returns
    -------
    Tensor of shape (k, rows, columns)
        ``U V'`` of each ``G = U S V'``, up to the error of five iterations.
    """
    tall = G.shape[1] > G.shape[2]
    Y = G.mT if tall else G
    Y = Y / (Y.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(N_ITERATIONS):
        A = Y @ Y.mT
        Y = a * Y + (b * A + c * A @ A) @ Y
    return Y.mT if tall else Y


class Muon(torch.optim.Optimizer):
    """Stochastic gradient descent along orthogonalised Nesterov momentum.

    Steps are scaled by ``0.2 sqrt(max(rows, columns))``, which gives them the size of AdamW's,
    so that both take the same learning rate. The momentum is kept in bfloat16, that a
    checkpoint stays small and a resumed run goes on exactly.

    Parameters
    ----------
    params : iterable of Tensor
        Matrices.
    lr : float
        Step size.
    momentum, weight_decay : float
        Decay of the running gradient; decoupled decay of the weights.
    """

    def __init__(self, params, lr: float, momentum: float = 0.95, weight_decay: float = 0.01):
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure=None):
        """Take a step; matrices of one shape go through the iteration together."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter, dtype=torch.bfloat16)
                mean = state["momentum"].float().lerp(parameter.grad, 1 - group["momentum"])
                state["momentum"] = mean.bfloat16()
                ahead = parameter.grad.lerp(mean, group["momentum"])
                by_shape.setdefault(parameter.shape, []).append((parameter, ahead))
            for shape, pairs in by_shape.items():
                updates = orthogonalise(torch.stack([ahead for _, ahead in pairs]))
                size = 0.2 * math.sqrt(max(shape)) * group["lr"]
                for (parameter, _), update in zip(pairs, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update, alpha=-size)
