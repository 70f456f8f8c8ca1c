"""What the columns of a table have to say about depth and width."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _num_samples

from ..core.shape import DepthWidth, params_for_rows, recommend_depth_width
from ..core.table import TableEncoder
from ..core.typing import Table, validate_params


@validate_params(
    {
        "X": "no_validation",
        "n_bins": [Interval(Integral, 0, None, closed="left")],
        "categorical_features": "no_validation",
    },
    prefer_skip_nested_validation=True,
)
def table_embedding_rank(
    X: Table,
    *,
    n_bins: int = 0,
    categorical_features: Literal["from_dtype"] | ArrayLike | None = "from_dtype",
) -> int:
    r"""Return the rank of the token vectors that a table can give rise to.

    A cell of a numeric column becomes the vector :math:`x_j w_j + b_j`, whatever its value: all of
    them lie in a plane. So however wide the tokens are, the vectors of m numeric columns span at
    most 2 m dimensions, and width beyond that is of no use to the first layer. Encoding numbers
    in bins lifts that.

    Parameters
    ----------
    X : array-like or frame of shape (n_samples, n_features)
        The table.
    n_bins : int, default=0
        Bins in which each number is encoded, as in :class:`~sklearn_selfattn.NPTClassifier`; 0 for
        the linear embedding.
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        Which columns hold categories, as in the estimators.

    Returns
    -------
    int
        The most it can be: for each numeric column 2, or with bins one more than there are, for
        each other the number of categories, one for each column with missing cells, and one
        for the token that is read out.

    References
    ----------
    .. [1] Wies, Levine, Jannai, Shashua, "Which Transformer Architecture Fits My Data? A
       Vocabulary Bottleneck in Self-Attention", ICML 2021, arXiv:2105.03928.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_selfattn.depth_width import table_embedding_rank
    >>> table_embedding_rank(pd.DataFrame({"size": [1.5, 2.0], "colour": ["red", "blue"]}))
    5
    """
    encoder = TableEncoder(categorical_features=categorical_features).fit(X)
    n_missing = int(np.isnan(encoder.transform(X)).any(axis=0).sum())
    n_numeric = int((~encoder.is_categorical_).sum())
    per_number = 1 + max(n_bins, 1)  # within its bins a number is a sum of them
    return per_number * n_numeric + int(encoder.n_categories_.sum()) + n_missing + 1


@validate_params(
    {
        "X": "no_validation",
        "n_params": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "use_embedding_rank": ["boolean"],
        "n_bins": [Interval(Integral, 0, None, closed="left")],
        "categorical_features": "no_validation",
    },
    prefer_skip_nested_validation=True,
)
def recommend_for_table(
    X: Table,
    *,
    n_params: Literal["auto"] | float = "auto",
    use_embedding_rank: bool = False,
    n_bins: int = 0,
    categorical_features: Literal["from_dtype"] | ArrayLike | None = "from_dtype",
    **options: Any,
) -> DepthWidth:
    """Recommend depth and width for a table, from its rows and columns, without a fit.

    Parameters
    ----------
    X : array-like or frame of shape (n_samples, n_features)
        The training rows.
    n_params : float or "auto", default="auto"
        Parameters to spend on the layers. "auto" is 60 for each row, between 15,000 and 2
        million: of three such rules the smallest that was not behind, on six tables.
    use_embedding_rank : bool, default=False
        Whether to go deeper and narrower where few columns make wide tokens useless, see
        :func:`table_embedding_rank`. Worth a try with linearly embedded numbers; off by default,
        because it was measured on few tables.
    n_bins : int, default=0
        Bins in which each number is encoded.
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        Which columns hold categories.
    **options
        Further parameters of :func:`~sklearn_selfattn.recommend_depth_width`: `n_heads`,
        `head_dim`, `max_depth`, `round_to`, `ffn_factor`, `ffn_glu`, `rule`.

    Returns
    -------
    DepthWidth
        The shape; ``estimator.set_params(**shape.as_params())`` takes it over.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn.depth_width import recommend_for_table
    >>> recommend_for_table(np.zeros((3000, 10)), n_heads=4).as_params()
    {'n_layers': 3, 'd_model': 68}
    """
    rank = table_embedding_rank(X, n_bins=n_bins, categorical_features=categorical_features)
    if n_params == "auto":
        n_params = params_for_rows(_num_samples(X))
    if use_embedding_rank:
        options["embedding_rank"] = rank
    return recommend_depth_width(n_params, **options)
