"""
Labels that arrive after training
=================================

A model trained on old places is used in new ones. There, every few days somebody sells a house,
and its price says something about the prices next door.
:meth:`~sklearn_selfattn.NPTRegressor.set_context` hands such rows to a trained net, which uses
them at once: no gradient step, no new model.
"""

# %%
# Places
# ------
# A house has coordinates, a size, an age and a column of no importance. Its price depends on
# size and age, and on a level that all houses of a place share. The levels have no pattern:
# nobody can know that of a new place before the first house there is sold.

import numpy as np

rng = np.random.default_rng(0)
N_EACH = 8  # houses of a place


def make_houses(n_places):
    """Return the houses of some places, their prices and the number of their place."""
    where = rng.uniform(-2, 2, size=(n_places, 2))
    level = rng.normal(size=n_places)
    place = np.repeat(np.arange(n_places), N_EACH)
    X = np.column_stack([where[place], rng.normal(size=(len(place), 3))])
    price = level[place] + 0.6 * X[:, 2] - 0.4 * X[:, 3] + 0.2 * rng.normal(size=len(place))
    return X, price, place


X, price, place = make_houses(2500)

# %%
# Fit
# ---
# ``groups`` draws the houses of a place together in a training step, so that the net can find
# out that neighbours are worth looking at. It is told the groups in training only; later it has
# to go by the coordinates. The other parameters are for tables where finding the right rows is
# the task, see :ref:`sphx_glr_gallery_plot_npt_lookup_intervention.py`.

from sklearn_selfattn import NPTRegressor

model = NPTRegressor(
    pretrained=False,
    n_estimators=1,
    n_heads=1,
    dropout=0.0,
    learning_rate=1e-3,
    batch_size=128,
    max_epochs=25,
    feature_mask_prob=0.0,
    early_stopping=False,
    random_state=0,
)
model.fit(X, price, groups=place)

# %%
# New places, first without a sale, then with more and more
# ----------------------------------------------------------
# Two houses of each of 60 new places are to be valued; up to six others have been sold. The
# yardsticks: gradient boosting, fitted anew each time, to the new sales or to old and new ones,
# whichever comes out better; and the formula that who knows the structure of the data would use,
# with the number of the place, which the models are not given.

from sklearn.ensemble import HistGradientBoostingRegressor

X_new, price_new, place_new = make_houses(60)
nth = np.tile(np.arange(N_EACH), 60)  # the houses of a place in the order of their sale
asked = nth >= 6


def error(predicted):
    """Return the root mean squared error of the houses that are to be valued."""
    return np.sqrt(np.mean((predicted - price_new[asked]) ** 2))


def boosting_error(sold):
    """Fit to the new sales, or to old and new ones; return the lower error."""
    errors = []
    for n_old in (0, len(X)):
        seen = np.vstack([X[:n_old], X_new[sold]]), np.r_[price[:n_old], price_new[sold]]
        other = HistGradientBoostingRegressor(random_state=0).fit(*seen)
        errors.append(error(other.predict(X_new[asked])))
    return min(errors)


def formula_error(sold):
    """Use the true effects of size and age, and the mean of what is left in each place."""
    rest = price_new - 0.6 * X_new[:, 2] + 0.4 * X_new[:, 3]
    level = np.bincount(place_new[sold], rest[sold]) / np.bincount(place_new[sold])
    return error((level[place_new] + price_new - rest)[asked])


unsold = error(model.predict(X_new[asked]))  # only old sales to look at
errors = {"NPT, set_context": [], "gradient boosting, fitted anew": [], "formula": []}
n_sold = [1, 2, 3, 4, 6]
for n in n_sold:
    sold = nth < n
    model.set_context(X_new[sold], price_new[sold])
    errors["NPT, set_context"].append(error(model.predict(X_new[asked])))
    errors["gradient boosting, fitted anew"].append(boosting_error(sold))
    errors["formula"].append(formula_error(sold))

# %%
import matplotlib.pyplot as plt

fig, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
for (name, values), color in zip(errors.items(), ["#0072b2", "#d55e00", "0.5"], strict=True):
    ax.plot(n_sold, values, marker="o", color=color, label=name)
ax.plot([0, n_sold[0]], [unsold, errors["NPT, set_context"][0]], marker="o", color="#0072b2")
ax.set(xlabel="sold houses in each new place", ylabel="error (RMSE)", ylim=(0, None))
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)

# %%
# At 0 NPT has old sales only, and guesses the level of every new place. The first sale in each
# takes it most of the way. The formula, which is given the number of the place and the exact
# effects, stays ahead; boosting cannot read the level of a place off so few rows.
#
# What accuracy to expect
# -----------------------
# ``predict_loo`` predicts rows of the context from the others. The net never trained on these,
# so their errors are honest, and no sale has to be set aside. It leaves a tenth of the rows out
# at a time, so each is predicted from a little less than what there is: the estimate is on the
# careful side.

loo_error = np.sqrt(np.mean((model.predict_loo() - model.context_target_) ** 2))
print(f"error of predict_loo on the new sales: {loo_error:.3f}")
print(f"error on the houses that were asked:   {error(model.predict(X_new[asked])):.3f}")

# %%
# Which sales counted
# -------------------
# Here are the rows looked at for the first house. Rows 0 to 5 of the context are its place.

model.neighbors(X_new[asked][:1], n_neighbors=6).round(3)

# %%
# Did it matter?
# --------------
# With each column of the context shuffled on its own, no sale is what and where it was.

from sklearn_selfattn import ContextRelianceDisplay

ContextRelianceDisplay.from_estimator(model, X_new[asked], price_new[asked], random_state=0)

# %%
# More is not always better
# -------------------------
# ``append=True`` keeps the old context. Here a thousand old sales are put beside the new ones.
# The net was trained in steps of 128 rows. What it took for near among so few is not near among
# many: now it looks at old places close by as well.

model.set_context(X[:1000], price[:1000], append=True)
print(f"error with a thousand old sales beside: {error(model.predict(X_new[asked])):.3f}")
