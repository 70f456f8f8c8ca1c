"""How primal attention is fitted: tables and series into tensors, training, prediction."""

from __future__ import annotations

import math
import warnings
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_feature_names, _check_n_features

from ..core.base import BaseSelfAttention
from ..core.target import check_target
from ..core.training import one_cycle, weighted_row_loss
from .augmentation import SeriesBatches
from .looking import LookingMixin
from .module import PrimalNet
from .series import ChannelScaler, is_series, read_series, series_lengths

CLIP = 8.0  # scaled numbers of a table are bent so that they stay within +-CLIP
MAX_RANK = 20
N_PARTS = 8  # of a series, over which pooling="auto" takes means
FLATTEN_AT_MOST = 2**16  # numbers of a row of a table that pooling="auto" puts side by side
BATCH_SIZES = {"series": (8, 16, 128), "table": (4, 64, 128)}  # "auto": n / first, from, to
SERIES_STEPS = 16  # steps of an epoch at least: few series are passed over several times
AVERAGE = 0.98  # decay of the running average of the weights
CLIP_NORM = 4.0  # of a member's gradient
TOKENS_AT_ONCE = 2**16  # that go through the net in prediction, counted over members
PAIRS_AT_ONCE = 2**24  # of tokens, where all pairs are looked at


class BasePrimalAttention(LookingMixin, BaseSelfAttention):
    """What PrimalAttentionClassifier and PrimalAttentionRegressor share."""

    _parameter_constraints = {
        **BaseSelfAttention._parameter_constraints,
        "attention": [StrOptions({"primal", "softmax", "linear", "none"})],
        "primal_layers": [
            StrOptions({"all", "last"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "rank": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "rank_multiplier": [Interval(Integral, 1, None, closed="left")],
        "eta": [Interval(Real, 0, None, closed="left")],
        "data_dependent": ["boolean"],
        "ksvd_reduction": [StrOptions({"sample", "batch"})],
        "ksvd_trace": [StrOptions({"parameters", "data"})],
        "architecture": [StrOptions({"masked", "paper"})],
        "stem": [StrOptions({"conv", "linear"})],
        "pooling": [
            StrOptions({"auto", "flatten", "mean"}),
            Interval(Integral, 2, None, closed="left"),
        ],
        "feed_forward_dim": [Interval(Integral, 1, None, closed="left"), None],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "augment": ["boolean", StrOptions({"auto"})],
        "uncertainty": [StrOptions({"svgp"}), None],
        "n_posterior_samples": [Interval(Integral, 1, None, closed="left")],
        "kl_weight": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "tokenizer": [StrOptions({"auto", "feature", "timestep"})],
        "layout": [StrOptions({"channels_first", "channels_last"})],
        "scale": ["boolean"],
        "missing": [StrOptions({"error", "interpolate"})],
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "max_categories": [Interval(Integral, 2, None, closed="left")],
        "optimizer": [StrOptions({"adamw", "radam"})],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    }

    batch_size: int | Literal["auto"]  # type: ignore[assignment]

    def __init__(
        self,
        *,
        attention: Literal["primal", "softmax", "linear", "none"] = "primal",
        primal_layers: Literal["all", "last"] | int = "all",
        rank: Literal["auto"] | int = "auto",
        rank_multiplier: int = 10,
        eta: float = 0.1,
        data_dependent: bool = True,
        ksvd_reduction: Literal["sample", "batch"] = "sample",
        ksvd_trace: Literal["parameters", "data"] = "parameters",
        architecture: Literal["masked", "paper"] = "masked",
        stem: Literal["conv", "linear"] = "conv",
        pooling: Literal["auto", "flatten", "mean"] | int = "auto",
        feed_forward_dim: int | None = None,
        n_estimators: int = 4,
        augment: bool | Literal["auto"] = "auto",
        uncertainty: Literal["svgp"] | None = None,
        n_posterior_samples: int = 10,
        kl_weight: Literal["auto"] | float = "auto",
        tokenizer: Literal["auto", "feature", "timestep"] = "auto",
        layout: Literal["channels_first", "channels_last"] = "channels_first",
        scale: bool = True,
        missing: Literal["error", "interpolate"] = "error",
        categorical_features: Literal["from_dtype"] | ArrayLike | None = "from_dtype",
        max_categories: int = 255,
        optimizer: Literal["adamw", "radam"] = "adamw",
        d_model: int = 32,
        n_heads: int = 2,
        n_layers: int | Literal["auto"] = 1,
        dropout: float = 0.1,
        max_epochs: int = 30,
        batch_size: Literal["auto"] | int = "auto",
        learning_rate: float = 2e-3,
        weight_decay: float = 0.01,
        early_stopping: bool | Literal["auto"] = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 16,
        device: str = "auto",
        dtype: Literal["auto", "float32", "float64"] = "auto",
        callbacks: list[Any] | tuple[Any, ...] | None = None,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            d_model=d_model,
            n_heads=n_heads,
            n_layers=n_layers,
            dropout=dropout,
            max_epochs=max_epochs,
            batch_size=batch_size,  # type: ignore[arg-type]  # "auto" is known here alone
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            device=device,
            dtype=dtype,
            callbacks=callbacks,
            verbose=verbose,
            random_state=random_state,
        )
        self.attention = attention
        self.primal_layers = primal_layers
        self.rank = rank
        self.rank_multiplier = rank_multiplier
        self.eta = eta
        self.data_dependent = data_dependent
        self.ksvd_reduction = ksvd_reduction
        self.ksvd_trace = ksvd_trace
        self.architecture = architecture
        self.stem = stem
        self.pooling = pooling
        self.feed_forward_dim = feed_forward_dim
        self.n_estimators = n_estimators
        self.augment = augment
        self.uncertainty = uncertainty
        self.n_posterior_samples = n_posterior_samples
        self.kl_weight = kl_weight
        self.tokenizer = tokenizer
        self.layout = layout
        self.scale = scale
        self.missing = missing
        self.categorical_features = categorical_features
        self.max_categories = max_categories
        self.optimizer = optimizer

    def _validate_params(self):
        super()._validate_params()
        if self.uncertainty == "svgp" and self.attention != "primal":
            raise ValueError(
                "uncertainty='svgp' is a Gaussian process over primal attention: it needs "
                f"attention='primal', got attention={self.attention!r}."
            )

    # --- what goes in -------------------------------------------------------------------

    def _check_rows(self, X, y):
        """Check what `fit` is given and return (rows, y); see `_read`."""
        if not is_series(X):
            values, y, _ = self._check_training_data(X, y)
            self._is_table = self.tokenizer != "timestep"
            return (values if self._is_table else self._steps_of(values)), y
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        self._is_table = False
        values = self._read(X, reset=True)
        y = check_target(y, self)
        check_consistent_length(values, y)
        return values, y

    def _read(self, X, *, reset=False):
        """Return padded series (n, t, g), or the encoded cells of a table (n, d)."""
        if is_series(X):
            if self.tokenizer == "feature":
                raise ValueError("tokenizer='feature' is for tables, got series.")
            values = read_series(X, layout=self.layout, missing=self.missing)
            _check_feature_names(self, X, reset=reset)
            # channels are the features, told in scikit-learn's own words
            _check_n_features(self, values[:, 0], reset=reset)
            return values
        cells = self._encode_table(X, reset=reset)
        return cells if self._is_table else self._steps_of(cells)

    def _steps_of(self, cells):
        """Turn the columns of a table into the steps of series of one channel."""
        if self.encoder_.is_categorical_.any():
            raise ValueError("tokenizer='timestep' needs columns of numbers, got categories.")
        return read_series(cells[..., None], layout="channels_last", missing=self.missing)

    def _inputs(self, X):
        """Return what the net is called with for rows of `predict`."""
        if is_series(X) != self._was_series:
            kinds = ("a table", "series")
            raise ValueError(
                f"This {type(self).__name__} was fitted on {kinds[self._was_series]}, got "
                f"{kinds[not self._was_series]}."
            )
        return self._scaled(self._read(X))

    def _scaled(self, values):
        if self._is_table:
            z = (values - self._scaler.mean_) / self._scaler.scale_
            bent = z / np.hypot(1, z / CLIP)  # outliers keep their order
            return np.where(self.encoder_.is_categorical_, values, bent)
        scaled = self._scaler(values)
        if not self._has_fixed_length:
            return scaled
        if scaled.shape[1] > self.n_timesteps_in_:
            raise ValueError(
                f"X has a series of {scaled.shape[1]} steps, but {type(self).__name__} was fitted "
                f"on at most {self.n_timesteps_in_}, and the head of pooling='flatten' and of "
                "architecture='paper' has no weights for more. Another pooling takes any length."
            )
        room = self.n_timesteps_in_ - scaled.shape[1]
        return np.pad(scaled, ((0, 0), (0, room), (0, 0)), constant_values=np.nan)

    # --- training -----------------------------------------------------------------------

    def _seeds(self):
        """Return seeds for the held-out rows, the weights, the batches and posterior draws."""
        return check_random_state(self.random_state).randint(2**31 - 1, size=4).tolist()

    def _fit_rows(self, values, target, n_outputs, criterion, rows, seeds, X, y):
        """Scale, build and train; `BaseSelfAttention._train_rows` tells the arguments."""
        train_rows, valid_rows = rows
        self._was_series = is_series(X)
        self._settle_sizes(values, n_outputs)
        as_series = values[train_rows].reshape(len(train_rows), -1, values.shape[-1])
        self._scaler = ChannelScaler(as_series, self.scale or self._is_table)
        inputs = self._scaled(values)

        device, dtype = self._resolve_device(), self._resolve_dtype(len(train_rows))
        module_seed, batch_seed, self._posterior_seed = seeds
        module = self._build_module(module_seed, dtype)
        if self._is_table:
            module.tokens.fit_bins(inputs[train_rows])

        def as_tensors(chosen):
            arrays = (inputs, target, np.ones(len(inputs)))
            tensors = [torch.as_tensor(array[chosen], device=device) for array in arrays]
            return [t.to(dtype) if t.is_floating_point() else t for t in tensors]

        loss = _member_mean_loss(criterion)
        held_out = as_tensors(valid_rows)
        chunk = self._rows_at_once(inputs.shape[1])

        def validate(net):
            parts = zip(*(tensor.split(chunk) for tensor in held_out), strict=True)
            total = sum(loss(net, part) * part[-1].sum() for part in parts)
            return total / held_out[-1].sum()

        self._train(
            module,
            batches=SeriesBatches(
                *as_tensors(train_rows),
                batch_size=self._resolve_batch_size(len(train_rows)),
                min_steps=1 if self._is_table else SERIES_STEPS,
                augment=self._augments,
                noise_shape=module.noise_shape,
            ),
            loss=loss,
            validate=validate if len(valid_rows) else None,
            seed=batch_seed,
            X=X,
            y=y,
            optimizer=_radam if self.optimizer == "radam" else "adamw",
            schedule=None if self.architecture == "paper" else one_cycle,
            average=0.0 if self.architecture == "paper" else AVERAGE,
            # the loss is a mean over members: their gradients are that much smaller
            clip_norm=CLIP_NORM / math.sqrt(self.n_estimators),
        )
        return self

    def _settle_sizes(self, values, n_outputs):
        """Turn "auto" into numbers that the module is built from."""
        n_tokens = values.shape[1]
        self.n_timesteps_in_ = n_tokens
        self._choose_shape(len(values))
        d_head = self.d_model_ // self.n_heads
        self.rank_ = min(MAX_RANK, d_head) if self.rank == "auto" else self.rank
        if self.rank_ > d_head:
            warnings.warn(
                f"rank={self.rank_} is more than the width of a head, d_model / n_heads = "
                f"{d_head}: the kernel of a head has no more than {d_head} singular values.",
                stacklevel=4,
            )
        pooling = self.pooling
        if pooling == "auto":
            if self.architecture == "paper":
                pooling = "flatten"
            elif self._is_table:
                is_small = n_tokens * self.d_model_ <= FLATTEN_AT_MOST
                pooling = "flatten" if is_small else "mean"
            else:
                pooling = N_PARTS
        self.pooling_ = pooling
        self._has_fixed_length = not self._is_table and (
            pooling == "flatten" or self.architecture == "paper"
        )
        self._n_outputs, self._kinds = n_outputs, self._layer_kinds()
        self._n_channels = values.shape[-1]
        self._kl_weight = 1 / len(values) if self.kl_weight == "auto" else self.kl_weight

    def _resolve_batch_size(self, n_rows):
        if self.batch_size != "auto":
            return self.batch_size
        share, smallest, largest = BATCH_SIZES["table" if self._is_table else "series"]
        # what a step keeps for its gradients grows with the tokens: some hundred MB at most
        fitting = 8 * TOKENS_AT_ONCE // (self.n_estimators * self.n_timesteps_in_)
        return max(1, min(int(np.clip(n_rows // share, smallest, largest)), fitting))

    def _resolve_dtype(self, n_rows):
        return torch.float32 if self.dtype == "auto" else getattr(torch, self.dtype)

    def _make_module(self):
        n_rows = self.n_timesteps_in_
        if self.data_dependent:
            n_rows = min(n_rows, self.rank_ * self.rank_multiplier)
        return PrimalNet(
            self.n_estimators,
            None if self._is_table else self._n_channels,
            self.encoder_.n_categories_.tolist() if self._is_table else None,
            self._n_outputs,
            kinds=self._layer_kinds(),
            d_model=self.d_model_,
            n_heads=self.n_heads,
            d_hidden=self.feed_forward_dim or 2 * self.d_model_,
            rank=self.rank_,
            n_rows=n_rows,
            n_tokens=self.n_timesteps_in_,
            stem=self.stem,
            pooling=self.pooling_,
            paper=self.architecture == "paper",
            dropout=float(self.dropout),
            eta=float(self.eta),
            kl_weight=float(self._kl_weight),
            data_dependent=self.data_dependent,
            reduction=self.ksvd_reduction,
            trace=self.ksvd_trace,
            has_noise_scale=self._has_noise_scale,
        )

    def _layer_kinds(self):
        """Return the kind of each layer, first to last."""
        if self.attention != "primal":
            return [self.attention] * self.n_layers_
        if self.primal_layers == "all":
            n_primal = self.n_layers_
        else:
            n_primal = 1 if self.primal_layers == "last" else self.primal_layers
        n_primal = min(n_primal, self.n_layers_)
        kinds = ["softmax"] * (self.n_layers_ - n_primal) + ["primal"] * n_primal
        if self.uncertainty == "svgp":
            kinds[-1] = "svgp"
        return kinds

    # --- prediction ---------------------------------------------------------------------

    def _rows_at_once(self, n_tokens):
        """Return how many rows of so many tokens go through the net at once."""
        tokens = TOKENS_AT_ONCE // (self.n_estimators * n_tokens)
        if "softmax" in self._kinds:
            tokens = min(tokens, PAIRS_AT_ONCE // (self.n_estimators * n_tokens**2))
        return max(tokens, 1)

    def _forward(self, inputs, forward):
        """Call a function of tensors ``(n, ...)`` in parts; returns a float64 array."""
        size = self._rows_at_once(inputs.shape[1])
        parts = np.split(inputs, range(size, len(inputs), size))
        if not (self._is_table or self._has_fixed_length):  # no step that only others need
            parts = [part[:, : series_lengths(part).max()] for part in parts]
        return np.concatenate([self._forward_rows(part, forward) for part in parts])

    def _outputs(self, X):
        """Return what each member and posterior draw says: ``(n, m, draws, k)``."""
        inputs = self._inputs(X)
        return np.stack(
            [
                self._forward(inputs, lambda rows, d=draw: self.module_(rows, d))
                for draw in self._posterior_draws()
            ],
            axis=2,
        )

    def _posterior_draws(self):
        """Return the noise of each posterior draw; None where there is no posterior."""
        shape = self.module_.noise_shape
        if shape is None:
            return [None]
        generator = torch.Generator().manual_seed(self._posterior_seed)
        parameter = next(self.module_.parameters())
        return [
            torch.randn(shape, generator=generator, dtype=torch.float64).to(parameter)
            for _ in range(self.n_posterior_samples)
        ]

    def _export_inputs(self, X):
        inputs = self._as_numbers(self._inputs(X))
        if self._is_table:
            return {"cells": (inputs, 1)}
        return {"series": (inputs, 1 if self._has_fixed_length else 2)}

    def _export_forward(self):
        draws = self._posterior_draws()

        def outputs(**inputs):
            (rows,) = inputs.values()
            stacked = torch.stack([self.module_(rows, draw) for draw in draws], dim=2)
            return self._members_together(stacked)

        return outputs


def _member_mean_loss(criterion):
    """Make a loss of a criterion for members: a weighted mean over rows, a mean over members."""
    return weighted_row_loss(lambda output, y: criterion(output, y).mean(dim=1))


def _radam(groups):
    return torch.optim.RAdam(groups, decoupled_weight_decay=True)
