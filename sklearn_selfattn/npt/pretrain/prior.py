"""Synthetic tables: what NPT's shipped weights have seen.

NPT is pretrained on tables that never existed. Each is drawn in three steps. First its columns:
independent causes, nodes of a random causal network or points of clusters, some of them copied
or replaced by noise, then written down as real tables do it: skewed, rounded, tied, on a grid,
or as categories, few or many, ordered or not. Second its target, by one of the kinds in
`KINDS`: smooth ones (linear, perceptron, Gaussian process, formulas), stepwise ones (trees,
prototypes), clusters, effects of named categories, and the exact rules that categorical
tables follow (lookup tables, parity, counting, conjunctions such as three in a row, graded
hierarchies). Third the dirt: label noise from none to heavy, unequal classes, skewed and
heavy-tailed numbers, cells missing at random or for a reason.

More tables are drawn than asked for, and those from which a simple model learns nothing go first.
Rules are kept whatever that model says: no neighbour and no line sees parity.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .prior_columns import (
    MAX_OUTPUTS,
    causal_nodes,
    cluster_columns,
    hide_cells,
    redundant_columns,
    write_columns,
)
from .prior_draw import Draw, standardise
from .prior_probe import learnable
from .prior_rules import RULES
from .prior_scores import SCORES

# Kind of target: share of the classification tables, share of the regression tables.
SHARES = {
    "network": (0.14, 0.16),
    "linear": (0.08, 0.08),
    "perceptron": (0.08, 0.10),
    "trees": (0.14, 0.16),
    "smooth": (0.04, 0.10),
    "prototypes": (0.05, 0.05),
    "additive": (0.06, 0.10),
    "formula": (0.03, 0.09),
    "named": (0.06, 0.05),
    "lookup": (0.05, 0.03),
    "clusters": (0.13, 0.04),
    "parity": (0.03, 0.01),
    "counting": (0.03, 0.01),
    "conjunctions": (0.05, 0.01),
    "hierarchy": (0.03, 0.01),
}
KINDS = tuple(SHARES)
ON_LEVELS = ("lookup", "parity", "counting", "conjunctions", "hierarchy")
SURPLUS = 1.3  # tables drawn per table asked for
UNLEARNABLE_KEPT = 0.1  # share of the unlearnable tables that the filter lets pass: noise is real


@dataclass
class Tables:
    """Synthetic tables of equal shape. Rows are exchangeable: any of them may be the context.

    Parameters
    ----------
    X : Tensor of shape (n_tables, n_rows, n_columns), float32
        Numbers and codes 0..k-1 of categories; NaN where missing.
    is_categorical : bool Tensor of shape (n_tables, n_columns)
        Columns declared categorical. Some ordered codes are given as plain numbers.
    y : Tensor of shape (n_tables, n_rows), float32
        Class codes 0..K-1, each present at least once, or numbers on any scale.
    n_classes : int64 Tensor of shape (n_tables,)
        K, 2..10; 0 in regression.
    """

    X: Tensor
    is_categorical: Tensor
    y: Tensor
    n_classes: Tensor

    def __getitem__(self, tables):
        """Return the tables with these numbers."""
        return Tables(**{name: value[tables] for name, value in vars(self).items()})


def sample_tables(
    n_tables, n_rows, n_columns, *, task, generator, device="cpu", kind=None, drop_unlearnable=True
):
    """Draw synthetic tables.

    Parameters
    ----------
    n_tables : int
        Number of tables.
    n_rows : int
        Rows per table, 16 to 1024.
    n_columns : int
        Columns per table, 1 to 50.
    task : {"classification", "regression"}
        What the target is.
    generator : torch.Generator
        Source of all randomness, on `device`: the same state gives the same tables.
    device : torch.device or str, default="cpu"
        Where the tables are made.
    kind : str, default=None
        One of `KINDS`, for all tables; None draws a kind per table.
    drop_unlearnable : bool, default=True
        Whether to draw 1.3 times as many tables and to leave out those from which a simple
        model learns nothing.

    Returns
    -------
    Tables
    """
    draw = Draw(generator, torch.device(device))
    b = math.ceil(SURPLUS * n_tables) if drop_unlearnable else n_tables
    groups = draw_kinds(draw, b, task, kind)

    def of_kind(*names):
        chosen = torch.zeros(b, dtype=torch.bool)
        for name in names:
            chosen[groups.get(name, [])] = True
        return chosen.to(draw.device)

    x, nodes = causal_nodes(draw, b, n_rows, n_columns)
    component = torch.zeros(b, n_rows, dtype=torch.int64, device=draw.device)
    if "clusters" in groups:
        tables = torch.tensor(groups["clusters"], device=draw.device)
        x[tables], component[tables] = cluster_columns(draw, len(tables), n_rows, n_columns)
    is_rule = of_kind(*ON_LEVELS)
    x = redundant_columns(draw, x, fresh=is_rule & draw.chance(0.75, b))
    columns = write_columns(
        draw, x, is_rule=is_rule, is_named=of_kind("named"), component=component, nodes=nodes
    )

    # Scores of the classes (or one number), and the outcomes of rules.
    n_outputs = MAX_OUTPUTS if task == "classification" else 1
    scores = x.new_zeros(b, n_rows, n_outputs)
    outcome = component
    for name, members in groups.items():
        tables = torch.tensor(members, device=draw.device)
        if name in SCORES:
            scores[tables] = SCORES[name](draw, columns[tables], n_outputs)
        else:
            outcome[tables] = RULES[name](draw, columns[tables])
    scores = standardise(scores)
    by_rule = of_kind(*RULES)
    if task == "classification":
        y, n_classes = classes(draw, scores, outcome, by_rule, is_cluster=of_kind("clusters"))
        target = torch.nn.functional.one_hot(y, MAX_OUTPUTS).float()
    else:
        y = numbers(draw, scores[..., 0], outcome, by_rule, columns.value)
        n_classes = torch.zeros(b, dtype=torch.int64, device=draw.device)
        target = y[..., None]

    driver = torch.where(by_rule[:, None], outcome.float(), scores[..., 0])
    driver = standardise(driver[..., None])[..., 0]
    shown = hide_cells(draw, columns, driver)
    order = draw.uniform(b, n_columns).argsort(1)  # (b, d) the first columns are the relevant ones
    shown = shown.gather(2, order[:, None].expand(-1, n_rows, -1))
    is_categorical = columns.is_categorical.gather(1, order)

    keep = slice(None)
    if drop_unlearnable:
        good = is_rule | learnable(columns.value, target)
        good = good | draw.chance(UNLEARNABLE_KEPT, b)
        keep = good.int().argsort(descending=True, stable=True)[:n_tables]
    return Tables(shown, is_categorical, y.float(), n_classes)[keep]


def draw_kinds(draw, n_tables, task, kind=None):
    """Draw a kind per table.

    Returns
    -------
    dict
        Numbers of the tables of each kind that occurs.
    """
    if kind is not None:
        if kind not in KINDS:
            raise ValueError(f"kind should be one of {', '.join(KINDS)}; got {kind!r}")
        return {kind: list(range(n_tables))}
    column = ("classification", "regression").index(task)
    shares = torch.tensor([share[column] for share in SHARES.values()], device=draw.device)
    drawn = torch.multinomial(shares, n_tables, replacement=True, generator=draw.generator)
    groups: dict[str, list[int]] = {}
    for table, number in enumerate(drawn.tolist()):
        groups.setdefault(KINDS[number], []).append(table)
    return groups


def classes(draw, scores, outcome, by_rule, *, is_cluster):
    """Turn scores and outcomes into noisy, renamed classes.

    Parameters
    ----------
    draw : Draw
    scores : Tensor of shape (n_tables, n_rows, 10)
        Standardised scores of the classes.
    outcome : int Tensor of shape (n_tables, n_rows)
        Outcomes of rules.
    by_rule, is_cluster : bool Tensor of shape (n_tables,)
        Tables whose class is the outcome, and those whose outcome is a Gaussian.

    Returns
    -------
    y : int Tensor of shape (n_tables, n_rows)
        Class codes 0..K-1, all of them present.
    n_classes : int Tensor of shape (n_tables,)
        K.
    """
    b, n, _ = scores.shape
    most = max(2, min(MAX_OUTPUTS, n // 6))
    few = 2 + ((most - 1) * draw.uniform(b, 1) ** 1.6).long()
    many = 2 + draw.whole(most - 1, b, 1)
    # Often one class per Gaussian, as far as ten classes go.
    many = torch.where(draw.chance(0.4, b, 1), most, many)
    n_classes = torch.where(is_cluster[:, None], many, few)
    n_classes = torch.where(draw.chance(0.15, b, 1), 2, n_classes).clamp(max=most)
    code = torch.arange(MAX_OUTPUTS, device=draw.device)
    possible = code < n_classes  # (b, 10)

    # Logistic noise: none in a third of the tables, up to twice the spread of the scores.
    noise = torch.where(draw.chance(0.33, b, 1, 1), 0.0, 10 ** draw.between(-1, 0.3, b, 1, 1))
    gumbel = -torch.log(-torch.log(draw.uniform(b, n, MAX_OUTPUTS).clamp(1e-6, 1 - 1e-6)))
    offset = 1.5 * draw.normal(b, 1, MAX_OUTPUTS) * draw.uniform(b, 1, 1).square()
    noisy = scores + noise * gumbel
    best = (noisy + offset).masked_fill(~possible[:, None], -torch.inf).argmax(-1)
    # Or one score cut into ordered classes of unequal size.
    size = (0.05 + draw.uniform(b, MAX_OUTPUTS) ** draw.between(0.2, 2, b, 1)) * possible
    cut_at = (size.cumsum(1) / size.sum(1, keepdim=True))[:, :-1]  # (b, 9) shares below each cut
    one = noisy[..., 0].contiguous()
    cuts = one.sort(1).values.gather(1, (cut_at * n).long().clamp(max=n - 1))
    cut = torch.searchsorted(cuts, one, right=True)
    cut = torch.minimum(cut, n_classes - 1)
    y = torch.where(draw.chance(0.3, b, 1), cut, best)

    # Rules: exact in half of the tables, else a share of the labels is another row's.
    several = is_cluster[:, None]
    y = torch.where(by_rule[:, None], torch.where(several, outcome % n_classes, outcome), y)
    wrong = torch.where(draw.chance(0.5, b, 1), 0.0, 0.5 * draw.uniform(b, 1).square())
    wrong = wrong * by_rule[:, None] * torch.where(several, 0.5, 1.0)
    other = y.gather(1, draw.whole(n, b, n))
    y = torch.where(draw.chance(wrong, b, n), other, y)

    # One class only: split the rows by the noise they carry, whatever it is worth.
    single = (y == y[:, :1]).all(1, keepdim=True)
    y = torch.where(single, (gumbel[..., 0] > 0.37).long(), y)
    y = torch.where((y == y[:, :1]).all(1, keepdim=True), (torch.arange(n, device=y.device) % 2), y)
    # Names of the classes: consecutive, in random order.
    present = torch.zeros(b, MAX_OUTPUTS, device=draw.device).scatter(1, y, 1.0)
    key = draw.uniform(b, MAX_OUTPUTS) + 2 * (1 - present)
    name = key.argsort(1).argsort(1)
    return name.gather(1, y), present.sum(1).long()


def numbers(draw, score, outcome, by_rule, value):
    """Turn a score or outcomes into a noisy numeric target.

    Parameters
    ----------
    draw : Draw
    score : Tensor of shape (n_tables, n_rows)
        Standardised.
    outcome : int Tensor of shape (n_tables, n_rows)
        Outcomes of rules.
    by_rule : bool Tensor of shape (n_tables,)
        Tables whose target follows the outcome.
    value : Tensor of shape (n_tables, n_rows, n_columns)
        Columns, for a linear part beside the outcome.

    Returns
    -------
    Tensor of shape (n_tables, n_rows)
        Centred, of spread about one, never constant.
    """
    b, n, d = value.shape
    amount = draw.normal(b, 24).gather(1, outcome)
    slope = draw.normal(b, d, 1) / math.sqrt(d) * torch.where(draw.chance(0.5, b, 1, 1), 0.5, 0.0)
    y = torch.where(by_rule[:, None], amount + torch.bmm(value, slope)[..., 0], score)
    y = standardise(y[..., None])[..., 0]

    # Noise: none in a quarter of the tables; else 2 % to 120 %, some heavy-tailed or uneven.
    level = torch.where(draw.chance(0.25, b, 1), 0.0, 10 ** draw.between(-1.7, 0.08, b, 1))
    error = draw.normal(b, n)
    heavy = error / draw.uniform(b, n).clamp(min=0.02).sqrt()
    error = torch.where(draw.chance(0.2, b, 1), 0.6 * heavy, error)
    uneven = torch.exp(0.5 * y.clamp(-3, 3))
    error = torch.where(draw.chance(0.15, b, 1), error * uneven, error)
    y = y + level * error

    # How the number is written down: as it is, skewed, heavy-tailed, capped, rounded.
    lot = draw.uniform(b, 1)
    strength = draw.between(0.3, 1.2, b, 1)
    y = torch.where(lot < 0.40, y.sign() * y.abs() ** (1 + 0.5 * strength), y)
    y = torch.where(lot < 0.32, torch.exp(strength * y.clamp(-4, 4)), y)
    cap = 0.5 + strength
    y = torch.where(lot < 0.14, torch.minimum(y, cap), y)
    y = torch.where(lot < 0.08, (y * (2 + 8 * strength)).round(), y)
    constant = (y - y[:, :1]).abs().amax(1, keepdim=True) < 1e-5
    y = torch.where(constant, error + draw.normal(b, n), y)
    return standardise(y[..., None])[..., 0].clamp(-20, 20)
