"""Measure the re-ranking room against the targets of its specification, beside named peers.

Examples
--------
Whatever is not there yet for the present defaults, five seeds::

    python benchmarks/bench_reranking.py

Some experiments, some seeds::

    python benchmarks/bench_reranking.py omniglot clinc --seeds 2

Only the page, from the results at hand::

    python benchmarks/bench_reranking.py --render

On embeddings of your own, for instance of ROxford5k and RParis6k. Each ``NAME.npz`` in the folder
holds ``X, y`` (to train on), ``gallery, queries``, and either ``gallery_y, queries_y`` or
``relevant``, pairs (query, gallery row), with or without ``junk``, pairs that do not count::

    python benchmarks/bench_reranking.py --features DIR
"""

import sys
from pathlib import Path

import numpy as np
from experiments import Bench, fingerprint, save
from render_reranking import page
from reranking_experiments import EXPERIMENTS, METRICS

from sklearn_selfattn.reranking import (
    AttentionReranker,
    database_augmentation,
    diffusion,
    k_reciprocal,
    query_expansion,
    relevance_hits,
    retrieval_metric,
)
from sklearn_selfattn.reranking.metrics import as_pairs
from sklearn_selfattn.reranking.search import nearest, unit_rows

BENCH = Bench("reranking", EXPERIMENTS, page, fingerprint(AttentionReranker().get_params()))
PEERS = {
    "query_expansion": query_expansion,
    "database_augmentation": database_augmentation,
    "k_reciprocal": k_reciprocal,
    "diffusion": diffusion,
}


def measure_features(path):
    """Compare re-rankers on embeddings from a file; return scores by name."""
    with np.load(path) as file:
        data = dict(file)
    Q, G = unit_rows(data["queries"]), unit_rows(data["gallery"])
    junk = None
    if "relevant" in data:
        truth = as_pairs(data["relevant"], len(Q), len(G))
        if "junk" in data:
            junk = as_pairs(data["junk"], len(Q), len(G))
    else:
        truth = data["queries_y"], data["gallery_y"]
    ranking = nearest(Q, G, len(G))

    def scores(new):
        hits, n_relevant = relevance_hits(new, truth, junk=junk)
        return {k: retrieval_metric(hits, m, n_relevant=n_relevant) for k, m in METRICS.items()}

    model = AttentionReranker(random_state=0).fit(data["X"], data["y"])
    model.set_gallery(data["gallery"])
    found = {"first stage": scores(ranking), "AttentionReranker": scores(model.rerank(Q, ranking))}
    return found | {name: scores(peer(Q, G, ranking)) for name, peer in PEERS.items()}


def features(folder):
    """Print and save a comparison for each file of a folder."""
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        print(f"There is no .npz in {folder}.", file=sys.stderr)
        return 1
    found = {path.stem: measure_features(path) for path in paths}
    save(folder / "reranking.json", found)
    for name, by_method in found.items():
        print(f"\n{name:<24}" + "".join(f"{key:>10}" for key in METRICS))
        for method, values in by_method.items():
            print(f"{method:<24}" + "".join(f"{values[key]:10.4f}" for key in METRICS))
    return 0


def main(arguments=None):
    """Run from the command line."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["--features"] and len(given) == 2:
        return features(Path(given[1]))
    return BENCH.main(given)


if __name__ == "__main__":
    sys.exit(main())
