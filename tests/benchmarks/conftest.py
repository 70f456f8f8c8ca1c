"""What the tests of the benchmarks share."""

import pytest
import tabular_scores


@pytest.fixture
def record():
    """Return the maker of records like those of ``bench_tabular.measure``."""

    def make(table, split, model, loss, *, task="regression", fit=1.0, **scores):
        """Make a record as `measure` does."""
        key = tabular_scores.LOSS[task]
        return {
            "table": table, "task": task, "split": split, "model": model, "settings": "s",
            "scores": {key: loss, **scores},
            "cost": {"fit_cpu_s": fit, "fit_wall_s": fit, "predict_cpu_s": 0.1,
                     "predict_wall_s": 0.1, "peak_memory_mb": None},
            "finished": "2026-01-01T00:00:00Z",
        }  # fmt: skip

    return make
