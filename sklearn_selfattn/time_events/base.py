"""What both estimators of this room share: histories in, a trained net, what it looked at."""

from __future__ import annotations

import math
from numbers import Integral

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from ..core.base import PREDICT_ROWS, BaseSelfAttention, SelfAttentionTransformerMixin
from ..core.maps import AttentionMaps
from ..core.parts import in_parts
from ..core.target import check_target
from ..core.training import RepeatedBatches, TensorBatches, one_cycle, weighted_row_loss
from ..core.typing import Table
from .histories import EventCoder, Histories, HistoryBatches
from .module import N_BINS, WAVES, EventBatch, EventTokens, GridTokens, TimeEventNet
from .sequences import EventSequences
from .spectra import DAY, WEEK, YEAR, find_periods, period_seeds
from .waves import SummedMercer, Time2Vec, Waves
from .wide import wide_channels

ENCODINGS = (*WAVES, "mercer_summed", "time2vec", "positional", "none")
STEPS_PER_EPOCH = 3  # at least: few rows are passed over several times
#: Seconds of the waves of the clock; of "mercer" the periods, whose harmonics are as many.
CLOCK = (
    np.array([DAY, DAY / 2, DAY / 3, DAY / 4, DAY / 6, DAY / 8, WEEK, WEEK / 2, WEEK / 3, YEAR]),
    np.array([DAY, WEEK, YEAR]),
)
ROWS_PER_SEQUENCE = 2.0  # prefix_training="auto": from so many rows of a sequence on
EVENTS_LOOKED_AT = 20_000  # for a periodogram
#: Of an `EventBatch`, what an exported graph is given; the rest follows.
EXPORTED = ("codes", "numbers", "times", "clock", "real",
            "query_times", "query_clock", "query_numbers")  # fmt: skip


class BaseTimeEvents(SelfAttentionTransformerMixin, BaseSelfAttention):
    """Base of the two estimators; see there for the parameters."""

    _parameter_constraints = {
        **BaseSelfAttention._parameter_constraints,
        "time_encoding": [StrOptions(set(ENCODINGS))],
        "n_frequencies": [Interval(Integral, 1, None, closed="left")],
        "degree": [Interval(Integral, 1, None, closed="left")],
        "frequency_init": [StrOptions({"auto", "log", "calendar", "periodogram"}), "array-like"],
        "learn_frequencies": ["boolean"],
        "time_reference": [StrOptions({"auto", "relative", "absolute", "both"})],
        "calendar": [StrOptions({"local", "utc"})],
        "gap_feature": ["boolean"],
        "interaction": [StrOptions({"concat", "add", "multiply", "kernel_bias"})],
        "max_len": [Interval(Integral, 1, None, closed="left")],
        "prefix_training": ["boolean", StrOptions({"auto"})],
        "handle_unknown": [StrOptions({"infrequent", "error"})],
        "time_grid": ["array-like", None],
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "max_categories": [Interval(Integral, 2, None, closed="left")],
        "feed_forward_dim": [Interval(Integral, 1, None, closed="left")],
    }

    # --- what goes in -------------------------------------------------------------------

    def _as_events(self, X):
        """Return histories, or None for a plain table."""
        if isinstance(X, EventSequences):
            return X
        if isinstance(X, pd.DataFrame) and wide_channels(X) is not None:
            return EventSequences.from_wide(X)
        return None

    def _encode_table(self, X, *, reset):
        """Return histories of the kind that fit was given, or the encoded table."""
        events = self._as_events(X)
        if reset:
            return super()._encode_table(X, reset=True)
        check_is_fitted(self)
        if (events is not None) != self._takes_events:
            expected = (
                "histories of events" if self._takes_events else "a table with a grid of times"
            )
            raise TypeError(f"fit was given {expected}; X is {type(X).__name__}.")
        if events is None:
            return super()._encode_table(X, reset=False)
        if not len(events):
            raise ValueError("X has 0 rows while a minimum of 1 is required.")
        self._coder.check(events)
        return events

    def _check_rows(self, X, y, sample_weight):
        """Check what `fit` is given and learn about it: rows, y and weights."""
        events = self._as_events(X)
        self._takes_events = events is not None
        if events is None:
            rows, y, weight = self._check_training_data(X, y, sample_weight)
            self._place_columns()
            kept = np.arange(len(y))
            if sample_weight is not None:
                kept = np.flatnonzero(np.asarray(sample_weight))
            return rows, y, weight, kept
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        if not len(events):
            raise ValueError("X has 0 rows while a minimum of 1 is required.")
        y = check_target(y, self)
        check_consistent_length(events, y)
        weight = np.ones(len(y))
        if sample_weight is not None:
            weight = _check_sample_weight(
                sample_weight, np.empty((len(y), 1)), dtype=np.float64, ensure_non_negative=True
            )
        kept = np.flatnonzero(weight)
        return events[kept], y[kept], weight[kept], kept

    def _place_columns(self):
        """Set the times of the columns of a plain table."""
        n = self.n_features_in_
        grid = np.arange(float(n)) if self.time_grid is None else np.asarray(self.time_grid, float)
        if grid.shape != (n,) or not np.isfinite(grid).all():
            raise ValueError(
                f"time_grid has to hold a time for each of the {n} columns, got {self.time_grid!r}."
            )
        gaps = np.abs(np.diff(np.sort(grid)))
        gaps = gaps[gaps > 0]
        self.time_scale_ = float(np.median(gaps)) if len(gaps) else 1.0
        self._grid = (grid - grid[0]) / self.time_scale_

    # --- what is learnt before training ---------------------------------------------------

    def _fit_coder(self, X):
        """Learn types and scales from training histories, and choose periods."""
        self._coder = EventCoder(
            X, local=self.calendar == "local", with_gaps=bool(self.gap_feature)
        )
        self.time_scale_, self.time_origin_ = self._coder.scale, self._coder.origin
        self.event_types_ = pd.Series(self._coder.type_names).infer_objects().to_numpy()

    def _choose_periods(self, X):
        """Set the periods, in scaled units, of elapsed time and of the clock."""
        self._periods = self._clock_periods = None
        if self.time_encoding in ("positional", "none"):
            return
        if self.interaction == "kernel_bias" and self.time_encoding not in WAVES:
            raise ValueError(
                "interaction='kernel_bias' needs a kernel: a Bochner or Mercer time_encoding, got "
                f"{self.time_encoding!r}."
            )
        n = self.n_frequencies
        if self.time_encoding == "mercer":
            n = max(1, n // self.degree)
        if not self._takes_events:
            span = max(float(np.ptp(self._grid)), 1.0)
            limits = {"shortest": min(2.0, span), "longest": 2 * span}
            init = self.frequency_init
            if isinstance(init, str):
                init = "log" if init in ("auto", "calendar", "periodogram") else init
                self._periods = period_seeds(init, n, **limits)
            else:
                self._periods = period_seeds(init, n, **limits) / self.time_scale_
            return
        coder = self._coder
        seconds, scale = coder.axis.seconds, coder.scale
        limits = {"shortest": coder.shortest, "longest": 2 * coder.longest, "seconds": seconds}
        reference = self.time_reference
        if reference == "auto":
            reference = "relative" if seconds is None else "both"
        if isinstance(self.frequency_init, str) and self.frequency_init == "periodogram":
            found = self._periodogram(X, n, 2 * coder.longest)
            rest = period_seeds("log", max(n - len(found), 1), **limits)[: n - len(found)]
            periods = np.sort(np.append(found, rest))[::-1].copy()
        else:
            periods = period_seeds(self.frequency_init, n, **limits)
        if reference != "absolute":
            self._periods = periods / scale
        if reference != "relative":
            if seconds is not None:
                # a rhythm that was not seen twice would be learnt by heart
                clock = CLOCK[self.time_encoding == "mercer"] / seconds
                seen_twice = clock <= max(coder.clock_span / 2, clock.min())
                periods = clock[seen_twice]
            self._clock_periods = periods / scale

    def _periodogram(self, X, n, longest):
        """Return the strongest periods of the gaps between events, on the clock."""
        index = np.unique(X._event_index())[:EVENTS_LOOKED_AT]
        arrays = X.events.axis.clock(X.events.times[index], local=self._coder.local)
        gaps = self._coder._gaps(X.events)[index]
        with np.errstate(invalid="ignore"):
            signal = np.log1p(gaps / self._coder.scale)
        shortest = self._coder.shortest
        longest = max(longest, 2 * shortest)
        return find_periods(arrays, signal, max(1, n // 2), shortest=shortest, longest=longest)[0]

    # --- the net --------------------------------------------------------------------------

    def _make_module(self):
        time = self._make_map(self._periods)
        if self._takes_events:
            coder = self._coder
            tokens: EventTokens | GridTokens = EventTokens(
                coder.n_types, coder.n_numbers, coder.n_query_numbers, coder.n_scaled,
                self.d_model_, self._make_map(self._clock_periods),
            )  # fmt: skip
            n_places = self.max_len_ if self.time_encoding == "positional" else 0
        else:
            grid = torch.tensor(self._grid, dtype=torch.float64)
            tokens = GridTokens(grid, self.encoder_.n_categories_, self.d_model_)
            n_places = self.n_features_in_ if self.time_encoding == "positional" else 0
        return TimeEventNet(
            tokens,
            time,
            interaction=self.interaction,
            n_places=n_places,
            d_model=self.d_model_,
            n_heads=self.n_heads,
            n_layers=self.n_layers_,
            feed_forward_dim=self.feed_forward_dim,
            dropout=self._dropout,
            n_outputs=self._n_outputs,
        )

    def _make_map(self, periods):
        if periods is None:
            return None
        periods = torch.tensor(periods, dtype=torch.get_default_dtype())
        if self.time_encoding == "time2vec":
            return Time2Vec(periods)
        if self.time_encoding == "mercer_summed":
            return SummedMercer(periods, self.degree)
        return Waves(periods, self.time_encoding, self.degree, bool(self.learn_frequencies))

    def _shares_passes(self, X):
        """Say whether all rows of a sequence go through the net in one pass."""
        can = self.time_encoding in (*WAVES, "positional", "none") and (
            self.interaction in ("concat", "kernel_bias") or self._periods is None
        )
        if self.prefix_training == "auto":
            return can and len(X) >= ROWS_PER_SEQUENCE * len(np.unique(X.sequence))
        if self.prefix_training and not can:
            raise ValueError(
                "prefix_training needs times that each event of a sequence can share: a Bochner or "
                "Mercer time_encoding (or 'positional', 'none') with interaction 'concat' or "
                f"'kernel_bias', got time_encoding={self.time_encoding!r} and "
                f"interaction={self.interaction!r}."
            )
        return bool(self.prefix_training)

    def _fit_net(self, X, target, weight, criterion, rows, seeds, given):
        """Train the net on rows, and hold others out."""
        train_rows, valid_rows = rows
        self._choose_shape(len(X))
        # Noise for each row would tell a row of weight 2 from two rows.
        self._dropout = self.dropout if len(train_rows) > self.batch_size else 0.0
        device, dtype = self._resolve_device(), self._resolve_dtype(len(train_rows))
        self._choose_periods(X)

        def tensors(chosen):
            arrays = (target[chosen], weight[chosen])
            made = [torch.as_tensor(array, device=device) for array in arrays]
            return [t.to(dtype) if t.is_floating_point() else t for t in made]

        loss = weighted_row_loss(criterion)
        if self._takes_events:
            self.max_len_ = self.max_len
            shared = self._shares_passes(X)
            options = {"max_len": self.max_len, "device": device, "dtype": dtype}
            edges = self._coder.edges(X[train_rows], N_BINS)
            histories = Histories(X[train_rows], self._coder, shared=shared, **options)
            batches: HistoryBatches | TensorBatches
            batches = HistoryBatches(histories, *tensors(train_rows), batch_size=self.batch_size)
            held_out = []
            if len(valid_rows):
                held = Histories(X[valid_rows], self._coder, shared=shared, **options)
                own, own_weight = tensors(valid_rows)
                held_batches = (held.batch(part) for part in held.parts())
                held_out = [(b, own[r], own_weight[r]) for b, r in held_batches]
        else:
            X = torch.as_tensor(X, device=device, dtype=dtype)
            batches = TensorBatches(X[train_rows], *tensors(train_rows), batch_size=self.batch_size)
            held_out = []
            if len(valid_rows):
                parts = (X[valid_rows], *tensors(valid_rows))
                held_out = list(zip(*(part.split(PREDICT_ROWS) for part in parts), strict=True))

        module = self._build_module(seeds[0], dtype)
        with torch.no_grad():
            if self._takes_events:
                for numbers, found in zip(
                    (module.tokens.numbers, module.tokens.query_numbers), edges, strict=True
                ):
                    numbers.edges.copy_(torch.as_tensor(found))
            else:
                # each row once, so that a row of weight 2 equals two rows
                module.tokens.cells.fit_bins(np.unique(X[train_rows].cpu().numpy(), axis=0))

        def validate(module):
            # a part's loss is a mean, so it counts by its weight
            total = sum(loss(module, part) * part[-1].sum() for part in held_out)
            return total / sum(part[-1].sum() for part in held_out)

        self._train(
            module,
            batches=RepeatedBatches(batches, STEPS_PER_EPOCH),
            loss=loss,
            validate=validate if held_out else None,
            schedule=one_cycle,
            clip_norm=1.0,
            seed=seeds[1],
            X=given[0],
            y=given[1],
        )
        self._n_features_out = self.d_model_
        return self

    def _attributes_after_training(self, module):
        attributes = super()._attributes_after_training(module)
        if isinstance(module.time, Waves):
            with torch.no_grad():
                frequencies = module.time.frequencies().double().cpu().numpy()
                weights = module.time.weights().double().cpu().numpy()
            periods = 2 * math.pi / frequencies * self.time_scale_
            attributes |= {"frequencies_": 2 * math.pi / periods, "periods_": periods,
                           "kernel_weights_": weights}  # fmt: skip
        return attributes

    # --- what a fitted net says -------------------------------------------------------------

    def _forward(self, X, method):
        """Call the module, or a method of it, on rows of any kind."""
        rows = self._encode_table(X, reset=False)
        if not self._takes_events:
            return self._forward_rows(rows, method)
        parameter = next(self.module_.parameters())
        histories = Histories(
            rows, self._coder, max_len=self.max_len_, device=parameter.device,
            dtype=parameter.dtype, unknown=self.handle_unknown,
        )  # fmt: skip

        found, order = [], []

        def outputs(part):
            batch, which = histories.batch(part)
            output = method(batch).to("cpu", torch.float64)
            order.append(which.cpu())
            return output

        with torch.inference_mode():
            for part in histories.parts():

                def outputs_of(rows, part=part):
                    return outputs(part[rows])

                found.append(in_parts(outputs_of, len(part), len(part)))
        out = torch.empty_like(torch.cat(found))
        out[torch.cat(order)] = torch.cat(found)
        return out.numpy()

    def _raw_predict(self, X):
        return self._forward(X, self.module_)

    def _export_inputs(self, X):
        rows = self._encode_table(X, reset=False)
        if not self._takes_events:
            return {"cells": (self._as_numbers(rows), 1)}
        parameter = next(self.module_.parameters())
        histories = Histories(
            rows, self._coder, max_len=self.max_len_, device=parameter.device,
            dtype=parameter.dtype, unknown=self.handle_unknown,
        )  # fmt: skip
        batch, _ = histories.batch(torch.arange(len(rows), device=parameter.device))
        arrays = {name: getattr(batch, name).cpu().numpy() for name in EXPORTED}
        return {
            name: (array, 1 if name.startswith("query") else 2) for name, array in arrays.items()
        }

    def _export_forward(self):
        if not self._takes_events:
            return lambda cells: self.module_(cells)

        def outputs(**arrays):  # one reader for each history, who sees all of it
            stop = arrays["real"].sum(dim=1, keepdim=True)
            return self.module_(
                EventBatch(**arrays, first=torch.zeros_like(stop), stop=stop, asked=None)
            )

        return outputs

    def _raw_transform(self, X):
        return self._forward(X, self.module_.embed)

    def attention_weights(self, X: Table, layer: int | None = None) -> AttentionMaps:
        """Return where the net looked.

        Parameters
        ----------
        X : EventSequences, frame or array-like
            Rows, as in `predict`.
        layer : int, default=None
            None for the last layer, where the token that a prediction is read from looks at the
            events. Lower layers, where events look at earlier ones, by their position.

        Returns
        -------
        AttentionMaps
            One layer. Keys are slots, ``-1`` the latest event (or columns of a plain table), and
            "nothing": what is left for no event.
        """
        check_is_fitted(self)
        rows = self._encode_table(X, reset=False)
        n_layers = len(self.module_.blocks)
        layer = n_layers - 1 if layer is None else layer
        if not -n_layers <= layer < n_layers:
            raise ValueError(f"layer={layer} is none of the {n_layers} layers.")
        parameter = next(self.module_.parameters())
        with torch.inference_mode():
            if self._takes_events:
                histories = Histories(
                    rows, self._coder, max_len=self.max_len_,
                    device=parameter.device, dtype=parameter.dtype,
                )  # fmt: skip
                batch, _ = histories.batch(torch.arange(len(rows), device=parameter.device))
                lengths = histories.length.cpu().numpy()
            else:
                batch = torch.as_tensor(rows, dtype=parameter.dtype, device=parameter.device)
            weights = self.module_.weights(batch, layer).double().cpu().numpy()
        labels = ["nothing"]
        if self._takes_events:  # to the right, so that the latest events are in one column
            n_slots = weights.shape[-1] - 1
            moved = np.zeros_like(weights)
            moved[..., -1] = weights[..., -1]
            for row, length in enumerate(lengths):
                moved[row, ..., n_slots - length : n_slots] = weights[row, ..., :length]
                if weights.shape[2] > 1:
                    moved[row] = np.roll(moved[row], n_slots - length, axis=1)
                    moved[row, :, : n_slots - length] = 0.0
                    moved[row, :, : n_slots - length, -1] = 1.0
            weights, labels = moved, [*range(-n_slots, 0), "nothing"]
        else:
            names = getattr(self, "feature_names_in_", [f"x{j}" for j in range(rows.shape[1])])
            labels = [*names, "nothing"]
        is_last = layer % n_layers == n_layers - 1
        return AttentionMaps(
            [weights],
            query_labels=["prediction"] if is_last else labels[:-1],
            key_labels=labels,
            query_axis="token" if is_last else "event",
            key_axis="event" if self._takes_events else "column",
        )

    def time_kernel(self, lags: ArrayLike) -> np.ndarray:
        r"""Return the learnt time kernel :math:`\psi` at some lags.

        Parameters
        ----------
        lags : array-like of shape (n,)
            Elapsed times, in units.

        Returns
        -------
        ndarray of shape (n,)
            :math:`\psi`, with :math:`\psi(0) = 1`.
        """
        check_is_fitted(self)
        if not hasattr(self, "frequencies_"):
            raise ValueError(f"time_encoding={self.time_encoding!r} has no kernel.")
        lags = np.asarray(lags, dtype=np.float64)
        return np.cos(lags[:, None] * self.frequencies_) @ self.kernel_weights_
