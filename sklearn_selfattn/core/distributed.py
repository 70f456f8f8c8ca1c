"""One fit over several processes, on one machine or on many."""

import atexit
import os
from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from skorch.callbacks import Callback
from torch import Tensor


class DistributedTraining(Callback):
    r"""Share the batches of a fit among the processes that ``torchrun`` has started.

    Give it to an estimator in `callbacks`, and run the script with
    ``torchrun --nproc-per-node 4 script.py``. Each process then computes the gradient of its own
    batch, and all take the same step along the mean: one fit, with a batch as many times larger,
    that ends with the same model in every process. Started without ``torchrun``, the same script
    fits as if the callback were not there.

    Raises
    ------
    ValueError
        Processes were given different data, parameters or initial weights. The last differ with
        ``random_state=None``.

    Notes
    -----
    In a round of w processes, :math:`g = \frac{1}{w} \sum_r g_r`. With w processes and
    ``batch_size=b`` a fit without dropout has the losses of one process with ``batch_size=w*b``
    where rows divide evenly and weigh the same. An epoch has w times fewer steps, so a small table
    gains nothing: its few batches are all there is to share.

    Batches are drawn in every process, the loss on held-out rows is computed by all and taken from
    the first, and progress is shown and checkpoints are written by the first. A process on a GPU
    has to choose it before ``fit``, with ``torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))``.
    Gradients travel by NCCL between GPUs and by Gloo between CPUs. As long as the group lives, a
    ``fit`` with this callback has to run in all of its processes: one that is missing is waited
    for.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_selfattn import DistributedTraining, OTTabularClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = OTTabularClassifier(
    ...     max_epochs=5, callbacks=[DistributedTraining()], random_state=0
    ... )
    >>> model.fit(X, y).score(X, y) > 0.9  # alone here
    True
    """


class Processes:
    """The processes that share a fit; one, where it is not shared.

    Parameters
    ----------
    device : torch.device
        Where gradients lie.
    wanted : bool
        Whether the fit is to be shared, if there are processes to share it.
    """

    def __init__(self, device: torch.device, wanted: bool) -> None:
        self.device, self.rank, self.n_processes = device, 0, 1
        if not wanted or not (dist.is_initialized() or "WORLD_SIZE" in os.environ):
            return
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
            atexit.register(_leave)
        self.rank, self.n_processes = dist.get_rank(), dist.get_world_size()

    def check_same(self, fingerprint: str) -> None:
        """Raise unless all processes fit the same.

        Parameters
        ----------
        fingerprint : str
            Says what this process fits.
        """
        found: list[Any] = [None] * self.n_processes
        dist.all_gather_object(found, fingerprint)
        if len(set(found)) > 1:
            raise ValueError(
                "DistributedTraining: the processes fit different things. Give each the same "
                "data and parameters, and an int as random_state."
            )

    def shares(self, batches: Iterable[Any]) -> Iterator[tuple[Any, int]]:
        """Deal batches out in rounds: this process's own (None: there is none), and how many.

        Parameters
        ----------
        batches : iterable
            The batches of an epoch, the same in all processes.

        Yields
        ------
        tuple
            For each round the own batch and the number of batches.
        """
        own, n_dealt = None, 0
        for batch in batches:
            own = batch if n_dealt == self.rank else own
            n_dealt += 1
            if n_dealt == self.n_processes:
                yield own, n_dealt
                own, n_dealt = None, 0
        if n_dealt:
            yield own, n_dealt

    def average(self, value: Tensor, parameters: list[Tensor], n_batches: int) -> Tensor:
        """Put the mean gradient of a round in the parameters, and return the mean loss.

        Parameters
        ----------
        value : Tensor of shape ()
            The loss of the own batch, 0 where there is none.
        parameters : list of Tensor
            With gradients; those that no process has a gradient of are left without.
        n_batches : int
            Batches of the round.

        Returns
        -------
        Tensor of shape ()
            The mean loss.
        """
        if self.n_processes == 1:
            return value
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        has_gradient = [float(p.grad is not None) for p in parameters]
        flat = torch.cat([g.flatten() for g in gradients] + [gradients[0].new_tensor(has_gradient),
                         value.to(gradients[0]).reshape(1)])  # fmt: skip
        dist.all_reduce(flat)
        sizes = [*(g.numel() for g in gradients), len(parameters), 1]
        *parts, counts, total = torch.split(flat, sizes)
        for parameter, part, count in zip(parameters, parts, counts.tolist(), strict=True):
            parameter.grad = part.view_as(parameter) / n_batches if count else None
        mean: Tensor = total[0] / n_batches
        return mean

    def agree(self, value: float) -> float:
        """Return the first process's number in all of them.

        Parameters
        ----------
        value : float
            The own number.

        Returns
        -------
        float
            That of the first process.
        """
        if self.n_processes == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(shared, src=0)
        return float(shared)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
