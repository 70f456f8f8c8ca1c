"""Follow a layer through training, as transport of the points that it holds."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.validation import _num_samples
from skorch.callbacks import Callback

from ..core.progress import SklearnCallbacks
from ..core.typing import Table
from .displacement import displacement_report

#: What is written into the history, one number for each epoch.
RECORDED = (
    "ot_displacement", "ot_wasserstein", "ot_monge_gap", "ot_optimality", "ot_optimality_low",
    "ot_optimality_high", "ot_optimality_centered", "ot_efficiency", "ot_step",
)  # fmt: skip
NULL_BAND = (5, 95)  # percentiles of the null


class OTTrainingMonitor(Callback):
    r"""A callback that tells how training moves the points of a layer.

    Before training and after every epoch, it sends the same rows through the net, reads the
    outputs of one layer, and compares where the points are now with where they began: how
    far they got, what the cheapest way to the same cloud would have been, how straight their
    way was. The numbers stand in the history: `history_` of our estimators, ``net.history`` of a
    skorch net. `OTTrainingDisplay` draws them.

    The net is trained exactly as without it, bit by bit: what runs is a copy of the module (of
    a skorch net the module itself, in eval mode, which is put back), no random number is drawn
    from torch's state, and the best epoch is chosen as ever.

    Cost: a prediction for `max_points` rows, and ``n_null + 1`` exact matchings of them, for every
    epoch that is looked at. Memory for three clouds; the path is added up on the way.

    Parameters
    ----------
    layer : str
        Name of the layer, as in ``module.named_modules()``.
    X : array-like or frame of shape (n_samples, n_features)
        Rows to follow: a table as `fit` takes it, or what a skorch net's module takes.
    y : array-like of shape (n_samples,), default=None
        Their classes; points are only matched within theirs. None is one class.
    every : int, default=1
        Look at every so many epochs; the others have no entries.
    reference : {"init", "input"}, default="init"
        Where points began: at the layer's output before training, or at the layer's own input
        (then the two have to have the same shape, and the numbers tell what the layer does to its
        points at each epoch).
    points : {"rows", "tokens"}, default="rows"
        What a point is: all that a layer holds of a row, or one vector of the last axis.
    max_points : int, default=200
        The most rows to follow; of more, a random sample.
    n_null : int, default=5
        Shuffles for the null band.
    random_state : int, RandomState instance or None, default=0
        Draws sample and shuffles.

    See Also
    --------
    displacement_report : What the numbers mean.
    OTTrainingDisplay : A picture of them.

    Notes
    -----
    An epoch gets ``ot_displacement`` and ``ot_wasserstein`` (root mean squares), ``ot_monge_gap``,
    ``ot_optimality`` with ``ot_optimality_low`` and ``ot_optimality_high``, the 5th and 95th
    percentile of its null, ``ot_optimality_centered``, ``ot_step`` (the mean way of a point since
    the last look) and ``ot_efficiency`` (the way from the first look, straight, over the way
    travelled).

    Our estimators train copies of their callbacks, so read the history, not this object.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_selfattn import OTTabularClassifier, OTTrainingMonitor
    >>> X, y = load_iris(return_X_y=True)
    >>> monitor = OTTrainingMonitor("out", X, y)
    >>> model = OTTabularClassifier(max_epochs=5, callbacks=[monitor], random_state=0).fit(X, y)
    >>> 0 < model.history_[-1]["ot_efficiency"] <= 1
    True
    """

    def __init__(
        self,
        layer: int | None,
        X: Table,
        y: ArrayLike | None = None,
        *,
        every: int = 1,
        reference: Literal["init", "input"] = "init",
        points: Literal["rows", "tokens"] = "rows",
        max_points: int = 200,
        n_null: int = 5,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.layer = layer
        self.X = X
        self.y = y
        self.every = every
        self.reference = reference
        self.points = points
        self.max_points = max_points
        self.n_null = n_null
        self.random_state = random_state

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Take the untrained layer's points as the beginning of the path.

        Parameters
        ----------
        net : skorch.NeuralNet
            The net in training.
        **kwargs
            What skorch adds; not used.
        """
        for name, value, accepted in (
            ("reference", self.reference, ("init", "input")),
            ("points", self.points, ("rows", "tokens")),
        ):
            if value not in accepted:
                raise ValueError(f"{name} has to be one of {accepted}, got {value!r}.")
        names = [name for name, _ in net.module_.named_modules() if name]
        if self.layer not in names:
            raise ValueError(f"There is no layer {self.layer!r}; there are {', '.join(names)}.")
        rng = check_random_state(self.random_state)
        n_rows = _num_samples(self.X)
        rows = np.arange(n_rows)
        if n_rows > self.max_points:
            rows = np.sort(rng.choice(n_rows, self.max_points, replace=False))
        self._probe = _safe_indexing(self.X, rows)
        self._n_rows = len(rows)
        self._labels = None if self.y is None else np.asarray(self.y)[rows]
        self._seed = rng.randint(2**31 - 1)
        _, self._last = self._look(net)
        self._first = self._last
        self._travelled = 0.0

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Look at the layer's points and write down how they moved.

        Parameters
        ----------
        net : skorch.NeuralNet
            The net in training.
        **kwargs
            What skorch adds; not used.
        """
        row = net.history[-1]
        if row["epoch"] % self.every:
            return
        source, now = self._look(net)
        step = np.linalg.norm(now - self._last, axis=1).mean()
        self._travelled += step
        self._last = now
        direct = np.linalg.norm(now - self._first, axis=1).mean()
        labels = self._labels
        if labels is not None:
            labels = np.repeat(labels, len(now) // self._n_rows)
        report = displacement_report(
            self._first if self.reference == "init" else source,
            now,
            labels,
            n_null=self.n_null,
            max_points=len(now),
            random_state=self._seed,
        )
        low, high = np.percentile(report.null, NULL_BAND) if self.n_null else (np.nan, np.nan)
        values = (
            np.sqrt(report.displacement2), report.wasserstein, report.monge_gap,
            report.optimality, low, high, report.optimality_centered,
            direct / self._travelled if self._travelled else 1.0, step,
        )  # fmt: skip
        for name, value in zip(RECORDED, values, strict=True):
            net.history.record(name, float(value))

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Forget the clouds.

        Parameters
        ----------
        net : skorch.NeuralNet
            The net in training.
        **kwargs
            What skorch adds; not used.
        """
        for name in ("_probe", "_labels", "_first", "_last"):
            self.__dict__.pop(name, None)

    # --- the points -----------------------------------------------------------------------

    def _look(self, net):
        """Return the points at the layer's input and at its output (n_points, n_dims)."""
        estimators = [
            callback.estimator
            for _, callback in net.callbacks_
            if isinstance(callback, SklearnCallbacks) and callback.estimator is not None
        ]
        kept: list[torch.Tensor] = []
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            if estimators:
                model = copy.copy(estimators[0])
                module = copy.deepcopy(net.module_)
                vars(model).update(model._attributes_after_training(module))
                with _hooked(model.module_.get_submodule(self.layer), kept):
                    model.predict(self._probe)
            else:
                module = net.module_
                with _hooked(module.get_submodule(self.layer), kept), _in_eval(module):
                    net.infer(torch.as_tensor(np.asarray(self._probe)))
        source = None
        if self.reference == "input":
            if any(x.shape != out.shape for x, out in kept):
                raise ValueError(
                    f"The layer {self.layer!r} takes {tuple(kept[0][0].shape)} and returns "
                    f"{tuple(kept[0][1].shape)}: with reference='input' the shapes have to be "
                    "the same. Use reference='init'."
                )
            source = self._as_points([x for x, _ in kept])
        return source, self._as_points([out for _, out in kept])

    def _as_points(self, parts):
        """Bring what a layer gave for the rows to the shape (n_points, n_dims)."""
        moved = []
        for part in parts:
            # our ensembles have an axis of members before the rows
            has_members = part.ndim > 2 and len(parts) == 1 and len(part) != self._n_rows
            moved.append(part.transpose(0, 1) if has_members else part)
        values = torch.cat(moved).double().cpu().numpy() if moved else np.empty((0, 1))
        if len(values) != self._n_rows:
            raise ValueError(
                f"The layer {self.layer!r} has no output of its own for each of the "
                f"{self._n_rows} rows: it gave {[tuple(part.shape) for part in parts]}."
            )
        if self.points == "tokens" and values.ndim > 2:
            return values.reshape(-1, values.shape[-1])
        return values.reshape(len(values), -1)


@contextmanager
def _hooked(layer, kept):
    """Keep what a layer takes and gives, as long as the block runs."""

    def keep(module, inputs, output):
        kept.append((inputs[0].detach(), output.detach()))

    handle = layer.register_forward_hook(keep)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _in_eval(module):
    """Put a module into eval mode, and every part of it back into the mode it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
