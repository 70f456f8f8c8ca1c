"""
Predictions without training
============================

:class:`~sklearn_selfattn.NPTClassifier` and :class:`~sklearn_selfattn.NPTRegressor` carry weights
that have seen a great many synthetic tables, and have learnt there how to use labelled rows. On a
small table nothing is left to train: ``fit`` reads the rows, ``predict`` looks at them.
"""

# %%
# How many rows does it take?
# ---------------------------
# Tumours, by thirty measurements each. We give the model 20, 50, ... labelled rows and ask for the
# other half of the table, beside gradient boosting, a random forest and logistic regression, each
# at its defaults.

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_selfattn import NPTClassifier

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X_known, X_test, y_known, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
models = {
    "NPT, pretrained": NPTClassifier(random_state=0),
    "gradient boosting": HistGradientBoostingClassifier(random_state=0),
    "random forest": RandomForestClassifier(random_state=0),
    "logistic regression": make_pipeline(StandardScaler(), LogisticRegression()),
}
sizes = [20, 50, 100, 200, len(X_known)]
losses = {name: [] for name in models}
for name, model in models.items():
    for size in sizes:
        model.fit(X_known[:size], y_known[:size])
        losses[name].append(log_loss(y_test, model.predict_proba(X_test)))

# %%
import matplotlib.pyplot as plt

fig, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
for (name, values), color in zip(
    losses.items(), ["#0072b2", "#d55e00", "#009e73", "0.5"], strict=True
):
    ax.plot(sizes, values, marker="o", color=color, label=name)
ax.set(xlabel="labelled rows", ylabel="log loss", xscale="log", ylim=(0, None))
ax.set_xticks(sizes, sizes)
ax.minorticks_off()
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)

# %%
# Log loss asks for probabilities that can be trusted, and here they can from the first rows on.
# What comes out ahead in the end differs from table to table; on this one it is the linear model,
# for which the measurements might have been made. :doc:`The benchmark <../benchmarks/npt_prior>`
# has two dozen tables, with what was lost.
#
# Intervals
# ---------
# For numbers the net predicts a whole distribution. Its quantiles bound intervals.

from sklearn.datasets import load_diabetes

from sklearn_selfattn import NPTRegressor

X, y = load_diabetes(return_X_y=True, as_frame=True)
X_known, X_test, y_known, y_test = train_test_split(X, y, test_size=0.5, random_state=0)
model = NPTRegressor(random_state=0).fit(X_known, y_known)
low, middle, high = model.predict_quantiles(X_test, [0.05, 0.5, 0.95]).T
inside = (low <= y_test) & (y_test <= high)
print(f"R²: {model.score(X_test, y_test):.2f}; inside 90 % intervals: {inside.mean():.0%}")

# %%
order = np.argsort(middle)
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
ax.fill_between(range(len(order)), low[order], high[order], color="#0072b2", alpha=0.2, lw=0)
ax.plot(middle[order], color="#0072b2", label="median and 90 % interval")
ax.plot(y_test.to_numpy()[order], ".", color="0.3", ms=4, label="truth")
ax.set(xlabel="patients, by prediction", ylabel="progression of diabetes")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)

# %%
# A rule that has to be learnt
# ----------------------------
# Rules of many columns at once are not read off context rows. Here the class says whether an odd
# number of the first four switches out of eight is on: neither one column nor any three of them
# tell anything. ``fine_tune`` trains the weights on the table; with "auto" only as far as rows that
# are held out gain by it.

rng = np.random.default_rng(0)
switches = rng.integers(2, size=(500, 8)).astype(bool)
odd = switches[:, :4].sum(axis=1) % 2
for name, model in {
    "pretrained": NPTClassifier(random_state=0),
    "fine-tuned": NPTClassifier(fine_tune="auto", random_state=0),
    "gradient boosting": HistGradientBoostingClassifier(random_state=0),
}.items():
    model.fit(switches[:300], odd[:300])
    print(f"accuracy, {name}: {model.score(switches[300:], odd[300:]):.2f}")

# %%
# What the weights have seen
# --------------------------
# No real table was used to train them: they come from ``python -m sklearn_selfattn.npt.pretrain``,
# which draws tables without end. Here is one of each kind, two columns each, coloured by class:
# exact rules on two categories (spread a little, that points do not cover each other), the other
# kinds on two numbers, as many different ones as twenty draws have to offer.

import torch

from sklearn_selfattn.npt.pretrain.prior import KINDS, ON_LEVELS, sample_tables

fig, axes = plt.subplots(3, 5, figsize=(9, 5.6), layout="constrained")
for seed, (ax, kind) in enumerate(zip(axes.flat, KINDS, strict=True)):
    generator = torch.Generator().manual_seed(seed)
    tables = sample_tables(20, 300, 2, task="classification", kind=kind, generator=generator)
    levels = tables.is_categorical.sum(dim=1).numpy()  # (20,) columns that are categories
    n_different = np.array([len(table.unique(dim=0)) for table in tables.X.nan_to_num()])
    shown = np.argmax(levels if kind in ON_LEVELS else n_different)
    points = tables.X[shown].numpy()
    jitter = np.where(tables.is_categorical[shown].numpy(), 0.15, 0.0)
    points = points + jitter * rng.normal(size=points.shape)
    ax.scatter(*points.T, c=tables.y[shown], cmap="tab10", vmin=0, vmax=9, s=5)
    ax.set(title=kind, xticks=[], yticks=[])
