"""Targets as functions of the columns: every function gives one score per possible class.

A function takes `(draw, columns, n_outputs)` and returns scores of shape
(n_tables, n_rows, n_outputs). Only the first columns of a table matter here; the columns are
shuffled afterwards.
"""

import math

import torch

from .prior_draw import take_columns

N_TREES, TREE_DEPTH = 12, 4


def relevance(draw, b, d):
    """Weights of the columns: some first ones, of unequal importance; squares sum to 1."""
    n_relevant = 1 + (d * draw.uniform(b, 1) ** 1.5).floor()
    weight = torch.exp(0.6 * draw.normal(b, d))
    weight = weight * (torch.arange(d, device=draw.device) < n_relevant)
    return weight / weight.norm(dim=1, keepdim=True)  # (b, d)


def network(draw, columns, n_outputs):
    """Nodes of the causal network the columns came from."""
    return columns.nodes[..., :n_outputs]


def linear(draw, columns, n_outputs):
    """Linear read-outs."""
    b, _, d = columns.value.shape
    weight = draw.normal(b, d, n_outputs) * relevance(draw, b, d)[..., None]
    return torch.bmm(columns.value, weight)


def perceptron(draw, columns, n_outputs):
    """Run a network of one or two hidden layers."""
    b, _, d = columns.value.shape
    gain = draw.between(1, 3, b, 1, 1)
    weight = draw.normal(b, d, 24) * relevance(draw, b, d)[..., None] * gain
    hidden = torch.bmm(columns.value, weight) + 0.7 * draw.normal(b, 1, 24)  # (b, n, 24)
    hidden = torch.where(draw.chance(0.5, b, 1, 1), hidden.tanh(), hidden.relu())
    second = (torch.bmm(hidden, draw.normal(b, 24, 24) * 0.4) + 0.5 * draw.normal(b, 1, 24)).tanh()
    hidden = torch.where(draw.chance(0.4, b, 1, 1), second, hidden)
    return torch.bmm(hidden, draw.normal(b, 24, n_outputs))


def trees(draw, columns, n_outputs):
    """Sum of one to twelve oblivious trees of depth one to four."""
    value = columns.value
    b, n, d = value.shape
    n_splits = N_TREES * TREE_DEPTH
    n_relevant = 1 + draw.whole(min(d, 8), b, 1)
    column = torch.where(
        draw.chance(0.8, b, n_splits),
        draw.whole(n_relevant, b, n_splits),
        draw.whole(d, b, n_splits),
    )
    cells = take_columns(value, column)  # (b, n, n_splits)
    threshold = cells.gather(1, draw.whole(n, b, 1, n_splits))
    side = (cells > threshold).view(b, n, N_TREES, TREE_DEPTH)
    depth = 1 + draw.whole(TREE_DEPTH, b, 1, N_TREES, 1)
    bit = torch.arange(TREE_DEPTH, device=draw.device)
    leaf = ((side & (bit < depth)).long() << bit).sum(-1)  # (b, n, N_TREES)
    n_trees = 1 + (N_TREES * draw.uniform(b, 1, 1, 1).square()).floor()
    tree = torch.arange(N_TREES, device=draw.device)[:, None, None]
    leaves = draw.normal(b, N_TREES, 2**TREE_DEPTH, n_outputs) * (tree < n_trees)
    leaves = leaves.flatten(1, 2)  # (b, N_TREES * 16, n_outputs)
    scores = value.new_zeros(b, n, n_outputs)
    for number in range(N_TREES):
        index = leaf[..., number, None] + number * 2**TREE_DEPTH
        scores = scores + leaves.gather(1, index.expand(-1, -1, n_outputs))
    return scores


def smooth(draw, columns, n_outputs):
    """Draws of a Gaussian process: random Fourier features."""
    b, _, d = columns.value.shape
    frequency = draw.between(0.5, 1.8, b, 1, 1).square()
    weight = draw.normal(b, d, 64) * relevance(draw, b, d)[..., None] * frequency
    phase = draw.between(0, 2 * math.pi, b, 1, 64)
    waves = torch.cos(torch.bmm(columns.value, weight) + phase)  # (b, n, 64)
    return torch.bmm(waves, draw.normal(b, 64, n_outputs))


def prototypes(draw, columns, n_outputs):
    """Each row takes the scores of the nearest of some prototypes, sharply or softly."""
    value = columns.value
    b, n, d = value.shape
    most = max(3, min(24, n // 6))
    weighted = value * relevance(draw, b, d)[:, None]
    row = draw.whole(n, b, most, 1).expand(-1, -1, d)
    distance = torch.cdist(weighted, weighted.gather(1, row)).square()  # (b, n, most)
    n_used = 2 + draw.whole(most - 1, b, 1, 1)
    unused = torch.arange(most, device=draw.device) >= n_used
    softness = 10 ** draw.between(-2, 0, b, 1, 1)
    near = (-distance / softness).masked_fill(unused, -torch.inf).softmax(-1)
    return torch.bmm(near, draw.normal(b, most, n_outputs))


def additive(draw, columns, n_outputs):
    """Sum of bent columns and of a few products of two columns."""
    value = columns.value
    b, _, d = value.shape
    bend = draw.whole(5, b, 1, d)
    bent = torch.where(bend == 1, (2 * value).tanh(), value)
    bent = torch.where(bend == 2, (value - 0.3).relu(), bent)
    bent = torch.where(bend == 3, torch.exp(0.7 * value.clamp(max=4)), bent)
    bent = torch.where(bend == 4, 0.5 * value.square(), bent)
    importance = relevance(draw, b, d)[..., None]
    scores = torch.bmm(bent, draw.normal(b, d, n_outputs) * importance)
    n_pairs = 3
    first, second = draw.whole(min(d, 6), b, n_pairs), draw.whole(min(d, 6), b, n_pairs)
    pairs = take_columns(value, first) * take_columns(value, second)  # (b, n, 3)
    return scores + torch.bmm(pairs, draw.normal(b, n_pairs, n_outputs) * draw.uniform(b, 1, 1))


def formula(draw, columns, n_outputs):
    """Sum of two products of powers, as in physical formulas: a b / c + d sqrt(e)."""
    b, n, d = columns.value.shape
    n_relevant = 1 + draw.whole(min(d, 5), b, 1, 1)
    position = torch.arange(d, device=draw.device)[:, None]
    powers = (draw.whole(5, b, d, 2 * n_outputs).float() - 2) / 2  # -1, -0.5, 0, 0.5, 1
    powers = powers * draw.between(0.4, 1.3, b, d, 1) * (position < n_relevant)
    terms = torch.exp(torch.bmm(columns.value, powers).clamp(-4, 4))  # columns are logarithms
    weight = draw.normal(b, 1, 2 * n_outputs)
    return (terms * weight).view(b, n, n_outputs, 2).sum(-1)


def named(draw, columns, n_outputs):
    """Effects of the first nominal columns, one per category, beside a linear part."""
    code = columns.code[..., :3]
    b, n, d = code.shape
    n_used = 1 + draw.whole(3, b, 1)
    scores = linear(draw, columns, n_outputs) * draw.uniform(b, 1, 1)
    for number in range(d):
        effect = draw.normal(b, 30, n_outputs) * (number < n_used)[..., None]
        scores = scores + effect.gather(1, code[..., number, None].expand(-1, -1, n_outputs))
    return scores


def lookup(draw, columns, n_outputs):
    """Look up a table with one entry per combination of the levels of one to four columns."""
    code, n_levels = columns.code[..., :4], columns.n_levels[:, :4]
    b, n, d = code.shape
    size = n_levels.cumprod(1)  # (b, d) entries of the table when it stops at this column
    position = torch.arange(d, device=draw.device)
    used = (position < 1 + draw.whole(4, b, 1)) & (size <= max(4, n // 4))
    used = used | (position == 0)
    stride = torch.where(used, size // n_levels, 0)
    entry = (code * stride[:, None]).sum(-1, keepdim=True)  # (b, n, 1)
    entries = draw.normal(b, 4**4, n_outputs)
    return entries.gather(1, entry.expand(-1, -1, n_outputs))


SCORES = {
    function.__name__: function
    for function in (
        network, linear, perceptron, trees, smooth, prototypes, additive, formula, named, lookup,
    )
}  # fmt: skip
