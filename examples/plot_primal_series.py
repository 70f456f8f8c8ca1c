"""
Series of any length, and whether attention helps
=================================================

:class:`~sklearn_selfattn.PrimalAttentionClassifier` reads time series with attention whose cost is
linear in their length. Series may differ in length; its probabilities come with their uncertainty;
and the net without attention is one parameter away.
"""

# %%
# Gestures that take their time
# -----------------------------
# Three gestures drawn in a plane, each at its own speed, place and size: 25 to 60 steps of two
# channels. A list of arrays is all that is needed.

import numpy as np

from sklearn_selfattn import PrimalAttentionClassifier


def gesture(kind, rng):
    """Draw a gesture as an array of two channels."""
    t = np.linspace(0, 1, rng.integers(25, 61)) ** rng.uniform(0.7, 1.4)
    angle = 2 * np.pi * t + rng.uniform(0, 0.8)
    x, y = {
        "circle": (np.cos(angle), np.sin(angle)),
        "eight": (np.sin(angle), np.sin(2 * angle)),
        "zigzag": (2 * t - 1, np.abs((4 * t) % 2 - 1)),
    }[kind]
    path = rng.uniform(0.6, 1.5) * np.stack([x, y]) + rng.normal(0, 0.3, (2, 1))
    return path + 0.25 * rng.normal(size=path.shape)


rng = np.random.default_rng(0)
kinds = np.array(["circle", "eight", "zigzag"])
y = rng.choice(kinds, 150)
X = [gesture(kind, rng) for kind in y]
X_train, y_train, X_test, y_test = X[:90], y[:90], X[90:], y[90:]

model = PrimalAttentionClassifier(max_epochs=15, random_state=0).fit(X_train, y_train)
print(f"accuracy on new gestures: {model.score(X_test, y_test):.3f}")

# %%
# A row of `X` is a series, so that scikit-learn's tools work; and a prediction is the same whether
# the series comes alone, in a list or padded with NaN.

longest = max(series.shape[1] for series in X_test)
padded = np.full((len(X_test), 2, longest + 20), np.nan)
for row, series in zip(padded, X_test, strict=True):
    row[:, : series.shape[1]] = series

np.abs(model.predict_proba(padded) - model.predict_proba(X_test)).max()

# %%
# What is it unsure of?
# ---------------------
# Entropy of the predictions under growing noise, and its parts: *aleatoric*, which the members of
# the ensemble agree on, and *epistemic*, where they disagree.

from matplotlib import pyplot as plt

levels = np.linspace(0, 3, 7)
parts = np.array(
    [
        [
            part.mean()
            for part in model.predict_uncertainty(
                [series + level * rng.normal(size=series.shape) for series in X_test]
            )
        ]
        for level in levels
    ]
)
fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for part, name, color in zip(
    parts.T, ("total", "aleatoric", "epistemic"), ("#333333", "#0072B2", "#D55E00"), strict=True
):
    ax.plot(levels, part, marker="o", label=name, color=color)
ax.set(
    xlabel="deviation of the added noise", ylabel="entropy (nats)", title="Noise and uncertainty"
)
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)

# %%
# Does attention help?
# --------------------
# Not always: on gestures like these, the same net without it does as well. It must help where the
# answer is a joint property of distant steps. Here the class is the sign of a product of two.


def product(n, seed):
    """Return noise, and whether the product of two of its steps is positive."""
    noise = np.random.default_rng(seed).normal(size=(n, 2, 16))
    return noise, noise[:, 0, 3] * noise[:, 1, 12] > 0


scores = {}
for attention in ("primal", "none"):
    gestures = PrimalAttentionClassifier(attention=attention, max_epochs=8, random_state=0)
    pairs = PrimalAttentionClassifier(
        attention=attention, stem="linear", pooling="flatten", augment=False, early_stopping=False,
        n_estimators=1, batch_size=32, max_epochs=15, learning_rate=4e-3, dropout=0, random_state=0,
    )  # fmt: skip
    scores[attention] = (
        gestures.fit(X_train, y_train).score(X_test, y_test),
        pairs.fit(*product(1000, 0)).score(*product(1000, 1)),
    )
for attention, (on_gestures, on_products) in scores.items():
    print(f"{attention:7s} gestures {on_gestures:.3f}   products {on_products:.3f}")

# %%
# How many directions?
# --------------------
# The singular values of the attention kernel, from its factors. A curve far above the dotted line
# means that few directions hold most of it.

from sklearn_selfattn import AttentionSpectrumDisplay

AttentionSpectrumDisplay.from_estimator(model, X_test)
