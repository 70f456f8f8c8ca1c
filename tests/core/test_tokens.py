"""Cells become tokens: numbers by piecewise-linear encoding, categories, what is missing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_selfattn.core.tokens import CellTokenizer

N_CATEGORIES = [3, 0, 0, 2, 0]


def make_tokenizer(n_members=2, n_categories=N_CATEGORIES, d_model=4, n_bins=3):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CellTokenizer(n_members, n_categories, d_model, n_bins).double()


def encode(x, edges, n_bins):
    """Return x and how far it has come through each bin, as the paper has it."""
    basis = np.zeros(n_bins + 1)
    basis[0] = x
    for t in range(len(edges) - 1):
        low, high = edges[t], edges[t + 1]
        basis[t + 1] = 0 if x < low else 1 if x > high else (x - low) / (high - low)
    return basis


def weights(tokenizer, member):
    return {n: p[member].detach().numpy() for n, p in tokenizer.named_parameters()}


def table(n_rows=40, seed=0):
    rng = np.random.RandomState(seed)
    columns = [
        rng.randint(3, size=n_rows),
        rng.normal(size=n_rows),
        np.full(n_rows, 5.0),
        rng.randint(2, size=n_rows),
        rng.choice([0.0, 1.0, 2.0], n_rows, p=[0.8, 0.1, 0.1]),
    ]
    return np.column_stack(columns).astype(float)  # fmt: skip


@pytest.mark.parametrize("shared", [True, False], ids=["rows shared", "rows of each member"])
def test_tokens_are_the_equations(shared):
    """Numbers, a constant column, one with tied quantiles, categories; missing and hidden."""
    tokenizer, cells = make_tokenizer(), table()
    cells[::6, 0] = cells[1::5, 1] = cells[::7, 4] = np.nan
    tokenizer.fit_bins(cells)
    edges = {}
    for j in (1, 2, 4):
        known = cells[~np.isnan(cells[:, j]), j]
        edges[j] = np.unique(np.quantile(known, [0, 1 / 3, 2 / 3, 1]))
    assert len(edges[2]) == 1  # constant
    assert len(edges[4]) < 4  # ties leave fewer bins
    rows = [cells] if shared else [cells, cells[::-1]]
    hidden = np.random.RandomState(1).rand(len(rows), *cells.shape) < 0.2
    tokens = tokenizer(torch.as_tensor(np.stack(rows)), torch.as_tensor(hidden)).detach().numpy()
    assert tokens.shape == (2, 40, 5, 4)
    for member in range(2):
        w, source = weights(tokenizer, member), 0 if shared else member
        for i, row in enumerate(rows[source]):
            for j, cell in enumerate(row):
                if np.isnan(cell) or hidden[source, i, j]:
                    expected = w["absent"][0, j]
                elif j in edges:
                    basis = encode(cell, edges[j] if len(edges[j]) > 1 else [], 3)
                    expected = basis @ w["slope"][[1, 2, 4].index(j)] + w["shift"][0, j]
                else:
                    code = w["code"][int(cell) + (0 if j == 0 else 3)]
                    expected = code + w["shift"][0, j]
                np.testing.assert_allclose(tokens[member, i, j], expected, rtol=0, atol=1e-12)


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30, unique=True),
    st.integers(1, 6),
    st.floats(-2e3, 2e3),
)
@settings(derandomize=True, deadline=None, max_examples=50)
def test_encoding_is_monotone_and_counts_quantiles(values, n_bins, x):
    """Between 0 below all values and the number of bins above; half-way at the median."""
    tokenizer = make_tokenizer(1, [0], 1, n_bins)
    tokenizer.fit_bins(np.array(values)[:, None])
    tokenizer.slope.data[:] = 1.0
    tokenizer.slope.data[:, :, 0] = 0.0  # without the linear term
    tokenizer.shift.data.zero_()

    def passed(x):
        return tokenizer(torch.tensor([[[x]]], dtype=torch.float64)).item()

    used = int(torch.isfinite(tokenizer.low).sum())
    assert 1 <= used <= n_bins
    assert passed(min(values)) == 0
    assert passed(max(values)) == pytest.approx(used, abs=1e-9)
    assert passed(-1e6) == 0
    assert passed(1e6) == used
    assert passed(x) <= passed(x + 1) + 1e-9
    if used == n_bins and n_bins % 2 == 0:
        assert passed(np.median(values)) == pytest.approx(n_bins / 2, abs=1e-6)


def test_without_bins_a_number_is_one_linear_map():
    tokenizer, cells = make_tokenizer(n_bins=0), table()
    tokenizer.fit_bins(cells)
    assert tokenizer.slope.shape == (2, 3, 1, 4)
    tokens = tokenizer(torch.as_tensor(cells)[None]).detach().numpy()
    for member in range(2):
        w = weights(tokenizer, member)
        expected = cells[:, 1:2] * w["slope"][0] + w["shift"][0, 1]
        np.testing.assert_allclose(tokens[member, :, 1], expected, rtol=0, atol=1e-12)


def test_a_column_without_numbers_is_always_absent():
    tokenizer, cells = make_tokenizer(), table()
    cells[:, 1] = np.nan
    tokenizer.fit_bins(cells)
    tokens = tokenizer(torch.as_tensor(cells)[None])
    assert torch.equal(tokens[:, :, 1], tokenizer.absent[:, :, 1].expand(-1, 40, -1))
    cells[:, 1] = 3.0  # numbers first seen later
    assert torch.isfinite(tokenizer(torch.as_tensor(cells)[None])).all()


def test_what_is_hidden_leaves_no_trace():
    tokenizer, cells = make_tokenizer(), torch.as_tensor(table())[None]
    other = torch.as_tensor(table(seed=9))[None]
    hidden = torch.ones_like(cells, dtype=torch.bool)
    assert torch.equal(tokenizer(cells, hidden), tokenizer(other, hidden))
    hidden[..., 1] = False
    assert not torch.equal(tokenizer(cells, hidden), tokenizer(other, hidden))


def test_columns_only_numeric_or_only_categorical():
    for n_categories in ([0, 0], [4, 2]):
        cells = torch.tensor([[[1.0, 0.0], [3.0, 1.0]]], dtype=torch.float64)
        tokenizer = make_tokenizer(n_categories=n_categories)
        tokenizer.fit_bins(cells[0].numpy())
        assert tokenizer(cells).shape == (2, 2, 2, 4)
        assert not torch.equal(tokenizer(cells)[:, 0], tokenizer(cells)[:, 1])


def test_bins_are_saved_with_the_weights():
    tokenizer, cells = make_tokenizer(), table()
    tokenizer.fit_bins(cells)
    other = make_tokenizer()
    other.load_state_dict(tokenizer.state_dict())
    assert torch.equal(other(torch.as_tensor(cells)[None]), tokenizer(torch.as_tensor(cells)[None]))


def test_gradients():
    tokenizer, cells = make_tokenizer(), table(12)
    cells[0] = np.nan
    tokenizer.fit_bins(cells)
    hidden = torch.zeros(1, 12, 5, dtype=torch.bool)
    hidden[:, 1] = True
    names = [name for name, _ in tokenizer.named_parameters()]

    def tokens(*values):
        parameters = dict(zip(names, values, strict=True))
        arguments = (torch.as_tensor(cells)[None], hidden)
        return torch.func.functional_call(tokenizer, parameters, arguments)

    values = [p.detach().clone().requires_grad_() for p in tokenizer.parameters()]
    assert torch.autograd.gradcheck(tokens, values, fast_mode=True)
    tokens(*values).sum().backward()
    assert all(value.grad.abs().sum() > 0 for value in values)
