"""Histories of events as numbers: what `fit` learns about them, and batches of tensors."""

import numpy as np
import torch

from .module import EventBatch, phase_dtype

MANY = 30  # events of a type that make its own mean and spread worth having
MOST_READERS = 32  # moments that one pass over a sequence trains
_TOKENS_AT_ONCE = 1 << 16  # when predicting


class EventCoder:
    """What `fit` learns about events: types, scales, the origin of the clock.

    Parameters
    ----------
    X : EventSequences
        Training histories.
    local : bool
        Whether the clock is that of the time zone.
    with_gaps : bool
        Whether the time since the event before is a number of an event.

    Attributes
    ----------
    type_names : ndarray of object
        Types that were seen; any other has the code after the last.
    scale : float
        Median time between events, in units; what times are divided by.
    shortest, longest : float
        Limits of the periods worth having, in units.
    """

    def __init__(self, X, *, local, with_gaps):
        events, self.axis = X.events, X.events.axis
        self.local, self.with_gaps = local, with_gaps
        self.value_names, self.static_names = events.names["values"], X.static_names
        index = np.unique(X._event_index())
        gaps = self._gaps(events)[index]
        positive = gaps[gaps > 0]
        self.scale = float(np.median(positive)) if len(positive) else 1.0
        X = X[_distinct_rows(X)]
        has_events = np.flatnonzero(X.stop > X.start)
        oldest = events.times[X.start[has_events]]
        spans = self.axis.difference(X._query()[has_events], oldest)
        spans = spans[spans > 0]
        self.longest = float(np.quantile(spans, 0.95)) if len(spans) else self.scale
        self.shortest = 2 * float(np.quantile(positive, 0.05)) if len(positive) else self.scale
        self.shortest = min(self.shortest, self.longest)
        clock = self.axis.clock(events.times[index], local=local)
        self.origin = float(np.floor(clock.min())) if len(clock) else 0.0
        self.clock_span = float(np.ptp(clock)) if len(clock) else 0.0
        self.has_types = events.codes is not None
        codes = events.codes[index] if self.has_types else np.zeros(len(index), dtype=np.int32)
        used = np.unique(codes[codes >= 0]) if self.has_types else codes[:0]
        self.type_names = events.type_names[used]
        values = events.values[index]
        self.mean, self.spread = _mean_and_spread(values)
        if self.has_types:
            self._fit_types(np.searchsorted(used, codes), codes >= 0, values)
        self.static_mean, self.static_spread = _mean_and_spread(X.static)
        log_gaps = np.log1p(gaps[np.isfinite(gaps)] / self.scale)
        self.gap_mean = float(log_gaps.mean()) if len(log_gaps) else 0.0
        self.gap_spread = (float(log_gaps.std()) if len(log_gaps) else 0.0) or 1.0

    def _fit_types(self, codes, known, values):
        n_types, n_values = len(self.type_names), values.shape[1]
        self.type_mean = np.tile(self.mean, (n_types + 1, 1))
        self.type_spread = np.tile(self.spread, (n_types + 1, 1))
        for v in range(n_values):
            there = known & ~np.isnan(values[:, v])
            x, code = values[there, v], codes[there]
            count = np.bincount(code, minlength=n_types)
            total = np.bincount(code, x, n_types)
            mean = total / np.maximum(count, 1)
            square = np.bincount(code, (x - mean[code]) ** 2, n_types) / np.maximum(count, 1)
            own = (count >= MANY) & (square > 1e-12 * (mean**2 + 1e-300))
            self.type_mean[:-1, v] = np.where(own, mean, self.mean[v])
            self.type_spread[:-1, v] = np.where(own, np.sqrt(square), self.spread[v])

    @property
    def n_types(self):
        """Number of types that were seen."""
        return len(self.type_names)

    @property
    def n_scaled(self):
        """Number of values that are scaled by type."""
        return len(self.value_names) if self.has_types else 0

    @property
    def n_numbers(self):
        """Number of numbers of an event."""
        return self.n_scaled + len(self.value_names) + self.with_gaps

    @property
    def n_query_numbers(self):
        """Number of numbers of a reader."""
        return self.with_gaps + len(self.static_names)

    def check(self, X):
        """Raise unless histories are of the kind that `fit` was given."""
        self.axis.check_same(X.events.axis, "Times differ in kind")
        for what, own, given in (
            ("event types", self.has_types, X.events.codes is not None),
            ("values", self.value_names, X.events.names["values"]),
            ("static columns", self.static_names, X.static_names),
        ):
            if own != given:
                raise ValueError(f"X has other {what} than in fit: {given} instead of {own}.")

    def code(self, X, *, unknown="infrequent"):
        """Return arrays of events and of rows."""
        events = X.events
        codes = np.zeros(len(events.times), dtype=np.int64)
        if self.has_types:
            place = {name: i for i, name in enumerate(self.type_names.tolist())}
            moved = [place.get(name, self.n_types) for name in events.type_names.tolist()]
            codes = np.append(moved, self.n_types).astype(np.int64)[events.codes]
            if unknown == "error":
                used = codes[X._event_index()] == self.n_types
                if used.any():
                    which = X._event_index()[used.argmax()]
                    name = events.type_names[events.codes[which]]
                    raise ValueError(f"Event type {name!r} was not seen in fit.")
        columns = []
        if self.n_scaled:
            columns.append((events.values - self.type_mean[codes]) / self.type_spread[codes])
        columns.append((events.values - self.mean) / self.spread)
        if self.with_gaps:
            columns.append(self._log_gap(self._gaps(events))[:, None])
        first = np.zeros(len(events.ids))
        if len(events.times):
            first = events.times[np.minimum(events.offsets[:-1], len(events.times) - 1)]
        of_event = np.repeat(np.arange(len(events.ids)), np.diff(events.offsets))
        query = X._query()
        has_last = X.stop > X.start
        own = (X.static - self.static_mean) / self.static_spread
        if len(events.times):
            since = self.axis.difference(query, events.times[np.maximum(X.stop - 1, 0)])
            begin = first[X.sequence]
            # an empty history counts from the moment it is looked at
            begin = np.where(X.events.offsets[X.sequence + 1] > X.events.offsets[X.sequence],
                             begin, query)  # fmt: skip
        else:
            since, begin = np.zeros(len(X)), query
        query_numbers = [own]
        if self.with_gaps:
            since = np.where(has_last, self._log_gap(since), np.nan)
            query_numbers.insert(0, since[:, None])
        clock = self.axis.clock
        return {
            "codes": codes,
            "numbers": np.concatenate(columns, axis=1),
            "times": self.axis.difference(events.times, first[of_event]) / self.scale
            if len(events.times)
            else np.empty(0),
            "clock": (clock(events.times, local=self.local) - self.origin) / self.scale,
            "query_times": self.axis.difference(query, begin) / self.scale,
            "query_clock": (clock(query, local=self.local) - self.origin) / self.scale,
            "query_numbers": np.concatenate(query_numbers, axis=1),
        }

    def edges(self, X, n_bins):
        """Return quantiles of the numbers of events, and of readers, of training rows.

        Two arrays (p, n_bins + 1); infinity fills up. Each event and each row counts once, so
        that a row of weight 2 equals two rows.
        """
        arrays = self.code(X)
        seen = (arrays["numbers"][np.unique(X._event_index())],
                arrays["query_numbers"][_distinct_rows(X)])  # fmt: skip
        found = []
        for numbers in seen:
            edges = np.full((numbers.shape[1], n_bins + 1), np.inf)
            for j, column in enumerate(numbers.T):
                column = column[~np.isnan(column)]
                if len(column):
                    own = np.quantile(column, np.linspace(0, 1, n_bins + 1))
                    own = np.unique(own.round(9))  # the unit of time may not split ties
                    edges[j, : len(own)] = own
            found.append(edges)
        return found

    def _gaps(self, events):
        gaps = np.full(len(events.times), np.nan)
        if len(gaps):
            gaps[1:] = self.axis.difference(events.times[1:], events.times[:-1])
            starts = events.offsets[:-1]
            gaps[starts[starts < len(gaps)]] = np.nan
        return gaps

    def _log_gap(self, gaps):
        with np.errstate(invalid="ignore"):
            return (np.log1p(np.maximum(gaps, 0) / self.scale) - self.gap_mean) / self.gap_spread


class Histories:
    """Rows as tensors on a device, cut into chunks that go through the net together.

    Parameters
    ----------
    X : EventSequences
        Rows.
    coder : EventCoder
        What was learnt about events.
    max_len : int
        The most events a reader sees, the latest ones.
    device : torch.device
        Where to.
    dtype : torch.dtype
        Of all numbers but times.
    shared : bool, default=False
        Whether rows of a sequence go through the net in one pass.
    unknown : {"infrequent", "error"}, default="infrequent"
        What becomes of types that were not seen in fit.
    """

    codes: torch.Tensor
    numbers: torch.Tensor
    times: torch.Tensor
    clock: torch.Tensor
    query_times: torch.Tensor
    query_clock: torch.Tensor
    query_numbers: torch.Tensor
    start: torch.Tensor
    stop: torch.Tensor
    order: torch.Tensor
    begin: torch.Tensor
    length: torch.Tensor
    first_row: torch.Tensor
    n_rows: torch.Tensor

    def __init__(self, X, coder, *, max_len, device, dtype, shared=False, unknown="infrequent"):
        X = X._compact()
        arrays = coder.code(X, unknown=unknown)
        if not len(X.events.times):  # all histories are empty: one event that nobody sees
            arrays |= {"codes": np.zeros(1, int), "times": np.zeros(1), "clock": np.zeros(1),
                       "numbers": np.full((1, coder.n_numbers), np.nan)}  # fmt: skip
        exact = phase_dtype(device)
        for name, array in arrays.items():
            kind = {"codes": torch.long}.get(
                name, exact if name.endswith(("times", "clock")) else dtype
            )
            setattr(self, name, torch.as_tensor(array, dtype=kind, device=device))
        start = np.maximum(X.start, X.stop - max_len)
        if shared:
            order, offsets = _share(X.sequence, start, X.stop, max_len)
        else:
            order, offsets = np.arange(len(X)), np.arange(len(X) + 1)
        firsts, lasts = order[offsets[:-1]], order[offsets[1:] - 1]
        for name, array in (
            ("start", start), ("stop", X.stop), ("order", order), ("begin", start[firsts]),
            ("length", X.stop[lasts] - start[firsts]), ("first_row", offsets[:-1]),
            ("n_rows", np.diff(offsets)),
        ):  # fmt: skip
            setattr(self, name, torch.as_tensor(array.astype(np.int64), device=device))

    def __len__(self):
        return len(self.begin)

    def batch(self, chunks):
        """Return the batch of some chunks, and its rows in the order of the net's outputs."""
        device = self.begin.device
        begin, length = self.begin[chunks], self.length[chunks]  # (b,)
        n_rows = self.n_rows[chunks]
        span = torch.arange(max(int(length.max()), 1), device=device)  # (l,)
        real = span < length[:, None]  # (b, l)
        index = torch.where(real, begin[:, None] + span, begin[:, None])
        index = index.clamp(max=len(self.times) - 1)
        readers = torch.arange(int(n_rows.max()), device=device)
        asked = readers < n_rows[:, None]  # (b, r)
        place = self.first_row[chunks][:, None] + torch.where(asked, readers, 0)
        rows = self.order[place]  # (b, r)
        zero = self.times[index[:, :1]] if len(span) else self.times.new_zeros(len(begin), 1)
        batch = EventBatch(
            codes=self.codes[index],
            numbers=self.numbers[index],
            times=self.times[index] - zero,
            clock=self.clock[index],
            real=real,
            first=self.start[rows] - begin[:, None],
            stop=self.stop[rows] - begin[:, None],
            query_times=self.query_times[rows] - zero,
            query_clock=self.query_clock[rows],
            query_numbers=self.query_numbers[rows],
            asked=asked,
        )
        return batch, rows[asked]

    def parts(self):
        """Yield indices of all chunks, those of like length together, for predicting."""
        order = torch.argsort(self.length, stable=True)
        lengths = self.length[order].clamp(min=1).tolist()
        begin = 0
        while begin < len(order):
            end = begin + 1
            while end < len(order) and lengths[end] * (end + 1 - begin) <= _TOKENS_AT_ONCE:
                end += 1
            yield order[begin:end]
            begin = end


class HistoryBatches:
    """Batches of an epoch, in an order drawn anew, of chunks of like length.

    Parameters
    ----------
    histories : Histories
        What to cut.
    target, weight, more : Tensor of shape (n_rows, ...)
        What belongs to each row.
    batch_size : int
        The most rows in a batch, roughly.
    """

    def __init__(self, histories, target, weight, *, batch_size):
        self.histories, self.target, self.weight = histories, target, weight
        rows_in_chunk = max(1.0, float(histories.n_rows.float().mean()))
        self.size = max(1, round(batch_size / rows_in_chunk))

    def __len__(self):
        return -(-len(self.histories) // self.size)

    def __call__(self, generator):
        """Yield the batches of one epoch."""
        n = len(self.histories)
        if len(self) == 1:
            yield self._take(torch.arange(n, device=self.histories.begin.device))
            return
        order = torch.randperm(n, generator=generator).to(self.histories.begin.device)
        length = self.histories.length[order]
        if int(length.max()) > 2 * int(length.min()):
            # like lengths together, within stretches long enough to stay random
            stretch = torch.arange(n, device=order.device) // (20 * self.size)
            order = order[torch.argsort(stretch * (int(length.max()) + 1) + length, stable=True)]
        parts = order.tensor_split(len(self))
        for i in torch.randperm(len(parts), generator=generator).tolist():
            yield self._take(parts[i])

    def _take(self, chunks):
        batch, rows = self.histories.batch(chunks)
        return batch, self.target[rows], self.weight[rows]


def _share(sequence, start, stop, max_len):
    """Gather rows of a sequence into chunks: row order, and where each chunk begins in it."""
    order = np.lexsort((stop, sequence))
    sequence, start, stop = sequence[order], start[order], stop[order]
    begins, n_rows, first = [0], 0, start[0]
    for i in range(len(order)):
        is_new = sequence[i] != sequence[i - 1] if i else False
        if is_new or n_rows == MOST_READERS or stop[i] - first > 2 * max_len + MOST_READERS:
            begins.append(i)
            n_rows, first = 0, start[i]
        first = min(first, start[i])
        n_rows += 1
    # the first row of a chunk must begin first: it does, because starts rise with stops
    return order, np.append(np.unique(begins), len(order))


def _distinct_rows(X):
    """Return positions of the rows, each once: a row of weight 2 has to equal two rows."""
    rows = np.column_stack([X.start, X.stop, X._query(), X.static])
    return np.unique(rows, axis=0, return_index=True)[1]


def _mean_and_spread(values):
    """Return mean and standard deviation of columns, 0 and 1 where there is none."""
    with np.errstate(invalid="ignore"):
        known = ~np.isnan(values)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, values, 0).sum(axis=0) / count
        spread = np.sqrt((np.where(known, values - mean, 0) ** 2).sum(axis=0) / count)
    return mean, np.where(spread > 0, spread, 1.0)
