"""The acceptance measurements of the primal room: one seed in, raw numbers out.

Nothing is judged here; `primal_figures` sets the numbers beside their targets.
"""

import subprocess
import sys
import time
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from primal_data import SERIES, cross_token_xor, load_series
from sklearn import datasets
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import RidgeClassifierCV, RidgeCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from tabular_scores import classification_scores

from sklearn_selfattn.core.randomness import seeded
from sklearn_selfattn.primal import (
    PrimalAttentionClassifier,
    PrimalAttentionRegressor,
    attention_spectrum,
    ksvd_residual,
)
from sklearn_selfattn.primal.attention import (
    LinearAttention,
    PrimalAttention,
    SoftmaxAttention,
    Steps,
    even_rows,
    unit_rows,
)

ATTENTIONS = ("primal", "softmax", "none")
SIZES = (1024, 4096, 16384)
TWINS = {"softmax": SoftmaxAttention, "linear": LinearAttention}


# --- accuracy on series ---------------------------------------------------------------------------


def flat(X):
    """Pad ragged series with zeros to one length and lay their steps side by side."""
    longest = max(x.shape[1] for x in X)
    return np.stack([np.pad(x, ((0, 0), (0, longest - x.shape[1]))).ravel() for x in X])


def minirocket(seed):
    """MiniRocket of aeon at its defaults, on padded series where they differ in length."""
    from aeon.classification.convolution_based import MiniRocketClassifier

    return MiniRocketClassifier(random_state=seed, n_jobs=1)


def padded(X, length):
    return np.stack([np.pad(x, ((0, 0), (0, length - x.shape[1]))) for x in X])


def fit_and_score(make, X, y, X_test, y_test):
    """Fit once on the training part, and return scores and CPU seconds."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make().fit(X, y)
    cpu = time.process_time() - start
    predicted = model.predict(X_test)
    scores = {"accuracy": float(np.mean(predicted == y_test)), "cpu_s": cpu}
    if hasattr(model, "predict_proba") and not type(model).__name__.startswith("MiniRocket"):
        codes = np.searchsorted(model.classes_, y_test)
        known = classification_scores(codes, model.predict_proba(X_test))
        scores |= {"log_loss": known["log_loss"], "ece": known["ece"]}
    return scores


def series(name):
    """Make an experiment: nets with each attention at defaults, and the peers, on one set."""

    def run(seed):
        X, y, X_test, y_test = load_series(name)
        found = {}
        for kind in ATTENTIONS:
            found[kind] = fit_and_score(
                lambda kind=kind: PrimalAttentionClassifier(attention=kind, random_state=seed),
                X, y, X_test, y_test,
            )  # fmt: skip
        flat_all = flat([*X, *X_test])
        parts = flat_all[: len(X)], y, flat_all[len(X) :], y_test
        found["trees"] = fit_and_score(lambda: ExtraTreesClassifier(random_state=seed), *parts)
        found["ridge"] = fit_and_score(
            lambda: make_pipeline(StandardScaler(), RidgeClassifierCV()), *parts
        )
        length = max(x.shape[1] for x in [*X, *X_test])
        minirocket(0).fit(padded(X[:8], length), np.arange(8) % 2)  # compiled before it is timed
        found["minirocket"] = fit_and_score(
            lambda: minirocket(seed), padded(X, length), y, padded(X_test, length), y_test
        )
        return found

    return run


# --- do tokens meet? ------------------------------------------------------------------------------


def xor(seed):
    """Tell the sign of a product of two steps: by nets in which tokens meet, and by others."""
    nets = {
        "primal": {}, "weights not of the data": {"data_dependent": False},
        "none": {"attention": "none"}, "softmax": {"attention": "softmax"},
        "linear": {"attention": "linear"},
    }  # fmt: skip
    X, y = cross_token_xor(1500, 16, 0, seed)
    X_test, y_test = cross_token_xor(1000, 16, 0, seed + 100)
    return {
        name: PrimalAttentionClassifier(
            stem="linear", pooling="flatten", augment=False, early_stopping=False, n_estimators=1,
            batch_size=32, max_epochs=20, learning_rate=4e-3, dropout=0.0, random_state=seed,
            **params,
        ).fit(X, y).score(X_test, y_test)
        for name, params in nets.items()
    }  # fmt: skip


def hard_xor(seed):
    """Do the same among 64 steps and 20 more channels of noise."""
    X, y = cross_token_xor(1500, 64, 20, seed)
    X_test, y_test = cross_token_xor(1000, 64, 20, seed + 100)
    model = PrimalAttentionClassifier(
        stem="linear", pooling="flatten", augment=False, early_stopping=False, n_estimators=1,
        batch_size=32, max_epochs=20, learning_rate=4e-3, random_state=seed,
    )  # fmt: skip
    return {"primal": model.fit(X, y).score(X_test, y_test)}


# --- uncertainty ----------------------------------------------------------------------------------


def uncertainty(seed):
    """Set the process beside the net without it, and measure its entropy under noise."""
    found = {}
    for name in ("JapaneseVowels", "RacketSports"):
        X, y, X_test, y_test = load_series(name)
        scale = np.concatenate(X, axis=1).std(axis=1)[:, None]
        rng = np.random.default_rng(seed)
        for kind in ("svgp", None):
            model = PrimalAttentionClassifier(uncertainty=kind, random_state=seed).fit(X, y)
            proba = model.predict_proba(X_test)
            known = classification_scores(np.searchsorted(model.classes_, y_test), proba)
            is_wrong = model.classes_[proba.argmax(axis=1)] != y_test
            scores = {"accuracy": known["accuracy"], "log_loss": known["log_loss"],
                      "ece": known["ece"]}  # fmt: skip
            total = model.predict_uncertainty(X_test).total
            scores["failure_auc"] = float(roc_auc_score(is_wrong, total)) if is_wrong.any() else 1.0
            for level in (0.0, 0.5, 1.0, 2.0):
                noisy = [x + level * scale * rng.normal(size=x.shape) for x in X_test]
                scores[f"entropy {level}"] = float(model.predict_uncertainty(noisy).total.mean())
            found[f"{name} {kind or 'deterministic'}"] = scores
    return found


# --- tables ---------------------------------------------------------------------------------------


def small_tables(seed):
    """Five folds of diabetes and breast_cancer, beside ridge regression and an MLP."""
    X, y = datasets.load_diabetes(return_X_y=True)
    cv = KFold(5, shuffle=True, random_state=seed)
    ridge = make_pipeline(StandardScaler(), RidgeCV())
    ours = PrimalAttentionRegressor(random_state=seed)
    found = {
        "diabetes primal": cross_val_score(ours, X, y, cv=cv).mean(),
        "diabetes ridge": cross_val_score(ridge, X, y, cv=cv).mean(),
        "diabetes mean": cross_val_score(DummyRegressor(), X, y, cv=cv).mean(),
    }
    X, y = datasets.load_breast_cancer(return_X_y=True)
    cv = StratifiedKFold(5, shuffle=True, random_state=seed)
    mlp = make_pipeline(StandardScaler(), MLPClassifier(random_state=seed, max_iter=1000))
    ours = PrimalAttentionClassifier(random_state=seed)
    found["breast_cancer primal"] = cross_val_score(ours, X, y, cv=cv).mean()
    found["breast_cancer mlp"] = cross_val_score(mlp, X, y, cv=cv).mean()
    return {key: float(value) for key, value in found.items()}


def digits(seed):
    """Five folds of the digits as 64 tokens, beside an MLP."""
    X, y = datasets.load_digits(return_X_y=True)
    cv = StratifiedKFold(5, shuffle=True, random_state=seed)
    mlp = make_pipeline(FunctionTransformer(lambda X: X / 16), MLPClassifier(max_iter=1000))
    return {
        "primal": float(
            cross_val_score(PrimalAttentionClassifier(random_state=seed), X, y, cv=cv).mean()
        ),
        "mlp": float(cross_val_score(mlp, X, y, cv=cv).mean()),
    }


# --- cost -----------------------------------------------------------------------------------------


def fastest(functions, rounds=6, seconds=0.25):
    """Return the least CPU time of a call of each function, in milliseconds.

    In turns, so that what else the machine does falls on all of them.
    """
    least = dict.fromkeys(functions, np.inf)
    for function in functions.values():
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            start = end = time.process_time()
            while end - start < seconds:
                begin = end
                function()
                end = time.process_time()
                least[name] = min(least[name], 1e3 * (end - begin))
    return least


def layer_of(kind, n_tokens):
    """Return a layer of width 64 with 2 heads, and its input."""
    with seeded(0):
        x = torch.randn(1, 1, n_tokens, 64)
        if kind == "primal":
            layer = PrimalAttention(1, 64, 2, rank=20, n_rows=200)
        else:
            layer = TWINS[kind](1, 64, 2)
    lengths = torch.tensor([n_tokens])
    return layer.train(), x, Steps(None, even_rows(lengths, 200)[0], lengths)


def train_step(kind, n_tokens):
    """Return a function that runs a layer forward and back, with the kernel SVD's term."""
    layer, x, steps = layer_of(kind, n_tokens)
    x.requires_grad_()

    def step():
        value = layer(x, steps).square().mean()
        if kind == "primal":
            value = value + layer.objective.square().mean()
        value.backward()

    return step


def cores(n_tokens):
    """Return the cores of attention as functions, with queries, keys and values given."""
    layer, x, steps = layer_of("primal", n_tokens)
    Q, K, V = torch.randn(3, 1, 2, n_tokens, 32).unbind(0)
    heads = torch.stack([Q, K], dim=1).unsqueeze(0)  # (m, n, 2, h, t, c)

    def primal():
        return layer.fused(unit_rows(heads), layer.weights(x, steps))

    def linear():
        q, k = F.elu(Q) + 1, F.elu(K) + 1
        return q @ (k.mT @ V) / (q @ k.sum(dim=-2).unsqueeze(-1) + 1e-6)

    return {
        "primal": primal,
        "softmax": lambda: F.scaled_dot_product_attention(Q, K, V),
        "linear": linear,
    }


def speed(seed):
    """Time cores without gradients, and training steps of layers, in one process and thread."""
    found = {}
    for n_tokens in SIZES:
        with torch.inference_mode():
            times = fastest(cores(n_tokens))
        found |= {f"core {kind} {n_tokens}": value for kind, value in times.items()}
    for n_tokens in SIZES:
        times = fastest({kind: train_step(kind, n_tokens) for kind in ("primal", *TWINS)})
        found |= {f"train {kind} {n_tokens}": value for kind, value in times.items()}
    return found


MEMORY_PROGRAM = r"""
import re, torch
from pathlib import Path
torch.set_num_threads(1)
from primal_experiments import train_step

def in_kb(name):
    return int(re.search(name + r":\s+(\d+)", Path("/proc/self/status").read_text())[1])

train_step({kind!r}, 256)()
step = train_step({kind!r}, {n_tokens})
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = in_kb("VmRSS")
step()
print(in_kb("VmHWM") - before)
"""


def memory(seed):
    """Measure the peak memory of a training step over that of a small one, each in a process."""
    found = {}
    for kind in ("primal", "softmax", "linear"):
        for n_tokens in SIZES:
            program = MEMORY_PROGRAM.format(kind=kind, n_tokens=n_tokens)
            run = subprocess.run(
                [sys.executable, "-c", program], capture_output=True, text=True, check=True
            )
            found[f"{kind} {n_tokens}"] = int(run.stdout) / 1024
    return found


def whole_fit(seed):
    """Fit 64 series of 4,096 steps, with primal attention and with softmax."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(64, 1, 4096)), np.arange(64) % 2
    found = {}
    for kind in ("primal", "softmax"):
        model = PrimalAttentionClassifier(
            attention=kind, n_estimators=1, max_epochs=2, random_state=seed
        )
        start = time.process_time()
        model.fit(X, y)
        found[kind] = time.process_time() - start
    return found


# --- the lens -------------------------------------------------------------------------------------


def spectrum(seed):
    """Spectra of a net whose last layer is primal and of its softmax twin, and the residual."""
    X, y, X_test, _ = load_series("JapaneseVowels")
    found = {}
    for kind, params in {
        "primal": {"primal_layers": "last", "rank": 8}, "softmax": {"attention": "softmax"},
    }.items():  # fmt: skip
        model = PrimalAttentionClassifier(
            n_layers=2, n_estimators=1, random_state=seed, **params
        ).fit(X, y)
        share = attention_spectrum(model, X_test).cumulative()[-1].mean(axis=(0, 1))
        found[f"share of 5, {kind}"] = float(share[4])
        if kind == "primal":
            found["residual"] = float(ksvd_residual(model, X_test)[1].mean())
    return found


#: Every experiment, the cheap ones first; those with True need one seed only.
EXPERIMENTS = {
    "speed": (speed, True),
    "memory": (memory, True),
    "xor": (xor, False),
    **{f"series {name}": (series(name), False) for name in SERIES},
    "small_tables": (small_tables, False),
    "hard_xor": (hard_xor, True),
    "spectrum": (spectrum, True),
    "uncertainty": (uncertainty, False),
    "whole_fit": (whole_fit, True),
    "digits": (digits, True),
}
