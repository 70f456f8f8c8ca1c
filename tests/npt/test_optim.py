"""LAMB in Lookahead against a recurrence written out in numpy."""

import numpy as np
import pytest
import torch

from sklearn_selfattn.npt.optim import Lamb

N_STEPS = 13  # two moves of the slow weights, and one step more


def recurrence(w, gradient, n_steps, lr=1e-3, decay=0.0, betas=(0.9, 0.999), eps=1e-6):
    """Return the weights of one member after every step, from the formulas."""
    slow, m, v, seen = w.copy(), np.zeros_like(w), np.zeros_like(w), []
    for t in range(1, n_steps + 1):
        g = gradient(w)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        u = m / (np.sqrt(v) + eps) + decay * w
        norm_w, norm_u = min(np.sqrt((w**2).sum()), 10.0), np.sqrt((u**2).sum())
        trust = norm_w / norm_u if norm_w > 0 and norm_u > 0 else 1.0
        w = w - lr * trust * u
        if t % 6 == 0:
            w = slow = slow + 0.5 * (w - slow)
        seen.append(w)
    return seen


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_lamb_in_lookahead_is_the_recurrence(decay):
    """Three members with norms of their own: usual, above the bound of 10, and zero."""
    rng = np.random.RandomState(0)
    start = rng.normal(size=(3, 4, 2)) * np.array([1, 20, 0])[:, None, None]
    goal = rng.normal(size=(3, 4, 2))
    parameter = torch.nn.Parameter(torch.as_tensor(start.copy()))
    optimizer = Lamb([parameter], lr=0.03, weight_decay=decay)
    expected = [
        recurrence(start[i], lambda w, i=i: w - goal[i], N_STEPS, lr=0.03, decay=decay)
        for i in range(3)
    ]
    assert np.sqrt((start[1] ** 2).sum()) > 10
    for step in range(N_STEPS):
        optimizer.zero_grad()
        (0.5 * (parameter - torch.as_tensor(goal)) ** 2).sum().backward()
        optimizer.step()
        now = np.array([path[step] for path in expected])
        np.testing.assert_allclose(parameter.detach().numpy(), now, rtol=0, atol=1e-10)


def test_members_do_not_share_a_norm():
    """One member's step is the same with a huge neighbour as alone."""
    rng = np.random.RandomState(1)
    mine, huge = rng.normal(size=(1, 5)), 1e3 * rng.normal(size=(1, 5))
    paths = []
    for start in (mine, np.concatenate([mine, huge])):
        parameter = torch.nn.Parameter(torch.as_tensor(start))
        optimizer = Lamb([parameter], lr=0.1)
        for _ in range(N_STEPS):
            parameter.grad = parameter.detach() - 1
            optimizer.step()
        paths.append(parameter.detach()[0].numpy())
    np.testing.assert_array_equal(*paths)


def test_a_closure_is_evaluated_with_gradients():
    parameter = torch.nn.Parameter(torch.ones(1, 3))
    optimizer = Lamb([parameter], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (parameter**2).sum()
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(60)]
    assert losses[0] == 3
    assert losses[-1] < 0.5


def test_parameters_without_a_gradient_stay():
    still, moved = (torch.nn.Parameter(torch.ones(1, 2)) for _ in range(2))
    moved.grad = torch.ones(1, 2)
    optimizer = Lamb([still, moved])
    optimizer.step()
    assert torch.equal(still, torch.ones(1, 2))
    assert not torch.equal(moved, torch.ones(1, 2))
