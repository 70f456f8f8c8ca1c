"""TimeEventClassifier: which event is next, and what becomes of a history."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import torch.nn.functional as F
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_sample_weight

from ..core.base import SelfAttentionClassifierMixin, guarded_fit
from ..core.typing import Table
from .base import BaseTimeEvents


class TimeEventClassifier(SelfAttentionClassifierMixin, BaseTimeEvents):
    r"""Predict a class from a history of events: which event is next, what becomes of a sequence.

    Events at uneven moments, each with a type and values, are looked back on by attention that
    knows how long ago each was, in waves of learnt periods. It takes :class:`EventSequences` as
    :func:`make_event_windows` makes them, wide tables with a column for each slot, and plain tables
    whose columns are moments of a grid.

    Parameters
    ----------
    time_encoding : str, default="bochner"
        How elapsed time is seen. "bochner": waves of learnt frequencies. "bochner_normal",
        "bochner_icdf": frequencies drawn from a learnt normal, or by a learnt quantile
        function. "mercer": harmonics of learnt periods with learnt weights. For comparison:
        "mercer_summed" (the published code's form), "time2vec", "positional" (the order of events
        alone), "none".
    n_frequencies : int, default=16
        Number of waves; "mercer" shares them out among periods.
    degree : int, default=3
        Harmonics of each period, for "mercer".
    frequency_init : {"auto", "log", "calendar", "periodogram"} or array-like, default="auto"
        Where periods begin; training moves them only a little. "log": evenly spaced
        logarithms between the shortest gaps and twice the longest histories. "calendar": days,
        weeks, years and their parts. "auto": half of them from the calendar where the unit of
        time is known. "periodogram": rhythms of the gaps. An array holds periods in units.
    learn_frequencies : bool, default=True
        Whether frequencies and kernel weights are trained.
    time_reference : {"auto", "relative", "absolute", "both"}, default="auto"
        "relative": events are seen by how long ago they were. "absolute": by where the clock
        stood, in the day, the week, the year. "auto" is both where the unit of time is known,
        else "relative".
    calendar : {"local", "utc"}, default="local"
        Which clock, for dates with a time zone. Elapsed time is always that of UTC.
    gap_feature : bool, default=True
        Whether the time since the event before is a number that comes with each event.
    interaction : {"concat", "add", "multiply", "kernel_bias"}, default="concat"
        How elapsed time meets events. "concat": as products of a concatenation. "add",
        "multiply": onto the event's vector. "kernel_bias": a learnt kernel is added to the scores.
    max_len : int, default=64
        The most events that are looked at, the latest ones.
    prefix_training : bool or "auto", default="auto"
        Whether all rows of a sequence are trained in one pass over it, which changes no loss and
        saves much time. Exact with one layer, and with more where histories are shorter than
        `max_len`. "auto" does so where rows of `X` share sequences and `time_encoding` lets it.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss.
    handle_unknown : {"infrequent", "error"}, default="infrequent"
        What `predict` does with event types that were not seen: they say nothing, or raise.
    time_grid : array-like of shape (n_features,), default=None
        For plain tables: when each column was observed; 0, 1, ... by default.
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        For plain tables: which columns hold categories.
    max_categories : int, default=255
        For plain tables: the most categories of a column; rarer ones share a code.
    feed_forward_dim : int, default=64
        Width of the hidden layer after attention.
    d_model : int, default=32
        Width of each token; divisible by `n_heads`.
    n_heads : int, default=4
        Number of attention heads.
    n_layers : int or "auto", default=1
        Number of attention layers. With one, only the token that is predicted from looks at
        events; with more, events look at earlier events first. "auto" chooses it, and a width in
        place of `d_model`, for the number of training rows, see
        :func:`~sklearn_selfattn.recommend_depth_width`.
    dropout : float, default=0.1
        Share of activations that are set to zero in training; none where all rows fit into one
        batch, so that row weights stay exact there.
    max_epochs : int, default=20
        The most passes over the rows; where rows are few an epoch is several passes. The learning
        rate rises over the first tenth and falls along a cosine, so fewer epochs are another,
        shorter training.
    batch_size : int, default=256
        The most rows in one step, roughly.
    learning_rate : float, default=5e-3
        Largest step size.
    weight_decay : float, default=1e-4
        Decoupled weight decay.
    early_stopping : bool or "auto", default="auto"
        Whether to hold sequences out, to stop when the loss on them no longer falls, and to keep
        the weights of the best epoch. "auto" does so from 500 rows on.
    validation_fraction : float, default=0.1
        Share of the sequences (or `groups`, or rows of a plain table) that is held out.
    n_iter_no_change : int, default=8
        Epochs without a better validation loss before training stops.
    device : str, default="auto"
        "auto" takes the first that is there of CUDA, MPS and CPU; or a torch device.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision. "auto" trains in float64 on the CPU when all rows fit into one batch, else
        in float32, and predicts in float64 on the CPU. Phases are float64 in any case.
    callbacks : list of skorch callbacks, default=None
        Called during training. They are copied first.
    verbose : int, default=0
        1 shows a progress line with the losses and the time left.
    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, batches and held-out rows. Results are reproducible
        for an int; no global random state is touched.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    periods_ : ndarray of shape (n_waves,)
        Learnt periods, in units of the times; for Bochner and Mercer encodings.
    frequencies_ : ndarray of shape (n_waves,)
        Angular frequencies, in radians per unit.
    kernel_weights_ : ndarray of shape (n_waves,)
        Weight of each wave in the kernel; they sum to 1.
    time_scale_ : float
        What elapsed times are divided by: the median time between events, in units.
    time_origin_ : float
        What the clock counts from; of histories only.
    event_types_ : ndarray
        Types of events that were seen; of histories only.
    max_len_ : int
        The most events that are looked at; of histories only.
    n_layers_, d_model_ : int
        Depth and width of the module.
    module_ : torch.nn.Module
        The trained net.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "valid_loss" (with early stopping), "lr",
        "dur" (seconds).
    n_iter_ : int
        Number of epochs.
    encoder_ : TableEncoder
        The categories of each column; of plain tables only.
    n_features_in_ : int
        Number of columns; of plain tables only.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Their names, if `X` was a frame with names; of plain tables only.

    See Also
    --------
    TimeEventRegressor : When the next event comes.
    make_event_windows : Histories and targets from an event log.

    Notes
    -----
    A token that looks from moment q scores an event at t by

    .. math:: \frac{\langle Q, K \rangle}{\sqrt{c}}
       + \frac{1}{\sqrt{f}} \langle C, \Phi(q - t) \rangle,
       \qquad \Phi(\tau) = [\cos \omega_i \tau, \sin \omega_i \tau]_{i \le f} ,

    with Q and C linear in the token and K in the event; and it is given, beside the mean value of
    the events, the mean of :math:`\Phi`: products of event and time concatenated [1]_. Only
    differences enter, so a history moved by five years is predicted alike (as far as the calendar
    is left out); and because sines of differences follow from sines of times, one pass trains all
    prefixes of a sequence. The published code has neither property, because its sines and cosines
    have frequencies of their own.

    Cost: :math:`O(n L (d^2 + f))` for n rows of L events with one layer, :math:`O(n L^2 d)` more
    for each further one. The training rows are not kept.

    References
    ----------
    .. [1] Xu, Ruan, Korpeoglu, Kumar, Achan, "Self-attention with Functional Time Representation
       Learning", NeurIPS 2019, arXiv:1911.12864.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn_selfattn import TimeEventClassifier, make_event_windows
    >>> rng = np.random.default_rng(0)
    >>> kinds = np.array(["on", "off"])[np.arange(90) % 2]  # on, off, on, ...
    >>> log = pd.DataFrame({"id": np.repeat([0, 1, 2], 30), "at": rng.exponential(size=90).cumsum(),
    ...                     "what": kinds})
    >>> X, y, groups, _ = make_event_windows(log, "id", "at", "what", target="next_type", max_len=8)
    >>> TimeEventClassifier(max_epochs=5, random_state=0).fit(X, y).score(X, y)
    1.0
    """

    _parameter_constraints = {
        **BaseTimeEvents._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        *,
        time_encoding: Literal[
            "bochner",
            "bochner_normal",
            "mercer",
            "positional",
            "none",
            "mercer_summed",
            "bochner_icdf",
            "time2vec",
        ] = "bochner",
        n_frequencies: int = 16,
        degree: int = 3,
        frequency_init: Literal["auto", "log", "calendar", "periodogram"] | ArrayLike = "auto",
        learn_frequencies: bool = True,
        time_reference: Literal["auto", "relative", "absolute", "both"] = "auto",
        calendar: Literal["local", "utc"] = "local",
        gap_feature: bool = True,
        interaction: Literal["concat", "add", "multiply", "kernel_bias"] = "concat",
        max_len: int = 64,
        prefix_training: bool | Literal["auto"] = "auto",
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        handle_unknown: Literal["infrequent", "error"] = "infrequent",
        time_grid: ArrayLike | None = None,
        categorical_features: Literal["from_dtype"] | ArrayLike | None = "from_dtype",
        max_categories: int = 255,
        feed_forward_dim: int = 64,
        d_model: int = 32,
        n_heads: int = 4,
        n_layers: int | Literal["auto"] = 1,
        dropout: float = 0.1,
        max_epochs: int = 20,
        batch_size: int = 256,
        learning_rate: float = 5e-3,
        weight_decay: float = 1e-4,
        early_stopping: bool | Literal["auto"] = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 8,
        device: str = "auto",
        dtype: Literal["auto", "float32", "float64"] = "auto",
        callbacks: list[Any] | tuple[Any, ...] | None = None,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.time_encoding = time_encoding
        self.n_frequencies = n_frequencies
        self.degree = degree
        self.frequency_init = frequency_init
        self.learn_frequencies = learn_frequencies
        self.time_reference = time_reference
        self.calendar = calendar
        self.gap_feature = gap_feature
        self.interaction = interaction
        self.max_len = max_len
        self.prefix_training = prefix_training
        self.class_weight = class_weight
        self.handle_unknown = handle_unknown
        self.time_grid = time_grid
        self.categorical_features = categorical_features
        self.max_categories = max_categories
        self.feed_forward_dim = feed_forward_dim
        self.d_model = d_model
        self.n_heads = n_heads
        self.n_layers = n_layers
        self.dropout = dropout
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.device = device
        self.dtype = dtype
        self.callbacks = callbacks
        self.verbose = verbose
        self.random_state = random_state

    @guarded_fit
    def fit(
        self,
        X: Table,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Train on histories and their labels.

        Parameters
        ----------
        X : EventSequences, DataFrame or array-like of shape (n_samples, n_features)
            Histories; or a table in the wide layout of :meth:`EventSequences.to_wide`; or a plain
            table, whose columns are moments of `time_grid`.
        y : array-like of shape (n_samples,)
            The labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Row weights.
        groups : array-like of shape (n_samples,), default=None
            Rows of a group are held out together; by default those of a sequence.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            Missing or infinite numbers where there may be none, unequal lengths, missing labels.
        """
        rows, labels, weight, kept = self._check_rows(X, y, sample_weight)
        codes = self._encode_classes(labels)
        if self.class_weight is not None:
            weight = weight * compute_sample_weight(self.class_weight, labels)
        split_seed, *seeds = self._draw_seeds()
        groups = None if groups is None else np.asarray(groups)[kept]
        if groups is None and self._takes_events:
            n_sequences = len(np.unique(rows.sequence))
            groups = rows.sequence if 1 < n_sequences < len(rows) else None
        chosen = self._split_validation(len(codes), split_seed, groups=groups, stratify=codes)
        if self._takes_events:
            self._fit_coder(rows[chosen[0]])
        if len(self.classes_) > 2:
            self._n_outputs, target, criterion = len(self.classes_), codes, _cross_entropy
        else:
            self._n_outputs, target, criterion = 1, codes.astype(float), _binary_cross_entropy
        return self._fit_net(rows, target, weight, criterion, chosen, seeds, (X, y))


def _cross_entropy(output, target):
    return F.cross_entropy(output, target, reduction="none")


def _binary_cross_entropy(output, target):
    return F.binary_cross_entropy_with_logits(output[:, 0], target, reduction="none")
