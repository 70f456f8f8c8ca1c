"""The law and the theory: published projections, the closed form, and what may not be asked."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from sklearn_selfattn import recommend_depth_width
from sklearn_selfattn.core.shape import B_ERROR, A, B, optimal_depth
from sklearn_selfattn.depth_width import ExtrapolationWarning, depth_threshold, params_per_layer

# The paper's projections for the shapes of GPT-3: parameters without embeddings, depth, width.
PROJECTIONS = [
    (8.49e7, 23, 555), (3.02e8, 32, 886), (6.80e8, 38, 1220), (1.21e9, 42, 1550),
    (2.52e9, 47, 2110), (6.44e9, 54, 3150), (1.27e10, 60, 4200), (1.74e11, 80, 13500),
    (1e12, 95, 30100),
]  # fmt: skip


@pytest.mark.parametrize(("n_params", "depth", "width"), PROJECTIONS)
@pytest.mark.filterwarnings("ignore::sklearn_selfattn.depth_width.ExtrapolationWarning")
def test_projections_of_the_paper(n_params, depth, width):
    shape = recommend_depth_width(n_params, rule="empirical")
    assert abs(shape.depth - depth) <= 1
    assert shape.width_real == pytest.approx(width, rel=0.02)
    # an inverse that forgot the factor L in 12 L d^2 would be far off
    forgetful = (math.log(n_params / 12) / 2 - A) / B
    assert abs(forgetful - depth) > 20


@pytest.mark.parametrize("n_params", np.logspace(3, 14, 12))
@pytest.mark.parametrize(("a", "b", "c"), [(A, B, 12.0), (A, B, 16.0), (0.0, math.log(3), 12.0)])
def test_lambert_form_is_the_root(n_params, a, b, c):
    def excess(L):
        return math.log(c * L) + 2 * a + 2 * b * L - math.log(n_params)

    root = brentq(excess, 1e-12, 500, xtol=1e-13, rtol=1e-14)
    assert optimal_depth(n_params, a, b, c) == pytest.approx(root, rel=1e-9)


@pytest.mark.parametrize(
    ("n_params", "depth", "width"),
    [(1e4, 2, 20), (3e4, 3, 28), (1e5, 3, 52), (3e5, 3, 91), (1e6, 4, 144), (3e6, 4, 250),
     (1e7, 5, 408)],
)  # fmt: skip
def test_theory_at_the_sizes_of_tables(n_params, depth, width):
    shape = recommend_depth_width(n_params, rule="theory")
    assert (shape.depth, shape.width) == (depth, width)
    assert depth <= depth_threshold(shape.width_real * math.sqrt(shape.depth_real / depth))
    assert shape.depth_interval is None
    assert math.floor(shape.depth_real) == depth


def test_auto_never_extrapolates_below():
    """The law would have a third of a layer for 100,000 parameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small, large = recommend_depth_width(1e5), recommend_depth_width(1e9)
    assert (small.rule, small.in_fitted_range) == ("theory", False)
    assert (large.rule, large.in_fitted_range) == ("empirical", True)
    assert optimal_depth(1e5, A, B) < 0.35
    with pytest.warns(ExtrapolationWarning, match=r"3.3e\+06 to 2.8e\+09 parameters"):
        assert recommend_depth_width(1e5, rule="empirical").depth == 1
    with pytest.warns(ExtrapolationWarning):
        assert recommend_depth_width(1e11).rule == "empirical"


def test_interval_is_that_of_the_published_errors():
    shape = recommend_depth_width(1e9)
    rng = np.random.default_rng(0)
    draws = [
        optimal_depth(1e9, A + 0.030 * rng.normal(), B + B_ERROR * rng.normal())
        for _ in range(4000)
    ]
    low, high = shape.depth_interval
    assert (high - low) / 2 == pytest.approx(np.std(draws), rel=0.05)
    assert low < shape.depth_real < high


def test_a_small_embedding_rank_asks_for_depth():
    """Four numeric columns, about 50,000 parameters: the example of the specification."""
    unaware = recommend_depth_width(50_000)
    aware = recommend_depth_width(50_000, embedding_rank=9)
    assert (unaware.depth, unaware.width, unaware.effective_width) == (3, 37, 37)
    assert (aware.depth, aware.width, aware.effective_width) == (6, 26, 9)
    assert recommend_depth_width(50_000, embedding_rank=9, max_depth=4).depth == 4
    assert recommend_depth_width(50_000, embedding_rank=1000).depth == unaware.depth


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    st.floats(3, 13), st.sampled_from(["theory", "empirical", "auto"]), st.integers(1, 8),
    st.sampled_from([0.0, 1.0, 8 / 3, 4.0]), st.booleans(), st.sampled_from([None, 3, 10]),
)  # fmt: skip
def test_never_above_the_budget(log_n, rule, n_heads, factor, glu, rank):
    options = {
        "rule": rule, "n_heads": n_heads, "ffn_factor": factor, "ffn_glu": glu,
        "embedding_rank": rank,
    }  # fmt: skip
    n_params = 10**log_n
    if n_params < params_per_layer(n_heads, factor, glu):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExtrapolationWarning)
        shape = recommend_depth_width(n_params, **options)
    assert shape.width % n_heads == 0
    assert shape.n_params == shape.depth * params_per_layer(shape.width, factor, glu) <= n_params
    wider = shape.depth * params_per_layer(shape.width + n_heads, factor, glu)
    assert wider > n_params  # and nothing is left over that would widen it


def test_width_follows_heads_or_their_width():
    assert recommend_depth_width(1e6, n_heads=4, round_to=32).width % 32 == 0
    shape = recommend_depth_width(1e6, head_dim=16)
    assert shape.width == 16 * shape.n_heads == 144
    assert shape.as_params("model__n_layers", "model__d_model", "model__n_heads") == {
        "model__n_layers": 4, "model__d_model": 144, "model__n_heads": 9,
    }  # fmt: skip


def test_parameters_of_a_layer_are_those_of_torch():
    import torch

    layer = torch.nn.TransformerEncoderLayer(24, 4, dim_feedforward=96)
    assert params_per_layer(24, bias=True) == sum(p.numel() for p in layer.parameters())
    assert params_per_layer(24) == 12 * 24**2
    assert params_per_layer(24, 2.0, glu=True) == (4 + 6) * 24**2
    assert params_per_layer(24, 0.0) == 4 * 24**2


def test_thresholds():
    assert depth_threshold(27) == pytest.approx(3)
    assert depth_threshold(math.exp(A + 6 * B), rule="empirical") == pytest.approx(6)
    assert depth_threshold(64, rule="empirical") < 0


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"n_params": 0}, "n_params"),
        ({"n_params": -5}, "n_params"),
        ({"n_params": math.inf}, "n_params"),
        ({"n_params": 1e6, "max_depth": 0}, "max_depth"),
        ({"n_params": 1e6, "max_depth": 2.5}, "max_depth"),
        ({"n_params": 1e6, "embedding_rank": 0}, "embedding_rank"),
        ({"n_params": 1e6, "rule": "kaplan"}, "rule"),
        ({"n_params": 1e6, "n_heads": 2, "head_dim": 8}, "n_heads and head_dim"),
        ({"n_params": 100, "n_heads": 4}, "smallest width, 4, has 192 parameters"),
        ({"n_params": "many"}, "n_params"),
    ],
)
def test_bad_input(params, words):
    with pytest.raises(ValueError, match=words):
        recommend_depth_width(**params)


@pytest.mark.parametrize("width", [0, -3, "8"])
def test_bad_widths(width):
    with pytest.raises(ValueError, match="width"):
        depth_threshold(width)
    with pytest.raises(ValueError, match="width"):
        params_per_layer(width)
