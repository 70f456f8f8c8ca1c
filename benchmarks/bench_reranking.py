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

import argparse
import hashlib
import json
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import render_reranking
import torch
from bench_tabular import cpu_seconds, machine
from bench_transport import save
from reranking_experiments import EXPERIMENTS, METRICS
from threadpoolctl import threadpool_limits

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

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "benchmarks" / "results" / "reranking.json"
PAGE = ROOT / "docs" / "benchmarks" / "reranking.rst"
PEERS = {
    "query_expansion": query_expansion,
    "database_augmentation": database_augmentation,
    "k_reciprocal": k_reciprocal,
    "diffusion": diffusion,
}


def defaults_hash():
    """Return a fingerprint of the default parameters: others ask for new measurements."""
    words = json.dumps(AttentionReranker().get_params(), sort_keys=True, default=repr)
    return hashlib.sha256(words.encode()).hexdigest()[:12]


def load(out):
    """Read the results at these defaults, or return empty ones."""
    results = json.loads(out.read_text()) if out.exists() else {}
    if results.get("defaults") != defaults_hash():
        results = {"defaults": defaults_hash(), "records": []}
    return results


def run(out, names, n_seeds, command):
    """Run what is missing, each result saved as soon as it is there; all of a seed first."""
    done = {(record["experiment"], record["seed"]) for record in load(out)["records"]}
    for seed in range(n_seeds):
        for name in names:
            measure, once = EXPERIMENTS[name]
            if (name, seed) in done or (once and seed):
                continue
            start = cpu_seconds()
            record = {"experiment": name, "seed": seed, "numbers": measure(seed)}
            record["cpu_s"] = round(cpu_seconds() - start, 1)
            record["finished"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            results = load(out)
            results["records"].append(record)
            save(out, {**results, "machine": machine(), "command": command})
            print(f"{name}, seed {seed}: {record['cpu_s']} CPU s", flush=True)


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of " + ", ".join(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument("--out", type=Path, default=OUT, help="results file")
    parser.add_argument("--render", action="store_true", help="page only")
    parser.add_argument("--features", type=Path, metavar="DIR", help="embeddings of your own")
    options = parser.parse_args(given)
    unknown = [name for name in options.names if name not in EXPERIMENTS]
    if unknown:
        parser.error(f"no such experiment: {', '.join(unknown)}; there are {list(EXPERIMENTS)}")
    if options.features:
        return features(options.features)
    if options.render:
        PAGE.write_text(render_reranking.page(load(options.out)))
        return 0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            command = shlex.join(["python", "benchmarks/bench_reranking.py", *given])
            run(options.out, options.names or list(EXPERIMENTS), options.seeds, command)
    finally:
        torch.set_num_threads(threads)
    return 0


if __name__ == "__main__":
    sys.exit(main())
