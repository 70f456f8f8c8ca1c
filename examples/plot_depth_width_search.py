"""
One layer more, or a wider one?
===============================

A parameter budget can go into depth or into width. :class:`~sklearn_selfattn.DepthWidthSearchCV`
asks the data, at equal budgets, so that a deeper net does not win by being the larger one;
``n_layers="auto"`` takes what theory says, without a search.
"""

# %%
# Where it leads
# --------------
# Each row is a map of six places, which says where each of them points, and a start. The class is
# where one arrives after one hop, or after two. One layer of attention looks things up once.

import numpy as np
import pandas as pd

N_PLACES = 6


def hops(n_rows, n_hops, seed):
    """Return rows of a map and a start, and where the hops end."""
    rng = np.random.default_rng(seed)
    points_to = rng.permuted(np.tile(np.arange(N_PLACES), (n_rows, 1)), axis=1)
    start = end = rng.integers(N_PLACES, size=n_rows)
    for _ in range(n_hops):
        end = points_to[np.arange(n_rows), end]
    names = [*(f"from {place}" for place in range(N_PLACES)), "start"]
    rows = pd.DataFrame(np.column_stack([points_to, start]), columns=names)
    return rows.astype("category"), end


hops(3, 2, seed=0)[0]

# %%
# The search
# ----------
# Each column is a token. Layers are counted on the module that is trained, and each depth gets the
# width that makes its layers as large as those of the other.

from matplotlib import pyplot as plt
from sklearn.model_selection import ShuffleSplit

from sklearn_selfattn import DepthWidthDisplay, DepthWidthSearchCV, PrimalAttentionClassifier

net = PrimalAttentionClassifier(
    attention="softmax", pooling="mean", n_estimators=1, dropout=0.0, batch_size=64,
    max_epochs=16, learning_rate=4e-3, early_stopping=False, random_state=0,
)  # fmt: skip
fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
for n_hops, ax in zip((1, 2), axes, strict=True):
    search = DepthWidthSearchCV(
        net, n_params=(5000, 19_000), depths=(1, 2), random_state=0,
        cv=ShuffleSplit(2, test_size=0.2, random_state=0),
    ).fit(*hops(3000, n_hops, seed=0))  # fmt: skip
    DepthWidthDisplay.from_search(search, score_name="accuracy", ax=ax)
    ax.set_title(f"hops: {n_hops}, layers chosen: {search.best_depth_}", loc="left")

# %%
# With one hop nothing is gained by depth, and the rule takes the simplest net within a standard
# error of the best. With two, the deeper net is ahead at the same number of parameters.

new = hops(1000, 2, seed=1)
print(f"chosen: {search.best_depth_} layers of width {search.best_width_}")
print(f"two hops, new rows: {search.score(*new):.3f}")

# %%
# Without a search
# ----------------
# The recommendation looks at the number of rows only: it costs nothing, and knows nothing of hops.

auto = net.set_params(n_layers="auto").fit(*hops(3000, 2, seed=0))
print(f"recommended: {auto.n_layers_} layers of width {auto.d_model_}")
print(f"two hops, new rows: {auto.score(*new):.3f}")
