"""How much each word counts in the vector of a document."""

from __future__ import annotations

import numpy as np


def token_weights(pooling, token_counts, document_counts, n_documents, sif_a):
    r"""Return the weight of each term in a document's vector; 1 for the corpus' mean token.

    Parameters
    ----------
    pooling : {"sif", "mean", "idf"}
        Smooth inverse frequency a / (a + p), where p is the term's share of the tokens; 1; or the
        inverse document frequency as TfidfVectorizer has it.
    token_counts : ndarray of shape (n_terms,)
        How often each term occurs in the corpus.
    document_counts : ndarray of shape (n_terms,) or None
        In how many documents.
    n_documents : int
        Number of documents in the corpus.
    sif_a : float
        The a of "sif".

    Returns
    -------
    ndarray of shape (n_terms,)
        Weights.
    """
    share = token_counts / max(token_counts.sum(), 1.0)
    if pooling == "sif":
        weights = sif_a / (sif_a + share)
    elif pooling == "idf":
        if document_counts is None:
            raise ValueError(
                "pooling='idf' needs documents: a co-occurrence matrix does not tell in how many "
                "documents a term occurs."
            )
        weights = np.log((1.0 + n_documents) / (1.0 + document_counts)) + 1.0
    else:
        weights = np.ones(len(token_counts))
    return weights / ((share @ weights) or 1.0)


def common_directions(vectors, counts, n_directions):
    """Return the directions that weighted word vectors of the corpus share.

    Parameters
    ----------
    vectors : ndarray of shape (n_terms, n_components)
        Word vectors times their weights in a document.
    counts : ndarray of shape (n_terms,)
        How often each term occurs in the corpus.
    n_directions : int
        How many directions.

    Returns
    -------
    ndarray of shape (n_components, n_directions)
        Orthonormal directions, the strongest first.
    """
    moment = (vectors.T * counts) @ vectors  # (k, k), summed over the tokens of the corpus
    _, directions = np.linalg.eigh(moment)
    return directions[:, ::-1][:, :n_directions]
