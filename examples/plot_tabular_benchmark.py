"""
A benchmark of your own tables, to copy
=======================================

Which model is best on *your* tables? Nobody can tell but your tables. This notebook asks them: the
same splits for all models, the loss that matters, a table, and a picture that also shows what
cannot be told apart. Put your tables and your models in, and run it.

Here it runs on tables that come with scikit-learn, cut down so that it takes seconds; the
:doc:`benchmark of the package </benchmarks/tabular>` has more tables, splits and peers.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from rich.progress import track
from scipy.stats import studentized_range
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_selfattn import NPTClassifier, OTTabularClassifier, PrimalAttentionClassifier

# %%
# The tables
# ----------
# Numbers of `OpenML <https://www.openml.org>`_ if you are online, for instance 31 for credit-g,
# and any frame of your own.

OPENML_IDS = []
N_SPLITS = 2
SCORING = "neg_log_loss"  # any name of scikit-learn's; greater is better

tables = {
    "iris": datasets.load_iris(return_X_y=True, as_frame=True),
    "wine": datasets.load_wine(return_X_y=True, as_frame=True),
}
X, y = datasets.load_breast_cancer(return_X_y=True, as_frame=True)
tables["tumours, 150 rows"] = X.iloc[:150], y.iloc[:150]
X, y = tables["iris"]
gaps = np.random.default_rng(0).random(X.shape) < 0.3
tables["iris, 30 % missing"] = X.mask(gaps), y
for number in OPENML_IDS:
    bunch = datasets.fetch_openml(data_id=number, as_frame=True, parser="auto")
    tables[bunch.details["name"]] = bunch.data, bunch.target

# %%
# The models
# ----------
# Each in the way its makers would run it. The package's own take the frames as they are, gaps and
# categories included. A net trained on each table, ``NPTClassifier(pretrained=False)``, takes ten
# seconds a fit and is worth them where there are some hundred rows or more: add it.


def prepared(model):
    """Fill gaps and scale, for models that need it; categories would go through OneHotEncoder."""
    return make_pipeline(SimpleImputer(), StandardScaler(), model)


models = {
    "NPT, pretrained": NPTClassifier(random_state=0),
    "OT": OTTabularClassifier(random_state=0),
    "Primal": PrimalAttentionClassifier(random_state=0),
    "HistGradientBoosting": HistGradientBoostingClassifier(random_state=0),
    "RandomForest": RandomForestClassifier(random_state=0),
    "logistic regression": prepared(LogisticRegression(max_iter=2000)),
    "MLP": prepared(MLPClassifier(max_iter=3000, random_state=0)),
}
OURS = ("NPT, pretrained", "OT", "Primal")
try:
    from catboost import CatBoostClassifier

    models["CatBoost"] = CatBoostClassifier(verbose=False, allow_writing_files=False)
except ImportError:
    pass

# %%
# The run
# -------
# Every model sees the same rows. Time is that of the processor, for clocks on the wall depend on
# what else the machine does.

splits = StratifiedShuffleSplit(N_SPLITS, test_size=0.25, random_state=0)
jobs = [
    (table, split, rows, name)
    for table, (X, y) in tables.items()
    for split, rows in enumerate(splits.split(X, y))
    for name in models
]
score = get_scorer(SCORING)
results = []
for table, split, (train, test), name in track(jobs, "fitting"):
    X, y = tables[table]
    start = time.process_time()
    model = models[name].fit(X.iloc[train], y.iloc[train])
    seconds = time.process_time() - start
    loss = -score(model, X.iloc[test], y.iloc[test])
    results.append({"table": table, "split": split, "model": name, "loss": loss, "CPU s": seconds})
results = pd.DataFrame(results)

# %%
# The table
# ---------

losses = results.pivot_table(index="table", columns="model", values="loss")[list(models)]
losses.T.round(3)

# %%
# Ranks, and what they are worth
# ------------------------------
# A mean rank over few tables says little. Nemenyi's critical difference says how little: models
# whose mean ranks are closer than that have not been told apart.

ranks = losses.rank(axis=1).mean().sort_values()
n_models, n_tables = len(ranks), len(losses)
quantile = studentized_range.ppf(0.95, n_models, np.inf) / np.sqrt(2)
critical_difference = quantile * np.sqrt(n_models * (n_models + 1) / (6 * n_tables))
print(f"critical difference of {n_models} models on {n_tables} tables: {critical_difference:.1f}")

# %%
# The picture
# -----------
# Left: mean ranks, the best on top; grey, what is not told apart from it. Right: what a fit costs,
# and how good it is: nearer to the upper left corner is better. ``make demo`` draws it
# the same way.

seconds = np.exp(np.log(results["CPU s"].clip(lower=1e-4)).groupby(results["model"]).mean())
colours = {name: "tab:red" if name in OURS else "tab:grey" for name in models}
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
left.axvspan(ranks.iloc[0], ranks.iloc[0] + critical_difference, color="0.93")
for row, (name, rank) in enumerate(ranks.items()):
    left.plot(rank, row, "o", color=colours[name], ms=9)
    right.plot(seconds[name], rank, "o", color=colours[name], ms=9)
    place = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center"}
    right.annotate(name, (seconds[name], rank), **place)
left.set_yticks(range(n_models), ranks.index)
for axes in (left, right):
    axes.invert_yaxis()  # the best on top
left.set(xlim=(0.7, n_models + 0.3), xlabel="mean rank by loss (← better)")
left.set_title("grey: not told apart from the best")
right.set(xscale="log", xlabel="CPU seconds to fit (← better)")
right.set(ylabel="mean rank by loss (better →)", title="rank against time to fit")
right.margins(x=0.25, y=0.12)

# %%
# How to read it
# --------------
# If a simple model is as good as the others within the grey band, take the simple one. If a model
# is ahead on one table only, look at that table: :ref:`which` says what each method is made for.
# And if everything is grey, more tables tell more than more splits.
