"""What a fitted vectorizer says about documents: vectors, attention, words to expect."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence

import numpy as np
from scipy import sparse
from scipy.special import softmax
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ..core.maps import AttentionMaps
from .documents import encode, make_analyzer, tokenize
from .projection import Projection, attention_blocks, received_weights


class TokensMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """Methods that take documents."""

    def transform(self, raw_documents: Iterable[str | Sequence[str]]) -> np.ndarray:
        """Return a vector for each document.

        Parameters
        ----------
        raw_documents : iterable of str or of list of str
            Texts, or lists of tokens.

        Returns
        -------
        ndarray of shape (n_documents, n_components)
            Vectors. A document without a word of the vocabulary is all zeros.
        """
        check_is_fitted(self, "value_weights_")
        documents = self._encode(raw_documents)
        # All is linear in the values, so a document is a weighted bag of its words.
        weights = [self._pooling_weights[ids] / max(len(ids), 1) for ids, _ in documents]
        received = weights
        if self.mix > 0.0:
            looked_at = received_weights(self._projection(), documents, weights)
            received = [
                (1.0 - self.mix) * own + self.mix * gets
                for own, gets in zip(weights, looked_at, strict=True)
            ]  # (h, t)
        X = np.empty((len(documents), self._n_features_out))
        for head, columns in enumerate(self._head_columns()):
            of_head = received if self.mix == 0.0 else [gets[head] for gets in received]
            X[:, columns] = self._bag(documents, of_head) @ self.value_weights_[:, columns]
        return X - (X @ self._common_directions) @ self._common_directions.T

    def fit_transform(
        self, raw_documents: Iterable[str | Sequence[str]], y: object = None
    ) -> np.ndarray:
        """Fit to documents and return their vectors.

        Parameters
        ----------
        raw_documents : iterable of str or of list of str
            Texts, or lists of tokens.
        y : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_documents, n_components)
            Vectors.
        """
        self._check_parameters()
        tokens = list(tokenize(raw_documents, make_analyzer(self.get_params(deep=False))))
        return self.fit(tokens, y).transform(tokens)

    def transform_tokens(self, raw_documents: Iterable[str | Sequence[str]]) -> list[np.ndarray]:
        """Return a vector for each word of each document: the word in its context.

        Parameters
        ----------
        raw_documents : iterable of str or of list of str
            Texts, or lists of tokens.

        Returns
        -------
        list of ndarray of shape (n_words, n_components)
            One row for each word of the vocabulary in the document, see :meth:`kept_tokens`:
            `1 - token_mix` of its own vector and `token_mix` of the mean of those it looks at.
        """
        check_is_fitted(self, "value_weights_")
        documents = self._encode(raw_documents)
        vectors = [self.value_weights_[ids] for ids, _ in documents]  # (t, k)
        if self.token_mix == 0.0:
            return vectors
        seen = [np.zeros_like(values) for values in vectors]
        for numbers, queries, lengths, weights in attention_blocks(self._projection(), documents):
            for row, (number, length) in enumerate(zip(numbers, lengths, strict=True)):
                for head, columns in enumerate(self._head_columns()):
                    A = weights[row, head, : max(length - queries.start, 0), :length]  # (q, t)
                    seen[number][queries, columns] = A @ vectors[number][:, columns]
        return [
            (1.0 - self.token_mix) * own + self.token_mix * context
            for own, context in zip(vectors, seen, strict=True)
        ]

    def kept_tokens(self, raw_documents: Iterable[str | Sequence[str]]) -> list[list[str]]:
        """Return the words of each document that the vocabulary has, in reading order.

        Parameters
        ----------
        raw_documents : iterable of str or of list of str
            Texts, or lists of tokens.

        Returns
        -------
        list of list of str
            The words that :meth:`transform_tokens` and :meth:`attention_weights` speak of.
        """
        check_is_fitted(self, "value_weights_")
        return [self.terms_[ids].tolist() for ids, _ in self._encode(raw_documents)]

    def attention_weights(
        self, raw_documents: Iterable[str | Sequence[str]], layer: int | None = None
    ) -> AttentionMaps:
        """Return the attention of words on words in each document.

        Parameters
        ----------
        raw_documents : iterable of str or of list of str
            Texts, or lists of tokens. At least one must have a word of the vocabulary.
        layer : int, default=None
            There is one layer: None, 0 or -1.

        Returns
        -------
        AttentionMaps
            For a single document labelled by its words; for several by position, where positions
            beyond the end of a document look at themselves. Of kind "kernel" with
            `normalizer="none"`.
        """
        check_is_fitted(self, "value_weights_")
        if layer is not None and operator.index(layer) not in (0, -1):
            raise ValueError(f"layer must be None, 0 or -1: there is one layer, got {layer}.")
        documents = self._encode(raw_documents)
        longest = max((len(ids) for ids, _ in documents), default=0)
        if longest == 0:
            raise ValueError("No document has a word of the vocabulary: nothing looks at anything.")
        full = np.zeros((len(documents), self.n_heads, longest, longest))
        full[:] = np.eye(longest)
        for numbers, queries, lengths, weights in attention_blocks(self._projection(), documents):
            for row, (number, length) in enumerate(zip(numbers, lengths, strict=True)):
                A = weights[row, :, : max(length - queries.start, 0), :length]  # (h, q, t)
                full[number, :, queries.start : queries.start + A.shape[1], :length] = A
        words = self.terms_[documents[0][0]].tolist() if len(documents) == 1 else range(longest)
        return AttentionMaps(
            [full],
            query_labels=words,
            key_labels=words,
            query_axis="word",
            key_axis="word",
            kind="kernel" if self.normalizer == "none" else "softmax",
        )

    def project_tokens(self, raw_documents: Iterable[str | Sequence[str]]) -> list[np.ndarray]:
        r"""Return what each word of a document expects around it: the paper's E = M (Q S).

        Parameters
        ----------
        raw_documents : iterable of str or of list of str
            Texts, or lists of tokens.

        Returns
        -------
        list of ndarray of shape (n_words, n_terms)
            Attention times the associations of the words looked at, mean over heads. With
            `weighting="count", normalizer="none", position=None` it is
            :math:`(Q S Q^\top)(Q S)` to the letter.
        """
        check_is_fitted(self, "value_weights_")
        documents = self._encode(raw_documents)
        result = [np.zeros((len(ids), len(self.terms_))) for ids, _ in documents]
        for numbers, queries, lengths, weights in attention_blocks(self._projection(), documents):
            for row, (number, length) in enumerate(zip(numbers, lengths, strict=True)):
                A = weights[row, :, : max(length - queries.start, 0), :length].mean(axis=0)
                result[number][queries] = A @ self.association_[documents[number][0]]
        return result

    def next_proba(self, raw_documents: Iterable[str | Sequence[str]]) -> np.ndarray:
        r"""Return how much each term is to be expected with the words of a document.

        Parameters
        ----------
        raw_documents : iterable of str or of list of str
            Texts, or lists of tokens.

        Returns
        -------
        ndarray of shape (n_documents, n_terms)
            Softmax of the mean row of :meth:`project_tokens`; columns as in `terms_`. All terms
            alike for a document without a word of the vocabulary.
        """
        check_is_fitted(self, "value_weights_")
        documents = self._encode(raw_documents)
        even = [np.full(len(ids), 1.0 / max(len(ids), 1)) for ids, _ in documents]
        received = received_weights(self._projection(), documents, even)
        bag = self._bag(documents, [gets.mean(axis=0) for gets in received])
        return softmax((bag @ self.association_).toarray(), axis=1)

    def _encode(self, raw_documents):
        analyze = make_analyzer(self.get_params(deep=False))
        return [encode(tokens, self.vocabulary_) for tokens in tokenize(raw_documents, analyze)]

    def _bag(self, documents, weights):
        """Return documents as sparse rows of weights, words that recur added up."""
        lengths = [len(ids) for ids, _ in documents]
        row = np.repeat(np.arange(len(documents)), lengths)
        column = np.concatenate([ids for ids, _ in documents] or [np.empty(0, dtype=np.intp)])
        values = np.concatenate([*weights, np.empty(0)])
        return sparse.csr_matrix((values, (row, column)), shape=(len(documents), len(self.terms_)))

    def _head_columns(self):
        width = self._n_features_out // self.n_heads
        return [slice(head * width, (head + 1) * width) for head in range(self.n_heads)]

    def _projection(self):
        return Projection(
            associations=self.associations_,
            query_weights=self.query_weights_,
            key_weights=self.key_weights_,
            n_heads=self.n_heads,
            scores=self.scores,
            normalizer=self.normalizer,
            temperature=self._temperature(),
            position=self.position,
            mask_self=self.mask_self,
            causal=self.causal,
        )

    def _temperature(self):
        if self.temperature == "sqrt":
            return float(np.sqrt(self._n_features_out // self.n_heads))
        return float(self.temperature)
