"""What NPT costs: time and memory to fit and predict, how they grow, size of a pickle."""

import json
import os
import pickle
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from bench_tabular import PeakMemory
from npt_figures import figure
from sklearn.datasets import make_classification, make_regression
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import check_estimator
from tabular_data import load_table

import sklearn_selfattn
from sklearn_selfattn import NPTClassifier, NPTRegressor

N_CONTEXT, N_ASKED = 5_000, 10_000
SIZES = {"rows": (2_000, 10_000, 50_000), "columns": (10, 20, 40)}


def timed(action):
    """Return CPU and wall seconds of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    action()
    return time.process_time() - cpu, time.perf_counter() - wall


def median_ms(action, repeats):
    """Return the median CPU time of a call in milliseconds, after one to warm up."""
    action()
    return 1000 * statistics.median(timed(action)[0] for _ in range(repeats))


def pickle_figure(model, name):
    """Return the size of a pickle, with the formula it has to keep to as target."""
    n_parameters = sum(parameter.numel() for parameter in model.module_.parameters())
    context = model.n_context_ * (model.n_features_in_ + 1) * 8
    allowed = 8 * n_parameters + context + 32_000
    return figure(f"{name}: bytes of the pickle ({n_parameters:,} parameters, "
                  f"{model.n_context_:,} context rows)", len(pickle.dumps(model)),
                  f"<= {allowed}")  # fmt: skip


def cost_fit(seed=0):
    """Fit at defaults on 1,000 rows of 20 columns; the size of the pickle."""
    figures = []
    makers = {
        "NPTClassifier": (NPTClassifier, make_classification, {"n_informative": 8}),
        "NPTRegressor": (NPTRegressor, make_regression, {"n_informative": 8, "noise": 10.0}),
    }
    for name, (kind, maker, options) in makers.items():
        X, y = maker(1000, 20, random_state=seed, **options)
        model = kind(random_state=seed)
        cpu, wall = timed(lambda model=model, X=X, y=y: model.fit(X, y))
        figures += [
            figure(f"{name}, 1,000 x 20: fit, CPU s", cpu, "<= 60"),
            figure(f"{name}, 1,000 x 20: fit, wall s", wall),
            figure(f"{name}: epochs", model.n_iter_),
            figure(f"{name}, 1,000 context rows: one row predicted, CPU ms",
                   median_ms(lambda model=model, X=X: model.predict(X[:1]), 50), "<= 5"),
            pickle_figure(model, name),
        ]  # fmt: skip
    return {"figures": figures, "configuration": "defaults",
            "notes": ["One thread. The aim for a fit is 20 CPU s."], "seeds": [seed]}  # fmt: skip


def cost_predict(seed=0):
    """Predict with 5,000 context rows: one row, many rows, with and without the cache."""
    X, y = make_regression(N_CONTEXT + N_ASKED, 20, noise=10.0, random_state=seed)
    known, asked = X[:N_CONTEXT], X[N_CONTEXT:]
    figures = []
    for words, parameters in (
        ("every member sees 5,000", {"context_size": N_CONTEXT}),
        ("every member sees its share (default)", {}),
    ):
        judged = bool(parameters)
        # what is learnt does not matter for what predictions cost
        model = NPTRegressor(pretrained=False, max_epochs=1, random_state=seed, **parameters)
        model.fit(known, y[:N_CONTEXT])
        one = median_ms(lambda model=model: model.predict(asked[:1]), 30)

        def uncached(model=model):
            memories = model._encode_context(model._context, model._member_rows)
            cells = model._as_cells(model._encode_table(asked[:1], reset=False))
            model._combine(model._query(cells, model.module_.target, memories), memories)

        without = median_ms(uncached, 3)
        cpu, wall = timed(lambda model=model: model.predict(asked))
        targets = ("<= 5", "<= 3", ">= 5") if judged else (None, None, None)
        figures += [
            figure(f"{words}: one row, CPU ms", one, targets[0]),
            figure(f"{words}: 10,000 rows, CPU s", cpu, targets[1]),
            figure(f"{words}: 10,000 rows, wall s", wall),
            figure(f"{words}: one row without the cache over with it", without / one, targets[2]),
        ]
    return {
        "figures": figures,
        "configuration": "NPTRegressor(context_size=5000) and NPTRegressor(), fitted for one epoch",
        "notes": ["5,000 context rows of 20 columns, one thread. At the default "
                  "context_size each member looks at a sample of them."],
        "seeds": [seed],
    }  # fmt: skip


def _growth(n_rows, n_columns, seed):
    """Return costs of one epoch of training and of 2,000 predictions."""
    X, y = make_regression(n_rows, n_columns, noise=10.0, random_state=seed)
    model = NPTRegressor(pretrained=False, max_epochs=1, early_stopping=False, random_state=seed)
    with PeakMemory() as memory:
        fit, _ = timed(lambda: model.fit(X, y))
    rows = np.resize(X, (2000, n_columns))
    predict, _ = timed(lambda: model.predict(rows))
    return {"rows": n_rows, "columns": n_columns, "fit_cpu_s": round(fit, 3),
            "predict_cpu_s": round(predict, 3), "peak_memory_mb": memory.rise}  # fmt: skip


def cost_growth(seed=0):
    """Measure how time and memory grow with rows and with columns."""
    _growth(300, 10, seed)  # warm up
    found = {
        "rows": [_growth(n, 10, seed) for n in SIZES["rows"]],
        "columns": [_growth(2_000, d, seed) for d in SIZES["columns"]],
    }

    def exponent(axis, key):
        sizes = np.log([entry[axis] for entry in found[axis]])
        return np.polyfit(sizes, np.log([entry[key] for entry in found[axis]]), 1)[0]

    memory = [entry["peak_memory_mb"] for entry in found["rows"]]
    figures = [figure(f"an epoch of training grows with {axis} to the power of",
                      exponent(axis, "fit_cpu_s")) for axis in SIZES]  # fmt: skip
    figures += [figure(f"a prediction grows with {axis} to the power of",
                       exponent(axis, "predict_cpu_s")) for axis in SIZES]  # fmt: skip
    if None not in memory:
        figures.append(figure("rise of memory in fit at 50,000 rows, MB", memory[-1]))
    return {
        "figures": figures,
        "configuration": "NPTRegressor(pretrained=False, max_epochs=1, early_stopping=False)",
        "notes": ["Fitted exponents over three sizes; 10 columns where rows grow, 2,000 rows "
                  "where columns grow. Context rows stay at most context_size a member, so "
                  "predictions do not grow with the table beyond that."],
        "curves": found,
        "seeds": [seed],
    }  # fmt: skip


def cost_adult(seed=0):
    """Fit on all of ``adult`` in a process of its own."""
    report = _in_child("adult", seed)
    return {
        "figures": [
            figure("adult: fit, CPU min", report["fit_cpu_s"] / 60, "<= 10"),
            figure("adult: peak resident memory of the process, MB", report["peak_mb"], "<= 1500"),
            figure("adult: rows", report["rows"]),
            figure("adult: epochs", report["epochs"]),
            figure("adult: AUC of predict_loo", report["auc"]),
        ],
        "configuration": "NPTClassifier(), all rows",
        "notes": ["One thread. The memory is that of the whole process, Python and torch "
                  "included."],
        "seeds": [seed],
    }  # fmt: skip


def conformance(seed=0):
    """Run scikit-learn's `check_estimator` at default parameters, a process for each class."""
    figures = []
    for name in ("NPTClassifier", "NPTRegressor"):
        report = _in_child("check", name)
        figures += [
            figure(f"{name}: check_estimator, CPU s", report["cpu_s"], "<= 30"),
            figure(f"{name}: checks not passed", report["not_passed"], "<= 0"),
            figure(f"{name}: checks", report["checks"]),
        ]
    return {"figures": figures, "configuration": "defaults, SCIPY_ARRAY_API=1",
            "notes": ["Not passed: failed, skipped or expected to fail."], "seeds": []}  # fmt: skip


# ------------------------------------------------------------------ in a process of its own


def _in_child(*arguments):
    package = str(Path(sklearn_selfattn.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)],
        env={**os.environ, "SCIPY_ARRAY_API": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _adult_child(seed):
    import resource

    table = load_table("adult")
    model = NPTClassifier(pretrained=False, random_state=seed)
    cpu, _ = timed(lambda: model.fit(table.X, table.y))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kB on Linux
    probability = model.predict_loo("predict_proba")[:, 1]
    return {
        "fit_cpu_s": cpu, "peak_mb": peak, "rows": len(table.y), "epochs": model.n_iter_,
        "auc": roc_auc_score(model.context_target_, probability),
    }  # fmt: skip


def _check_child(name):
    kind = getattr(sklearn_selfattn, name)
    results = []
    cpu, _ = timed(lambda: results.extend(check_estimator(kind(), on_fail=None, on_skip=None)))
    bad = [result["check_name"] for result in results if result["status"] != "passed"]
    return {"cpu_s": cpu, "not_passed": len(bad), "which": bad, "checks": len(results)}


if __name__ == "__main__":
    task, argument = sys.argv[1:]
    child = _adult_child(int(argument)) if task == "adult" else _check_child(argument)
    print(json.dumps(child))
