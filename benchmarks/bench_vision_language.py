"""Measure the vision-language room against the targets of its specification, beside peers.

Examples
--------
Whatever is not there yet for the present defaults, three seeds::

    python benchmarks/bench_vision_language.py

Some experiments, some seeds::

    python benchmarks/bench_vision_language.py easy-VQA matching --seeds 1

Only the page, from the results at hand::

    python benchmarks/bench_vision_language.py --render
"""

import sys

from experiments import Bench, fingerprint
from render_vision_language import page
from vision_language_experiments import EXPERIMENTS

from sklearn_selfattn.vision_language import VisualParsingClassifier, base, module

#: What else shapes the default nets.
CONSTANTS = {
    name: value
    for source in (base, module)
    for name, value in vars(source).items()
    if name.isupper() and isinstance(value, (int, float))
}
DEFAULTS = fingerprint([VisualParsingClassifier().get_params(), CONSTANTS])
BENCH = Bench("vision_language", EXPERIMENTS, page, DEFAULTS, n_seeds=3)


if __name__ == "__main__":
    sys.exit(BENCH.main())
