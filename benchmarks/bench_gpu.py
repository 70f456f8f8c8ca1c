"""Every estimator on a GPU beside the same machine's processor: time, score, repeatability.

Writes ``benchmarks/results/gpu.json``; no test depends on it. On a machine with a GPU::

    python benchmarks/bench_gpu.py                  # all estimators
    python benchmarks/bench_gpu.py NPTClassifier    # some
"""

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import make_classification, make_friedman1
from sklearn.model_selection import train_test_split

import sklearn_selfattn

OUT = Path(__file__).parent / "results" / "gpu.json"


def classes(n=2000, d=20):
    """Return a table of ten informative columns in three classes."""
    return make_classification(n, d, n_informative=10, n_classes=3, random_state=0)


def numbers(n=2000):
    """Return a table whose target is smooth."""
    return make_friedman1(n, 10, noise=0.5, random_state=0)


def series(n=300, steps=1000):
    """Return long series of two channels; the class is a burst's frequency, at a random place."""
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(n, 2, steps)), np.arange(n) % 3
    for row, label in zip(X, y, strict=True):
        start = rng.randint(steps - 200)
        row[0, start : start + 200] += 2 * np.sin(np.arange(200) * (0.2 + 0.2 * label))
    return X, y


def embeddings(n=4000, d=64):
    """Return noisy points around 200 centres."""
    rng = np.random.RandomState(0)
    y = np.arange(n) % 200
    return rng.normal(size=(200, d))[y] + 1.5 * rng.normal(size=(n, d)), y


# Estimator: its data, and parameters that make it train.
CASES = {
    "NPTClassifier": (classes, {"pretrained": False}),
    "NPTClassifier, pretrained": (classes, {"pretrained": True}),
    "NPTRegressor": (numbers, {"pretrained": False}),
    "OTTabularClassifier": (classes, {}),
    "PrimalAttentionClassifier": (series, {}),
    "PrimalAttentionRegressor": (numbers, {}),
    "TimeEventClassifier": (classes, {}),
    "TimeEventRegressor": (numbers, {}),
    "AttentionReranker": (embeddings, {}),
}


def measure(name):
    """Fit on the processor, on the GPU and on the GPU again."""
    make, parameters = CASES[name]
    X, y = make()
    stratify = None if np.issubdtype(y.dtype, np.floating) else y
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.25, random_state=0, stratify=stratify
    )
    cls = getattr(sklearn_selfattn, name.partition(",")[0])
    found, predicted = {"rows": len(X_train)}, []
    for device in ("cpu", "cuda", "cuda"):
        start = time.perf_counter()
        model = cls(**parameters, random_state=0, device=device).fit(X_train, y_train)
        fitted = time.perf_counter()
        predicted.append(model.predict(X_test))
        found[device] = {
            "fit_s": round(fitted - start, 2),
            "predict_s": round(time.perf_counter() - fitted, 3),
            "score": float(model.score(X_test, y_test)),
        }
    once, again = predicted[1:]
    if stratify is None:
        found["again"] = float(np.abs(once - again).max() / np.std(y))
    else:
        found["again"] = float(np.mean(once != again))
    return found


def main():
    """Measure what is asked for, each result saved as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CASES)}")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    results = json.loads(options.out.read_text()) if options.out.exists() else {"models": {}}
    results["machine"] = {
        "gpu": torch.cuda.get_device_name(0),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
    }
    for name in options.names or CASES:
        results["models"][name] = measure(name)
        options.out.write_text(json.dumps(results, indent=1) + "\n")
        print(name, results["models"][name], flush=True)


if __name__ == "__main__":
    main()
