"""Parameter sets that stand for a publication."""

from __future__ import annotations

from typing import Any


def paper_preset(encoding: str = "mercer") -> dict[str, Any]:
    r"""Return the parameters of self-attention with functional time as published.

    One layer, one head, width 32, dropout one half, the time map concatenated to the event
    [1]_. We follow the paper where its published code departs from it: there sines and cosines
    have frequencies of their own, so that the kernel is none of differences, harmonics of a period
    are summed into one number (``encoding="mercer_summed"`` does so here), frequencies begin at
    powers of ten whatever the unit, and random ones are drawn anew for each prediction. Kept
    from this library: normalisation before each part, a learning rate in one cycle, a key for
    "no event", and the events' gaps are left out as in the paper.

    Parameters
    ----------
    encoding : str, default="mercer"
        Which of the paper's maps: "bochner" (its non-parametric one), "bochner_normal",
        "bochner_icdf", "mercer" or "mercer_summed".

    Returns
    -------
    dict
        Keyword arguments for the estimators of this room.

    References
    ----------
    .. [1] Xu, Ruan, Korpeoglu, Kumar, Achan, "Self-attention with Functional Time Representation
       Learning", NeurIPS 2019, arXiv:1911.12864.

    Examples
    --------
    >>> from sklearn_selfattn import TimeEventClassifier
    >>> from sklearn_selfattn.time_events import paper_preset
    >>> TimeEventClassifier(**paper_preset()).degree
    10
    """
    known = ("bochner", "bochner_normal", "bochner_icdf", "mercer", "mercer_summed")
    if encoding not in known:
        raise ValueError(f"encoding has to be one of {', '.join(known)}, got {encoding!r}.")
    return {
        "time_encoding": encoding,
        "n_frequencies": 320 if encoding == "mercer" else 32,
        "degree": 10,
        "frequency_init": "log",
        "time_reference": "relative",
        "gap_feature": False,
        "interaction": "concat",
        "max_len": 100,
        "d_model": 32,
        "n_heads": 1,
        "n_layers": 1,
        "feed_forward_dim": 32,
        "dropout": 0.5,
        "learning_rate": 1e-3,
        "batch_size": 128,
        "weight_decay": 0.0,
    }
