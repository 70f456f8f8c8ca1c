"""Measure the time-events room against the targets of its specification, beside named peers.

Examples
--------
Whatever is not there yet for the present defaults, three seeds::

    python benchmarks/bench_time_events.py

Some experiments, some seeds::

    python benchmarks/bench_time_events.py lookup flights --seeds 2

Only the page, from the results at hand::

    python benchmarks/bench_time_events.py --render
"""

import sys

from experiments import Bench, fingerprint
from render_time_events import page
from time_events_experiments import EXPERIMENTS

from sklearn_selfattn.time_events import TimeEventClassifier, TimeEventRegressor

DEFAULTS = [make().get_params() for make in (TimeEventClassifier, TimeEventRegressor)]
BENCH = Bench("time_events", EXPERIMENTS, page, fingerprint(DEFAULTS), n_seeds=3)


if __name__ == "__main__":
    sys.exit(BENCH.main())
