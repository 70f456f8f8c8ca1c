"""Other ways to re-rank: functions that take queries, a gallery and a ranking, and train nothing.

All measure similarity by the cosine, search the gallery in blocks, and return the items of the
given ranking in a new order. Whether items are reordered among the first hundred or over the whole
gallery is said by the length of the ranking.
"""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_scalar

from .search import check_ranking, check_vectors, nearest, reorder

N_FEATURES = 6


def _inputs(queries, gallery, ranking):
    queries, gallery = check_vectors(queries, "queries"), check_vectors(gallery, "gallery")
    if queries.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"queries have {queries.shape[1]} features, but the gallery has {gallery.shape[1]}."
        )
    return queries, gallery, check_ranking(ranking, len(queries), len(gallery))


def _check_count(value, name):
    check_scalar(value, name, Integral, min_val=1)


def _check_power(value, name):
    check_scalar(value, name, Real, min_val=0)


def _item_similarities(queries, gallery, ranking):
    """Return the similarity of each query to each item of its ranking."""
    found = np.empty(ranking.shape)
    size = max(1, 2**22 // (ranking.shape[1] * gallery.shape[1]))
    for start in range(0, len(queries), size):
        rows = slice(start, start + size)
        found[rows] = np.einsum("qd,qmd->qm", queries[rows], gallery[ranking[rows]])
    return found


def _weighted(similarity, alpha):
    return np.maximum(similarity, 0.0) ** alpha


def query_expansion(
    queries: ArrayLike,
    gallery: ArrayLike,
    ranking: ArrayLike,
    *,
    n_neighbors: int = 10,
    alpha: float = 3.0,
) -> np.ndarray:
    r"""Re-rank by a query that its own best items were added to.

    The expanded query is :math:`q + \sum_{i \le k} \max(s_i, 0)^\alpha \, g_i` over the first
    :math:`k` items of the ranking, with their similarities :math:`s_i`. ``alpha=0`` is plain
    average query expansion.

    Parameters
    ----------
    queries : array-like of shape (n_queries, n_features)
        Embeddings of the queries.
    gallery : array-like of shape (n_gallery, n_features)
        Embeddings of the gallery.
    ranking : array-like of int of shape (n_queries, length)
        Gallery rows for each query, best first.
    n_neighbors : int, default=10
        Items that are added.
    alpha : float, default=3.0
        Power of their similarities.

    Returns
    -------
    ndarray of int of shape (n_queries, length)
        The items of the ranking in their new order.

    Notes
    -----
    Time :math:`O(M D)` for a query and a ranking of length M.

    References
    ----------
    .. [1] Radenovic, Tolias, Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation",
       arXiv:1711.02512.

    Examples
    --------
    >>> from sklearn_selfattn.reranking import query_expansion
    >>> gallery = [[1.0, 0.5], [0.6, 0.8], [0.7, -0.7]]
    >>> query_expansion([[1.0, 0.0]], gallery, [[0, 2, 1]], n_neighbors=1).tolist()
    [[0, 1, 2]]
    """
    queries, gallery, ranking = _inputs(queries, gallery, ranking)
    _check_count(n_neighbors, "n_neighbors")
    _check_power(alpha, "alpha")
    near = ranking[:, :n_neighbors]
    weight = _weighted(_item_similarities(queries, gallery, near), alpha)
    expanded = queries + np.einsum("qk,qkd->qd", weight, gallery[near])
    return reorder(ranking, _item_similarities(expanded, gallery, ranking))


def database_augmentation(
    queries: ArrayLike,
    gallery: ArrayLike,
    ranking: ArrayLike,
    *,
    n_neighbors: int = 5,
    alpha: float = 0.0,
) -> np.ndarray:
    r"""Re-rank by gallery rows that their own neighbours were added to.

    Each row of the gallery becomes :math:`g + \sum_i \max(s_i, 0)^\alpha \, g_i` over its nearest
    rows, of length 1 again. What does not depend on the queries can be done once, offline; here it
    is done for the rows that the ranking names.

    Parameters
    ----------
    queries : array-like of shape (n_queries, n_features)
        Embeddings of the queries.
    gallery : array-like of shape (n_gallery, n_features)
        Embeddings of the gallery.
    ranking : array-like of int of shape (n_queries, length)
        Gallery rows for each query, best first.
    n_neighbors : int, default=5
        Neighbours that are added to each row, itself not counted.
    alpha : float, default=0.0
        Power of their similarities.

    Returns
    -------
    ndarray of int of shape (n_queries, length)
        The items of the ranking in their new order.

    Notes
    -----
    A search of the gallery in itself, :math:`O(N^2 D)` time once, without an N x N array.

    References
    ----------
    .. [1] Turcot, Lowe, "Better Matching with Fewer Features: The Selection of Useful Features in
       Large Database Recognition Problems", ICCV Workshops 2009.

    Examples
    --------
    >>> from sklearn_selfattn.reranking import database_augmentation
    >>> gallery = [[1.0, 0.4], [1.0, -0.3], [0.6, 0.8], [0.8, 0.7]]
    >>> database_augmentation([[1.0, 0.0]], gallery, [[1, 0, 3, 2]], n_neighbors=1).tolist()
    [[1, 0, 3, 2]]
    """
    queries, gallery, ranking = _inputs(queries, gallery, ranking)
    _check_count(n_neighbors, "n_neighbors")
    _check_power(alpha, "alpha")
    rows = np.unique(ranking)
    near = nearest(gallery[rows], gallery, n_neighbors, own=rows)
    weight = _weighted(_item_similarities(gallery[rows], gallery, near), alpha)
    augmented = gallery.copy()
    for k in range(near.shape[1]):  # one neighbour at a time: no array of all neighbours' features
        augmented[rows] += weight[:, k, None] * gallery[near[:, k]]
    length = np.linalg.norm(augmented, axis=1, keepdims=True)
    augmented /= np.where(length > 0, length, 1.0)
    return reorder(ranking, _item_similarities(queries, augmented, ranking))


def superglobal(
    queries: ArrayLike,
    gallery: ArrayLike,
    ranking: ArrayLike,
    *,
    n_top: int = 400,
    n_neighbors: int = 9,
    beta: float = 0.15,
) -> np.ndarray:
    r"""Re-rank by refined items and a refined query, in the manner of SuperGlobal.

    Each of the first `n_top` items is mixed with its neighbours among them,
    :math:`g' \propto g + \beta \sum_i s_i g_i`; the query with its first items by the largest
    value of each coordinate, :math:`q' = \max(q, g_1, \ldots, g_k)`. An item's score is the mean of
    :math:`\cos(q, g')` and :math:`\cos(q', g)`. The refinement of [1]_ by global features, without
    its changes to the network that makes these.

    Parameters
    ----------
    queries : array-like of shape (n_queries, n_features)
        Embeddings of the queries.
    gallery : array-like of shape (n_gallery, n_features)
        Embeddings of the gallery.
    ranking : array-like of int of shape (n_queries, length)
        Gallery rows for each query, best first.
    n_top : int, default=400
        Items that are re-ranked; the rest stays as it is.
    n_neighbors : int, default=9
        Neighbours of an item, and items that the query is mixed with.
    beta : float, default=0.15
        Weight of the neighbours.

    Returns
    -------
    ndarray of int of shape (n_queries, length)
        The items of the ranking in their new order.

    Notes
    -----
    Time :math:`O(M^2 D)` and memory :math:`O(M^2)` for a query and M items.

    References
    ----------
    .. [1] Shao, Chen, Karpur, Cui, Araujo, Cao, "Global Features are All You Need for Image
       Retrieval and Reranking", ICCV 2023, arXiv:2308.06954.

    Examples
    --------
    >>> from sklearn_selfattn.reranking import superglobal
    >>> gallery = [[1.0, 0.1], [0.6, 0.8], [0.7, -0.7]]
    >>> superglobal([[1.0, 0.0]], gallery, [[0, 2, 1]], n_neighbors=1).tolist()
    [[0, 2, 1]]
    """
    queries, gallery, ranking = _inputs(queries, gallery, ranking)
    _check_count(n_top, "n_top")
    _check_count(n_neighbors, "n_neighbors")
    _check_power(beta, "beta")
    new = ranking.copy()
    top = ranking[:, :n_top]
    for i, query in enumerate(queries):
        items = gallery[top[i]]  # (m, d)
        between = items @ items.T
        np.fill_diagonal(between, -np.inf)
        k = min(n_neighbors, len(items) - 1)
        refined = items.copy()
        if k:
            near = np.argsort(-np.round(between, 9), axis=1, kind="stable")[:, :k]
            weight = beta * np.take_along_axis(between, near, axis=1)  # (m, k)
            refined += np.einsum("mk,mkd->md", weight, items[near])
        length = np.linalg.norm(refined, axis=1)
        mixed = np.maximum(query, items[:n_neighbors].max(axis=0))
        mixed = mixed / (np.linalg.norm(mixed) or 1.0)
        scores = (refined @ query / np.where(length > 0, length, 1.0) + items @ mixed) / 2
        new[i, : len(items)] = reorder(top[i : i + 1], scores[None])[0]
    return new


def pair_features(
    queries: ArrayLike, gallery: ArrayLike, ranking: ArrayLike, *, n_neighbors: int = 20
) -> np.ndarray:
    """Describe each item of a ranking by what a hand-made re-ranker would look at.

    For any classifier of pairs, such as
    :class:`~sklearn.ensemble.HistGradientBoostingClassifier`: train it on lists whose relevant
    items are known, and re-rank by the probability that it predicts.

    Parameters
    ----------
    queries : array-like of shape (n_queries, n_features)
        Embeddings of the queries.
    gallery : array-like of shape (n_gallery, n_features)
        Embeddings of the gallery.
    ranking : array-like of int of shape (n_queries, length)
        Gallery rows for each query, best first.
    n_neighbors : int, default=20
        Size of the neighbourhoods that are compared.

    Returns
    -------
    ndarray of float of shape (n_queries, length, 6)
        Similarity; logarithm of the place; shared part of the query's first items and
        the item's neighbours; mean similarity of the item to the query's first items; how many rows
        are nearer to the item than the query, as a share of its neighbours; similarity less that
        of the query's best item.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn.reranking import pair_features
    >>> gallery = np.eye(4)
    >>> pair_features(gallery[:2], gallery, [[1, 2, 3], [0, 2, 3]], n_neighbors=2).shape
    (2, 3, 6)
    """
    queries, gallery, ranking = _inputs(queries, gallery, ranking)
    _check_count(n_neighbors, "n_neighbors")
    rows, place = np.unique(ranking, return_inverse=True)
    place = place.reshape(ranking.shape)
    near = nearest(gallery[rows], gallery, n_neighbors, own=rows)
    near_similarity = _item_similarities(gallery[rows], gallery, near)
    similarity = _item_similarities(queries, gallery, ranking)
    found = np.empty((*ranking.shape, N_FEATURES))
    found[..., 0] = similarity
    found[..., 1] = np.log(np.arange(1, ranking.shape[1] + 1))
    is_first = np.zeros(len(gallery), dtype=bool)
    for i in range(len(queries)):
        first = ranking[i, :n_neighbors]
        is_first[first] = True
        found[i, :, 2] = is_first[near[place[i]]].mean(axis=1)
        is_first[first] = False
        found[i, :, 3] = (gallery[ranking[i]] @ gallery[first].T).mean(axis=1)
        found[i, :, 4] = (near_similarity[place[i]] > similarity[i, :, None]).mean(axis=1)
    found[..., 5] = similarity - similarity[:, :1]
    return found
