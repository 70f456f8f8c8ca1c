"""The parts of attention against numpy, member by member."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf, softmax

from sklearn_selfattn.core.attention import (
    FeedForward,
    MemberLinear,
    attend,
    attend_and_self,
    merge_heads,
    normalize,
    split_heads,
)

sizes = st.integers(1, 5)


def draw(*shape, seed=0):
    return torch.as_tensor(np.random.RandomState(seed).normal(size=shape))


def seeded(make):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = make().double()
        for parameter in module.parameters():
            parameter.data += torch.randn_like(parameter)
    return module


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("middle", [(6,), (6, 4), (0,), (0, 4)])
def test_each_member_has_a_linear_map_of_its_own(bias, middle):
    module = seeded(lambda: MemberLinear(3, 5, 2, bias=bias))
    x = draw(3, *middle, 5)
    y = module(x).detach().numpy()
    assert y.shape == (3, *middle, 2)
    for member in range(3):
        shift = module.bias[member, 0].detach().numpy() if bias else 0.0
        expected = x[member].numpy() @ module.weight[member].detach().numpy() + shift
        np.testing.assert_allclose(y[member], expected, rtol=0, atol=1e-12)


def test_initial_weights_are_scaled_by_the_width():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = MemberLinear(2, 400, 300, scale=0.5)
    bound = 0.5 / np.sqrt(400)
    largest = module.weight.abs().max().item()
    assert 0.99 * bound < largest <= bound
    assert module.weight.std().item() == pytest.approx(bound / np.sqrt(3), rel=0.01)
    assert not module.bias.any()


def test_feed_forward():
    module = seeded(lambda: FeedForward(2, 4, 7))
    x = draw(2, 3, 5, 4)
    y = module(x).detach().numpy()
    for member in range(2):
        rows = x[member].numpy()
        mean, variance = rows.mean(-1, keepdims=True), rows.var(-1, keepdims=True)
        w1, b1, w2, b2 = (
            part[member].detach().numpy()
            for part in (module.expand.weight, module.expand.bias,
                         module.contract.weight, module.contract.bias)
        )  # fmt: skip
        hidden = (rows - mean) / np.sqrt(variance + 1e-5) @ w1 + b1
        hidden = hidden * (1 + erf(hidden / np.sqrt(2))) / 2
        np.testing.assert_allclose(y[member], hidden @ w2 + b2, rtol=0, atol=1e-12)


def test_feed_forward_drops_hidden_units_in_training():
    module = seeded(lambda: FeedForward(1, 4, 2000, dropout=0.25)).train()
    module.contract.weight.data.fill_(1.0)
    module.contract.bias.data.zero_()
    module.expand.weight.data.zero_()
    module.expand.bias.data.fill_(50.0)  # gelu(50) = 50
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        y = module(draw(1, 1, 4))[0, 0, 0].item()
    # a kept unit is scaled up by 1 / 0.75; 0.04 are four standard errors of 2000 draws
    assert y * 0.75 / 50 / 2000 == pytest.approx(0.75, abs=0.04)
    assert module.eval()(draw(1, 1, 4))[0, 0, 0].item() == pytest.approx(2000 * 50)


def test_normalize_has_no_parameters_of_its_own():
    x = draw(2, 3, 8) * 7 + 3
    y = normalize(x).numpy()
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-12)
    np.testing.assert_allclose(y.std(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(normalize(3 * x + 1).numpy(), y, atol=1e-5)  # but for the epsilon


@given(n=st.integers(0, 4), n_heads=sizes, c=sizes)
@settings(derandomize=True, deadline=None, max_examples=25)
def test_heads_are_slices_of_the_last_axis(n, n_heads, c):
    x = draw(2, n, n_heads * c)
    heads = split_heads(x, n_heads)
    assert heads.shape == (2, n_heads, n, c)
    for head in range(n_heads):
        assert torch.equal(heads[:, head], x[..., head * c : (head + 1) * c])
    assert torch.equal(merge_heads(heads), x)


@given(q=sizes, k=sizes, c=sizes, scale=st.floats(0.05, 3))
@settings(derandomize=True, deadline=None, max_examples=25)
def test_attend(q, k, c, scale):
    Q, K, V = draw(2, 3, q, c), draw(2, 3, k, c, seed=1), draw(2, 3, k, c + 1, seed=2)
    share = softmax(scale * np.einsum("mhqc,mhkc->mhqk", Q, K), axis=-1)
    out, weights = attend(Q, K, V, scale, weights=True)
    np.testing.assert_allclose(weights.numpy(), share, rtol=0, atol=1e-12)
    np.testing.assert_allclose(out.numpy(), share @ V.numpy(), rtol=0, atol=1e-12)
    fast, none = attend(Q, K, V, scale)
    assert none is None
    np.testing.assert_allclose(fast.numpy(), out.numpy(), rtol=0, atol=1e-12)


@given(q=sizes, k=st.integers(0, 5), c=sizes, scale=st.floats(0.05, 3))
@settings(derandomize=True, deadline=None, max_examples=25)
def test_attend_and_self_is_attention_to_the_context_and_one_key_more(q, k, c, scale):
    """Query by query: its own key beside those of the context, those of other queries nowhere."""
    Q, own_K, own_V = (draw(2, 3, q, c, seed=seed) for seed in (0, 3, 4))
    K, V = draw(2, 3, k, c, seed=1), draw(2, 3, k, c, seed=2)
    out, weights = attend_and_self(Q, K, V, own_K, own_V, scale)
    assert weights.shape == (2, 3, q, k + 1)
    for i in range(q):
        keys = torch.cat([K, own_K[:, :, i : i + 1]], dim=2)
        values = torch.cat([V, own_V[:, :, i : i + 1]], dim=2)
        expected, share = attend(Q[:, :, i : i + 1], keys, values, scale, weights=True)
        np.testing.assert_allclose(out[:, :, i].numpy(), expected[:, :, 0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(weights[:, :, i].numpy(), share[:, :, 0], rtol=0, atol=1e-12)


def test_large_scores_do_not_overflow():
    Q, K, V = 1e3 * draw(1, 1, 2, 4), 1e3 * draw(1, 1, 3, 4, seed=1), draw(1, 1, 3, 4, seed=2)
    out, weights = attend_and_self(Q, K, V, Q, V[:, :, :2], 1.0)
    assert torch.isfinite(out).all()
    np.testing.assert_allclose(weights.sum(-1).numpy(), 1, rtol=0, atol=1e-12)
    largest = np.concatenate([Q @ K.mT, (Q * Q).sum(-1, keepdim=True)], axis=-1).argmax(axis=-1)
    np.testing.assert_array_equal(weights.argmax(dim=-1).numpy(), largest)
