"""The acceptance measurements of the transport room: one seed in, raw numbers out.

Nothing is judged here; `transport_figures` sets the numbers beside their targets.
"""

import resource
import time
import warnings

import numpy as np
import pandas as pd
from sklearn.datasets import make_blobs, make_classification
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import IsolationForest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tabular_data import Table, load_table, split_rows
from tabular_peers import MODELS, _one_hot
from tabular_scores import classification_scores

from sklearn_selfattn.transport import (
    OTTabularClassifier,
    OTTrainingMonitor,
    displacement_report,
    trajectory_efficiency,
)
from sklearn_selfattn.transport.coupling import transport_targets
from sklearn_selfattn.transport.features import TableFeatures

HALVES = ("digits", "beed", "beed_random")  # tables of which half is trained on


def ot(**params):
    """Return a maker of our classifier, in the form that `tabular_peers` has them."""
    return lambda task, seed, n_threads: OTTabularClassifier(**params, random_state=seed)


def qda(task, seed, n_threads):
    """Quadratic discriminant analysis on one-hot and scaled columns, shrunk a little."""
    return make_pipeline(_one_hot(), QuadraticDiscriminantAnalysis(reg_param=0.1))


PEERS = {name: MODELS[name] for name in ("hgb", "linear", "mlp", "knn")} | {"qda": qda}
OURS = {"ot": ot()}
#: The two controls of the transport.
ABLATIONS = {"ot_random": ot(pairing="random"), "ot_without": ot(transport_weight=0.0)}


def load(name):
    """Return a table of the shared data, or one made up."""
    if name == "beed_random":
        table = load_table("beed")
        return Table(name, table.task, table.X, table.y, None, table.n_rows_raw)
    if name == "clusters":
        X, y = make_classification(
            6000, 20, n_informative=10, n_classes=5, n_clusters_per_class=3, random_state=1
        )
        frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(20)])
        return Table(name, "classification", frame, y, None, len(y))
    return load_table(name)


def fit_and_score(make, seed, X, y, X_test, y_test):
    """Fit once, and return scores and CPU seconds."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make("classification", seed, 1).fit(X, y)
        cpu = time.process_time() - start
        known = model.predict_proba(X_test)
    shares = np.zeros((len(y_test), int(max(y.max(), y_test.max())) + 1))
    shares[:, np.asarray(model.classes_, dtype=int)] = known
    scores = classification_scores(y_test, shares)
    balanced = balanced_accuracy_score(y_test, shares.argmax(axis=1))
    return model, {**scores, "balanced_accuracy": balanced, "cpu_s": cpu}


def table(name, models):
    """Make an experiment that fits models on one split of a table."""

    def run(seed):
        data = load(name)
        train, test = split_rows(data, seed, **({"test_size": 0.5} if name in HALVES else {}))
        parts = data.X.iloc[train], data.y[train], data.X.iloc[test], data.y[test]
        return {key: fit_and_score(make, seed, *parts)[1] for key, make in models.items()}

    return run


def geometry(seed):
    """Fit the same net with each geometry on half of the digits, and with squared error alone."""
    found = {}
    for objective in ("hybrid", "regression"):
        params = {"objective": objective, "radius": 4.0 if objective == "hybrid" else 30.0}
        models = {g: ot(geometry=g, **params) for g in ("circle", "simplex", "orthogonal")}
        scores = table("digits", models)(seed)
        found |= {f"{objective} {g}": score["accuracy"] for g, score in scores.items()}
    return found


def weighted_by_class(name):
    """Return a maker of a peer with ``class_weight="balanced"``."""

    def make(task, seed, n_threads):
        model = PEERS[name](task, seed, n_threads)
        last = model[-1] if hasattr(model, "steps") else model
        last.set_params(class_weight="balanced")
        return model

    return make


RARE = {"ot": ot(), **{name: PEERS[name] for name in ("hgb", "linear", "mlp")}}
RARE_WEIGHTED = {
    "ot": ot(class_weight="balanced"),
    **{name: weighted_by_class(name) for name in ("hgb", "linear")},
}


def imbalance(models):
    """Make an experiment: half of the digits' classes cut to six rows, as many of each asked."""

    def run(seed):
        data = load_table("digits")
        rng = np.random.default_rng(seed)
        train, test = [], []
        for c in range(10):
            rows = rng.permutation(np.flatnonzero(data.y == c))
            n_train = 100 if c < 5 else 6
            train, test = [*train, *rows[:n_train]], [*test, *rows[100:170]]
        parts = data.X.iloc[train], data.y[train], data.X.iloc[test], data.y[test]
        return {key: fit_and_score(make, seed, *parts)[1] for key, make in models.items()}

    return run


def cost_against_attention(seed):
    """Fit on 4,000 rows of beed beside the attention classifier of this library."""
    models = {"ot": ot(), "npt": MODELS["npt"]}
    return table("beed_random", models)(seed)


def cost_of_transport(seed):
    """Transport 50,000 rows of 16 columns in five classes, then fit on them."""
    X, y = make_blobs(50_000, 16, centers=5, cluster_std=6.0, random_state=seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    start = time.process_time()
    weight = np.ones(len(X))
    features = TableFeatures(X, np.zeros(16, dtype=int), weight, 16)
    transport_targets(
        features.transport_points(features(X)), y, weight, n_dims=16, pairing="exact", n_draws=4,
        block_size=256, rng=np.random.RandomState(seed),
    )  # fmt: skip
    transport = time.process_time() - start
    start = time.process_time()
    OTTabularClassifier(random_state=seed).fit(X, y)
    fit = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"transport_s": transport, "fit_s": fit, "peak_gb": peak, "before_gb": before}


def cost_of_monitor(seed):
    """Fit on 4,000 rows of beed with and without the monitor; both run the same epochs."""
    data = load("beed_random")
    train, _ = train_test_split(
        np.arange(len(data.y)), train_size=4000, random_state=seed, stratify=data.y
    )
    X, y = data.X.iloc[train], data.y[train]
    found = {}
    monitor = OTTrainingMonitor("out", X, y)
    for key in ("without", "with", "without again", "with again"):
        callbacks = None if key.startswith("without") else [monitor]
        model = OTTabularClassifier(max_epochs=10, callbacks=callbacks, random_state=seed)
        start = time.process_time()
        model.fit(X, y)
        found[key] = time.process_time() - start
        found[f"loss {key}"] = model.history_[-1]["train_loss"]
    return found


def novelty(seed):
    """Leave two digits out of the training, and tell them from the others by the score."""
    data = load_table("digits")
    rng = np.random.default_rng(seed)
    strange = rng.choice(10, 2, replace=False)
    train, test = split_rows(data, seed, test_size=0.5)
    train = train[~np.isin(data.y[train], strange)]
    X, y, X_test = data.X.iloc[train], data.y[train], data.X.iloc[test]
    is_usual = ~np.isin(data.y[test], strange)
    anchored = OTTabularClassifier(anchor_weight=1.0, ce_weight=0.05, random_state=seed).fit(X, y)
    default = OTTabularClassifier(random_state=seed).fit(X, y)
    forest = make_pipeline(StandardScaler(), IsolationForest(random_state=seed)).fit(X)
    scores = {
        "anchored": anchored.score_samples(X_test),
        "default": default.score_samples(X_test),
        "largest probability": default.predict_proba(X_test).max(axis=1),
        "IsolationForest": forest.score_samples(X_test),
    }
    return {key: float(roc_auc_score(is_usual, value)) for key, value in scores.items()}


def truths(seed):
    """Report on displacements whose answers are known."""
    rng = np.random.RandomState(seed)
    source, root = rng.normal(size=(200, 3)), rng.normal(size=(3, 3))
    optimal = displacement_report(source, source @ (root @ root.T) + rng.normal(size=3))
    shuffled = displacement_report(source, rng.permutation(2 * source))
    straight = source + np.arange(5.0)[:, None, None] * rng.normal(size=3)
    A, B, labels = rng.normal(size=(90, 2)), rng.normal(size=(90, 2)), np.arange(90) % 3
    thesis = displacement_report(A, B, labels, convention="thesis").thesis
    by_hand = sum(np.linalg.norm((A - B)[labels == c]) for c in range(3))
    return {
        "gap of a convex gradient": optimal.monge_gap,
        "gap of shuffled targets": shuffled.monge_gap,
        "efficiency off one": abs(trajectory_efficiency(straight)[0] - 1),
        "thesis distance off": abs(thesis.distance - by_hand),
    }


#: Tables of the ranking, and those on which the transport is set beside its controls.
RANKED = ("digits", "wine", "wdbc", "vowel", "credit_g", "clusters", "telco", "beed")
CONTROLLED = ("digits", "wine", "wdbc", "vowel", "credit_g", "clusters", "beed")

#: Every experiment, the cheap ones first; those with True need one seed only.
EXPERIMENTS = {
    "truths": (truths, False),
    "geometry": (geometry, False),
    **{
        f"table {name}": (
            table(name, {**OURS, **PEERS, **(ABLATIONS if name in CONTROLLED else {})}),
            False,
        )
        for name in ("wine", "wdbc", "vowel", "credit_g", "digits")
    },
    "imbalance": (imbalance(RARE), False),
    "imbalance weighted": (imbalance(RARE_WEIGHTED), False),
    "novelty": (novelty, False),
    "transport beed_random": (table("beed_random", {**OURS, **ABLATIONS}), False),
    "table beed": (table("beed", {**OURS, **PEERS, **ABLATIONS}), False),
    "cost_of_monitor": (cost_of_monitor, True),
    "table clusters": (table("clusters", {**OURS, **PEERS, **ABLATIONS}), False),
    "table telco": (table("telco", {**OURS, **PEERS}), False),
    "cost_against_attention": (cost_against_attention, True),
    "cost_of_transport": (cost_of_transport, True),
}
