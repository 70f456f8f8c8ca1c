"""What all estimators share: parameters, checks, training, prediction, persistence."""

from __future__ import annotations

import functools
import warnings
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin
from sklearn.utils import _safe_indexing, check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from .holdout import hold_out
from .mixins import (
    SelfAttentionClassifierMixin,
    SelfAttentionRegressorMixin,
    SelfAttentionTransformerMixin,
    weighted_mean_and_scale,
)
from .parts import in_parts
from .persistence import current_versions, to_small_array, warn_of_other_version
from .shape import params_for_rows, recommend_depth_width
from .table import TableEncoder, validate_table
from .target import check_target
from .training import TensorBatches, seeded, train, weighted_row_loss
from .typing import Function, checked_fit

__all__ = [
    "BaseSelfAttention",
    "SelfAttentionClassifierMixin",
    "SelfAttentionRegressorMixin",
    "SelfAttentionTransformerMixin",
    "guarded_fit",
    "weighted_mean_and_scale",
]

EARLY_STOPPING_ROWS = 500  # early_stopping="auto" holds rows out from here on
BATCH_WITHOUT_MEMORY = 512  # what batch_size="auto" is taken for when memory has run out
PREDICT_ROWS = 4096  # rows that go through the module at once


def guarded_fit(fit: Function) -> Function:
    """Decorate `fit`: check the parameters, and lose nothing when fitting fails.

    A fit that raises leaves the estimator as it was, so that a model that was fitted before
    can still predict. One that the device has too little memory for starts again with half the
    batch size. Callbacks set with `set_callbacks` are torn down in either case.

    Parameters
    ----------
    fit : callable
        The method ``fit(self, X, y, ...)``. It has to assign new fitted attributes and not
        to change old ones in place.

    Returns
    -------
    callable
        The method to put in the class.
    """
    checked = checked_fit(fit)

    # one function, because rooms count its frames when they warn the caller of `fit`
    @functools.wraps(checked)
    def guarded(self, *args, **kwargs):
        before = self.__dict__.copy()
        self.__dict__.pop("module_", None)  # a copy made meanwhile has no use for the old one
        size = getattr(self, "batch_size", 1)
        size = BATCH_WITHOUT_MEMORY if size == "auto" else size
        try:
            while True:
                try:
                    fitted = checked(self, *args, **kwargs)
                    break
                except torch.cuda.OutOfMemoryError:
                    if size < 4:  # some methods need a batch of two rows
                        raise
                # here, because an exception keeps alive what it was raised over
                size //= 2
                warnings.warn(
                    f"{type(self).__name__} ran out of memory on {self.device!r} with "
                    f"batch_size={self.batch_size!r}: it is fitted with batch_size={size} instead.",
                    stacklevel=2,
                )
                self.batch_size = size
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        if "batch_size" in before:
            self.batch_size = before["batch_size"]
        # what the module was built from, whatever `set_params` does afterwards
        self._fitted_with = self.get_params(deep=False)
        return fitted

    return guarded  # type: ignore[return-value]  # its signature is that of `fit`


class BaseSelfAttention(CallbackSupportMixin, BaseEstimator):
    """Base of all estimators: the shared parameters and what follows from them.

    A subclass says what is particular about it: `_make_module`, how `fit` turns `X` and `y`
    into tensors, how outputs become predictions. It lists its parameters explicitly, leaves
    out the shared ones that it has no use for, and decorates `fit` with `guarded_fit`.

    Parameters
    ----------
    d_model : int, default=32
        Width of each token; divisible by `n_heads`.
    n_heads : int, default=4
        Number of attention heads.
    n_layers : int or "auto", default=2
        Number of attention layers. "auto" chooses it together with the width, for the number of
        training rows, and leaves `d_model` aside.
    dropout : float, default=0.0
        Share of the activations that are set to zero in training.
    max_epochs : int, default=100
        The most passes over the training rows.
    batch_size : int, default=256
        The most rows in one step. Where a device runs out of memory it is halved, with a warning.
    learning_rate : float, default=1e-3
        Step size of the optimiser.
    weight_decay : float, default=1e-5
        Decoupled weight decay.
    early_stopping : bool or "auto", default="auto"
        Whether to hold rows out, to stop when the loss on them no longer falls, and to keep
        the weights of the best epoch. "auto" does so from 500 rows on.
    validation_fraction : float, default=0.1
        Share of the rows that early stopping holds out.
    n_iter_no_change : int, default=20
        Epochs without a better validation loss before training stops.
    device : str, default="auto"
        "auto" takes the first that is there of CUDA, MPS and CPU; or a torch device.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision. "auto" trains in float64 on the CPU when all rows fit into one batch, else
        in float32, and predicts in float64 on the CPU, so that a prediction does not depend
        on the rows beside it.
    callbacks : list of skorch callbacks, default=None
        Called during training. They are copied first.
    verbose : int, default=0
        1 shows a progress line with the losses and the time left.
    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, batches and held-out rows. Results are reproducible
        for an int; no global random state is touched.
    """

    _parameter_constraints = {
        "d_model": [Interval(Integral, 1, None, closed="left")],
        "n_heads": [Interval(Integral, 1, None, closed="left")],
        "n_layers": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "device": [str],
        "dtype": [StrOptions({"auto", "float32", "float64"})],
        "callbacks": [None, list, tuple],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        d_model: int = 32,
        n_heads: int = 4,
        n_layers: int | Literal["auto"] = 2,
        dropout: float = 0.0,
        max_epochs: int = 100,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-5,
        early_stopping: bool | Literal["auto"] = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 20,
        device: str = "auto",
        dtype: Literal["auto", "float32", "float64"] = "auto",
        callbacks: list[Any] | tuple[Any, ...] | None = None,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.d_model = d_model
        self.n_heads = n_heads
        self.n_layers = n_layers
        self.dropout = dropout
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.device = device
        self.dtype = dtype
        self.callbacks = callbacks
        self.verbose = verbose
        self.random_state = random_state

    def _make_module(self):
        """Build the untrained module from parameters and fitted sizes alone.

        Called by `fit` and again when a saved estimator is loaded, which then fills in the
        trained weights.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define _make_module().")

    # --- what goes in -----------------------------------------------------------------

    def _validate_params(self):
        super()._validate_params()
        d_model, n_heads = getattr(self, "d_model", 1), getattr(self, "n_heads", 1)
        if getattr(self, "n_layers", 1) != "auto" and d_model % n_heads:
            raise ValueError(
                f"d_model has to be divisible by n_heads, got d_model={d_model} and "
                f"n_heads={n_heads}."
            )
        self._resolve_device()
        if self.dtype == "float64" and self._resolve_device().type == "mps":
            raise ValueError("dtype='float64' does not exist on the device 'mps'.")

    def _encode_table(self, X, *, reset):
        """Check a table and encode it.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            The table.
        reset : bool
            True in `fit`: learn the columns and set `encoder_`. False afterwards.

        Returns
        -------
        ndarray of float64 of shape (n_samples, n_features)
            Numbers and category codes; NaN where missing or unknown.
        """
        if not reset:
            check_is_fitted(self)
        X = validate_table(self, X, reset=reset)
        if reset:
            self._fit_encoder(X)
        return self.encoder_._transform(X)

    def _fit_encoder(self, X):
        settings = {
            name: getattr(self, name)
            for name in ("categorical_features", "max_categories")
            if hasattr(self, name)
        }
        self.encoder_ = TableEncoder(**settings)._fit(X, getattr(self, "feature_names_in_", None))

    def _check_training_data(self, X, y, sample_weight=None):
        """Check and encode what `fit` is given; rows of weight 0 are left out entirely.

        Returns
        -------
        X : ndarray of float64 of shape (n_samples, n_features)
            The encoded table.
        y : ndarray of shape (n_samples,)
            The target as given.
        sample_weight : ndarray of float64 of shape (n_samples,)
            Ones when None was given.
        """
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        X = validate_table(self, X, reset=True)
        y = check_target(y, self)
        check_consistent_length(X, y)
        sample_weight = _check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        rows = np.flatnonzero(sample_weight)
        if len(rows) < len(sample_weight):
            X, y, sample_weight = _safe_indexing(X, rows), y[rows], sample_weight[rows]
        self._fit_encoder(X)
        return self.encoder_._transform(X), y, sample_weight

    # --- devices, precision, randomness -----------------------------------------------

    def _resolve_device(self):
        """Return the torch device that `device` stands for."""
        if self.device == "auto":
            if torch.cuda.is_available():
                return torch.device("cuda")
            return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
        try:
            device = torch.device(self.device)
        except RuntimeError:
            raise ValueError(
                "device has to be 'auto' or the name of a torch device such as 'cpu', 'cuda' "
                f"or 'cuda:1', got {self.device!r}."
            ) from None
        is_there = {
            "cpu": True,
            "cuda": (device.index or 0) < torch.cuda.device_count(),
            "mps": torch.backends.mps.is_available(),
        }
        if not is_there.get(device.type, False):
            raise ValueError(f"device={self.device!r} is not available on this machine.")
        return device

    def _resolve_dtype(self, n_rows):
        """Return the precision to train in on so many rows."""
        if self.dtype != "auto":
            return getattr(torch, self.dtype)
        exact = n_rows <= self.batch_size and self._resolve_device().type == "cpu"
        return torch.float64 if exact else torch.float32

    def _place(self, module, device):
        """Move a module to where and how it predicts."""
        if self.dtype != "auto":
            dtype = getattr(torch, self.dtype)
        else:
            dtype = torch.float64 if device.type == "cpu" else torch.float32
        return module.to(device, dtype).eval()

    def _choose_shape(self, n_rows):
        """Set `n_layers_` and `d_model_`, which the module is built from.

        Parameters
        ----------
        n_rows : int
            Training rows, for which ``n_layers="auto"`` chooses depth and width: about 60
            parameters each, spent as `recommend_depth_width` says.
        """
        if self.n_layers == "auto":
            shape = recommend_depth_width(params_for_rows(n_rows), n_heads=self.n_heads)
            self.n_layers_, self.d_model_ = shape.depth, shape.width
        else:
            self.n_layers_, self.d_model_ = self.n_layers, self.d_model

    def _build_module(self, seed, dtype):
        """Build the untrained module on the device, from a seed."""
        with seeded(seed):
            module = self._make_module()
        return module.to(self._resolve_device(), dtype)

    def _draw_seeds(self):
        """Return seeds for the held-out rows, the initial weights and the batches."""
        return check_random_state(self.random_state).randint(2**31 - 1, size=3).tolist()

    def _split_validation(self, n_rows, seed, *, stratify=None, groups=None):
        """Choose the rows to train on and those to hold out for early stopping.

        Parameters
        ----------
        n_rows : int
            Number of rows.
        seed : int
            Seed of the choice.
        stratify : ndarray of shape (n_rows,), default=None
            Class codes, whose shares are kept where there are enough rows.
        groups : array-like of shape (n_rows,), default=None
            Rows of a group stay together.

        Returns
        -------
        train, valid : ndarray of int
            Sorted row indices; `valid` is empty without early stopping.
        """
        wanted = self.early_stopping
        if wanted == "auto":
            wanted = n_rows >= EARLY_STOPPING_ROWS
        fraction = self.validation_fraction if wanted else 0.0
        return hold_out(n_rows, fraction, seed, stratify=stratify, groups=groups)

    # --- training and prediction --------------------------------------------------------

    def _train(
        self,
        module,
        *,
        batches,
        loss,
        validate=None,
        max_epochs=None,
        seed,
        X=None,
        y=None,
        **options,
    ):
        """Train a module with the shared parameters and keep it as `module_`.

        Parameters
        ----------
        module : torch.nn.Module
            What to train, on the device already.
        batches, loss, validate : callable
            As `sklearn_selfattn.core.training.train` wants them.
        max_epochs : int, default=None
            Passes over the batches; None takes the parameter.
        seed : int
            Seed of the batches and of dropout.
        X, y : optional
            What `fit` was given, for callbacks.
        **options
            Further arguments of `train`: optimizer, schedule, clip_norm.
        """
        self.history_ = train(
            module,
            batches=batches,
            loss=loss,
            validate=validate,
            max_epochs=self.max_epochs if max_epochs is None else max_epochs,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            n_iter_no_change=None if validate is None else self.n_iter_no_change,
            generator=torch.Generator().manual_seed(seed),
            device=self._resolve_device(),
            callbacks=self.callbacks,
            verbose=self.verbose,
            estimator=self,
            X=X,
            y=y,
            **options,
        )
        self.n_iter_ = len(self.history_)
        self.__dict__.update(self._attributes_after_training(module))

    def _train_rows(self, inputs, target, sample_weight, criterion, *, rows, seeds, X, y):
        """Build and train `module_` for the plain case: a row in, a loss out.

        Parameters
        ----------
        inputs : ndarray of shape (n_samples, ...)
            What the module is called with, cut along the first axis.
        target : ndarray of shape (n_samples,)
            Second argument of `criterion`: class codes, or numbers.
        sample_weight : ndarray of shape (n_samples,)
            Row weights.
        criterion : callable
            ``criterion(output, target)`` returns one loss for each row.
        rows : tuple of two ndarrays of int
            Rows to train on and rows to hold out (may be none), as `_split_validation`
            returns them.
        seeds : tuple of two int
            Seeds of the weights and of the batches.
        X, y : array-like
            What `fit` was given, for callbacks.
        """
        train_rows, valid_rows = rows
        self._choose_shape(len(inputs))
        device, dtype = self._resolve_device(), self._resolve_dtype(len(train_rows))

        def as_tensors(chosen):
            arrays = (inputs[chosen], target[chosen], sample_weight[chosen])
            tensors = (torch.as_tensor(array, device=device) for array in arrays)
            return tuple(t.to(dtype) if t.is_floating_point() else t for t in tensors)

        loss = weighted_row_loss(criterion)
        held_out = as_tensors(valid_rows)

        def validate(module):
            parts = zip(*(tensor.split(PREDICT_ROWS) for tensor in held_out), strict=True)
            # a part's loss is a mean, so it counts by its weight
            total = sum(loss(module, part) * part[-1].sum() for part in parts)
            return total / held_out[-1].sum()

        self._train(
            self._build_module(seeds[0], dtype),
            batches=TensorBatches(*as_tensors(train_rows), batch_size=self.batch_size),
            loss=loss,
            validate=validate if len(valid_rows) else None,
            seed=seeds[1],
            X=X,
            y=y,
        )

    def _attributes_after_training(self, module):
        """Return the fitted attributes that only exist once there is a trained module.

        Also called after every epoch by callbacks that want a copy that predicts.
        """
        return {"module_": self._place(module, next(module.parameters()).device)}

    def _forward_rows(self, inputs, forward=None):
        """Call `module_`, or a method of it, on rows, some thousand at a time.

        Parameters
        ----------
        inputs : ndarray of shape (n_samples, ...)
            Rows for the module.
        forward : callable, default=None
            The method of the module; None calls the module itself.

        Returns
        -------
        ndarray of float64 of shape (n_samples, ...)
            Its outputs.
        """
        parameter = next(self.module_.parameters())
        forward = self.module_ if forward is None else forward

        def outputs(rows):
            part = torch.as_tensor(inputs[rows], dtype=parameter.dtype, device=parameter.device)
            return forward(part).to("cpu", torch.float64)

        with torch.inference_mode():
            return in_parts(outputs, len(inputs), PREDICT_ROWS).numpy()

    def _as_numbers(self, array):
        """Return an array in the precision of `module_`, for an exported graph."""
        dtype = next(self.module_.parameters()).dtype
        return np.asarray(array, dtype=torch.empty(0, dtype=dtype).numpy().dtype)

    # --- persistence --------------------------------------------------------------------

    def __getstate__(self):
        state = dict(super().__getstate__())
        state["_versions"] = current_versions()
        if "module_" in state:
            weights = state["module_"].state_dict()
            state["module_"] = {name: to_small_array(value) for name, value in weights.items()}
        return state

    def __setstate__(self, state):
        state = dict(state)
        versions, weights = state.pop("_versions"), state.pop("module_", None)
        super().__setstate__(state)
        warn_of_other_version(type(self).__name__, versions)
        if weights is not None:
            try:
                device = self._resolve_device()
            except ValueError:  # trained on a device that this machine does not have
                device = torch.device("cpu")
            parameters = self.get_params(deep=False)
            self.__dict__.update(getattr(self, "_fitted_with", {}))
            with seeded(0):
                module = self._make_module()
            self.__dict__.update(parameters)
            module = self._place(module, device)
            # copied, because a memory map may not be written to
            module.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
            self.module_ = module

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
