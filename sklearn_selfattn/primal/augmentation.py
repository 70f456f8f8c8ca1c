"""Batches of an epoch: some passes over few rows, series bent and stretched (torch only)."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..core.training import RepeatedBatches, TensorBatches

WARP = 0.2  # how much faster or slower a series may run at its ends
CROP = 0.1  # the most that is cut off at either end, as a share of the length
SCALE = 0.1  # deviation of the factor of a channel
NOISE = 0.05  # deviation of the noise of a value, in units of the channel's


def bend(X: Tensor, generator: torch.Generator) -> Tensor:
    r"""Return series as they might have been: other speed, other cut, other amplitude, noise.

    A step at the relative time u shows what was at
    :math:`a + (b - a) (u + \alpha \sin(\pi u) / \pi + \beta \sin(2 \pi u) / 2 \pi)`,
    between two steps along a line. The length stays.

    Shape: input ``(n, t, g)``, NaN after the end of a series; output the same.
    """
    n, t, _ = X.shape
    padding = X[..., 0].isnan()
    last = t - 1 - padding.sum(dim=1, keepdim=True)  # (n, 1)

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=X.dtype).to(X.device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=X.dtype).to(X.device)

    u = torch.arange(t, dtype=X.dtype, device=X.device) / last.clamp(min=1)  # (n, t)
    alpha, beta = (WARP * (2 * draw(n, 1) - 1) for _ in range(2))
    u = u + (alpha * (math.pi * u).sin() + 0.5 * beta * (2 * math.pi * u).sin()) / math.pi
    start, end = CROP * draw(n, 1), 1 - CROP * draw(n, 1)
    place = (start + (end - start) * u).clamp(0, 1) * last
    left = torch.minimum(place.long(), (last - 1).clamp(min=0))
    right = torch.minimum(left + 1, last)
    share = (place - left).unsqueeze(-1)
    known = X.nan_to_num()
    wide = (-1, -1, X.shape[2])
    X = known.gather(1, left[..., None].expand(wide)) * (1 - share) + share * known.gather(
        1, right[..., None].expand(wide)
    )
    X = X * (1 + SCALE * normal(n, 1, X.shape[2])) + NOISE * normal(*X.shape)
    return X.masked_fill(padding.unsqueeze(-1), torch.nan)


class SeriesBatches:
    """Mini-batches that know what a net of series wants: several passes, bent series, noise.

    Parameters
    ----------
    *tensors : Tensor of shape (n_samples, ...)
        First what the module is called with, last the row weights.
    batch_size : int
        The most rows in a batch.
    min_steps : int
        Batches of an epoch at least: fewer are gone through again.
    augment : bool
        Whether series are bent each time.
    noise_shape : tuple of int, default=None
        Shape of the normal draws ``(m, n, ...)`` that are put second in a batch, with the number
        of its rows in the place of n; None puts none there.
    """

    def __init__(
        self,
        *tensors: Tensor,
        batch_size: int,
        min_steps: int,
        augment: bool,
        noise_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.batches = RepeatedBatches(TensorBatches(*tensors, batch_size=batch_size), min_steps)
        self.augment, self.noise_shape = augment, noise_shape

    def __len__(self) -> int:
        return len(self.batches)

    def __call__(self, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        """Yield the batches of one epoch, drawn from `generator`."""
        for X, *others in self.batches(generator):
            X = bend(X, generator) if self.augment else X
            if self.noise_shape is None:
                yield X, *others
            else:
                m, _, *rest = self.noise_shape
                noise = torch.randn((m, len(X), *rest), generator=generator, dtype=X.dtype)
                yield X, noise.to(X.device), *others
