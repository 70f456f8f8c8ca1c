"""Measure the primal room against the targets of its specification, beside named peers.

aeon, which has MiniRocket and two of the sets, wants an older numpy than ``constraints.txt``: run
this in an environment of its own, made with ``pip install -e ".[series]"``.

Examples
--------
Whatever is not there yet for the present defaults, three seeds::

    python benchmarks/bench_primal.py

Some experiments, some seeds; better one experiment for each process, because PyTorch was seen to
take ten times as long in a process in which the compiled MiniRocket had run before::

    python benchmarks/bench_primal.py "series Libras" --seeds 2

Only the page, from the results at hand::

    python benchmarks/bench_primal.py --render
"""

import sys

from experiments import Bench, fingerprint
from primal_experiments import EXPERIMENTS
from render_primal import page

from sklearn_selfattn.primal import PrimalAttentionClassifier, augmentation, base, estimator
from sklearn_selfattn.primal import module as net

#: What else shapes the default nets.
CONSTANTS = {
    name: value
    for module in (base, augmentation, net, estimator)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, (int, float, tuple, dict))
}
DEFAULTS = fingerprint([PrimalAttentionClassifier().get_params(), CONSTANTS])
BENCH = Bench("primal", EXPERIMENTS, page, DEFAULTS, n_seeds=3, packages=("aeon", "numba"))


if __name__ == "__main__":
    sys.exit(BENCH.main())
