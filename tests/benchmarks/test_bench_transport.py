"""The transport benchmark: what its records turn into, and that page and file agree."""

from pathlib import Path

import bench_transport
import pytest
import render_transport
import transport_experiments
from transport_figures import difference, figures, mean_ranks

ROOT = Path(__file__).resolve().parents[2]


def record(experiment, numbers, seed=0):
    return {"experiment": experiment, "seed": seed, "numbers": numbers, "cpu_s": 1.0}


def scores(**accuracy):
    return {
        model: {"accuracy": a, "log_loss": 1 - a, "ece": 0.03, "balanced_accuracy": a, "cpu_s": 1.0}
        for model, a in accuracy.items()
    }


RECORDS = [
    record("table digits", scores(ot=0.9, hgb=0.8, linear=0.7, mlp=0.9, knn=0.6, qda=0.5,
                                  ot_random=0.91, ot_without=0.90)),
    record("table digits", scores(ot=0.8, hgb=0.8, linear=0.7, mlp=0.9, knn=0.6, qda=0.5,
                                  ot_random=0.81, ot_without=0.80), seed=1),
    record("transport beed_random", scores(ot=0.92, ot_random=0.91, ot_without=0.915)),
]  # fmt: skip


def test_differences_are_points_of_seed_means():
    assert difference(RECORDS, "table digits", "ot", "ot_random") == pytest.approx(-1)
    assert difference(RECORDS, "table beed", "ot", "ot_random") is None


def test_ranks_are_of_means_and_losses_rank_upside_down():
    by_accuracy, by_loss = (mean_ranks(RECORDS, key) for key in ("accuracy", "log_loss"))
    assert by_accuracy == by_loss
    assert [by_accuracy[m] for m in ("mlp", "ot", "hgb", "qda")] == [1, 2, 3, 6]


def test_misses_are_named():
    found = {f["name"]: f for entries in figures(RECORDS).values() for f in entries}
    missed = [name for name, f in found.items() if f.get("reached") is False]
    assert "beed, random split: points above no transport" in missed
    assert found["beed, random split: points above random pairs"]["reached"]
    assert "digits: points above random pairs" in missed
    machine = {"cpu": "one", "n_cores": 1, "system": "a", "versions": {"torch": "2"}}
    page = render_transport.page(
        {"records": RECORDS, "machines": [machine], "commands": ["python x"]}
    )
    for name in missed:
        assert f": {name}: " in page.split("Missed:")[1].split("---")[0]
    assert "not run" in page  # tables without a result say so


def test_the_lens_meets_its_truths():
    numbers = transport_experiments.truths(0)
    entries = figures([record("truths", numbers)])["truths"]
    assert len(entries) == len(numbers)
    assert all(f["reached"] for f in entries)


def test_the_page_is_what_the_results_render_to():
    bench = bench_transport.BENCH
    assert bench.load()["records"]  # at the present defaults
    assert bench.page_path.read_text() == bench.page(bench.load())
