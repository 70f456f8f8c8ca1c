"""What a training step shows and hides, counted."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_selfattn.npt.masking import (
    CONTEXT_SHARE,
    ROWS_PER_STEP,
    STEPS_PER_EPOCH,
    MaskedBatches,
)


def batches(n_rows=1000, n_columns=8, n_members=2, **changed):
    options = {"batch_size": 200, "feature_mask_prob": 0.2, "max_epochs": 10, **changed}
    return MaskedBatches([torch.arange(n_rows)] * n_members, n_columns, **options)


def epochs(made, n_epochs=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [list(made(generator)) for _ in range(n_epochs)]


def within(share, expected, n_draws):
    """Whether a share of independent draws lies within five standard errors of the expected."""
    return abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / n_draws)


def test_targets_are_hidden_of_queries_and_of_nobody_else():
    for step in epochs(batches())[0]:
        assert step.rows.shape == (2, 200)
        assert step.hidden.shape == step.replaced.shape == (2, 200, 8)
        assert not step.hidden[:, : step.n_context, -1].any()
        assert step.hidden[:, step.n_context :, -1].all()
        assert not step.replaced.any()


def test_the_share_of_hidden_cells_is_the_probability():
    hidden = torch.cat([step.hidden[..., :-1] for step in epochs(batches(), 5)[0]])
    assert within(hidden.double().mean().item(), 0.2, hidden.numel())
    per_column = hidden.double().mean(dim=(0, 1))
    assert all(within(p.item(), 0.2, hidden.numel() // 7) for p in per_column)
    # context and queries alike, and not the same cells for both members
    assert not torch.equal(hidden[0], hidden[1])


def test_cells_are_hidden_in_some_rows_only():
    steps = epochs(batches(n_columns=41, masked_rows=0.3), 5)[0]
    hidden = torch.cat([step.hidden[..., :-1] for step in steps])  # (.., n, 40)
    touched = hidden.any(dim=-1).double()  # 40 cells: all but never none of them
    assert within(touched.mean().item(), 0.3, touched.numel())
    of_touched = hidden[touched.bool()].double()
    assert within(of_touched.mean().item(), 0.2, of_touched.numel())


def test_some_of_the_chosen_cells_are_replaced():
    steps = epochs(batches(replace_prob=0.1), 5)[0]
    hidden = torch.cat([step.hidden[..., :-1] for step in steps])
    replaced = torch.cat([step.replaced for step in steps])
    assert not replaced[..., -1].any()
    assert (replaced[..., :-1] <= hidden).all()
    assert within((replaced.sum() / hidden.sum()).item(), 0.1, int(hidden.sum()))


def test_without_masking_every_feature_is_seen():
    assert not any(
        step.hidden[..., :-1].any() for step in epochs(batches(feature_mask_prob=0.0))[0]
    )


def test_the_share_of_context_is_uniform_between_its_bounds():
    low, high = CONTEXT_SHARE
    steps = [step for epoch in epochs(batches(), 40) for step in epoch]
    shares = np.array([step.n_context / 200 for step in steps])
    assert shares.min() >= low - 1 / 400
    assert shares.max() <= high + 1 / 400
    deviation = (high - low) / np.sqrt(12)
    assert abs(shares.mean() - (low + high) / 2) < 5 * deviation / np.sqrt(len(shares))
    assert shares.std() == pytest.approx(deviation, rel=0.15)
    one = epochs(batches(context_share=(0.5, 0.5)))[0]
    assert {step.n_context for step in one} == {100}


@given(st.integers(2, 400), st.integers(2, 150))
@settings(derandomize=True, deadline=None, max_examples=50)
def test_every_step_has_context_and_queries_and_a_pass_draws_no_row_twice(n_rows, batch_size):
    made = batches(n_rows, 3, batch_size=batch_size)
    steps = epochs(made)[0]
    drawn = min(n_rows, batch_size)
    assert len(steps) == len(made)
    assert len(made) * drawn >= n_rows  # an epoch is a pass, at least
    assert len(made) == max(
        int(np.ceil(n_rows / drawn)), min(STEPS_PER_EPOCH, int(np.ceil(n_rows / ROWS_PER_STEP)))
    )
    assert all(1 <= step.n_context < drawn for step in steps)
    per_pass = n_rows // drawn
    for start in range(0, len(steps), per_pass):
        part = torch.cat([step.rows for step in steps[start : start + per_pass]], dim=1)
        for rows in part:
            assert len(set(rows.tolist())) == len(rows)
            assert min(rows) >= 0 and max(rows) < n_rows


def test_each_row_once_in_a_pass():
    steps = epochs(batches(1000, batch_size=100))[0]
    for member in range(2):
        rows = torch.cat([step.rows[member] for step in steps])
        assert sorted(rows.tolist()) == list(range(1000))
    assert not torch.equal(steps[0].rows[0], steps[0].rows[1])  # each member its own order


def test_members_see_their_rows_only():
    own = [torch.arange(0, 300, 2), torch.arange(1, 300, 2)]
    made = MaskedBatches(own, 3, batch_size=40, feature_mask_prob=0.1, max_epochs=2)
    for epoch in epochs(made, 2):
        for step in epoch:
            assert set(step.rows[0].tolist()) <= set(own[0].tolist())
            assert set(step.rows[1].tolist()) <= set(own[1].tolist())


def test_groups_are_drawn_together():
    """Without groups a row's partner is beside it once in a while; with them, always."""
    groups = torch.arange(600) // 2
    together = []
    for given_groups in (groups, None):
        steps = epochs(batches(600, batch_size=50, groups=given_groups))[0]
        paired, roles = [], []
        for step in steps:
            for rows in step.rows:
                of_step, counts = groups[rows].unique(return_counts=True)
                paired.append((counts == 2).double().mean().item())
                known = set(groups[rows[: step.n_context]].tolist())
                asked = set(groups[rows[step.n_context :]].tolist())
                roles.append(len(known & asked) / len(of_step))
        together.append(np.mean(paired))
        if given_groups is not None:
            # one shows its label and the other is asked for it, as often as roles are independent
            assert 0.25 < np.mean(roles) < 0.6
    assert together[0] == 1
    assert together[1] < 0.1


def test_steps_are_reproducible_from_the_generator():
    def flat(seed):
        return [
            (step.rows.tolist(), step.n_context, step.hidden.tolist(), step.replaced.tolist())
            for epoch in epochs(batches(replace_prob=0.3, masked_rows=0.5), 2, seed=seed)
            for step in epoch
        ]

    assert flat(0) == flat(0)
    assert flat(0) != flat(1)
    state = torch.get_rng_state()
    flat(0)
    assert torch.equal(state, torch.get_rng_state())


def test_progress_rises_from_zero_to_one():
    made = batches(max_epochs=3)
    progress = [step.progress for epoch in epochs(made, 3) for step in epoch]
    np.testing.assert_allclose(progress, np.arange(3 * len(made)) / (3 * len(made)))
    assert all(step.progress == 1.0 for step in epochs(made)[0])  # nobody asks for more epochs
