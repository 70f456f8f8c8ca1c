"""Re-ranking on the graph of neighbours: k-reciprocal encoding and diffusion, kept sparse."""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils import check_scalar

from .peers import _check_count, _check_power, _inputs, _item_similarities
from .search import best_first, query_blocks, reorder, similarities

N_STEPS, TOLERANCE = 500, 1e-10  # of the conjugate gradients
QUERIES_AT_ONCE = 64


def k_reciprocal(
    queries: ArrayLike,
    gallery: ArrayLike,
    ranking: ArrayLike,
    *,
    k1: int = 20,
    k2: int = 6,
    original_weight: float = 0.3,
) -> np.ndarray:
    r"""Re-rank by the overlap of k-reciprocal neighbourhoods, with memory linear in the rows.

    Two rows are reciprocal neighbours if each is among the `k1` nearest of the other. Each
    row is encoded by its reciprocal neighbours, enlarged by those of them that mostly share theirs,
    with weights :math:`\exp(-d)`, averaged over its `k2` nearest rows; rows are compared by the
    Jaccard distance of their codes. The published program fills a square of all queries and gallery
    rows (40 GB for a hundred thousand); here codes are sparse, and distances computed for the items
    of the ranking only.

    Parameters
    ----------
    queries : array-like of shape (n_queries, n_features)
        Embeddings of the queries.
    gallery : array-like of shape (n_gallery, n_features)
        Embeddings of the gallery.
    ranking : array-like of int of shape (n_queries, length)
        Gallery rows for each query, best first.
    k1 : int, default=20
        Size of the neighbourhoods; a row counts as its own nearest beside them.
    k2 : int, default=6
        Rows whose codes are averaged, the row itself among them. 1 averages nothing.
    original_weight : float, default=0.3
        Share of the original distance in the final one.

    Returns
    -------
    ndarray of int of shape (n_queries, length)
        The items of the ranking in their new order.

    Notes
    -----
    Distances :math:`d` are squared, of unit rows, divided by the largest in their row, queries
    included: as in [1]_ queries are neighbours too, so that the result for a query depends on those
    beside it. Time :math:`O((Q + N)^2 D)` for the neighbours, memory :math:`O((Q + N) k_1 k_2)`.

    References
    ----------
    .. [1] Zhong, Zheng, Cao, Li, "Re-ranking Person Re-identification with k-reciprocal Encoding",
       CVPR 2017, arXiv:1701.08398.

    Examples
    --------
    >>> from sklearn_selfattn.reranking import k_reciprocal
    >>> gallery = [[1.0, 0.1], [0.6, 0.8], [0.5, 0.9], [0.9, 0.2]]
    >>> k_reciprocal([[1.0, 0.0]], gallery, [[0, 3, 1, 2]], k1=2, k2=1).tolist()
    [[0, 3, 1, 2]]
    """
    queries, gallery, ranking = _inputs(queries, gallery, ranking)
    _check_count(k1, "k1")
    _check_count(k2, "k2")
    check_scalar(original_weight, "original_weight", Real, min_val=0, max_val=1)
    rows = np.concatenate([queries, gallery])
    near, farthest = _neighbors_and_farthest(rows, max(k1 + 1, k2))
    codes = _reciprocal_codes(rows, near, farthest, k1)
    if k2 > 1:
        codes = _mean_rows(near[:, :k2]) @ codes
    codes = codes.tocsr()
    n_queries = len(queries)
    by_column = codes[n_queries:].tocsc()
    similarity = _item_similarities(queries, gallery, ranking)
    original = 2.0 * (1.0 - similarity) / farthest[:n_queries, None]
    final = np.empty(ranking.shape)
    for i in range(n_queries):
        own = codes[[i]]
        columns = by_column[:, own.indices]  # (n_gallery, number of codes of the query)
        least = np.minimum(columns.data, np.repeat(own.data, np.diff(columns.indptr)))
        shared = np.bincount(columns.indices, least, minlength=len(gallery))[ranking[i]]
        final[i] = 1.0 - shared / (2.0 - shared)
    final = (1 - original_weight) * final + original_weight * original
    return reorder(ranking, -final)


def _neighbors_and_farthest(rows, n_neighbors):
    """Return for each row its nearest, itself first, and the largest squared distance to any."""
    n_neighbors = min(n_neighbors, len(rows))
    near = np.empty((len(rows), n_neighbors), dtype=np.intp)
    farthest = np.empty(len(rows))
    for block in query_blocks(len(rows), len(rows)):
        found = similarities(rows[block], rows)
        farthest[block] = 2.0 * (1.0 - found.min(axis=1))
        found[np.arange(len(found)), np.arange(block.start, block.stop)] = np.inf
        near[block] = best_first(found, n_neighbors)
    return near, np.where(farthest > 0, farthest, 1.0)


def _reciprocal(near, k):
    """Return a boolean matrix of reciprocal neighbours among the k nearest and the row itself."""
    n_rows = len(near)
    k = min(k + 1, near.shape[1])
    pairs = sparse.csr_array(
        (np.ones(n_rows * k, dtype=np.int32), near[:, :k].ravel(), np.arange(n_rows + 1) * k),
        shape=(n_rows, n_rows),
    )
    return pairs.multiply(pairs.T).tocsr()


def _reciprocal_codes(rows, near, farthest, k1):
    """Return the codes of all rows, a sparse matrix whose rows sum to 1."""
    wide = _reciprocal(near, k1)
    narrow = _reciprocal(near, round(k1 / 2))
    size = np.diff(narrow.indptr)
    # How many of each candidate's narrow neighbours are wide neighbours of the row: those with
    # more than two thirds bring all of theirs along.
    shared = (wide @ narrow.T).tocsr()
    row = np.repeat(np.arange(len(rows)), np.diff(shared.indptr))
    is_candidate = np.asarray(wide[row, shared.indices]).ravel() > 0
    joins = is_candidate & (3 * shared.data > 2 * size[shared.indices])
    joined = sparse.csr_array(
        (np.ones(joins.sum(), dtype=np.int32), (row[joins], shared.indices[joins])),
        shape=wide.shape,
    )
    codes = (wide + joined @ narrow).tocsr()
    row = np.repeat(np.arange(len(rows)), np.diff(codes.indptr))
    weight = np.empty(len(row))
    for start in range(0, len(row), 2**16):  # features of all pairs would not fit
        part = slice(start, start + 2**16)
        similarity = np.einsum("pd,pd->p", rows[row[part]], rows[codes.indices[part]])
        weight[part] = np.exp(-2.0 * (1.0 - similarity) / farthest[row[part]])
    total = np.bincount(row, weight, minlength=len(rows))
    return sparse.csr_array((weight / total[row], codes.indices, codes.indptr), shape=wide.shape)


def _mean_rows(near):
    """Return the sparse matrix that averages over the nearest rows."""
    n_rows, k = near.shape
    share = np.full(n_rows * k, 1 / k)
    indptr = np.arange(n_rows + 1) * k
    return sparse.csr_array((share, near.ravel(), indptr), shape=(n_rows, n_rows))


def diffusion(
    queries: ArrayLike,
    gallery: ArrayLike,
    ranking: ArrayLike,
    *,
    n_neighbors: int = 10,
    alpha: float = 0.99,
    gamma: float = 3.0,
) -> np.ndarray:
    r"""Re-rank by diffusion on the graph of mutual neighbours.

    Similarity spreads from the query's own neighbours over the graph of the gallery and settles at
    the solution of :math:`(I - \alpha S) f = y`, with :math:`S = D^{-1/2} W D^{-1/2}`, W the
    similarities of mutual nearest neighbours to the power :math:`\gamma`, and y those of the query
    to its nearest rows.

    Parameters
    ----------
    queries : array-like of shape (n_queries, n_features)
        Embeddings of the queries.
    gallery : array-like of shape (n_gallery, n_features)
        Embeddings of the gallery.
    ranking : array-like of int of shape (n_queries, length)
        Gallery rows for each query, best first.
    n_neighbors : int, default=10
        Neighbours in the graph, and those of the query from which it spreads.
    alpha : float, default=0.99
        How far it spreads, from 0 to below 1.
    gamma : float, default=3.0
        Power of the similarities.

    Returns
    -------
    ndarray of int of shape (n_queries, length)
        The items of the ranking in their new order; those that are not reached follow in their old
        one.

    Notes
    -----
    The graph takes a search of the gallery in itself, :math:`O(N^2 D)` time once; a query takes
    some ten products with a sparse matrix of :math:`N k` entries.

    References
    ----------
    .. [1] Iscen, Tolias, Avrithis, Furon, Chum, "Efficient Diffusion on Region Manifolds:
       Recovering Small Objects with Compact CNN Representations", CVPR 2017, arXiv:1611.05113.

    Examples
    --------
    >>> from sklearn_selfattn.reranking import diffusion
    >>> gallery = [[1.0, 0.2], [0.9, 0.5], [0.6, 0.8], [0.95, -0.6]]
    >>> diffusion([[1.0, 0.0]], gallery, [[0, 1, 3, 2]], n_neighbors=1).tolist()
    [[0, 1, 3, 2]]
    """
    queries, gallery, ranking = _inputs(queries, gallery, ranking)
    _check_count(n_neighbors, "n_neighbors")
    check_scalar(alpha, "alpha", Real, min_val=0, max_val=1, include_boundaries="left")
    _check_power(gamma, "gamma")
    near, _ = _neighbors_and_farthest(gallery, n_neighbors + 1)
    graph = _mutual_graph(gallery, near, gamma)
    new = np.empty_like(ranking)
    start = ranking[:, :n_neighbors]
    weight = np.maximum(_item_similarities(queries, gallery, start), 0.0) ** gamma
    for first in range(0, len(queries), QUERIES_AT_ONCE):
        rows = slice(first, min(first + QUERIES_AT_ONCE, len(queries)))
        source = np.zeros((len(gallery), rows.stop - rows.start))
        np.put_along_axis(source, start[rows].T, weight[rows].T, axis=0)
        settled = _conjugate_gradients(graph, alpha, source)
        settled /= np.maximum(settled.max(axis=0), np.finfo(float).tiny)
        new[rows] = reorder(ranking[rows], np.take_along_axis(settled, ranking[rows].T, axis=0).T)
    return new


def _mutual_graph(gallery, near, gamma):
    """Return the normalised similarities of mutual neighbours, a symmetric sparse matrix."""
    n_rows, n_neighbors = len(near), near.shape[1] - 1
    neighbors = near[:, 1:]  # the first is the row itself
    weight = np.maximum(_item_similarities(gallery, gallery, neighbors), 0.0) ** gamma
    indptr = np.arange(n_rows + 1) * n_neighbors
    W = sparse.csr_array((weight.ravel(), neighbors.ravel(), indptr), shape=(n_rows, n_rows))
    W = W.minimum(W.T).tocsr()  # zero where only one finds the other
    degree = W.sum(axis=1)
    scale = sparse.diags_array(np.where(degree > 0, degree, 1.0) ** -0.5)
    return (scale @ W @ scale).tocsr()


def _conjugate_gradients(S, alpha, y):
    """Solve ``(I - alpha S) f = y`` for many columns at a time."""
    f = np.zeros_like(y)
    rest = y.copy()
    direction = rest.copy()
    square = (rest**2).sum(axis=0)
    enough = TOLERANCE**2 * np.maximum(square, np.finfo(float).tiny)
    for _ in range(N_STEPS):
        moved = direction - alpha * (S @ direction)
        curvature = (direction * moved).sum(axis=0)
        step = np.divide(square, curvature, out=np.zeros_like(square), where=curvature > 0)
        f += step * direction
        rest -= step * moved
        new_square = (rest**2).sum(axis=0)
        if (new_square <= enough).all():
            break
        growth = np.divide(new_square, square, out=np.zeros_like(square), where=square > 0)
        direction = rest + growth * direction
        square = new_square
    return f
