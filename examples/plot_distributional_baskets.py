"""
Baskets instead of texts: a map of scikit-learn
===============================================

A document need not be a text. For :class:`~sklearn_selfattn.DistributionalProjectionVectorizer` it
is a list of tokens: goods in a basket, codes of a patient's stay, lines of a log. Here every
estimator of scikit-learn is a basket, and the goods in it are the names of its parameters. Which of
them stand together tells what an estimator is, though nobody says so.
"""

# %%
# The baskets
# -----------

import inspect

import matplotlib.pyplot as plt
import numpy as np
from sklearn.utils.discovery import all_estimators

baskets, kinds = {}, {}
for kind in ("classifier", "regressor", "cluster", "transformer"):
    for name, cls in all_estimators(type_filter=kind):
        items = [item for item in inspect.signature(cls).parameters if item not in ("args", "kw")]
        if len(items) >= 3 and name not in baskets:
            baskets[name], kinds[name] = items, kind
names, documents = list(baskets), list(baskets.values())
kind = np.array(list(kinds.values()))
print(len(names), "baskets;", names[0], "is", documents[0][:5], "...")

# %%
# Goods that stand for each other
# -------------------------------
# In a basket there is no order and no distance: the window spans it whole, every pair counts the
# same, and attention looks at no positions. Two parameters are near if they stand beside the same
# others, even if they never stand together themselves.

from sklearn_selfattn import DistributionalProjectionVectorizer

vectorizer = DistributionalProjectionVectorizer(
    n_components=16, window=60, decay="flat", position=None, min_df=2, random_state=0
).fit(documents)
for item in ("n_clusters", "max_depth", "kernel", "alpha", "categories"):
    print(f"{item:12}", *[neighbor for neighbor, _ in vectorizer.most_similar(item, 4)])

# %%
# Estimators that are like each other
# -----------------------------------

from sklearn.metrics.pairwise import cosine_similarity

vectors = vectorizer.transform(documents)
alike = cosine_similarity(vectors)
np.fill_diagonal(alike, -1)
for name in ("KMeans", "RandomForestClassifier", "Ridge", "PCA", "SVC"):
    nearest = np.argsort(-alike[names.index(name)])[:4]
    print(f"{name:24}", *[names[i] for i in nearest])

# %%
# Is it worth it? Beside it stands the plain count of goods in common (the cosine of the baskets as
# they are): how often is the nearest other estimator one of the same kind? The kinds were shown
# to neither.

from sklearn.feature_extraction.text import CountVectorizer

counts = CountVectorizer(analyzer=list, min_df=2).fit_transform(documents)
common = cosine_similarity(counts)
np.fill_diagonal(common, -1)
for label, similarity in {"projection": alike, "goods in common": common}.items():
    hits = np.mean(kind[similarity.argmax(axis=1)] == kind)
    print(f"{label:16} nearest is of the same kind: {hits:.2f}")

# %%
# As often: to find whole baskets that are alike, counting what they share is enough. What the
# projection adds are vectors of the goods themselves, and a plane to look at.
#
# The map
# -------
# Trees stand beside trees, whether they classify or regress; what uses kernels stands together,
# whatever it is for. Baskets that are like no other have no place.

from sklearn.manifold import TSNE

placed = np.flatnonzero(alike.max(axis=1) > 0.5)
tsne = TSNE(perplexity=15, metric="cosine", random_state=0)
places = np.full((len(names), 2), np.nan)
places[placed] = tsne.fit_transform(vectors[placed])
figure, axes = plt.subplots(figsize=(9, 8), layout="constrained")
for label in dict.fromkeys(kind):
    axes.scatter(*places[kind == label].T, s=26, label=label)
shown = (
    "KMeans", "DBSCAN", "RandomForestClassifier", "HistGradientBoostingClassifier", "Lasso",
    "LogisticRegression", "SVR", "PCA", "NMF", "KNeighborsClassifier",
    "MLPClassifier", "OneHotEncoder", "CountVectorizer", "SpectralClustering",
    "Isomap",
)  # fmt: skip
for name in shown:
    if name in names:
        axes.annotate(
            name, places[names.index(name)], xytext=(5, 3), textcoords="offset points", fontsize=8.5
        )
axes.set(xticks=[], yticks=[], title="scikit-learn, mapped by the names of parameters")
axes.legend()

# %%
# Within a basket
# ---------------
# At which other goods does each one look? In the basket of a support
# vector machine the kernel and its parameters look at each other.

from sklearn_selfattn import SentenceAttentionDisplay

SentenceAttentionDisplay.from_estimator(vectorizer, baskets["SVC"])
