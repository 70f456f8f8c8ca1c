"""Exact ranks of linear attention, and the bounds on either side of them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_selfattn.depth_width import exact_separation_rank, separation_rank_bounds
from sklearn_selfattn.depth_width.bounds import log_lower, log_lower_estimates, upper_bound
from sklearn_selfattn.depth_width.exact import (
    PRIME,
    _draw_layer,
    _evaluate_pairs,
    _matmul,
    _mod,
    _rank,
)

# depth, width, heads, tokens on either side, rank; the upper bound is attained by one head.
EXACT = [
    (1, 2, 1, (3, 3), 3), (1, 3, 1, (3, 3), 4), (1, 4, 2, (4, 4), 5),
    (2, 2, 1, (3, 3), 18), (2, 2, 2, (3, 3), 17), (2, 3, 1, (3, 3), 49), (2, 3, 1, (1, 1), 35),
    (2, 4, 1, (4, 4), 110), (2, 4, 2, (4, 4), 107), (2, 4, 4, (4, 4), 85),
    (3, 2, 1, (3, 3), 232), (3, 2, 2, (3, 3), 215), (3, 2, 1, (1, 1), 105),
]  # fmt: skip


@pytest.mark.parametrize(("depth", "width", "n_heads", "n_tokens", "rank"), EXACT)
def test_exact_ranks_on_five_seeds(depth, width, n_heads, n_tokens, rank):
    for seed in range(5):
        found = exact_separation_rank(depth, width, n_heads, n_tokens, random_state=seed)
        assert found == rank
    bounds = separation_rank_bounds(depth, width, n_heads, n_tokens)
    assert bounds["log_lower"] <= math.log(rank) <= bounds["log_upper"] + 1e-12
    if n_heads == 1:
        assert upper_bound(depth, width, n_tokens[0] == 1, n_tokens[1] == 1) == rank
    if depth == 3:  # floats do not see it
        assert _float_rank(depth, width, n_heads, n_tokens) != rank


def test_three_layers_of_width_three():
    assert exact_separation_rank(3, 3, 1, (1, 1), random_state=0) == 560
    assert upper_bound(3, 3, True, True) == 560
    assert upper_bound(3, 3) == 3102  # so few tokens cannot reach what many can


def test_a_lower_bound_that_says_something_is_below_an_exact_rank():
    for depth, width, n_heads in ((2, 8, 2), (2, 9, 1), (3, 8, 2)):
        rank = exact_separation_rank(depth, width, n_heads, n_templates=120, random_state=0)
        bounds = separation_rank_bounds(depth, width, n_heads)
        assert 0 < bounds["log_lower"] <= math.log(rank)


def _reference(x, Y, layers):
    """Run the network token by token in Python's integers: the equation of the paper."""
    tokens = [list(map(int, token)) for token in (*x, *Y)]
    for heads in layers:
        new = []
        for token in tokens:
            out = [0] * len(token)
            for out_map, Q, K, V in heads:
                query = [sum(q * t for q, t in zip(row, token, strict=True)) for row in Q]
                for other in tokens:
                    key = [sum(k * t for k, t in zip(row, other, strict=True)) for row in K]
                    value = [sum(v * t for v, t in zip(row, other, strict=True)) for row in V]
                    score = sum(a * b for a, b in zip(query, key, strict=True))
                    for i, row in enumerate(out_map):
                        part = sum(o * v for o, v in zip(row, value, strict=True))
                        out[i] = (out[i] + score * part) % PRIME
            new.append(out)
        tokens = new
    return tokens[0][0]


def _draw_heads(d, n_heads, rng):
    """Draw what `_draw_layer` draws, and return it as (out, Q, K, V) of each head, in integers."""
    shape = (n_heads, d // n_heads, d)
    Q, K, V = (rng.randint(PRIME, size=shape) for _ in range(3))
    out_map = rng.randint(PRIME, size=(n_heads, d, d // n_heads))
    return [
        tuple([[int(v) for v in row] for row in part[h]] for part in (out_map, Q, K, V))
        for h in range(n_heads)
    ]


@pytest.mark.parametrize(("d", "n_heads", "depth"), [(2, 1, 3), (4, 2, 2), (3, 3, 1)])
def test_evaluation_is_the_equation_of_the_paper(d, n_heads, depth):
    rng = np.random.RandomState(0)
    layers = [_draw_layer(d, n_heads, rng) for _ in range(depth)]
    rng = np.random.RandomState(0)
    heads = [_draw_heads(d, n_heads, rng) for _ in range(depth)]
    A = rng.randint(PRIME, size=(4, 2, d)).astype(float)
    B = rng.randint(PRIME, size=(4, 3, d)).astype(float)
    values = _evaluate_pairs(A, B, layers)
    for i, j in itertools.product(range(4), range(4)):
        assert values[i, j] == _reference(A[i], B[j], heads)


def _float_rank(depth, width, n_heads, n_tokens):
    """Do the same in floats, as one would first try."""
    rng = np.random.RandomState(0)
    n = math.ceil(1.2 * upper_bound(depth, width))
    shape = (n_heads, width // n_heads, width)
    layers = [[rng.normal(size=shape) for _ in range(4)] for _ in range(depth)]
    X_A, X_B = (rng.normal(size=(n, t, width)) for t in n_tokens)
    G = (X_A.mT @ X_A)[:, None] + (X_B.mT @ X_B)
    x = np.repeat(X_A[:, :1], n, axis=1)
    for Q, K, V, out in layers:
        M = sum(o.T @ v @ G @ k.T @ q for q, k, v, o in zip(Q, K, V, out, strict=True))
        x = (M @ x[..., None])[..., 0]
        G = M @ G @ M.mT
    return np.linalg.matrix_rank(x[..., 0], tol=1e-6 * np.abs(x[..., 0]).max())


@settings(derandomize=True, max_examples=30, deadline=None)
@given(st.integers(1, 90), st.integers(0, 90), st.integers(0, 10_000))
def test_rank_of_products_modulo_the_prime(n, r, seed):
    rng = np.random.RandomState(seed)
    left, right = (rng.randint(PRIME, size=(n, r)).astype(float) for _ in range(2))
    product = _matmul(left, right.T)
    integers = [part.astype(int).astype(object) for part in (left, right)]
    exact = (integers[0] @ integers[1].T) % PRIME if r else np.zeros((n, n))
    np.testing.assert_array_equal(product, exact.astype(float))
    assert _rank(product) == min(n, r)


def test_reduction_at_the_edges():
    values = [0, PRIME - 1, PRIME, PRIME + 1, 2**52 - 1, -1, -PRIME, -(2**52)]
    np.testing.assert_array_equal(_mod(np.array(values, dtype=float)), [v % PRIME for v in values])


# --- bounds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", range(1, 7))
@pytest.mark.parametrize("width", [2, 3, 8, 27, 64])
def test_logs_are_those_of_the_integers(depth, width):
    bounds = separation_rank_bounds(depth, width)
    assert bounds["log_upper"] == pytest.approx(math.log(upper_bound(depth, width)), rel=1e-10)
    n, k = (width - 1) // 2, 3 ** (depth - 2)
    expected = math.log(math.comb(n + k - 1, k)) if depth > 1 and n else 0
    assert bounds["log_lower"] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_bounds_at_the_size_of_gpt3_and_beyond():
    bounds = separation_rank_bounds(48, 12288, 96)
    n = (12288 - 96) // 2
    exact = math.log(math.comb(n + 3**46 - 1, n - 1))  # the integer has 113,000 digits
    assert bounds["log_lower"] == pytest.approx(exact, rel=1e-9)
    assert bounds["log_lower"] < bounds["log_upper"] < math.inf
    for depth in (500, 602, 603, 5000):
        bounds = separation_rank_bounds(depth, 12288, 96)
        assert 0 < bounds["log_lower"] < bounds["log_upper"] < math.inf


def test_the_two_forms_of_the_theorem_are_below_and_switch_at_the_threshold():
    for depth, width in itertools.product(range(3, 12), (16, 64, 256, 1024)):
        below, above = log_lower_estimates(depth, width, 2)
        assert max(below, above) <= log_lower(depth, width, 2) + 1e-6
        if depth < math.log(width, 3) - 1:
            assert below > above
        if depth > math.log(width, 3) + 2:
            assert above > below


@pytest.mark.parametrize("n_tokens", [None, (1, 1), (1, 4), (4, 1), 2, 7])
def test_bounds_are_monotone_and_in_order(n_tokens):
    grid = np.array(
        [
            [
                [separation_rank_bounds(L, d, 1, n_tokens)[key] for d in (2, 3, 5, 9, 33, 129)]
                for L in range(1, 14)
            ]
            for key in ("log_lower", "log_upper")
        ]
    )
    assert (np.diff(grid, axis=1) >= 0).all()
    assert (np.diff(grid, axis=2) >= 0).all()
    assert (grid[0] <= grid[1] + 1e-9).all()
    many = [separation_rank_bounds(L, 9)["log_upper"] for L in range(1, 14)]
    assert (grid[1, :, 3] <= np.array(many) + 1e-9).all()


def test_depth_pays_thrice_below_the_threshold_and_adds_beyond():
    lower = np.array([separation_rank_bounds(L, 2187)["log_lower"] for L in range(2, 30)])
    growth = lower[1:] / lower[:-1]
    assert (growth[:3] > 2.3).all()  # L = 2, 3, 4 of log_3 = 7
    steps = np.diff(lower)[12:]
    np.testing.assert_allclose(steps, (1093 - 1) * math.log(3), rtol=1e-3)
    assert [separation_rank_bounds(L, 2187)["regime"] for L in (6, 8)] == [
        "below threshold",
        "above threshold",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 8), "depth"),
        ((2.5, 8), "depth"),
        ((2, 0), "width"),
        ((2, 8, 3), "n_heads has to divide width, got n_heads=3 and width=8"),
        ((2, 8, 1, (1, 2, 3)), "two positive integers"),
        ((2, 8, 1, (0, 2)), "two positive integers"),
        ((2, 8, 1, 1), "at least 2"),
    ],
)
def test_bad_input(arguments, words):
    for function in (separation_rank_bounds, exact_separation_rank):
        with pytest.raises(ValueError, match=words):
            function(*arguments)


def test_what_is_too_large_is_refused_before_it_is_tried():
    with pytest.raises(ValueError, match="as high as 31460"):
        exact_separation_rank(3, 4)
    with pytest.raises(ValueError, match="as high as inf"):
        exact_separation_rank(30, 64)
