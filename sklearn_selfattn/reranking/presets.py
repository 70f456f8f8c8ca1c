"""Parameter sets that stand for a publication."""

from __future__ import annotations

from typing import Any


def paper_preset() -> dict[str, Any]:
    r"""Return the parameters of contextual similarity aggregation as published.

    Lists of 512 candidates and 512 anchors in training, 1,024 candidates afterwards; two layers of
    width 768; the contrastive loss at temperature 2, in which one relevant item is enough and the
    query counts as one, plus 0.2 times the distance of reconstructed affinities; no share of the
    first similarity in the score [1]_. These are the settings of the published scripts, behind
    the published figures; the defaults of the program itself are others.

    The optimiser is a departure: AdamW here, SGD with momentum there, which the rate of 0.1 there
    belongs to. So is the length of lists in training, which counts the query there.

    For millions of pairs and a GPU: on small data these parameters learn little.

    Returns
    -------
    dict
        Keyword arguments for `AttentionReranker`.

    References
    ----------
    .. [1] Ouyang, Wu, Wang, Zhou, Li, "Contextual Similarity Aggregation with Self-attention for
       Visual Re-ranking", NeurIPS 2021, arXiv:2110.13430.

    Examples
    --------
    >>> from sklearn_selfattn import AttentionReranker
    >>> from sklearn_selfattn.reranking import paper_preset
    >>> AttentionReranker(**paper_preset()).temperature
    2.0
    """
    return {
        "n_candidates": 1024,
        "n_anchors": 512,
        "n_train_candidates": 512,
        "temperature": 2.0,
        "exclude_query": False,
        "positives": "any",
        "reconstruction_weight": 0.2,
        "feature_dropout": 0.0,
        "blend": 0.0,
        "d_model": 768,
        "n_heads": 12,
        "n_layers": 2,
        "dropout": 0.1,
        "max_epochs": 100,
        "batch_size": 256,
        "learning_rate": 1e-4,
        "weight_decay": 1e-6,
        "early_stopping": False,
    }
