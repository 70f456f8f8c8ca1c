import re
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sklearn_selfattn import AttentionMaps
from sklearn_selfattn.core.maps import SupportsAttention, as_attention_maps

matplotlib.use("Agg")
FEATURES = ["age", "sex", "income", "target"]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def softmax_layer(seed, shape):
    scores = np.exp(np.random.default_rng(seed).normal(size=shape))
    return scores / scores.sum(axis=-1, keepdims=True)


def square_maps(n_layers=3, n_samples=2, n_heads=2):
    n = len(FEATURES)
    return AttentionMaps(
        [softmax_layer(seed, (n_samples, n_heads, n, n)) for seed in range(n_layers)],
        query_labels=FEATURES,
        key_labels=FEATURES,
        query_axis="feature",
        key_axis="feature",
        sample_labels=[f"patient {i}" for i in range(n_samples)],
    )


def cross_maps(**changes):
    arguments = {
        "weights": [softmax_layer(0, (2, 3, 1, 5))],
        "query_labels": ["row"],
        "key_labels": [0, 1, 2, 3, "self"],
        "query_axis": "query",
        "key_axis": "context row",
    }
    arguments.update(changes)
    return AttentionMaps(arguments.pop("weights"), **arguments)


def test_is_a_list_of_float64_layers():
    layer = softmax_layer(0, (2, 3, 1, 5)).astype(np.float32)
    maps = cross_maps(weights=[layer, layer[:, :1]])
    assert len(maps) == 2
    assert maps[0].dtype == np.float64
    assert maps[-1].shape == (2, 1, 1, 5)
    np.testing.assert_array_equal(maps[0], layer)
    assert [layer.shape[1] for layer in maps] == [3, 1]
    assert (maps.n_samples, maps.n_queries, maps.n_keys) == (2, 1, 5)
    assert maps.sample_labels == [0, 1]
    with pytest.raises(IndexError):
        maps[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": []}, "weights is empty: at least one layer is needed."),
        ({"weights": np.full((2, 3, 1, 5), 0.2)}, "got shape (3, 1, 5) in layer 0"),
        ({"weights": [np.ones((2, 0, 1, 5))]}, "Layer 0 is empty"),
        (
            {"weights": [np.full((2, 3, 1, 5), 0.2), np.full((4, 3, 1, 5), 0.2)]},
            "layer 0 has shape (2, 3, 1, 5), layer 1 has shape (4, 3, 1, 5)",
        ),
        ({"key_labels": range(4)}, "key_labels has 4 entries"),
        ({"query_labels": ["a", "b"]}, "query_labels has 2 entries"),
        ({"sample_labels": ["a", "b", "c"]}, "2 are needed"),
        ({"kind": "linear"}, "kind must be one of 'softmax', 'rollout', 'kernel', got 'linear'."),
    ],
)
def test_refuses_shapes_and_labels_that_disagree(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        cross_maps(**changes)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "must be finite: one is nan at layer 1, sample 1, head 2, query 0, key 3."),
        (np.inf, "must be finite: one is inf at layer 1, sample 1, head 2, query 0, key 3."),
        (-0.25, "cannot be negative: one is -0.25 at layer 1, sample 1, head 2, query 0, key 3."),
        (1.25, "must sum to 1 over the keys: a sum is 2.05 at layer 1, sample 1, head 2, query 0."),
    ],
)
def test_says_where_the_weights_are_wrong(value, message):
    layers = [np.full((2, 3, 1, 5), 0.2), np.full((2, 3, 1, 5), 0.2)]
    layers[1][1, 2, 0, 3] = value
    with pytest.raises(ValueError, match=re.escape(message)):
        cross_maps(weights=layers)


def test_a_kernel_may_have_any_sign_and_sum_but_must_be_finite():
    kernel = np.random.default_rng(0).normal(size=(2, 3, 1, 5))
    np.testing.assert_array_equal(cross_maps(weights=[kernel], kind="kernel")[0], kernel)
    kernel[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="must be finite"):
        cross_maps(weights=[kernel], kind="kernel")


def test_float32_softmax_over_many_keys_is_accepted():
    layer = softmax_layer(0, (1, 1, 1, 20_000)).astype(np.float32)
    maps = cross_maps(weights=[layer], key_labels=range(20_000))
    assert maps.n_keys == 20_000


def test_mean_heads_keeps_one_head_and_all_labels():
    maps = square_maps()
    mean = maps.mean_heads()
    assert len(mean) == len(maps)
    for before, after in zip(maps, mean, strict=True):
        assert after.shape == (2, 1, 4, 4)
        np.testing.assert_allclose(after[:, 0], (before[:, 0] + before[:, 1]) / 2, rtol=1e-15)
    assert mean.sample_labels == maps.sample_labels
    assert mean.key_axis == "feature"
    assert maps[0].shape == (2, 2, 4, 4)


def reference_rollout(layers, sample):
    """Equation of Abnar and Zuidema, one number at a time and from the top layer down."""
    n = layers[0].shape[-1]
    flow = [[float(i == j) for j in range(n)] for i in range(n)]
    for layer in layers[::-1]:
        n_heads = layer.shape[1]
        mixed = [
            [
                0.5 * sum(layer[sample, h, i, j] for h in range(n_heads)) / n_heads + 0.5 * (i == j)
                for j in range(n)
            ]
            for i in range(n)
        ]
        flow = [
            [sum(flow[i][k] * mixed[k][j] for k in range(n)) for j in range(n)] for i in range(n)
        ]
    return np.array(flow)


def test_rollout_equals_the_equation():
    maps = square_maps()
    rollout = maps.rollout()
    assert len(rollout) == 1
    assert rollout.kind == "rollout"
    assert rollout[0].shape == (2, 1, 4, 4)
    for sample in range(2):
        np.testing.assert_allclose(
            rollout[0][sample, 0], reference_rollout(maps.weights, sample), atol=1e-14
        )
    # The order of the layers matters, so the check above can tell it.
    backwards = reference_rollout(maps.weights[::-1], 0)
    assert np.abs(rollout[0][0, 0] - backwards).max() > 1e-3


@settings(derandomize=True, max_examples=50, deadline=None)
@given(arrays(np.float64, (3, 1, 2, 4, 4), elements=st.floats(-20, 20)))
def test_rollout_rows_are_shares(scores):
    weights = np.exp(scores)
    weights /= weights.sum(axis=-1, keepdims=True)
    flow = as_attention_maps(weights).rollout()[0]
    np.testing.assert_allclose(flow.sum(axis=-1), 1.0, atol=1e-12)
    assert flow.min() >= 0.0
    # Each layer's residual keeps half, so a token keeps at least (1/2)^3 of itself.
    assert np.diagonal(flow, axis1=-2, axis2=-1).min() >= 0.125


def test_rollout_refuses_what_it_is_not_defined_for():
    with pytest.raises(ValueError, match=re.escape("1 queries (query) look at 5 keys")):
        cross_maps().rollout()
    layer = softmax_layer(0, (1, 1, 2, 2))
    strangers = cross_maps(weights=[layer], query_labels=["a", "b"], key_labels=["b", "a"])
    with pytest.raises(ValueError, match="same tokens"):
        strangers.rollout()
    with pytest.raises(ValueError, match="kind 'softmax', these are 'rollout'"):
        square_maps().rollout().rollout()


def test_frame_has_every_weight_under_its_labels():
    maps = square_maps()
    frame = maps.to_frame()
    assert list(frame.columns) == ["layer", "sample", "head", "query", "key", "weight"]
    assert len(frame) == sum(layer.size for layer in maps)
    indexed = frame.set_index(["layer", "sample", "head", "query", "key"])["weight"]
    assert indexed.index.is_unique
    assert indexed[2, "patient 1", 0, "sex", "target"] == maps[2][1, 0, 1, 3]
    sums = frame.groupby(["layer", "sample", "head", "query"])["weight"].sum()
    np.testing.assert_allclose(sums, 1.0, atol=1e-12)
    # Integer labels stay integers; mixed ones stay what they are.
    mixed = cross_maps().to_frame()
    assert mixed["sample"].dtype.kind == "i"
    assert list(mixed["key"][:5]) == [0, 1, 2, 3, "self"]


def drawn(ax):
    return np.asarray(ax.images[0].get_array())


def test_plot_draws_the_map_it_names():
    maps = square_maps()
    ax = maps.plot(sample=1, layer=0, head=1)
    np.testing.assert_array_equal(drawn(ax), maps[0][1, 1])
    assert ax.get_title(loc="left") == "Attention: layer 1 of 3, sample patient 1, head 2 of 2"
    assert [text.get_text() for text in ax.get_yticklabels()] == FEATURES
    assert ax.get_xlabel() == "feature (looked at)"

    ax = maps.plot()
    np.testing.assert_array_equal(drawn(ax), maps[-1][0].mean(axis=0))
    assert "layer 3 of 3" in ax.get_title(loc="left")
    assert "mean of 2 heads" in ax.get_title(loc="left")

    ax = maps.plot(sample=None)
    np.testing.assert_allclose(drawn(ax), maps[-1].mean(axis=(0, 1)), rtol=1e-14)
    np.testing.assert_allclose(drawn(ax).sum(axis=1), 1.0, atol=1e-12)
    assert "mean of 2 samples" in ax.get_title(loc="left")


def test_plot_draws_on_the_axes_given_and_marks_rollout_and_kernels():
    import matplotlib.pyplot as plt

    _, ax = plt.subplots()
    assert square_maps().rollout().plot(ax=ax) is ax
    assert ax.get_title(loc="left") == "Attention: rollout, sample patient 0"
    kernel = cross_maps(weights=[np.linspace(-1.0, 3.0, 30).reshape(2, 3, 1, 5)], kind="kernel")
    image = kernel.plot(sample=0, head=1).images[0]
    # Zero is white: the colours reach equally far to both sides.
    assert image.norm.vmin == -image.norm.vmax


@pytest.mark.parametrize("name", ["sample", "layer", "head"])
def test_plot_refuses_positions_that_do_not_exist(name):
    maps = square_maps(n_layers=2, n_samples=2, n_heads=2)
    with pytest.raises(ValueError, match=f"{name} must be between -2 and 1, got 2."):
        maps.plot(**{name: 2})


def test_lenses_take_estimators_maps_and_arrays():
    maps = square_maps()
    estimator = SimpleNamespace(attention_weights=lambda X, layer=None: maps if X == "X" else None)
    assert isinstance(estimator, SupportsAttention)
    assert as_attention_maps(estimator, "X") is maps
    assert as_attention_maps(maps) is maps

    layers = maps.weights
    for obj, expected in (
        (layers, layers),
        (np.stack(layers), layers),
        (layers[1], layers[1:2]),
        (layers[1][0, 1], [layers[1][:1, 1:]]),
        (layers[1][0, 1].tolist(), [layers[1][:1, 1:]]),
    ):
        result = as_attention_maps(obj)
        assert len(result) == len(expected)
        for got, want in zip(result, expected, strict=True):
            np.testing.assert_array_equal(got, want)
        assert result.key_labels == [0, 1, 2, 3]


def test_lenses_say_what_they_take():
    maps = square_maps()
    estimator = SimpleNamespace(attention_weights=lambda X, layer=None: "maps")
    with pytest.raises(ValueError, match="X is needed to ask SimpleNamespace"):
        as_attention_maps(estimator)
    with pytest.raises(TypeError, match="must return an AttentionMaps, got str"):
        as_attention_maps(estimator, "X")
    with pytest.raises(ValueError, match="got X with AttentionMaps"):
        as_attention_maps(maps, "X")
    with pytest.raises(TypeError, match="got SimpleNamespace"):
        as_attention_maps(SimpleNamespace())
    with pytest.raises(ValueError, match=re.escape("got an array of shape (2, 4, 4)")):
        as_attention_maps(maps[0][0])
    with pytest.raises(ValueError, match="must sum to 1"):
        as_attention_maps(np.ones((3, 3)))
