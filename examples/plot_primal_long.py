"""
Long series: where the cost goes
================================

Attention compares every step of a series with every other: 4,000 steps make 16 million numbers.
Primal attention learns the singular vectors of such a map instead, and its cost grows with the
steps, not with their square. What such vectors are for can be seen without any training.
"""

# %%
# Twice as long, twice as slow
# ----------------------------
# Prediction by length, for a net of two layers and its twin with softmax.

import time

import numpy as np
from matplotlib import pyplot as plt

from sklearn_selfattn import PrimalAttentionClassifier

rng = np.random.default_rng(0)
lengths = (1000, 2000, 4000, 8000)
y = np.arange(4) % 2
seconds = {}
for attention in ("primal", "softmax"):
    for length in lengths:
        X = rng.normal(size=(4, 1, length))
        model = PrimalAttentionClassifier(
            attention=attention, n_estimators=1, n_layers=2, max_epochs=1, random_state=0
        ).fit(X[:, :, :64], y)
        start = time.perf_counter()
        model.predict(X)
        seconds[attention, length] = time.perf_counter() - start

fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for attention, color in (("primal", "#0072B2"), ("softmax", "#D55E00")):
    cost = [seconds[attention, length] for length in lengths]
    ax.loglog(lengths, cost, marker="o", label=attention, color=color)
ax.set(xlabel="steps", ylabel="seconds", title="Prediction of four series")
ax.set_xticks(lengths, [f"{length:,}" for length in lengths])
ax.minorticks_off()
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)

# %%
# Long fits
# ---------
# Long series make long fits, and machines are switched off. With a checkpoint the same call goes on
# after the last finished epoch, and ends with the same weights, bit by bit, as if nothing had
# happened. A fit that has ended leaves no file.

import tempfile
from pathlib import Path

from sklearn_selfattn import TrainingCheckpoint

path = Path(tempfile.mkdtemp()) / "long.fit"
model = PrimalAttentionClassifier(
    n_estimators=1, max_epochs=2, callbacks=[TrainingCheckpoint(path)], random_state=0
)
model.fit(X[:, :, :500], y)
print(f"epochs: {model.n_iter_}, file left: {path.exists()}")

# %%
# What the layer approximates
# ---------------------------
# :class:`~sklearn_selfattn.AsymmetricKSVD` takes the singular vectors of an asymmetric kernel
# itself, without training: how a row looks at others (left) and how it is looked at (right). Here
# 120 people write letters. Whom one writes to goes by one's club, whom one gets letters from by
# one's street, and the two have nothing to do with each other.

from sklearn_selfattn import AsymmetricKSVD

club, street = rng.integers(3, size=(2, 120))
letters = rng.poisson(np.where(club[:, None] == street, 3.0, 1.0))
ksvd = AsymmetricKSVD(n_components=3, kernel="precomputed", output="left").fit(letters)
left, right = ksvd.left_vectors_[:, 1:], ksvd.right_vectors_[:, 1:]

fig, axes = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained")
for ax, vectors, group, title in (
    (axes[0], left, club, "writes (left), coloured by club"),
    (axes[1], right, street, "is written to (right), coloured by street"),
):
    for value, color in enumerate(("#0072B2", "#E69F00", "#009E73")):
        ax.scatter(*vectors[group == value].T, s=18, color=color)
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, loc="left")
    ax.spines[["top", "right"]].set_visible(False)

# %%
# One symmetric kernel cannot keep the two apart: clusters of the left vectors are the clubs, those
# of the right ones the streets, and those of the symmetrised counts are neither.

from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

symmetric = np.linalg.eigh((letters + letters.T) / 2)[1][:, -3:-1]
for name, vectors in (("left", left), ("right", right), ("symmetrised", symmetric)):
    found = KMeans(3, n_init=10, random_state=0).fit_predict(vectors)
    scores = [adjusted_rand_score(group, found) for group in (club, street)]
    print(f"{name:12} clubs {scores[0]:.2f}   streets {scores[1]:.2f}")
