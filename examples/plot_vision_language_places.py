"""
Which word looks where: a picture and a question in every row
=============================================================

A row of this table is a picture of nine squares and a question about one of them. Neither half
knows the answer: the picture does not say which square is meant, the words do not say what colour
it has. :class:`~sklearn_selfattn.VisualParsingClassifier` lets words and places look at each other.
"""

# %%
# The table
# ---------
# A frame with a column of pictures and one of texts. Colours are not pure: pixels are off a bit.

import numpy as np
import pandas as pd

COLOURS = {
    "red": (220, 40, 40), "green": (30, 170, 60), "blue": (40, 60, 220),
    "yellow": (240, 210, 40), "black": (20, 20, 20),
}  # fmt: skip
ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "centre", "right")
rng = np.random.default_rng(0)
names = list(COLOURS)


def make_squares(n_rows):
    """Return pictures with questions, and the answers."""
    grids = rng.integers(5, size=(n_rows, 3, 3))
    pixels = np.array(list(COLOURS.values()))[grids].repeat(4, axis=1).repeat(4, axis=2)
    pixels = (pixels + rng.integers(-20, 21, size=pixels.shape)).clip(0, 255).astype(np.uint8)
    row, column = rng.integers(3, size=(2, n_rows))
    texts = [f"which colour is {ROWS[r]} {COLUMNS[c]} ?" for r, c in zip(row, column, strict=True)]
    answers = np.array(names)[grids[np.arange(n_rows), row, column]]
    return pd.DataFrame({"image": list(pixels), "text": texts}), answers


X, y = make_squares(4000)
X_test, y_test = make_squares(500)
X.head(3)

# %%
# Fit, predict
# ------------
# One token for each square; a linear map of its pixels is enough for plain colours.

from sklearn_selfattn import VisualParsingClassifier

model = VisualParsingClassifier(
    backbone="linear", patch_size=4, d_model=32, dropout=0.0, max_epochs=12, random_state=0
).fit(X, y)
print(f"accuracy: {model.score(X_test, y_test):.3f}")

# %%
# The usual way, features of the picture beside counts of the words, in two strengths. A linear
# model cannot tell which square is meant; gradient boosting has to find each of the nine by itself.

from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

words = CountVectorizer().fit(X["text"])


def side_by_side(X):
    """Return the mean colour of each square, and the words."""
    pixels = np.stack(X["image"]).reshape(-1, 3, 4, 3, 4, 3).mean(axis=(2, 4)) / 255
    return np.hstack([pixels.reshape(len(X), -1), words.transform(X["text"]).toarray()])


for rival in (LogisticRegression(max_iter=1000), HistGradientBoostingClassifier(random_state=0)):
    score = rival.fit(side_by_side(X), y).score(side_by_side(X_test), y_test)
    print(f"{type(rival).__name__}: {score:.3f}")

# %%
# Where each word looks
# ---------------------
# The picture once for each word, faded where the word does not look, with the share of its
# attention that goes to the picture. The answer is read from [CLS], which has found the square.

from sklearn_selfattn import CrossModalAttentionDisplay

CrossModalAttentionDisplay.from_estimator(model, X_test[:1], layer=-1)

# %%
# How much crosses over
# ---------------------
# Layer by layer: the share of all attention among picture and words that goes from one to the
# other. Chance is what there would be if everything were looked at alike.

from sklearn_selfattn import InterModalityFlowDisplay

InterModalityFlowDisplay.from_estimator(model, X_test)

# %%
# What is it without?
# -------------------
# A flow describes; whether it matters, tells the same model with the crossing set to zero.

from sklearn_selfattn.vision_language import without_cross_attention

apart = without_cross_attention(model)
print(f"with: {model.score(X_test, y_test):.3f}, without: {apart.score(X_test, y_test):.3f}")
