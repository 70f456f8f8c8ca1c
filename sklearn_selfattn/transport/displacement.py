"""How near to optimal transport a displacement of points is, and how straight a path."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from sklearn.utils import Bunch, check_array, check_consistent_length, check_random_state
from sklearn.utils.validation import column_or_1d

from .coupling import squared_distances

CONVENTIONS = ("mean", "thesis")


def displacement_report(
    source: ArrayLike,
    target: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    convention: Literal["mean", "thesis"] = "mean",
    n_null: int = 20,
    max_points: int = 1000,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    r"""Compare where points went with the cheapest way to get the same cloud.

    Points :math:`s_i` went to :math:`d_i`. Within each class, optimal transport would move the
    same source cloud onto the same target cloud at least cost; the report says what was paid
    beyond that. Use it before and after training, or between two layers.

    Most of a displacement is usually the class as a whole moving, and such a translation is
    optimal whatever the points do among themselves. So `optimality` near 1 says little: read
    `optimality_centered`, and compare with the null, in which displacements are shuffled
    within a class.

    Cost: exact matching, cubic in the points of a class, once and for each of `n_null`
    shuffles: 0.1 s for 1,000 points of one class, much less in several.

    Parameters
    ----------
    source, target : array-like of shape (n_points, n_dims)
        Where each point was and where it is now, row by row.
    labels : array-like of shape (n_points,), default=None
        Classes; points are only matched within theirs. None is one class.
    convention : {"mean", "thesis"}, default="mean"
        "thesis" adds the definitions of [1]_ and its code, in which square roots of sums are
        added over classes, see Notes.
    n_null : int, default=20
        Shuffles for the null; 0 for none.
    max_points : int, default=1000
        Take a random sample of larger clouds.
    random_state : int, RandomState instance or None, default=None
        Draws sample and shuffles.

    Returns
    -------
    report : Bunch
        Numbers over all points, classes weighted by their size:

        - displacement2: mean squared displacement;
        - wasserstein2: the same mean under the best matching; wasserstein, its root;
        - monge_gap: their difference, never negative, 0 where the pairs are optimal [2]_;
          relative_gap, as a share of displacement2;
        - optimality: root of wasserstein2 / displacement2, 1 where nothing moved;
        - optimality_centered: the same once each class's mean is taken from both clouds;
        - translation_share: what the moves of class means make up of displacement2;
        - excess: 1 - gap / gap of random pairs, both centred: 1 for optimal, near 0 for random;
        - matching: share of the points whose best partner is their own target;
        - null: ndarray of shape (n_null,), `optimality` with displacements shuffled in class;
        - is_degenerate: whether nothing moved at all;
        - classes, per_class: the labels, and a list of Bunch with the same numbers;
        - thesis: Bunch with distance, wasserstein, monge_gap, optimality (that convention).

    Raises
    ------
    ValueError
        The clouds differ in shape, hold NaN or infinity, or are empty.

    Notes
    -----
    With the best matching :math:`\sigma` of a class,

    .. math:: D_c^2 = \frac{1}{n_c} \sum_i \lVert d_i - s_i \rVert^2, \qquad
       W_c^2 = \frac{1}{n_c} \sum_i \lVert d_{\sigma(i)} - s_i \rVert^2, \qquad
       \mathrm{gap}_c = D_c^2 - W_c^2 .

    The thesis adds :math:`D = \sum_c \sqrt{n_c} D_c` and :math:`W = \sum_c \sqrt{n_c} W_c`, and
    reports the gap :math:`D - W` and the optimality :math:`W / D`.

    References
    ----------
    .. [1] Quadrio, Candelieri, arXiv:2512.09530.
    .. [2] Uscidda, Cuturi, "The Monge Gap: A Regularizer to Learn All Transport Maps", ICML
       2023, arXiv:2302.04953.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn.transport import displacement_report
    >>> source = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> displacement_report(source, 2 * source + 5).optimality_centered  # stretched: optimal
    1.0
    >>> turned = source @ np.array([[0.0, 1.0], [-1.0, 0.0]])
    >>> round(displacement_report(source, turned).optimality_centered, 2)
    0.5
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"convention has to be one of {CONVENTIONS}, got {convention!r}.")
    source = check_array(source, dtype=np.float64, input_name="source")
    target = check_array(target, dtype=np.float64, input_name="target")
    if source.shape != target.shape:
        raise ValueError(
            "source and target have to have the same shape, point by point, got "
            f"{source.shape} and {target.shape}."
        )
    labels = np.zeros(len(source)) if labels is None else column_or_1d(labels)
    check_consistent_length(source, labels)
    rng = check_random_state(random_state)
    if len(source) > max_points:
        rows = np.sort(rng.choice(len(source), max_points, replace=False))
        source, target, labels = source[rows], target[rows], labels[rows]
    classes, codes = np.unique(labels, return_inverse=True)
    clouds = [(source[codes == c], target[codes == c]) for c in range(len(classes))]
    share = np.bincount(codes) / len(codes)

    per_class = [_sums(*cloud) for cloud in clouds]
    pooled = {name: share @ [sums[name] for sums in per_class] for name in per_class[0]}
    report = _with_ratios(pooled)
    report.classes, report.per_class = classes, [_with_ratios(sums) for sums in per_class]
    # Shuffling displacements keeps their sum of squares: only the best matching changes.
    null = np.array(
        [share @ [_shuffled_wasserstein2(*cloud, rng) for cloud in clouds] for _ in range(n_null)]
    )
    report.null = _root_ratio(null, np.full(n_null, pooled["displacement2"]))
    if convention == "thesis":
        size = np.bincount(codes)
        distance = np.sqrt(size * [sums["displacement2"] for sums in per_class]).sum()
        wasserstein = np.sqrt(size * [sums["wasserstein2"] for sums in per_class]).sum()
        report.thesis = Bunch(
            distance=distance,
            wasserstein=wasserstein,
            monge_gap=distance - wasserstein,
            optimality=float(_root_ratio(wasserstein**2, distance**2)),
        )
    return report


def _sums(source, target):
    """Return the means of squares of one class, which pool over classes."""
    size = len(source)
    moves = target - source
    shift = moves.mean(axis=0)
    S, D = source - source.mean(axis=0), target - target.mean(axis=0)
    costs = squared_distances(S, D)  # differs from the uncentred by what all pairs share
    _, partner = linear_sum_assignment(costs)
    paid = (moves**2).sum(axis=1).mean()
    paid_centered = ((D - S) ** 2).sum(axis=1).mean()
    # Never above what was paid: rounding aside, no matching is worse than the best.
    best_centered = min(((D[partner] - S) ** 2).sum(axis=1).mean(), paid_centered)
    return {
        "displacement2": paid,
        "wasserstein2": min(best_centered + shift @ shift, paid),
        "translation2": shift @ shift,
        "displacement2_centered": paid_centered,
        "wasserstein2_centered": best_centered,
        "random2_centered": (S**2).sum() / size + (D**2).sum() / size,
        "matching": float(np.mean(partner == np.arange(size))),
    }


def _with_ratios(sums):
    paid, best = sums["displacement2"], sums["wasserstein2"]
    gap = paid - best
    random_gap = sums["random2_centered"] - sums["wasserstein2_centered"]
    gap_centered = sums["displacement2_centered"] - sums["wasserstein2_centered"]
    return Bunch(
        displacement2=float(paid),
        wasserstein2=float(best),
        wasserstein=float(np.sqrt(best)),
        monge_gap=float(gap),
        relative_gap=float(gap / paid) if paid > 0 else 0.0,
        optimality=float(_root_ratio(best, paid)),
        optimality_centered=float(
            _root_ratio(sums["wasserstein2_centered"], sums["displacement2_centered"])
        ),
        translation_share=float(sums["translation2"] / paid) if paid > 0 else 0.0,
        excess=float(1 - gap_centered / random_gap) if random_gap > 0 else 1.0,
        matching=float(sums["matching"]),
        is_degenerate=bool(paid == 0),
    )


def _shuffled_wasserstein2(source, target, rng):
    moves = rng.permutation(target - source)
    shift = moves.mean(axis=0)
    S = source - source.mean(axis=0)
    D = S + moves - shift
    rows, partner = linear_sum_assignment(squared_distances(S, D))
    return ((D[partner] - S[rows]) ** 2).sum(axis=1).mean() + shift @ shift


def _root_ratio(best, paid):
    """Return the root of best / paid, 1 where nothing was paid."""
    paid = np.asarray(paid, dtype=np.float64)
    return np.sqrt(np.divide(best, paid, out=np.ones_like(paid), where=paid > 0))


def trajectory_efficiency(
    path: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    convention: Literal["mean", "thesis"] = "mean",
) -> tuple[float, np.ndarray]:
    r"""Compare how far points got with how far they travelled.

    Parameters
    ----------
    path : array-like of shape (n_steps + 1, n_points, n_dims)
        Where each point was at each time.
    labels : array-like of shape (n_points,), default=None
        Classes, for ``convention="thesis"`` only.
    convention : {"mean", "thesis"}, default="mean"
        "thesis" divides the sum over classes of Euclidean norms over all of a class's points
        by a sum of norms of single points, as the code of [1]_ does: even straight motion
        then gives only :math:`1 / \sqrt n` for n points of one class.

    Returns
    -------
    efficiency : float
        See Notes: 1 for straight motion, 0 for points that came back, 1 where nothing moved.
    per_point : ndarray of shape (n_points,)
        The same for each point.

    Notes
    -----
    For points :math:`p_{e,i}` at times e = 0, ..., E,

    .. math:: \frac{\sum_i \lVert p_{E,i} - p_{0,i} \rVert}
       {\sum_i \sum_e \lVert p_{e+1,i} - p_{e,i} \rVert} .

    References
    ----------
    .. [1] Quadrio, Candelieri, arXiv:2512.09530.

    Examples
    --------
    >>> from sklearn_selfattn.transport import trajectory_efficiency
    >>> straight_and_back = [[[0.0], [0.0]], [[1.0], [1.0]], [[2.0], [0.0]]]
    >>> trajectory_efficiency(straight_and_back)
    (0.5, array([1., 0.]))
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"convention has to be one of {CONVENTIONS}, got {convention!r}.")
    path = check_array(path, dtype=np.float64, allow_nd=True, input_name="path")
    if path.ndim != 3:
        raise ValueError(
            f"path has to have the shape (n_steps + 1, n_points, n_dims), got {path.shape}."
        )
    travelled = np.linalg.norm(np.diff(path, axis=0), axis=2).sum(axis=0)  # (n_points,)
    moves = np.linalg.norm(path[-1] - path[0], axis=1)  # (n_points,)
    per_point = np.divide(moves, travelled, out=np.ones_like(moves), where=travelled > 0)
    total = travelled.sum()
    if convention == "thesis":
        labels = np.zeros(len(moves)) if labels is None else column_or_1d(labels)
        check_consistent_length(moves, labels)
        direct = sum(np.linalg.norm(moves[labels == c]) for c in np.unique(labels))
    else:
        direct = moves.sum()
    return float(direct / total) if total > 0 else 1.0, per_point
