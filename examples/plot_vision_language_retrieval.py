"""
Pictures by their description, without a label
==============================================

Pairs of picture and sentence are often there in thousands, labels are not. ``pretrain`` learns from
the pairs alone: words that are hidden, pictures that were swapped, places that are hidden. Then
pictures can be searched by a sentence, wrong pairs stand out, and few labels go further.
"""

# %%
# Pairs without labels
# --------------------
# Each picture has four squares of some colour, its sentence speaks of one of them.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

COLOURS = {"red": (220, 40, 40), "green": (30, 170, 60), "blue": (40, 60, 220)}
PLACES = ("upper left", "upper right", "lower left", "lower right")
names, rng = list(COLOURS), np.random.default_rng(0)


def make_pairs(n_rows):
    """Return pictures with true sentences, and the colours of their squares."""
    grids = rng.integers(3, size=(n_rows, 4))
    pixels = np.array(list(COLOURS.values()))[grids].reshape(n_rows, 2, 2, 3)
    pixels = pixels.repeat(4, axis=1).repeat(4, axis=2)
    pixels = (pixels + rng.integers(-20, 21, size=pixels.shape)).clip(0, 255).astype(np.uint8)
    places = rng.integers(4, size=n_rows)
    texts = [f"{PLACES[p]} is {names[grid[p]]}" for p, grid in zip(places, grids, strict=True)]
    return pd.DataFrame({"image": list(pixels), "text": texts}), grids


X, grids = make_pairs(3000)
X["text"].head(3).tolist()

# %%
# Pretraining
# -----------

from sklearn_selfattn import VisualParsingClassifier

model = VisualParsingClassifier(
    backbone="linear", patch_size=4, d_model=32, dropout=0.0, max_epochs=16, random_state=0
).pretrain(X)

# %%
# Which pairs are wrong?
# ----------------------
# Half of these sentences were dealt to another picture. Where that made the sentence false, the
# probability of a match says so.

from sklearn.metrics import roc_auc_score

X_new, grids_new = make_pairs(400)
shuffled = X_new.assign(text=np.roll(X_new["text"], 1))


def is_true(text, grid):
    """Say whether a sentence holds of a picture."""
    place, colour = text.split(" is ")
    return names[grid[PLACES.index(place)]] == colour


both = pd.concat([X_new, shuffled], ignore_index=True)
truth = [is_true(t, g) for t, g in zip(both["text"], [*grids_new, *grids_new], strict=True)]
print(f"area under the ROC curve: {roc_auc_score(truth, model.match_proba(both)):.3f}")

# %%
# Search
# ------
# The six best of 400 pictures for a sentence: true, all of them, and those with much of the colour
# come first. After so short a training the net knows colours better than places.

question = "lower right is blue"
proba, best = model.retrieve(X_new["image"], [question], n_neighbors=6)
figure, axes = plt.subplots(1, 6, figsize=(9, 2.2), layout="constrained")
for ax, i, p in zip(axes, best[0], proba[0], strict=True):
    ax.imshow(X_new["image"][i])
    ax.set_title(f"{p:.2f}")
    ax.set_axis_off()
figure.suptitle(question)

# %%
# Few labels
# ----------
# What colour is the square that is named? Sixty labels, with the pretrained weights and without.

from sklearn.base import clone


def ask(X, grids):
    """Return questions about one square of each picture, and the answers."""
    places = rng.integers(4, size=len(X))
    asked = X.assign(text=[PLACES[place] for place in places])
    return asked, np.array(names)[grids[np.arange(len(X)), places]]


few, many = ask(X[:60], grids[:60]), ask(X_new, grids_new)
fresh = clone(model)
print(f"pretrained: {model.fit(*few).score(*many):.3f}")
print(f"from nothing: {fresh.fit(*few).score(*many):.3f}")
