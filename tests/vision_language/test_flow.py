"""The flow between two groups of tokens: its formulas by hand, and what it must not depend on."""

import numpy as np
import pytest

from sklearn_selfattn import AttentionMaps, NPTClassifier, VisualParsingClassifier
from sklearn_selfattn.datasets import make_digit_scenes
from sklearn_selfattn.vision_language import inter_modality_flow, without_cross_attention

V, T = [1, 2, 3], [5, 6]


def random_maps(n_layers=2, n=4, heads=3, tokens=8, seed=0):
    rng = np.random.default_rng(seed)
    layers = rng.random((n_layers, n, heads, tokens, tokens))
    return layers / layers.sum(-1, keepdims=True)


@pytest.fixture(scope="module")
def scenes():
    return make_digit_scenes(120, random_state=0)


@pytest.fixture(scope="module")
def model(scenes):
    return VisualParsingClassifier(d_model=16, n_heads=2, max_epochs=2, random_state=0).fit(*scenes)


def test_flow_is_its_formula():
    layers = random_maps()
    found = inter_modality_flow(layers, first=V, second=T)
    for layer in range(2):
        for sample in range(4):
            A = layers[layer, sample].mean(0)
            sums = {(a, b): sum(A[i, j] for i in g for j in h)
                    for a, g in (("v", V), ("t", T)) for b, h in (("v", V), ("t", T))}  # fmt: skip
            total = sum(sums.values())
            at = (sample, layer)
            assert found.first_from_second[at] == pytest.approx(sums["v", "t"] / total, abs=1e-12)
            assert found.second_from_first[at] == pytest.approx(sums["t", "v"] / total, abs=1e-12)
            assert found.flow[at] == pytest.approx((sums["v", "t"] + sums["t", "v"]) / total)


def test_attention_without_preference_flows_by_chance():
    even = np.full((1, 3, 2, 8, 8), 1 / 8)
    found = inter_modality_flow(even, first=V, second=T)
    np.testing.assert_allclose(found.flow, 2 * 3 * 2 / 5**2, atol=1e-12)
    np.testing.assert_allclose(found.relative, 1, atol=1e-12)


def test_rollout_of_layers_is_their_product():
    layers = random_maps()
    found = inter_modality_flow(layers, first=V, second=T, method="rollout")
    one, two = (0.5 * layer.mean(1) + 0.5 * np.eye(8) for layer in layers)
    for i, product in enumerate((one, two @ one)):
        expected = inter_modality_flow(product[:, None], first=V, second=T).flow[:, 0]
        np.testing.assert_allclose(found.flow[:, i], expected, rtol=0, atol=1e-12)


def test_padding_is_neither_looking_nor_looked_at():
    layers = random_maps()
    mask = np.ones((4, 8), dtype=bool)
    mask[1, 6] = False
    found = inter_modality_flow(layers, first=V, second=T, mask=mask)
    expected = inter_modality_flow(layers, first=V, second=[5])
    np.testing.assert_allclose(found.flow[1], expected.flow[1], atol=1e-12)
    np.testing.assert_allclose(found.chance[1], expected.chance[1], atol=1e-12)
    assert abs(found.flow[0] - expected.flow[0]).min() > 1e-3


@pytest.mark.parametrize("method", ["attention", "rollout", "norm"])
def test_a_sample_flows_alone_as_among_others(model, scenes, method):
    X, _ = scenes
    together = inter_modality_flow(model, X[:20], method=method)
    lengths = X["text"][:20].str.split().str.len()
    assert lengths.nunique() > 1  # padding differs
    for i in (int(lengths.argmin()), int(lengths.argmax())):
        alone = inter_modality_flow(model, X[i : i + 1], method=method)
        np.testing.assert_allclose(alone.flow[0], together.flow[i], rtol=0, atol=1e-6)
        np.testing.assert_allclose(alone.chance[0], together.chance[i], rtol=0, atol=1e-12)
    assert ((together.flow > 0) & (together.flow < 1)).all()


def test_norms_tell_something_else_than_weights(model, scenes):
    X, _ = scenes
    flows = [inter_modality_flow(model, X[:20], method=m).flow for m in ("attention", "norm")]
    assert abs(flows[0] - flows[1]).max() > 1e-3


@pytest.mark.parametrize("method", ["attention", "norm"])
def test_nothing_flows_where_it_may_not(model, scenes, method):
    X, _ = scenes
    apart = without_cross_attention(model)
    assert (inter_modality_flow(apart, X[:20], method=method).flow == 0).all()
    assert (inter_modality_flow(model, X[:20], method=method).flow > 0.1).all()  # as it was
    assert abs(apart.predict_proba(X) - model.predict_proba(X)).max() > 1e-5


def test_groups_go_by_labels_and_other_estimators_are_taken():
    maps = AttentionMaps(random_maps(), query_labels="abcdefgh", key_labels="abcdefgh",
                         query_axis="letter", key_axis="letter")  # fmt: skip
    by_label = inter_modality_flow(maps, first=["b", "c", "d"], second=["f", "g"])
    by_place = inter_modality_flow(maps, first=V, second=T)
    np.testing.assert_array_equal(by_label.flow, by_place.flow)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"method": "gradient"}, "method has to be one of 'attention', 'rollout', 'norm', got"),
        ({"method": "norm"}, "method='norm' needs the vectors"),
        ({"first": None}, "first and second have to name the two groups"),
        ({"first": []}, "first is empty"),
        ({"first": [8]}, "first has the position 8; there are 8 tokens"),
        ({"second": ["cat"]}, "second has the label 'cat', which no token bears"),
        ({"second": [3, 5]}, "first and second share the token 3"),
        ({"mask": np.ones((4, 7), dtype=bool)}, r"mask has to be of bool and of shape .*\(4, 8\)"),
        ({"mask": np.zeros((4, 8), dtype=bool)}, "Sample 0 has no token of one of the groups"),
    ],
)
def test_bad_input_is_named(params, words):
    with pytest.raises(ValueError, match=words):
        inter_modality_flow(random_maps(), **{"first": V, "second": T, **params})


def test_maps_of_queries_that_are_no_keys_are_refused():
    maps = AttentionMaps(random_maps(), query_labels="abcdefgh", key_labels="ABCDEFGH",
                         query_axis="letter", key_axis="capital")  # fmt: skip
    with pytest.raises(ValueError, match="Flow needs square maps"):
        inter_modality_flow(maps, first=V, second=T)


def test_pictures_without_text_have_no_flow():
    X, y = np.random.default_rng(0).random((20, 8, 8)), np.arange(20) % 2
    model = VisualParsingClassifier(d_model=8, n_heads=2, max_epochs=1, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="second is empty"):
        inter_modality_flow(model, X)
    with pytest.raises(ValueError, match="X is needed|no attention|attention"):
        inter_modality_flow(NPTClassifier(), first=[0], second=[1])
