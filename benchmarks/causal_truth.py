"""Graphs whose answer is known: random causal graphs with hidden nodes, and PAGs by brute force.

Nothing here uses the rules of the package: the truth is what all graphs with the same
independences have in common.
"""

from itertools import combinations, product

import networkx as nx
import numpy as np

CIRCLE, ARROW, TAIL = 1, 2, 3


def random_dag(n_nodes, degree, rng):
    """Return a directed acyclic graph over 0, 1, ... in a random causal order."""
    order = rng.permutation(n_nodes)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n_nodes))
    share = min(1.0, degree / (n_nodes - 1))
    for a, b in combinations(range(n_nodes), 2):
        if rng.random() < share:
            graph.add_edge(int(order[a]), int(order[b]))
    return graph


class Oracle:
    """Independence among observed nodes, read off a graph by d-separation; counts what it is asked.

    Parameters
    ----------
    graph : networkx.DiGraph
        The causal graph.
    observed : list of int
        Nodes 0, 1, ... of the questions.
    selected : tuple of int
        Nodes that are always conditioned on.
    """

    def __init__(self, graph, observed, selected=()):
        self.graph, self.observed, self.selected = graph, list(observed), set(selected)
        self.asked = {}

    def __call__(self, x, y, z):
        key = (min(x, y), max(x, y), tuple(sorted(z)))
        if key not in self.asked:
            names = self.observed
            given = {names[v] for v in z} | self.selected
            self.asked[key] = float(nx.is_d_separator(self.graph, {names[x]}, {names[y]}, given))
        return self.asked[key]


def subsets(items):
    """Yield all subsets as tuples."""
    items = list(items)
    return (s for size in range(len(items) + 1) for s in combinations(items, size))


def brute_force_pag(oracle, n_nodes, *, undirected=False, fixed=None):
    """Return the marks that all maximal ancestral graphs with the oracle's independences share.

    Parameters
    ----------
    oracle : callable
        ``oracle(x, y, z)`` is 1 for independence, else 0.
    n_nodes : int
        Number of observed nodes, few.
    undirected : bool
        Whether edges may be undirected (selection).
    fixed : ndarray of int of shape (n_nodes, n_nodes)
        Marks of which only the circles are varied, for graphs with too many edges to vary all.

    Returns
    -------
    ndarray of int of shape (n_nodes, n_nodes)
        Mark at the second of the two nodes: 0 none, 1 circle, 2 arrow, 3 tail.
    """
    independent = {}
    for x, y in combinations(range(n_nodes), 2):
        others = [v for v in range(n_nodes) if v not in (x, y)]
        for z in subsets(others):
            independent[x, y, z] = oracle(x, y, z) > 0.5
    edges = [
        (x, y)
        for x, y in combinations(range(n_nodes), 2)
        if not any(independent[x, y, z] for z in subsets(set(range(n_nodes)) - {x, y}))
    ]
    marks = _all_ancestral(edges, n_nodes, undirected, fixed)
    for size in range(n_nodes - 1):
        for z in combinations(range(n_nodes), size):
            for x in range(n_nodes):
                if x in z or not len(marks):
                    continue
                connected = m_connected(marks, x, z)  # (k, n)
                keep = np.ones(len(marks), dtype=bool)
                for y in range(x + 1, n_nodes):
                    if y not in z:
                        keep &= connected[:, y] != independent[x, y, z]
                marks = marks[keep]
    if not len(marks):
        raise AssertionError("no graph has these independences")
    first = marks[0]
    return np.where((marks == first).all(axis=0), first, np.where(first > 0, CIRCLE, 0))


def _all_ancestral(edges, n_nodes, undirected, fixed):
    """Return the marks of all ancestral graphs on a skeleton, (k, n, n)."""
    every = [(TAIL, ARROW), (ARROW, TAIL), (ARROW, ARROW)] + [(TAIL, TAIL)] * undirected
    kinds = [
        [
            (at_x, at_y)
            for at_x, at_y in every
            if fixed is None or (fixed[y, x] in (CIRCLE, at_x) and fixed[x, y] in (CIRCLE, at_y))
        ]
        for x, y in edges
    ]
    chosen = np.array(list(product(*(range(len(k)) for k in kinds))), dtype=np.int8)
    marks = np.zeros((len(chosen), n_nodes, n_nodes), dtype=np.int8)
    for k, (x, y) in enumerate(edges):
        marks[:, y, x], marks[:, x, y] = np.array(kinds[k])[chosen[:, k]].T
    ancestors = _ancestors(marks)
    arrow = marks == ARROW
    # an arrowhead at j from i: j is no ancestor of i (and so no cycles either)
    wrong = (arrow & ancestors.transpose(0, 2, 1)).any(axis=(1, 2))
    tails = (marks == TAIL) & (marks == TAIL).transpose(0, 2, 1)
    # no arrowhead at a node with an undirected edge
    wrong |= (arrow.any(axis=1) & tails.any(axis=1)).any(axis=1)
    return marks[~wrong]


def _ancestors(marks):
    """Return who is an ancestor of whom along directed edges, not of itself, (k, n, n)."""
    reach = (marks == ARROW) & (marks == TAIL).transpose(0, 2, 1)
    for _ in range(marks.shape[1]):
        reach = reach | (np.einsum("kij,kjl->kil", reach.astype(np.float32), reach) > 0)
    return reach


def m_connected(marks, x, z):
    """Return for many graphs which nodes some walk from x m-connects to it given z, (k, n).

    A walk is open when its colliders are in z or ancestors of z and its other nodes are not in z.
    """
    k, n, _ = marks.shape
    given = np.zeros(n, dtype=bool)
    given[list(z)] = True
    opens = _ancestors(marks)[:, :, given].any(axis=2) | given  # (k, n): colliders that are open
    arrow, edge = marks == ARROW, marks > 0
    # state [v, a]: reached v, by an arrowhead (a = 1) or not
    state = np.zeros((k, n, 2), dtype=bool)
    state[:, :, 1], state[:, :, 0] = arrow[:, x], edge[:, x] & ~arrow[:, x]
    while True:
        out_arrow = arrow.transpose(0, 2, 1)  # [v, w]: an arrowhead at v on the edge to w
        collider = (state[:, :, 1] & opens)[:, :, None] & out_arrow
        other = state[:, :, 0] & ~given
        passing = ((other | (state[:, :, 1] & ~given))[:, :, None] & edge & ~out_arrow) | (
            other[:, :, None] & out_arrow
        )
        onward = collider | passing  # [v, w]
        new = state.copy()
        new[:, :, 1] |= (onward & arrow).any(axis=1)
        new[:, :, 0] |= (onward & edge & ~arrow).any(axis=1)
        if (new == state).all():
            return state.any(axis=2)
        state = new


def true_mag(graph, observed):
    """Return the marks of the maximal ancestral graph of a causal graph over its observed nodes.

    Two nodes are adjacent unless their common D-separating set separates them; marks say who is an
    ancestor of whom.
    """
    oracle = Oracle(graph, observed)
    n = len(observed)
    names = list(observed)
    ancestors = {v: nx.ancestors(graph, v) for v in names}
    marks = np.zeros((n, n), dtype=np.int8)
    for x, y in combinations(range(n), 2):
        # the observed ancestors of the two separate them if anything does
        up = ancestors[names[x]] | ancestors[names[y]]
        z = tuple(v for v in range(n) if v not in (x, y) and names[v] in up)
        if not oracle(x, y, z):
            marks[x, y] = TAIL if names[y] in ancestors[names[x]] else ARROW
            marks[y, x] = TAIL if names[x] in ancestors[names[y]] else ARROW
    return marks
