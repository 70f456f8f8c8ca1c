"""The vectorizer's attention as a torch module."""

from __future__ import annotations

import torch
from torch import nn


class ProjectionAttention(nn.Module):
    r"""Attention of words on words, with matrices read off a corpus.

    .. math:: Y = (1 - m)\, V + m\, \mathrm{softmax}\left(\frac{Q K^\top}{\tau}
              - \log \max(|r - s|, 1)\right) V

    with Q, K and V the rows of W_Q, W_K and W_V of the words at places r and s, by heads.

    Parameters
    ----------
    W_Q, W_K, W_V : ndarray of shape (n_terms, n_components)
        Vectors of each term as a query, a key and a value.
    temperature : float
        The :math:`\tau`.
    n_heads : int
        Number of heads, consecutive columns of the matrices.
    decay : bool
        Whether the distance of two words counts.
    mask_self, causal : bool
        Whether a word looks at its own place, and at later ones.
    mix : float
        The :math:`m`.

    Notes
    -----
    Shape: word numbers ``(t,)`` or ``(b, t)``; vectors ``(b, t, k)`` and weights
    ``(b, h, t, t)``, without the b if there was none.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn_selfattn.distributional.module import ProjectionAttention
    >>> W = np.eye(3)
    >>> layer = ProjectionAttention(W, W, W, temperature=1.0, n_heads=1, decay=False,
    ...                             mask_self=True, causal=False, mix=0.5)
    >>> vectors, weights = layer(torch.tensor([0, 1]))
    >>> vectors.detach().numpy()
    array([[0.5, 0.5, 0. ],
           [0.5, 0.5, 0. ]])
    """

    def __init__(
        self, W_Q, W_K, W_V, *, temperature, n_heads, decay, mask_self, causal, mix
    ):  # fmt: skip
        super().__init__()
        n_components = W_Q.shape[1]
        self.query, self.key, self.value = (
            nn.Embedding.from_pretrained(torch.as_tensor(W).double(), freeze=False)
            for W in (W_Q, W_K, W_V)
        )
        with torch.random.fork_rng(devices=[]):  # its first weights are random, and replaced
            self.attention = nn.MultiheadAttention(
                n_components, n_heads, bias=False, batch_first=True, dtype=torch.float64
            )
        identity = torch.eye(n_components, dtype=torch.float64)
        # torch divides by the root of a head's width; the corpus has its own temperature.
        scale = (n_components // n_heads) ** 0.5 / temperature
        with torch.no_grad():
            self.attention.in_proj_weight.copy_(torch.cat([scale * identity, identity, identity]))
            self.attention.out_proj.weight.copy_(identity)
        self.decay, self.mask_self, self.causal, self.mix = decay, mask_self, causal, mix

    def forward(self, ids):
        V = self.value(ids)  # (..., t, k)
        seen, weights = self.attention(
            self.query(ids),
            self.key(ids),
            V,
            attn_mask=self._bias(ids.shape[-1]),
            average_attn_weights=False,
        )
        return (1.0 - self.mix) * V + self.mix * seen, weights

    def _bias(self, length):
        place = torch.arange(length, device=self.value.weight.device)
        distance = place - place[:, None]  # (t, t)
        bias = torch.zeros(length, length, dtype=torch.float64, device=place.device)
        if self.decay:
            bias -= distance.abs().clamp(min=1).double().log()
        if self.mask_self:
            bias[distance == 0] = -torch.inf
        if self.causal:
            bias[distance > 0] = -torch.inf
        # A word with nothing to look at looks at itself.
        alone = bias.isinf().all(dim=1)
        bias[alone, alone.nonzero().squeeze(1)] = 0.0
        return bias
