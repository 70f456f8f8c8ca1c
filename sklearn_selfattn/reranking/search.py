"""Unit vectors, and exact search among them in blocks: never all similarities at once."""

import numpy as np
from sklearn.utils import check_array

DIGITS = 9  # similarities that differ by less are ties
QUERY_BLOCK_BYTES = 32 * 2**20  # similarities held at a time
GALLERY_BLOCK = 16_384  # gallery rows that are in double precision at a time


def unit_rows(X):
    """Return rows scaled to length 1; a row of zeros stays as it is, similar to nothing.

    In single precision, queries like galleries, so that a row has similarity 1 with itself.
    """
    # scaled first, so that squares neither overflow nor vanish
    largest = np.abs(X).max(axis=1, keepdims=True, initial=0.0)
    X = X / np.where(largest > 0, largest, 1.0)
    length = np.linalg.norm(X, axis=1, keepdims=True)
    return (X / np.where(length > 0, length, 1.0)).astype(np.float32)


def query_blocks(n_queries, n_gallery):
    """Yield slices of queries whose similarities to the whole gallery fit into a small block."""
    size = int(np.clip(QUERY_BLOCK_BYTES // (8 * max(n_gallery, 1)), 1, 1024))
    for start in range(0, n_queries, size):
        yield slice(start, min(start + size, n_queries))


def similarities(queries, gallery):
    """Return the similarities of a block of queries to all of a gallery, rounded.

    Rounded, so that what a query finds does not depend on the queries beside it: products of
    matrices of other shapes differ in the last bits.
    """
    queries = queries.astype(np.float64, copy=False)
    found = np.empty((len(queries), len(gallery)))
    for start in range(0, len(gallery), GALLERY_BLOCK):
        part = gallery[start : start + GALLERY_BLOCK].astype(np.float64, copy=False)
        np.matmul(queries, part.T, out=found[:, start : start + GALLERY_BLOCK])
    return np.round(found, DIGITS, out=found)


def best_first(scores, n_best):
    """Return the columns of the largest scores of each row, best first; ties by column."""
    n_best = min(n_best, scores.shape[1])
    if n_best == scores.shape[1]:
        return np.argsort(-scores, axis=1, kind="stable")
    # The smallest score that gets in; of those that equal it, the first columns do.
    least = -np.partition(-scores, n_best - 1, axis=1)[:, n_best - 1 : n_best]
    above, equal = scores > least, scores == least
    missing = n_best - above.sum(axis=1, keepdims=True)
    chosen = above | (equal & (np.cumsum(equal, axis=1) <= missing))
    columns = np.nonzero(chosen)[1].reshape(len(scores), n_best)
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def nearest(queries, gallery, n_neighbors, *, own=None):
    """Rank the gallery for each query by cosine similarity, exactly.

    Parameters
    ----------
    queries, gallery : ndarray of shape (n_queries, n_dims) and (n_gallery, n_dims)
        Unit rows.
    n_neighbors : int
        Length of the rankings.
    own : ndarray of int of shape (n_queries,), default=None
        The gallery row that each query is, which it does not find.

    Returns
    -------
    ranking : ndarray of int of shape (n_queries, n_neighbors)
        Gallery rows, best first; of equally similar ones the first in the gallery.
    """
    n_neighbors = min(n_neighbors, len(gallery) - (own is not None))
    ranking = np.empty((len(queries), n_neighbors), dtype=np.intp)
    for rows in query_blocks(len(queries), len(gallery)):
        scores = similarities(queries[rows], gallery)
        if own is not None:
            scores[np.arange(len(scores)), own[rows]] = -np.inf
        ranking[rows] = best_first(scores, n_neighbors)
    return ranking


def reorder(ranking, scores):
    """Return a ranking in the order of new scores of its items, ties as they were."""
    order = np.argsort(-np.round(scores, DIGITS), axis=1, kind="stable")
    return np.take_along_axis(ranking, order, axis=1)


def check_ranking(ranking, n_queries, n_gallery):
    """Check a ranking: whole numbers, rows of the gallery, none twice in a list.

    Returns
    -------
    ndarray of intp of shape (n_queries, length)
        The ranking.
    """
    ranking = np.asarray(ranking)
    if ranking.dtype.kind not in "iu":
        raise TypeError(
            "ranking has to hold indices of gallery rows, whole numbers, got an array of "
            f"{ranking.dtype}."
        )
    if ranking.ndim != 2 or ranking.shape[0] != n_queries or ranking.shape[1] == 0:
        raise ValueError(
            f"ranking has to have the shape (n_queries, length) = ({n_queries}, length), one list "
            f"for each query, best first; got {ranking.shape}."
        )
    if ranking.min() < 0 or ranking.max() >= n_gallery:
        wrong = ranking[(ranking < 0) | (ranking >= n_gallery)][0]
        raise ValueError(
            f"ranking has to hold indices from 0 to {n_gallery - 1}, the rows of the gallery, got "
            f"{wrong}."
        )
    ordered = np.sort(ranking, axis=1)
    twice = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
    if len(twice):
        raise ValueError(f"ranking names a gallery row twice for query {twice[0]}.")
    return ranking.astype(np.intp)


def check_vectors(X, name):
    """Check embeddings and return them as unit rows, in double precision for sums."""
    return unit_rows(check_array(X, dtype=np.float64, input_name=name)).astype(np.float64)
