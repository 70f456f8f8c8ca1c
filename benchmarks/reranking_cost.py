"""Memory and time of re-ranking, in a process of its own; prints JSON.

``python benchmarks/reranking_cost.py memory 100000`` or ``latency 2000``.
"""

import json
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import psutil
import torch

from sklearn_selfattn.reranking import AttentionReranker, diffusion, k_reciprocal
from sklearn_selfattn.reranking.search import nearest, unit_rows

N_FEATURES = 128


def rows(n_rows, seed, n_centers=1000):
    """Return rows around centres, and the centres' numbers."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(n_centers, N_FEATURES)).astype(np.float32)
    y = rng.integers(n_centers, size=n_rows)
    X = centers[y] + rng.normal(size=(n_rows, N_FEATURES)).astype(np.float32)
    return X, y


def trained():
    """Return a model that was trained a little: quality does not matter here."""
    X, y = rows(400, 0, n_centers=20)
    return AttentionReranker(max_epochs=1, random_state=0).fit(X, y)


@contextmanager
def watched():
    """Sample the resident memory meanwhile; the dict has its growth in MB in the end."""
    process, found, is_over = psutil.Process(), {}, threading.Event()
    before = process.memory_info().rss
    samples = [before]

    def sample():
        while not is_over.wait(0.002):
            samples.append(process.memory_info().rss)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield found
    finally:
        is_over.set()
        thread.join()
        found["mb"] = (max(samples) - before) / 2**20


def memory(n_rows, n_queries=1000):
    """Index a gallery and re-rank queries."""
    model = trained()
    X, _ = rows(n_rows, 1)
    queries, _ = rows(n_queries, 2)
    with watched() as indexing:
        model.set_gallery(X)
    start = time.process_time()
    with watched() as searching:
        model.kneighbors(queries)
    seconds = time.process_time() - start
    return {
        "gallery_mb": X.nbytes / 2**20, "indexing_mb": indexing["mb"],
        "growth_mb": searching["mb"], "ms_per_query": 1000 * seconds / n_queries,
    }  # fmt: skip


def latency(n_rows, n_queries=100):
    """Time the stages, and peers, for each query."""
    model = trained()
    X, _ = rows(n_rows, 1)
    queries, _ = rows(n_queries, 2)
    model.set_gallery(X)
    Q = unit_rows(queries)
    found = {}

    def timed(name, call):
        start = time.process_time()
        result = call()
        found[name] = 1000 * (time.process_time() - start) / n_queries
        return result

    model.rerank(queries[:8], nearest(Q[:8], model.gallery_, 256))  # warm
    lists = timed("first stage", lambda: nearest(Q, model.gallery_, 256))
    timed("re-ranking", lambda: model.rerank(queries, lists))
    timed("k-reciprocal", lambda: k_reciprocal(queries, X, lists))
    timed("diffusion", lambda: diffusion(queries, X, lists))
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({"memory": memory, "latency": latency}[sys.argv[1]](int(sys.argv[2]))))
