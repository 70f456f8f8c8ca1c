"""Attention of a Hugging Face model, by the protocol of this library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator

from ..core.maps import AttentionMaps


class HFAttention(BaseEstimator):
    """Make a Hugging Face model answer ``attention_weights(X)``.

    Needs no import of transformers: the model is called as its kind is called, with
    ``output_attentions=True``.

    Parameters
    ----------
    model : transformers model
        Loaded with ``attn_implementation="eager"``: other implementations do not return their
        attention.
    tokenizer : transformers tokenizer, default=None
        Called on a list of texts. None: X is what a tokenizer returns, a mapping with `input_ids`
        and, where there is padding, `attention_mask`.

    See Also
    --------
    AttentionCausalDiscovery : Graphs of the tokens.

    Notes
    -----
    `d_model` and `n_heads` come from the model's config (`hidden_size`, `num_attention_heads`).

    Examples
    --------
    With transformers installed::

        model = AutoModel.from_pretrained(path, attn_implementation="eager")
        reader = AttentionCausalDiscovery(FrozenEstimator(HFAttention(model, tokenizer)))
        graphs = reader.fit(texts).discover(texts)
    """

    def __init__(self, model: Any, tokenizer: Any = None) -> None:
        self.model = model
        self.tokenizer = tokenizer

    @property
    def d_model(self) -> int:
        """Width of the model."""
        return self.model.config.hidden_size

    @property
    def n_heads(self) -> int:
        """Number of heads of a layer."""
        return self.model.config.num_attention_heads

    def fit(self, X: object = None, y: object = None) -> Self:
        """Do nothing: the model is trained.

        Parameters
        ----------
        X, y : object, default=None
            Ignored.

        Returns
        -------
        HFAttention
            The estimator itself.
        """
        return self

    def _encode(self, X):
        if self.tokenizer is not None:
            X = self.tokenizer(list(X), padding=True, truncation=True, return_tensors="pt")
        return {name: torch.as_tensor(value) for name, value in dict(X).items()}

    def token_mask(self, X: Sequence[str] | Mapping[str, Any]) -> np.ndarray:
        """Tell which tokens are no padding.

        Parameters
        ----------
        X : list of str or mapping
            Texts, or what a tokenizer returns.

        Returns
        -------
        ndarray of bool of shape (n_samples, n_tokens)
            True for tokens, special ones included.
        """
        encoded = self._encode(X)
        mask = encoded.get("attention_mask", torch.ones_like(encoded["input_ids"]))
        return mask.numpy().astype(bool)

    def attention_weights(
        self, X: Sequence[str] | Mapping[str, Any], layer: int | None = None
    ) -> AttentionMaps:
        """Return the attention of all layers or of one.

        Parameters
        ----------
        X : list of str or mapping
            Texts, or what a tokenizer returns.
        layer : int, default=None
            Layer; None returns all.

        Returns
        -------
        AttentionMaps
            Tokens are labelled by their positions; for a single text, by the tokenizer's words.

        Raises
        ------
        ValueError
            The model does not return its attention.
        """
        encoded = self._encode(X)
        training = self.model.training
        self.model.eval()  # in training mode there is dropout in the weights
        try:
            with torch.inference_mode():
                found = self.model(**encoded, output_attentions=True).attentions
        finally:
            self.model.train(training)
        if not found or any(weights is None for weights in found):
            raise ValueError(
                "The model returned no attention. Load it with attn_implementation='eager': other "
                "implementations (sdpa, flash) do not compute the weights one by one."
            )
        layers = [weights.double().cpu().numpy() for weights in found]
        layers = [weights / weights.sum(axis=-1, keepdims=True) for weights in layers]
        ids = encoded["input_ids"]
        labels = range(ids.shape[1])
        if len(ids) == 1 and hasattr(self.tokenizer, "convert_ids_to_tokens"):
            labels = self.tokenizer.convert_ids_to_tokens(ids[0].tolist())
        return AttentionMaps(
            layers if layer is None else [layers[layer]],
            query_labels=labels,
            key_labels=labels,
            query_axis="token",
            key_axis="token",
            sample_labels=np.arange(len(ids)).tolist(),
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags
