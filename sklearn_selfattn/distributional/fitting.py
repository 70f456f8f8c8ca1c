"""From counts to the fitted matrices, and the checks of parameters that hang together."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from .association import associate, factorize
from .cooccurrence import PairCounter, offset_bands, offset_weights
from .documents import check_vocabulary
from .pooling import common_directions, token_weights

# While terms are counted, a stream's rare ones are forgotten beyond this many times max_features.
_MAX_TERMS_RATIO = 8


class FittingMixin(BaseEstimator):
    """What `fit` and its relatives share."""

    def _decompose(self, counter):
        """Turn counts into all that predicts; the estimator changes only if all goes well."""
        vocabulary, kept = counter.select(
            min_df=self.min_df, max_df=self.max_df, max_features=self.max_features
        )
        counts = [pairs[kept][:, kept] for pairs in counter.pairs]
        if not self.directional:
            counts = [(pairs + pairs.T).tocsr() for pairs in counts]
        document_counts = counter.document_counts
        document_counts = None if document_counts is None else document_counts[kept]
        token_counts = counter.token_counts[kept]
        weights = token_weights(
            self.pooling, token_counts, document_counts, counter.n_documents, self.sif_a
        )
        near = counts[:-1] if self.heads == "offset" and self.n_heads > 1 else counts
        cooccurrence = sum(near[1:], start=near[0])
        association = self._associate(cooccurrence)
        associations = [association] if len(counts) == 1 else list(map(self._associate, counts))

        random_state = check_random_state(self.random_state)
        split = associations if self.heads == "offset" and self.n_heads > 1 else [association]
        width = self._width(len(vocabulary), len(split))
        W_Q, W_K, W_V, spectrum = map(
            np.hstack,
            zip(
                *[
                    factorize(
                        S,
                        width,
                        symmetric=not self.directional,
                        power=self.eig_power,
                        random_state=random_state,
                    )
                    for S in split
                ],
                strict=True,
            ),
        )
        self.vocabulary_, self.terms_ = vocabulary, np.array(list(vocabulary), dtype=object)
        self.token_counts_, self.document_counts_ = token_counts, document_counts
        self.n_documents_ = counter.n_documents
        self.cooccurrence_, self.association_ = cooccurrence, association
        self.associations_ = associations
        self.query_weights_, self.key_weights_, self.value_weights_ = W_Q, W_K, W_V
        self.spectrum_ = spectrum
        self._n_features_out = W_V.shape[1]
        self._pooling_weights = weights
        self._common_directions = common_directions(
            W_V * weights[:, None], token_counts, self.remove_components
        )

    def _associate(self, counts):
        return associate(
            counts,
            weighting=self.weighting,
            shift=self.shift,
            context_smoothing=self.context_smoothing,
            symmetric=not self.directional,
        )

    def _width(self, n_terms, n_matrices):
        """Return the rank of each factorized matrix: as asked, or as much as there is."""
        per_matrix = self.n_components // n_matrices
        heads_of_each = self.n_heads // n_matrices
        width = min(per_matrix, n_terms) // heads_of_each * heads_of_each
        if width == 0:
            raise ValueError(
                f"The vocabulary has {n_terms} terms, too few for n_heads={self.n_heads}."
            )
        if width < per_matrix:
            warnings.warn(
                f"n_components={self.n_components}, but the vocabulary has only {n_terms} terms: "
                f"{width * n_matrices} components are kept.",
                stacklevel=4,
            )
        return width

    def _bands(self):
        if self.position == "offset":
            return [[offset] for offset in range(1, self.window + 1)]
        if self.heads == "offset":
            return offset_bands(self.window, self.n_heads)
        return offset_bands(self.window, 1)

    def _make_counter(self):
        given = None if self.vocabulary is None else check_vocabulary(self.vocabulary)
        return PairCounter(
            offset_weights(self.window, self.decay),
            self._bands(),
            vocabulary=given,
            max_terms=None if self.max_features is None else _MAX_TERMS_RATIO * self.max_features,
        )

    def _check_parameters(self):
        self._validate_params()
        if self.n_components % self.n_heads:
            raise ValueError(
                f"n_components={self.n_components} must be a multiple of n_heads={self.n_heads}."
            )
        if self.n_heads > 1 and self.heads == "spectrum" and self.scores == "exact":
            raise ValueError(
                f"n_heads={self.n_heads} slices of the spectrum have scores of low rank: pass "
                "scores='factor', or heads='offset'."
            )
        if self.position == "offset" and (self.n_heads > 1 or self.scores == "factor"):
            raise ValueError("position='offset' needs one head and scores='exact'.")
        if self.normalizer == "sum" and (self.weighting == "pmi" or self.scores == "factor"):
            raise ValueError(
                "normalizer='sum' needs scores that are never negative: weighting 'count', "
                "'log1p' or 'ppmi' with scores='exact'."
            )
