"""How a graph is learnt from independence tests: ICD, and FCI and PC beside it."""

from itertools import combinations

import numpy as np

from .orientation import (
    orient_arrowheads,
    orient_colliders,
    orient_tails,
    orient_without_hidden,
    reset,
)
from .pag import possible_ancestry
from .paths import SeparationPaths

METHODS = ("icd", "fci", "pc")


def learn_marks(
    test, *, alpha, method="icd", max_cond_size=None, tiers=None, selection_bias=False, stable=True
):
    """Learn the marks of a graph.

    Parameters
    ----------
    test : IndependenceTest
        What to ask.
    alpha : float
        A pair is independent when its p-value is above.
    method : {"icd", "fci", "pc"}, default="icd"
        Algorithm.
    max_cond_size : int, default=None
        The most variables to condition on.
    tiers : ndarray of int of shape (n_nodes,), default=None
        A node causes none of an earlier tier.
    selection_bias : bool, default=False
        Whether rows may have been selected by what the variables cause.
    stable : bool, default=True
        Whether edges go at the end of a level, all at once.

    Returns
    -------
    marks : ndarray of int8 of shape (n_nodes, n_nodes)
        As in `PAG`.
    sepsets : dict of (int, int) to tuple of int
        For each pair without an edge, i < j.
    last_size : int
        The largest size of conditioning sets that was looked at.
    """
    search = _Search(test, alpha, max_cond_size, tiers, stable)
    marks = {"icd": _icd, "fci": _fci, "pc": _pc}[method](search)
    if method != "pc":
        orient_tails(marks, selection_bias)
    return marks, search.sepsets, search.last_size


class _Search:
    """The skeleton so far, and levels of tests that thin it."""

    def __init__(self, test, alpha, max_cond_size, tiers, stable):
        n = test.n_nodes
        self.test, self.alpha, self.tiers, self.stable = test, alpha, tiers, stable
        self.largest_size = n - 2 if max_cond_size is None else min(max_cond_size, n - 2)
        self.adjacent = ~np.eye(n, dtype=bool)
        self.separated_by = np.zeros((n, n, n), dtype=bool)
        self.sepsets = {}
        self.last_size = 0

    def pairs(self):
        """List the adjacent pairs."""
        return list(map(tuple, np.argwhere(np.triu(self.adjacent)).tolist()))

    def level(self, candidates):
        """Test each pair on its candidates until one separates it, and delete what is separated.

        `candidates(i, j)` lists sets of one size. Returns whether there was any. Pairs take
        turns, so that one computation serves all of them.
        """
        if not self.stable:
            return max((self._rounds({p: candidates(*p)}) for p in self.pairs()), default=False)
        return self._rounds({pair: candidates(*pair) for pair in self.pairs()})

    def _rounds(self, waiting):
        found, turn = {}, 0
        had_any = any(waiting.values())
        waiting = {pair: sets for pair, sets in waiting.items() if sets}
        while waiting:
            pvalues = self.test([(*pair, sets[turn]) for pair, sets in waiting.items()])
            turn += 1
            still = {}
            for (pair, sets), pvalue in zip(waiting.items(), pvalues, strict=True):
                if pvalue > self.alpha:
                    found[pair] = sets[turn - 1]
                elif turn < len(sets):
                    still[pair] = sets
            waiting = still
        for (i, j), nodes in found.items():
            self.adjacent[i, j] = self.adjacent[j, i] = False
            self.sepsets[i, j] = nodes
            self.separated_by[i, j, list(nodes)] = self.separated_by[j, i, list(nodes)] = True
        return had_any

    def oriented(self):
        """Return marks by R0 to R4 of the skeleton so far."""
        marks = reset(self.adjacent, self.tiers)
        orient_colliders(marks, self.separated_by)
        orient_arrowheads(marks, self.separated_by)
        return marks

    def sorted_sets(self, i, j, sets):
        """Sort sets: strongly associated ones first, so that few are tried; or by position."""
        if not self.stable:
            return sorted(sets)
        strength = self.strength[i] * self.strength[j]
        return sorted(sets, key=lambda nodes: (-sum(strength[v] for v in nodes), nodes))

    def test_pairs(self):
        """Level 0: pairs alone."""
        self.level(lambda i, j: [()])
        self.strength = self.test.association()


def _icd(search):
    """Run iterative causal discovery: the marks after each level steer the next."""
    search.test_pairs()
    marks = search.oriented()
    for size in range(1, search.largest_size + 1):
        if not search.level(_IcdCandidates(search, marks, size)):
            break
        marks = search.oriented()
        search.last_size = size
    return marks


class _IcdCandidates:
    """Sets that may separate a pair, by the marks of the level before (ICD-Sep)."""

    def __init__(self, search, marks, size):
        self.search, self.marks, self.size = search, marks, size
        self.ancestor = possible_ancestry(marks)
        self.n_edges = -1

    def __call__(self, i, j):
        search = self.search
        if self.size == 1:
            near = search.adjacent[i] | search.adjacent[j]
            if not search.stable:
                return [(v,) for v in np.flatnonzero(near).tolist() if v not in (i, j)]
            # Only possible ancestors, as for larger sets: the published code asks for that from
            # two on. Sorted as `sorted_sets` does, for many at a time.
            nodes = np.flatnonzero(near & (self.ancestor[:, i] | self.ancestor[:, j]))
            strength = search.strength[i] * search.strength[j]
            nodes = nodes[np.argsort(-strength[nodes], kind="stable")]
            return [(v,) for v in nodes.tolist() if v not in (i, j)]
        self._follow()
        sums: dict[int, float] = {}
        for root, other in ((i, j), (j, i)):
            allowed = {
                v: distance
                for v, distance in self.distances(root).items()
                if v != other and (self.ancestor[v, i] or self.ancestor[v, j])
            }
            for nodes, total in self.paths.legal_sets(root, self.size, allowed):
                sums[nodes] = min(total, sums.get(nodes, total))
        by_strength = search.sorted_sets(i, j, list(sums))
        return sorted(by_strength, key=sums.__getitem__)  # a stable sort: near ones first

    def _follow(self):
        """Prepare paths, again where the search has deleted edges meanwhile."""
        n_edges = int(self.search.adjacent.sum())
        if n_edges != self.n_edges:
            self.n_edges = n_edges
            marks = np.where(self.search.adjacent, self.marks, 0)
            self.paths = SeparationPaths(marks)
            self.ancestor = possible_ancestry(marks)
            self._distances = {}

    def distances(self, root):
        """Return the distances from a root, computed once."""
        if root not in self._distances:
            self._distances[root] = self.paths.distances(root, self.size)
        return self._distances[root]


def _skeleton(search):
    """PC's skeleton: condition on neighbours of one of the two."""
    search.test_pairs()
    for size in range(1, search.largest_size + 1):
        adjacent = search.adjacent.copy() if search.stable else search.adjacent

        def candidates(i, j, size=size, adjacent=adjacent):
            sets = {
                nodes
                for root, other in ((i, j), (j, i))
                for nodes in combinations(
                    [v for v in np.flatnonzero(adjacent[root]).tolist() if v != other], size
                )
            }
            return search.sorted_sets(i, j, sets)

        if not search.level(candidates):
            break
        search.last_size = size


def _pc(search):
    """Run PC, which takes no causes to be hidden."""
    _skeleton(search)
    marks = reset(search.adjacent, search.tiers)
    orient_without_hidden(marks, search.separated_by)
    return marks


def _fci(search):
    """Run fast causal inference (FCI), in Zhang's version."""
    _skeleton(search)
    marks = reset(search.adjacent, search.tiers)
    orient_colliders(marks, search.separated_by)
    paths = SeparationPaths(marks)
    possible = {root: sorted(paths.distances(root)) for root in range(len(marks))}
    for size in range(1, search.largest_size + 1):

        def candidates(i, j, size=size):
            sets = {
                nodes
                for root, other in ((i, j), (j, i))
                for nodes in combinations([v for v in possible[root] if v != other], size)
            }
            return search.sorted_sets(i, j, sets)

        if not search.level(candidates):
            break
        search.last_size = max(search.last_size, size)
    return search.oriented()
