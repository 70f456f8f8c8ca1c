"""One fit over two processes is the fit of one process with twice the batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import make_classification

from sklearn_selfattn import NPTClassifier, PrimalAttentionClassifier
from tests.core.toy import TableTransformerClassifier

ROOT = Path(__file__).resolve().parents[2]
ROWS = 480  # so that batches of 40, and of 80, are all full
MODELS = {
    "toy": (TableTransformerClassifier, {"d_model": 8, "dtype": "float64"}),
    "primal": (
        PrimalAttentionClassifier,
        {"d_model": 8, "n_estimators": 2, "dropout": 0.0, "dtype": "float64"},
    ),
    "npt": (
        NPTClassifier,
        {
            "pretrained": False,
            "n_estimators": 2,
            "d_model": 8,
            "row_dim": 16,
            "n_bins": 4,
            "early_stopping": True,
        },
    ),
}

PROGRAM = """
import json, os, sys
from sklearn_selfattn import DistributedTraining, TrainingCheckpoint
from tests.core.test_distributed import MODELS, data, fitted
from tests.core.toy import TableTransformerClassifier

rank, folder = os.environ["RANK"], sys.argv[1]
X, y = data()
found = {}
for name in MODELS:
    model = fitted(name, 40, [DistributedTraining(), TrainingCheckpoint(f"{folder}/fit")])
    found[name] = [model.predict_proba(X).tolist(), [r["train_loss"] for r in model.history_],
                   [r["valid_loss"] for r in model.history_ if "valid_loss" in r]]
try:
    other = TableTransformerClassifier(max_epochs=1, random_state=int(rank))
    other.set_params(callbacks=[DistributedTraining()]).fit(X, y)
except ValueError as error:
    found["error"] = str(error)
with open(f"{folder}/{rank}.json", "w") as file:
    json.dump(found, file)
"""


def data():
    return make_classification(ROWS, n_features=6, n_informative=4, random_state=0)


def fitted(name, batch_size, callbacks=None):
    make, params = MODELS[name]
    model = make(
        batch_size=batch_size, max_epochs=4, random_state=0, callbacks=callbacks,
        **{"early_stopping": False, **params},
    )  # fmt: skip
    return model.fit(*data())


def torchrun(*command):
    """Run a program in two processes, and return what both have printed."""
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         *map(str, command)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """Fit in two processes, and return what each found."""
    folder = tmp_path_factory.mktemp("processes")
    program = folder / "program.py"
    program.write_text(PROGRAM)
    torchrun(program, folder)
    assert not (folder / "fit").exists()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("name", MODELS)
def test_all_processes_end_with_the_same_model(two_processes, name):
    first, second = two_processes
    assert first[name] == second[name]
    assert (name == "npt") == bool(first[name][2])  # with held-out rows, and without
    # and it is not the one that either would have found by itself
    alone = fitted(name, 40).predict_proba(data()[0])
    assert np.abs(alone - first[name][0]).max() > 1e-3


@pytest.mark.parametrize("name", ["toy", "primal"])
def test_two_processes_have_the_losses_of_one_with_twice_the_batch(two_processes, name):
    shares, losses, _ = two_processes[0][name]
    alone = fitted(name, 80)
    np.testing.assert_allclose(
        losses, [row["train_loss"] for row in alone.history_], rtol=1e-9, atol=0
    )
    np.testing.assert_allclose(shares, alone.predict_proba(data()[0]), rtol=1e-7, atol=1e-9)


def test_processes_that_fit_different_things_are_told(two_processes):
    for found in two_processes:
        assert "the processes fit different things" in found["error"]


def test_the_example_runs_and_one_process_reports():
    (line,) = torchrun("examples/distributed/fit.py").splitlines()
    assert float(line.removeprefix("accuracy: ")) > 0.8
