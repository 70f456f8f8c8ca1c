"""Parameter sets that stand for a publication."""

from __future__ import annotations

from typing import Any

SMALL_TABLE_ROWS = 1000  # the paper's NPT-Small was used below


def paper_preset(n_samples: int, n_steps: int = 2000) -> dict[str, Any]:
    """Return the parameters of NPT as published, for `NPTClassifier` and `NPTRegressor`.

    Four blocks (eight layers) of full-width attention between datapoints and attention between
    attributes with linear residual maps, eight heads, tokens of width 64 (128 for small
    tables), 15 % of the cells masked or randomised, the cell loss traded for the target loss
    along a cosine, LAMB in Lookahead, a learning rate that is flat and then falls along a cosine
    [1]_.

    We follow the paper where its code departs from it: keys and values come from normalised
    rows, the gradient is clipped by its norm. Three departures are ours: queries do not see
    each other, labels of context rows are always shown, and a masked cell's token is learnt.

    Cost: the attention between datapoints is as wide as the row, 26 (d e)^2 operations per row
    and layer. On a CPU expect hours where the default needs seconds.

    Parameters
    ----------
    n_samples : int
        Rows of the training table.
    n_steps : int, default=2000
        Training steps, ten to an epoch (a table of fewer than 320 rows takes fewer of them);
        the paper used 2,000 to 10,000 on small tables.

    Returns
    -------
    dict
        Keyword arguments for the estimators.

    References
    ----------
    .. [1] Kossen, Band, Lyle, Gomez, Rainforth, Gal, "Self-Attention Between Datapoints: Going
       Beyond Individual Input-Output Pairs in Deep Learning", NeurIPS 2021, arXiv:2106.02584.

    Examples
    --------
    >>> from sklearn_selfattn import NPTRegressor
    >>> from sklearn_selfattn.npt import paper_preset
    >>> NPTRegressor(**paper_preset(n_samples=506)).n_layers
    4
    """
    small = n_samples < SMALL_TABLE_ROWS
    return {
        "pretrained": False,
        "architecture": "paper",
        "n_estimators": 1,
        "n_bins": 0,
        "feature_mask_prob": 0.15,
        "feature_loss_weight": 1.0,
        "optimizer": "lamb",
        "d_model": 128 if small else 64,
        "n_heads": 8,
        "n_layers": 4,
        "dropout": 0.1,
        "max_epochs": max(n_steps // 10, 1),
        "batch_size": 2048,
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "early_stopping": True,
        "n_iter_no_change": max(n_steps // 10, 1),
    }
