"""
Better neighbours among classes never seen
==========================================

:class:`~sklearn_selfattn.AttentionReranker` learns from some classes how lists of neighbours should
be re-ranked, and does it for others. Here it learns from the digits 0 to 5, photographed badly, and
searches among 6 to 9.
"""

# %%
# Train on some classes
# ---------------------
# Images as rows of pixels, less their mean, so that the cosine tells them apart. The pixels are
# noisy: of clean digits the first lists are nearly right, and there is little to gain. Noise,
# length of the lists, epochs and step size were chosen on the digits 0 to 5 alone: learning from
# four of them, searching among the other two.

import numpy as np
from sklearn.datasets import load_digits

from sklearn_selfattn import AttentionReranker

digits = load_digits()
known = digits.target < 6
pixels = digits.data + np.random.default_rng(0).normal(0, 6, digits.data.shape)
X = pixels - pixels[known].mean(axis=0)
y = digits.target
model = AttentionReranker(max_epochs=15, n_candidates=256, learning_rate=3e-3, random_state=0)
model.fit(X[known], y[known])

# %%
# Search among others
# -------------------
# ``set_gallery`` trains nothing. With no query given, each image of the gallery looks for the
# others of its class.

model.set_gallery(X[~known], y[~known])
for metric in ("map", "precision@1", "recall@100"):
    before = model.retrieval_score(metric=metric, rerank=False)
    print(f"{metric}: {before:.3f} -> {model.retrieval_score(metric=metric):.3f}")

# %%
# What was gained, and what was lost: each point is a query.

from sklearn_selfattn import RerankDisplay

RerankDisplay.from_estimator(model)

# %%
# One list
# --------
# The query that gained most, drawn without the noise. Green frames are relevant. The marks beside
# the maps are the places of relevant images in the first list: their affinity features (left) look
# alike, which is what the net goes by. Its attention (right) is nearly even: each image takes in a
# mean over the list. So the gain comes from learnt features of affinity, hardly from images that
# look at a chosen few; a learnt map of them without attention, ``n_layers=0``, is worth a try.

from sklearn_selfattn import RankedListDisplay

gallery, images = X[~known], digits.images[~known]
rankings = [
    model.kneighbors(gallery, n_neighbors=10, return_distance=False, rerank=r)
    for r in (False, True)
]
right = [(y[~known][ranking] == y[~known][:, None]).sum(axis=1) for ranking in rankings]
query = int(np.argmax(right[1] - right[0]))  # the one that gained most
RankedListDisplay.from_estimator(
    model, gallery[query], y[~known][query], images=images, query_image=images[query]
)

# %%
# Any first stage
# ---------------
# Anything with ``fit`` and ``kneighbors`` finds the candidates: scikit-learn's own searchers, or a
# wrapper around an approximate index. With `hnswlib <https://github.com/nmslib/hnswlib>`_ the
# wrapper is
#
# .. code-block:: python
#
#    class HNSW:
#        def fit(self, X):
#            self.index = hnswlib.Index(space="l2", dim=X.shape[1])
#            self.index.init_index(max_elements=len(X))
#            self.index.add_items(X)
#            return self
#
#        def kneighbors(self, X, n_neighbors, return_distance=True):
#            self.index.set_ef(2 * n_neighbors)
#            rows, distances = self.index.knn_query(X, k=n_neighbors)
#            return (distances, rows) if return_distance else rows
#
# and goes where scikit-learn's tree stands here:

from sklearn.neighbors import KNeighborsTransformer

with_tree = AttentionReranker(
    searcher=KNeighborsTransformer(algorithm="ball_tree"),
    max_epochs=1,
    n_candidates=64,
    random_state=0,
)
with_tree.fit(X[known], y[known]).set_gallery(gallery, y[~known])
print(f"precision@1: {with_tree.retrieval_score(metric='precision@1'):.3f}")

# %%
# Without training
# ----------------
# The peers are functions of queries, gallery and ranking. Here each reorders the first list, in
# whose first place a query finds itself.

from sklearn_selfattn.reranking import (
    diffusion,
    k_reciprocal,
    query_expansion,
    relevance_hits,
    retrieval_metric,
)

queries, labels = gallery[::5], y[~known]
ranking = model.kneighbors(queries, n_neighbors=128, return_distance=False, rerank=False)
for name, new in (
    ("first stage", ranking),
    ("query expansion", query_expansion(queries, gallery, ranking)),
    ("k-reciprocal", k_reciprocal(queries, gallery, ranking)),
    ("diffusion", diffusion(queries, gallery, ranking)),
    ("AttentionReranker", model.rerank(queries, ranking)),
):
    hits, n_relevant = relevance_hits(new[:, 1:], (labels[::5], labels))
    value = retrieval_metric(hits, "precision@20", n_relevant=n_relevant)
    print(f"{name:18} precision@20 {value:.3f}")
