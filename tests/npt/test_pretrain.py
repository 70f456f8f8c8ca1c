"""The pretraining program: its steps, its checkpoints, its weights, on nothing but torch."""

import json
import math
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics

import sklearn_selfattn
from sklearn_selfattn.npt.in_context import MAX_CLASSES, PRESETS, Config
from sklearn_selfattn.npt.pretrain import run as pretraining
from sklearn_selfattn.npt.pretrain.__main__ import main
from sklearn_selfattn.npt.pretrain.muon import Muon, orthogonalise
from sklearn_selfattn.npt.pretrain.prior import sample_tables
from sklearn_selfattn.npt.pretrain.run import Plan, Run, load_development, standardise, table_loss
from sklearn_selfattn.npt.weights import load_weights

LITTLE = Config(d_model=16, n_layers=2, n_heads=2, n_thinking=2, n_bars=10)
PLAN = Plan("tiny", n_steps=8, cells=400, seed=3)


def even_bars(n_bars, seed):
    return torch.linspace(-2, 2, n_bars - 1), torch.tensor([0.7, 0.9])


@pytest.fixture
def little(monkeypatch):
    """Make the preset "tiny" a smaller net, with bars and validation that cost nothing."""
    monkeypatch.setitem(PRESETS, "tiny", LITTLE)
    monkeypatch.setattr(pretraining, "VALIDATION", ((60, 3), (60, 6)))
    monkeypatch.setattr(pretraining, "_bars", even_bars)


# --- Muon ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 8, 5), (2, 5, 8), (1, 6, 6)])
def test_orthogonalised_matrices_keep_their_vectors_and_lose_their_values(shape):
    generator = torch.Generator().manual_seed(0)
    U, _, Vh = torch.linalg.svd(
        torch.randn(shape, generator=generator, dtype=torch.float64), full_matrices=False
    )
    k = min(shape[1:])
    found = orthogonalise(U * torch.logspace(-1, 1, k).double() @ Vh)
    values = U.mT @ found @ Vh.mT  # (b, k, k), diagonal
    diagonal = values.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(values, torch.diag_embed(diagonal), rtol=0, atol=1e-9)
    assert diagonal.min() > 0.65 and diagonal.max() < 1.25
    torch.testing.assert_close(U * diagonal.unsqueeze(1) @ Vh, found, rtol=0, atol=1e-9)


def test_steps_of_muon_are_as_large_as_those_of_adamw():
    generator = torch.Generator().manual_seed(0)
    rate, decay, momentum = 0.02, 0.1, 0.95
    shapes = [(8, 32), (8, 32), (24, 8)]
    weights = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    unused = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = Muon([*weights, unused], lr=rate, momentum=momentum, weight_decay=decay)
    expected = [weight.detach().clone() for weight in weights]
    running = [torch.zeros(shape) for shape in shapes]
    for _ in range(3):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()
        for i, weight in enumerate(weights):
            mean = momentum * running[i] + (1 - momentum) * weight.grad
            running[i] = mean.bfloat16().float()
            ahead = (1 - momentum) * weight.grad + momentum * mean
            update = orthogonalise(ahead[None])[0] * 0.2 * math.sqrt(max(weight.shape))
            expected[i] = expected[i] * (1 - rate * decay) - rate * update
            assert 0.13 < update.square().mean().sqrt() < 0.25
            torch.testing.assert_close(weight.detach(), expected[i], rtol=0, atol=1e-5)
    assert (unused == 1).all()


# --- the run ------------------------------------------------------------------------------------


def state_of(run):
    """Return all tensors of a run, and what has to be the same in another."""
    tensors = {
        f"{part}.{name}": value
        for part, module in (("net", run.net), ("average", run.average))
        for name, value in module.state_dict().items()
    }
    for i, optimizer in enumerate(run.optimizers):
        for j, state in optimizer.state_dict()["state"].items():
            tensors |= {f"{i}.{j}.{name}": torch.as_tensor(v) for name, v in state.items()}
    counted = {name: run.totals[name] for name in ("flop", "tables")}
    return tensors, (run.plan, run.step, counted)


@pytest.mark.parametrize("ahead", [1, 3])  # steps whose tables are drawn at once
def test_a_resumed_run_equals_one_that_was_not_stopped(ahead, little, tmp_path, monkeypatch):
    monkeypatch.setitem(pretraining.AHEAD, "cpu", ahead)
    whole = Run(PLAN)
    losses = [float(whole.take_step()) for _ in range(6)]
    part = Run(PLAN)
    found = [float(part.take_step()) for _ in range(2)]
    part.record()  # looking changes nothing
    for _ in range(2):
        part.save(tmp_path / "run.pt")
        part = Run.load(tmp_path / "run.pt")
        found += [float(part.take_step()) for _ in range(2)]
    assert found == losses
    (tensors, rest), (others, other_rest) = state_of(whole), state_of(part)
    assert rest == other_rest
    assert tensors.keys() == others.keys()
    assert all(torch.equal(tensors[name], others[name]) for name in tensors)
    assert [line["step"] for line in part.curve] == [2]
    assert {whole.draw_step(step)[0] for step in range(20)} == {"classification", "regression"}


def test_a_crash_while_writing_leaves_the_checkpoint_before(little, tmp_path, monkeypatch):
    run, path = Run(PLAN), tmp_path / "run.pt"
    run.save(path)
    before = path.read_bytes()
    run.take_step()

    def crash(state, where):
        Path(where).write_bytes(b"half a check")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", crash)
    with pytest.raises(OSError, match="No space"):
        run.save(path)
    assert path.read_bytes() == before
    assert Run.load(path).step == 0


@pytest.mark.parametrize("preset", PRESETS)
def test_checkpoints_and_weights_are_small(preset, tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "_bars", even_bars)
    run = Run(Plan(preset, cells=100))
    run.take_step()
    run.save(tmp_path / "run.pt")
    assert (tmp_path / "run.pt").stat().st_size <= 16 * 2**20
    run.export(tmp_path / "weights.npz")
    assert (tmp_path / "weights.npz").stat().st_size <= 4 * 2**20


def test_exported_weights_are_the_average_in_half_precision(little, tmp_path):
    run = Run(PLAN)
    for _ in range(3):
        run.take_step()
    facts = run.export(tmp_path / "one.npz")
    net, told = load_weights(tmp_path / "one.npz")
    for name, value in run.average.state_dict().items():
        expected = value if name in ("borders", "tails") else value.half().float()
        assert torch.equal(net.state_dict()[name], expected)
        if name.startswith("blocks"):  # and not the weights of the last step
            assert not torch.equal(value, run.net.state_dict()[name])
    assert told["config"] == asdict(LITTLE)
    assert told["plan"] == vars(PLAN) and told["step"] == facts["step"] == 3
    assert told["tables"] >= 3 and told["flop"] > 0
    run.export(tmp_path / "again.npz")
    assert load_weights(tmp_path / "again.npz")[1]["sha256"] == told["sha256"]
    run.take_step()
    run.export(tmp_path / "other.npz")
    assert load_weights(tmp_path / "other.npz")[1]["sha256"] != told["sha256"]


def test_there_is_nothing_to_export_before_a_run(little, tmp_path):
    with pytest.raises(SystemExit):
        main([str(tmp_path / "none.pt"), "--export", str(tmp_path / "weights.npz")])
    assert list(tmp_path.iterdir()) == []


def test_bars_hold_equal_shares_of_the_prior(monkeypatch):
    borders, tails = pretraining._bars(20, seed=0)
    assert (borders.diff() > 0).all() and (tails > 0).all()
    generator = torch.Generator().manual_seed(99)
    y = sample_tables(64, 256, 8, task="regression", generator=generator).y
    share = (
        torch.bucketize(standardise(y, 128), borders).flatten().bincount(minlength=20) / y.numel()
    )
    assert share.min() > 0.25 / 20 and share.max() < 3 / 20


def test_targets_are_scaled_by_the_context_alone():
    y = torch.randn(3, 20, generator=torch.Generator().manual_seed(0))
    scaled = standardise(y, 12)
    torch.testing.assert_close(scaled[:, :12].mean(dim=1), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        scaled[:, :12].square().mean(dim=1), torch.ones(3), rtol=1e-4, atol=0
    )
    y[:, 15] = 1e6
    assert torch.equal(standardise(y, 12)[:, :15], scaled[:, :15])


def test_a_short_run_learns_to_do_better_than_guess(little, monkeypatch):
    monkeypatch.setattr(pretraining, "WARM_UP", 10)
    run = Run(Plan("tiny", n_steps=250, cells=1000, learning_rate=1e-2))

    def mean_loss(net):
        losses = []
        for seed in range(4):
            generator = torch.Generator().manual_seed(10**7 + seed)
            tables = sample_tables(16, 80, 4, task="classification", generator=generator)
            with torch.no_grad():
                losses.append(table_loss(net, tables, 50, "classification", generator))
        return float(torch.stack(losses).mean())

    def guess(facts, y, task):
        return torch.zeros(len(facts), facts.shape[1] - y.shape[1], MAX_CLASSES)

    before = mean_loss(run.average)
    while run.step < run.plan.n_steps:
        run.take_step()
    assert mean_loss(run.average) < 0.97 * mean_loss(guess) < before
    assert run.validate() == run.validate()


# --- scores of real tables ----------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 5])
def test_scores_are_those_of_scikit_learn(n_classes):
    rng = np.random.RandomState(0)
    y = rng.permutation(np.arange(90) % n_classes)
    share = rng.dirichlet(np.ones(n_classes), size=90).round(1) + 0.05  # with ties
    share /= share.sum(axis=1, keepdims=True)
    asked = share[:, 1] if n_classes == 2 else share
    expected = metrics.roc_auc_score(y, asked, multi_class="ovr")
    assert pretraining.auc(y, share) == pytest.approx(expected, rel=1e-12)
    assert pretraining.log_loss(y, share) == pytest.approx(metrics.log_loss(y, share), rel=1e-12)


def write_tables(path):
    rng = np.random.RandomState(0)
    arrays = {}
    for name, n_classes in (("one", 2), ("two", 3)):
        X = rng.normal(size=(50, 4))
        X[:, 3] = rng.randint(5, size=50)
        arrays |= {f"{name}/X": X, f"{name}/y": np.arange(50) % n_classes}
        arrays |= {f"{name}/categorical": np.arange(4) == 3, f"{name}/context": np.array(30)}
    np.savez(path, **arrays)


def test_real_tables_are_scored(tmp_path):
    write_tables(tmp_path / "tables.npz")
    net, _ = load_weights()
    found = load_development(tmp_path / "tables.npz")(net)
    assert found["n_tables"] == 2 and set(found["tables"]) == {"one", "two"}
    means = np.mean(list(found["tables"].values()), axis=0)
    np.testing.assert_allclose([found["auc"], found["log_loss"]], means, rtol=0, atol=1e-5)


# --- the program --------------------------------------------------------------------------------

BARE = """
import runpy, sys
for name in ("sklearn", "skorch", "pandas", "scipy"):
    sys.modules[name] = None  # as if it were not installed
from sklearn_selfattn.npt import in_context
from sklearn_selfattn.npt.pretrain import run
in_context.PRESETS["tiny"] = in_context.Config(16, 2, 2, 2, 10)
run.VALIDATION = ((60, 3),)
options = ["run.pt", "--steps", "5", "--cells", "300", "--device", "cpu"]
for more in (["--seconds", "0"], ["--record-every", "2", "--log", "log.jsonl",
             "--development", "tables.npz"], ["--export", "weights.npz"]):
    sys.argv = ["pretrain", *options, *more]
    runpy.run_module("sklearn_selfattn.npt.pretrain", run_name="__main__")
assert not {name for name in ("sklearn", "skorch", "pandas", "scipy") if sys.modules[name]}
"""


def test_the_program_needs_torch_and_numpy_only(tmp_path):
    """It starts, resumes and exports where no scikit-learn is installed."""
    write_tables(tmp_path / "tables.npz")
    source = Path(sklearn_selfattn.__file__).parents[1]
    child = subprocess.run(
        [sys.executable, "-c", BARE], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(source)},
    )  # fmt: skip
    assert child.returncode == 0, child.stderr
    assert "resumed run.pt at step 0 of 5" in child.stdout
    assert "resumed run.pt at step 5 of 5" in child.stdout
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 5]
    assert all(line["development"]["n_tables"] == 2 for line in lines)
    net, facts = load_weights(tmp_path / "weights.npz")
    assert net.config == LITTLE and facts["step"] == 5
    assert facts["curve"] == lines
