"""The net: attention by the formula, and nothing but differences of times."""

import numpy as np
import pytest
import torch

from sklearn_selfattn import EventSequences
from sklearn_selfattn.time_events.histories import EventCoder, Histories, HistoryBatches
from sklearn_selfattn.time_events.module import TimeAttention
from sklearn_selfattn.time_events.waves import SummedMercer, Time2Vec, Waves, turn

PERIODS = torch.tensor([24.0, 7.0, 3.1], dtype=torch.float64)
FAMILIES = ["bochner", "bochner_normal", "bochner_icdf", "mercer"]


@pytest.fixture(autouse=True)
def double():
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        yield


@pytest.mark.parametrize("family", FAMILIES)
def test_waves_depend_on_differences_alone(family):
    waves = Waves(PERIODS, family, degree=2).eval()
    with torch.no_grad():
        for parameter in waves.parameters():  # as if trained
            parameter += 0.3 * torch.randn_like(parameter)
    t, u = torch.rand(2, 50, dtype=torch.float64) * 100
    psi = (waves.weights() * torch.cos((t - u)[:, None] * waves.frequencies())).sum(1)
    for shift in (0.0, 1e6):
        product = (waves(t + shift) * waves(u + shift)).sum(1) / waves.n_waves
        torch.testing.assert_close(product, psi, atol=1e-7, rtol=0)


def test_the_published_forms_do_not():
    """Sines and cosines with frequencies of their own, and summed harmonics: by orders."""
    t, u = torch.rand(2, 50, dtype=torch.float64) * 100
    for waves in (SummedMercer(PERIODS, 4), Time2Vec(PERIODS)):
        products = [(waves(t + s) * waves(u + s)).sum(1) for s in (0.0, 50.0)]
        assert (products[0] - products[1]).abs().max() > 0.1


def test_summed_mercer_is_the_published_formula():
    summed = SummedMercer(PERIODS, degree=3)
    t = np.linspace(0, 40, 9)
    W, b = summed.weight.detach().numpy(), summed.bias.detach().numpy()
    expected = np.zeros((9, 3))
    for k, period in enumerate(PERIODS.numpy() / (2 * np.pi)):  # theirs lacks the two pi
        for j in (1, 2, 3):
            expected[:, k] += W[k, j - 1] * np.sin(j * t / period)
            expected[:, k] += W[k, 2 + j] * np.cos(j * t / period)
    np.testing.assert_allclose(summed(torch.tensor(t)).detach().numpy(), expected + b, atol=1e-10)


def test_mercer_weights_are_those_of_harmonics():
    waves = Waves(PERIODS, "mercer", degree=2)
    expected = 2 * np.pi / np.outer(PERIODS, 1 / np.array([1, 2])).ravel()
    np.testing.assert_allclose(waves.frequencies().detach().numpy(), expected)
    assert waves.weights().sum().item() == pytest.approx(1)


@pytest.mark.parametrize("family", ["bochner_normal", "bochner_icdf"])
def test_random_frequencies_are_drawn_in_training_and_fixed_when_predicting(family):
    waves = Waves(PERIODS, family)
    assert not torch.equal(waves.frequencies(), waves.frequencies())
    waves.eval()
    assert torch.equal(waves.frequencies(), waves.frequencies())
    if family == "bochner_icdf":  # a quantile function rises
        assert (waves.frequencies().diff() > 0).all()


def test_turned_waves_are_waves_of_the_difference():
    waves = Waves(PERIODS)
    t, q = torch.rand(2, 20, dtype=torch.float64) * 90
    frequencies = waves.frequencies()
    turned = turn(waves.unit(t, frequencies), waves.unit(q, frequencies))
    torch.testing.assert_close(turned, waves.unit(q - t, frequencies), atol=1e-10, rtol=0)


@pytest.mark.parametrize("kind", ["waves", "bias", "places", "none"])
def test_attention_is_the_formula(kind):
    """Scores and outputs against a loop over pairs, with features of each difference."""
    b, n_q, n_k, d, h = 2, 3, 4, 8, 2
    waves = Waves(PERIODS)
    n_time = {"places": 6}.get(kind, 6)
    attend = TimeAttention(d, h, kind, n_time).double()
    queries, events = torch.randn(b, n_q, d).double(), torch.randn(b, n_k, d).double()
    t, q = torch.rand(b, n_k).double() * 50, 50 + torch.rand(b, n_q).double() * 10
    visible = torch.rand(b, n_q, n_k) < 0.7
    visible[0, 0] = False  # a token that sees nothing
    frequencies = waves.frequencies()
    distance = torch.arange(n_q)[None, :, None] - torch.arange(n_k)[None, None] + 1
    distance = distance.expand(b, -1, -1)
    with torch.no_grad():
        out, weights = attend(queries, events, visible, waves.unit(t, frequencies),
                              waves.unit(q, frequencies), distance)  # fmt: skip
        norm = torch.nn.functional.layer_norm
        Q, K, V = (
            f(norm(x, (d,))).view(b, -1, h, d // h)
            for f, x in ((attend.to_q, queries), (attend.to_k, events), (attend.to_v, events))
        )
        for i in range(b):
            for a in range(n_q):
                mean, time_mean = [], []
                for head in range(h):
                    scores = torch.full((n_k + 1,), -torch.inf).double()
                    scores[-1] = Q[i, a, head] @ attend.no_event[head, 0] / 2
                    if kind != "places":
                        phi = waves.unit(q[i, a] - t[i], frequencies)  # (k, w)
                    else:
                        phi = attend.table[distance[i, a].clamp(0, 5)]
                    for k in range(n_k):
                        if not visible[i, a, k]:
                            continue
                        scores[k] = Q[i, a, head] @ K[i, k, head] / 2
                        if kind in ("waves", "places"):
                            C = attend.to_c(norm(queries[i, a], (d,))).view(h, -1)[head]
                            scores[k] += C @ phi[k] / np.sqrt(len(C))
                        elif kind == "bias":
                            C = torch.nn.functional.softplus(attend.raw_bias[head])
                            scores[k] += C @ phi[k, :3] / np.sqrt(6)
                    share = scores.softmax(0)
                    torch.testing.assert_close(weights[i, head, a], share, atol=1e-10, rtol=0)
                    mean.append(share[:-1] @ V[i, :, head])
                    time_mean.append(share[:-1] @ phi)
                expected = attend.out(torch.cat(mean))
                if kind in ("waves", "places"):
                    expected = expected + attend.time_out(torch.cat(time_mean))
                torch.testing.assert_close(out[i, a], expected, atol=1e-10, rtol=0)


def test_attention_has_right_gradients():
    attend = TimeAttention(4, 2, "waves", 6).double()
    waves = Waves(PERIODS)

    def run(queries, events, t, q):
        frequencies = waves.frequencies()
        return attend(queries, events, None, waves.unit(t, frequencies),
                      waves.unit(q, frequencies), None)[0]  # fmt: skip

    shapes = [(1, 2, 4), (1, 3, 4), (1, 3), (1, 2)]
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(run, inputs)


@pytest.mark.parametrize("shared", [False, True])
def test_batches_hold_each_row_once_and_what_it_may_see(shared):
    rng = np.random.default_rng(0)
    whole = EventSequences.from_lists([np.sort(rng.uniform(0, 90, size=n)) for n in (5, 0, 90, 40)],
                                      query_times=np.full(4, 100.0))  # fmt: skip
    sequence = np.repeat([0, 2, 3], [4, 88, 30])
    stop = np.concatenate([np.arange(1, 5), 5 + np.arange(1, 89), 95 + np.arange(1, 31)])
    start = np.maximum(whole.events.offsets[sequence], stop - 7)
    X = EventSequences(whole.events, sequence, start, stop)
    coder = EventCoder(X, local=True, with_gaps=True)
    options = {"max_len": 6, "device": torch.device("cpu"), "dtype": torch.float64}
    histories = Histories(X, coder, shared=shared, **options)
    batches = HistoryBatches(histories, torch.arange(len(X)), torch.ones(len(X)), batch_size=20)
    seen = []
    for batch, rows, _ in batches(torch.Generator().manual_seed(0)):
        seen += rows.tolist()
        own = batch.asked.nonzero().tolist()
        assert len(own) == len(rows)
        for (i, r), row in zip(own, rows.tolist(), strict=True):
            first, last = batch.first[i, r], batch.stop[i, r]
            since = (batch.query_times[i, r] - batch.times[i, first:last]) * coder.scale
            times = X.events.times[max(start[row], stop[row] - 6) : stop[row]]
            np.testing.assert_allclose(since, times[-1] - times, atol=1e-9)
    assert sorted(seen) == list(range(len(X)))
    assert (len(histories) < len(X)) == shared
