"""TimeEventRegressor: when the next event comes, and other numbers after a history."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from ..core.base import SelfAttentionRegressorMixin, guarded_fit
from ..core.typing import Table, available_if
from .base import BaseTimeEvents
from .targets import LOSSES, Scale, mixture_median, mixture_quantiles


class TimeEventRegressor(SelfAttentionRegressorMixin, BaseTimeEvents):
    r"""Predict a number from a history of events: above all, when the next one comes.

    Events at uneven moments, each with a type and values, are looked back on by attention that
    knows how long ago each was, in waves of learnt periods. Use it on an event log (customers,
    machines, flights, patients) where *when* things happened matters, not only in which order. It
    takes
    :class:`EventSequences` as :func:`make_event_windows` makes them, wide tables with a column for
    each slot, and plain tables whose columns are moments of a grid.

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
    loss : str, default="absolute_error"
        "absolute_error" predicts medians, "squared_error" means, "huber" something between.
        "lognormal_mixture", for durations, learns the whole distribution: `predict` gives its
        median, `predict_quantile` and `predict_interval` the rest; rows may be censored.
    target_transform : {"auto", "log1p", None}, default="auto"
        What is done to the target before it is standardised. "log1p" is of the target over its
        geometric mean, so that units do not matter. "auto" does so for targets of histories that
        are never negative, with the loss "absolute_error", whose predictions stay medians.
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
    TimeEventClassifier : Which event is next, or what becomes of a history.
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

    With the loss "lognormal_mixture" the logarithm of the target has a density of eight normals,
    and a censored row counts by the probability that it takes longer.

    References
    ----------
    .. [1] Xu, Ruan, Korpeoglu, Kumar, Achan, "Self-attention with Functional Time Representation
       Learning", NeurIPS 2019, arXiv:1911.12864.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn_selfattn import TimeEventRegressor, make_event_windows
    >>> days = np.cumsum(np.tile([1.0, 3.0], 60))  # one day, three days, one day, ...
    >>> log = pd.DataFrame({"machine": np.repeat([0, 1, 2], 40), "day": days})
    >>> X, y, groups, _ = make_event_windows(log, "machine", "day", max_len=8)
    >>> model = TimeEventRegressor(max_epochs=10, random_state=0).fit(X, y)
    >>> (abs(model.predict(X[50:54]) - y[50:54]) < 0.3).all()
    np.True_
    """

    _parameter_constraints = {
        **BaseTimeEvents._parameter_constraints,
        "loss": [StrOptions(set(LOSSES))],
        "target_transform": [StrOptions({"auto", "log1p"}), None],
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
        loss: Literal[
            "absolute_error", "squared_error", "huber", "lognormal_mixture"
        ] = "absolute_error",
        target_transform: Literal["auto", "log1p"] | None = "auto",
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
        self.loss = loss
        self.target_transform = target_transform
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
        censored: ArrayLike | None = None,
    ) -> Self:
        """Train on histories and what came after them.

        Parameters
        ----------
        X : EventSequences, DataFrame or array-like of shape (n_samples, n_features)
            Histories; or a table in the wide layout of :meth:`EventSequences.to_wide`; or a plain
            table, whose columns are moments of `time_grid`.
        y : array-like of shape (n_samples,)
            The targets, durations in any unit for instance.
        sample_weight : array-like of shape (n_samples,), default=None
            Row weights.
        groups : array-like of shape (n_samples,), default=None
            Rows of a group are held out together; by default those of a sequence.
        censored : array-like of bool of shape (n_samples,), default=None
            Rows of which y only tells that it takes longer. For the loss "lognormal_mixture".

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            Missing or infinite numbers where there may be none, unequal lengths, negative
            durations.
        """
        rows, y_used, weight, kept = self._check_rows(X, y, sample_weight)
        y_used = np.asarray(y_used, dtype=np.float64)
        is_late = np.zeros(len(y_used))
        if censored is not None:
            if self.loss != "lognormal_mixture":
                raise ValueError(
                    f"censored rows need loss='lognormal_mixture', got loss={self.loss!r}."
                )
            is_late = np.asarray(censored, dtype=np.float64)[kept]
        split_seed, *seeds = self._draw_seeds()
        groups = None if groups is None else np.asarray(groups)[kept]
        if groups is None and self._takes_events:
            groups = rows.sequence if len(np.unique(rows.sequence)) > 1 else None
        chosen = self._split_validation(len(y_used), split_seed, groups=groups)
        if self._takes_events:
            self._fit_coder(rows[chosen[0]])
        self._scale = Scale(y_used[chosen[0]], weight[chosen[0]], self._transform_of(y_used))
        target = np.stack([self._scale.forward(y_used), is_late], axis=1)
        criterion, self._n_outputs = LOSSES[self.loss]
        return self._fit_net(rows, target, weight, criterion, chosen, seeds, (X, y))

    def _transform_of(self, y):
        is_mixture = self.loss == "lognormal_mixture"
        wanted = self.target_transform
        if wanted == "auto":
            is_duration = self._takes_events and self.loss == "absolute_error" and y.min() >= 0
            wanted = "log1p" if is_duration else None
        if (wanted is not None or (is_mixture and self._takes_events)) and y.min() < 0:
            raise ValueError(
                f"Durations cannot be negative: y holds {y.min():.4g}. Use another loss, or "
                "target_transform=None."
            )
        if is_mixture:
            return "log" if y.min() >= 0 else "plain"
        return "plain" if wanted is None else wanted

    def predict(self, X: Table) -> np.ndarray:
        """Predict the target of each row, in the unit of y.

        Parameters
        ----------
        X : EventSequences, DataFrame or array-like of shape (n_samples, n_features)
            Rows, as in `fit`.

        Returns
        -------
        ndarray of shape (n_samples,)
            Predictions.
        """
        check_is_fitted(self)
        output = self._raw_predict(X)
        if self._n_outputs > 1:
            return self._scale.backward(mixture_quantiles(output, np.array([0.5]))[:, 0])
        return self._scale.backward(output[:, 0])

    def _export_answer(self, output):
        if self._n_outputs > 1:
            return self._scale.backward_tensor(mixture_median(output))
        return self._scale.backward_tensor(output[:, 0])

    @available_if(lambda self: self.loss == "lognormal_mixture")
    def predict_quantile(self, X: Table, q: float | ArrayLike = 0.5) -> np.ndarray:
        """Predict quantiles of the target.

        Parameters
        ----------
        X : EventSequences, DataFrame or array-like of shape (n_samples, n_features)
            Rows, as in `fit`.
        q : float or array-like of shape (n_quantiles,), default=0.5
            Levels between 0 and 1.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_quantiles)
            Quantiles, in the unit of y.
        """
        check_is_fitted(self)
        levels = np.asarray(q, dtype=np.float64)
        if not ((levels > 0) & (levels < 1)).all():
            raise ValueError(f"q has to lie between 0 and 1, got {q!r}.")
        found = self._scale.backward(mixture_quantiles(self._raw_predict(X), levels.ravel()))
        return found[:, 0] if levels.ndim == 0 else found

    @available_if(lambda self: self.loss == "lognormal_mixture")
    def predict_interval(self, X: Table, coverage: float = 0.9) -> np.ndarray:
        """Predict the central interval that the target lies in with some probability.

        Parameters
        ----------
        X : EventSequences, DataFrame or array-like of shape (n_samples, n_features)
            Rows, as in `fit`.
        coverage : float, default=0.9
            The probability.

        Returns
        -------
        ndarray of shape (n_samples, 2)
            Lower and upper ends, in the unit of y.
        """
        return self.predict_quantile(X, [(1 - coverage) / 2, (1 + coverage) / 2])

    def predict_event_time(self, X: Table) -> pd.DatetimeIndex | pd.TimedeltaIndex | np.ndarray:
        """Predict when: the moment a row is looked at from, and the predicted duration after it.

        Parameters
        ----------
        X : EventSequences or DataFrame
            Histories, as in `fit`; y has to be in units of `X`, as `make_event_windows` gives it.

        Returns
        -------
        DatetimeIndex, TimedeltaIndex or ndarray of shape (n_samples,)
            Times of the kind, and in the time zone, of the events.
        """
        gap = self.predict(X)
        if not self._takes_events:
            raise ValueError("A plain table has no times to predict one after.")
        events = self._as_events(X)
        axis = events.events.axis
        query = events._query()
        if axis.kind != "number":
            gap = np.rint(gap * axis.per_unit).astype(np.int64)
        return axis.restore(query + gap)
