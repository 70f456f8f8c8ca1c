"""
Words from your own corpus
==========================

:class:`~sklearn_selfattn.DistributionalProjectionVectorizer` reads a corpus, counts which words
stand near each other, and from that alone makes word vectors, document vectors and an attention
layer. Nothing is trained and nothing downloaded. Here the corpus is one that everybody has who
runs this: the docstrings of scikit-learn and numpy.
"""

# %%
# A corpus
# --------
# Each paragraph of a docstring is a document. Whether it came from scikit-learn or from numpy is
# the label.

import inspect

import numpy as np
from sklearn.utils.discovery import all_estimators


def paragraphs(objects):
    """Return the paragraphs of some docstrings, each once."""
    texts = {}
    for name in objects:
        for text in (inspect.getdoc(name) or "").split("\n\n"):
            if 6 <= len(text.split()) <= 120 and ">>>" not in text:
                texts[text] = None
    return list(texts)


estimators = [cls for _, cls in all_estimators()]
methods = [
    member
    for cls in estimators
    for name, member in inspect.getmembers(cls, inspect.isfunction)
    if not name.startswith("_")
]
functions = [getattr(np, name) for name in dir(np) if not name.startswith("_")]
corpora = {
    "scikit-learn": paragraphs([*estimators, *methods]),
    "numpy": paragraphs([function for function in functions if callable(function)]),
}
texts = [text for corpus in corpora.values() for text in corpus]
source = np.repeat(list(corpora), [len(corpus) for corpus in corpora.values()])
{name: len(corpus) for name, corpus in corpora.items()}

# %%
# Words
# -----
# Words that stand in the same contexts have near vectors. A second of counting and one
# eigendecomposition.

from sklearn_selfattn import (
    DistributionalProjectionVectorizer,
    SentenceAttentionDisplay,
    SpectrumDisplay,
    WordNeighborsDisplay,
)

vectorizer = DistributionalProjectionVectorizer(
    n_components=60, token_pattern=r"[a-z]{2,}", random_state=0
).fit(texts)
for word in ("classifier", "covariance", "integer", "trees"):
    print(f"{word:12}", *[neighbor for neighbor, _ in vectorizer.most_similar(word, 5)])

# %%
# The neighbours of one word as a picture, and how the spectrum falls: it is still high where it
# ends, so more components would keep more of the associations. Negative eigenvalues belong to
# words that stand beside each other but not in each other's place.

WordNeighborsDisplay.from_estimator(vectorizer, "sparse")
SpectrumDisplay.from_estimator(vectorizer)

# %%
# Attention
# ---------
# In a sentence each word looks at those that the corpus puts beside it, the near ones more. This
# is a softmax over the associations themselves: no weights were learnt.

sentence = "the number of samples in each leaf of the decision tree"
SentenceAttentionDisplay.from_estimator(vectorizer, sentence)

# %%
# A word with two meanings
# ------------------------
# `transform_tokens` gives a word in its context. "Tree" stands in decision trees and in trees that
# find neighbours; its vector leans to what stands around it.

contexts = [
    "the maximum depth of the tree in the forest",
    "leaf size of the ball tree for nearest neighbors queries",
]
tree = [
    vectors[words.index("tree")]
    for vectors, words in zip(
        vectorizer.transform_tokens(contexts), vectorizer.kept_tokens(contexts), strict=True
    )
]
probes = ["split", "forest", "neighbors", "distance"]
probe_vectors = vectorizer.value_weights_[[vectorizer.vocabulary_[probe] for probe in probes]]
for context, vector in zip(contexts, tree, strict=True):
    cosines = probe_vectors @ vector / np.linalg.norm(probe_vectors, axis=1)
    cosines /= np.linalg.norm(vector)
    print({probe: round(float(c), 2) for probe, c in zip(probes, cosines, strict=True)}, context)

# %%
# Documents in a pipeline
# -----------------------
# Document vectors are features like any other. LSA, the usual way to such vectors, stands beside
# them, and so does the same vectorizer with attention, which makes little of a difference here:
# attention tells the uses of a word apart, and the mean over a document blurs them again.

from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

pattern = {"token_pattern": r"[a-z]{2,}"}
rivals = {
    "LSA": make_pipeline(TfidfVectorizer(**pattern), TruncatedSVD(20, random_state=0)),
    "projection": DistributionalProjectionVectorizer(20, **pattern, random_state=0),
    "with attention": DistributionalProjectionVectorizer(20, **pattern, mix=0.5, random_state=0),
}
for name, rival in rivals.items():
    model = make_pipeline(rival, StandardScaler(), LogisticRegression())
    scores = cross_val_score(model, texts, source, cv=3, scoring="balanced_accuracy")
    print(f"{name:15} {scores.mean():.3f}")

# %%
# As a layer of a net
# -------------------
# With scores of rank ``n_components`` the whole is a torch layer that can be trained on.

import torch

factored = DistributionalProjectionVectorizer(
    16, scores="factor", n_heads=4, **pattern, random_state=0
).fit(texts)
layer = factored.to_torch()
words = factored.kept_tokens([sentence])[0]
vectors, weights = layer(torch.tensor([factored.vocabulary_[word] for word in words]))
gap = np.abs(vectors.detach().numpy() - factored.transform_tokens([sentence])[0]).max()
print(type(layer.attention).__name__, tuple(vectors.shape), f"largest difference {gap:.1e}")
