"""The co-occurrence of the corpus projected into a sequence: attention of words on words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

# Pairs of words scored at once: some ten megabytes, whatever the length of the documents.
_MAX_PAIRS = 2**19


@dataclass(frozen=True)
class Projection:
    """All that is needed to turn word numbers into attention weights.

    Parameters
    ----------
    associations : list of csr_matrix of shape (n_terms, n_terms)
        One matrix S; or one for each head; or, for `position="offset"`, one for each distance.
    query_weights, key_weights : ndarray of shape (n_terms, n_components)
        W_Q and W_K. Used if `scores` is "factor".
    n_heads : int
        Number of heads.
    scores : {"exact", "factor"}
        Whether scores come from S or from W_Q W_K'.
    normalizer : {"softmax", "sum", "none"}
        What makes weights of scores.
    temperature : float
        Divides the scores before a softmax.
    position : {"decay", "offset", None}
        How the distance of two words enters.
    mask_self, causal : bool
        Whether a word looks at its own place, and at those that come later.
    """

    associations: list[Any]
    query_weights: np.ndarray
    key_weights: np.ndarray
    n_heads: int
    scores: str
    normalizer: str
    temperature: float
    position: str | None
    mask_self: bool
    causal: bool

    def attend(self, ids, places, is_real, queries):
        """Return the weights of some words of each document on all its words.

        Parameters
        ----------
        ids, places : ndarray of int of shape (b, t)
            Number of each word, and its place in the document.
        is_real : ndarray of bool of shape (b, t)
            Which are words; the others fill shorter documents up.
        queries : slice
            Which positions of the t look.

        Returns
        -------
        ndarray of shape (b, h, q, t)
            Weights.
        """
        distance = places[:, None, :] - places[:, queries, None]  # (b, q, t)
        scores = self._score(ids, distance, queries)  # (b, h, q, t)
        if self.normalizer == "softmax":
            scores = scores / self.temperature
        allowed = np.broadcast_to(is_real[:, None, :], distance.shape)
        if self.mask_self:
            allowed = allowed & (distance != 0)
        if self.causal:
            allowed = allowed & (distance <= 0)
        allowed = allowed[:, None]  # (b, 1, q, t)
        if self.position == "decay":
            apart = np.maximum(np.abs(distance), 1)[:, None]
            scores = scores - np.log(apart) if self.normalizer == "softmax" else scores / apart
        if self.normalizer == "none":
            return np.where(allowed, scores, 0.0)
        if self.normalizer == "softmax":
            scores = np.where(allowed, scores, -np.inf)
            largest = scores.max(axis=-1, keepdims=True)
            weights = np.exp(scores - np.where(np.isfinite(largest), largest, 0.0))
        else:
            weights = np.where(allowed, scores, 0.0)
        total = weights.sum(axis=-1, keepdims=True)
        weights = weights / np.where(total > 0.0, total, 1.0)
        # A word with nothing to look at looks at itself.
        return np.where(total > 0.0, weights, (distance == 0)[:, None])

    def _score(self, ids, distance, queries):
        looking = ids[:, queries]  # (b, q)
        if self.scores == "factor":
            Q = self._split_heads(self.query_weights[looking])  # (b, h, q, d)
            K = self._split_heads(self.key_weights[ids])  # (b, h, t, d)
            return Q @ K.swapaxes(-1, -2)
        rows = np.broadcast_to(looking[:, :, None], distance.shape)
        columns = np.broadcast_to(ids[:, None, :], distance.shape)
        if self.position != "offset":
            return np.stack([_gather(S, rows, columns) for S in self.associations], axis=1)
        scores = np.zeros(distance.shape)
        for offset, S in enumerate(self.associations, start=1):
            later, earlier = distance == offset, distance == -offset
            # Row: the word that comes first.
            scores[later] = _gather(S, rows[later], columns[later])
            scores[earlier] = _gather(S, columns[earlier], rows[earlier])
        return scores[:, None]

    def _split_heads(self, vectors):
        b, t, k = vectors.shape
        return vectors.reshape(b, t, self.n_heads, k // self.n_heads).swapaxes(1, 2)


def attention_blocks(projection, documents):
    """Yield the attention of many documents in pieces of bounded size.

    Parameters
    ----------
    projection : Projection
        The fitted matrices and options.
    documents : list of (ids, places)
        Numbers of the words of each document, and their places.

    Yields
    ------
    numbers : ndarray of int of shape (b,)
        Which documents.
    queries : slice
        Which of their words look.
    lengths : ndarray of int of shape (b,)
        How many words they have; the weights of the others mean nothing.
    weights : ndarray of shape (b, h, q, t)
        Their attention.
    """
    lengths = np.array([len(ids) for ids, _ in documents], dtype=np.intp)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * lengths[order[stop]] ** 2 <= _MAX_PAIRS:
            stop += 1
        numbers = order[start:stop]
        longest = lengths[numbers[-1]]
        ids = np.zeros((len(numbers), longest), dtype=np.intp)
        places = np.zeros_like(ids)
        for row, number in enumerate(numbers):
            ids[row, : lengths[number]], places[row, : lengths[number]] = documents[number]
        is_real = np.arange(longest) < lengths[numbers, None]
        step = max(1, _MAX_PAIRS // (len(numbers) * longest))
        for first in range(0, longest, step):
            queries = slice(first, min(first + step, longest))
            weights = projection.attend(ids, places, is_real, queries)
            yield numbers, queries, lengths[numbers], weights
        start = stop


def received_weights(projection, documents, given):
    """Return how much attention each word of each document gets from all words together.

    Parameters
    ----------
    projection : Projection
        The fitted matrices and options.
    documents : list of (ids, places)
        Numbers of the words of each document, and their places.
    given : list of ndarray of shape (t,)
        How much each word of a document has to give.

    Returns
    -------
    list of ndarray of shape (h, t)
        What each word gets, by head.
    """
    received = [np.zeros((projection.n_heads, len(ids))) for ids, _ in documents]
    for numbers, queries, lengths, weights in attention_blocks(projection, documents):
        for row, (number, length) in enumerate(zip(numbers, lengths, strict=True)):
            share = given[number][queries]  # (q,), cut where the document ends
            received[number] += share @ weights[row, :, : len(share), :length]
    return received


def _gather(S, rows, columns):
    if not rows.size:
        return np.zeros(rows.shape)
    return np.asarray(S[rows.ravel(), columns.ravel()]).reshape(rows.shape)
