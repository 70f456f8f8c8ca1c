"""From counts to associations (PMI and relatives), and from associations to W_Q, W_K and W_V."""

from __future__ import annotations

import numpy as np
from scipy import linalg, sparse
from sklearn.utils.extmath import randomized_svd

# Below this size the whole spectrum costs less than a second and is exact.
_DENSE_SIZE = 600
_OVERSAMPLING = 20
_POWER_ITERATIONS = 4


def associate(counts, *, weighting, shift, context_smoothing, symmetric):
    r"""Weigh co-occurrence counts.

    Parameters
    ----------
    counts : csr_matrix of shape (n_terms, n_terms)
        Co-occurrence counts, not negative.
    weighting : {"count", "log1p", "pmi", "ppmi"}
        Counts as they are, log(1 + count), pointwise mutual information of the observed pairs,
        or its positive part.
    shift : float
        log(shift) is taken off every PMI before its positive part is taken.
    context_smoothing : float
        Contexts are as probable as their counts to this power.
    symmetric : bool
        Whether to average the PMI of a pair seen from both its words, which smoothing sets apart.

    Returns
    -------
    csr_matrix of shape (n_terms, n_terms)
        Associations, indices sorted.
    """
    result = sparse.csr_matrix(counts, dtype=np.float64, copy=True)
    result.sum_duplicates()
    result.eliminate_zeros()
    if weighting == "log1p":
        result.data = np.log1p(result.data)
    if weighting not in ("pmi", "ppmi"):
        return result
    as_word = np.asarray(result.sum(axis=1)).ravel()
    as_context = np.asarray(result.sum(axis=0)).ravel() ** context_smoothing
    row, column = result.tocoo().coords
    result.data *= as_context.sum() / (as_word[row] * as_context[column])
    result.data = np.log(result.data)
    if symmetric:
        result = ((result + result.T) * 0.5).tocsr()
    result.data -= np.log(shift)
    if weighting == "ppmi":
        np.maximum(result.data, 0.0, out=result.data)
        result.eliminate_zeros()
    result.sort_indices()
    return result


def factorize(association, n_components, *, symmetric, power, random_state):
    r"""Split an association matrix into queries, keys and values.

    Parameters
    ----------
    association : csr_matrix of shape (n_terms, n_terms)
        The matrix S, symmetric or not.
    n_components : int
        Rank k, at most n_terms.
    symmetric : bool
        Whether S is symmetric.
    power : float
        Power of the spectrum in the values.
    random_state : RandomState
        Source of the random sketch; only large matrices need one.

    Returns
    -------
    W_Q, W_K, W_V : ndarray of shape (n_terms, n_components)
        With :math:`W_Q W_K^\top \approx S`, exactly at full rank.
    spectrum : ndarray of shape (n_components,)
        Eigenvalues, largest magnitude first; singular values if S is not symmetric.
    """
    if symmetric:
        spectrum, U = _eigh(association, n_components, random_state)
        U = U * _signs(U)
        size = np.abs(spectrum)
        W_Q = U * np.sqrt(size)
        W_K = W_Q * np.where(spectrum < 0.0, -1.0, 1.0)
    else:
        U, spectrum, V = _svd(association, n_components, random_state)
        signs = _signs(U)
        U, V, size = U * signs, V * signs, spectrum
        W_Q, W_K = U * np.sqrt(size), V * np.sqrt(size)
    # 0 ** 0 is 1: directions that S does not have must not come back as values.
    size = np.where(size > 1e-12 * max(size.max(initial=0.0), 1e-300), size, 0.0)
    return W_Q, W_K, U * np.where(size > 0.0, size, 1.0) ** power * (size > 0.0), spectrum


def _eigh(S, n_components, random_state):
    """Eigenvalues of largest magnitude; a random sketch with power iterations where S is large.

    Lanczos iterations need minutes where this needs a second: the spectrum of PMI falls slowly.
    """
    n_terms = S.shape[0]
    if n_terms <= max(_DENSE_SIZE, n_components + _OVERSAMPLING):
        values, vectors = linalg.eigh(S.toarray())
    else:
        Q = random_state.normal(size=(n_terms, n_components + _OVERSAMPLING))
        for _ in range(_POWER_ITERATIONS):
            Q, _ = linalg.qr(S @ Q, mode="economic", check_finite=False)
        SQ = S @ Q  # (n_terms, k + 20)
        small = Q.T @ SQ
        values, vectors = linalg.eigh((small + small.T) * 0.5)
        vectors = Q @ vectors
    order = np.argsort(-np.abs(values), kind="stable")[:n_components]
    return values[order], vectors[:, order]


def _svd(S, n_components, random_state):
    if S.shape[0] <= max(_DENSE_SIZE, n_components + _OVERSAMPLING):
        U, values, Vt = linalg.svd(S.toarray())
    else:
        U, values, Vt = randomized_svd(
            S,
            n_components,
            n_oversamples=_OVERSAMPLING,
            n_iter=_POWER_ITERATIONS,
            power_iteration_normalizer="QR",
            random_state=random_state,
        )
    return U[:, :n_components], values[:n_components], Vt[:n_components].T


def _signs(vectors):
    """Sign of each column's entry of largest magnitude: a column's own sign is arbitrary."""
    largest = np.argmax(np.abs(vectors), axis=0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    return np.where(signs == 0.0, 1.0, signs)
