import copy
import json
import math
import random
import threading

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, EpochScoring, GradientNormClipping, LRScheduler
from torch import nn

from sklearn_selfattn.core.training import TensorBatches, seeded, train, weighted_row_loss


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def data():
    """Rows, target and weights in float64: ``(50, 3), (50,), (50,)``."""
    X = torch.randn(50, 3, generator=generator(), dtype=torch.float64)
    weight = torch.rand(50, generator=generator(1), dtype=torch.float64) + 0.5
    return X, X @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64), weight


def make_module(dropout=0.0):
    with seeded(0):
        layers = nn.Linear(3, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1), nn.Flatten(0)
        return nn.Sequential(*layers).double()


def squared_error(output, y):
    return (output - y) ** 2


def fit(module, data, **options):
    defaults = {
        "batches": TensorBatches(*data, batch_size=16),
        "loss": weighted_row_loss(squared_error),
        "max_epochs": 5,
        "learning_rate": 1e-2,
        "generator": generator(),
    }
    return train(module, **{**defaults, **options})


def weights_of(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


class Scripted:
    """A validation with given losses, which notes the weights it was shown."""

    def __init__(self, *losses):
        self.losses, self.seen = losses, []

    def __call__(self, module):
        assert not module.training
        assert torch.is_inference_mode_enabled()
        self.seen.append(weights_of(module).clone())
        return self.losses[len(self.seen) - 1]


def test_same_weights_as_a_loop_written_by_hand(data):
    """Against AdamW steps in plain torch, with the same order of rows: bit-equal."""
    module, expected = make_module(), make_module()
    history = fit(module, data, weight_decay=0.1)

    matrices = [p for p in expected.parameters() if p.ndim == 2]
    vectors = [p for p in expected.parameters() if p.ndim == 1]
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-2, weight_decay=0.1, fused=True)
    order, losses = generator(), []
    for _ in range(5):
        for rows in torch.randperm(50, generator=order).tensor_split(4):
            X, y, weight = (tensor[rows] for tensor in data)
            optimizer.zero_grad()
            loss = ((expected(X) - y) ** 2 * weight).sum() / weight.sum()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert torch.equal(weights_of(module), weights_of(expected))
    per_epoch = np.reshape(losses, (5, 4)).mean(axis=1)
    np.testing.assert_allclose([row["train_loss"] for row in history], per_epoch, rtol=1e-12)


def test_one_batch_is_whole_unshuffled_and_draws_nothing(data):
    order = generator()
    before = order.get_state()
    ((X, y, weight),) = TensorBatches(*data, batch_size=50)(order)
    assert X is data[0]
    assert y is data[1]
    assert weight is data[2]
    assert torch.equal(order.get_state(), before)


@pytest.mark.parametrize("batch_size", [1, 7, 16, 49])
def test_batches_are_even_and_hold_every_row_once(batch_size):
    batches = TensorBatches(torch.arange(50), batch_size=batch_size)
    order = generator()
    epochs = [[rows for (rows,) in batches(order)] for _ in range(2)]
    for epoch in epochs:
        sizes = [len(rows) for rows in epoch]
        assert len(sizes) == len(batches) == math.ceil(50 / batch_size)
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) <= batch_size
        assert torch.cat(epoch).sort().values.tolist() == list(range(50))
    assert torch.cat(epochs[0]).tolist() != torch.cat(epochs[1]).tolist()


def test_weight_decay_spares_biases_and_named_parameters(data):
    module = make_module()
    module.no_weight_decay = {"3.weight"}
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    nothing = lambda module, batch: 0.0 * weights_of_graph(module)  # noqa: E731
    history = fit(module, data, loss=nothing, weight_decay=0.5, learning_rate=0.1)
    n_steps = 4 * len(history)
    for name, parameter in module.named_parameters():
        shrunk = (1 - 0.1 * 0.5) ** n_steps if name == "0.weight" else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * shrunk, rtol=1e-10, atol=0)


def weights_of_graph(module):
    return sum(parameter.sum() for parameter in module.parameters())


def test_schedule_moves_with_every_step(data):
    fractions = []

    def schedule(fraction):
        fractions.append(fraction)
        return 1 - fraction

    history = fit(make_module(), data, schedule=schedule)
    np.testing.assert_allclose(fractions, np.arange(20) / 20)
    expected = [1e-2 * (1 - (4 * epoch + 3) / 20) for epoch in range(5)]
    np.testing.assert_allclose([row["lr"] for row in history], expected)


def test_schedule_without_a_known_number_of_steps(data):
    fractions = []
    fit(
        make_module(),
        data,
        batches=lambda order: iter([data, data]),
        schedule=lambda fraction: fractions.append(fraction) or 1.0,
    )
    np.testing.assert_allclose(fractions, [0, 0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])


def test_clip_norm_bounds_the_step(data):
    module = make_module()
    before = weights_of(module).clone()
    fit(
        module,
        (data[0], 1e6 * data[1], data[2]),
        batches=TensorBatches(data[0], 1e6 * data[1], data[2], batch_size=50),
        optimizer=torch.optim.SGD,
        clip_norm=0.5,
        learning_rate=0.1,
        max_epochs=1,
    )
    assert (weights_of(module) - before).norm().item() == pytest.approx(0.1 * 0.5, rel=1e-5)


def test_average_is_the_running_average_of_the_weights(data):
    decay, passed = 0.8, []

    class Note(Callback):
        def on_grad_computed(self, net, **kw):  # the weights before each step
            passed.append(weights_of(net.module_))

    averaged, plain, seen = make_module(), make_module(), []

    def validate(module):
        seen.append(weights_of(module))
        return -len(seen)

    fit(averaged, data, average=decay, validate=validate)
    fit(plain, data, callbacks=[Note()])
    steps = [*passed[1:], weights_of(plain)]  # after each step: averaging changes no step
    expected, after_step = passed[0], []
    for t, weights in enumerate(steps, start=1):
        share = min(decay, (1 + t) / (10 + t))
        expected = share * expected + (1 - share) * weights
        after_step.append(expected)
    assert torch.allclose(weights_of(averaged), expected, rtol=0, atol=1e-12)
    assert (expected - weights_of(plain)).abs().max() > 1e-3  # not the weights themselves
    for epoch, weights in enumerate(seen, start=1):  # what is validated is the average too
        end = after_step[epoch * len(steps) // len(seen) - 1]
        assert torch.allclose(weights, end, rtol=0, atol=1e-12)


def test_ctrl_c_in_an_epoch_leaves_the_average(data):
    class Interrupt(Callback):
        def on_batch_end(self, net, **kw):
            if len(net.history) == 2:
                raise KeyboardInterrupt

    averaged, plain = make_module(), make_module()
    with pytest.warns(ConvergenceWarning, match="interrupted after epoch 1"):
        fit(averaged, data, average=0.999, callbacks=[Interrupt()])
    with pytest.warns(ConvergenceWarning, match="interrupted after epoch 1"):
        fit(plain, data, callbacks=[Interrupt()])
    start = weights_of(make_module())
    # an average over few steps lags behind the weights
    assert 0 < (weights_of(averaged) - start).norm() < (weights_of(plain) - start).norm()


@pytest.mark.parametrize(("patience", "n_epochs"), [(2, 5), (3, 6), (None, 7)])
def test_early_stopping_keeps_the_best_weights(data, patience, n_epochs):
    validate = Scripted(5.0, 4.0, 1.0, 2.0, 1.0, 3.0, 9.0)
    module = make_module()
    history = fit(module, data, validate=validate, n_iter_no_change=patience, max_epochs=7)
    assert [row["valid_loss"] for row in history] == list(validate.losses[:n_epochs])
    assert torch.equal(weights_of(module), validate.seen[2])
    assert not torch.equal(validate.seen[2], validate.seen[3])


def test_losses_are_read_once_in_an_epoch(data, monkeypatch):
    """Reading a loss makes a GPU wait; it may not happen in every step."""
    reads = []
    for name in ("item", "__float__", "tolist"):
        read = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda self, read=read, name=name: reads.append(name) or read(self)
        )
    fit(make_module(), data, max_epochs=3, schedule=lambda fraction: 1.0, clip_norm=1.0)
    assert len(reads) <= 3 + 1  # and once for whatever comes after


def test_modes(data):
    seen = []

    def loss(module, batch):
        seen.append(module.training)
        return weighted_row_loss(squared_error)(module, batch)

    module = make_module()
    fit(module, data, loss=loss, validate=Scripted(3.0, 2.0, 1.0, 0.5, 0.1))
    assert all(seen)
    assert len(seen) == 20
    assert not module.training
    assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize("where", ["loss", "validation", "weights"])
def test_divergence_is_an_error_that_says_what_to_do(data, where):
    options = {
        "loss": {"loss": lambda module, batch: weights_of_graph(module) * float("nan")},
        "validation": {"validate": Scripted(1.0, float("nan"))},
        "weights": {"learning_rate": float("inf"), "max_epochs": 1, "batches": lambda _: [data]},
    }[where]
    with pytest.raises(ValueError, match="Training diverged: .* smaller learning_rate"):
        fit(make_module(), data, **options)


def test_no_batch_and_no_such_optimizer(data):
    with pytest.raises(ValueError, match="gave no batch"):
        fit(make_module(), data, batches=lambda order: [])
    with pytest.raises(ValueError, match="optimizer has to be 'adamw' or callable, got 'sgd'"):
        fit(make_module(), data, optimizer="sgd")


@pytest.mark.parametrize("callbacks", [["loss"], [("name", 3)], [print]], ids=repr)
def test_what_is_no_callback_is_refused(data, callbacks):
    with pytest.raises(TypeError, match="callbacks has to hold skorch callbacks, .* got "):
        fit(make_module(), data, callbacks=callbacks)


def test_ctrl_c_leaves_a_usable_module(data):
    calls = []

    def loss(module, batch):
        calls.append(batch)
        if len(calls) == 10:  # in the third of the epochs, which have four steps
            raise KeyboardInterrupt
        return weighted_row_loss(squared_error)(module, batch)

    module = make_module()
    said = r"interrupted after epoch 2 of at most \d+. The model is kept as the last step left it."
    with pytest.warns(ConvergenceWarning, match=said):
        history = fit(module, data, loss=loss)
    assert [row["epoch"] for row in history] == [1, 2]
    assert not module.training
    assert module(data[0]).isfinite().all()


def test_ctrl_c_brings_the_best_weights_back(data):
    validate = Scripted(1.0, 2.0, 3.0)
    module = make_module()

    class Interrupt(Callback):
        def on_batch_begin(self, net, **kwargs):
            if len(net.history) == 3:
                raise KeyboardInterrupt

    with pytest.warns(ConvergenceWarning, match="after epoch 2 of .* model of epoch 1, the best"):
        fit(module, data, validate=validate, callbacks=[Interrupt()])
    assert torch.equal(weights_of(module), validate.seen[0])


def test_ctrl_c_in_the_first_epoch_says_that_none_was_finished(data):
    def loss(module, batch):
        raise KeyboardInterrupt

    with pytest.warns(ConvergenceWarning, match="interrupted after epoch 0 of"):
        assert fit(make_module(), data, loss=loss, validate=Scripted(1.0)) == []


def test_a_callback_that_stops_the_training_is_no_interrupt(data):
    class Stop(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 3:
                raise KeyboardInterrupt  # skorch's way to stop; a warning would be an error here

    assert len(fit(make_module(), data, callbacks=[Stop()])) == 3


def test_an_optimiser_may_evaluate_the_loss_several_times(data):
    """L-BFGS solves least squares in a handful of steps."""
    module = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)).double()
    lbfgs = lambda groups: torch.optim.LBFGS(groups[0]["params"], lr=1.0)  # noqa: E731
    whole = TensorBatches(*data, batch_size=50)
    history = fit(module, data, optimizer=lbfgs, batches=whole, max_epochs=8)
    assert history[-1]["train_loss"] < 1e-8


class CountBatches(Callback):
    """Record in every batch, read at the end of the epoch."""

    def __init__(self):
        self.n_epochs = 0

    def on_batch_end(self, net, **kwargs):
        net.history.record_batch("one", 1)

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs += 1
        net.history.record("n_batches", sum(net.history[-1, "batches", :, "one"]))


def test_skorch_callbacks_work_on_copies(data):
    counter = CountBatches()
    callbacks = [
        counter,
        LRScheduler(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5),
        GradientNormClipping(1.0),
        EpochScoring(
            lambda net, X, y=None: net.module_[0].weight.norm().item(),
            name="norm",
            on_train=True,
            use_caching=False,
        ),
    ]
    before = copy.deepcopy(vars(counter))
    X, y, _ = data
    history = fit(make_module(), data, callbacks=callbacks, X=X.numpy(), y=y.numpy())
    assert vars(counter) == before
    assert [row["n_batches"] for row in history] == [4] * 5
    np.testing.assert_allclose([row["lr"] for row in history], 1e-2 * 0.5 ** np.arange(5))
    assert all(row["norm"] > 0 for row in history)
    assert json.loads(json.dumps(history)) == history  # plain values, no rows of batches


def test_dropout_is_reproducible_and_touches_nothing_global(data):
    np_state = np.random.get_state()[1].tolist()  # noqa: NPY002
    states = torch.get_rng_state(), random.getstate(), torch.get_num_threads()
    first, second, other = (make_module(dropout=0.3) for _ in range(3))
    fit(first, data)
    torch.testing.assert_close(torch.get_rng_state(), states[0], rtol=0, atol=0)
    assert (random.getstate(), torch.get_num_threads()) == states[1:]
    assert np.random.get_state()[1].tolist() == np_state  # noqa: NPY002
    fit(second, data)
    fit(other, data, generator=generator(1))
    assert torch.equal(weights_of(first), weights_of(second))
    assert not torch.equal(weights_of(first), weights_of(other))


def test_dropout_in_threads_draws_what_it_draws_alone(data):
    alone = [make_module(dropout=0.3) for _ in range(4)]
    together = [make_module(dropout=0.3) for _ in range(4)]
    for seed, module in enumerate(alone):
        fit(module, data, generator=generator(seed))
    threads = [
        threading.Thread(target=fit, args=(module, data), kwargs={"generator": generator(seed)})
        for seed, module in enumerate(together)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(weights_of(one), weights_of(other))


def test_a_weight_counts_rows():
    """Loss and gradient with integer weights are those of the repeated rows."""
    X = torch.randn(6, 3, generator=generator(), dtype=torch.float64)
    y, counts = X[:, 0], torch.tensor([1, 3, 0, 2, 1, 4])
    loss = weighted_row_loss(squared_error)
    one, other = make_module(), make_module()
    repeated = X.repeat_interleave(counts, 0), y.repeat_interleave(counts)
    a = loss(one, (X, y, counts.double()))
    b = loss(other, (*repeated, torch.ones(11, dtype=torch.float64)))
    a.backward()
    b.backward()
    assert a.item() == pytest.approx(b.item(), rel=1e-14)
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-12, atol=1e-14)


def test_penalty_counts_in_training_only(data):
    class Penalised(nn.Linear):
        def forward(self, X):
            return super().forward(X)[:, 0]

        def penalty(self):
            return torch.tensor(7.0)

    module = Penalised(3, 1).double()
    loss = weighted_row_loss(squared_error)
    with torch.no_grad():
        trained = loss(module.train(), data)
        assert (trained - loss(module.eval(), data)).item() == pytest.approx(7.0)


def test_progress_line_in_a_terminal(data, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    fit(make_module(), data, verbose=1, validate=Scripted(3.0, 2.0, 1.0, 0.5, 0.25))
    text = capsys.readouterr().err
    lines = text.split("\r")
    assert len(lines) == 1 + 5  # written over, once for each epoch
    assert lines[-1].startswith("epoch 5/5 [####################] loss ")
    assert "valid 0.2500" in lines[-1]
    assert text.endswith("\n")


def test_progress_lines_in_a_log_are_few(data, capsys):
    fit(make_module(), data, verbose=1, max_epochs=50)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[-1].startswith("epoch 50/50")


def test_seeded_restores_and_repeats():
    before = torch.get_rng_state()
    with seeded(3):
        first = torch.rand(4)
        with seeded(4):  # may be nested
            torch.rand(4)
        after = torch.rand(1)
    with seeded(3):
        assert torch.equal(torch.rand(4), first)
        assert torch.equal(torch.rand(1), after)
    assert torch.equal(torch.get_rng_state(), before)
