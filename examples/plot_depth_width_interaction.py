"""
How deep, how wide, and how strongly features interact
======================================================

Three questions that go together. How many layers, and how wide, for a number of parameters? Does
the data agree? And what is depth for: how strongly does a model tie one group of features to
another?
"""

# %%
# Where to start
# --------------
# Theory says that layers pay as long as there are fewer of them than the logarithm of the width
# to base 3. For the sizes that tables call for, this is two or three; the published law, fitted to
# language models, starts at three million parameters.

from sklearn_selfattn import SeparationBoundsDisplay, recommend_depth_width

for n_params in (1e4, 1e5, 1e6, 1e9):
    shape = recommend_depth_width(n_params, n_heads=4)
    print(f"{n_params:.0e} parameters: {shape.depth} x {shape.width} ({shape.rule})")

# %%
# The reason, in a picture. The separation rank measures how strongly a network of linear attention
# can tie two halves of its input together. Left of the dashed line another layer nearly
# triples the logarithm of the lower bound; right of it, it adds as much as the last one did.

SeparationBoundsDisplay.from_widths([32, 256, 2048])

# %%
# How strongly a fitted model ties features together
# --------------------------------------------------
# The same measure works for any model that predicts. An additive model has rank 2, a quadratic one
# of five features either side 7. Boosting and support vectors go on falling: ranks of their own
# depth.

from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVR

from sklearn_selfattn import SeparationRankDisplay

X, y = load_diabetes(return_X_y=True)
models = {
    "linear": LinearRegression(),
    "boosted stumps": HistGradientBoostingRegressor(max_depth=1),
    "quadratic": make_pipeline(PolynomialFeatures(2), LinearRegression()),
    "support vectors": make_pipeline(StandardScaler(), SVR(C=100)),
    "boosting": HistGradientBoostingRegressor(),
}
for model in models.values():
    model.fit(X, y)
display = SeparationRankDisplay.from_estimator(models, X, range(5))

# %%
# A finite rank is a cliff; without one, read the share of the variance that is interaction between
# the two groups. The quadratic model interacts most, far from the data that would justify it.

for name, result in display.results.items():
    print(f"{name:15}  rank {result.rank:3}  interaction {result.interaction:.3f}")

# %%
# Does the data agree?
# --------------------
# The search gives every depth the width that makes the layers equally large, counted on the module
# that is trained. Here a net for the target that depth is for: the sign of a product of three
# columns.

import numpy as np
from sklearn.model_selection import ShuffleSplit

from sklearn_selfattn import DepthWidthDisplay, DepthWidthSearchCV, NPTClassifier

rng = np.random.default_rng(0)
Z = rng.normal(size=(400, 3))
sign = Z.prod(axis=1) > 0
net = NPTClassifier(
    pretrained=False,
    architecture="cells",
    n_estimators=1,
    n_heads=1,
    n_bins=0,
    max_epochs=6,
    early_stopping=False,
    random_state=0,
)
search = DepthWidthSearchCV(
    net,
    n_params=(1700, 6600),
    depths=(1, 2),
    cv=ShuffleSplit(5, test_size=0.3, random_state=0),
    random_state=0,
).fit(Z, sign)
DepthWidthDisplay.from_search(search, score_name="accuracy")

# %%
# A crossing is only reported where the intervals of the differences exclude zero, so that most
# small experiments end as "undetermined". That is an answer, too: take the smaller net, which
# the default rule does.

print(search.crossings_[["depth_lo", "depth_hi", "status"]].to_string(index=False))
print(f"selected: {search.best_depth_} x {search.best_width_}")
