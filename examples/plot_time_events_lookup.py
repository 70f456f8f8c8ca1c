"""
When matters: events, and how long ago they were
================================================

A log of events at uneven moments: doors that open, parts that fail, customers who come back.
Often what counts is not the last event, or the third last, but *the one a day ago*, wherever it
stands in the list. Attention with a functional map of time can look there.
"""

# %%
# A log with a daily echo
# -----------------------
# Each of 150 machines reports events of four kinds. What a machine does now echoes what it did 24
# hours before: the next kind is that of the event closest to 24 hours before the last one.

import numpy as np
import pandas as pd

from sklearn_selfattn import TimeEventClassifier, make_event_windows

rng = np.random.default_rng(0)
rows = []
for machine in range(150):
    hours = rng.exponential(4.0, size=60).cumsum()
    kinds = list(rng.integers(4, size=12))
    for i in range(12, 60):
        kinds.append(kinds[np.abs(hours[i - 1] - hours[:i] - 24.0).argmin()])
        if rng.random() < 0.3:
            kinds[-1] = rng.integers(4)
    rows.append(pd.DataFrame({"machine": machine, "hours": hours, "kind": kinds}))
log = pd.concat(rows)
log["at"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(log["hours"], unit="h")
log["kind"] = log["kind"].map(dict(enumerate(["fill", "heat", "stir", "drain"])))
log.head(3)[["machine", "at", "kind"]]

# %%
# Histories and targets
# ---------------------
# Each row holds what happened strictly before its target. ``groups`` keeps the rows of a machine
# together when splitting.

X, y, groups, cutoff_times = make_event_windows(
    log, "machine", "at", "kind", target="next_type", min_history=12, max_len=20, unit="h"
)
train, test = groups < 110, groups >= 110
X

# %%
# Fit, with time and without
# --------------------------
# The same net twice: once it knows how long ago each event was, once only their order.

options = {"max_epochs": 12, "time_reference": "relative", "random_state": 0}
model = TimeEventClassifier(**options).fit(X[train], y[train])
order = TimeEventClassifier(time_encoding="positional", **options).fit(X[train], y[train])
print(f"accuracy, by elapsed time: {model.score(X[test], y[test]):.3f}")
print(f"accuracy, by order alone:  {order.score(X[test], y[test]):.3f}")

# %%
# Where it looks
# --------------
# Attention against elapsed time: a day ago.

from sklearn_selfattn import AttentionByLagDisplay

AttentionByLagDisplay.from_estimator(model, X[test][:600])

# %%
# When is the next event?
# -----------------------
# Gaps here are exponential, so nobody can know. A regressor with a whole distribution as output
# says so: its intervals are wide, and they hold.

from sklearn_selfattn import TimeEventRegressor, TimeToEventCalibrationDisplay

X, y, groups, cutoff_times = make_event_windows(
    log, "machine", "at", "kind", min_history=12, max_len=8, unit="h"
)
train, test = groups < 110, groups >= 110
waiting = TimeEventRegressor(loss="lognormal_mixture", max_epochs=6, random_state=0)
waiting.fit(X[train], y[train])
lower, upper = waiting.predict_interval(X[test][:1], coverage=0.8)[0]
print(f"the next event comes in {lower:.1f} to {upper:.1f} hours, four times out of five")
print("at the median:", waiting.predict_event_time(X[test][:1])[0])

# %%
# The line follows the diagonal where predicted probabilities hold.

TimeToEventCalibrationDisplay.from_estimator(waiting, X[test], y[test])
