"""The net against a reference in numpy, and what must not change what it says."""

import numpy as np
import pytest
import torch

from sklearn_selfattn.core.randomness import seeded
from sklearn_selfattn.vision_language.module import BACKBONES, PAD, WINDOW, Pairs, VisualParsingNet
from tests.vision_language import reference

SIZES = {"patch": 4, "d_model": 16, "n_heads": 2, "n_layers": 2, "n_vision_layers": 2}


def make_net(backbone="cnn", *, cross=True, shape=(3, 16, 16), **sizes):
    with seeded(0):
        net = VisualParsingNet(
            shape, 12, 6, 5, backbone=backbone, dropout=0.0, cross=cross, **{**SIZES, **sizes}
        )
    return net.double().eval()


def make_pairs(n_images=3, n=6, n_words=6, seed=0, shape=(3, 16, 16)):
    generator = torch.Generator().manual_seed(seed)
    return Pairs(
        torch.randn(n_images, *shape, generator=generator, dtype=torch.float64),
        torch.arange(n) % n_images,
        torch.randint(1, 12, (n, n_words), generator=generator),
    )


@pytest.mark.parametrize("cross", [True, False])
def test_layers_are_those_of_the_equations(cross):
    net, pairs = make_net(cross=cross), make_pairs()
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    with torch.inference_mode():
        visual = net.image_tokens(pairs.pixels)[0].numpy()
        logits, shares = net(pairs).numpy(), net.layers(pairs, "shares").numpy()
    for i, image in enumerate(pairs.image.tolist()):
        said, seen = reference.forward(
            weights, visual[image], pairs.words[i].numpy(), n_layers=2, n_heads=2, cross=cross
        )
        np.testing.assert_allclose(logits[i], said, rtol=0, atol=1e-10)
        np.testing.assert_allclose(shares[i], seen, rtol=0, atol=1e-10)


def test_norms_are_lengths_of_what_is_passed_on():
    net, pairs = make_net(), make_pairs()
    block = net.blocks[0]
    with torch.inference_mode():
        x, (bias, _) = net.sequence(pairs)
        places = net.places(x.shape[1])
        found = block.value_norms(x, places, bias)[0, 0].numpy()
        shares, (_, _, V) = block.shares(x, places, bias)[0].numpy(), block.heads(x, places)
        W = block.out.weight.numpy()  # (d, h * c)
    expected = np.zeros_like(found)
    for i in range(len(found)):
        for j in range(len(found)):
            passed = np.concatenate([shares[h, i, j] * V[0, h, j].numpy() for h in range(2)])
            expected[i, j] = np.linalg.norm(W @ passed)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_padding_and_company_change_nothing(backbone):
    """Longer padding, other pairs in the batch, a picture given twice: the same answer."""
    net, pairs = make_net(backbone), make_pairs()
    with torch.inference_mode():
        expected = net(pairs)
        shorter = pairs._replace(words=pairs.words[:, :4])
        alone = torch.cat([net(shorter._replace(image=pairs.image[i : i + 1],
                                                words=shorter.words[i : i + 1]))
                           for i in range(6)])  # fmt: skip
        with_padding = shorter._replace(
            words=torch.nn.functional.pad(shorter.words, (0, 2), value=PAD)
        )
        twice = Pairs(pairs.pixels[pairs.image], torch.arange(6), pairs.words)
        np.testing.assert_allclose(net(with_padding), alone, rtol=0, atol=1e-12)
        np.testing.assert_allclose(net(twice), expected, rtol=0, atol=1e-12)
        assert (net(shorter) - expected).abs().max() > 1e-3  # words do matter


@pytest.mark.parametrize("shape", [(1, 1, 9), (1, 7, 5), (4, 16, 12)])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_any_shape_of_picture_goes_through(backbone, shape):
    patch = 1 if shape[1] == 1 else 4
    net = make_net(backbone, shape=shape, patch=patch)
    pairs = make_pairs(shape=shape)
    rows, columns = -(-shape[1] // patch), -(-shape[2] // patch)
    assert net.n_visual == rows * columns
    assert net(pairs).shape == (6, 5)
    pairs.pixels[0, :, -1, -1] += 1  # the last pixel is seen, though it may lie in a cut patch
    moved = net(pairs) - net(make_pairs(shape=shape))
    assert moved[0].abs().max() > 1e-6
    assert moved[1].abs().max() < 1e-12


def test_windows_are_apart_and_the_shift_joins_them():
    net = make_net("swin", shape=(1, 32, 32), patch=4)
    plain, shifted = net.image_tokens.windows.isfinite()
    side = 2 * net.image_tokens.grid[0]
    row, column = np.divmod(np.arange(side**2), side)
    same = (row[:, None] // WINDOW == row // WINDOW) & (
        column[:, None] // WINDOW == column // WINDOW
    )
    np.testing.assert_array_equal(plain, same)
    assert plain.sum(1).min() == WINDOW**2
    # two steps, plain and shifted, reach beyond a window
    assert ((plain.double() @ shifted.double()) > 0).sum() > plain.sum()


def test_gradients_are_right():
    net = make_net(n_layers=1, d_model=4, patch=8)
    pairs = make_pairs(1, 2, 2)

    def logits(pixels):
        return net(pairs._replace(pixels=pixels))

    assert torch.autograd.gradcheck(logits, pairs.pixels.clone().requires_grad_(), fast_mode=True)
