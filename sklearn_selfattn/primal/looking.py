"""What a fitted net looked at: the attention protocol, and what the lens reads."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from ..core.base import BaseSelfAttention
from ..core.maps import AttentionMaps
from ..core.typing import Table

MAX_MAP_STEPS = 1024  # a kernel or softmax matrix of more tokens is not shown


class LookingMixin(BaseSelfAttention):
    """Attention of a fitted estimator, for one with `_inputs`, `_forward_rows` and `module_`."""

    def attention_weights(self, X: Table, layer: int | None = None) -> AttentionMaps:
        r"""Return which tokens look at which, layer by layer.

        A primal layer has no softmax: what is returned is the kernel that it stands for,
        :math:`K = \phi(Q) \phi(K)^\top`, cosines of any sign, and the maps are of kind
        "kernel". Nothing in prediction computes this matrix; its cost is quadratic in the tokens.

        Parameters
        ----------
        X : array-like
            Rows of a table, or series.
        layer : int, default=None
            Position of one layer; None returns all.

        Returns
        -------
        AttentionMaps
            Layers (n_samples, n_estimators * n_heads, n_tokens, n_tokens); at padded steps a
            kernel is 0, a softmax row spreads over the real steps.

        Raises
        ------
        ValueError
            The net has no attention, there is no such layer, or there are too many tokens.
        """
        check_is_fitted(self)
        inputs = self._inputs(X)
        if inputs.shape[1] > MAX_MAP_STEPS:
            raise ValueError(
                f"Maps of {inputs.shape[1]} tokens are too large; at most {MAX_MAP_STEPS} are "
                "shown. attention_spectrum needs no map."
            )
        n_layers = len(self.module_.blocks)
        layers = list(range(n_layers))
        if layer is not None:
            if not -n_layers <= layer < n_layers:
                raise ValueError(f"layer has to be in [{-n_layers}, {n_layers}), got {layer}.")
            layers = [layer % n_layers]
        maps = [self._layer_map(X, i, MAX_MAP_STEPS) for i in layers]
        labels = self._token_labels(inputs)
        axis = "feature" if self._is_table else "step"
        is_softmax = all(self._kinds[i] in ("softmax", "linear") for i in layers)
        return AttentionMaps(
            maps,
            query_labels=labels,
            key_labels=labels,
            query_axis=axis,
            key_axis=axis,
            kind="softmax" if is_softmax else "kernel",
        )

    def _layer_factors(self, X, layer):
        """Return phi(Q) and phi(K) of a primal layer, ``(n, m * h, t, c)`` each."""
        return self._pair(X, lambda rows: self.module_.features_of(rows, layer))

    def _layer_projections(self, X, layer):
        """Return e and r of a primal layer, ``(n, m * h, t, s)`` each."""
        return self._pair(X, lambda rows: self.module_.projections_of(rows, layer))

    def _pair(self, X, function):
        stacked = self._forward_rows(self._inputs(X), lambda rows: torch.stack(function(rows), 1))
        return stacked[:, 0], stacked[:, 1]

    def _layer_map(self, X, layer, max_tokens):
        """Return the map of a layer between at most so many tokens, ``(n, m * h, t, t)``."""
        if self._kinds[layer] == "none":
            raise ValueError("attention='none' is the net without attention: it has no weights.")
        inputs = self._inputs(X)
        n_tokens = inputs.shape[1]
        chosen = np.linspace(0, n_tokens - 1, min(n_tokens, max_tokens)).round().astype(int)
        return self._forward_rows(
            inputs, lambda rows: self.module_.map_of(rows, layer, torch.as_tensor(chosen))
        )

    def _token_labels(self, inputs):
        if not self._is_table:
            return range(inputs.shape[1])
        return getattr(self, "feature_names_in_", [f"x{j}" for j in range(inputs.shape[1])])
