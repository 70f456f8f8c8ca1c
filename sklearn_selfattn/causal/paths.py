"""Paths in a graph with marks: possible d-separation, and uncovered paths."""

from collections import deque
from itertools import combinations

import numpy as np

from .pag import ARROW


class SeparationPaths:
    """Paths by which a node may come into a separating set (PDS-paths).

    On such a path each three nodes in a row u, v, w are a triangle, or v is a collider between u
    and w.

    Parameters
    ----------
    marks : ndarray of int of shape (n_nodes, n_nodes)
        As in `PAG`.
    """

    def __init__(self, marks):
        adjacent, arrow = marks > 0, marks == ARROW
        # [u, v, w]: having come from u to v, the path may go on to w
        onward = adjacent[:, None, :] | (arrow[:, :, None] & arrow.T[None, :, :])
        onward = onward & adjacent[:, :, None] & adjacent[None, :, :]
        onward[np.arange(len(marks)), :, np.arange(len(marks))] = False
        self._next = [_bits(rows) for rows in onward]
        self._neighbors = _bits(adjacent)

    def distances(self, root, longest=None):
        """Return ``{node: number of steps}`` for all nodes on PDS-paths from a root."""
        found: dict[int, int] = {}
        depth = 1
        level = [(root, v) for v in _members(self._neighbors[root])]
        left = [~(1 << root)] * len(self._neighbors)  # [v]: where no path has gone on from v yet
        while level and (longest is None or depth <= longest):
            onward = []
            for u, v in level:
                found.setdefault(v, depth)
                new = self._next[u][v] & left[v]
                left[v] &= ~new
                onward += [(v, w) for w in _members(new)]
            level = onward
            depth += 1
        return found

    def is_legal(self, root, nodes):
        """Tell whether every node of a bit set is reached from the root inside the set."""
        waiting = [(root, v) for v in _members(self._neighbors[root] & nodes)]
        left, reached = dict.fromkeys(_members(nodes), nodes), 0
        while waiting:
            u, v = waiting.pop()
            reached |= 1 << v
            if reached == nodes:
                return True
            new = self._next[u][v] & left[v]
            left[v] &= ~new
            waiting += [(v, w) for w in _members(new)]
        return not nodes

    def legal_sets(self, root, size, allowed):
        """List legal sets around a root with the sum of their nodes' distances.

        Parameters
        ----------
        root : int
            Where the paths start.
        size : int
            Number of nodes in a set.
        allowed : dict of int to int
            Nodes that may be in it, with their distances.

        Returns
        -------
        list of (tuple of int, int)
            Sorted tuples of nodes, and sums.
        """
        return [
            (nodes, sum(allowed[v] for v in nodes))
            for nodes in combinations(sorted(allowed), size)
            if self.is_legal(root, sum(1 << v for v in nodes))
        ]


def _bits(rows):
    """Turn boolean rows into integers with those bits."""
    packed = np.packbits(rows, axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def _members(bits):
    """Yield the positions of the bits that are set."""
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low


def uncovered_path_exists(step, apart, start, second, targets, avoid):
    """Tell whether a path start, second, ..., target has no shielded triple.

    Parameters
    ----------
    step : ndarray of bool of shape (n_nodes, n_nodes)
        Steps that the path may take.
    apart : ndarray of bool of shape (n_nodes, n_nodes)
        Pairs without an edge: the ends of each triple have to be apart.
    start, second : int
        The first two nodes.
    targets : set of int
        Where it may end.
    avoid : tuple of int
        Nodes that it must not visit.

    Returns
    -------
    bool
        Whether there is one.

    Notes
    -----
    A walk is looked for first, in linear time in the pairs of edges. Only where its shortest form
    visits a node twice are simple paths enumerated.
    """
    came_from: dict[tuple[int, int], tuple[int, int] | None] = {(start, second): None}
    waiting = deque(came_from)
    closed = {start, *avoid}
    while waiting:
        u, v = waiting.popleft()
        if v in targets:
            walk = [v]
            state: tuple[int, int] | None = (u, v)
            while state is not None:
                walk.append(state[0])
                state = came_from[state]
            if len(set(walk)) == len(walk):
                return True
            return _simple_path_exists(step, apart, start, second, targets, avoid)
        for w in np.flatnonzero(step[v] & apart[u]).tolist():
            if w not in closed and (v, w) not in came_from:
                came_from[v, w] = (u, v)
                waiting.append((v, w))
    return False


def _simple_path_exists(step, apart, start, second, targets, avoid):
    """Search as `uncovered_path_exists` does, among paths that visit no node twice."""
    waiting = [(start, second, frozenset({start, second, *avoid}))]
    while waiting:
        u, v, visited = waiting.pop()
        if v in targets:
            return True
        waiting += [
            (v, w, visited | {w})
            for w in np.flatnonzero(step[v] & apart[u]).tolist()
            if w not in visited
        ]
    return False
