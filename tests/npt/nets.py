"""A small net of the pretrained kind, with random weights."""

import torch

from sklearn_selfattn.npt.in_context import Config, InContextNPT

SMALL = Config(d_model=12, n_layers=3, n_heads=3, n_thinking=2, n_bars=7)


def make_net(config=SMALL, seed=0):
    """Return a net in float64 none of whose weights is zero, or equal to another."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = InContextNPT(config).double().eval()
        for parameter in net.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    return net.requires_grad_(False)
