"""
A latent space that can be looked at
====================================

:class:`~sklearn_selfattn.OTTabularClassifier` gives each class a Gaussian in a latent space of
known shape, moves the rows of the class onto it by optimal transport, and trains a small net to do
the same for rows it has not seen. So it is known beforehand where rows of each class should land,
and a row that lands elsewhere stands out.
"""

# %%
# Fit
# ---
# Half of the handwritten digits, as they come.

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_selfattn import OTTabularClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
model = OTTabularClassifier(random_state=0).fit(X_train, y_train)
print(f"accuracy on new digits: {model.score(X_test, y_test):.3f}")

# %%
# Ten classes are the corners of a regular simplex in nine coordinates. Sixteen more hold the
# *style* of a digit: the point that transport gives it in the Gaussian of its class.

model.transform(X_test).shape

# %%
# The map
# -------
# Three classes can be drawn without loss. Here means and style share coordinates, as published, so
# that a cloud and not a corner is what a class should fill. Grey points are rows in the table's own
# coordinates; an arrow leads to where the net sends the row.

from sklearn.datasets import load_wine

from sklearn_selfattn import OTMapDisplay

wine, cultivar = load_wine(return_X_y=True)
half = slice(None, None, 2), slice(1, None, 2)
drawn = OTTabularClassifier(
    geometry="simplex", radius=6.0, objective="regression", pairing="exact", random_state=0
).fit(wine[half[0]], cultivar[half[0]])
OTMapDisplay.from_estimator(drawn, wine[half[1]])

# %%
# What the transport costs tells how far a class is from a Gaussian; each class has its own.

dict(zip(drawn.classes_.tolist(), drawn.transport_cost_.round(2), strict=True))

# %%
# Rows of no known class
# ----------------------
# A net trained without the digits 8 and 9 is shown all. With ``anchor_weight``, rows of known
# classes are drawn to their corners, and others tend to stay between them: ``score_samples`` is low
# there.

import numpy as np
from sklearn.metrics import roc_auc_score

known = y_train < 8
anchored = OTTabularClassifier(anchor_weight=1.0, ce_weight=0.05, random_state=0)
anchored.fit(X_train[known], y_train[known])
score = anchored.score_samples(X_test)
print(f"area under the ROC curve, known against unknown: {roc_auc_score(y_test < 8, score):.3f}")

# %%
# The scores, digit by digit.

from matplotlib import pyplot as plt

fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
floor = np.percentile(score, 1)
by_digit = [np.maximum(score[y_test == digit], floor) for digit in range(10)]
boxes = ax.boxplot(by_digit, tick_labels=range(10))
for digit in (8, 9):
    boxes["boxes"][digit].set_color("#D55E00")
ax.set(xlabel="digit (8 and 9 were never seen)", ylabel="score_samples", title="Known and unknown")
