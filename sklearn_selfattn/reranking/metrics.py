"""How good rankings are: average precision and its companions, each with one stated definition."""

from __future__ import annotations

import re
from typing import Literal, overload

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

_WITH_CUT = re.compile(r"(map|ndcg|mrr|precision|recall)@([1-9]\d*)")


def relevance_hits(
    ranking: ArrayLike,
    relevance: tuple[ArrayLike, ArrayLike] | sparse.sparray | sparse.spmatrix,
    *,
    junk: sparse.sparray | sparse.spmatrix | None = None,
    own: ArrayLike | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Look up which items of rankings are relevant.

    Parameters
    ----------
    ranking : array-like of int of shape (n_queries, length)
        Gallery rows, best first.
    relevance : tuple (y_queries, y_gallery), or sparse matrix of shape (n_queries, n_gallery)
        Labels, where items of the query's class are relevant; or a nonzero entry for each
        relevant pair, where relevance is no matter of classes.
    junk : sparse matrix of shape (n_queries, n_gallery), default=None
        A nonzero entry for each pair that is neither right nor wrong: taken out of the ranking.
    own : array-like of int of shape (n_queries,), default=None
        The gallery row that each query is: not counted among its relevant items.

    Returns
    -------
    hits : ndarray of int8 of shape (n_queries, length)
        1 relevant, 0 not, -1 junk.
    n_relevant : ndarray of int of shape (n_queries,)
        Relevant items of the whole gallery, found or not.

    Examples
    --------
    >>> from sklearn_selfattn.reranking import relevance_hits
    >>> hits, n_relevant = relevance_hits([[2, 0, 1]], (["a"], ["a", "b", "a"]))
    >>> hits.tolist(), n_relevant.tolist()
    ([[1, 1, 0]], [2])
    """
    ranking = np.asarray(ranking)
    if isinstance(relevance, tuple):
        y_queries, y_gallery = (column_or_1d(y) for y in relevance)
        check_classification_targets(y_gallery)
        classes, codes = np.unique(y_gallery, return_inverse=True)
        place = np.searchsorted(classes, y_queries).clip(max=len(classes) - 1)
        is_known = classes[place] == y_queries
        query_codes = np.where(is_known, place, -1)
        hits = codes[ranking] == query_codes[:, None]
        n_relevant = np.where(is_known, np.bincount(codes)[place], 0)
        if own is not None:
            n_relevant = n_relevant - (codes[np.asarray(own)] == query_codes)
    else:
        pairs = as_pairs(relevance, *relevance.shape)
        hits = _lookup(pairs, ranking)
        n_relevant = np.diff(pairs.indptr)
        if own is not None:
            n_relevant = n_relevant - _lookup(pairs, np.asarray(own)[:, None])[:, 0]
    hits = hits.astype(np.int8)
    if junk is not None:
        junk = as_pairs(junk, *junk.shape)
        hits[_lookup(junk, ranking)] = -1
        if not isinstance(relevance, tuple):
            n_relevant = n_relevant - np.diff(pairs.multiply(junk).tocsr().indptr)
        else:
            junk_codes = codes[junk.indices]
            row = np.repeat(np.arange(len(ranking)), np.diff(junk.indptr))
            relevant_junk = junk_codes == query_codes[row]
            n_relevant = n_relevant - np.bincount(row[relevant_junk], minlength=len(ranking))
    return hits, n_relevant.astype(np.intp)


def as_pairs(relevance, n_queries, n_gallery):
    """Turn pairs (query, gallery row), or a matrix, into a sparse boolean matrix.

    Parameters
    ----------
    relevance : sparse matrix of shape (n_queries, n_gallery), or array-like of shape (n_pairs, 2)
        A nonzero entry for each pair; or the pairs themselves.
    n_queries, n_gallery : int
        Shape of the matrix.

    Returns
    -------
    csr_array of bool of shape (n_queries, n_gallery)
        The matrix, its indices sorted.
    """
    if not sparse.issparse(relevance):
        pairs = np.asarray(relevance)
        if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
            raise TypeError(
                "Pairs have to be a sparse matrix (n_queries, n_gallery), or whole numbers of "
                f"shape (n_pairs, 2): query, gallery row. Got an array of {pairs.dtype} of shape "
                f"{pairs.shape}."
            )
        query, row = pairs.T
        for name, index, most in (("query", query, n_queries), ("gallery row", row, n_gallery)):
            if len(index) and not 0 <= index.min() <= index.max() < most:
                raise ValueError(
                    f"Pairs name a {name} that is not there: they run from {index.min()} to "
                    f"{index.max()}, and there are {most}."
                )
        ones = np.ones(len(pairs), dtype=bool)
        relevance = sparse.coo_array((ones, (query, row)), shape=(n_queries, n_gallery))
    matrix = sparse.csr_array(relevance).astype(bool)
    if matrix.shape != (n_queries, n_gallery):
        raise ValueError(
            "A matrix of relevant pairs has to have a row for each query and a column for each "
            f"gallery row, ({n_queries}, {n_gallery}), got {matrix.shape}."
        )
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def _lookup(pairs, ranking):
    """Return whether each item of a ranking is among the pairs (n_queries, length)."""
    n_columns = pairs.shape[1]
    row = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))
    keys = row * n_columns + pairs.indices  # sorted
    wanted = np.arange(len(ranking))[:, None] * n_columns + ranking
    place = np.searchsorted(keys, wanted).clip(max=max(len(keys) - 1, 0))
    return keys[place] == wanted if len(keys) else np.zeros(ranking.shape, dtype=bool)


@overload
def retrieval_metric(
    hits: ArrayLike,
    metric: str = ...,
    *,
    n_relevant: ArrayLike | None = ...,
    average: Literal[True] = ...,
) -> float: ...
@overload
def retrieval_metric(
    hits: ArrayLike,
    metric: str = ...,
    *,
    n_relevant: ArrayLike | None = ...,
    average: Literal[False],
) -> np.ndarray: ...
def retrieval_metric(
    hits: ArrayLike,
    metric: str = "map",
    *,
    n_relevant: ArrayLike | None = None,
    average: bool = True,
) -> float | np.ndarray:
    r"""Measure rankings, given which of their items are relevant.

    Parameters
    ----------
    hits : array-like of shape (n_queries, length)
        For each place, best first, 1 where a relevant item stands, 0 where another does, -1 where
        there is junk, which is taken out before anything is counted.
    metric : str, default="map"
        One of these, where k is a number; see Notes:

        - "map": average precision by trapezoids, as the landmark benchmarks of image
          retrieval measure it;
        - "map_step": average precision by steps, as
          :func:`~sklearn.metrics.average_precision_score` and text retrieval measure it;
        - "map@k": by steps, of the first k places;
        - "ndcg", "ndcg@k", "mrr", "mrr@k", "precision@k", "recall@k".
    n_relevant : array-like of int of shape (n_queries,), default=None
        Relevant items of the whole gallery. By default those in the ranking, right only for
        rankings of the whole gallery.
    average : bool, default=True
        Whether to return the mean over the queries that have relevant items.

    Returns
    -------
    float, or ndarray of shape (n_queries,)
        The mean; or the value of each query, NaN for one that has no relevant item.

    Raises
    ------
    ValueError
        An unknown metric, values other than -1, 0 and 1, fewer relevant items than were found, or
        no query with a relevant item.

    Notes
    -----
    With R relevant items, of which the i-th stands at place :math:`p_i` (from 1):

    - step-wise: :math:`\frac{1}{R} \sum_i i / p_i`;
    - trapezoidal: :math:`\frac{1}{R} \sum_i \frac{1}{2} \left( \frac{i - 1}{p_i - 1} +
      \frac{i}{p_i} \right)`, the first fraction being 1 for :math:`p_i = 1`;
    - map@k: :math:`\frac{1}{\min(R, k)} \sum_{p_i \le k} i / p_i`;
    - ndcg@k: :math:`\sum_{p_i \le k} \frac{1}{\log_2 (p_i + 1)}` over the same sum for the R
      relevant items at the front;
    - mrr: :math:`1 / p_1`, 0 where none is found;
    - precision@k: relevant items among the first k, over k, also where the list is
      shorter; recall@k: over R.

    Items never ranked count as never found. Ties are for who ranks: here the order is given.
    A query without relevant items has no value and stays out of the mean.

    References
    ----------
    .. [1] Radenovic, Iscen, Tolias, Avrithis, Chum, "Revisiting Oxford and Paris: Large-Scale
       Image Retrieval Benchmarking", CVPR 2018, arXiv:1803.11285.

    Examples
    --------
    >>> from sklearn_selfattn.reranking import retrieval_metric
    >>> hits = [[1, 0, 1], [0, 1, 0]]
    >>> retrieval_metric(hits, "map_step"), retrieval_metric(hits, "precision@1")
    (0.6666666666666666, 0.5)
    """
    name, cut = parse_metric(metric)
    hits = np.asarray(hits)
    if hits.ndim != 2 or not np.isin(hits, (-1, 0, 1)).all():
        raise ValueError("hits has to be an array (n_queries, length) of the values 1, 0 and -1.")
    hits = _without_junk(hits.astype(np.int8))
    found = hits.sum(axis=1)
    n_relevant = found if n_relevant is None else np.asarray(n_relevant)
    if n_relevant.shape != found.shape or (n_relevant < found).any():
        raise ValueError(
            "n_relevant has to count the relevant items of the whole gallery for each query: at "
            "least those that are in the ranking."
        )
    values = np.full(len(hits), np.nan)
    counted = n_relevant > 0
    values[counted] = _VALUES[name](hits[counted], n_relevant[counted], cut)
    if not average:
        return values
    if not counted.any():
        raise ValueError(
            "No query has a relevant item in the gallery: there is nothing to measure."
        )
    return float(values[counted].mean())


def parse_metric(metric):
    """Split "ndcg@10" into its name and its cut, which is None where there is none."""
    if isinstance(metric, str):
        if metric in ("map", "map_step", "ndcg", "mrr"):
            return metric, None
        match = _WITH_CUT.fullmatch(metric)
        if match:
            name, cut = match.group(1), int(match.group(2))
            return ("map_step" if name == "map" else name), cut
    raise ValueError(
        "metric has to be 'map', 'map_step', 'ndcg' or 'mrr', or one of 'map', 'ndcg', 'mrr', "
        f"'precision' and 'recall' with a cut, such as 'map@10', got {metric!r}."
    )


def _without_junk(hits):
    """Move junk behind the end of each list, where it counts as not relevant."""
    if (hits >= 0).all():
        return hits
    order = np.argsort(hits < 0, axis=1, kind="stable")
    return np.maximum(np.take_along_axis(hits, order, axis=1), 0)


def _trapezoids(hits, n_relevant, cut):
    place = np.arange(1, hits.shape[1] + 1)
    count = np.cumsum(hits, axis=1, dtype=np.int64)
    before = np.where(place == 1, 1.0, (count - 1) / np.maximum(place - 1, 1))
    return (hits * (before + count / place) / 2).sum(axis=1) / n_relevant


def _steps(hits, n_relevant, cut):
    hits = hits[:, :cut]
    precision = np.cumsum(hits, axis=1, dtype=np.int64) / np.arange(1, hits.shape[1] + 1)
    most = n_relevant if cut is None else np.minimum(n_relevant, cut)
    return (hits * precision).sum(axis=1) / most


def _ndcg(hits, n_relevant, cut):
    hits = hits[:, :cut]
    longest = max(hits.shape[1], int(n_relevant.max()))
    discount = 1 / np.log2(np.arange(2, longest + 2))
    most = n_relevant if cut is None else np.minimum(n_relevant, cut)
    return (hits * discount[: hits.shape[1]]).sum(axis=1) / np.cumsum(discount)[most - 1]


def _reciprocal_rank(hits, n_relevant, cut):
    hits = hits[:, :cut]
    return np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0.0)


def _precision(hits, n_relevant, cut):
    return hits[:, :cut].sum(axis=1) / cut


def _recall(hits, n_relevant, cut):
    return hits[:, :cut].sum(axis=1) / n_relevant


_VALUES = {
    "map": _trapezoids,
    "map_step": _steps,
    "ndcg": _ndcg,
    "mrr": _reciprocal_rank,
    "precision": _precision,
    "recall": _recall,
}
