"""Attention maps: what every method here answers when asked where it looked.

An estimator answers the attention protocol when it has a method ``attention_weights(X)`` that
returns an :class:`AttentionMaps`. Tools that read attention take the estimator and X, the maps,
or a plain array, all through :func:`as_attention_maps`.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from .display import draw_heatmap, finish_axes, format_label, label_ticks, new_axes
from .typing import Axes

if TYPE_CHECKING:
    import pandas as pd

# What the numbers are: softmax weights, their product over layers, or a kernel (any sign and sum).
_KINDS = ("softmax", "rollout", "kernel")
# Wide enough for softmax rows computed in float32 over many thousand keys.
_ROW_SUM_TOLERANCE = 1e-5


class AttentionMaps:
    """Attention of some samples, layer by layer, with a name for every token.

    Behaves like a read-only list of layers: ``len(maps)`` is their number and ``maps[-1]`` the
    array of the last one.

    Parameters
    ----------
    weights : sequence of array-like of shape (n_samples, n_heads, n_queries, n_keys)
        One array per layer, kept as float64. The number of heads may differ between layers.
    query_labels : sequence of length n_queries
        Names of the tokens that look.
    key_labels : sequence of length n_keys
        Names of the tokens looked at.
    query_axis : str
        What a query is, for instance `"feature"` or `"word"`.
    key_axis : str
        What a key is, for instance `"context row"`.
    sample_labels : sequence of length n_samples, default=None
        Names of the samples; their positions 0, 1, ... by default.
    kind : {"softmax", "rollout", "kernel"}, default="softmax"
        `"softmax"` and `"rollout"` are shares: not negative, each query's weights sum to 1 over
        the keys. `"kernel"` is for methods without a softmax and allows any finite number.

    Attributes
    ----------
    n_samples, n_queries, n_keys : int
        Sizes, the same in every layer.

    Raises
    ------
    ValueError
        If shapes disagree with each other or with the labels, if a weight is not finite, or if
        shares are negative or do not sum to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn import AttentionMaps
    >>> layer = np.array([[[[0.9, 0.1], [0.4, 0.6]]]])  # 1 sample, 1 head, 2 queries, 2 keys
    >>> maps = AttentionMaps(
    ...     [layer, layer], query_labels=["age", "sex"], key_labels=["age", "sex"],
    ...     query_axis="feature", key_axis="feature",
    ... )
    >>> maps
    AttentionMaps(n_layers=2, n_samples=1, n_queries=2, n_keys=2, kind='softmax')
    >>> maps.rollout()[0].round(2)
    array([[[[0.91, 0.09],
             [0.35, 0.65]]]])
    >>> maps.to_frame().head(2)
       layer  sample  head query  key  weight
    0      0       0     0   age  age     0.9
    1      0       0     0   age  sex     0.1
    """

    def __init__(
        self,
        weights: Iterable[Any],
        *,
        query_labels: Iterable[Any],
        key_labels: Iterable[Any],
        query_axis: str,
        key_axis: str,
        sample_labels: Iterable[Any] | None = None,
        kind: str = "softmax",
    ) -> None:
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {', '.join(map(repr, _KINDS))}, got {kind!r}.")
        self.weights = [np.asarray(layer, dtype=np.float64) for layer in weights]
        self.kind = kind
        self.query_axis = query_axis
        self.key_axis = key_axis
        self.query_labels = list(query_labels)
        self.key_labels = list(key_labels)
        self._check_shapes()
        self.n_samples, _, self.n_queries, self.n_keys = self.weights[0].shape
        self.sample_labels = list(range(self.n_samples) if sample_labels is None else sample_labels)
        for name, labels, length in (
            ("query_labels", self.query_labels, self.n_queries),
            ("key_labels", self.key_labels, self.n_keys),
            ("sample_labels", self.sample_labels, self.n_samples),
        ):
            if len(labels) != length:
                raise ValueError(
                    f"{name} has {len(labels)} entries, but the weights have shape "
                    f"(n_samples, n_heads, n_queries, n_keys) = {self.weights[0].shape}: "
                    f"{length} are needed."
                )
        self._check_values()

    def _check_shapes(self) -> None:
        if not self.weights:
            raise ValueError("weights is empty: at least one layer is needed.")
        for index, layer in enumerate(self.weights):
            if layer.ndim != 4:
                raise ValueError(
                    "Each layer's weights must have shape (n_samples, n_heads, n_queries, n_keys), "
                    f"got shape {layer.shape} in layer {index}."
                )
            if 0 in layer.shape:
                raise ValueError(f"Layer {index} is empty: its weights have shape {layer.shape}.")
            first = self.weights[0]
            if (layer.shape[0], *layer.shape[2:]) != (first.shape[0], *first.shape[2:]):
                raise ValueError(
                    "All layers must have the same samples, queries and keys: layer 0 has shape "
                    f"{first.shape}, layer {index} has shape {layer.shape}."
                )

    def _check_values(self) -> None:
        shares = f"Weights of kind {self.kind!r}"
        hint = ". Pass kind='kernel' for attention without a softmax."
        for index, layer in enumerate(self.weights):
            wrong = ~np.isfinite(layer)
            if wrong.any():
                found = _describe_first(layer, wrong, index)
                raise ValueError(f"Attention weights must be finite: one {found}.")
            if self.kind == "kernel":
                continue
            if (layer < 0.0).any():
                found = _describe_first(layer, layer < 0.0, index)
                raise ValueError(f"{shares} cannot be negative: one {found}{hint}")
            sums = layer.sum(axis=-1)  # (n_samples, n_heads, n_queries)
            wrong = np.abs(sums - 1.0) > _ROW_SUM_TOLERANCE
            if wrong.any():
                found = _describe_first(sums, wrong, index)
                raise ValueError(f"{shares} must sum to 1 over the keys: a sum {found}{hint}")

    def __len__(self) -> int:
        return len(self.weights)

    def __getitem__(self, layer: int) -> np.ndarray:
        return self.weights[operator.index(layer)]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(n_layers={len(self)}, n_samples={self.n_samples}, "
            f"n_queries={self.n_queries}, n_keys={self.n_keys}, kind={self.kind!r})"
        )

    def _with_weights(self, weights: list[np.ndarray], kind: str) -> AttentionMaps:
        maps = copy.copy(self)
        maps.weights, maps.kind = weights, kind
        return maps

    def mean_heads(self) -> AttentionMaps:
        """Average the heads of each layer.

        Returns
        -------
        AttentionMaps
            The same layers with one head each.
        """
        return self._with_weights(
            [layer.mean(axis=1, keepdims=True) for layer in self.weights], self.kind
        )

    def rollout(self) -> AttentionMaps:
        r"""Follow attention through all layers: how much of each input reaches each output.

        Half of what a layer passes on comes through its attention :math:`A_l` (mean over heads),
        half through the residual connection, so that the whole network mixes its tokens by

        .. math:: R = \bar A_L \bar A_{L-1} \cdots \bar A_1,
                  \qquad \bar A_l = \tfrac12 A_l + \tfrac12 I .

        Returns
        -------
        AttentionMaps
            One layer with one head, `kind="rollout"`; each row sums to 1.

        Raises
        ------
        ValueError
            If queries and keys are not the same tokens, or the maps are not of kind "softmax".

        Notes
        -----
        Time :math:`O(L n^3)` per sample with n tokens and L layers. Feed-forward parts are
        ignored, so this is a summary of the attention, not of the whole computation.

        References
        ----------
        S. Abnar and W. Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020,
        arXiv:2005.00928.
        """
        if self.kind != "softmax":
            raise ValueError(f"rollout needs maps of kind 'softmax', these are {self.kind!r}.")
        if self.query_labels != self.key_labels:
            raise ValueError(
                "rollout needs square maps, whose queries and keys are the same tokens: "
                f"here {self.n_queries} queries ({self.query_axis}) look at {self.n_keys} keys "
                f"({self.key_axis}) with other labels."
            )
        identity = np.eye(self.n_keys)
        flow = np.broadcast_to(identity, (self.n_samples, self.n_keys, self.n_keys))
        for layer in self.weights:
            flow = (0.5 * layer.mean(axis=1) + 0.5 * identity) @ flow  # (n_samples, n, n)
        return self._with_weights([flow[:, np.newaxis]], "rollout")

    def to_frame(self) -> pd.DataFrame:
        """List all weights in a tidy table, one row per weight.

        Returns
        -------
        pandas.DataFrame
            Columns `layer`, `sample`, `head`, `query`, `key`, `weight`. Layers and heads are
            counted from 0; samples, queries and keys go by their labels.
        """
        import pandas as pd

        samples = pd.Index(self.sample_labels)
        queries = pd.Index(self.query_labels)
        keys = pd.Index(self.key_labels)
        frames = []
        for index, layer in enumerate(self.weights):
            sample, head, query, key = (axis.ravel() for axis in np.indices(layer.shape))
            frames.append(
                pd.DataFrame(
                    {
                        "layer": index,
                        "sample": samples.take(sample),
                        "head": head,
                        "query": queries.take(query),
                        "key": keys.take(key),
                        "weight": layer.ravel(),
                    }
                )
            )
        return pd.concat(frames, ignore_index=True)

    def plot(
        self,
        sample: int | None = 0,
        layer: int = -1,
        head: int | None = None,
        ax: Axes | None = None,
    ) -> Axes:
        """Draw one map: queries down, keys across.

        Parameters
        ----------
        sample : int or None, default=0
            Position of the sample; None averages over the samples.
        layer : int, default=-1
            Position of the layer, the last by default.
        head : int or None, default=None
            Position of the head; None averages over the heads.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        matplotlib Axes
            The axes with the map.
        """
        layer = _check_position("layer", layer, len(self))
        values = self[layer]  # (n_samples, n_heads, n_queries, n_keys)
        title = [] if self.kind == "softmax" else [self.kind]
        if len(self) > 1:
            title.append(f"layer {layer + 1} of {len(self)}")
        if sample is None:
            title.append(f"mean of {self.n_samples} samples")
            values = values.mean(axis=0)
        else:
            sample = _check_position("sample", sample, self.n_samples)
            title.append(f"sample {format_label(self.sample_labels[sample])}")
            values = values[sample]
        n_heads = values.shape[0]
        if head is None:
            if n_heads > 1:
                title.append(f"mean of {n_heads} heads")
            values = values.mean(axis=0)
        else:
            head = _check_position("head", head, n_heads)
            title.append(f"head {head + 1} of {n_heads}")
            values = values[head]
        height = 1.9 if self.n_queries == 1 else min(7.5, 2.4 + 0.19 * self.n_queries)
        width = min(9.0, 3.4 + 0.2 * self.n_keys)
        _, ax = new_axes(ax, "AttentionMaps.plot", (width, height))
        draw_heatmap(
            ax,
            values,
            colorbar_label="kernel value" if self.kind == "kernel" else "attention weight",
        )
        label_ticks(ax, "x", self.key_labels)
        label_ticks(ax, "y", self.query_labels)
        finish_axes(
            ax,
            title="Attention: " + ", ".join(title),
            xlabel=f"{self.key_axis} (looked at)",
            ylabel=f"{self.query_axis} (looking)",
        )
        return ax


@runtime_checkable
class SupportsAttention(Protocol):
    """The attention protocol: an estimator that can show where it looked."""

    def attention_weights(self, X: Any, layer: int | None = None) -> AttentionMaps:
        """Return the attention of the rows of X, of all layers or of one."""
        ...


def as_attention_maps(obj: Any, X: Any = None) -> AttentionMaps:
    """Turn whatever holds attention into an :class:`AttentionMaps`.

    Parameters
    ----------
    obj : estimator, AttentionMaps or array-like
        A fitted estimator with a method `attention_weights`; or maps, returned as they are; or
        softmax weights as an array of shape (n_queries, n_keys),
        (n_samples, n_heads, n_queries, n_keys) or (n_layers, n_samples, n_heads, n_queries,
        n_keys), or as a list of 4-dimensional arrays, one per layer.
    X : array-like of shape (n_samples, n_features), default=None
        Rows to ask an estimator about. Only for an estimator.

    Returns
    -------
    AttentionMaps
        The maps. Tokens of a plain array are labelled by their positions.

    Raises
    ------
    TypeError
        If `obj` is none of these, or an estimator's answer is no `AttentionMaps`.
    ValueError
        If X is missing for an estimator or given with something else, or an array does not hold
        attention weights.
    """
    if not isinstance(obj, AttentionMaps) and isinstance(obj, SupportsAttention):
        if X is None:
            raise ValueError(
                f"X is needed to ask {type(obj).__name__} for its attention: pass the rows to "
                "look at."
            )
        maps = obj.attention_weights(X)
        if not isinstance(maps, AttentionMaps):
            raise TypeError(
                f"{type(obj).__name__}.attention_weights must return an AttentionMaps, "
                f"got {type(maps).__name__}."
            )
        return maps
    if X is not None:
        raise ValueError(
            f"X is only for an estimator with attention_weights, got X with {type(obj).__name__}."
        )
    if isinstance(obj, AttentionMaps):
        return obj
    layers = _layers_from_array(obj)
    return AttentionMaps(
        layers,
        query_labels=range(layers[0].shape[2]),
        key_labels=range(layers[0].shape[3]),
        query_axis="query",
        key_axis="key",
    )


def _layers_from_array(obj: Any) -> Sequence[np.ndarray]:
    accepted = (
        "an estimator with attention_weights, an AttentionMaps, or an array of shape "
        "(n_queries, n_keys), (n_samples, n_heads, n_queries, n_keys) or "
        "(n_layers, n_samples, n_heads, n_queries, n_keys)"
    )
    if isinstance(obj, list | tuple) and obj and all(np.ndim(layer) == 4 for layer in obj):
        return [np.asarray(layer, dtype=np.float64) for layer in obj]
    try:
        array = np.asarray(obj, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"Expected {accepted}, got {type(obj).__name__}.") from error
    if array.ndim == 2:
        return [array[np.newaxis, np.newaxis]]
    if array.ndim == 4:
        return [array]
    if array.ndim == 5 and len(array):
        return list(array)
    raise ValueError(f"Expected {accepted}, got an array of shape {array.shape}.")


def _check_position(name: str, position: int, length: int) -> int:
    if not -length <= position < length:
        raise ValueError(f"{name} must be between {-length} and {length - 1}, got {position}.")
    return position % length


def _describe_first(values: np.ndarray, wrong: np.ndarray, layer: int) -> str:
    position = tuple(int(index) for index in np.argwhere(wrong)[0])
    names = ("sample", "head", "query", "key")[: len(position)]
    place = ", ".join(f"{name} {index}" for name, index in zip(names, position, strict=True))
    return f"is {values[position]:.6g} at layer {layer}, {place}"
