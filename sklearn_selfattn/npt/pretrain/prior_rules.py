"""Targets as rules on the levels of the first columns: every function gives one outcome per row.

A function takes `(draw, columns)` and returns outcomes 0, 1, ... of shape (n_tables, n_rows).
They are exact: label noise is a matter of the caller.
"""

import torch

MAX_CLAUSES = 8


def clusters(draw, columns):
    """Return the Gaussian a row came from; several of them may share a class later."""
    return columns.component


def parity(draw, columns):
    """Add up two to four yes/no questions, one per column, modulo 2 (or levels, modulo 3)."""
    b, n, d = columns.code.shape
    # No more questions than the rows can answer.
    most = max(1, min(3, n.bit_length() - 4))
    n_used = 2 + draw.whole(most, b, 1)
    used = torch.arange(d, device=draw.device) < n_used  # (b, d)
    asked = draw.whole(columns.n_levels - 1, b, d)  # each level from the bottom, but for the last
    above = columns.code > asked[:, None]
    equal = columns.code == asked[:, None]
    answer = torch.where(draw.chance(0.5, b, 1, 1), above, equal).long()
    modulo = torch.where(draw.chance(0.15, b, 1), 3, 2)
    answer = torch.where(modulo[..., None] == 3, columns.code, answer)
    return (answer * used[:, None]).sum(-1) % modulo


def counting(draw, columns):
    """Count how many of some columns hold a given level, and cut at one or two counts."""
    b, _, d = columns.code.shape
    n_used = 3 + draw.whole(max(1, min(d, 10) - 2), b, 1)
    used = torch.arange(d, device=draw.device) < n_used
    wanted = draw.whole(columns.n_levels, b, d)
    wanted = torch.where(draw.chance(0.6, b, 1), wanted[:, :1], wanted)
    wanted = torch.minimum(wanted, columns.n_levels - 1)
    count = ((columns.code == wanted[:, None]) & used[:, None]).sum(-1)  # (b, n)
    row = draw.whole(count.shape[1], b, 2)
    cuts = proper_cuts(count, count.gather(1, row))
    first = count >= cuts[:, :1]
    second = (count >= cuts[:, 1:]) & draw.chance(0.3, b, 1)
    exactly = count == cuts[:, :1]
    return torch.where(draw.chance(0.15, b, 1), exactly.long(), first.long() + second)


def conjunctions(draw, columns):
    """Check a list of clauses "these columns hold these levels": does any hold, or which first.

    Three in a row on a board is such a rule: eight clauses of three cells with the same mark.
    """
    code, n_levels = columns.code, columns.n_levels
    b, n, d = code.shape
    wide = min(d, 10)
    n_used = 3 + draw.whole(max(1, wide - 2), b, 2).amax(1).view(b, 1, 1)
    # Three different columns per clause (fewer in a table that has no three).
    unused = torch.arange(wide, device=draw.device) >= n_used
    column = (draw.uniform(b, MAX_CLAUSES, wide) + 2.0 * unused).argsort(2)[..., :3]
    column = torch.nn.functional.pad(column, (0, max(0, 3 - wide)))  # (b, 8, 3)
    flat = column.flatten(1)
    levels = n_levels.gather(1, flat).view(b, MAX_CLAUSES, 3)
    wanted = draw.whole(levels, b, MAX_CLAUSES, 3)
    one_mark = draw.whole(n_levels.amin(1, keepdim=True), b, 1)[..., None]
    wanted = torch.where(draw.chance(0.5, b, 1, 1), one_mark, wanted)
    length = (2 + draw.whole(2, b, 1, 1)).clamp(max=wide)
    cells = code.gather(2, flat[:, None].expand(-1, n, -1)).view(b, n, MAX_CLAUSES, 3)
    unread = torch.arange(3, device=draw.device) >= length  # (b, 1, 3)
    met = ((cells == wanted[:, None]) | unread[:, None]).all(-1)  # (b, n, 8)
    # As many clauses as make the rule neither rare nor certain.
    chance_each = n_levels.float().mean(1).view(b, 1) ** -length[..., 0].float()
    n_clauses = (draw.between(0.4, 1.3, b, 1) / chance_each).round().clamp(1, MAX_CLAUSES)
    met = met & (torch.arange(MAX_CLAUSES, device=draw.device) < n_clauses)[:, None]
    label = 1 + draw.whole(3, b, MAX_CLAUSES)
    label = torch.where(draw.chance(0.75, b, 1), 1, label)
    first = met.long().argmax(-1)  # the first clause that holds
    return torch.where(met.any(-1), label.gather(1, first), 0)


def hierarchy(draw, columns):
    """Grade in steps: pairs of columns give partial grades, these an overall one, with a veto."""
    code, n_levels = columns.code, columns.n_levels
    b, n, d = code.shape
    used = min(d, 6)
    grade = code[..., :used] / (n_levels[:, None, :used] - 1)  # 0 worst .. 1 best
    grade = torch.where(draw.chance(0.5, b, 1, used), 1 - grade, grade)
    if used % 2:
        grade = torch.cat([grade, grade[..., -1:]], 2)
    pairs = grade.view(b, n, -1, 2)
    lowest, highest, mean = pairs.amin(-1), pairs.amax(-1), pairs.mean(-1)
    way = draw.whole(3, b, 1, pairs.shape[2])
    partial = torch.where(way == 0, lowest, torch.where(way == 1, highest, mean))  # (b, n, pairs)
    counted = torch.arange(partial.shape[2], device=draw.device) < 1 + draw.whole(3, b, 1, 1)
    total = (partial * counted).sum(-1) / counted.sum(-1).clamp(max=partial.shape[2])
    strictest = partial.masked_fill(~counted, 1.0).amin(-1)
    total = torch.where(draw.chance(0.4, b, 1), strictest, total)
    veto = (grade[..., 0] == 0) & draw.chance(0.5, b, 1)
    total = torch.where(veto, 0.0, total)
    # Cut at grades that occur: two to four classes of unequal size.
    row = draw.whole(n, b, 3)
    cuts = proper_cuts(total, total.gather(1, row))
    counts = torch.arange(3, device=draw.device) < 1 + draw.whole(3, b, 1)
    passed = (total[..., None] >= cuts[:, None]) & counts[:, None]  # (b, n, 3)
    return passed.sum(-1)


def proper_cuts(values, cuts):
    """Replace cuts that every row passes by the highest value, which only some rows reach."""
    lowest, highest = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
    return torch.where(cuts > lowest, cuts, highest)


RULES = {
    function.__name__: function
    for function in (clusters, parity, counting, conjunctions, hierarchy)
}
