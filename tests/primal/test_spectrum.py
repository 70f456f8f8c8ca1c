"""The lens and its picture: spectra of known matrices, and of fitted nets."""

import numpy as np
import pytest
import torch

from sklearn_selfattn import (
    AttentionMaps,
    AttentionSpectrumDisplay,
    PrimalAttentionClassifier,
    attention_spectrum,
)
from sklearn_selfattn.primal import AttentionSpectrum, ksvd_residual
from tests.primal.series_data import rhythms

SMALL = {"n_estimators": 2, "d_model": 8, "max_epochs": 2, "random_state": 0}


@pytest.fixture(scope="module")
def fitted():
    X, y = rhythms(20)
    return PrimalAttentionClassifier(**SMALL, n_layers=2, primal_layers="last", rank=2).fit(X, y)


def test_spectrum_is_that_of_the_matrices(fitted):
    X, _ = rhythms(6)
    spectrum = attention_spectrum(fitted, X)
    assert spectrum.kinds == ["softmax", "primal"]
    primal = fitted.attention_weights(X, layer=1)
    softmax = fitted.attention_weights(X, layer=0)
    for maps, values in ((softmax, spectrum.values[0]), (primal, spectrum.values[1])):
        full = np.linalg.svd(maps[0], compute_uv=False)[..., : values.shape[-1]]
        np.testing.assert_allclose(values, full, atol=1e-10)
    assert spectrum.values[1].shape == (6, 4, 4)  # no more values than a head is wide


def test_maps_and_arrays_have_spectra_too():
    maps = AttentionMaps(
        [np.full((1, 1, 4, 4), 0.25), np.eye(4)[None, None]],
        query_labels="abcd", key_labels="abcd", query_axis="a", key_axis="b",
    )  # fmt: skip
    spectrum = attention_spectrum(maps)
    assert len(spectrum) == 2
    one, all_alike = (rank.item() for rank in spectrum.effective_rank())
    assert one == pytest.approx(1)
    assert all_alike == pytest.approx(4)
    np.testing.assert_allclose(spectrum.cumulative()[1], [[[0.25, 0.5, 0.75, 1.0]]])
    assert attention_spectrum(np.eye(3)).values[0].shape == (1, 1, 3)
    zero = AttentionSpectrum([np.zeros((1, 1, 3))], ["primal"])
    assert np.isfinite(zero.cumulative()[0]).all()
    assert np.isfinite(zero.effective_rank()[0]).all()


def test_long_softmax_series_are_sampled():
    X = np.random.default_rng(0).normal(size=(2, 1, 700))
    model = PrimalAttentionClassifier(**SMALL, attention="softmax").fit(X, [0, 1])
    assert attention_spectrum(model, X[:1]).values[0].shape == (1, 4, 512)


def test_residual_is_zero_at_singular_vectors_and_not_elsewhere(fitted):
    X, _ = rhythms(4)
    residual = ksvd_residual(fitted, X)
    assert list(residual) == [1]
    assert residual[1].shape == (4, 4)
    assert 0.01 < residual[1].mean() < 1
    # one series, one head: put its singular vectors into the layer
    model = PrimalAttentionClassifier(
        **{**SMALL, "n_estimators": 1}, n_heads=1, rank=3, data_dependent=False
    ).fit(*rhythms(20))
    phi_q, phi_k = (phi[0, 0] for phi in model._layer_factors(X[:1], 0))
    left, _, right = np.linalg.svd(phi_q @ phi_k.T)
    with torch.no_grad():
        W = model.module_.blocks[0].attention.W
        W[0, 0, 0] = torch.as_tensor(phi_k.T @ right[:3].T)
        W[0, 1, 0] = torch.as_tensor(phi_q.T @ left[:, :3])
    assert ksvd_residual(model, X[:1])[0].item() < 1e-10
    assert ksvd_residual(model, X[1:2])[0].item() > 1e-3
    # all singular vectors: nothing is outside, whatever was learnt
    full = PrimalAttentionClassifier(**SMALL, rank=4).fit(*rhythms(20))
    assert ksvd_residual(full, X)[0].max() < 1e-6


def test_what_has_no_spectrum():
    X, y = rhythms(12)
    model = PrimalAttentionClassifier(**SMALL, attention="none").fit(X, y)
    with pytest.raises(ValueError, match="net without attention"):
        attention_spectrum(model, X)
    with pytest.raises(ValueError, match="No layer .* is primal"):
        ksvd_residual(model, X)
    with pytest.raises(ValueError, match="X is needed"):
        attention_spectrum(model)


def test_picture(fitted):
    X, _ = rhythms(6)
    display = AttentionSpectrumDisplay.from_estimator(fitted, X)
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["layer 1, softmax", "layer 2, primal", "all alike"]
    shares = attention_spectrum(fitted, X).cumulative()
    for line, layer in zip(display.lines_, shares, strict=True):
        np.testing.assert_allclose(line.get_ydata(), layer.mean(axis=(0, 1)))
        assert line.get_ydata()[-1] == pytest.approx(1)
    assert display.ax_.get_title(loc="left").endswith("PrimalAttentionClassifier")
    alone = AttentionSpectrumDisplay.from_spectrum(attention_spectrum(np.eye(3)))
    assert [t.get_text() for t in alone.ax_.get_legend().get_texts()][0] == "softmax"
    assert alone.ax_.get_title(loc="left") == "Attention spectrum"
