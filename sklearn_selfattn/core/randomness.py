"""torch's random state, which is one for all threads: seed it, use it, put it back."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

_lock = threading.RLock()  # who needs the random state waits for this


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed torch for a block of code, and put its random state back afterwards.

    The state is shared by all threads; a lock lets one block run at a time, so that fits in
    threads draw the same numbers as fits one after the other.

    Parameters
    ----------
    seed : int
        The seed.
    device : torch.device or str, default="cpu"
        A CUDA device is seeded as well.
    """
    device = torch.device(device)
    cuda = []
    if device.type == "cuda":
        cuda = [torch.cuda.current_device() if device.index is None else device.index]
    with _lock, torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would touch every GPU
        for index in cuda:
            torch.cuda.default_generators[index].manual_seed(seed)
        yield


def draws_noise(module: nn.Module) -> bool:
    """Say whether a layer of the module draws from torch's own random state in training.

    That is what dropout does; a layer has its rate in an attribute `p` or `dropout`.
    """
    rates = (getattr(layer, name, 0.0) for layer in module.modules() for name in ("p", "dropout"))
    return any(isinstance(rate, float) and rate > 0 for rate in rates)


def seeded_if(
    condition: bool, generator: torch.Generator, device: torch.device
) -> AbstractContextManager[None]:
    """Seed torch from the generator where needed, else leave its state and lock alone."""
    if not condition:
        return nullcontext()
    return seeded(int(torch.randint(2**63 - 1, (), generator=generator)), device)
