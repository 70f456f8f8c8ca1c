"""How much attention passes between two groups of tokens: pictures and words, or any others."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..core.maps import AttentionMaps, as_attention_maps

METHODS = ("attention", "rollout", "norm")


class InterModalityFlow(NamedTuple):
    """What `inter_modality_flow` returns; arrays of shape (n_samples, n_layers)."""

    flow: np.ndarray
    """Share of the attention between members of the groups that crosses from one to the other."""
    first_from_second: np.ndarray
    """Part of `flow` with which the first group looks at the second."""
    second_from_first: np.ndarray
    """Part of `flow` with which the second group looks at the first."""
    chance: np.ndarray
    """The flow if all tokens were looked at alike."""

    @property
    def relative(self) -> np.ndarray:
        """The flow over chance: 1 is what tokens that are all alike would have."""
        return self.flow / self.chance


def inter_modality_flow(
    obj: Any, X: Any = None, *, first: Any = None, second: Any = None, method: str = "attention",
    mask: Any = None,
) -> InterModalityFlow:  # fmt: skip
    r"""Measure how much attention passes between two groups of tokens.

    Of all the attention that members of the groups pay to members of the groups, the share that
    crosses from one group to the other, layer by layer.

    Parameters
    ----------
    obj : estimator, AttentionMaps or array
        A fitted estimator of this room, or of any other that answers the attention protocol; or
        its maps; or one array (n_samples, n_heads, n_tokens, n_tokens) for each layer.
    X : frame, array or list, default=None
        What the estimator looks at.
    first, second : sequence of int or of labels, default=None
        The tokens of the two groups, by position or by label. For estimators of this room the
        visual tokens and the words, without [CLS] and [SEP].
    method : {"attention", "rollout", "norm"}, default="attention"
        "attention": the weights. "rollout": their product over the layers up to each one, the
        residual connection included [2]_. "norm": how long the vectors are that are really
        passed on [3]_; for estimators of this room.
    mask : array-like of bool of shape (n_samples, n_tokens), default=None
        Which tokens are real: padding is neither counted as looking nor as looked at. Estimators
        of this room tell it.

    Returns
    -------
    InterModalityFlow
        `flow`, `first_from_second`, `second_from_first` and `chance`, arrays of shape
        (n_samples, n_layers), and `relative`, the flow over chance.

    Raises
    ------
    ValueError
        Groups that are missing, empty, unknown or share a token; a sample with an empty group;
        queries that are not the keys; an unknown method, or one that needs more than maps.

    Notes
    -----
    With the weights A (mean over heads) and the groups V and T,

    .. math:: F_{V \leftarrow T} = \sum_{i \in V, j \in T} A_{ij}, \qquad
              \mathrm{flow} = \frac{F_{V \leftarrow T} + F_{T \leftarrow V}}
              {F_{V \leftarrow T} + F_{T \leftarrow V} + F_{V \leftarrow V} + F_{T \leftarrow T}},

    which is :math:`2 |V| |T| / (|V| + |T|)^2` where everything is looked at alike. "rollout"
    takes :math:`\prod_l (A_l / 2 + I / 2)` for A, "norm" takes
    :math:`\| \sum_h A^h_{ij} v^h_j W_O^h \|`. The idea is that of [1]_, whose formula was not
    available to us: these are ours. The flow describes; what happens without it, tells
    `without_cross_attention`.

    References
    ----------
    .. [1] Xue et al., "Probing Inter-modality: Visual Parsing with Self-Attention for
       Vision-Language Pre-training", NeurIPS 2021, arXiv:2106.13488.
    .. [2] Abnar and Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020,
       arXiv:2005.00928.
    .. [3] Kobayashi et al., "Attention is Not Only a Weight: Analyzing Transformers with Vector
       Norms", EMNLP 2020, arXiv:2004.10102.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn import inter_modality_flow
    >>> even = np.full((1, 1, 6, 6), 1 / 6)
    >>> found = inter_modality_flow(even, first=[0, 1, 2, 3], second=[4, 5])
    >>> found.flow.round(3), found.relative.round(3)
    (array([[0.444]]), array([[1.]]))
    """
    if method not in METHODS:
        raise ValueError(
            f"method has to be one of {', '.join(map(repr, METHODS))}, got {method!r}."
        )
    if hasattr(obj, "_flow_parts"):
        check_is_fitted(obj)
        maps, norms, groups, own_mask = obj._flow_parts(X, with_norms=method == "norm")
        first = groups[0] if first is None else first
        second = groups[1] if second is None else second
        mask = own_mask if mask is None else mask
    else:
        maps, norms = as_attention_maps(obj, X), None
        if method == "norm":
            raise ValueError(
                "method='norm' needs the vectors that attention passes on: pass a fitted "
                "estimator of visual parsing and X."
            )
    if maps.query_labels != maps.key_labels:
        raise ValueError(
            "Flow needs square maps, whose queries and keys are the same tokens: here "
            f"{maps.n_queries} queries ({maps.query_axis}) look at {maps.n_keys} keys "
            f"({maps.key_axis}) with other labels."
        )
    members = _memberships(maps, first, second, mask)  # (n, 2, t)
    if norms is not None and method == "norm":
        layers = [layer.mean(axis=1) for layer in norms]
    else:
        layers = [layer.mean(axis=1) for layer in maps.weights]  # (n, t, t)
    if method == "rollout":
        layers = _rolled_out(layers)
    # (n, looking group, looked-at group)
    sums = [np.einsum("nai,nij,nbj->nab", members, layer, members) for layer in layers]
    total = np.stack([s.sum(axis=(1, 2)) for s in sums], axis=1)  # (n, layers)
    crossed = [np.stack([s[:, i, 1 - i] for s in sums], axis=1) / total for i in (0, 1)]
    sizes = members.sum(axis=2)  # (n, 2)
    chance = 2 * sizes[:, 0] * sizes[:, 1] / sizes.sum(axis=1) ** 2
    return InterModalityFlow(
        crossed[0] + crossed[1],
        crossed[0],
        crossed[1],
        np.repeat(chance[:, None], len(layers), axis=1),
    )


def _rolled_out(layers: list[np.ndarray]) -> list[np.ndarray]:
    identity = np.eye(layers[0].shape[-1])
    flow, found = identity, []
    for layer in layers:
        flow = (0.5 * layer + 0.5 * identity) @ flow
        found.append(flow)
    return found


def _memberships(maps: AttentionMaps, first: Any, second: Any, mask: Any) -> np.ndarray:
    """Return 1 for the members of each group in each sample, ``(n, 2, t)``."""
    if first is None or second is None:
        raise ValueError("first and second have to name the two groups of tokens.")
    groups = [_positions(maps, name, g) for name, g in (("first", first), ("second", second))]
    shared = np.intersect1d(groups[0], groups[1])
    if len(shared):
        label = maps.key_labels[shared[0]]
        raise ValueError(f"first and second share the token {label!r}: groups have to be apart.")
    mask = np.ones((maps.n_samples, maps.n_keys), bool) if mask is None else np.asarray(mask)
    if mask.shape != (maps.n_samples, maps.n_keys) or mask.dtype != bool:
        raise ValueError(
            f"mask has to be of bool and of shape (n_samples, n_tokens) = ({maps.n_samples}, "
            f"{maps.n_keys}), got {mask.dtype} of shape {mask.shape}."
        )
    members: np.ndarray = np.zeros((maps.n_samples, 2, maps.n_keys))
    for i, group in enumerate(groups):
        members[:, i, group] = mask[:, group]
    empty = np.flatnonzero(~(members != 0).any(axis=2).all(axis=1))
    if len(empty):
        label = maps.sample_labels[empty[0]]
        raise ValueError(f"Sample {label!r} has no token of one of the groups: no text, perhaps.")
    return members


def _positions(maps: AttentionMaps, name: str, group: Any) -> np.ndarray:
    """Turn positions or labels into positions."""
    group = list(group)
    if not group:
        raise ValueError(f"{name} is empty: a group needs a token.")
    if all(isinstance(token, (int, np.integer)) for token in group):
        wrong = [token for token in group if not 0 <= token < maps.n_keys]
        if wrong:
            raise ValueError(f"{name} has the position {wrong[0]}; there are {maps.n_keys} tokens.")
        return np.unique(group)
    wrong = [token for token in group if token not in maps.key_labels]
    if wrong:
        raise ValueError(f"{name} has the label {wrong[0]!r}, which no token bears.")
    return np.array([i for i, label in enumerate(maps.key_labels) if label in group])


def without_cross_attention(estimator: Any) -> Any:
    """Return a copy of a fitted estimator in which pictures and words do not look at each other.

    The ablation behind the flow: each half is worked on by itself, and in the last layer [CLS]
    reads both, without having heard the question before it looks. The copy was not trained that
    way, so this tells what the model relies on, not what could be learnt.

    Parameters
    ----------
    estimator : VisualParsingClassifier or VisualParsingRegressor
        Fitted.

    Returns
    -------
    estimator
        A fitted copy; the estimator stays as it is.

    Examples
    --------
    >>> from sklearn_selfattn import VisualParsingClassifier, inter_modality_flow
    >>> from sklearn_selfattn.datasets import make_digit_scenes
    >>> from sklearn_selfattn.vision_language import without_cross_attention
    >>> X, y = make_digit_scenes(60, random_state=0)
    >>> model = VisualParsingClassifier(d_model=16, max_epochs=1, random_state=0).fit(X, y)
    >>> float(inter_modality_flow(without_cross_attention(model), X).flow.max())
    0.0
    """
    check_is_fitted(estimator)
    found = copy.deepcopy(estimator)
    found._cross = found.module_.cross = False
    return found
