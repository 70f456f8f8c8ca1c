"""Measure the causal room against the targets of its specification, beside named peers.

Examples
--------
Whatever is not there yet for the present defaults, five seeds::

    python benchmarks/bench_causal.py

Some experiments, some seeds::

    python benchmarks/bench_causal.py exact flights --seeds 2

Only the page, from the results at hand::

    python benchmarks/bench_causal.py --render
"""

import sys

from causal_experiments import EXPERIMENTS
from experiments import Bench, fingerprint
from render_causal import page
from sklearn.linear_model import LogisticRegression

from sklearn_selfattn.causal import (
    AttentionCausalDiscovery,
    CLEANNExplainer,
    CumulativeExplainer,
    PAGDiscovery,
    SubsetSearchExplainer,
)

MODEL = LogisticRegression()
DEFAULTS = [
    estimator.get_params(deep=False)
    for estimator in (
        PAGDiscovery(),
        AttentionCausalDiscovery(),
        CLEANNExplainer(MODEL),
        SubsetSearchExplainer(MODEL),
        CumulativeExplainer(MODEL),
    )
]
BENCH = Bench(
    "causal",
    EXPERIMENTS,
    page,
    fingerprint(DEFAULTS),
    packages=("causal-learn", "networkx", "transformers"),
)


if __name__ == "__main__":
    sys.exit(BENCH.main())
