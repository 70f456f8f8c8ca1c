"""
Hidden rhythms, as features for any model
=========================================

Orders have rhythms that nobody wrote down. A functional map of time finds them in time stamps and
turns a date into a few columns, after which a linear model forecasts.
"""

# %%
# A log with two rhythms
# ----------------------
# Orders per hour of one plant over ten weeks: they go up and down with the day, and with a machine
# that needs parts every 68 hours.

import numpy as np
import pandas as pd

hours = np.arange(24 * 70)
rhythm = np.sin(2 * np.pi * hours / 24) + 0.8 * np.sin(2 * np.pi * hours / 68 + 1)
orders = np.random.default_rng(0).poisson(4 * np.exp(0.6 * rhythm))
X = pd.DataFrame({"at": pd.Timestamp("2026-03-02") + pd.to_timedelta(hours, unit="h")})
is_past = hours < 24 * 60
X_past, y_past = X[is_past], orders[is_past]

# %%
# Which rhythms?
# --------------
# The encoder takes the strongest periods of the target from a periodogram, which does not ask for
# even steps. The picture has them by the share of the orders' variance that they explain.

from sklearn_selfattn import BochnerTimeEncoder, TimeSpectrumDisplay

encoder = BochnerTimeEncoder(n_frequencies=2, frequency_init="periodogram", unit="h")
encoder.fit(X_past, y_past)
print("periods found:", np.round(encoder.periods_[0], 2), "hours")
TimeSpectrumDisplay.from_estimator(encoder)

# %%
# The kernel behind it says how alike two moments are, by what lies between them. After 17 days, 408
# hours, both rhythms meet, and all is as it was.

from sklearn_selfattn import TimeKernelDisplay

TimeKernelDisplay.from_estimator(encoder, lags=np.linspace(0, 24 * 20, 1000))

# %%
# Ten days ahead
# --------------
# Sine and cosine of each period, and a linear model for counts. Beside it boosted trees with what
# one would write down: hour and day of the week.

from matplotlib import pyplot as plt
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import PoissonRegressor
from sklearn.metrics import mean_poisson_deviance
from sklearn.pipeline import make_pipeline

clock = pd.DataFrame({"hour": X["at"].dt.hour, "weekday": X["at"].dt.day_of_week})
linear = make_pipeline(encoder, PoissonRegressor(alpha=1e-3)).fit(X_past, y_past)
trees = HistGradientBoostingRegressor(loss="poisson").fit(clock[is_past], y_past)
forecasts = {
    "waves, linear model": linear.predict(X[~is_past]),
    "clock, boosted trees": trees.predict(clock[~is_past]),
}
for name, forecast in forecasts.items():
    print(f"{name:21} Poisson deviance {mean_poisson_deviance(orders[~is_past], forecast):.3f}")

fig, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
days = hours[~is_past] / 24 - 60
ax.plot(days, orders[~is_past], ".", color="#bbbbbb", label="orders")
for (name, forecast), color in zip(forecasts.items(), ("#0072B2", "#D55E00"), strict=True):
    ax.plot(days, forecast, color=color, label=name)
ax.set(xlabel="days ahead", ylabel="orders per hour")
ax.set_title("A rhythm of 68 hours is on no clock", loc="left")
ax.legend(frameon=False, ncols=3, loc="upper left")
ax.set_ylim(top=1.25 * orders[~is_past].max())
ax.spines[["top", "right"]].set_visible(False)
