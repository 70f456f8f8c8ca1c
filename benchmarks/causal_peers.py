"""causal-learn's FCI with any independence test, its distinct tests counted."""

import contextlib
import io

import numpy as np


def causal_learn_fci(pvalue, n_nodes, alpha):
    """Run causal-learn's FCI at its defaults on a test that we give it.

    Parameters
    ----------
    pvalue : callable
        ``pvalue(x, y, z)`` with z a sorted tuple.
    n_nodes : int
        Number of variables.
    alpha : float
        Level.

    Returns
    -------
    marks : ndarray of int of shape (n_nodes, n_nodes)
        In the coding of our `PAG`.
    n_tests : int
        Distinct tests.
    """
    from causallearn.search.ConstraintBased.FCI import fci
    from causallearn.utils.cit import CIT_Base, register_ci_test

    asked = {}

    class Given(CIT_Base):
        def __init__(self, data, **kwargs):
            super().__init__(data, **kwargs)
            self.check_cache_method_consistent("given", "none")

        def __call__(self, X, Y, condition_set=None):
            z = tuple(sorted(int(v) for v in (condition_set or ())))
            key = (min(int(X), int(Y)), max(int(X), int(Y)), z)
            if key not in asked:
                asked[key] = pvalue(*key)
            return asked[key]

    register_ci_test("given", Given)
    data = np.random.default_rng(0).normal(size=(20 * n_nodes, n_nodes))  # its shape is read
    with contextlib.redirect_stdout(io.StringIO()):  # it prints edges
        graph, _ = fci(data, "given", alpha, show_progress=False)
    # graph[x, y] is the mark at x: 1 arrow, -1 tail, 2 circle
    at_row = graph.graph.T
    marks = np.select([at_row == 2, at_row == 1, at_row == -1], [1, 2, 3], 0)
    return marks, len(asked)
