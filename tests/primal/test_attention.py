"""The layer against its equations, and against the kernel SVD that it stands for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_selfattn.core.randomness import seeded
from sklearn_selfattn.primal.attention import (
    BayesianPrimalAttention,
    LinearAttention,
    PrimalAttention,
    SoftmaxAttention,
    Steps,
    even_rows,
)
from sklearn_selfattn.primal.module import PrimalNet, part_weights
from tests.primal.reference import (
    kl_of_gaussians,
    layer_arrays,
    objective,
    primal_layer,
    published_rows,
)

M, N, T, D, H, S, R = 2, 3, 11, 8, 2, 3, 5


def make_layer(cls=PrimalAttention, **options):
    with seeded(0):
        layer = cls(M, D, H, S, R, **options).double()
        for parameter in layer.parameters():  # no zero bias hides a wrong sum
            parameter.data += 0.1 * torch.randn_like(parameter)
    return layer


def tokens(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(M, N, T, D, generator=generator, dtype=torch.float64)


def steps_of(lengths):
    lengths = torch.tensor(lengths)
    mask = torch.arange(T) < lengths[:, None]
    if bool(mask.all()):
        return Steps(None, even_rows(lengths[:1], R)[0], lengths)
    return Steps(mask, even_rows(lengths, R), lengths)


@pytest.mark.parametrize("data_dependent", [True, False])
@pytest.mark.parametrize("lengths", [[T] * N, [T, 7, 4]])
def test_layer_is_what_the_equations_say(data_dependent, lengths):
    layer, x, steps = make_layer(data_dependent=data_dependent), tokens(), steps_of(lengths)
    out, scores = layer.train()(x, steps).detach(), layer.scores(x, steps).detach()
    fused = layer.eval()(x, steps).detach()  # in prediction e and r are not computed
    for m in range(M):
        w = layer_arrays(layer, m)
        for n, length in enumerate(lengths):
            rows = np.round(np.linspace(0, length - 1, R)).astype(int) if data_dependent else None
            expected, e, r = primal_layer(x[m, n, :length].numpy(), w, H, rows)
            np.testing.assert_allclose(out[m, n, :length], expected, atol=1e-12)
            np.testing.assert_allclose(scores[m, n, 0, :, :length], e, atol=1e-12)
            np.testing.assert_allclose(scores[m, n, 1, :, :length], r, atol=1e-12)
            J = objective(e, r, w["Lambda"], w["W_e"], w["W_r"])
            np.testing.assert_allclose(layer.objective[m, n].item(), J, atol=1e-12)
            np.testing.assert_allclose(fused[m, n, :length], expected, atol=1e-12)


def test_trace_of_the_data():
    layer, x, steps = make_layer(trace="data"), tokens(), steps_of([T] * N)
    layer.train()(x, steps)
    w = layer_arrays(layer)
    rows = np.round(np.linspace(0, T - 1, R)).astype(int)
    c = D // H
    for n in range(N):
        series = x[0, n].numpy()
        _, e, r = primal_layer(series, w, H, rows)
        f = [series[rows][:, h * c : (h + 1) * c] for h in range(H)]
        W_e, W_r = ([f[h].T @ w[name][h] for h in range(H)] for name in ("W_e", "W_r"))
        J = objective(e, r, w["Lambda"], W_e, W_r)
        np.testing.assert_allclose(layer.objective[0, n].item(), J, atol=1e-12)


@pytest.mark.parametrize("reduction", ["sample", "batch"])
def test_penalty_reductions(reduction):
    with seeded(1):
        net = PrimalNet(
            M, 2, None, 3, kinds=["primal", "primal"], d_model=D, n_heads=H, d_hidden=8, rank=S,
            n_rows=R, n_tokens=T, stem="linear", pooling="mean", eta=0.7, reduction=reduction,
        ).double()  # fmt: skip
        net.train()(torch.randn(N, T, 2, dtype=torch.float64))
    J = np.stack([block.attention.objective.detach() for block in net.blocks])  # (layers, m, n)
    squared = (J**2).mean(axis=2) if reduction == "sample" else J.mean(axis=2) ** 2
    np.testing.assert_allclose(net.penalty().item(), 0.7 * squared.mean(), atol=1e-14)


def test_at_the_solution_of_the_kernel_svd_e_and_r_are_its_vectors_and_J_is_zero():
    """Theory: the projection weights made of singular vectors, put into the layer."""
    rng = np.random.default_rng(0)
    layer = PrimalAttention(1, 6, 1, 4, 1, data_dependent=False).double()
    x = torch.tensor(rng.normal(size=(1, 1, 40, 6)))
    steps = Steps(None, torch.arange(1), torch.tensor([40]))
    phi_q, phi_k = layer.features(x, steps)[0, 0, :, 0].detach().numpy()
    K = phi_q @ phi_k.T
    left, sigma, right = np.linalg.svd(K)
    H_e, sigma, H_r = left[:, :4], sigma[:4], right[:4].T
    W_e, W_r = phi_k.T @ H_r, phi_q.T @ H_e
    with torch.no_grad():
        layer.W[0, 0, 0], layer.W[0, 1, 0] = torch.tensor(W_e), torch.tensor(W_r)
        # sums in the theory, means over steps in the code
        layer.Lambda[0, 0] = torch.tensor(np.sqrt(40 / sigma))
    e, r = layer.train().scores(x, steps)[0, 0, :, 0].detach().numpy()
    np.testing.assert_allclose(e, K @ H_r, atol=1e-10)
    np.testing.assert_allclose(r, K.T @ H_e, atol=1e-10)
    np.testing.assert_allclose(e, H_e * sigma, atol=1e-10)
    assert abs(layer.objective.item()) < 1e-10
    with torch.no_grad():  # off the stationary points J has no upper bound
        layer.W[0, 0] *= 3
        layer.W[0, 1] *= -3
    layer.scores(x, steps)
    assert layer.objective.item() > 1


@pytest.mark.parametrize("cls", [PrimalAttention, BayesianPrimalAttention])
def test_gradients(cls):
    layer = make_layer(cls).train()
    lengths = torch.tensor([4, 3])
    steps = Steps(torch.arange(4) < lengths[:, None], even_rows(lengths, R), lengths)
    x = tokens()[:, :2, :4].clone().requires_grad_()
    noise = torch.randn(M, 2, H, S, S, generator=torch.Generator().manual_seed(1)).double()

    def run(x, *parameters):
        out = layer(x, steps, noise) if cls is BayesianPrimalAttention else layer(x, steps)
        penalty = layer.objective.square().mean()
        if cls is BayesianPrimalAttention:
            penalty = penalty + layer.kl().sum()
        return out * steps.mask[:, :, None], penalty

    parameters = [p for p in layer.parameters() if p.numel() < 100]
    assert torch.autograd.gradcheck(run, (x, *parameters))


def test_published_rows_are_those_of_torch_and_ours_stay_in_the_series():
    for n_steps, n_rows in ((29, 10), (100, 40), (7, 20)):
        ours = torch.linspace(0, n_steps - 1, n_rows, dtype=torch.int64).numpy()
        np.testing.assert_array_equal(ours, published_rows(n_steps, n_rows))
    rows = even_rows(torch.tensor([1, 5, 9]), 5)
    assert rows.tolist() == [[0] * 5, [0, 1, 2, 3, 4], [0, 2, 4, 6, 8]]


def test_heads_start_orthonormal_to_each_other():
    layer = PrimalAttention(1, 8, 2, rank=3, n_rows=5)
    for W in layer.W[0].detach():  # (h, r, s)
        flat = W.flatten(1)
        torch.testing.assert_close(flat @ flat.T, torch.eye(2))


def test_bayesian_layer_is_the_mean_and_one_draw_of_its_posterior():
    layer, x, steps = make_layer(BayesianPrimalAttention), tokens(), steps_of([T] * N)
    noise = torch.randn(M, 1, H, S, S, generator=torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        shown = layer.scores(x, steps)
        mean, draw = layer(x, steps), layer(x, steps, noise)
        factors = layer.factors().numpy()
    a = {name: p.detach().numpy() for name, p in layer.named_parameters()}
    for m in range(M):
        heads = {"mean": [], "draw": []}
        for h in range(H):
            e, r = shown[m, 0, :, h].numpy()
            v = (e + r) * np.exp(2 * a["log_root"][m, h])
            u = a["mean"][m, h]
            L_eps = np.stack([factors[m, h, k] @ noise[m, 0, h, :, k].numpy() for k in range(S)], 1)
            for name, function in (("mean", u), ("draw", u + L_eps)):
                heads[name].append(v @ function @ a["C"][m] + a["b"][m])
        for name, output in (("mean", mean), ("draw", draw)):
            expected = np.concatenate(heads[name], 1) @ a["out.weight"][m] + a["out.bias"][m]
            np.testing.assert_allclose(output[m, 0], expected, atol=1e-12)


def test_divergence_from_the_prior():
    layer = make_layer(BayesianPrimalAttention)
    a = {name: p.detach().numpy() for name, p in layer.named_parameters()}
    factors = layer.factors().detach().numpy()
    expected = [
        sum(
            kl_of_gaussians(
                a["mean"][m, h, :, k], factors[m, h, k], np.exp(-2 * a["log_root"][m, h])
            )
            for h in range(H)
            for k in range(S)
        )
        for m in range(M)
    ]
    np.testing.assert_allclose(layer.kl().detach(), expected, rtol=1e-12)


@pytest.mark.parametrize("cls", [SoftmaxAttention, LinearAttention])
@pytest.mark.parametrize("lengths", [[T] * N, [T, 7, 4]])
def test_twins_average_values_by_their_shares(cls, lengths):
    with seeded(0):
        twin = cls(M, D, H).double()
    x, steps = tokens(), steps_of(lengths)
    with torch.no_grad():
        shares = twin.shares(x, steps)
        V = twin.value(x).view(M, N, T, H, D // H).transpose(2, 3)
        expected = twin.out((shares @ V).transpose(2, 3).flatten(3))
        out = twin(x, steps)
    for n, length in enumerate(lengths):
        torch.testing.assert_close(out[:, n, :length], expected[:, n, :length], atol=1e-6, rtol=0)
        assert (shares[:, n, :, :length, length:] == 0).all()
    torch.testing.assert_close(shares.sum(-1), torch.ones(M, N, H, T).double())


@settings(max_examples=25, derandomize=True, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    extra=st.integers(0, 9),
    kind=st.sampled_from(["primal", "softmax", "linear", "none"]),
    pooling=st.sampled_from(["mean", 2, 5]),
    stem=st.sampled_from(["conv", "linear"]),
)
def test_padding_and_company_play_no_part(lengths, extra, kind, pooling, stem):
    with seeded(0):
        net = PrimalNet(
            2, 2, None, 3, kinds=[kind] * 2, d_model=8, n_heads=2, d_hidden=8, rank=3, n_rows=6,
            n_tokens=12, stem=stem, pooling=pooling,
        ).double()  # fmt: skip
        X = torch.randn(len(lengths), max(lengths), 2, dtype=torch.float64)
    for row, length in zip(X, lengths, strict=True):
        row[length:] = torch.nan
    wide = torch.nn.functional.pad(X, (0, 0, 0, extra), value=torch.nan)
    with torch.no_grad():
        together = net(X)
        torch.testing.assert_close(net(wide), together, atol=1e-10, rtol=0)
        for row, length, expected in zip(X, lengths, together, strict=True):
            torch.testing.assert_close(net(row[None, :length])[0], expected, atol=1e-10, rtol=0)


def test_parts_of_a_series_cover_it():
    weights = part_weights(torch.tensor([9, 2, 1]), 9, 5, torch.float64)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 5, dtype=torch.float64))
    assert weights[0].argmax(-1).tolist() == [0, 2, 4, 6, 8]
    assert (weights[1, :, 2:] == 0).all()
    assert (weights[0].sum(0) > 0).all()
