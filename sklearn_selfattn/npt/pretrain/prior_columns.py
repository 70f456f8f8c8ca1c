"""Columns of the synthetic tables: causes, causal nodes, and how they are written down.

A table starts as numbers: independent causes, nodes of a random causal network, or
points of clusters. Some columns are then replaced by copies of others or by noise. What the
table shows is a reading of these numbers: warped, rounded, tied, or sorted into categories.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .prior_draw import standardise, take_columns

MAX_LEVELS = 30  # most categories of a column
MAX_OUTPUTS = 10  # most classes of a table
MAX_COMPONENTS = 24  # most Gaussians of a clustered table
N_LAYERS = 3
N_ACTIVATIONS = 7


@dataclass
class Columns:
    """The columns of some tables, as the target sees them and as the table shows them.

    Parameters
    ----------
    shown : Tensor of shape (n_tables, n_rows, n_columns)
        What the table holds: numbers, or codes of categories.
    value : Tensor of shape (n_tables, n_rows, n_columns)
        What a smooth target reads: standardised numbers, one random effect per category.
    code : int Tensor of shape (n_tables, n_rows, n_columns)
        What a rule reads: the ordered level of each cell, also where a number is shown.
    n_levels : int Tensor of shape (n_tables, n_columns)
        Levels per column.
    is_categorical : bool Tensor of shape (n_tables, n_columns)
        Whether a column is declared categorical.
    nodes : Tensor of shape (n_tables, n_rows, 10)
        Nodes of the causal network that are not shown.
    component : int Tensor of shape (n_tables, n_rows)
        The Gaussian a row came from, where the table is clustered.
    """

    shown: Tensor
    value: Tensor
    code: Tensor
    n_levels: Tensor
    is_categorical: Tensor
    nodes: Tensor
    component: Tensor

    def __getitem__(self, tables):
        """Return the columns of the tables with these numbers."""
        return Columns(**{name: value[tables] for name, value in vars(self).items()})


def activate(values, choice):
    """Apply one of seven activations per table and node; `choice` broadcasts to `values`."""
    root = values.abs().add(1e-6).sqrt()
    outcomes = (
        torch.tanh(values), values.relu(), torch.sin(2 * values), values, values.abs(),
        values.sign() * root, torch.exp(-values.square()),
    )  # fmt: skip
    result = outcomes[0]
    for number, outcome in enumerate(outcomes[1:], start=1):
        result = torch.where(choice == number, outcome, result)
    return result


def causal_nodes(draw, n_tables, n_rows, n_columns):
    """Draw a random causal network per table and read columns and targets off its nodes.

    Parameters
    ----------
    draw : Draw
    n_tables, n_rows, n_columns : int

    Returns
    -------
    columns : Tensor of shape (n_tables, n_rows, n_columns)
        Standardised. In three tables of ten these are independent causes.
    nodes : Tensor of shape (n_tables, n_rows, 10)
        Other nodes, mostly not among the columns.
    """
    b, n, d = n_tables, n_rows, n_columns
    n_causes = max(d, 8)
    width = max(16, min(64, 2 * d))
    # Causes: normal, uniform, or points around eight centres.                (b, n, n_causes)
    normal = draw.normal(b, n, n_causes)
    flat = draw.between(-1.7, 1.7, b, n, n_causes)
    centre = draw.whole(8, b, n)[..., None].expand(-1, -1, n_causes)
    spread = draw.between(0.2, 1.2, b, 1, 1)
    lumpy = (2 * draw.normal(b, 8, n_causes)).gather(1, centre) + spread * normal
    shape = draw.whole(3, b, 1, 1)
    causes = torch.where(shape == 0, normal, torch.where(shape == 1, flat, standardise(lumpy)))
    independent = draw.chance(0.3, b, 1)
    n_used = (1 + (n_causes - 1) * draw.uniform(b, 1) ** 3).ceil()
    used = (torch.arange(n_causes, device=draw.device) < n_used) | independent  # (b, n_causes)
    causes = causes * used[:, None]

    noise = 10 ** draw.between(-3, -0.7, b, 1, 1)
    density = draw.between(0.1, 1, b, 1, 1)
    one_activation = draw.chance(0.6, b, 1, 1)
    layers, hidden = [causes], causes
    for _ in range(N_LAYERS):
        weight = draw.normal(b, hidden.shape[2], width)
        weight = weight * draw.chance(density, b, hidden.shape[2], width)
        hidden = standardise(torch.bmm(hidden, weight))  # (b, n, width)
        hidden = hidden * draw.between(0.4, 1.8, b, 1, width) + 0.7 * draw.normal(b, 1, width)
        choice = draw.whole(N_ACTIVATIONS, b, 1, width)
        hidden = activate(hidden, torch.where(one_activation, choice[..., :1], choice))
        hidden = hidden + draw.normal(b, n, width) * noise * draw.between(0, 2, b, 1, width)
        layers.append(hidden)
    everything = torch.cat(layers, 2)  # (b, n, M)

    # Nodes that vary first; nothing deeper than the table's own depth.
    layer = torch.arange(N_LAYERS + 1, device=draw.device).repeat_interleave(
        torch.tensor([n_causes] + [width] * N_LAYERS, device=draw.device),
        output_size=everything.shape[2],
    )  # (M,)
    depth = 1 + draw.whole(N_LAYERS, b, 1)
    depth = torch.where(independent, 0, depth)
    varies = everything.square().mean(1) - everything.mean(1).square() > 1e-4  # (b, M)
    score = draw.uniform(b, everything.shape[2]) + 2.0 * varies - 10.0 * (layer > depth)  # (b, M)
    picked = score.topk(d, 1).indices
    columns = standardise(take_columns(everything, picked))
    score = draw.uniform(b, everything.shape[2]) + 2.0 * varies + 0.5 * (layer > 0)
    hidden_target = 5.0 * draw.chance(0.8, b, d)
    score = score.scatter_add(1, picked, -hidden_target)
    nodes = standardise(take_columns(everything, score.topk(MAX_OUTPUTS, 1).indices))
    return columns, nodes


def cluster_columns(draw, n_tables, n_rows, n_columns):
    """Draw points of Gaussians in a rotated subspace.

    Parameters
    ----------
    draw : Draw
    n_tables, n_rows, n_columns : int

    Returns
    -------
    columns : Tensor of shape (n_tables, n_rows, n_columns)
        Standardised.
    component : int Tensor of shape (n_tables, n_rows)
        The Gaussian of each row, 0..23 at most.
    """
    b, n, d = n_tables, n_rows, n_columns
    # As many Gaussians as the rows can tell apart.
    most = max(2, min(MAX_COMPONENTS, n // 8))
    few = 2 + draw.whole(min(most, MAX_OUTPUTS) - 1, b, 1)
    n_components = torch.where(draw.chance(0.6, b, 1), few, 2 + draw.whole(most - 1, b, 1))
    tilt = draw.between(1, 2, b, 1)
    component = (draw.uniform(b, n) ** tilt * n_components).long()
    component = torch.minimum(component, n_components - 1)  # (b, n)
    index = component[..., None].expand(-1, -1, d)
    # A subspace of the columns tells the Gaussians apart; the rest is noise around them.
    n_dimensions = 1 + draw.whole(min(d, 12), b, 1, 1)
    inside = torch.arange(d, device=draw.device) < n_dimensions
    distance = 10 ** draw.between(0, 0.9, b, 1, 1)
    distance = distance / n_dimensions**0.25
    centres = draw.normal(b, MAX_COMPONENTS, d) * distance * inside  # (b, 24, d)
    unequal = draw.uniform(b, 1, 1)
    scales = torch.exp(unequal * draw.normal(b, MAX_COMPONENTS, d) * 0.7)
    points = centres.gather(1, index) + draw.normal(b, n, d) * scales.gather(1, index)
    points = torch.where(draw.chance(0.5, b, 1, 1) & ~inside, 0.2 * points, points)
    rotation = draw.normal(b, d, d) / math.sqrt(d)
    turned = torch.bmm(points, rotation)
    turned = torch.where(draw.chance(0.35, b, 1, 1), points, turned)
    return standardise(turned), component


def redundant_columns(draw, x, *, fresh):
    """Replace some columns by near-copies of others or by noise.

    Parameters
    ----------
    draw : Draw
    x : Tensor of shape (n_tables, n_rows, n_columns)
        Standardised.
    fresh : bool Tensor of shape (n_tables,)
        Tables whose columns are all drawn anew, independent of each other.

    Returns
    -------
    Tensor of the same shape
    """
    b, n, d = x.shape
    noise = draw.normal(b, n, d)
    x = torch.where(fresh[:, None, None], noise, x)
    noisy_share = torch.where(draw.chance(0.5, b, 1), 0.5 * draw.uniform(b, 1).square(), 0.0)
    pure_noise = draw.chance(noisy_share, b, d)  # (b, d)
    x = torch.where(pure_noise[:, None], noise, x)
    copy_share = torch.where(draw.chance(0.2, b, 1), draw.between(0.1, 0.6, b, 1), 0.0)
    copied = draw.chance(copy_share, b, d)
    source = draw.whole(d, b, d)
    sign = torch.where(draw.chance(0.8, b, d), 1.0, -1.0)
    jitter = 10 ** draw.between(-3, -0.3, b, 1, d)
    copy = take_columns(x, source) * sign[:, None] + jitter * draw.normal(b, n, d)
    return torch.where(copied[:, None], standardise(copy), x)


def warp_numbers(draw, x, quantile, *, keep_order_only):
    """Write numbers down as real tables do: skewed, bounded, rounded, on a grid, tied at a floor.

    Parameters
    ----------
    draw : Draw
    x : Tensor of shape (n_tables, n_rows, n_columns)
        Standardised.
    quantile : Tensor of shape (n_tables, n_rows, n_columns)
        Normal probability of `x`.
    keep_order_only : bool Tensor of shape (n_tables,)
        Tables that may be warped but must not be rounded.

    Returns
    -------
    Tensor of the same shape
    """
    b, _, d = x.shape
    clean = draw.chance(0.4, b, 1, 1)
    way = draw.uniform(b, 1, d)
    way = torch.where(clean, 1.0, way)
    rounds = ~keep_order_only[:, None, None]
    strength = draw.between(0.3, 1.5, b, 1, d)
    skewed = torch.exp(strength * x.clamp(-4, 4))
    heavy = x.sign() * x.abs() ** (1 + strength)
    n_steps = draw.between(2, 13, b, 1, d).floor()
    grid = (quantile * n_steps).floor().clamp(max=12) ** draw.between(0.7, 1.6, b, 1, d)
    rounded = (x * n_steps).round() / n_steps
    floored = (x - draw.between(-1, 1, b, 1, d)).relu()
    out = x
    out = torch.where(way < 0.62, quantile, out)
    out = torch.where((way < 0.54) & rounds, floored, out)
    out = torch.where((way < 0.48) & rounds, rounded, out)
    out = torch.where((way < 0.38) & rounds, grid, out)
    out = torch.where(way < 0.26, heavy, out)
    out = torch.where(way < 0.16, skewed, out)
    return standardise(out)


def write_columns(draw, x, *, is_rule, is_named, component, nodes):
    """Read the underlying numbers as the columns of a table.

    Parameters
    ----------
    draw : Draw
    x : Tensor of shape (n_tables, n_rows, n_columns)
        Standardised numbers.
    is_rule : bool Tensor of shape (n_tables,)
        Tables whose target is a rule on levels: few levels, mostly all categorical.
    is_named : bool Tensor of shape (n_tables,)
        Tables whose first columns are nominal with many categories.
    component, nodes : Tensor
        Passed on, see `Columns`.

    Returns
    -------
    Columns
    """
    b, n, d = x.shape
    position = torch.arange(d, device=draw.device)
    quantile = 0.5 * (1 + torch.erf(x / math.sqrt(2)))  # (b, n, d)

    # Levels: 2..10, now and then up to 30; 2..4 under a rule, often the same in all columns.
    n_levels = 2 + (9 * draw.uniform(b, d).square()).long()
    many = 3 + draw.whole(max(1, min(MAX_LEVELS - 2, n // 6)), b, d)
    first = position < 1 + draw.whole(3, b, 1)  # (b, d)
    n_levels = torch.where(draw.chance(0.08, b, d) | (is_named[:, None] & first), many, n_levels)
    few = 2 + draw.whole(3, b, d)
    alike = draw.chance(0.5, b, 1)
    few = torch.where(alike, few[:, :1], few)
    n_levels = torch.where(is_rule[:, None], few, n_levels)
    bend = torch.exp(0.5 * draw.normal(b, d)).clamp(0.35, 3)  # unequal frequencies
    bend = torch.where(alike & is_rule[:, None], bend[:, :1], bend)
    level = (quantile ** bend[:, None] * n_levels[:, None]).long()
    code = torch.minimum(level, (n_levels - 1)[:, None])  # (b, n, d)

    # Which columns are categories: none, some or all.
    lot = draw.uniform(b, 1)
    share = torch.where(lot < 0.52, 0.0, torch.where(lot < 0.84, draw.uniform(b, 1), 1.0))
    ruled = torch.where(lot < 0.7, 1.0, torch.where(lot < 0.9, draw.uniform(b, 1), 0.0))
    share = torch.where(is_rule[:, None], ruled, share)
    categories = draw.chance(share, b, d) | (is_named[:, None] & first)
    nominal = draw.chance(torch.where(draw.chance(0.7, b, 1), 0.9, 0.3), b, d)
    nominal = nominal | (is_named[:, None] & first)

    # Nominal codes carry no order: relabelled, and one random effect per category.
    levels = torch.arange(MAX_LEVELS, device=draw.device)[:, None]  # (30, 1)
    key = draw.uniform(b, MAX_LEVELS, d) + 2.0 * (levels >= n_levels[:, None])
    relabelled = key.argsort(1).gather(1, code)
    effect = draw.normal(b, MAX_LEVELS, d).gather(1, code)
    numbers = warp_numbers(draw, x, quantile, keep_order_only=is_rule)
    by_order, is_category = code.float(), categories[:, None]
    loose = nominal[:, None]
    shown = torch.where(loose, relabelled.float(), by_order)
    value = standardise(torch.where(loose, effect, by_order))
    declared = nominal | draw.chance(0.5, b, 1)
    return Columns(
        shown=torch.where(is_category, shown, numbers),
        value=torch.where(is_category, value, numbers).clamp(-6, 6),
        code=code,
        n_levels=n_levels,
        is_categorical=categories & declared,
        nodes=nodes,
        component=component,
    )


def hide_cells(draw, columns, driver):
    """Leave cells out in a minority of tables, at random or for a reason.

    Parameters
    ----------
    draw : Draw
    columns : Columns
    driver : Tensor of shape (n_tables, n_rows)
        Standardised cause of the target, which may decide what is missing.

    Returns
    -------
    Tensor of shape (n_tables, n_rows, n_columns)
        What the tables show, NaN where missing.
    """
    b, n, d = columns.shown.shape
    lot = draw.uniform(b, 1, 1)
    affected = draw.chance(draw.uniform(b, 1, 1), b, 1, d) & (lot < 0.22)
    rate = 0.4 * draw.uniform(b, 1, d).square()
    # A reason: the cell's own value or the target's cause. Lots: random, own value, cause.
    reason = torch.where(lot < 0.05, driver[..., None], columns.value)
    steep = torch.where(lot < 0.10, draw.between(1, 4, b, 1, d), 0.0)
    likelihood = torch.exp((steep * reason).clamp(-6, 3)) * rate / (1 + 0.5 * steep)
    hidden = draw.chance(likelihood.clamp(max=0.95), b, n, d) & affected
    return columns.shown.masked_fill(hidden, math.nan)
