"""What a fitted NPT does with its context: keep it, swap it, leave rows out, look at it."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import Bunch, check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from ..core.base import BaseSelfAttention
from ..core.maps import AttentionMaps
from ..core.parts import in_parts
from ..core.target import check_target
from ..core.typing import Frame, Table
from .folds import sample_evenly

NUMBERS_AT_ONCE = 2**20  # held in memory while predicting, in the largest array
CONTEXT_ROWS = 1000  # the most that the pretrained weights are good for
LOO_FOLDS = 10  # a new context is left out in so many parts


class ContextMixin(BaseSelfAttention):
    """The context of an NPT estimator.

    Kept are the cells of the context rows, `_context` of shape (n_context, d), and the keys and
    values that every member computes from its rows of it, `_memories`. With more rows than
    `context_size` each member has a sample of its own.
    """

    _context: np.ndarray

    # --- the context --------------------------------------------------------------------

    def set_context(self, X: Table, y: ArrayLike, *, append: bool = False) -> Self:
        """Replace or extend the rows that predictions look at, without training.

        Use it when new labelled rows arrive, to move the model to another population, or to ask
        what a changed label would do.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            Rows, with the columns seen in `fit`.
        y : array-like of shape (n_samples,)
            Their labels (from `classes_`) or values.
        append : bool, default=False
            Whether to keep the present context rows as well.

        Returns
        -------
        self : object
            The estimator with the new context.

        Raises
        ------
        ValueError
            Wrong columns, labels not in `classes_`, or unequal lengths. The context then
            stays as it was.

        Notes
        -----
        Cost: keys and values of the context, O(n_context) with one block; each further block adds
        attention within the context, O(n_context^2). With more than `context_size` rows each
        member takes a sample, of equal shares of the classes.
        """
        check_is_fitted(self)
        values = self._encode_table(X, reset=False)
        y = check_target(y, self)
        check_consistent_length(values, y)
        cells = self._as_cells(values, self._encode_target(y))
        fold = np.full(len(cells), -1)
        if append:
            cells = np.concatenate([self._context, cells])
            fold = np.concatenate([self._context_fold, fold])
        self._take_context(cells, fold)
        return self

    def _take_context(self, cells, fold):
        """Make rows the context; `fold` tells which member has held each out (-1: none)."""
        self.__dict__.update(self._context_attributes(self.module_, cells, fold))

    def _context_attributes(self, module, cells, fold):
        """Return the attributes that hold rows as the context of a module."""
        rng = np.random.RandomState(self._context_seed)
        size = self._member_context()
        kept = sample_evenly(self._n_members * size, cells[:, -1], rng)
        cells, fold = cells[kept], fold[kept]
        member_rows = np.stack(
            [sample_evenly(size, cells[:, -1], rng) for _ in range(self._n_members)]
        )
        return {
            "_context": cells,
            "_context_fold": fold,
            "_member_rows": member_rows,
            "_memories": encode(module, cells, member_rows),
            "n_context_": len(cells),
        }

    def _member_context(self):
        """Return how many rows of context a member has at most."""
        return self.context_size if self.weights_ is None else min(self.context_size, CONTEXT_ROWS)

    @property
    def context_target_(self) -> np.ndarray:
        """Labels or values of the context rows, ndarray of shape (n_context,)."""
        check_is_fitted(self)
        return self._decode_target(self._context[:, -1])

    def _encode_context(self, cells, member_rows):
        return encode(self.module_, cells, member_rows)

    def _tensor(self, cells):
        return as_tensor(self.module_, cells)

    def _query(self, cells, output, memories=None):
        """Return ``output(tokens)`` of all members for rows of cells, (m, n, ...)."""
        memories = self._memories if memories is None else memories
        with torch.inference_mode():
            return in_chunks(self.module_, self._tensor(cells)[None], memories, output)

    def _combine(self, output, memories):
        """Return what all members say together, an ndarray of float64."""
        return self._members_together(output, memories).cpu().double().numpy()

    # --- honest predictions for rows of the context ------------------------------------

    def predict_loo(self, method: Literal["predict", "predict_proba"] = "predict") -> np.ndarray:
        """Predict each context row from the others.

        `predict` on a row of the context sees its label. Here a row is left out, and predicted by
        the member that never trained on it: the predictions of a cross-validation, which cost
        no further fit.

        Parameters
        ----------
        method : {"predict", "predict_proba"}, default="predict"
            What to return; probabilities from a classifier only.

        Returns
        -------
        ndarray of shape (n_context,) or (n_context, n_classes)
            In the order of `context_target_`.

        Notes
        -----
        Rows are left out in parts: those that a member held out in `fit` together (a group
        stays together), others in ten parts. Where no member has held a row out (`fit`
        without early stopping, fewer folds than members) all members predict it; they
        have seen its label in training, and the prediction is optimistic. Compare with
        `sklearn.model_selection.cross_val_predict`, which fits anew.
        """
        check_is_fitted(self)
        accepted = ("predict", "predict_proba") if hasattr(self, "classes_") else ("predict",)
        if method not in accepted:
            raise ValueError(f"method has to be one of {accepted}, got {method!r}.")
        rng = np.random.RandomState(self._context_seed)
        new = np.flatnonzero(self._context_fold < 0)
        parts: list[tuple[np.ndarray, int | None]]
        parts = [(np.sort(part), None) for part in np.array_split(rng.permutation(new), LOO_FOLDS)]
        for held in range(self._context_fold.max(initial=-1) + 1):
            # pretrained weights have not seen any row: all members predict
            member = held if self.weights_ is None else None
            parts.append((np.flatnonzero(self._context_fold == held), member))
        rows = np.concatenate([part for part, _ in parts])
        outputs = [self._predict_left_out(part, member) for part, member in parts if len(part)]
        combined = np.concatenate(outputs)[np.argsort(rows)]
        if method == "predict_proba":
            return np.exp(combined)
        if hasattr(self, "classes_"):
            return self.classes_[combined.argmax(axis=1)]
        return self._decode_target(combined)

    def _predict_left_out(self, part, member):
        """Return what `_combine` makes of rows of the context that are left out of it."""
        others = np.setdiff1d(np.arange(self.n_context_), part)
        rng = np.random.RandomState(self._context_seed)
        chosen = others[sample_evenly(self._member_context(), self._context[others, -1], rng)]
        cells = self._context[chosen]
        memories = self._encode_context(cells, np.arange(len(cells))[None])
        output = self._query(self._context[part], self.module_.target, memories)
        return self._combine(output if member is None else output[member : member + 1], memories)

    # --- what was looked at -----------------------------------------------------------------

    def _attention(self, X, between):
        """Return per block the weights (m, n, ...) of rows, and the number of columns."""
        cells = self._as_cells(self._encode_table(X, reset=False))
        traces: list[dict[str, torch.Tensor]] = [{} for _ in self.module_.blocks]
        with torch.inference_mode():
            self.module_.query(self._tensor(cells)[None], self._memories, traces)
        return [trace[between].cpu().double().numpy() for trace in traces]

    def attention_weights(
        self, X: Table, layer: int | None = None, *, between: Literal["cells", "rows"] = "cells"
    ) -> AttentionMaps:
        """Return the attention weights with which rows are predicted.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            The rows to predict.
        layer : int, default=None
            One block; None for all.
        between : {"cells", "rows"}, default="cells"
            Attention of the cells of a row to each other, or of a row to the context.

        Returns
        -------
        AttentionMaps
            Weights of shape (n_samples, n_heads, n_queries, n_keys) per block; heads of all
            members side by side. Cells are named as the features, the target as "target"; rows
            of the context by their index, the row's own key as "self" (pretrained weights
            have "learnt rows" in its place: rows of tokens that every table gets).
        """
        check_is_fitted(self)
        if between not in ("cells", "rows"):
            raise ValueError(f"between has to be 'cells' or 'rows', got {between!r}.")
        if between == "cells" and not (self.use_cell_attention or self.weights_):
            raise ValueError("between='cells' needs use_cell_attention=True in fit.")
        weights = self._attention(X, between)
        if between == "cells":  # (m, n, h, d, d) -> (n, m h, d, d)
            weights = [np.moveaxis(part, 0, 1) for part in weights]
            maps = [part.reshape(len(part), -1, *part.shape[-2:]) for part in weights]
            names = [*self._feature_names(), "target"]
            axes: dict[str, Any] = {"query_labels": names, "key_labels": names}
            axes |= {"query_axis": "cells", "key_axis": "cells"}
        else:
            maps = [self._over_context(part) for part in weights]
            rest = "self" if self.weights_ is None else "learnt rows"
            axes = {"query_labels": ["row"], "key_labels": [*range(self.n_context_), rest]}
            axes |= {"query_axis": "rows", "key_axis": "context rows"}
        if layer is not None:
            if not -len(maps) <= layer < len(maps):
                raise ValueError(
                    f"layer has to lie between {-len(maps)} and {len(maps) - 1}, got {layer!r}."
                )
            maps = [maps[layer]]
        return AttentionMaps(maps, **axes)

    def _over_context(self, weights):
        """Spread the weights on the members' rows over the whole context: (n, heads, 1, k + 1)."""
        if weights.ndim == 5:  # (m, d, h, n, c + 1), "cells": columns count as heads
            weights = weights.reshape(len(weights), -1, *weights.shape[-2:])
        m, h, n, c = weights.shape
        spread = np.zeros((n, m, h, self.n_context_ + 1))
        for member, rows in enumerate(self._member_rows):
            spread[:, member, :, np.append(rows, self.n_context_)] = np.moveaxis(
                weights[member], -1, 0
            ).transpose(0, 2, 1)
        return spread.reshape(n, m * h, 1, -1)

    def _feature_names(self):
        names = getattr(self, "feature_names_in_", None)
        return [f"x{i}" for i in range(self.n_features_in_)] if names is None else list(names)

    def neighbors(self, X: Table, n_neighbors: int = 10) -> pd.DataFrame:
        """Tell which context rows each prediction used, and how much.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            The rows to predict.
        n_neighbors : int, default=10
            Context rows per row, the most used first.

        Returns
        -------
        DataFrame
            Columns "query" (position in `X`), "rank" (from 0), "context_row" (index into
            the context), "weight" (share of the attention, mean over blocks, heads and
            members) and "target" (label or value of that context row).
        """
        check_is_fitted(self)
        if not 1 <= n_neighbors <= self.n_context_:
            raise ValueError(
                f"n_neighbors has to lie between 1 and the {self.n_context_} context rows, got "
                f"{n_neighbors!r}."
            )
        maps = [self._over_context(part) for part in self._attention(X, "rows")]
        weight = np.mean([part.mean(axis=(1, 2)) for part in maps], axis=0)[:, :-1]  # (n, k)
        order = np.argsort(-weight, axis=1, kind="stable")[:, :n_neighbors]
        return pd.DataFrame(
            {
                "query": np.repeat(np.arange(len(order)), n_neighbors),
                "rank": np.tile(np.arange(n_neighbors), len(order)),
                "context_row": order.ravel(),
                "weight": np.take_along_axis(weight, order, axis=1).ravel(),
                "target": self.context_target_[order.ravel()],
            }
        )

    def context_reliance(
        self,
        X: Table,
        y: ArrayLike,
        *,
        n_repeats: int = 5,
        random_state: int | np.random.RandomState | None = None,
    ) -> Bunch:
        """Measure how much worse predictions are when the context makes no sense.

        Each column of the context, its target included, is shuffled on its own, so that its rows
        no longer say anything but the distribution of each column (the corruption test of the
        NPT paper, Table 2). A model that ignores other rows does not notice.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            Rows to predict, not part of the context.
        y : array-like of shape (n_samples,)
            Their labels or values.
        n_repeats : int, default=5
            Number of corrupted contexts.
        random_state : int, RandomState instance or None, default=None
            Source of the shuffles.

        Returns
        -------
        Bunch
            "score" (accuracy or R^2), "corrupted_scores" of shape (n_repeats,) and
            "reliance", their mean difference.
        """
        check_is_fitted(self)
        if n_repeats < 1:
            raise ValueError(f"n_repeats has to be at least 1, got {n_repeats!r}.")
        cells = self._as_cells(self._encode_table(X, reset=False))
        target = self._encode_target(check_target(y, self))
        check_consistent_length(cells, target)
        rng = check_random_state(random_state)

        def score(memories):
            output = self._combine(self._query(cells, self.module_.target, memories), memories)
            if hasattr(self, "classes_"):
                return accuracy_score(target, output.argmax(axis=1))
            return r2_score(target, output)

        corrupted = []
        for _ in range(n_repeats):
            shuffled = np.column_stack([rng.permutation(column) for column in self._context.T])
            corrupted.append(score(self._encode_context(shuffled, self._member_rows)))
        truth = score(self._memories)
        return Bunch(
            score=truth,
            corrupted_scores=np.array(corrupted),
            reliance=truth - np.mean(corrupted),
        )

    def impute(self, X: Table) -> np.ndarray | Frame:
        """Fill missing cells with what the net expects there.

        A net that was trained on this table has learnt to reconstruct hidden cells from the
        rest of their row and from the context; that is what `feature_mask_prob` is for. With
        pretrained weights each column with missing cells is predicted from the other ones.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            Rows with missing cells.

        Returns
        -------
        ndarray or DataFrame of shape (n_samples, n_features)
            The same rows, of the kind that `fit` was given, with no cell missing. What was
            there is not changed, but for categories not seen in `fit`, which count as
            missing.

        Raises
        ------
        ValueError
            The net was trained with ``feature_mask_prob=0`` or ``feature_loss_weight=0``.
        """
        check_is_fitted(self)
        if self.weights_ is None and not (self.feature_mask_prob and self.feature_loss_weight):
            raise ValueError(
                "impute needs a net that has learnt to reconstruct cells: fit with "
                f"feature_mask_prob > 0 and feature_loss_weight > 0, got {self.feature_mask_prob} "
                f"and {self.feature_loss_weight}."
            )
        values = self._encode_table(X, reset=False)
        expected = self._expect_cells(values)
        table = self.encoder_.inverse_transform(np.where(np.isnan(values), expected, values))
        if isinstance(table, pd.DataFrame) and isinstance(X, pd.DataFrame):
            table.index = X.index
        return table

    def _expect_cells(self, values):
        """Return what the net expects in the cells of encoded rows (n_samples, d)."""
        if self.weights_ is not None:
            return self._expect_columns(values)
        module = self.module_
        numbers = self._query(self._as_cells(values), lambda H: module.features(H)[0])
        expected = np.zeros_like(values)
        expected[:, module.numeric_features] = numbers.mean(dim=0).cpu().numpy()
        expected = self._as_values(expected)
        if module.categorical_features:
            logits = self._query(self._as_cells(values), lambda H: module.features(H)[1])
            share = logits.softmax(dim=-1).mean(dim=0)  # (n, d_cat, codes)
            expected[:, module.categorical_features] = share.argmax(dim=-1).cpu().numpy()
        return expected

    # --- persistence ---------------------------------------------------------------------

    def __getstate__(self):
        state = super().__getstate__()
        state.pop("_memories", None)  # computed again from the context
        return state

    def __setstate__(self, state):
        super().__setstate__(state)
        if "_context" in state and "module_" in state:
            # copied, because torch warns of a memory map that may not be written to
            self._context = np.array(self._context)
            self._memories = self._encode_context(self._context, self._member_rows)


def as_tensor(module, cells):
    """Return cells as a tensor of the module's precision and device."""
    parameter = next(module.parameters())
    return torch.as_tensor(cells, dtype=parameter.dtype, device=parameter.device)


def encode(module, cells, member_rows):
    """Return the memories of the members' rows (m, c) of some cells (n_samples, d)."""
    same = len(member_rows[0]) == len(cells)  # all members look at all rows
    with torch.no_grad():  # and not in inference mode: an exported graph takes them in
        return module.encode(as_tensor(module, cells[None] if same else cells[member_rows]))


def in_chunks(module, queries, memories, output):
    """Return ``output(tokens)`` for queries (m or 1, q, d), some at a time.

    So many that what the module holds of them stays within a fixed memory, whatever the
    number of queries.
    """
    size = max(NUMBERS_AT_ONCE // module.per_query(memories), 1)

    def outputs(rows):
        return output(module.query(queries[:, rows], memories))

    return in_parts(outputs, queries.shape[1], size, dim=1)
