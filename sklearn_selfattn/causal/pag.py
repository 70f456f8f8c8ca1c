"""A partial ancestral graph: what independences can tell of who causes whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import networkx as nx

#: Marks at the end of an edge, as in ``marks[i, j]``, the mark AT j of the edge between i and j.
NONE, CIRCLE, ARROW, TAIL = 0, 1, 2, 3
_AT_SECOND = {CIRCLE: "o", ARROW: ">", TAIL: "-"}
_AT_FIRST = {CIRCLE: "o", ARROW: "<", TAIL: "-"}
_WORDS = {CIRCLE: "circle", ARROW: "arrow", TAIL: "tail"}
_DOT = {CIRCLE: "odot", ARROW: "normal", TAIL: "none"}


class PAG:
    """Partial ancestral graph (PAG): all causal graphs that the same independences allow.

    Each end of an edge carries a mark. An arrowhead at j says that j is no cause of i; a tail
    at i that i is a cause of j; a circle that the independences allow both. So ``i --> j`` is a
    cause, ``i <-> j`` a common hidden cause and no causation between the two, ``i o-> j`` one of
    these.

    Parameters
    ----------
    marks : array-like of int of shape (n_nodes, n_nodes)
        ``marks[i, j]`` is the mark at j of the edge between i and j: 0 no edge, 1 circle,
        2 arrowhead, 3 tail.
    nodes : sequence of length n_nodes, default=None
        Names of the nodes; 0, 1, ... by default.
    sepsets : dict of (int, int) to tuple of int, default=None
        For pairs i < j without an edge, the set that made them independent.
    pvalues : array-like of shape (n_nodes, n_nodes), default=None
        For each pair the largest p-value of its tests: an edge is kept because it is small.
    n_tests : array-like of int, default=None
        Independence tests by size of the conditioning set.
    alpha : float, default=None
        Level of the tests.
    n_samples : float, default=None
        Sample size that the tests were told.

    Raises
    ------
    ValueError
        If the marks are not square, not 0 to 3, or an edge has a mark at one end only.

    Examples
    --------
    >>> from sklearn_selfattn.causal import PAG
    >>> graph = PAG([[0, 2, 0], [1, 0, 2], [0, 2, 0]], nodes=["rain", "street", "hose"])
    >>> print(graph)
    rain o-> street
    street <-> hose
    >>> graph.possible_ancestors("street")
    ['rain']
    """

    def __init__(
        self,
        marks: ArrayLike,
        nodes: Sequence[Any] | None = None,
        *,
        sepsets: dict[tuple[int, int], tuple[int, ...]] | None = None,
        pvalues: ArrayLike | None = None,
        n_tests: ArrayLike | None = None,
        alpha: float | None = None,
        n_samples: float | None = None,
    ) -> None:
        marks = np.array(marks)
        if marks.ndim != 2 or marks.shape[0] != marks.shape[1]:
            raise ValueError(f"marks has to be a square matrix, got shape {marks.shape}.")
        if not np.isin(marks, (NONE, CIRCLE, ARROW, TAIL)).all():
            raise ValueError("marks has to hold 0 (no edge), 1 (circle), 2 (arrow), 3 (tail) only.")
        if ((marks > 0) != (marks.T > 0)).any() or marks.diagonal().any():
            raise ValueError("An edge has two ends: marks[i, j] and marks[j, i] are both 0 or not.")
        self.marks = marks.astype(np.int8)
        self.nodes = list(range(len(marks)) if nodes is None else nodes)
        if len(self.nodes) != len(marks):
            raise ValueError(f"There are {len(marks)} nodes and {len(self.nodes)} names.")
        self.sepsets = {} if sepsets is None else dict(sepsets)
        self.pvalues = None if pvalues is None else np.asarray(pvalues, dtype=np.float64)
        self.n_tests = None if n_tests is None else np.asarray(n_tests)
        self.alpha = alpha
        self.n_samples = n_samples

    def __len__(self):
        return len(self.nodes)

    def __eq__(self, other):
        if not isinstance(other, PAG):
            return NotImplemented
        return self.nodes == other.nodes and np.array_equal(self.marks, other.marks)

    __hash__ = None  # type: ignore[assignment]  # how Python says "not hashable"

    def __repr__(self):
        return f"PAG(n_nodes={len(self)}, n_edges={self.n_edges})"

    def __str__(self):
        return "\n".join(f"{a} {edge} {b}" for a, edge, b in self.edges())

    def __getstate__(self):
        # lists of numbers, which skops can write; it knows no keys but texts
        state = dict(vars(self))
        state["sepsets"] = [[*pair, *nodes] for pair, nodes in self.sepsets.items()]
        return state

    def __setstate__(self, state):
        sepsets = {(i, j): tuple(nodes) for i, j, *nodes in state["sepsets"]}
        vars(self).update(state, sepsets=sepsets)

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return int(np.count_nonzero(self.marks)) // 2

    def position(self, node: object) -> int:
        """Return the position of a node.

        Parameters
        ----------
        node : object
            Its name.

        Returns
        -------
        int
            Index into `marks`.
        """
        try:
            return self.nodes.index(node)
        except ValueError:
            raise ValueError(f"There is no node {node!r}; there are {self.nodes}.") from None

    def edges(self) -> list[tuple[Any, str, Any]]:
        """List the edges.

        Returns
        -------
        list of tuple
            ``(a, "o->", b)`` with the names of the nodes, by position.
        """
        return [
            (self.nodes[i], _AT_FIRST[self.marks[j, i]] + "-" + _AT_SECOND[self.marks[i, j]],
             self.nodes[j])
            for i, j in np.argwhere(np.triu(self.marks > 0)).tolist()
        ]  # fmt: skip

    def possible_ancestors(self, node: object) -> list[Any]:
        """List the nodes that may be causes of a node, through others or not.

        Parameters
        ----------
        node : object
            Its name.

        Returns
        -------
        list
            Names of the nodes with a possibly directed path to it.
        """
        column = possible_ancestry(self.marks)[:, self.position(node)]
        return [name for name, is_one in zip(self.nodes, column, strict=True) if is_one]

    def to_frame(self) -> pd.DataFrame:
        """List the edges in a table.

        Returns
        -------
        pandas.DataFrame
            Columns `a`, `edge`, `b`, `mark_a`, `mark_b` and, where known, `pvalue`.
        """
        import pandas as pd

        rows = []
        for (a, edge, b), (i, j) in zip(
            self.edges(), np.argwhere(np.triu(self.marks > 0)), strict=True
        ):
            marks = {"mark_a": _WORDS[self.marks[j, i]], "mark_b": _WORDS[self.marks[i, j]]}
            known = {} if self.pvalues is None else {"pvalue": self.pvalues[i, j]}
            rows.append({"a": a, "edge": edge, "b": b, **marks, **known})
        columns = ["a", "edge", "b", "mark_a", "mark_b"]
        return pd.DataFrame(rows, columns=None if rows else columns)

    def to_networkx(self) -> nx.DiGraph:
        """Export to networkx.

        Returns
        -------
        networkx.DiGraph
            One edge ``(u, v)`` for each of ours, u before v, with the attributes `mark_u` and
            `mark_v` ("circle", "arrow", "tail"), and `pvalue` where known.
        """
        import networkx as nx

        graph = nx.DiGraph()
        graph.add_nodes_from(self.nodes)
        for row in self.to_frame().to_dict("records"):
            known = {"pvalue": row["pvalue"]} if "pvalue" in row else {}
            graph.add_edge(row["a"], row["b"], mark_u=row["mark_a"], mark_v=row["mark_b"], **known)
        return graph

    def to_dot(self) -> str:
        """Write the graph in graphviz' language.

        Returns
        -------
        str
            A digraph, for ``dot -Tsvg``; circles are "odot".
        """

        def quoted(text):
            return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '"'

        # by position, because two tokens may share a name
        lines = [f"  {i} [label={quoted(name)}];" for i, name in enumerate(self.nodes)]
        lines += [
            f"  {i} -> {j} [dir=both, arrowtail={_DOT[self.marks[j, i]]}, "
            f"arrowhead={_DOT[self.marks[i, j]]}];"
            for i, j in np.argwhere(np.triu(self.marks > 0)).tolist()
        ]
        return "\n".join(["digraph {", *lines, "}"])


def possible_ancestry(marks):
    """Tell who may be an ancestor of whom.

    Parameters
    ----------
    marks : ndarray of int of shape (n_nodes, n_nodes)
        As in `PAG`.

    Returns
    -------
    ndarray of bool of shape (n_nodes, n_nodes)
        ``[i, j]``: there is a path from i to j on which no step has an arrowhead at its start or
        a tail at its end.
    """
    reach = possible_steps(marks)
    n_steps = 1
    while n_steps < len(marks):
        reach = reach | ((reach.astype(np.float32) @ reach.astype(np.float32)) > 0)
        n_steps *= 2
    reach = reach.copy()
    np.fill_diagonal(reach, False)
    return reach


def possible_steps(marks):
    """Tell for which pairs the edge may point from the first to the second (n, n)."""
    return (marks > 0) & (marks != TAIL) & (marks.T != ARROW)
