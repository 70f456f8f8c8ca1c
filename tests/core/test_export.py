"""Exported graphs give the estimator's own predictions, for other rows than they were made with."""

import subprocess
import sys

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from scipy import special
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError

import sklearn_selfattn
from sklearn_selfattn import (
    AttentionReranker,
    DistributionalProjectionVectorizer,
    NPTClassifier,
    NPTRegressor,
    OTTabularClassifier,
    PrimalAttentionClassifier,
    PrimalAttentionRegressor,
    TimeEventClassifier,
    TimeEventRegressor,
    VisualParsingClassifier,
    VisualParsingRegressor,
    export_inputs,
    export_onnx,
    export_program,
    make_event_windows,
)
from sklearn_selfattn.core import decompositions
from sklearn_selfattn.core.export import ACCEPTED
from sklearn_selfattn.datasets import make_digit_scenes

N_ROWS = 40
SHORT = {"d_model": 8, "max_epochs": 1, "random_state": 0}
MEMBERS = {**SHORT, "n_estimators": 2}
NPT = {**MEMBERS, "pretrained": False, "row_dim": 16, "n_bins": 4}


def table():
    """Numbers of all sizes, categories, and holes in both."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "small": rng.normal(size=N_ROWS),
            "large": 1e6 * rng.normal(size=N_ROWS),
            "kind": pd.Categorical(rng.choice(list("xyz"), N_ROWS)),
        }
    )
    X.loc[::7, "small"] = np.nan
    X.loc[::5, "kind"] = np.nan
    return X, np.arange(N_ROWS) % 3


def amounts():
    return table()[0], 5000 + 1000 * np.random.default_rng(1).normal(size=N_ROWS)


def series():
    """Of lengths between 16 and 24."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, 2, 24))
    return [one[:, : rng.integers(16, 25)] for one in X], (X[:, 0].mean(axis=1) > 0).astype(int)


def histories(**options):
    rng = np.random.default_rng(0)
    hours = np.tile(np.arange(12), 5) + rng.uniform(0, 0.5, 60)
    log = pd.DataFrame(
        {
            "id": np.repeat(np.arange(5), 12),
            "at": pd.Timestamp("2026-01-01") + pd.to_timedelta((3600 * hours).round(), unit="s"),
            "what": rng.choice(["p", "q", "r"], 60),
        }
    )
    return make_event_windows(log, "id", "at", "what", max_len=6, **options)[:2]


def what_comes_next():
    return histories(target="next_type")


def scenes():
    return make_digit_scenes(N_ROWS, questions=["exist"], random_state=0)


def digits():
    X, y = load_digits(n_class=3, return_X_y=True)
    return X[:N_ROWS], y[:N_ROWS]


KINDS = {
    "transport": (OTTabularClassifier(max_epochs=1, random_state=0), table),
    "npt": (NPTClassifier(**NPT), table),
    "npt, numbers": (NPTRegressor(**NPT, architecture="cells"), amounts),
    "npt, pretrained": (NPTClassifier(n_estimators=2, random_state=0), table),
    "primal, posterior": (
        PrimalAttentionRegressor(**MEMBERS, uncertainty="svgp", n_posterior_samples=2),
        amounts,
    ),
    "primal, series": (PrimalAttentionClassifier(**MEMBERS), series),
    "events": (TimeEventClassifier(**SHORT, time_reference="relative"), what_comes_next),
    "events, mixture": (
        TimeEventRegressor(**SHORT, n_layers=2, loss="lognormal_mixture"),
        histories,
    ),
    "pictures": (VisualParsingClassifier(**SHORT), scenes),
    "pictures, numbers": (
        VisualParsingRegressor(**SHORT, image_shape=(8, 8), backbone="swin"),
        digits,
    ),
    "reranker": (AttentionReranker(**SHORT, n_candidates=20, n_anchors=6), digits),
}
AS_ONNX = ("npt", "events", "pictures")  # a file is made of a program: these need no test of it


def fitted(kind):
    model, data = KINDS[kind]
    X, y = data()
    return clone(model).fit(X, y), X


def predicted(model, X):
    """Return what a graph should give."""
    if isinstance(model, AttentionReranker):
        return 1 - model.kneighbors(X, n_neighbors=20)[0]
    return model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X)


def check(model, X, run, tolerance):
    """Compare for one row, some, and all; the graph was made with another number of them."""
    for rows in (slice(4, 5), slice(0, 7), slice(None)):
        part = X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows]
        expected, found = predicted(model, part), run(export_inputs(model, part))
        if isinstance(model, AttentionReranker):  # scores in the order of the list
            found = -np.sort(-found, axis=1)
        assert found.shape == expected.shape
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=tolerance)


def first(X, n):
    return X.iloc[:n] if isinstance(X, pd.DataFrame) else X[:n]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in AS_ONNX])
def test_program_equals_the_estimator(kind):
    model, X = fitted(kind)
    program = export_program(model, first(X, 1)).module()

    def run(inputs):
        tensors = {name: torch.as_tensor(array) for name, array in inputs.items()}
        return program(tensors).detach().numpy()

    # scores of the re-ranker are rounded to nine digits
    check(model, X, run, 1e-7 if kind == "reranker" else 1e-10)


@pytest.mark.parametrize("kind", AS_ONNX)
def test_onnx_equals_the_estimator(kind, tmp_path):
    model, X = fitted(kind)
    export_onnx(model, first(X, 3), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    check(model, X, lambda inputs: session.run(["prediction"], inputs)[0], 1e-5)


WITHOUT_TORCH = """
import sys
import numpy as np
import onnxruntime

folder = sys.argv[1]
session = onnxruntime.InferenceSession(f"{folder}/model.onnx")
inputs = dict(np.load(f"{folder}/inputs.npz"))
np.save(f"{folder}/prediction.npy", session.run(["prediction"], inputs)[0])
assert not {"torch", "sklearn", "sklearn_selfattn"} & set(sys.modules)
"""


def test_the_file_runs_without_torch(tmp_path):
    model, X = fitted("transport")
    export_onnx(model, first(X, 2), str(tmp_path / "model.onnx"))
    np.savez(tmp_path / "inputs.npz", **export_inputs(model, X))
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, str(tmp_path)], check=True)
    found = np.load(tmp_path / "prediction.npy")
    np.testing.assert_allclose(found, model.predict_proba(X), rtol=0, atol=1e-5)
    assert np.ptp(found, axis=0).min() > 1e-3  # rows are told apart


def test_the_context_of_npt_is_as_it_was():
    model, X = fitted("npt")
    before = predicted(model, X)
    inputs = {k: torch.as_tensor(v) for k, v in export_inputs(model, X).items()}
    program = export_program(model, X).module()
    assert (predicted(model, X) == before).all()
    model.set_context(X, np.roll(table()[1], 1))
    assert np.abs(predicted(model, X) - before).max() > 1e-6
    np.testing.assert_allclose(program(inputs).detach().numpy(), before, atol=1e-10)
    program = export_program(model, X).module()
    np.testing.assert_allclose(program(inputs).detach().numpy(), predicted(model, X), atol=1e-10)


def test_accepted_are_all_that_have_a_graph():
    public = {name: getattr(sklearn_selfattn, name) for name in sklearn_selfattn.__all__}
    assert sorted(ACCEPTED) == sorted(n for n, o in public.items() if hasattr(o, "_export_forward"))


@pytest.mark.parametrize("call", [export_inputs, export_program, export_onnx])
def test_bad_estimators_are_refused_in_words(call, tmp_path):
    X, y = table()
    arguments = [tmp_path / "model.onnx"] if call is export_onnx else []
    unfitted = OTTabularClassifier()
    with pytest.raises(NotFittedError, match="This OTTabularClassifier instance is not fitted yet"):
        call(unfitted, X, *arguments)
    words = "DistributionalProjectionVectorizer cannot be exported; accepted are AttentionReranker,"
    with pytest.raises(TypeError, match=words):
        call(DistributionalProjectionVectorizer(), X, *arguments)
    one = OTTabularClassifier(max_epochs=1).fit(X, np.zeros(N_ROWS))
    with pytest.raises(ValueError, match="This OTTabularClassifier knows one class"):
        call(one, X, *arguments)
    model = unfitted.set_params(max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match="feature names should match"):
        call(model, X[["small", "kind"]], *arguments)
    reranker, _ = fitted("reranker")
    reranker.blend_ = float("inf")
    with pytest.raises(ValueError, match="AttentionReranker chose not to re-rank"):
        call(reranker, digits()[0], *arguments)
    assert not list(tmp_path.iterdir())


def test_other_endings_and_a_missing_extra_are_refused(tmp_path, monkeypatch):
    X, y = table()
    model = OTTabularClassifier(max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match="path has to end in '.onnx', got .*model.pt'"):
        export_onnx(model, X, tmp_path / "model.pt")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r'pip install "sklearn-selfattn\[export\]"'):
        export_onnx(model, X, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


# --- what is written in the place of operators ---------------------------------------------------


def test_decompositions_are_the_operators():
    x = torch.linspace(-6, 6, 401, dtype=torch.float64)
    y = x.flip(0) * 1e200
    functional = torch.nn.functional
    for ours, theirs, tolerance in (
        (decompositions._elu(x), functional.elu(x), 1e-15),
        (decompositions._erf(x), torch.erf(x), 1e-7),
        (decompositions._gelu(x), functional.gelu(x), 1e-15),
        (decompositions._hypot(x, y) / 1e200, torch.hypot(x, y) / 1e200, 1e-14),
        (decompositions._hypot(x, 0 * x), x.abs(), 1e-15),
        (decompositions._softplus(20 * x), functional.softplus(20 * x, threshold=1000), 1e-14),
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)
    near_one = 1 - torch.logspace(-10, 0, 300, dtype=torch.float64)
    both = torch.cat([-near_one, near_one])
    expected = torch.as_tensor(special.erfinv(both.numpy()))
    torch.testing.assert_close(decompositions._erfinv(both), expected, rtol=1e-13, atol=1e-15)
    rows = torch.tensor([[0.0, 1.0, 1.0, torch.inf], [2.0, 3.0, torch.inf, torch.inf]])
    asked = torch.tensor([[1.0, -1.0, 9.0], [3.0, 2.5, 2.0]])
    for right in (False, True):
        expected = torch.searchsorted(rows, asked, right=right)
        assert torch.equal(decompositions._searchsorted(rows, asked, right=right), expected)
    image, weight = torch.randn(2, 3, 8, 8).double(), torch.randn(4, 3, 3, 3).double()
    found = decompositions._convolution(image, weight, None, [2, 2], [1, 1])
    assert found.dtype == torch.float64
    expected = functional.conv2d(image, weight, None, 2, 1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert decompositions._erf(x.float()) is decompositions._convolution(x.float(), x)
    assert decompositions._erf(x.float()) is NotImplemented
