"""The encoder and its losses, against the equations."""

import numpy as np
import pytest
import torch

from sklearn_selfattn.reranking.module import (
    AffinityEncoder,
    affinities,
    contrastive_loss,
    cosine_to_first,
    reconstruction_loss,
)
from tests.reranking import reference


def encoder(n_layers=2, dropout=0.0):
    torch_state = torch.Generator().manual_seed(0)
    module = AffinityEncoder(6, 8, n_heads=2, n_layers=n_layers, d_hidden=16, dropout=dropout)
    with torch.no_grad():
        for parameter in module.parameters():  # far from the small initial weights
            parameter.copy_(torch.randn(parameter.shape, generator=torch_state) * 0.5)
    return module.double().eval()


def items(n_lists=3, length=9, width=5, seed=0):
    x = torch.randn(n_lists, length, width, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(x.double(), dim=-1)


@pytest.mark.parametrize("n_layers", [0, 1, 3])
@pytest.mark.parametrize("length", [3, 9])  # fewer items than anchors, and more
def test_forward_is_the_published_one(n_layers, length):
    module, lists = encoder(n_layers), items(length=length)
    affinity = affinities(lists, 6)
    for scores, refined, one in zip(module.scores(affinity), module(affinity), lists, strict=True):
        expected, features = reference.encoder_scores(
            module.state_dict(), one.numpy(), 6, 2, n_layers
        )
        np.testing.assert_allclose(refined.detach(), features, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(scores.detach(), expected, rtol=0, atol=1e-10)


def test_candidates_have_no_order_but_anchors_have():
    module, lists = encoder(), items()
    order = torch.tensor([0, 5, 3, 8, 1, 2, 7, 6, 4])
    affinity = affinities(lists, 6)
    scores = module.scores(affinity)
    torch.testing.assert_close(module.scores(affinity[:, order]), scores[:, order])
    other = module.scores(affinity[:, :, [0, 2, 1, 3, 4, 5]])
    assert (other - scores).abs().max() > 1e-3


def test_attention_is_what_the_layers_average_by():
    module, lists = encoder(), items()
    affinity = affinities(lists, 6)
    block, x = module.blocks[0], module._tokens(affinity)
    (share, _) = module.attention(affinity)
    torch.testing.assert_close(share.sum(-1), torch.ones(share.shape[:-1]).double())
    V = block._heads(x)[2]
    averaged = block.mix((share @ V).transpose(1, 2).flatten(2))
    torch.testing.assert_close(block._attend(x), averaged)


def test_dropout_and_skipped_branches_are_for_training_only():
    module, affinity = encoder(dropout=0.5), affinities(items(), 6)
    torch.testing.assert_close(module.scores(affinity), encoder().scores(affinity))
    assert [block.drop_path for block in module.blocks] == [0.0, 0.5]
    with torch.random.fork_rng():
        noisy = module.train().scores(affinity)
    assert (noisy - module.eval().scores(affinity)).abs().max() > 1e-3


def test_published_loss_on_a_list_of_three():
    """Query, a relevant item, one that is not: by hand."""
    scores = torch.tensor([[1.0, 0.6, -0.2]], dtype=torch.float64)
    relevant = torch.tensor([[True, True, False]])
    e = np.exp(np.array([1.0, 0.6, -0.2]) / 2.0)
    paper = contrastive_loss(scores, relevant, 2.0)
    np.testing.assert_allclose(paper, [-np.log((e[0] + e[1]) / e.sum())])
    e = np.exp(np.array([0.6, -0.2]) / 0.1)
    without_query = contrastive_loss(scores, relevant, 0.1, exclude_query=True)
    np.testing.assert_allclose(without_query, [-np.log(e[0] / e.sum())])


def test_each_relevant_item_counts_or_one_is_enough():
    scores = torch.tensor([[1.0, 0.9, -0.9, 0.0]], dtype=torch.float64).requires_grad_()
    relevant = torch.tensor([[True, True, True, False]])
    p = np.exp(np.array([0.9, -0.9, 0.0]) / 0.1)
    p /= p.sum()
    each = contrastive_loss(scores, relevant, 0.1, exclude_query=True, each=True)
    np.testing.assert_allclose(each.detach(), [-(np.log(p[0]) + np.log(p[1])) / 2])
    (pull,) = torch.autograd.grad(each.sum(), scores)
    single = contrastive_loss(scores, relevant, 0.1, exclude_query=True)
    (no_pull,) = torch.autograd.grad(single.sum(), scores)
    assert pull[0, 2] < -1  # the item that is far behind is pulled up
    assert abs(no_pull[0, 2]) < 1e-6


def test_temperature_and_query_explain_each_other():
    """At a low temperature the query, whose score is 1, swallows the published loss."""
    scores = torch.tensor([[1.0, 0.3, 0.4]], dtype=torch.float64)
    relevant = torch.tensor([[True, True, False]])
    assert contrastive_loss(scores, relevant, 0.1) < 0.01
    assert contrastive_loss(scores, relevant, 0.1, exclude_query=True) > 1.0


def test_distance_of_perfect_reconstruction_is_the_root_of_its_bound():
    affinity = affinities(items(), 6)
    np.testing.assert_allclose(reconstruction_loss(affinity, 3.0 * affinity), 0.01)
    opposite = reconstruction_loss(affinity, -affinity)
    np.testing.assert_allclose(opposite, 2.0)


def test_gradients():
    affinity = affinities(items(2, 4), 6).requires_grad_()
    module = encoder(1)
    assert torch.autograd.gradcheck(module.scores, affinity)
    relevant = torch.tensor([[True, True, False, False]] * 2)

    def both(a):
        refined = module(a)
        loss = contrastive_loss(cosine_to_first(refined), relevant, 0.5, exclude_query=True)
        return loss + reconstruction_loss(a, module.align(refined))

    assert torch.autograd.gradcheck(both, affinity)
