"""
Which re-ranking for my data?
=============================

Re-ranking can be learnt or written down, and can lose as well as gain. The way to find out is the
way it will be used: on classes that nothing has been learnt from. Here five ways meet on folds of
*classes*, with what each does to the first place and to the whole list.
"""

# %%
# Folds of classes
# ----------------
# Handwritten digits, taken by a poor camera: pixels with noise. In each fold, three or four of the
# ten digits stay unseen: the learner is fitted on the others, and all ways search among the unseen.

import numpy as np
from sklearn.datasets import load_digits

from sklearn_selfattn import AttentionReranker
from sklearn_selfattn.reranking import (
    database_augmentation,
    diffusion,
    k_reciprocal,
    query_expansion,
    relevance_hits,
    retrieval_metric,
)

N_LISTED = 100
METRICS = ("precision@1", "map")
peers = {
    "query expansion": query_expansion,
    "database augmentation": database_augmentation,
    "k-reciprocal": k_reciprocal,
    "diffusion": diffusion,
}
digits = load_digits()
rng = np.random.default_rng(0)
pixels = digits.data + rng.normal(0, 6, digits.data.shape)
folds = np.array_split(rng.permutation(10), 3)

found = {}
for classes in folds:
    unseen = np.isin(digits.target, classes)
    X = pixels - pixels[~unseen].mean(axis=0)
    gallery, labels = X[unseen], digits.target[unseen]
    model = AttentionReranker(max_epochs=3, n_candidates=N_LISTED, random_state=0)
    model.fit(X[~unseen], digits.target[~unseen]).set_gallery(gallery, labels)

    # each image looks for the others: it would find itself first
    first = model.kneighbors(gallery, n_neighbors=N_LISTED, return_distance=False, rerank=False)
    lists = {name: rerank(gallery, gallery, first) for name, rerank in peers.items()}
    lists |= {"first stage": first, "AttentionReranker": model.rerank(gallery, first)}
    for name, ranking in lists.items():
        others = ranking[ranking != np.arange(len(gallery))[:, None]].reshape(len(gallery), -1)
        hits, n_relevant = relevance_hits(others, (labels, labels))
        found.setdefault(name, []).append(
            [retrieval_metric(hits, metric, n_relevant=n_relevant) for metric in METRICS]
        )

# %%
# What each does
# --------------
# To the right: the first place is right more often. Up: the whole list is better. Lines reach from
# the fold with the least gain to the one with the most.

from matplotlib import pyplot as plt

base = np.array(found.pop("first stage"))
fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
ax.axhline(0, color="#dddddd", zorder=0)
ax.axvline(0, color="#dddddd", zorder=0)
for name, color in zip(found, ("#999999", "#E69F00", "#009E73", "#CC79A7", "#0072B2"), strict=True):
    gain = np.array(found[name]) - base
    (x, y), low, high = gain.mean(axis=0), gain.min(axis=0), gain.max(axis=0)
    ax.plot([low[0], high[0]], [y, y], color=color, alpha=0.4)
    ax.plot([x, x], [low[1], high[1]], color=color, alpha=0.4)
    ax.plot(x, y, "o", color=color, label=name)
    print(f"{name:22} precision@1 {x:+.3f}   mean average precision {y:+.3f}")
ax.set(xlabel="gain in precision@1", ylabel="gain in mean average precision")
ax.set_title("On classes never seen, beside the first stage", loc="left")
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
ax.spines[["top", "right"]].set_visible(False)

# %%
# Nothing wins everywhere: what puts the first place right is not what mends the whole list, and the
# folds differ by more than the ways. Look at the cost, too: diffusion and k-reciprocal need the
# neighbours of the gallery's rows, :class:`~sklearn_selfattn.AttentionReranker` the list alone. It
# can also re-rank what another way has listed: ``model.rerank(queries, ranking)`` takes any.
