"""The models of the benchmark of the pretrained NPT: its variants and their peers."""

import hashlib
import importlib
import json
import signal
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import tabular_peers

ROOT = Path(__file__).resolve().parents[1]
#: Where the package keeps its pretrained weights.
WEIGHTS = ROOT / "sklearn_selfattn" / "npt" / "weights"
N_TREES = 300


def _npt(task, seed, n_threads, **parameters):
    package = importlib.import_module("sklearn_selfattn")
    kind = package.NPTClassifier if task == "classification" else package.NPTRegressor
    return kind(random_state=seed, **parameters)


#: Parameters of the variants of NPT.
VARIANTS = {
    "npt_pretrained": {"pretrained": True},
    "npt_fine_tuned": {"pretrained": True, "fine_tune": "auto"},
    "npt_scratch": {"pretrained": False},
}
#: Every model, in the order in which they run and are listed.
MODELS = {
    **{name: partial(_npt, **parameters) for name, parameters in VARIANTS.items()},
    "hgb": tabular_peers.hgb,
    "forest": partial(tabular_peers.forest, n_trees=N_TREES),
    "linear": tabular_peers.linear,
    "knn": tabular_peers.knn,
    "catboost": tabular_peers.catboost,
    "realmlp": tabular_peers.realmlp,
    "tabm": tabular_peers.tabm,
}
PEERS = tuple(name for name in MODELS if name not in VARIANTS)
LABELS = {
    "npt_pretrained": "NPT pretrained",
    "npt_fine_tuned": "NPT fine-tuned",
    "npt_scratch": "NPT from scratch",
    **{name: tabular_peers.LABELS[name] for name in PEERS},
}
SETTINGS = {
    "npt_pretrained": "pretrained=True: no gradient step; the frame as it is",
    "npt_fine_tuned": "pretrained=True, fine_tune='auto'; the frame as it is",
    "npt_scratch": "pretrained=False: trained on the context rows alone; the frame as it is",
    **{name: tabular_peers.SETTINGS[name] for name in PEERS},
    "forest": f"{N_TREES} trees, else defaults; one-hot categories, missing numbers native",
}


def weights_files():
    """Return the file of the weights in use in a list, which is empty where there is none.

    Where the package does not say which file it loads, all that it carries.
    """
    files = sorted(WEIGHTS.glob("*.npz"))
    try:
        default = importlib.import_module("sklearn_selfattn.npt.weights").DEFAULT
    except (ImportError, AttributeError):
        return files
    return [path for path in files if path.stem == default]


def sha256(path):
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def settings(model, task):
    """Return what determines a model, as text.

    For NPT its parameters and the hash of the weights in use, so that a changed default
    and new weights are new models; for a peer the words of `SETTINGS`.
    """
    if model not in VARIANTS:
        return SETTINGS[model]
    try:
        parameters = MODELS[model](task, None, 1).get_params()
    except (ImportError, AttributeError, TypeError) as error:
        parameters = {"not there": str(error)}
    if model != "npt_scratch":
        parameters["weights"] = {path.name: sha256(path) for path in weights_files()}
    return json.dumps(parameters, sort_keys=True, default=repr)


def settings_hash(model, task):
    """Return a short fingerprint of `settings`."""
    return hashlib.sha256(settings(model, task).encode()).hexdigest()[:12]


def warm_up(model, task):
    """Fit once on a few rows; a model that fails here will leave its error in its record."""
    with np.errstate(all="ignore"):
        try:
            tabular_peers.warm_up(MODELS[model], task, 1)
        except Exception as error:
            print(f"{model}, {task}: {type(error).__name__}: {error}"[:200], flush=True)


def interval_scores(model, X, y, coverage=0.9):
    """Score the interval a regressor gives for each row; nothing where it gives none.

    Returns
    -------
    scores : dict
        ``coverage_90``, the share of rows within the interval, and ``width_90``, its mean
        width in standard deviations of `y`.
    """
    if getattr(model, "weights_", None) is None:  # only pretrained weights tell quantiles
        return {}
    tail = (1 - coverage) / 2
    low, high = np.asarray(model.predict_quantiles(X, [tail, 1 - tail])).T  # (n,) each
    return {
        "coverage_90": float(np.mean((low <= y) & (y <= high))),
        "width_90": float(np.mean(high - low) / y.std()),
    }


class TooSlow(Exception):
    """A fit used more CPU seconds than it was allowed."""


@contextmanager
def cpu_limit(seconds):
    """Raise `TooSlow` within the block after so many CPU seconds of this process.

    Where the system has no such timer, and within compiled code that never asks Python,
    the block goes on.
    """
    if not hasattr(signal, "setitimer"):
        yield
        return
    fired = []

    def interrupt(*_):
        fired.append(TooSlow(f"more than {seconds:g} CPU seconds"))
        raise fired[-1]

    before = signal.signal(signal.SIGPROF, interrupt)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    except KeyboardInterrupt:
        if fired:  # CatBoost turns whatever interrupts it into this
            raise fired[-1] from None
        raise
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
