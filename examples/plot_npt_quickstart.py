"""
A classifier that reads the table
=================================

The table here has what real tables have: numbers, categories, text values and empty cells. We give
it to :class:`~sklearn_selfattn.NPTClassifier` as it is, look at the probabilities, then at the rows
that were looked at, and ask whether that mattered.
"""

# %%
# The table
# ---------
# scikit-learn's wine data, made a little more like life: two measurements become categories, and a
# tenth of all cells goes missing.

import numpy as np
import pandas as pd
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

wine = load_wine(as_frame=True)
X = wine.data.drop(columns=["hue", "proline"])
X["tint"] = pd.cut(wine.data["hue"], 3, labels=["purple", "red", "brick"])
X["body"] = np.where(wine.data["proline"] > 750, "full", "light")
X = X.mask(np.random.default_rng(0).random(X.shape) < 0.1)
cultivar = wine.target.map({0: "Barolo", 1: "Grignolino", 2: "Barbera"})

X.dtypes

# %%
X_train, X_test, y_train, y_test = train_test_split(
    X, cultivar, test_size=0.3, stratify=cultivar, random_state=0
)
X_test.head()

# %%
# Fit and predict
# ---------------
# No encoder, no scaler, no imputer: columns are read by their type, and an empty cell is a value of
# its own kind. On a table this small nothing is trained either: the package carries weights that
# have learnt from synthetic tables how to use labelled rows.

from sklearn_selfattn import NPTClassifier

model = NPTClassifier(random_state=0).fit(X_train, y_train)
print(f"accuracy on unseen rows: {model.score(X_test, y_test):.3f}")

pd.DataFrame(model.predict_proba(X_test), columns=model.classes_, index=X_test.index).round(
    3
).head()

# %%
# Which rows did it look at?
# --------------------------
# Every prediction looks at the stored rows. ``neighbors`` lists those with the largest weights.

model.neighbors(X_test.head(1), n_neighbors=5)

# %%
# The same as a picture, for three queries:

from sklearn_selfattn import NeighborsDisplay

NeighborsDisplay.from_estimator(model, X_test.head(3), n_neighbors=6)

# %%
# Does it matter that it looks?
# -----------------------------
# ``context_reliance`` shuffles the columns of the stored rows independently of each other, so that
# no stored row is a real one any more, and measures how much worse the predictions get.

from sklearn_selfattn import ContextRelianceDisplay

ContextRelianceDisplay.from_estimator(model, X_test, y_test, random_state=0)

# %%
# It does: weights that were not trained on this table know nothing of it but its rows.
#
# A net of the table's own
# ------------------------
# ``pretrained=False`` trains four small nets on this table, the way to go for larger ones. Each
# holds another quarter of the rows out; when the mean loss on these no longer falls, training
# stops, and the best epoch is kept.

from sklearn_selfattn import TrainingHistoryDisplay

trained = NPTClassifier(pretrained=False, random_state=0).fit(X_train, y_train)
print(f"accuracy on unseen rows: {trained.score(X_test, y_test):.3f}")

TrainingHistoryDisplay.from_estimator(trained)

# %%
# Such a net may learn to do without the other rows, where a wine's own measurements suffice:

ContextRelianceDisplay.from_estimator(trained, X_test, y_test, random_state=0)

# %%
# Where the answer does lie in other rows, it shows: :ref:`sphx_glr_gallery_plot_npt_context.py`.
