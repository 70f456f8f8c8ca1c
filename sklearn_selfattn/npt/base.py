"""How NPT is fitted: cells, folds, masked training, validation; and what it then predicts."""

from __future__ import annotations

import math
import warnings
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils._param_validation import Interval, Options, StrOptions

from ..core.base import BaseSelfAttention, weighted_mean_and_scale
from .context import ContextMixin, in_chunks
from .folds import deal_folds, sample_evenly, show_half
from .masking import MaskedBatches
from .module import NPT
from .optim import Lamb
from .pretrained import EXACT_CELLS, PretrainedMixin

FOLDS_FROM = 100  # early_stopping="auto" holds rows out from here on
VALIDATION_ROWS = 500  # at most so many held-out rows of a member are predicted per epoch
VALIDATION_CONTEXT = 1000  # from at most so many context rows
CLIP = 8.0  # standardised numbers are bent so that they stay within +-CLIP
MASKED_ROWS = 0.25  # share of the rows of a step in which feature cells are hidden
AVERAGE = 0.98  # decay of the running average of the weights
WARM_UP = 0.05  # share of the training over which the learning rate rises
ANNEAL_FROM = 0.5  # share of the training after which it falls


class BaseNPT(PretrainedMixin, ContextMixin, BaseSelfAttention):
    """What NPTClassifier and NPTRegressor share."""

    _parameter_constraints = {
        **BaseSelfAttention._parameter_constraints,
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "pretrained": ["boolean", StrOptions({"auto"})],
        "fine_tune": [
            Options(bool, {False}),
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "architecture": [StrOptions({"rows", "cells", "paper"})],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "row_dim": [Interval(Integral, 1, None, closed="left")],
        "feed_forward_dim": [Interval(Integral, 1, None, closed="left")],
        "n_bins": [Interval(Integral, 0, None, closed="left")],
        "use_cell_attention": ["boolean"],
        "feature_mask_prob": [Interval(Real, 0, 1, closed="left")],
        "feature_loss_weight": [Interval(Real, 0, 1, closed="both")],
        "context_size": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [StrOptions({"adamw", "lamb"})],
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "max_categories": [Interval(Integral, 2, None, closed="left")],
    }

    n_layers: int

    def __init__(
        self,
        *,
        pretrained: bool | Literal["auto"] = "auto",
        fine_tune: Literal[False] | Literal["auto"] | int = False,
        architecture: Literal["rows", "cells", "paper"] = "rows",
        n_estimators: int = 4,
        row_dim: int = 64,
        feed_forward_dim: int = 128,
        n_bins: int = 12,
        use_cell_attention: bool = True,
        feature_mask_prob: float = 0.05,
        feature_loss_weight: float = 0.1,
        context_size: int = 2000,
        optimizer: Literal["adamw", "lamb"] = "adamw",
        categorical_features: Literal["from_dtype"] | ArrayLike | None = "from_dtype",
        max_categories: int = 255,
        d_model: int = 16,
        n_heads: int = 4,
        n_layers: int = 1,
        dropout: float = 0.1,
        max_epochs: int = 40,
        batch_size: int = 256,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.02,
        early_stopping: bool | Literal["auto"] = "auto",
        validation_fraction: float = 0.25,
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
            batch_size=batch_size,
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
        self.pretrained = pretrained
        self.fine_tune = fine_tune
        self.architecture = architecture
        self.n_estimators = n_estimators
        self.row_dim = row_dim
        self.feed_forward_dim = feed_forward_dim
        self.n_bins = n_bins
        self.use_cell_attention = use_cell_attention
        self.feature_mask_prob = feature_mask_prob
        self.feature_loss_weight = feature_loss_weight
        self.context_size = context_size
        self.optimizer = optimizer
        self.categorical_features = categorical_features
        self.max_categories = max_categories

    def _validate_params(self):
        super()._validate_params()
        if self.row_dim % self.n_heads:
            raise ValueError(
                f"row_dim has to be divisible by n_heads, got row_dim={self.row_dim} and "
                f"n_heads={self.n_heads}."
            )
        if self.fine_tune is True:  # an integer to Python
            raise ValueError(
                "fine_tune has to be False, 'auto' or a number of steps, got fine_tune=True."
            )
        if self.batch_size < 2:
            raise ValueError(
                "batch_size has to be at least 2, a context row and a query, got "
                f"batch_size={self.batch_size}."
            )

    def _make_module(self):
        if self.weights_ is not None:
            return self._make_ensemble()
        return NPT(
            self.architecture,
            self.n_estimators,
            [*self.encoder_.n_categories_, self._n_target_codes],
            self.d_model,
            self.row_dim,
            self.feed_forward_dim,
            self.n_heads,
            self.n_layers,
            self.n_bins,
            self.dropout,
            self.use_cell_attention,
        )

    # --- cells: what the module sees of a table ---------------------------------------

    def _fit_scaling(self, values):
        self._center, self._scale = weighted_mean_and_scale(values)
        categorical = self.encoder_.is_categorical_
        self._center[categorical], self._scale[categorical] = 0.0, 1.0

    def _as_cells(self, values, target=None):
        """Return encoded rows and their targets as one matrix of cells (n_samples, d)."""
        features = (values - self._center) / self._scale
        if self.weights_ is None:  # else the net scales by its context
            bent = features / np.hypot(1, features / CLIP)  # outliers keep their order
            features = np.where(self.encoder_.is_categorical_, values, bent)
        target = np.full(len(values), np.nan) if target is None else target
        return np.column_stack([features, target])

    def _as_values(self, cells):
        """Undo `_as_cells` for the features."""
        bent = np.clip(cells, -CLIP * (1 - 1e-9), CLIP * (1 - 1e-9))
        z = bent / np.sqrt(1 - (bent / CLIP) ** 2)
        return np.where(self.encoder_.is_categorical_, cells, z * self._scale + self._center)

    # --- training ---------------------------------------------------------------------

    def _fit_cells(self, values, target, groups, X, y):
        """Train on encoded rows and their encoded targets, then take them as context."""
        n_rows = len(values)
        if n_rows < 2:
            raise ValueError(
                f"Found array with n_samples={n_rows} while a minimum of 2 is required by "
                f"{type(self).__name__}: a context row and a query."
            )
        groups = self._check_groups(groups, values)
        self._fit_scaling(values)
        self.weights_ = None
        self._n_members = self.n_estimators
        if self._choose_pretrained(n_rows, values.shape[1], self._n_target_codes):
            return self._fit_pretrained(values, target, groups, X, y)
        cells = self._as_cells(values, target)
        fold_seed, module_seed, batch_seed = self._draw_seeds()
        rng = np.random.RandomState(fold_seed)
        fold, splits = self._split_folds(target, groups, rng)
        device = self._resolve_device()
        dtype = torch.float64 if self.dtype == "float64" else torch.float32
        module = self._build_module(module_seed, dtype)
        module.tokenizer.fit_bins(cells)
        table = torch.as_tensor(cells, dtype=dtype, device=device)

        all_rows = np.arange(n_rows)
        train_rows = [all_rows] * self.n_estimators
        if splits:
            train_rows = [np.setdiff1d(all_rows, held) for held in splits]
        if splits:
            context, queries = self._validation_rows(target, splits, train_rows, groups, rng)

        def held_out_loss(module):
            output = self._held_out_output(module, table, context, queries)
            return self._target_loss(output, table[queries][..., -1]).item()

        self._context_seed = int(rng.randint(2**31 - 1))
        self._fitting = cells, fold
        self._train(
            module,
            batches=MaskedBatches(
                [torch.as_tensor(rows) for rows in train_rows],
                cells.shape[1],
                batch_size=self.batch_size,
                feature_mask_prob=self.feature_mask_prob,
                masked_rows=1.0 if self.architecture == "paper" else MASKED_ROWS,
                replace_prob=0.1 if self.architecture == "paper" else 0.0,
                max_epochs=self.max_epochs,
                groups=None if groups is None else torch.as_tensor(groups),
            ),
            loss=self._make_loss(table),
            validate=held_out_loss if splits else None,
            seed=batch_seed,
            X=X,
            y=y,
            optimizer=Lamb if self.optimizer == "lamb" else "adamw",
            schedule=_warm_flat_cosine,
            average=AVERAGE,
            # the loss is a mean over members, so the norm of one member's part is 1
            clip_norm=1 / math.sqrt(self.n_estimators),
        )
        if splits:
            with torch.inference_mode():
                table = table.to(next(self.module_.parameters()).dtype)
                output = self._held_out_output(self.module_, table, context, queries)
                self._calibrate(output, table[queries][..., -1])
        del self._fitting
        return self

    def _attributes_after_training(self, module):
        attributes = super()._attributes_after_training(module)
        return attributes | self._context_attributes(attributes["module_"], *self._fitting)

    def _check_groups(self, groups, values):
        if groups is None:
            return None
        check_consistent_length(values, groups)
        return np.unique(column_or_1d(groups), return_inverse=True)[1]

    def _split_folds(self, target, groups, rng):
        """Return the fold of each row and the rows that each member holds out (may be none)."""
        n_units = len(target) if groups is None else groups.max() + 1
        wanted = self.early_stopping
        if wanted == "auto":
            wanted = n_units >= FOLDS_FROM
        n_folds = max(self.n_estimators, round(1 / self.validation_fraction), 2)
        too_few = n_units < 2 * n_folds
        if too_few and self.early_stopping is True:
            warnings.warn(
                f"Early stopping is off: {n_folds} folds need at least {2 * n_folds} "
                f"{'rows' if groups is None else 'groups'}, got {n_units}.",
                stacklevel=2,
            )
        if too_few or not wanted:
            return np.full(len(target), -1), None
        fold = deal_folds(n_folds, target, rng, groups)
        splits = [np.flatnonzero(fold == member) for member in range(self.n_estimators)]
        return np.where(fold < self.n_estimators, fold, -1), splits

    def _validation_rows(self, target, splits, train_rows, groups, rng):
        """Return the context and the queries (m, ...) on which each member is validated."""
        contexts, queries = [], []
        shown = np.zeros(len(target), dtype=bool) if groups is None else show_half(groups, rng)
        for held, trained in zip(splits, train_rows, strict=True):
            if groups is not None:  # whole groups, so that what is known fits what is asked
                held = held[np.argsort(groups[held], kind="stable")][: 2 * VALIDATION_ROWS]
            # a held-out group is what it will be in use: some of its rows are known
            most = min(self.context_size, VALIDATION_CONTEXT)
            known = held[shown[held]]
            room = max(most - len(known), 1)
            others = trained[sample_evenly(room, target[trained], rng)]
            contexts.append(np.concatenate([known, others]))
            asked = held[~shown[held]]
            queries.append(asked[sample_evenly(VALIDATION_ROWS, target[asked], rng)])
        return _stack(contexts), _stack(queries)

    def _held_out_output(self, module, table, context, queries):
        """Return the outputs (m, q, n_outputs) of every member for the rows it holds out."""
        memories = module.encode(table[context])
        return in_chunks(module, table[queries], memories, module.target)

    def _make_loss(self, table):
        def loss(module, step):
            rows = step.rows.to(table.device)
            hidden, replaced = step.hidden.to(table.device), step.replaced.to(table.device)
            cells = table[rows]  # (m, n, d)
            shown = cells
            if self.architecture == "paper":  # a replaced cell shows the one of the next row
                shown = torch.where(replaced, cells.roll(1, dims=1), cells)
            H = module(shown, hidden & ~replaced, step.n_context)
            asked = cells[:, step.n_context :]
            value = self._target_loss(module.target(H), asked[..., -1])
            share = self.feature_loss_weight * 0.5 * (1 + math.cos(math.pi * step.progress))
            if not (share and self.feature_mask_prob):
                return value
            chosen = hidden[:, step.n_context :].clone()
            chosen[..., -1] = False
            return (1 - share) * value + share * module.feature_losses(H, asked, chosen)

        return loss

    # --- prediction -------------------------------------------------------------------

    def _place(self, module, device):
        if self.dtype == "auto" and self.weights_ is not None and self._n_cells > EXACT_CELLS:
            return module.to(device, torch.float32).eval()
        return super()._place(module, device)

    def _raw_predict(self, X):
        cells = self._as_cells(self._encode_table(X, reset=False))
        return self._combine(self._query(cells, self.module_.target), self._memories)

    def _export_inputs(self, X):
        cells = self._as_cells(self._encode_table(X, reset=False))
        return {"cells": (self._as_numbers(cells[:, :-1]), 1)}  # the target is asked for

    def _export_forward(self):
        module, memories = self.module_, self._memories

        def outputs(cells):
            queries = F.pad(cells, (0, 1), value=math.nan).unsqueeze(0)
            return self._members_together(module.target(module.query(queries, memories)), memories)

        return outputs


def _stack(rows):
    """Stack row indices of nearly equal numbers, cut to the smallest."""
    size = min(len(part) for part in rows)
    return np.stack([part[:size] for part in rows])


def _warm_flat_cosine(progress):
    """Return the factor of the learning rate after a share of the training."""
    warm = min(1.0, (progress + 0.005) / WARM_UP)
    if progress <= ANNEAL_FROM:
        return warm
    return 0.02 + 0.49 * (1 + math.cos(math.pi * (progress - ANNEAL_FROM) / (1 - ANNEAL_FROM)))
