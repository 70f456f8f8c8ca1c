"""The one training loop: a private skorch net that takes any batches and any loss."""

import copy
import math
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, EpochTimer
from skorch.utils import noop
from torch import Tensor, nn

from .checkpoint import TrainingCheckpoint, fingerprint
from .distributed import DistributedTraining, Processes
from .progress import ProgressLine, SklearnCallbacks
from .randomness import draws_noise, seeded, seeded_if

Loss = Callable[[nn.Module, Any], Tensor]
Batches = Callable[[torch.Generator], Iterable[Any]]
OptimizerMaker = Callable[[list[dict[str, Any]]], torch.optim.Optimizer]

__all__ = [
    "RepeatedBatches", "TensorBatches", "TrainingDiverged", "one_cycle", "seeded", "train",
    "weighted_row_loss",
]  # fmt: skip

WARM_UP = 0.1  # share of the training in which the learning rate of `one_cycle` rises


def train(
    module: nn.Module,
    *,
    batches: Batches,
    loss: Loss,
    validate: Callable[[nn.Module], float] | None = None,
    max_epochs: int,
    learning_rate: float,
    weight_decay: float = 0.0,
    optimizer: str | OptimizerMaker = "adamw",
    schedule: Callable[[float], float] | None = None,
    clip_norm: float | None = None,
    average: float = 0.0,
    n_iter_no_change: int | None = None,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    callbacks: Iterable[Any] | None = None,
    verbose: int = 0,
    estimator: Any = None,
    X: Any = None,
    y: Any = None,
) -> list[dict[str, Any]]:
    """Train a module in place and tell how it went.

    Parameters
    ----------
    module : torch.nn.Module
        Trained in place, moved to `device`, left in eval mode. Names in its optional
        attribute `no_weight_decay` (a set) are spared the weight decay, as are biases and all
        parameters with fewer than two dimensions.
    batches : callable
        ``batches(generator)`` returns an iterable over the batches of one epoch, which may
        be anything that `loss` understands. It may have a length (``len(batches)``, the
        steps in an epoch); without one, `schedule` moves by whole epochs in the first.
    loss : callable
        ``loss(module, batch)`` returns a scalar tensor.
    validate : callable, default=None
        ``validate(module)`` returns a float, the lower the better. Called after each epoch,
        in eval mode and without gradients. The weights of the best epoch are kept in memory
        and put back at the end.
    max_epochs : int
        The most passes over the batches.
    learning_rate : float
        Step size, before `schedule`.
    weight_decay : float, default=0.0
        Decay of all other parameters.
    optimizer : "adamw" or callable, default="adamw"
        ``optimizer(groups)`` returns a torch optimiser over parameter groups, which carry
        ``"lr"`` and ``"weight_decay"``.
    schedule : callable, default=None
        ``schedule(fraction)`` returns the factor of the learning rate for a step that comes
        after this fraction of all steps, between 0 and 1.
    clip_norm : float, default=None
        The most that the norm of the whole gradient may be; longer ones are shortened.
    average : float, default=0.0
        Decay of the running average of the weights, which is what is validated and kept: the
        noise of the last steps averages out. In step t at most ``(1 + t) / (10 + t)``, so that the
        initial weights are soon forgotten. 0 keeps the weights themselves.
    n_iter_no_change : int, default=None
        Stop when `validate` has not improved for so many epochs.
    generator : torch.Generator
        The source of all randomness, on the CPU: given to `batches`, and seeds torch's own
        random state where the module has dropout. That state is put back afterwards.
    device : torch.device or str, default="cpu"
        Where to train.
    callbacks : list of skorch callbacks, default=None
        Copied, so that the caller's own stay as they are.
    verbose : int, default=0
        1 writes a progress line to stderr: epoch, losses, time left.
    estimator, X, y : optional
        The estimator that is being fitted, and on what: passed to the callbacks that the
        user registered with scikit-learn's `set_callbacks`.

    Returns
    -------
    list of dict
        One for each finished epoch, with the keys "epoch", "train_loss", "valid_loss" (where
        there is `validate`), "lr" and "dur" (seconds), and what callbacks have recorded.

    Raises
    ------
    TrainingDiverged
        A loss or a weight is no longer finite; a ValueError.

    Warns
    -----
    ConvergenceWarning
        Ctrl-C has ended the training: after which epoch, and which weights are kept.

    Notes
    -----
    Ctrl-C ends the training early and leaves a usable module. The losses of an epoch are
    averaged on the device and read once at its end, so that a GPU never waits for Python.

    Examples
    --------
    >>> import torch
    >>> from sklearn_selfattn.core.training import TensorBatches, train, weighted_row_loss
    >>> X = torch.linspace(-1, 1, 20).reshape(-1, 1)  # (n, 1)
    >>> y, weight = 3 * X[:, 0], torch.ones(20)  # (n,), (n,)
    >>> module = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Flatten(0))
    >>> history = train(
    ...     module,
    ...     batches=TensorBatches(X, y, weight, batch_size=32),
    ...     loss=weighted_row_loss(lambda output, y: (output - y) ** 2),
    ...     max_epochs=100,
    ...     learning_rate=0.1,
    ...     generator=torch.Generator().manual_seed(0),
    ... )
    >>> len(history), history[-1]["train_loss"] < 0.01
    (100, True)
    """
    early_stopping = EarlyStopping(
        monitor="valid_loss",
        patience=n_iter_no_change,
        threshold=0.0,
        sink=noop,
        load_best=True,
    )
    reporter = SklearnCallbacks(estimator, X, y, max_epochs)
    own_callbacks = [reporter]
    given = copy.deepcopy(_checked_callbacks(callbacks or []))
    processes = Processes(
        torch.device(device), any(isinstance(callback, DistributedTraining) for callback in given)
    )
    if verbose and processes.rank == 0:
        own_callbacks.append(ProgressLine(max_epochs))
    if validate is not None:
        own_callbacks.append(early_stopping)  # late, because it ends the epoch when it stops
    # last of all, because it saves what the others have come to
    own_callbacks += [callback for callback in given if isinstance(callback, TrainingCheckpoint)]
    given = [callback for callback in given if not isinstance(callback, TrainingCheckpoint)]
    net = _Net(
        module,
        criterion=noop,
        optimizer=optimizer,
        lr=learning_rate,
        max_epochs=max_epochs,
        train_split=None,
        callbacks=[*given, *own_callbacks],
        use_caching=False,
        verbose=0,
        device=device,
    )
    net.start(
        batches, loss, validate, weight_decay, schedule, clip_norm, average, generator, processes
    )
    if processes.n_processes > 1:
        processes.check_same(fingerprint(net, X, y))
    noise = seeded_if(draws_noise(module), generator, torch.device(device))
    with noise:
        net.partial_fit(X, y)
    _check_finite(
        all(bool(parameter.isfinite().all()) for parameter in module.parameters()),
        "a weight",
        len(net.history),
        learning_rate,
    )
    module.zero_grad(set_to_none=True)
    module.eval()
    reporter.finish(module)
    history = _plain(net.history)
    if net.interrupted:
        best = early_stopping.best_epoch_ if validate is not None else 0
        _warn_of_interrupt(len(history), max_epochs, best)
    return history


class TensorBatches:
    """Cut tensors into mini-batches by slicing, which is far cheaper than a `DataLoader`.

    Rows that fit into one batch are passed whole and unshuffled: such a fit depends on no
    random number beyond the initial weights.

    Parameters
    ----------
    *tensors : Tensor of shape (n_samples, ...)
        Cut along their first axis.
    batch_size : int
        The most rows in a batch. Batches of an epoch differ by at most one row.

    Examples
    --------
    >>> import torch
    >>> from sklearn_selfattn.core.training import TensorBatches
    >>> batches = TensorBatches(torch.arange(10), batch_size=4)
    >>> [len(rows) for (rows,) in batches(torch.Generator().manual_seed(0))]
    [4, 3, 3]
    """

    def __init__(self, *tensors: Tensor, batch_size: int) -> None:
        self.tensors = tensors
        self.batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self.tensors[0]) / self.batch_size)

    def __call__(self, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        """Yield the batches of one epoch, in an order drawn from `generator`."""
        if len(self) == 1:
            yield self.tensors
            return
        first = self.tensors[0]
        order = torch.randperm(len(first), generator=generator).to(first.device)
        for rows in order.tensor_split(len(self)):
            yield tuple(tensor.index_select(0, rows) for tensor in self.tensors)


class RepeatedBatches:
    """Batches of an epoch, passed over several times where they are few.

    Parameters
    ----------
    batches : callable with a length
        As `train` wants them.
    min_steps : int
        The fewest steps of an epoch.

    Examples
    --------
    >>> import torch
    >>> from sklearn_selfattn.core.training import RepeatedBatches, TensorBatches
    >>> batches = RepeatedBatches(TensorBatches(torch.arange(4), batch_size=2), min_steps=3)
    >>> len(batches), len(list(batches(torch.Generator())))
    (4, 4)
    """

    def __init__(self, batches: Any, min_steps: int) -> None:
        self.batches = batches
        self.n_passes = math.ceil(min_steps / len(batches))

    def __len__(self) -> int:
        return self.n_passes * len(self.batches)

    def __call__(self, generator: torch.Generator) -> Iterator[Any]:
        """Yield the batches of one epoch."""
        for _ in range(self.n_passes):
            yield from self.batches(generator)


def weighted_row_loss(criterion: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """Make a loss from a criterion for rows, for batches ``(*inputs, y, weight)``.

    The loss is the weighted mean ``sum(weight * criterion(output, y)) / sum(weight)``, so
    that a row of weight 2 counts as two rows. While training, `module.penalty()` is added if
    the module has that method.

    Parameters
    ----------
    criterion : callable
        ``criterion(output, y)`` returns one loss for each row, of shape (n_samples,).

    Returns
    -------
    callable
        ``loss(module, batch)``, as `train` wants it.
    """

    def loss(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        *inputs, y, weight = batch
        row_loss = criterion(module(*inputs), y)  # (n,)
        value = (row_loss * weight).sum() / weight.sum()
        if module.training and hasattr(module, "penalty"):
            value = value + module.penalty()  # type: ignore[operator]
        return value

    return loss


def one_cycle(done: float) -> float:
    """Return the factor of the learning rate: up along a line, down along a cosine.

    A `schedule` of `train`.

    Parameters
    ----------
    done : float
        Share of the steps that are done, between 0 and 1.

    Returns
    -------
    float
        From 0.1 up to 1 in the first tenth of the training, then down to 0.

    Examples
    --------
    >>> from sklearn_selfattn.core.training import one_cycle
    >>> [round(one_cycle(done), 2) for done in (0.0, 0.1, 0.55, 1.0)]
    [0.1, 1.0, 0.5, 0.0]
    """
    if done < WARM_UP:
        return 0.1 + 0.9 * done / WARM_UP
    return 0.5 + 0.5 * math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))


class _Net(NeuralNet):
    """A skorch net whose batches, loss and validation are functions.

    What is overridden is what costs time or assumes ``(X, y)`` data: the iterators, the step,
    the reading of the loss after every step, the rows of the history for every batch.
    """

    def start(
        self,
        batches: Batches,
        loss: Loss,
        validate: Callable[[nn.Module], float] | None,
        weight_decay: float,
        schedule: Callable[[float], float] | None,
        clip_norm: float | None,
        average: float,
        generator: torch.Generator,
        processes: Processes,
    ) -> None:
        """Take what an epoch needs, and initialise module and optimiser."""
        self._batches = batches
        self._loss = loss
        self._validate = validate
        self._weight_decay = weight_decay
        self._schedule = schedule
        self._clip_norm = clip_norm
        self._average = average
        self._generator = generator
        self._processes = processes
        self._in_epoch = False
        self.interrupted = False
        self._n_steps = None
        if hasattr(batches, "__len__"):
            self._n_steps = math.ceil(len(batches) / processes.n_processes)
        self.initialize()
        self._named_parameters = [
            item for item in self.module_.named_parameters() if item[1].requires_grad
        ]
        self._parameters = [parameter for _, parameter in self._named_parameters]
        # While steps are taken the module holds the weights and this their average; between
        # epochs it is the other way round.
        self._set_aside = [p.detach().clone() for p in self._parameters] if average else []
        self._steps_averaged = 0
        self._holds_average = False
        self._base_rates = [group["lr"] for group in self.optimizer_.param_groups]

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        return [("epoch_timer", EpochTimer())]

    def initialize_optimizer(self, triggered_directly: None = None) -> "_Net":
        """Build the optimiser over parameters with and without weight decay."""
        groups = _parameter_groups(self.module_, self.lr, self._weight_decay)
        if self.optimizer == "adamw":
            fused = torch.device(self.device).type in ("cpu", "cuda")
            self.optimizer_ = torch.optim.AdamW(groups, fused=fused)
        elif callable(self.optimizer):
            self.optimizer_ = self.optimizer(groups)
        else:
            raise ValueError(f"optimizer has to be 'adamw' or callable, got {self.optimizer!r}.")
        return self

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **kw: Any) -> "_Net":
        """Run the epochs that a checkpoint has left to run."""
        try:
            return super().fit_loop(X, y, self.max_epochs - len(self.history), **kw)  # type: ignore[no-any-return]
        except KeyboardInterrupt:  # between epochs it is how a callback stops the training
            self.interrupted = self._in_epoch
            raise

    def on_epoch_begin(self, net: Any, **kw: Any) -> None:
        """Note that a KeyboardInterrupt is the user's from now on."""
        super().on_epoch_begin(net, **kw)
        self._in_epoch = True

    def on_epoch_end(self, net: Any, **kw: Any) -> None:
        """Note that a KeyboardInterrupt is a callback's from now on."""
        super().on_epoch_end(net, **kw)
        self._in_epoch = False

    def get_split_datasets(self, X: Any, y: Any = None, **fit_params: Any) -> tuple[Any, None]:
        """Return what callbacks see as data; `validate` has its own."""
        return (X, y), None

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Return nothing: `run_single_epoch` asks `batches` itself."""

    def on_batch_begin(
        self, net: Any, batch: Any = None, training: bool = False, **kw: Any
    ) -> None:
        """Open a row for callbacks that record per batch."""
        self._epoch_row["batches"].append({})

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any
    ) -> None:
        """Run the steps of an epoch, or validate after it."""
        if training:
            self._run_steps()
        elif self._validate is not None:
            self.module_.eval()
            with torch.inference_mode():
                value = self._processes.agree(float(self._validate(self.module_)))
            _check_finite(math.isfinite(value), "the validation loss", len(self.history), self.lr)
            self._epoch_row["valid_loss"] = value

    def _run_steps(self) -> None:
        rows = self.history_.to_list()
        if len(rows) > 1:
            rows[-2]["batches"].clear()  # who wanted a step's row has read it by now
        self._epoch_row = rows[-1]
        self.module_.train()
        if self._holds_average:
            self._swap_average()
        epoch, total, step = len(self.history_) - 1, None, 0
        for batch, n_batches in self._rounds():
            if self._schedule is not None:
                done = epoch + (step / self._n_steps if self._n_steps else 0.0)
                factor = self._schedule(min(done / self.max_epochs, 1.0))
                groups = self.optimizer_.param_groups
                for group, base_rate in zip(groups, self._base_rates, strict=True):
                    group["lr"] = base_rate * factor
            self.notify("on_batch_begin", batch=batch, training=True)
            value = self.train_step(batch, n_batches=n_batches)
            if self._average:
                self._update_average()
            self.notify("on_batch_end", batch=batch, training=True, loss=value, y_pred=None)
            total = value if total is None else total + value
            step += 1
        if total is None:
            raise ValueError("batches(generator) gave no batch.")
        self._show_average()
        self._n_steps = step
        mean = float(total) / step
        _check_finite(math.isfinite(mean), "the training loss", epoch + 1, self.lr)
        self._epoch_row["train_loss"] = mean
        self._epoch_row["lr"] = float(self.optimizer_.param_groups[0]["lr"])

    def _rounds(self) -> Iterator[tuple[Any, int]]:
        """Yield for each step of an epoch the batch, and how many processes have one."""
        return self._processes.shares(self._batches(self._generator))

    def _update_average(self) -> None:
        self._steps_averaged += 1
        step = self._steps_averaged
        decay = min(self._average, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(self._set_aside, self._parameters, 1 - decay)

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kw: Any) -> None:
        """Put the average in the module when an interrupt has kept it out, before callbacks."""
        self._show_average()

    def _show_average(self) -> None:
        if self._steps_averaged and not self._holds_average:
            self._swap_average()

    def _swap_average(self) -> None:
        self._holds_average = not self._holds_average
        for i, parameter in enumerate(self._parameters):
            parameter.data, self._set_aside[i] = self._set_aside[i], parameter.data

    def train_step(self, batch: Any, *, n_batches: int = 1, **fit_params: Any) -> Tensor:
        """Take one step; the optimiser may evaluate the closure more than once."""
        values = []

        def closure() -> Tensor:
            self.optimizer_.zero_grad(set_to_none=True)
            if batch is None:  # other processes have one
                value = self._parameters[0].new_zeros(())
            else:
                value = self._loss(self.module_, batch)  # ()
                value.backward()  # type: ignore[no-untyped-call]
            value = self._processes.average(value.detach(), self._parameters, n_batches)
            values.append(value)
            if self._clip_norm is not None:
                nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)
            self.notify(
                "on_grad_computed",
                named_parameters=self._named_parameters,
                batch=batch,
                training=True,
            )
            return value

        self.optimizer_.step(closure)
        return values[0]


def _checked_callbacks(callbacks: Iterable[Any]) -> list[Any]:
    for item in callbacks:
        callback = item[1] if isinstance(item, tuple) and len(item) == 2 else item
        kind = callback if isinstance(callback, type) else type(callback)
        if not issubclass(kind, Callback):
            raise TypeError(
                "callbacks has to hold skorch callbacks, or pairs of a name and one, got "
                f"{item!r}. Callbacks of scikit-learn go to set_callbacks()."
            )
    return list(callbacks)


def _parameter_groups(
    module: nn.Module, learning_rate: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Sort the parameters into those that decay and those that do not."""
    spared: Collection[str] = getattr(module, "no_weight_decay", ())
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            is_bias = parameter.ndim < 2 or name.endswith("bias")
            (kept if is_bias or name in spared else decayed).append(parameter)
    groups = [(decayed, weight_decay), (kept, 0.0)] if weight_decay else [(decayed + kept, 0.0)]
    return [
        {"params": parameters, "lr": learning_rate, "weight_decay": decay}
        for parameters, decay in groups
        if parameters
    ]


class TrainingDiverged(ValueError):
    """A loss or a weight is no longer finite."""


def _check_finite(is_finite: bool, what: str, epoch: int, learning_rate: float) -> None:
    if not is_finite:
        raise TrainingDiverged(
            f"Training diverged: {what} is not finite after epoch {epoch}. Try a smaller "
            f"learning_rate (it was {learning_rate})."
        )


def _warn_of_interrupt(n_finished: int, max_epochs: int, best_epoch: int) -> None:
    """Say what a fit that Ctrl-C has ended leaves behind; `best_epoch` is 0 where unknown."""
    if best_epoch:
        kept = f"The model of epoch {best_epoch}, the best so far on held-out rows, is kept."
    else:
        kept = "The model is kept as the last step left it."
    warnings.warn(
        f"Training was interrupted after epoch {n_finished} of at most {max_epochs}. {kept} It "
        "predicts, but may be far from trained; call fit again to train it whole.",
        ConvergenceWarning,
        stacklevel=3,
    )


def _plain(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the finished epochs as plain Python values, without the rows of the batches."""
    rows = []
    for row in history:
        if "train_loss" not in row or "dur" not in row:  # Ctrl-C in the middle of an epoch
            continue
        values = {
            key: value.item() if hasattr(value, "item") else value for key, value in row.items()
        }
        rows.append(
            {
                key: value
                for key, value in values.items()
                if isinstance(value, (bool, int, float, str)) or value is None
            }
        )
    return rows
