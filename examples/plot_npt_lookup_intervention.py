"""
Looking an answer up, and proof that it was looked up
=====================================================

Attention weights show where a model *could* have found its answer. An intervention shows where it
*did*: change one stored label, keep everything else, and watch the predictions.

The task follows section 4.2 of the paper (`arXiv:2106.02584 <https://arxiv.org/abs/2106.02584>`_).
Every row has a twin in the table. The twin's label is the row's label plus one, so that the answer
can be had neither from the features alone nor by copying: the model must find the twin, read its
label and take one away. The last column tells which of the two a row is.
"""

# %%
# Twins
# -----
# Half of what the target does is noise, about which the features say nothing. Whoever predicts it
# has looked it up.

import numpy as np

rng = np.random.default_rng(0)


def make_pairs(n_pairs):
    """Return rows, their targets, and the same rows again with targets one higher."""
    X = rng.normal(size=(n_pairs, 10))
    y = np.sin(2 * X[:, 0]) + 0.7 * X[:, 1] + rng.normal(size=n_pairs)
    is_twin = np.ones((n_pairs, 1))
    return np.hstack([X, 0 * is_twin]), y, np.hstack([X, is_twin]), y + 1.0


X, y, X_twin, y_twin = make_pairs(600)

# %%
# Fit
# ---
# ``groups`` keeps a row and its twin in the same batch, so that there is something to find.

from sklearn_selfattn import NPTRegressor

pair = np.arange(len(X))
model = NPTRegressor(random_state=0).fit(
    np.vstack([X, X_twin]), np.concatenate([y, y_twin]), groups=np.concatenate([pair, pair])
)

# %%
# New rows
# --------
# Rows that were not there in training. Their twins are put into the context: no gradient step, the
# weights stay as they are.

X_new, y_new, X_new_twin, y_new_twin = make_pairs(200)
model.set_context(X_new_twin, y_new_twin)
predicted = model.predict(X_new)

print(f"correlation with the true target: {np.corrcoef(y_new, predicted)[0, 1]:.3f}")
print(f"error in standard deviations:     {np.sqrt(np.mean((y_new - predicted) ** 2)):.3f}")

# %%
# What others make of it
# ----------------------
# The same rows for two methods that see the same training table and the same twins.

from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.neighbors import KNeighborsRegressor

seen_X = np.vstack([X, X_twin, X_new_twin])
seen_y = np.concatenate([y, y_twin, y_new_twin])
for other in (KNeighborsRegressor(n_neighbors=1), HistGradientBoostingRegressor(random_state=0)):
    error = other.fit(seen_X, seen_y).predict(X_new) - y_new
    print(f"{type(other).__name__:30s} error {np.sqrt(np.mean(error**2)):.3f}")

# %%
# The nearest neighbour finds the twin and copies its label, one too high each time. The trees have
# nothing to go by.
#
# The intervention
# ----------------
# Now the label of the first row's twin takes other values while all else stays. The prediction for
# the row follows (a twin is one too high, so the line runs one below). The predictions for the next
# rows, in grey, stay where they are: their twins have not changed.

from sklearn_selfattn import InterventionDisplay

InterventionDisplay.from_estimator(
    model, X_new[:8], X_new_twin, y_new_twin, row=0, values=np.linspace(-1, 3, 13)
)

# %%
# And these are the stored rows that the prediction leaned on; the twin is row 0.

model.neighbors(X_new[:1], n_neighbors=5)
