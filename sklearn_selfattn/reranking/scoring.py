"""Retrieval scores where scikit-learn wants a scorer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Literal

from sklearn.pipeline import Pipeline

from .metrics import parse_metric

GALLERIES = ("fitted", "scored")


class _RetrievalScorer:
    def __init__(self, metric, gallery, rerank):
        self.metric, self.gallery, self.rerank = metric, gallery, rerank

    def __call__(self, estimator, X, y):
        """Score a fitted re-ranker, or a pipeline that ends with one."""
        if isinstance(estimator, Pipeline):
            if len(estimator) > 1:
                X = estimator[:-1].transform(X)
            estimator = estimator[-1]
        if self.gallery == "scored":
            estimator, X, y = copy.copy(estimator).set_gallery(X, y), None, None
        return estimator.retrieval_score(X, y, self.metric, rerank=self.rerank)

    def __repr__(self):
        return (
            f"make_retrieval_scorer({self.metric!r}, gallery={self.gallery!r}, "
            f"rerank={self.rerank})"
        )


def make_retrieval_scorer(
    metric: str = "map", *, gallery: Literal["fitted", "scored"] = "fitted", rerank: bool = True
) -> Callable[..., float]:
    """Make a scorer for `GridSearchCV` and the like.

    Parameters
    ----------
    metric : str, default="map"
        As for `retrieval_metric`.
    gallery : {"fitted", "scored"}, default="fitted"
        Where the rows that are scored look. "fitted": among the rows of `fit`, which have to be of
        the same classes. "scored": among each other, for folds whose classes `fit` has not seen,
        made for instance by :class:`~sklearn.model_selection.GroupKFold` with the labels as
        groups. That is what a re-ranker is for.
    rerank : bool, default=True
        False scores the first stage alone, to compare with.

    Returns
    -------
    callable
        ``scorer(estimator, X, y)``, for an `AttentionReranker` or a pipeline that ends with one.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import GroupKFold, cross_val_score
    >>> from sklearn_selfattn import AttentionReranker
    >>> from sklearn_selfattn.reranking import make_retrieval_scorer
    >>> X, y = load_digits(n_class=6, return_X_y=True)
    >>> X, y = X[::4], y[::4]
    >>> scorer = make_retrieval_scorer("map", gallery="scored")
    >>> model = AttentionReranker(max_epochs=1, n_candidates=32, random_state=0)
    >>> scores = cross_val_score(model, X, y, groups=y, cv=GroupKFold(3), scoring=scorer)
    >>> scores.shape
    (3,)
    """
    parse_metric(metric)
    if gallery not in GALLERIES:
        raise ValueError(f"gallery has to be one of {GALLERIES}, got {gallery!r}.")
    return _RetrievalScorer(metric, gallery, rerank)
