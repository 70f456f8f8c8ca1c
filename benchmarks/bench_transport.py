"""Measure the transport room against the targets of its specification, beside named peers.

Examples
--------
Whatever is not there yet for the present defaults, five seeds::

    python benchmarks/bench_transport.py

Some experiments, some seeds::

    python benchmarks/bench_transport.py geometry imbalance --seeds 2

Only the page, from the results at hand::

    python benchmarks/bench_transport.py --render
"""

import sys

from experiments import Bench, fingerprint
from render_transport import page
from transport_experiments import EXPERIMENTS

from sklearn_selfattn.transport import OTTabularClassifier

BENCH = Bench("transport", EXPERIMENTS, page, fingerprint(OTTabularClassifier().get_params()))


if __name__ == "__main__":
    sys.exit(BENCH.main())
