"""The fused Transformer in numpy, written from the equations."""

import numpy as np
from scipy.special import erf, softmax


def normalize(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def linear(layer, x):
    return x @ layer["weight"].T + layer["bias"]


def part(weights, prefix):
    start = prefix + "."
    return {k.removeprefix(start): v for k, v in weights.items() if k.startswith(start)}


def attention(weights, x, places, n_heads, is_seen):
    """Return the shares (h, t, t) and the mixed values (t, d) of one pair."""
    t, d = x.shape
    qkv = part(weights, "qkv")
    Q, K, _ = np.split(linear(qkv, normalize(x) + places), 3, axis=-1)
    _, _, V = np.split(linear(qkv, normalize(x)), 3, axis=-1)
    shares, mixed = [], []
    for h in range(n_heads):
        one = slice(h * d // n_heads, (h + 1) * d // n_heads)
        scores = Q[:, one] @ K[:, one].T / np.sqrt(d / n_heads)
        shares.append(softmax(np.where(is_seen, scores, -np.inf), axis=-1))
        mixed.append(shares[-1] @ V[:, one])
    return np.stack(shares), np.concatenate(mixed, axis=-1)


def block(weights, x, places, n_heads, is_seen):
    shares, mixed = attention(weights, x, places, n_heads, is_seen)
    x = x + linear(part(weights, "out"), mixed)
    hidden = linear(part(weights, "expand"), normalize(x))
    hidden = hidden * (1 + erf(hidden / np.sqrt(2))) / 2
    return x + linear(part(weights, "contract"), hidden), shares


def forward(weights, visual, words, *, n_layers, n_heads, cross=True):
    """Return logits and shares (layers, h, t, t) of one pair from its visual tokens (m, d)."""
    m, n = len(visual), len(words)
    picture = visual + weights["types"][0]
    sentence = weights["word.weight"][words] + weights["types"][1]
    nowhere = np.zeros((1, visual.shape[1]))
    places = np.concatenate([nowhere, weights["image_places"], nowhere, weights["word_places"][:n]])
    x = np.concatenate([weights["marks"][:1], picture, weights["marks"][1:], sentence])
    kind = np.array([0] + [1] * m + [0] + [2] * n)
    is_seen = np.full((len(x), len(x)), cross) | (kind[:, None] == kind)
    found = []
    for i in range(n_layers):
        if i == n_layers - 1:
            is_seen[0] = True  # [CLS] reads both
        x, shares = block(part(weights, f"blocks.{i}"), x, places, n_heads, is_seen)
        found.append(shares)
    first = linear(part(weights, "head.0"), normalize(x)[0])
    first = first * (1 + erf(first / np.sqrt(2))) / 2
    return linear(part(weights, "head.2"), first), np.stack(found)
