"""What a fitted vectorizer says about words, and how it looks as ordinary attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from .module import ProjectionAttention


class WordsMixin(BaseEstimator):
    """Methods that take words, and the way out to torch."""

    def most_similar(self, word: str, n_words: int = 10) -> list[tuple[str, float]]:
        """List the words that stand in the same contexts.

        Parameters
        ----------
        word : str
            A word of the vocabulary.
        n_words : int, default=10
            How many to list.

        Returns
        -------
        list of (str, float)
            Words with the cosine of their vectors, nearest first.
        """
        vectors = self._unit_vectors()
        number = self._number(word)
        return self._nearest(vectors @ vectors[number], [number], n_words)

    def analogy(self, a: str, b: str, c: str, n_words: int = 10) -> list[tuple[str, float]]:
        """List the words that are to `c` as `b` is to `a`.

        Parameters
        ----------
        a, b, c : str
            Words of the vocabulary.
        n_words : int, default=10
            How many to list.

        Returns
        -------
        list of (str, float)
            Words other than the three, with the cosine to b - a + c (of unit vectors), nearest
            first. A corpus of a few million words is too small for this to be often right.
        """
        vectors = self._unit_vectors()
        numbers = [self._number(word) for word in (a, b, c)]
        wanted = vectors[numbers[1]] - vectors[numbers[0]] + vectors[numbers[2]]
        length = np.linalg.norm(wanted)
        return self._nearest(vectors @ wanted / (length or 1.0), numbers, n_words)

    def to_attention(self) -> dict[str, Any]:
        r"""Return the matrices of an attention layer over one-hot words.

        Returns
        -------
        dict
            `W_Q`, `W_K`, `W_V`, arrays of shape (n_terms, n_components) with the heads side by
            side, and `temperature`. A head's attention is
            :math:`\mathrm{softmax}(Q W_Q W_K^\top Q^\top / \tau)\, Q W_V` with the word selector
            Q of a document, up to masks and positions.
        """
        check_is_fitted(self, "value_weights_")
        return {
            "W_Q": self.query_weights_.copy(),
            "W_K": self.key_weights_.copy(),
            "W_V": self.value_weights_.copy(),
            "temperature": self._temperature(),
        }

    def to_torch(self) -> ProjectionAttention:
        """Return a torch module that computes :meth:`transform_tokens` by MultiheadAttention.

        It starts where the corpus leaves off and can be trained on, as the first layer of a net.

        Returns
        -------
        ProjectionAttention
            In float64. Called with word numbers of shape (n_words,) or (batch, n_words) it
            returns vectors and weights; its embeddings and its `torch.nn.MultiheadAttention`
            hold W_Q, W_K and W_V. The places of the words are 0, 1, 2, ...

        Raises
        ------
        ValueError
            If the attention is not of the kind that torch computes: scores that are not of rank
            n_components, no softmax, or one matrix for each distance.
        """
        check_is_fitted(self, "value_weights_")
        if self.normalizer != "softmax" or self.position == "offset":
            raise ValueError(
                "torch.nn.MultiheadAttention needs normalizer='softmax' and position 'decay' or "
                f"None, got normalizer={self.normalizer!r} and position={self.position!r}."
            )
        width = self._n_features_out // self.n_heads
        if self.scores == "exact" and width < len(self.terms_):
            raise ValueError(
                f"scores='exact' have rank {len(self.terms_)}, the heads {width}: fit with "
                "scores='factor', or with as many components for each head as terms."
            )
        from .module import ProjectionAttention

        return ProjectionAttention(
            **self.to_attention(),
            n_heads=self.n_heads,
            decay=self.position == "decay",
            mask_self=self.mask_self,
            causal=self.causal,
            mix=self.token_mix,
        )

    def _unit_vectors(self):
        check_is_fitted(self, "value_weights_")
        lengths = np.linalg.norm(self.value_weights_, axis=1, keepdims=True)
        return self.value_weights_ / np.where(lengths > 0.0, lengths, 1.0)

    def _number(self, word):
        if not isinstance(word, str):
            raise TypeError(f"A word is a string, got {word!r} of type {type(word).__name__}.")
        if word not in self.vocabulary_:
            raise ValueError(
                f"{word!r} is not among the {len(self.terms_)} terms of the vocabulary: it was "
                "not in the corpus, or fell to min_df, max_df, max_features or stop_words."
            )
        return self.vocabulary_[word]

    def _nearest(self, similarity, excluded, n_words):
        similarity = similarity.copy()
        similarity[excluded] = -np.inf
        order = np.argsort(-similarity, kind="stable")[:n_words]
        order = order[np.isfinite(similarity[order])]
        return [(str(self.terms_[number]), float(similarity[number])) for number in order]
