"""From a skeleton and its separating sets to marks: rules R0 to R10 of Zhang (2008), and Meek's.

All of a rule's conclusions are drawn from the same graph and then written together, on circles
only. So the result does not depend on the order of the columns, not even where finite samples make
rules contradict each other; where one round would put both an arrowhead and a tail, the circle
stays.
"""

import numpy as np

from .pag import ARROW, CIRCLE, TAIL, possible_steps
from .paths import uncovered_path_exists


class _Ends:
    """Boolean views of a mark matrix, ``[i, j]`` for the mark at j of the edge i - j."""

    def __init__(self, marks):
        self.adjacent = marks > 0
        self.apart = ~self.adjacent
        np.fill_diagonal(self.apart, False)
        self.arrow = marks == ARROW
        self.circle = marks == CIRCLE
        self.tail = marks == TAIL
        self.parent = self.arrow & self.tail.T  # i --> j


def _any_middle(left, right):
    """For each (i, k), whether some j has ``left[i, j]`` and ``right[j, k]``."""
    return left.astype(np.float32) @ right.astype(np.float32) > 0


def _write(marks, arrows, tails):
    """Write arrowheads and tails on circles; tell whether anything changed."""
    circle = marks == CIRCLE
    new_arrows, new_tails = circle & arrows & ~tails, circle & tails & ~arrows
    marks[new_arrows], marks[new_tails] = ARROW, TAIL
    return bool(new_arrows.any() or new_tails.any())


def reset(adjacent, tiers):
    """Return marks that only know the skeleton and the tiers.

    Parameters
    ----------
    adjacent : ndarray of bool of shape (n_nodes, n_nodes)
        The skeleton.
    tiers : ndarray of int of shape (n_nodes,) or None
        A node of a later tier causes none of an earlier: it gets an arrowhead, and no more is
        known, because both may have a hidden cause.

    Returns
    -------
    ndarray of int8 of shape (n_nodes, n_nodes)
        Marks.
    """
    marks = np.where(adjacent, CIRCLE, 0).astype(np.int8)
    if tiers is not None:
        marks[adjacent & (tiers[:, None] < tiers[None, :])] = ARROW
    return marks


def orient_colliders(marks, separated_by):
    """R0: unshielded triples whose middle did not separate the ends.

    Parameters
    ----------
    marks : ndarray of int8 of shape (n_nodes, n_nodes)
        Changed in place.
    separated_by : ndarray of bool of shape (n_nodes, n_nodes, n_nodes)
        ``[x, y, z]``: z is in the set that separated x and y.
    """
    ends = _Ends(marks)
    # (x, y, z): x and y apart, z adjacent to both and not in their separating set
    collider = ends.apart[:, :, None] & ends.adjacent[:, None, :] & ends.adjacent[None, :, :]
    collider &= ~separated_by
    _write(marks, collider.any(axis=1), np.zeros_like(ends.arrow))


def orient_arrowheads(marks, separated_by):
    """R1 to R4, until none applies; marks are changed in place."""
    changed = True
    while changed:
        changed = _apply(marks, _rule_1, _rule_2, _rule_3)
        if not changed:  # the dear one last
            changed = _rule_4(marks, separated_by)


def orient_tails(marks, selection_bias):
    """R5 to R10, until none applies; marks are changed in place.

    R5 to R7 find undirected edges, which only selection can cause.
    """
    if selection_bias:
        _rule_5(marks)
        while _apply(marks, _rule_6, _rule_7):
            pass
    while _apply(marks, _rule_8, _rule_9, _rule_10):
        pass


def _apply(marks, *rules):
    """Apply rules once each; tell whether one has changed anything."""
    changed = False
    for rule in rules:
        changed |= rule(marks)
    return changed


def _rule_1(marks):
    """Apply R1: a *-> b o-* c, a and c apart: b --> c."""
    e = _Ends(marks)
    found = e.circle.T & _any_middle(e.arrow.T, e.apart)  # [b, c]
    return _write(marks, found, found.T)


def _rule_2(marks):
    """Apply R2: a --> b *-> c or a *-> b --> c, and a *-o c: a *-> c."""
    e = _Ends(marks)
    chain = _any_middle(e.parent, e.arrow) | _any_middle(e.arrow, e.parent)
    return _write(marks, e.circle & chain, np.zeros_like(chain))


def _rule_3(marks):
    """Apply R3: a *-> b <-* c, a *-o d o-* c, a and c apart, d *-o b: d *-> b."""
    e = _Ends(marks)
    d, b = np.nonzero(e.circle)
    both = e.arrow[:, b] & e.circle[:, d]  # (n, pairs): the candidates for a and c
    is_one = (_any_middle(e.apart, both) & both).any(axis=0)
    found = np.zeros_like(e.arrow)
    found[d[is_one], b[is_one]] = True
    return _write(marks, found, np.zeros_like(found))


def _rule_4(marks, separated_by):
    """Apply R4: a path that discriminates b, <d, ..., a, b, c>: b --> c, or a <-> b <-> c."""
    e = _Ends(marks)
    arrows, tails = np.zeros_like(e.arrow), np.zeros_like(e.arrow)
    both_arrows = e.arrow & e.arrow.T
    for c, b in np.argwhere(e.circle & e.adjacent).tolist():  # a circle at b
        # a is a parent of c with an arrowhead from b; on from there over such parents
        for a in np.flatnonzero(e.parent[:, c] & e.arrow[b]).tolist():
            seen, waiting, ends = {a, b, c}, [a], []
            while waiting:
                u = waiting.pop()
                for w in np.flatnonzero(e.arrow[:, u]).tolist():
                    if w in seen:
                        continue
                    if e.apart[w, c]:
                        ends.append(w)
                        seen.add(w)
                    elif e.parent[w, c] and both_arrows[w, u]:
                        waiting.append(w)
                        seen.add(w)
            for d in ends:
                if separated_by[d, c, b]:
                    tails[c, b] = arrows[b, c] = True
                else:
                    arrows[a, b] = arrows[c, b] = arrows[b, c] = True
    return _write(marks, arrows, tails)


def _rule_5(marks):
    """Apply R5: a o-o b on an uncovered circle of such edges, four nodes or more: all a --- b."""
    e = _Ends(marks)
    step = e.circle & e.circle.T
    found = np.zeros_like(step)
    for a, b in np.argwhere(np.triu(step)).tolist():
        for x in np.flatnonzero(step[a] & e.apart[b]).tolist():
            # the last step comes from a node that is not adjacent to a
            last = step[:, b] & e.apart[a]
            into = step.copy()
            into[:, b] = last
            if uncovered_path_exists(into, e.apart, a, x, {b}, avoid=()):
                found[a, b] = found[b, a] = True
                break
    # each edge of the circle is found by itself, because each closes the circle of the others
    return _write(marks, np.zeros_like(found), found)


def _rule_6(marks):
    """Apply R6: a --- b o-* c: a tail at b."""
    e = _Ends(marks)
    has_undirected = (e.tail & e.tail.T).any(axis=0)  # at b
    found = e.circle & has_undirected[None, :]
    return _write(marks, np.zeros_like(found), found)


def _rule_7(marks):
    """Apply R7: a --o b o-* c, a and c apart: a tail at b."""
    e = _Ends(marks)
    found = e.circle & _any_middle(e.apart, e.tail.T & e.circle)  # [c, b]
    return _write(marks, np.zeros_like(found), found)


def _rule_8(marks):
    """Apply R8: a --> b --> c or a --o b --> c, and a o-> c: a --> c."""
    e = _Ends(marks)
    chain = _any_middle(e.parent | (e.tail.T & e.circle), e.parent)  # [a, c]
    found = e.arrow & e.circle.T & chain
    return _write(marks, np.zeros_like(found), found.T)


def _rule_9(marks):
    """Apply R9: a o-> c, uncovered possibly directed <a, b, ..., c>, b and c apart: a --> c."""
    e, step = _Ends(marks), possible_steps(marks)
    found = np.zeros_like(step)
    for a, c in np.argwhere(e.arrow & e.circle.T).tolist():
        second = np.flatnonzero(step[a] & e.apart[c]).tolist()
        found[a, c] = any(uncovered_path_exists(step, e.apart, a, b, {c}, avoid=()) for b in second)
    return _write(marks, np.zeros_like(found), found.T)


def _rule_10(marks):
    """Apply R10: a o-> c, b --> c <-- d, uncovered possibly directed paths from a to both: a --> c.

    The paths must leave a by two nodes that are apart; these may be b and d themselves.
    """
    e, step = _Ends(marks), possible_steps(marks)
    found = np.zeros_like(step)
    for a, c in np.argwhere(e.arrow & e.circle.T).tolist():
        parents = np.flatnonzero(e.parent[:, c]).tolist()
        second = [m for m in np.flatnonzero(step[a]).tolist() if m != c]
        if len(parents) < 2 or len(second) < 2:
            continue
        # reached[m]: the parents of c to which such a path leads by m
        reached = {
            m: {
                b
                for b in parents
                if b == m or uncovered_path_exists(step, e.apart, a, m, {b}, avoid=(c,))
            }
            for m in second
        }
        found[a, c] = any(
            e.apart[m, w] and reached[m] and reached[w] and len(reached[m] | reached[w]) > 1
            for m in second
            for w in second
            if m < w
        )
    return _write(marks, np.zeros_like(found), found.T)


def orient_without_hidden(marks, separated_by):
    """Colliders and Meek's rules, for PC: no hidden causes, so the other end of an arrow is a tail.

    What stays circle - circle may point either way. Two arrowheads on an edge are a contradiction
    in the data, or a hidden cause after all.
    """
    orient_colliders(marks, separated_by)
    changed = True
    while changed:
        e = _Ends(marks)
        changed = _write(marks, np.zeros_like(e.arrow), e.arrow.T)
        e = _Ends(marks)
        undirected = e.circle & e.circle.T
        into = e.parent.copy()
        chain = _any_middle(into.T, e.apart)  # rule 1: a --> b, a and c apart: [b, c]
        cycle = _any_middle(into, into)  # rule 2
        # rule 3: d - a --> b, d - c --> b, a and c apart
        d, b = np.nonzero(undirected)
        both = into[:, b] & undirected[:, d]
        third = np.zeros_like(into)
        third[d, b] = (_any_middle(e.apart, both) & both).any(axis=0)
        # rule 4, only with tiers: d - a --> c --> b, d - c or any edge, a and b apart
        fourth = np.zeros_like(into)
        for x, y in zip(d.tolist(), b.tolist(), strict=True):
            first = undirected[x] & e.apart[y]
            fourth[x, y] = (first[:, None] & into & (into[:, y] & e.adjacent[x])[None, :]).any()
        found = undirected & (chain | cycle | third | fourth)
        changed |= _write(marks, found, found.T)
