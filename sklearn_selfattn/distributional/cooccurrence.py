"""Counting which words stand near each other, chunk by chunk, and choosing the vocabulary."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from scipy import sparse


def offset_weights(window, decay):
    """Return the weight of a pair of words 1, 2, ..., `window` places apart.

    Parameters
    ----------
    window : int
        Largest distance that counts.
    decay : {"harmonic", "linear", "flat"} or callable
        1 / o as GloVe has it, (window + 1 - o) / window as word2vec has it on average, 1, or a
        function of the distance.

    Returns
    -------
    ndarray of shape (window,)
        One weight per distance.
    """
    offsets = np.arange(1, window + 1)
    if callable(decay):
        weights = np.array([float(decay(int(offset))) for offset in offsets])
        if not (np.isfinite(weights).all() and (weights >= 0.0).all() and weights.any()):
            raise ValueError(
                "decay must give finite weights that are not negative nor all zero, got "
                f"{weights.tolist()} for the distances 1 to {window}."
            )
        return weights
    if decay == "harmonic":
        return 1.0 / offsets
    if decay == "linear":
        return (window + 1.0 - offsets) / window
    return np.ones(window)


def offset_bands(window, n_heads):
    """Deal the distances out to heads: 1 | 2-3 | 4-7 | ... | up to `window`, and the document.

    Parameters
    ----------
    window : int
        Largest distance that counts.
    n_heads : int
        Number of heads. A single one takes all distances; of several, the last takes whole
        documents, marked by an empty list.

    Returns
    -------
    list of list of int
        The distances of each head.
    """
    if n_heads == 1:
        return [list(range(1, window + 1))]
    starts = [1 << head for head in range(n_heads - 1)]
    if starts[-1] > window:
        raise ValueError(
            f"heads='offset' deals the distances 1 to window={window} out to n_heads - 1 bands "
            f"that start at 1, 2, 4, ...: n_heads={n_heads} are too many, widen the window."
        )
    ends = [*starts[1:], window + 1]
    return [*(list(range(*ends_of)) for ends_of in zip(starts, ends, strict=True)), []]


class PairCounter:
    """Counts of terms, documents and pairs in reading order, over as many chunks as there are.

    Parameters
    ----------
    weights : ndarray of shape (window,)
        Weight of a pair at each distance.
    bands : list of list of int
        Distances that are counted together; an empty list counts the documents that hold both.
    vocabulary : list of str, default=None
        The only terms to count; None counts all.
    max_terms : int, default=None
        Keep at most about that many terms while counting; None keeps all.

    Attributes
    ----------
    terms : dict of str to int
        Position of each term in the counts.
    token_counts, document_counts : ndarray of shape (n_terms,)
        How often a term occurs, and in how many documents.
    n_documents : int
        Number of documents seen.
    pairs : list of csr_matrix of shape (n_terms, n_terms)
        For each band the weighted number of times that the column's term follows the row's.
    """

    def __init__(self, weights, bands, *, vocabulary=None, max_terms=None):
        self.weights, self.bands = weights, bands
        self.is_fixed = vocabulary is not None
        self.max_terms = max_terms
        self.terms = {term: index for index, term in enumerate(vocabulary or ())}
        self.token_counts = np.zeros(len(self.terms))
        self.document_counts = np.zeros(len(self.terms))
        self.n_documents = 0
        self.pairs = [_empty(len(self.terms)) for _ in bands]

    def update(self, documents):
        """Count some more documents, each a list of tokens.

        Every attribute is replaced and none changed in place, so a shallow copy made before keeps
        the counts of before.
        """
        terms = dict(self.terms)
        flat, lengths = [], []
        for tokens in documents:
            lengths.append(len(tokens))
            if self.is_fixed:
                flat.extend([terms.get(token, -1) for token in tokens])
            else:
                flat.extend([terms.setdefault(token, len(terms)) for token in tokens])
        ids = np.array(flat, dtype=np.int32)
        n_terms = len(terms)
        document = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        # A token that is not counted keeps its place, so distances are those of the text.
        known = ids >= 0
        presence = sparse.csr_matrix(
            (np.ones(known.sum()), (document[known], ids[known])), shape=(len(lengths), n_terms)
        )
        presence.sum_duplicates()
        presence.data[:] = 1.0
        pairs = [self._count_band(band, ids, document, presence, n_terms) for band in self.bands]
        self.terms = terms
        self.token_counts = _grow(self.token_counts, n_terms)
        self.token_counts += np.bincount(ids[known], minlength=n_terms)
        self.document_counts = _grow(self.document_counts, n_terms)
        self.document_counts += np.asarray(presence.sum(axis=0)).ravel()
        self.n_documents += len(lengths)
        self.pairs = [
            _widen(old, n_terms) + new for old, new in zip(self.pairs, pairs, strict=True)
        ]
        if self.max_terms is not None and not self.is_fixed and n_terms > self.max_terms:
            self._forget_rare_terms()

    def _count_band(self, band, ids, document, presence, n_terms):
        total = _empty(n_terms)
        if not len(band):  # how many documents hold both, each order for a half
            return (presence.T @ presence).tocsr() * 0.5
        for offset in band:
            left, right = ids[:-offset], ids[offset:]
            kept = (document[:-offset] == document[offset:]) & (left >= 0) & (right >= 0)
            weight = np.full(kept.sum(), self.weights[offset - 1])
            found = sparse.coo_matrix((weight, (left[kept], right[kept])), shape=total.shape)
            total = total + found.tocsr()
        total.eliminate_zeros()
        return total

    def _forget_rare_terms(self):
        kept = np.sort(np.argsort(-self.token_counts, kind="stable")[: self.max_terms // 2])
        names = list(self.terms)
        self.terms = {names[old]: new for new, old in enumerate(kept)}
        self.token_counts = self.token_counts[kept]
        self.document_counts = self.document_counts[kept]
        self.pairs = [pairs[kept][:, kept] for pairs in self.pairs]

    def counts_like(self, other):
        """Tell whether another counter counts the same pairs of the same terms."""
        return (
            np.array_equal(self.weights, other.weights)
            and self.bands == other.bands
            and self.is_fixed == other.is_fixed
            and (not self.is_fixed or self.terms == other.terms)
        )

    def select(self, *, min_df, max_df, max_features):
        """Choose the vocabulary: terms in alphabetical order, or as they were given.

        Parameters
        ----------
        min_df, max_df : int or float
            Fewest and most documents a term occurs in; a float is a share of the documents.
        max_features : int or None
            Number of terms to keep, the most frequent.

        Returns
        -------
        dict of str to int
            Position of each chosen term among the chosen.
        ndarray of int
            Positions of the chosen terms in the counts.
        """
        if self.is_fixed:
            return dict(self.terms), np.arange(len(self.terms))
        if not self.terms:
            raise ValueError("empty vocabulary; perhaps the documents only contain stop words")
        low = int(min_df) if isinstance(min_df, Integral) else min_df * self.n_documents
        high = int(max_df) if isinstance(max_df, Integral) else max_df * self.n_documents
        if high < low:
            raise ValueError("max_df corresponds to < documents than min_df")
        kept = np.flatnonzero((self.document_counts >= low) & (self.document_counts <= high))
        if not len(kept):
            raise ValueError(
                "After pruning, no terms remain: the documents have "
                f"{len(self.terms)} terms, none of them in min_df={min_df!r} to "
                f"max_df={max_df!r} documents. Try a lower min_df or a higher max_df."
            )
        names = list(self.terms)
        # By frequency, equals by the alphabet: the order of the documents must not matter.
        order = sorted(kept, key=lambda index: (-self.token_counts[index], names[index]))
        order = sorted(order[:max_features], key=names.__getitem__)
        return {names[old]: new for new, old in enumerate(order)}, np.array(order)


def _empty(n_terms):
    return sparse.csr_matrix((n_terms, n_terms))


def _widen(pairs, n_terms):
    indptr = np.pad(pairs.indptr, (0, n_terms - pairs.shape[0]), mode="edge")
    return sparse.csr_matrix((pairs.data, pairs.indices, indptr), shape=(n_terms, n_terms))


def _grow(counts, length):
    return np.pad(counts, (0, length - len(counts)))
