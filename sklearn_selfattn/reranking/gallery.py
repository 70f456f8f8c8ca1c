"""A gallery that is searched in two stages, and what can be asked about the second."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Literal, Self, overload

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import clone
from sklearn.utils import check_scalar
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ..core.base import BaseSelfAttention
from ..core.maps import AttentionMaps
from ..core.target import check_target
from ..core.typing import Table
from .lists import affinity_chunks, blended, score_lists
from .metrics import as_pairs, parse_metric, relevance_hits, retrieval_metric
from .search import DIGITS, check_ranking, nearest, query_blocks, unit_rows

DTYPES = (np.float64, np.float32)


class TwoStageSearch(BaseSelfAttention):
    """What a fitted re-ranker does with a gallery; how it is fitted is for the subclass.

    Needs the parameters `n_candidates`, `n_neighbors` and `searcher`, and after fitting `module_`
    and `blend_`.
    """

    # --- the gallery ----------------------------------------------------------------------

    def _check_gallery(self, X, y, *, reset):
        n_rows = 2 if reset else 1
        if y is None:
            return validate_data(
                self, X, dtype=DTYPES, ensure_min_samples=n_rows, reset=reset
            ), None
        y = check_target(y, self)
        X, y = validate_data(self, X, y, dtype=DTYPES, ensure_min_samples=n_rows, reset=reset)
        check_classification_targets(y)
        return X, y

    def _index(self, X, y):
        """Keep rows, their labels if there are any, and a searcher that has seen the rows."""
        gallery = unit_rows(X)
        searcher = None
        if self.searcher is not None:
            searcher = clone(self.searcher, safe=False)
            searcher.fit(gallery)
        self.gallery_, self.gallery_y_, self.searcher_ = gallery, y, searcher
        self.n_candidates_ = min(self.n_candidates, len(gallery))
        self.__dict__.pop("classes_", None)
        if y is not None:
            self.classes_ = np.unique(y)

    def set_gallery(self, X: Table, y: ArrayLike | None = None) -> Self:
        """Search in another gallery from now on, without training.

        Parameters
        ----------
        X : array-like of shape (n_gallery, n_features)
            Embeddings of the same kind, of whatever classes.
        y : array-like of shape (n_gallery,), default=None
            Their labels; needed to predict classes, and to score by labels.

        Returns
        -------
        self : object
            The estimator. If this raises, it searches where it did before.
        """
        check_is_fitted(self)
        self._index(*self._check_gallery(X, y, reset=False))
        return self

    def _search(self, vectors, length, own=None):
        """Rank the gallery by the first stage, without the row that each query itself is."""
        if self.searcher_ is None:
            return nearest(vectors, self.gallery_, length, own=own)
        length = min(length, len(self.gallery_) - (own is not None))
        wanted = length + (own is not None)
        found = self.searcher_.kneighbors(vectors, n_neighbors=wanted, return_distance=False)
        found = check_ranking(found, len(vectors), len(self.gallery_))
        if own is None:
            return found
        # who is not found among its own neighbours gives up the last of them
        others_first = np.argsort(found == own[:, None], axis=1, kind="stable")
        return np.take_along_axis(found, others_first, axis=1)[:, :length]

    def _queries(self, X):
        """Return queries as unit rows, and which gallery rows they are if X is None."""
        check_is_fitted(self)
        if X is None:
            return self.gallery_, np.arange(len(self.gallery_))
        return unit_rows(validate_data(self, X, dtype=DTYPES, reset=False)), None

    # --- retrieval ------------------------------------------------------------------------

    def _scored(self, vectors, ranking, *, rerank=True, place_weight=0.0):
        """Return the items of rankings in their new order, and their scores."""
        if rerank and not math.isinf(self.blend_):
            refined, similarity = score_lists(self.module_, vectors, self.gallery_, ranking)
            scores = blended(refined, similarity, self.blend_)
        else:
            scores = np.einsum("qd,qkd->qk", vectors, self.gallery_[ranking], dtype=np.float64)
        if place_weight:
            length = ranking.shape[1]
            scores = scores - place_weight * np.log(np.arange(1, length + 1)) / np.log(length + 1)
        scores = np.round(scores, DIGITS)
        if not rerank:
            return ranking, scores
        order = np.argsort(-scores, axis=1, kind="stable")
        return np.take_along_axis(ranking, order, axis=1), np.take_along_axis(scores, order, axis=1)

    @overload
    def kneighbors(
        self,
        X: Table | None = ...,
        n_neighbors: int | None = ...,
        return_distance: Literal[True] = ...,
        *,
        rerank: bool = ...,
    ) -> tuple[np.ndarray, np.ndarray]: ...
    @overload
    def kneighbors(
        self,
        X: Table | None = ...,
        n_neighbors: int | None = ...,
        *,
        return_distance: Literal[False],
        rerank: bool = ...,
    ) -> np.ndarray: ...
    def kneighbors(
        self,
        X: Table | None = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,
        *,
        rerank: bool = True,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Find the nearest rows of the gallery, re-ranked.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            Queries; None takes each gallery row as a query for the others.
        n_neighbors : int, default=None
            How many; by default the parameter of the same name.
        return_distance : bool, default=True
            Whether to return distances too.
        rerank : bool, default=True
            False gives the first stage.

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors)
            1 less the score of each, rising; between 0 and 2. Only if `return_distance`.
        ranking : ndarray of int of shape (n_queries, n_neighbors)
            Gallery rows, best first.
        """
        vectors, own = self._queries(X)
        n_neighbors = self._check_n_neighbors(n_neighbors, own)
        length = max(n_neighbors, self.n_candidates_)
        rankings, distances = [], []
        for rows in query_blocks(len(vectors), len(self.gallery_)):
            found = self._search(vectors[rows], length, own=None if own is None else own[rows])
            found, scores = self._scored(vectors[rows], found, rerank=rerank)
            rankings.append(found[:, :n_neighbors])
            distances.append(np.maximum(1.0 - scores[:, :n_neighbors], 0.0))
        ranking = np.concatenate(rankings)
        return (np.concatenate(distances), ranking) if return_distance else ranking

    def _check_n_neighbors(self, n_neighbors, own):
        n_neighbors = self.n_neighbors if n_neighbors is None else n_neighbors
        if not isinstance(n_neighbors, (int, np.integer)) or isinstance(n_neighbors, bool):
            raise TypeError(f"n_neighbors has to be an integer, got {n_neighbors!r}.")
        n_others = len(self.gallery_) - (own is not None)
        if not 1 <= n_neighbors <= n_others:
            raise ValueError(
                f"Expected 1 <= n_neighbors <= n_samples_fit, but n_neighbors = {n_neighbors}, "
                f"n_samples_fit = {n_others}: so many rows of the gallery can be found."
            )
        if n_neighbors > self.n_candidates_:
            raise ValueError(
                f"n_neighbors={n_neighbors} is more than the n_candidates={self.n_candidates_} "
                "that are re-ranked: ask for fewer, or set a larger n_candidates."
            )
        return n_neighbors

    def kneighbors_graph(
        self,
        X: Table | None = None,
        n_neighbors: int | None = None,
        mode: Literal["connectivity", "distance"] = "connectivity",
    ) -> sparse.csr_matrix:
        """Return the graph of re-ranked neighbours.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            Queries; None takes each gallery row as a query for the others.
        n_neighbors : int, default=None
            How many; by default the parameter of the same name.
        mode : {"connectivity", "distance"}, default="connectivity"
            Ones, or distances.

        Returns
        -------
        csr_matrix of shape (n_queries, n_gallery)
            The graph.
        """
        if mode not in ("connectivity", "distance"):
            raise ValueError(f"mode has to be 'connectivity' or 'distance', got {mode!r}.")
        distances, ranking = self.kneighbors(X, n_neighbors)
        values = np.ones(ranking.size) if mode == "connectivity" else distances.ravel()
        indptr = np.arange(len(ranking) + 1) * ranking.shape[1]
        shape = (len(ranking), len(self.gallery_))
        return sparse.csr_matrix((values, ranking.ravel(), indptr), shape=shape)

    def rerank(
        self,
        X: Table,
        ranking: ArrayLike,
        *,
        n_candidates: int | None = None,
        place_weight: float = 0.0,
    ) -> np.ndarray:
        """Re-rank lists of any first stage.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries; None takes the gallery rows.
        ranking : array-like of int of shape (n_queries, length)
            Gallery rows for each query, best first, none twice. Any length.
        n_candidates : int, default=None
            So many first items are re-ranked; by default the parameter of the same name.
        place_weight : float, default=0.0
            How much an item's place in the given ranking counts, on a logarithmic scale. For
            rankings that know more than the cosine, such as those of `k_reciprocal` and
            `diffusion`: try 2.

        Returns
        -------
        ndarray of int of shape (n_queries, length)
            The same items; those behind the first `n_candidates` where they were.
        """
        vectors, _ = self._queries(X)
        ranking = check_ranking(ranking, len(vectors), len(self.gallery_))
        n_candidates = self.n_candidates if n_candidates is None else n_candidates
        check_scalar(n_candidates, "n_candidates", Integral, min_val=1)
        check_scalar(place_weight, "place_weight", Real, min_val=0)
        top, _ = self._scored(vectors, ranking[:, :n_candidates], place_weight=place_weight)
        return np.concatenate([top, ranking[:, n_candidates:]], axis=1)

    def _lists(self, X, ranking):
        vectors, own = self._queries(X)
        if ranking is None:
            return vectors, self._search(vectors, self.n_candidates_, own=own)
        return vectors, check_ranking(ranking, len(vectors), len(self.gallery_))

    def _each_list(self, X, ranking, look):
        """Look at each list through a function of its affinities."""
        vectors, ranking = self._lists(X, ranking)
        with torch.inference_mode():
            chunks = affinity_chunks(self.module_, vectors, self.gallery_, ranking)
            parts = [look(affinity).to("cpu", torch.float64) for affinity in chunks]
        return torch.cat(parts).numpy()

    def affinity(self, X: Table, ranking: ArrayLike | None = None) -> np.ndarray:
        """Return what the net sees: similarities of items to anchors.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.
        ranking : array-like of int of shape (n_queries, length), default=None
            Lists, best first; by default those of the first stage.

        Returns
        -------
        ndarray of shape (n_queries, length + 1, n_anchors)
            The query is the first item and the first anchor.
        """
        return self._each_list(X, ranking, lambda affinity: affinity)

    def refine(self, X: Table, ranking: ArrayLike | None = None) -> np.ndarray:
        """Return the refined features of the query and the items of its list.

        They belong to this list: the same row has other features in another one.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.
        ranking : array-like of int of shape (n_queries, length), default=None
            Lists, best first; by default those of the first stage.

        Returns
        -------
        ndarray of shape (n_queries, length + 1, d_model)
            The query is the first item.
        """
        return self._each_list(X, ranking, lambda affinity: self.module_(affinity))

    def attention_weights(
        self, X: Table, layer: int | None = None, *, ranking: ArrayLike | None = None
    ) -> AttentionMaps:
        """Return how much the items of a list look at each other.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries. All heads of all lists are kept: a few megabytes for each query.
        layer : int, default=None
            One layer; None gives all.
        ranking : array-like of int of shape (n_queries, length), default=None
            Lists, best first; by default those of the first stage.

        Returns
        -------
        AttentionMaps
            From the query and the places of the list to the same.
        """
        vectors, ranking = self._lists(X, ranking)
        if not self.n_layers_:
            raise ValueError("A re-ranker with n_layers=0 has no attention to show.")
        with torch.inference_mode():
            chunks = affinity_chunks(self.module_, vectors, self.gallery_, ranking)
            parts = [self.module_.attention(affinity) for affinity in chunks]
        layers = [torch.cat(part).cpu().double().numpy() for part in zip(*parts, strict=True)]
        labels = ["query", *range(1, ranking.shape[1] + 1)]
        return AttentionMaps(
            layers if layer is None else [layers[layer]],
            query_labels=labels,
            key_labels=labels,
            query_axis="place in the list",
            key_axis="place in the list",
        )

    def _export_inputs(self, X):
        if math.isinf(self.blend_):
            raise ValueError(
                f"This {type(self).__name__} chose not to re-rank (blend_=inf): there is nothing "
                "to compute."
            )
        return {"affinity": (self._as_numbers(self.affinity(X)), 1)}

    def _export_forward(self):
        def outputs(affinity):
            refined = self.module_.scores(affinity)[:, 1:]
            return blended(refined, affinity[:, 1:, 0], self.blend_)

        return outputs

    def _export_answer(self, scores):
        return scores

    # --- how good it is -------------------------------------------------------------------

    def _retrieve(self, X, y, relevance, junk, length, *, rerank=True):
        """Yield hits before and after re-ranking, and the number of relevant items, in blocks."""
        vectors, own = self._queries(X)
        length = len(self.gallery_) if length is None else max(length, self.n_candidates_)
        if self.searcher_ is not None:
            length = min(length, self.n_candidates_)
        truth = self._truth(vectors, own, y, relevance)
        junk = None if junk is None else as_pairs(junk, len(vectors), len(self.gallery_))
        for rows in query_blocks(len(vectors), len(self.gallery_)):
            mine = None if own is None else own[rows]
            before = self._search(vectors[rows], length, own=mine)
            top, _ = self._scored(vectors[rows], before[:, : self.n_candidates_], rerank=rerank)
            after = np.concatenate([top, before[:, self.n_candidates_ :]], axis=1)
            part = (truth[0][rows], truth[1]) if isinstance(truth, tuple) else truth[rows]
            not_counted = None if junk is None else junk[rows]
            hits, n_relevant = relevance_hits(before, part, junk=not_counted, own=mine)
            yield hits, relevance_hits(after, part, junk=not_counted, own=mine)[0], n_relevant

    def _truth(self, vectors, own, y, relevance):
        if relevance is not None:
            return as_pairs(relevance, len(vectors), len(self.gallery_))
        if self.gallery_y_ is None:
            raise ValueError(
                "The gallery has no labels: give them to set_gallery, or pass relevance=."
            )
        if own is not None:
            return self.gallery_y_, self.gallery_y_
        if y is None or len(y) != len(vectors):
            raise ValueError("Pass y, the label of each row of X, or relevance=.")
        return np.asarray(y), self.gallery_y_

    def retrieval_score(
        self,
        X: Table | None = None,
        y: ArrayLike | None = None,
        metric: str = "map",
        *,
        relevance: sparse.sparray | sparse.spmatrix | ArrayLike | None = None,
        junk: sparse.sparray | sparse.spmatrix | ArrayLike | None = None,
        rerank: bool = True,
    ) -> float:
        """Measure retrieval, averaged over queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            Queries; None takes each gallery row as a query for the others.
        y : array-like of shape (n_queries,), default=None
            Their labels.
        metric : str, default="map"
            As `sklearn_selfattn.reranking.retrieval_metric` has them: "map", "map_step", "ndcg",
            "mrr", and with a cut "map@10", "precision@1", "recall@100" and so on.
        relevance : sparse matrix or array-like of shape (n_pairs, 2), default=None
            Relevant pairs (query, gallery row), where they are no matter of labels.
        junk : sparse matrix or array-like of shape (n_pairs, 2), default=None
            Pairs that are neither right nor wrong: taken out of the rankings.
        rerank : bool, default=True
            False measures the first stage.

        Returns
        -------
        float
            Mean over the queries that have relevant rows. Rankings are of the whole gallery; with a
            `searcher` of your own they end after `n_candidates`, and what is not found counts so.
        """
        name, cut = parse_metric(metric)
        parts = []
        for _, after, n_relevant in self._retrieve(X, y, relevance, junk, cut, rerank=rerank):
            parts.append(retrieval_metric(after, metric, n_relevant=n_relevant, average=False))
        values = np.concatenate(parts)
        if np.isnan(values).all():
            raise ValueError("No query has a relevant row in the gallery.")
        return float(np.nanmean(values))
