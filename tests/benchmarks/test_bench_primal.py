"""The primal benchmark: what its records turn into, and that page and file agree."""

import bench_primal
import numpy as np
import primal_experiments
import pytest
import render_primal
import torch
from primal_data import SERIES, cross_token_xor, load_series
from primal_figures import figures, mean_over_sets


def record(experiment, numbers, seed=0):
    return {"experiment": experiment, "seed": seed, "numbers": numbers, "cpu_s": 1.0}


def scores(**accuracy):
    return {
        model: {"accuracy": a, "log_loss": 1 - a, "ece": 0.03, "cpu_s": 50.0}
        for model, a in accuracy.items()
    }


ALL = {"primal": 0.9, "softmax": 0.91, "linear": 0.9, "none": 0.9, "minirocket": 0.92,
       "trees": 0.88, "ridge": 0.7}  # fmt: skip
RECORDS = [
    *[record(f"series {name}", scores(**ALL)) for name in SERIES],
    record("series Libras", scores(**{**ALL, "primal": 1.0}), seed=1),
    record("xor", {"primal": 0.95, "weights not of the data": 0.5, "none": 0.5, "softmax": 0.5,
                   "linear": 0.5}),
    record("speed", {f"{what} {kind} {size}": cost * size for what in ("core", "train")
                     for kind, cost in (("primal", 1.0), ("softmax", 50.0), ("linear", 0.5))
                     for size in (1024, 4096, 16384)}),
    record("memory", {f"{kind} 16384": 70.0 for kind in ("primal", "softmax", "linear")}),
]  # fmt: skip


def test_means_are_over_seeds_then_sets():
    assert mean_over_sets(RECORDS, "primal") == pytest.approx((4 * 0.9 + 0.95) / 5)
    assert mean_over_sets(RECORDS[:3], "primal") is None


def test_misses_are_named():
    found = {f["name"]: f for entries in figures(RECORDS).values() for f in entries}
    assert found["points above minirocket"]["reached"]
    assert not found["points above trees"]["reached"]
    assert found["points above softmax"]["value"] == pytest.approx(0)
    assert found["CPU seconds of the five fits"]["value"] == pytest.approx(250)
    assert found["core of attention: slope of log time over log tokens"]["value"] == 1
    missed = [name for name, f in found.items() if f.get("reached") is False]
    assert "core of attention, 16,384 tokens: times faster than softmax" in missed
    assert "core of attention, 1,024 tokens: time over linear attention's" in missed
    machine = {"cpu": "one", "n_cores": 1, "system": "a", "versions": {"torch": "2"}}
    page = render_primal.page({"records": RECORDS, "machines": [machine], "commands": ["python x"]})
    for name in missed:
        assert f": {name}: " in page.split("Missed:")[1].split("---")[0]
    assert "**Not measured yet**" in page


def test_the_core_that_is_timed_is_that_of_the_layer():
    cores = primal_experiments.cores(64)
    layer, x, steps = primal_experiments.layer_of("primal", 64)
    with torch.no_grad():
        assert cores["primal"]().shape == (1, 1, 2, 64, 32)
        assert cores["softmax"]().shape == cores["linear"]().shape == (1, 2, 64, 32)
        scores = layer.features(x, steps) @ layer.weights(x, steps)
        fused = layer.fused(layer.features(x, steps), layer.weights(x, steps))
        torch.testing.assert_close(layer.mix(scores), fused, atol=1e-5, rtol=0)
    primal_experiments.train_step("primal", 64)()
    times = primal_experiments.fastest({"nothing": lambda: None}, rounds=1, seconds=0.01)
    assert 0 <= times["nothing"] < 1


def test_the_rule_of_the_noise_and_the_flat_series():
    X, y = cross_token_xor(200, 64, 20, 0)
    assert X.shape == (200, 23, 64)
    np.testing.assert_array_equal(y, X[:, 0, 12] * X[:, 1, 48] > 0)
    flat = primal_experiments.flat([np.ones((2, 3)), np.ones((2, 2))])
    assert flat.tolist() == [[1] * 6, [1, 1, 0, 1, 1, 0]]


@pytest.mark.shared_data
def test_shared_series_are_read():
    X, y, X_test, y_test = load_series("ERing")
    assert (len(X), len(X_test), X[0].shape) == (30, 270, (4, 65))
    assert set(y) == set(y_test)


def test_the_page_is_what_the_results_render_to():
    bench = bench_primal.BENCH
    assert bench.load()["records"]  # at the present defaults
    assert bench.page_path.read_text() == bench.page(bench.load())
