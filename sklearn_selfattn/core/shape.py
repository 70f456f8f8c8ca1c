"""How deep and how wide for a number of parameters: the fitted law and the proved threshold.

The room depth_width makes it public; here it is for ``n_layers="auto"`` of every estimator.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from numbers import Integral, Real

from scipy.special import lambertw
from sklearn.utils._param_validation import Interval, StrOptions

from .typing import validate_params

# The published fit of log(width) = A + B * depth, with its standard errors.
A, A_ERROR = 5.039, 0.030
B, B_ERROR = 5.55e-2, 1.3e-3
FITTED_DEPTHS = (6, 48)  # depths of the networks behind the fit
TABLE_MAX_DEPTH = 6  # deepening for a small embedding rank ends here by default
PARAMETERS_PER_ROW = 60  # of n_layers="auto" and of `recommend_for_table` ...
FEWEST_ROWS, MOST_PARAMETERS = 250, 2e6  # ... as if of so many rows at least, and at most these
_POSITIVE = Interval(Real, 0, None, closed="neither")
_COUNT = Interval(Integral, 1, None, closed="left")


class ExtrapolationWarning(UserWarning):
    """The fitted law was asked about a size that nobody has fitted it on."""


@dataclass(frozen=True)
class DepthWidth:
    """A recommended shape.

    Attributes
    ----------
    depth, width, n_heads : int
        Layers, width of a token, heads.
    n_params : int
        Weights of the layers at this shape, after rounding.
    depth_real, width_real : float
        What the rule gives before rounding.
    depth_interval : tuple of two floats, or None
        `depth_real` one standard error of the fit down and up; None for "theory", which has no
        fitted constants.
    rule : {"empirical", "theory"}
        The rule used.
    in_fitted_range : bool
        Whether networks of this size were among those that the empirical law was fitted on.
    log3_width : float
        The depth at which, by the theory, this width is used up.
    effective_width : int
        The width, or the rank of the embedding where that is smaller.
    """

    depth: int
    width: int
    n_heads: int
    n_params: int
    depth_real: float
    width_real: float
    depth_interval: tuple[float, float] | None
    rule: str
    in_fitted_range: bool
    log3_width: float
    effective_width: int

    def as_params(
        self, depth: str = "n_layers", width: str = "d_model", heads: str | None = None
    ) -> dict[str, int]:
        """Return the shape as parameters for ``estimator.set_params(**...)``.

        Parameters
        ----------
        depth, width : str
            What the estimator calls them; nested names (`"model__n_layers"`) as well.
        heads : str, default=None
            What it calls the number of heads; None leaves it out.

        Returns
        -------
        dict
            Parameter names and values.
        """
        params = {depth: self.depth, width: self.width}
        return params if heads is None else {**params, heads: self.n_heads}


@validate_params(
    {
        "width": [_COUNT],
        "ffn_factor": [Interval(Real, 0, None, closed="left")],
        "glu": ["boolean"],
        "bias": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def params_per_layer(
    width: int, ffn_factor: float = 4.0, glu: bool = False, bias: bool = False
) -> int:
    r"""Count the parameters of a transformer layer.

    Parameters
    ----------
    width : int
        Width d of a token.
    ffn_factor : float, default=4.0
        Width of the feed-forward's hidden layer over d; 0 for no feed-forward.
    glu : bool, default=False
        Whether the feed-forward is gated, with a third matrix.
    bias : bool, default=False
        Whether to add the biases, and gain and shift of two layer norms.

    Returns
    -------
    int
        :math:`4 d^2` for the attention and :math:`2 f d^2` (gated: :math:`3 f d^2`) for the
        feed-forward.

    Examples
    --------
    >>> from sklearn_selfattn.depth_width import params_per_layer
    >>> params_per_layer(64) == 12 * 64**2
    True
    """
    hidden = round(ffn_factor * width)
    n_in = 2 if glu else 1
    weights = 4 * width**2 + (n_in + 1) * width * hidden
    if not bias:
        return weights
    norms = 4 * width if hidden else 2 * width
    return weights + 4 * width + n_in * hidden + (width if hidden else 0) + norms


@validate_params(
    {
        "width": [Interval(Real, 1, None, closed="left")],
        "rule": [StrOptions({"theory", "empirical"})],
    },
    prefer_skip_nested_validation=True,
)
def depth_threshold(width: float, *, rule: str = "theory") -> float:
    r"""Return the depth up to which a width is better used by more layers.

    Parameters
    ----------
    width : float
        Width d of a token, at least 1.
    rule : {"theory", "empirical"}, default="theory"
        :math:`\log_3 d` as proved for networks without softmax and feed-forward [1]_, or
        :math:`(\ln d - a) / b` as fitted to language models.

    Returns
    -------
    float
        The depth; negative where the empirical law knows no network so narrow.

    References
    ----------
    .. [1] Levine, Wies, Sharir, Bata, Shashua, "Limits to Depth Efficiencies of
       Self-Attention", NeurIPS 2020, arXiv:2006.12467.

    Examples
    --------
    >>> from sklearn_selfattn.depth_width import depth_threshold
    >>> round(depth_threshold(64), 2)
    3.79
    """
    if rule == "theory":
        return math.log(width) / math.log(3)
    return (math.log(width) - A) / B


def optimal_depth(n_params: float, a: float, b: float, per_width2: float = 12.0) -> float:
    """Return L that solves ``per_width2 * L * exp(2 a + 2 b L) = n_params``, in closed form."""
    log_argument = math.log(2 * b / per_width2) + math.log(n_params) - 2 * a
    return float(lambertw(math.exp(log_argument)).real) / (2 * b)


@validate_params(
    {
        "n_params": [_POSITIVE],
        "rule": [StrOptions({"auto", "empirical", "theory"})],
        "embedding_rank": [_COUNT, None],
        "ffn_factor": [Interval(Real, 0, None, closed="left")],
        "ffn_glu": ["boolean"],
        "n_heads": [_COUNT],
        "head_dim": [_COUNT, None],
        "max_depth": [_COUNT, None],
        "round_to": [_COUNT, None],
    },
    prefer_skip_nested_validation=True,
)
def recommend_depth_width(
    n_params: float,
    *,
    rule: str = "auto",
    embedding_rank: int | None = None,
    ffn_factor: float = 4.0,
    ffn_glu: bool = False,
    n_heads: int = 1,
    head_dim: int | None = None,
    max_depth: int | None = None,
    round_to: int | None = None,
) -> DepthWidth:
    r"""Say how many layers and how wide, for a number of parameters.

    Two rules. The *empirical* one is a law fitted to language models of 6 to 48 layers [1]_,
    that is of about 3 million to 3 billion parameters. Networks for tables are far smaller, where
    the law would have less than one layer; for them there is only the *theory*: add layers as
    long as their number is below :math:`\log_3` of the width that remains. That theorem is on
    what a network without softmax, norm and feed-forward can express, not on how well it
    learns, and others found the shape to matter little (see the :ref:`User Guide <depth_width>`):
    take the answer as where to start, and :class:`~sklearn_selfattn.DepthWidthSearchCV` to
    find out.

    Parameters
    ----------
    n_params : float
        Parameters to spend on the layers; embeddings and output not counted.
    rule : {"auto", "empirical", "theory"}, default="auto"
        "auto" takes the empirical law from the smallest size that it was fitted on (with a
        warning above the largest), and the theory below it.
    embedding_rank : int, default=None
        Rank r of what enters the first layer, see
        :func:`~sklearn_selfattn.depth_width.table_embedding_rank`. Width beyond it is lost on
        the first layer [2]_, so "theory" goes on deepening while the width is above r, up to
        `max_depth`. "empirical" only reports it in `effective_width`.
    ffn_factor : float, default=4.0
        Width of the feed-forward's hidden layer over that of a token.
    ffn_glu : bool, default=False
        Whether the feed-forward is gated.
    n_heads : int, default=1
        Heads; the width is divisible by it.
    head_dim : int, default=None
        Width of a head, in place of `n_heads`: their number then follows from the width.
    max_depth : int, default=None
        The most layers. None is no limit, or 6 where `embedding_rank` asks for depth.
    round_to : int, default=None
        The width is a multiple of it.

    Returns
    -------
    DepthWidth
        Depth and width, which never need more than `n_params`, and where they come from.

    Raises
    ------
    ValueError
        A parameter is out of its range, or `n_params` is too few for one layer of the smallest
        width.

    Warns
    -----
    ExtrapolationWarning
        The empirical law was used on a size beyond those of its fit.

    Notes
    -----
    A layer has :math:`c d^2` parameters, c = 12 by default. With
    :math:`\ln d = a + b L`, :math:`a = 5.039 \pm 0.030` and :math:`b = 0.0555 \pm 0.0013`, the
    depth for N parameters is

    .. math:: L = \frac{1}{2b} W\left( \frac{2b}{c} N e^{-2a} \right)

    with Lambert's W; the theory is the same equation with a = 0 and :math:`b = \ln 3`, rounded
    down. The interval takes the errors of a and b as independent.

    References
    ----------
    .. [1] Levine, Wies, Sharir, Bata, Shashua, "Limits to Depth Efficiencies of
       Self-Attention", NeurIPS 2020, arXiv:2006.12467.
    .. [2] Wies, Levine, Jannai, Shashua, "Which Transformer Architecture Fits My Data? A
       Vocabulary Bottleneck in Self-Attention", ICML 2021, arXiv:2105.03928.

    Examples
    --------
    >>> from sklearn_selfattn import recommend_depth_width
    >>> shape = recommend_depth_width(100_000, n_heads=4)
    >>> shape.depth, shape.width, shape.rule
    (3, 52, 'theory')
    >>> shape.as_params()
    {'n_layers': 3, 'd_model': 52}
    >>> shape = recommend_depth_width(1e9, head_dim=64)
    >>> shape.depth, shape.width, shape.rule
    (40, 1408, 'empirical')
    """
    if head_dim is not None and n_heads != 1:
        raise ValueError(
            "n_heads and head_dim cannot both be given, because each follows from the other: got "
            f"n_heads={n_heads} and head_dim={head_dim}."
        )
    step = math.lcm(head_dim or n_heads, round_to or 1)
    per_width2 = 4.0 + (3.0 if ffn_glu else 2.0) * ffn_factor
    smallest = params_per_layer(step, ffn_factor, ffn_glu)
    if n_params < smallest:
        raise ValueError(
            f"n_params={n_params:g} is too few: one layer of the smallest width, {step}, has "
            f"{smallest} parameters."
        )

    fitted = optimal_depth(n_params, A, B, per_width2)
    in_range = FITTED_DEPTHS[0] <= fitted <= FITTED_DEPTHS[1]
    if rule == "auto":
        rule = "empirical" if fitted >= FITTED_DEPTHS[0] else "theory"
    if rule == "empirical":
        if not in_range:
            low, high = (n_params_of_law(depth, per_width2) for depth in FITTED_DEPTHS)
            warnings.warn(
                f"extrapolated: the empirical law was fitted on networks of {low:.2g} to "
                f"{high:.2g} parameters in their layers, not on {n_params:.2g}.",
                ExtrapolationWarning,
                stacklevel=2,
            )
        depth_real = fitted
        error = 2 * math.hypot(A_ERROR, fitted * B_ERROR) / (1 / fitted + 2 * B)
        interval = (fitted - error, fitted + error)
        depth = max(round(depth_real), 1)
    else:
        depth_real, interval = optimal_depth(n_params, 0.0, math.log(3), per_width2), None
        depth = _theory_depth(n_params, per_width2, embedding_rank, max_depth)
    depth = min(depth, max_depth or depth)

    while True:
        width = step * int(math.sqrt(n_params / (per_width2 * depth)) / step)
        while width and depth * params_per_layer(width, ffn_factor, ffn_glu) > n_params:
            width -= step  # the hidden layer's width was rounded up, or, next, down
        while depth * params_per_layer(width + step, ffn_factor, ffn_glu) <= n_params:
            width += step
        if width:
            break
        depth -= 1  # one layer fits, as was checked
    return DepthWidth(
        depth=depth,
        width=width,
        n_heads=n_heads if head_dim is None else width // head_dim,
        n_params=depth * params_per_layer(width, ffn_factor, ffn_glu),
        depth_real=depth_real,
        width_real=math.sqrt(n_params / (per_width2 * depth_real)),
        depth_interval=interval,
        rule=rule,
        in_fitted_range=in_range,
        log3_width=depth_threshold(width),
        effective_width=width if embedding_rank is None else min(width, int(embedding_rank)),
    )


def params_for_rows(n_rows: int) -> float:
    """Return how many parameters so many training rows are worth, in the layers."""
    return float(min(PARAMETERS_PER_ROW * max(n_rows, FEWEST_ROWS), MOST_PARAMETERS))


def n_params_of_law(depth: float, per_width2: float = 12.0) -> float:
    """Return the parameters at which the empirical law has so many layers."""
    return per_width2 * depth * math.exp(2 * A + 2 * B * depth)


def _theory_depth(
    n_params: float, per_width2: float, embedding_rank: int | None, max_depth: int | None
) -> int:
    """Deepen while depth is below log_3 of the usable width, then toward the embedding's rank."""
    rank = math.inf if embedding_rank is None else embedding_rank

    def width_at(depth: int) -> float:
        return math.sqrt(n_params / (per_width2 * depth))

    depth = 1
    while 3 ** (depth + 1) <= min(width_at(depth + 1), rank):
        depth += 1
    if embedding_rank is not None:
        most = TABLE_MAX_DEPTH if max_depth is None else max_depth
        while depth < most and width_at(depth) > rank:
            depth += 1
    return depth
