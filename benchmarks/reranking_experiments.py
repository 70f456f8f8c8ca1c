"""The acceptance measurements of the re-ranking room: one seed in, raw numbers out.

Nothing is judged here; `reranking_figures` sets the numbers beside their targets.
"""

import json
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
from reranking_data import SETS
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from sklearn_selfattn.reranking import (
    AttentionReranker,
    database_augmentation,
    diffusion,
    k_reciprocal,
    pair_features,
    query_expansion,
    relevance_hits,
    retrieval_metric,
    superglobal,
)
from sklearn_selfattn.reranking.lists import blended, score_lists
from sklearn_selfattn.reranking.search import nearest, reorder, unit_rows

METRICS = {"map": "map", "map_step": "map_step", "p1": "precision@1", "ndcg10": "ndcg@10"}
BLENDS = (0.0, 0.25, 0.5, 1.0)
PLACE_WEIGHT = (
    2.0  # of lists that other methods made: 1, 2, 4 tried on classes of the training part
)
ALPHA_QE = [(k, alpha) for k in (2, 5, 10) for alpha in (0.0, 1.0, 3.0)]


class Task:
    """An open set with the rankings of its first stage, and the scores of new ones."""

    def __init__(self, name, held_out=False):
        self.data = data = SETS[name](held_out=held_out)
        self.own = None
        if data.queries is None:
            self.own = np.arange(len(data.gallery))
            data.queries, data.queries_y = data.gallery, data.gallery_y
        self.Q, self.G = unit_rows(data.queries), unit_rows(data.gallery)
        self.ranking = nearest(self.Q, self.G, len(self.G), own=self.own)

    def scores(self, ranking):
        """Measure a ranking of the whole gallery."""
        truth = self.data.queries_y, self.data.gallery_y
        hits, n_relevant = relevance_hits(ranking, truth, own=self.own)
        return {
            key: retrieval_metric(hits, metric, n_relevant=n_relevant)
            for key, metric in METRICS.items()
        }

    def reordered(self, reranker, length):
        """Measure what a peer makes of the first items of the rankings."""
        top = reranker(self.Q, self.G, self.ranking[:, :length])
        return self.scores(np.concatenate([top, self.ranking[:, length:]], axis=1))

    def fit(self, seed, *, y=None, **params):
        """Fit on the training part and search the other one; return model and CPU seconds."""
        model = AttentionReranker(**params, random_state=seed)
        start = time.process_time()
        model.fit(self.data.X, self.data.y if y is None else y)
        seconds = time.process_time() - start
        return model.set_gallery(self.data.gallery), seconds


@cache
def task(name, held_out=False):
    """Load a set once."""
    return Task(name, held_out)


def by_blend(t, model):
    """Measure a model at its own blend and at fixed ones; the net runs once."""
    n = model.n_candidates_
    top = t.ranking[:, :n]
    both = score_lists(model.module_, t.Q, t.G, top)
    found = {}
    for name, blend in {"auto": model.blend_, **{str(b): b for b in BLENDS}}.items():
        reordered = np.concatenate([reorder(top, blended(*both, blend)), t.ranking[:, n:]], axis=1)
        found[name] = {**t.scores(reordered), "blend": blend}
    return {**found, "n_iter": model.n_iter_}


# --- what defaults were chosen by -------------------------------------------------------------

#: Changes of the defaults, one or two at a time, tried on classes of the training part.
ABLATIONS = {
    "default": {},
    "temperature=0.1": {"temperature": 0.1},
    "temperature=2": {"temperature": 2.0},
    "exclude_query=True": {"exclude_query": True},
    "exclude_query=True, temperature=0.1": {"exclude_query": True, "temperature": 0.1},
    "exclude_query=True, temperature=0.2": {"exclude_query": True, "temperature": 0.2},
    "exclude_query=True, temperature=1": {"exclude_query": True, "temperature": 1.0},
    "exclude_query=True, temperature=2": {"exclude_query": True, "temperature": 2.0},
    "positives='any'": {"positives": "any"},
    "positives='any', temperature=2": {"positives": "any", "temperature": 2.0},
    "positives='any', exclude_query=True, temperature=0.1": {
        "positives": "any", "exclude_query": True, "temperature": 0.1,
    },
    "feature_dropout=0": {"feature_dropout": 0.0},
    "reconstruction_weight=0": {"reconstruction_weight": 0.0},
    "early_stopping=False": {"early_stopping": False},
    "n_layers=0": {"n_layers": 0},
}  # fmt: skip


def ablation(name, change):
    """Make an experiment on classes held out of the training part."""

    def run(seed):
        t = task(name, held_out=True)
        model, seconds = t.fit(seed, **ABLATIONS[change])
        return {**by_blend(t, model), "base": t.scores(t.ranking), "fit_s": seconds}

    return run


# --- open sets --------------------------------------------------------------------------------


def ours(name, other):
    """Make an experiment: fit on a set, search its other classes, and the other set."""

    def run(seed):
        t, there = task(name), task(other)
        model, seconds = t.fit(seed)
        found = {**by_blend(t, model), "fit_s": seconds}
        if name == "omniglot":
            for key, peer in (("diffusion", diffusion), ("augmentation", database_augmentation),
                              ("k_reciprocal", k_reciprocal)):  # fmt: skip
                lists = peer(t.Q, t.G, t.ranking)
                new = model.rerank(t.Q, lists, place_weight=PLACE_WEIGHT)
                found[f"on {key}"] = t.scores(new)
        model.set_gallery(there.data.gallery)
        rows = slice(None, None, 3)  # a third of the queries is enough
        lists = there.ranking[rows]
        truth = there.data.queries_y[rows], there.data.gallery_y
        own = None if there.own is None else there.own[rows]
        for key, ranking in (("before", lists), ("after", model.rerank(there.Q[rows], lists))):
            hits, n_relevant = relevance_hits(ranking, truth, own=own)
            value = retrieval_metric(hits, "map", n_relevant=n_relevant)
            found[f"transfer to {other}, {key}"] = value
        return found

    return run


def longer(name):
    """Make an experiment with lists of 512 candidates."""

    def run(seed):
        t = task(name)
        return by_blend(t, t.fit(seed, n_candidates=512)[0])

    return run


def shuffled(seed):
    """Fit on labels that mean nothing."""
    t = task("omniglot")
    y = np.random.RandomState(seed).permutation(t.data.y)
    model, _ = t.fit(seed, y=y)
    return by_blend(t, model)


def linear(seed):
    """Fit without layers: a linear map of the affinities."""
    t = task("omniglot")
    return by_blend(t, t.fit(seed, n_layers=0)[0])


def without_reconstruction(seed):
    """Fit with the contrastive loss alone."""
    t = task("omniglot")
    return by_blend(t, t.fit(seed, reconstruction_weight=0.0)[0])


def with_view(seed):
    """Train on lists by histograms of another cell size too."""
    t = task("omniglot")
    model = AttentionReranker(random_state=seed)
    model.fit(t.data.X, t.data.y, views=[t.data.view]).set_gallery(t.data.gallery)
    return by_blend(t, model)


def untrained_affinity(Q, G, ranking, n_anchors=64):
    """Re-rank by the cosine of raw affinity features."""
    scores = np.empty(ranking.shape)
    for i, row in enumerate(ranking):
        items = np.concatenate([Q[i : i + 1], G[row]])
        features = unit_rows(items @ items[:n_anchors].T)
        scores[i] = features[1:] @ features[0]
    return reorder(ranking, scores)


def boosted_pairs(t, seed=0, n_lists=2000, length=64):
    """Learn from hand-made features of pairs, on lists of the training part."""
    data = t.data
    X = unit_rows(data.X)
    rows = np.random.RandomState(seed).permutation(len(X))[:n_lists]
    lists = nearest(X[rows], X, length, own=rows)
    hits, _ = relevance_hits(lists, (data.y[rows], data.y), own=rows)
    features = pair_features(X[rows], X, lists)
    model = HistGradientBoostingClassifier(random_state=seed)
    model.fit(features.reshape(-1, features.shape[-1]), hits.ravel())

    def reranker(Q, G, ranking):
        features = pair_features(Q, G, ranking)
        p = model.predict_proba(features.reshape(-1, features.shape[-1]))[:, 1]
        return reorder(ranking, p.reshape(ranking.shape))

    return reranker


def peers(name):
    """Make an experiment that measures peers on a set; they draw no random numbers."""

    def run(seed):
        t = task(name)
        n = len(t.G)
        found = {"base": t.scores(t.ranking)}
        for k, alpha in ALPHA_QE:
            found[f"query expansion, k={k}, alpha={alpha:g}"] = t.reordered(
                lambda *a, k=k, alpha=alpha: query_expansion(*a, n_neighbors=k, alpha=alpha), n
            )
        for k in (5, 10):
            found[f"database augmentation, k={k}"] = t.reordered(
                lambda *a, k=k: database_augmentation(*a, n_neighbors=k), n
            )
        for length in (128, 256, n):
            where = "whole gallery" if length == n else f"first {length}"
            found[f"k-reciprocal, {where}"] = t.reordered(
                lambda *a: k_reciprocal(*a, k1=20, k2=6, original_weight=0.0), length
            )
            found[f"diffusion, {where}"] = t.reordered(diffusion, length)
        found["SuperGlobal-style, first 256"] = t.reordered(superglobal, 256)
        found["untrained affinity, first 256"] = t.reordered(untrained_affinity, 256)
        found["boosted pair features, first 256"] = t.reordered(boosted_pairs(t, seed), 256)
        return found

    return run


# --- the rest ---------------------------------------------------------------------------------


def digits(seed):
    """Compare accuracy on classes that were trained on, five folds."""
    X, y = load_digits(return_X_y=True)
    cv = StratifiedKFold(5, shuffle=True, random_state=seed)
    models = {
        "ours": AttentionReranker(max_epochs=2, random_state=seed),
        "plain": KNeighborsClassifier(metric="cosine"),
    }
    return {key: float(cross_val_score(m, X, y, cv=cv).mean()) for key, m in models.items()}


def metrics(seed):
    """Compare metrics with ranx on the rankings of the drawings."""
    from ranx import Qrels, Run, evaluate

    t = task("omniglot")
    rows = np.random.RandomState(seed).permutation(len(t.Q))[:200]
    y = t.data.gallery_y
    relevant = {str(q): {str(g): 1 for g in np.flatnonzero(y == y[q]) if g != q} for q in rows}
    n = t.ranking.shape[1]
    run = {str(q): {str(g): float(n - i) for i, g in enumerate(t.ranking[q])} for q in rows}
    names = {"map": "map_step", "mrr": "mrr", "ndcg@10": "ndcg@10", "precision@5": "precision@5",
             "recall@20": "recall@20"}  # fmt: skip
    theirs = evaluate(Qrels(relevant), Run(run), list(names))
    hits, n_relevant = relevance_hits(t.ranking[rows], (y[rows], y), own=rows)
    return {
        name: abs(float(theirs[name]) - retrieval_metric(hits, ours, n_relevant=n_relevant))
        for name, ours in names.items()
    }


def cost(*arguments):
    """Make an experiment that runs in a process of its own, for clean figures of memory."""

    def run(seed):
        script = Path(__file__).with_name("reranking_cost.py")
        command = [sys.executable, str(script), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    return run


#: Every experiment, the ones that matter most first; those with True need one seed only.
EXPERIMENTS = {
    "peers omniglot": (peers("omniglot"), True),
    "omniglot": (ours("omniglot", "clinc"), False),
    "peers clinc": (peers("clinc"), True),
    "clinc": (ours("clinc", "omniglot"), False),
    "omniglot shuffled": (shuffled, False),
    "omniglot linear": (linear, False),
    "memory": (cost("memory", 100_000), True),
    "latency 2000": (cost("latency", 2_000), True),
    "latency 10000": (cost("latency", 10_000), True),
    "clinc, lists of 512": (longer("clinc"), False),
    "omniglot, lists of 512": (longer("omniglot"), False),
    "metrics": (metrics, True),
    "digits": (digits, True),
    "omniglot with a view": (with_view, True),
    "omniglot without reconstruction": (without_reconstruction, True),
    **{
        f"ablation {name}: {change}": (ablation(name, change), True)
        for change in ABLATIONS
        for name in ("omniglot", "clinc")
    },
    "latency 50000": (cost("latency", 50_000), True),
}
