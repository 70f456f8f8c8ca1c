"""The acceptance measurements of the depth and width room: one seed in, raw numbers out.

Nothing is judged here; `depth_width_figures` sets the numbers beside their targets.
"""

import math
import time
import warnings

import numpy as np
from depth_width_nets import CellsClassifier, CellsRegressor, ChaseClassifier, pointer_chasing
from scipy.optimize import brentq
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from tabular_data import load_table, split_rows

from sklearn_selfattn import (
    DepthWidthSearchCV,
    PrimalAttentionClassifier,
    PrimalAttentionRegressor,
    recommend_depth_width,
    separation_rank,
)
from sklearn_selfattn.core.shape import A, B, optimal_depth
from sklearn_selfattn.depth_width import (
    exact_separation_rank,
    recommend_for_table,
    separation_rank_bounds,
)
from sklearn_selfattn.depth_width.exact import PRIME, _matmul, _rank

#: Depth, width, heads, tokens on either side, and the rank that it has to be.
EXACT = [
    (1, 2, 1, (3, 3), 3), (1, 3, 1, (3, 3), 4), (1, 4, 2, (4, 4), 5),
    (2, 2, 1, (3, 3), 18), (2, 2, 2, (3, 3), 17), (2, 3, 1, (3, 3), 49), (2, 3, 1, (1, 1), 35),
    (2, 4, 1, (4, 4), 110), (2, 4, 2, (4, 4), 107), (2, 4, 4, (4, 4), 85),
    (3, 2, 1, (3, 3), 232), (3, 2, 2, (3, 3), 215), (3, 2, 1, (1, 1), 105),
    (3, 3, 1, (1, 1), 560),
]  # fmt: skip
#: Parameters without embeddings, and the depth and width that the paper projects for them.
PROJECTIONS = [
    (8.49e7, 23, 555), (3.02e8, 32, 886), (6.80e8, 38, 1220), (1.21e9, 42, 1550),
    (2.52e9, 47, 2110), (6.44e9, 54, 3150), (1.27e10, 60, 4200), (1.74e11, 80, 13500),
    (1e12, 95, 30100),
]  # fmt: skip
TABLES = ("vowel", "tic_tac_toe", "yacht", "autompg", "energy", "concrete")
PER_ROW = (20, 60, 200)  # parameters that the recommendation spends on a row
FIXED = {"n_layers": 3, "d_model": 64}
#: On which n_layers="auto" is set beside the default of an estimator of the package.
DECIDING = ("wdbc", "iris", "wine", "digits", "diabetes", "abalone", "telco", *TABLES)


def exact(seed):
    """Compute all exact ranks, and set the bounds beside them."""
    start = time.process_time()
    found = [exact_separation_rank(*case[:4], random_state=seed) for case in EXACT]
    seconds = time.process_time() - start
    bounds = [separation_rank_bounds(*case[:4]) for case in EXACT]
    return {
        "wrong": sum(rank != case[4] for rank, case in zip(found, EXACT, strict=True)),
        "outside the bounds": sum(
            not b["log_lower"] <= math.log(rank) <= b["log_upper"] + 1e-9
            for rank, b in zip(found, bounds, strict=True)
        ),
        "seconds": seconds,
    }


def law(seed):
    """Set the recommendation beside the paper's projections, its closed form beside a root."""
    off, width_off = 0, 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for n, depth, width in PROJECTIONS:
            shape = recommend_depth_width(n, rule="empirical")
            off = max(off, abs(shape.depth - depth))
            width_off = max(width_off, abs(shape.width_real / width - 1))
    worst = 0.0
    for n in np.logspace(3, 14, 50):
        root = brentq(
            lambda L, n=n: math.log(12 * L / n) + 2 * A + 2 * B * L, 1e-12, 500, xtol=1e-13,
            rtol=1e-14,
        )  # fmt: skip
        worst = max(worst, abs(optimal_depth(n, A, B) / root - 1))
    start = time.process_time()
    for _ in range(200):
        separation_rank_bounds(48, 12288, 96)
    return {
        "layers off": off, "width off": width_off, "relative error": worst,
        "ms of the bounds": 1000 * (time.process_time() - start) / 200,
    }  # fmt: skip


def anchors(seed):
    """Measure models of known separation rank on diabetes, five features either side."""
    X, y = load_diabetes(return_X_y=True)
    models = {
        "linear": LinearRegression(),
        "boosted stumps": HistGradientBoostingRegressor(max_depth=1),
        "polynomial, degree 2": make_pipeline(PolynomialFeatures(2), LinearRegression()),
        "polynomial, degree 3": make_pipeline(PolynomialFeatures(3), LinearRegression()),
        "boosting": HistGradientBoostingRegressor(),
    }
    found = {}
    for name, model in models.items():
        rank = separation_rank(model.fit(X, y), X, n_templates=120, random_state=seed)
        found |= {f"{name}: rank": rank.rank, f"{name}: interaction": rank.interaction}
    return found


def training(seed):
    """Train a net on four products of features, and on a sum of functions of one."""
    X = np.random.RandomState(seed).normal(size=(2000, 8))
    targets = {
        "products": (X[:, :4] * X[:, 4:]).sum(axis=1),
        "sum": np.sin(X).sum(axis=1),
    }
    found = {}
    for (name, y), epochs in [(item, e) for item in targets.items() for e in (1, 40)]:
        net = CellsRegressor(
            d_model=24, n_layers=2, max_epochs=epochs, early_stopping=False, batch_size=128,
            random_state=seed,
        ).fit(X, y)  # fmt: skip
        rank = separation_rank(net, X, range(4), n_templates=80, random_state=0)
        key = f"{name}, {'trained' if epochs > 1 else 'one epoch'}"
        found |= {f"{key}: effective rank": rank.effective_rank,
                  f"{key}: interaction": rank.interaction}  # fmt: skip
    return found


def chase(seed):
    """Search depth at one budget for chasing pointers over two hops, and over one."""
    found = {}
    for hops, epochs in ((2, 20), (1, 6)):
        X, y = pointer_chasing(16_000, 10, hops, seed)
        net = ChaseClassifier(max_epochs=epochs, learning_rate=4e-3, random_state=seed)
        search = DepthWidthSearchCV(
            net, n_params=27_500, depths=(1, 2, 3), select="1se", n_repeats=1,
            cv=ShuffleSplit(3, test_size=0.2, random_state=seed), random_state=seed,
        )  # fmt: skip
        start = time.process_time()
        search.fit(X, y)
        found[f"{hops} hops: seconds"] = time.process_time() - start
        found[f"{hops} hops: chosen"] = search.best_depth_
        for row in search.curves_.itertuples():
            found[f"{hops} hops: accuracy of {row.depth}"] = row.score
            found[f"{hops} hops: parameters of {row.depth}"] = int(row.n_params)
        for row in search.crossings_.itertuples():
            found[f"{hops} hops: {row.depth_hi} against {row.depth_lo}"] = row.status
    return found


def _net(task, **params):
    make = CellsClassifier if task == "classification" else CellsRegressor
    defaults = {
        "n_heads": 2, "batch_size": 128, "max_epochs": 40, "learning_rate": 3e-3,
        "early_stopping": True, "n_iter_no_change": 8,
    }  # fmt: skip
    return make(**{**defaults, **params})


def _parts(name, seed):
    """Return a net, its score, folds of the training rows, and the rows of both parts."""
    data = load_table(name)
    train, test = split_rows(data, seed)
    is_class = data.task == "classification"
    scoring = "neg_log_loss" if is_class else "neg_root_mean_squared_error"
    folds = (StratifiedKFold if is_class else KFold)(3, shuffle=True, random_state=seed)
    rows = data.X.iloc[train], data.y[train], data.X.iloc[test], data.y[test]
    return _net(data.task, random_state=seed), scoring, folds, rows


def table(name):
    """Make an experiment: a fixed shape and the one that the search selects, on a table."""

    def run(seed):
        net, scoring, folds, (X, y, X_test, y_test) = _parts(name, seed)
        budget = max(20 * len(X), 5000)
        search = DepthWidthSearchCV(
            net, n_params=[budget, 3 * budget], depths=(1, 2, 3, 4), select="best",
            scoring=scoring, cv=folds, random_state=seed,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # shapes too far from the budget
            start = time.process_time()
            search.fit(X, y)
            seconds = time.process_time() - start
        best = search.curves_.loc[search.curves_["score"].idxmax()]
        start = time.process_time()
        fixed = net.set_params(**FIXED).fit(X, y)
        return {
            "search": {
                "shape": [search.best_depth_, search.best_width_], "cv": float(best["score"]),
                "se": float(best["se"]), "test": search.score(X_test, y_test), "cpu_s": seconds,
                "shapes": len(search.curves_),
            },
            "fixed": {
                "shape": list(FIXED.values()), "cpu_s": time.process_time() - start,
                "test": search.scorer_(fixed, X_test, y_test),
            },
        }  # fmt: skip

    return run


def budgets(name):
    """Make an experiment: the shape recommended for three numbers of parameters per row.

    What is scored by cross-validation on the training rows chose the default; the test rows did
    not.
    """

    def run(seed):
        net, scoring, folds, (X, y, X_test, y_test) = _parts(name, seed)
        found = {}
        for per_row in PER_ROW:
            n_params = per_row * max(len(X), 250)
            start = time.process_time()
            shape = recommend_for_table(X, n_params=n_params, n_heads=2)
            net.set_params(**shape.as_params()).fit(X, y)
            seconds = time.process_time() - start
            scores = cross_val_score(net, X, y, cv=folds, scoring=scoring)
            found[str(per_row)] = {
                "shape": [shape.depth, shape.width], "cpu_s": seconds, "cv": float(scores.mean()),
                "test": get_scorer(scoring)(net, X_test, y_test),
            }  # fmt: skip
        return found

    return run


def estimator(name):
    """Make an experiment: an estimator of the package at its defaults, and with n_layers="auto"."""

    def run(seed):
        _, scoring, _, (X, y, X_test, y_test) = _parts(name, seed)
        is_class = scoring == "neg_log_loss"
        make = PrimalAttentionClassifier if is_class else PrimalAttentionRegressor
        found = {}
        for key, params in {"default": {}, "auto": {"n_layers": "auto"}}.items():
            start = time.process_time()
            model = make(**params, random_state=seed).fit(X, y)
            found[key] = {
                "shape": [model.n_layers_, model.d_model_], "cpu_s": time.process_time() - start,
                "test": get_scorer(scoring)(model, X_test, y_test),
            }  # fmt: skip
        return found

    return run


def embedding_rank(seed):
    """Set the shape for a small embedding rank beside the one that ignores it."""
    rng = np.random.RandomState(seed)
    Z = rng.normal(size=(1000, 4))
    sets = {
        name: (data.X.to_numpy(), data.y, data.task)
        for name, data in ((n, load_table(n)) for n in ("iris", "wine", "diabetes"))
    }
    sets["sign of a product of four"] = (Z, (Z.prod(axis=1) > 0).astype(int), "classification")
    found = {}
    for name, (X, y, task) in sets.items():
        scoring = "neg_log_loss" if task == "classification" else "neg_root_mean_squared_error"
        folds = (StratifiedKFold if task == "classification" else KFold)(
            5 if len(X) < 500 else 3, shuffle=True, random_state=seed
        )
        for key, aware in (("unaware", False), ("aware", True)):
            shape = recommend_for_table(X, n_params=50_000, use_embedding_rank=aware, n_heads=2)
            net = _net(task, n_bins=0, random_state=seed, **shape.as_params())
            scores = cross_val_score(net, X, y, cv=folds, scoring=scoring)
            found[f"{name}: {key}"] = float(scores.mean())
            found[f"{name}: {key} se"] = float(scores.std(ddof=1) / math.sqrt(len(scores)))
            found[f"{name}: {key} shape"] = [shape.depth, shape.width]
    return found


def cost(seed):
    """Time elimination and the separation rank at three sizes each."""
    rng, found = np.random.RandomState(seed), {}
    for n in (500, 1000, 2000):
        M = rng.randint(PRIME, size=(n, n)).astype(float)
        start = time.process_time()
        rank = _rank(_matmul(M, M))
        found[f"elimination of {n}: seconds"] = time.process_time() - start
        found[f"elimination of {n}: rank"] = rank
    X, y = load_diabetes(return_X_y=True)
    model = HistGradientBoostingRegressor(max_iter=30).fit(X, y)
    for m in (50, 100, 200):
        start = time.process_time()
        separation_rank(model, X, n_templates=m, random_state=seed)
        found[f"separation rank, {m} rows a side: seconds"] = time.process_time() - start
    return found


#: Every experiment, the cheap ones first; those with True need one seed only.
EXPERIMENTS = {
    "exact": (exact, False),
    "law": (law, True),
    "anchors": (anchors, False),
    "cost": (cost, True),
    "chase": (chase, True),
    "training": (training, True),
    **{f"table {name}": (table(name), False) for name in TABLES},
    **{f"budgets {name}": (budgets(name), False) for name in TABLES},
    "embedding_rank": (embedding_rank, True),
    **{f"estimator {name}": (estimator(name), False) for name in DECIDING},
}
