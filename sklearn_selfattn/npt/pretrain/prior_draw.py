"""Random numbers of one generator, and the few column operations every part of the prior uses."""

import torch


class Draw:
    """Random numbers from one generator, on its device.

    Parameters
    ----------
    generator : torch.Generator
        The only source of randomness.
    device : torch.device or str
        Where the numbers are made; the device of the generator.
    """

    def __init__(self, generator, device):
        self.generator = generator
        self.device = device

    def uniform(self, *shape):
        """Draw numbers between 0 and 1."""
        return torch.rand(shape, generator=self.generator, device=self.device)

    def between(self, low, high, *shape):
        """Draw numbers between `low` and `high`."""
        return low + (high - low) * self.uniform(*shape)

    def normal(self, *shape):
        """Draw standard normal numbers."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def chance(self, probability, *shape):
        """Return True with the given probability (a number or a tensor that broadcasts)."""
        return self.uniform(*shape) < probability

    def whole(self, limit, *shape):
        """Draw whole numbers 0..limit-1; `limit` is a number or a tensor that broadcasts."""
        numbers = (self.uniform(*shape) * limit).long()
        if isinstance(limit, torch.Tensor):
            return torch.minimum(numbers, limit.long() - 1)
        return numbers.clamp(max=limit - 1)


def standardise(values):
    """Give every column of every table mean 0 and deviation 1; constant columns become 0.

    Parameters
    ----------
    values : Tensor of shape (n_tables, n_rows, n_columns)

    Returns
    -------
    Tensor of the same shape
    """
    centred = values - values.mean(1, keepdim=True)
    deviation = centred.square().mean(1, keepdim=True).sqrt()
    return centred / deviation.clamp(min=1e-4)


def take_columns(values, index):
    """Select columns per table.

    Parameters
    ----------
    values : Tensor of shape (n_tables, n_rows, n_columns)
    index : int Tensor of shape (n_tables, n_taken)

    Returns
    -------
    Tensor of shape (n_tables, n_rows, n_taken)
    """
    return values.gather(2, index[:, None].expand(-1, values.shape[1], -1))
