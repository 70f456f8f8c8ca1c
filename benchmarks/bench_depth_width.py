"""Measure the depth and width room against the targets of its specification.

Examples
--------
Whatever is not there yet, two splits of each table::

    python benchmarks/bench_depth_width.py

Some experiments, some seeds::

    python benchmarks/bench_depth_width.py exact chase --seeds 5

Only the page, from the results at hand::

    python benchmarks/bench_depth_width.py --render
"""

import sys

from depth_width_experiments import EXPERIMENTS
from experiments import Bench
from render_depth_width import page

BENCH = Bench("depth_width", EXPERIMENTS, page, n_seeds=2)


if __name__ == "__main__":
    sys.exit(BENCH.main())
