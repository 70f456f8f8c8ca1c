"""The time-events benchmark: what its records turn into, and that page and file agree."""

import bench_time_events
import numpy as np
import pytest
import render_time_events
import time_events_experiments
from time_events_figures import figures, mean_over_seeds


def record(experiment, numbers, seed=0):
    return {"experiment": experiment, "seed": seed, "numbers": numbers, "cpu_s": 1.0}


def flights(ours, boosted, positional):
    names = {"bochner": ours, "hgb lags and clock": boosted, "positional": positional,
             "hgb lags": 0.9, "constant": 1.1}  # fmt: skip
    return {name: {"mae": value, "cpu_s": 1.0} for name, value in names.items()}


RECORDS = [
    record("flights", flights(0.70, 0.80, 0.75)),
    record("flights", flights(0.72, 0.80, 0.75), seed=1),
    record("renewal", {"1": 0.02, "86400": 0.001, "1, 3": 0.01, "scaled": 0.0}),
]


def test_figures_are_ratios_of_seed_means_and_misses_are_named():
    assert mean_over_seeds(RECORDS, "flights", "bochner", "mae") == pytest.approx(0.71)
    assert mean_over_seeds(RECORDS, "hawkes", "truth") is None
    found = {f["name"]: f for entries in figures(RECORDS).values() for f in entries}
    assert found["over HistGradientBoosting's, lags and clock"]["value"] == 0.8875
    assert found["below its positional twin, share"]["reached"]
    machine = {"cpu": "one", "n_cores": 1, "system": "a", "versions": {"torch": "2"}}
    page = render_time_events.page(
        {"records": RECORDS, "machines": [machine], "commands": ["python x"]}
    )
    assert "- Clockworks: gaps of 1: median relative error: 0.02 (target ≤ 0.01)" in page
    assert "nothing is claimed: invariance;" in page


def test_simulated_intensity_is_the_one_that_is_known():
    """The true median splits the waits in halves, and the fit finds the parameters."""
    times = time_events_experiments.simulate_hawkes(
        60, 200, 0.3, 0.7, 1.0, np.random.default_rng(0)
    )
    medians = time_events_experiments.hawkes_medians(times, 0.3, 0.7, 1.0)
    late = (np.diff(times, axis=1) > medians)[:, 20:]
    assert late.mean() == pytest.approx(0.5, abs=0.02)
    fitted = time_events_experiments.fit_hawkes(times)
    np.testing.assert_allclose(fitted, [0.3, 0.7, 1.0], rtol=0.15)


def test_the_page_is_what_the_results_render_to():
    bench = bench_time_events.BENCH
    assert bench.load()["records"]  # at the present defaults
    assert bench.page_path.read_text() == bench.page(bench.load())
