"""Class-wise optimal transport of rows onto dummy points."""

import warnings

import numpy as np
import ot
from scipy.optimize import linear_sum_assignment
from sklearn.exceptions import ConvergenceWarning

SINKHORN_REGULARIZATION = 0.1  # times the mean cost
EMD_ITERATIONS = 10_000_000  # POT's default stops early on blocks of some hundred points
SHRINKAGE = 0.1  # of class covariances towards a multiple of the identity
MAX_DUMMIES_PER_ROW = 4  # with large weights


def squared_distances(A, B):
    """Return the squared distances of all points of A (n, d) and B (m, d)."""
    cross = A @ B.T  # (n, m)
    squares = (A**2).sum(axis=1)[:, None] + (B**2).sum(axis=1) - 2 * cross
    return np.maximum(squares, 0.0)


def transport_targets(Z, codes, sample_weight, *, n_dims, pairing, n_draws, block_size, rng):
    r"""Give each row a point of its class's standard Gaussian, by optimal transport.

    Class by class, the centred rows :math:`z_i` are matched to as many draws
    :math:`e_j \sim N(0, I)`, centred too,

    .. math:: \sigma = \arg\min_\sigma \sum_i \lVert z_i - e_{\sigma(i)} \rVert^2,

    in random blocks. Shifting all dummies of a class, or all of its rows, does not change
    :math:`\sigma`, so the plan is the same wherever the class's Gaussian stands. Equal rows of a
    class are one point that carries their weight, so that the target is a function of the
    row, and a row of weight 2 gets what two copies would get.

    Cost: :math:`O(n B^2)` time and :math:`O(B^2)` memory for each draw and blocks of B rows.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, q)
        The rows, with ``q <= n_dims``; missing coordinates count as zero.
    codes : ndarray of int of shape (n_samples,)
        Class of each row.
    sample_weight : ndarray of shape (n_samples,)
        Their weights, all positive.
    n_dims : int
        Dimension of the Gaussians.
    pairing : {"exact", "sinkhorn", "gaussian", "random", "none"}
        "exact": as above. "sinkhorn": the mean dummy under the entropic plan. "gaussian":
        :math:`\Sigma_c^{-1/2} (z_i - m_c)`, the optimal map if the class were Gaussian.
        "random": any dummy of the class, a control. "none": the mean, zero.
    n_draws : int
        Draws of dummies to average over.
    block_size : int
        The most rows that are matched at once.
    rng : RandomState
        Draws dummies and blocks.

    Returns
    -------
    targets : ndarray of shape (n_samples, n_dims)
        Without the class means.
    cost : ndarray of shape (n_classes,)
        Mean squared distance of a centred row and its dummy.
    """
    targets = np.zeros((len(Z), n_dims))
    cost = np.zeros(codes.max() + 1)
    for c in np.unique(codes):  # each class has its own transport
        rows = np.flatnonzero(codes == c)
        # Sorted, so that the plan does not depend on the order of the rows.
        points, copy_of = np.unique(Z[rows], axis=0, return_inverse=True)
        copy_of = copy_of.reshape(-1)
        weight = np.bincount(copy_of, sample_weight[rows])  # (n_points,)
        points = points - np.average(points, axis=0, weights=weight)
        points = np.pad(points, ((0, 0), (0, n_dims - points.shape[1])))  # (n_points, n_dims)
        if pairing == "gaussian":
            mapped = _whiten(points, weight)
            paired_cost = ((points - mapped) ** 2).sum(axis=1)
        elif pairing == "none" or len(points) == 1:
            mapped, paired_cost = np.zeros_like(points), (points**2).sum(axis=1)
        else:
            mapped, paired_cost = _match(points, weight, pairing, n_draws, block_size, rng)
        targets[rows] = mapped[copy_of]
        cost[c] = np.average(paired_cost, weights=weight)
    return targets, cost


def _match(points, weight, pairing, n_draws, block_size, rng):
    """Average over draws what the blocks of a class are matched with."""
    n_blocks = -(-len(points) // block_size)
    mapped, cost = np.zeros_like(points), np.zeros(len(points))
    for _ in range(n_draws):
        for block in np.array_split(rng.permutation(len(points)), n_blocks):
            block = np.sort(block)
            plan, dummies = _plan(points[block], weight[block], pairing, rng)
            mapped[block] += plan @ dummies / n_draws
            cost[block] += (plan * squared_distances(points[block], dummies)).sum(1) / n_draws
    return mapped, cost


def _plan(points, weight, pairing, rng):
    """Draw dummies for a block and return the plan, whose rows sum to 1, and the dummies."""
    total = min(round(weight.sum()), MAX_DUMMIES_PER_ROW * len(points))
    dummies = rng.normal(size=(max(len(points), total), points.shape[1]))
    dummies -= dummies.mean(axis=0)
    is_matching = len(dummies) == len(points) and np.ptp(weight) == 0
    if pairing == "random" and is_matching:
        return np.eye(len(points)), dummies
    costs = squared_distances(points, dummies)  # (n, m)
    if pairing == "random":  # with weights: a plan for costs that mean nothing
        costs = rng.uniform(size=costs.shape)
    if is_matching and pairing != "sinkhorn":
        plan = np.zeros_like(costs)
        plan[linear_sum_assignment(costs)] = 1.0
        return plan, dummies
    share = weight / weight.sum()
    uniform = np.full(len(dummies), 1 / len(dummies))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if pairing == "sinkhorn":
            regularization = SINKHORN_REGULARIZATION * costs.mean()
            plan = ot.sinkhorn(
                share, uniform, costs, regularization, method="sinkhorn_log", numItermax=5000
            )
        else:
            plan = ot.emd(share, uniform, costs, numItermax=EMD_ITERATIONS)
    for warning in caught:
        message = f"The transport plan did not converge: {warning.message}"
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return plan / plan.sum(axis=1, keepdims=True), dummies


def _whiten(points, weight):
    """Return the optimal map of a Gaussian with the covariance of the points onto N(0, I)."""
    n_dims = points.shape[1]
    covariance = (points * weight[:, None]).T @ points / weight.sum()  # (d, d)
    scale = np.trace(covariance) / n_dims or 1.0
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * scale * np.eye(n_dims)
    values, vectors = np.linalg.eigh(covariance)
    return points @ (vectors / np.sqrt(values)) @ vectors.T
