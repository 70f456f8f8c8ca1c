"""
What a table tells of causes
============================

Two things go together. Does one cause the other, or does something that nobody measured cause
both? Often the other columns tell. :class:`~sklearn_selfattn.PAGDiscovery` draws from a table what
holds in *every* causal graph that fits it, hidden causes included.
"""

# %%
# A garden, and what was not measured
# -----------------------------------
# Rain and a hose wet the street, a wet street makes accidents. Heat makes people buy ice cream and
# go swimming, but nobody wrote the temperature down.

import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
n_days = 3000


def noise():
    """Draw what moves a column by itself."""
    return rng.normal(size=n_days)


rain, hose, heat, price = noise(), noise(), noise(), noise()
street = rain + hose + noise()
days = pd.DataFrame(
    {
        "rain": rain,
        "hose": hose,
        "street wet": street,
        "accidents": 0.8 * street + noise(),
        "ice price": price,
        "ice cream": 1.2 * heat - 0.7 * price + noise(),
        "pool fee": (fee := noise()),
        "swimmers": 1.2 * heat - 0.7 * fee + noise(),
    }
)

# %%
# The graph
# ---------
# Ice cream and swimming are tied by two arrowheads: neither causes the other, something hidden
# causes both. That a wet street causes accidents is sure; that rain causes the wet street is
# possible, and so is a hidden cause of the two: hence the circle.

from sklearn_selfattn import PAGDiscovery, PAGDisplay

model = PAGDiscovery().fit(days)
print(model.pag_)
PAGDisplay.from_estimator(model)

# %%
# Without the prices, nothing tells the hidden cause from a cause: circles.

print(PAGDiscovery().fit(days[["ice cream", "swimmers"]]).pag_)

# %%
# Why is an edge there, and why is another not? Each absent edge has a set that explains it away,
# each edge the largest p-value that it survived.

names = days.columns
for (i, j), given in list(model.sepsets_.items())[:4]:
    print(f"{names[i]} and {names[j]} are independent given {[names[k] for k in given]}")
model.pag_.to_frame()

# %%
# How much depends on the level?
# ------------------------------
# The level of the tests is a choice. Edges that stay as it falls over orders of magnitude are
# safer. At lax levels, chance adds edges, and with them arrowheads.

from sklearn_selfattn import AlphaPathDisplay

AlphaPathDisplay.from_estimator(PAGDiscovery(), days.head(300))

# %%
# What does it cost?
# ------------------
# Iterative causal discovery starts with small conditioning sets and lets each level's marks choose
# the tests of the next. FCI, the classical method, asks more.

from sklearn_selfattn import CITestCountDisplay

mixed = rng.normal(size=(1000, 14)) @ np.linalg.inv(
    np.eye(14) - np.triu(rng.random((14, 14)) < 0.2, 1) * rng.uniform(0.5, 1, (14, 14))
)
CITestCountDisplay.from_estimator(
    PAGDiscovery("icd").fit(mixed[:, 2:]), PAGDiscovery("fci").fit(mixed[:, 2:])
)
