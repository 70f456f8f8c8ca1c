"""What an explainer says of one outcome, and how candidate sets are tried on the model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd


@dataclass(eq=False)
class Explanation:
    """Smallest sets of tokens without which a model would have said something else.

    Attributes
    ----------
    sets : list of tuple of int
        Columns; all of them, or the first, as the explainer was asked. Empty if none was found.
    outcome_before, outcome_after : object
        What the model predicts, and what it predicts without the first set (None if none).
    replacement_rank : int or None
        Place of the new outcome among the model's original preferences: 2 is the runner-up.
    n_model_calls : int
        Rows that the model was asked to predict for this.
    n_sets_tried : int
        Sets that were looked at, in order, up to the first that changes the outcome.
    distance : int or None
        Sum over the first set of the nodes' distances to the target in the graph.
    head : int or None
        Head whose graph proposed the first set; None if no graph did.
    pag : PAG or None
        That head's graph.
    target : int or None
        Column of the outcome's token.
    labels : list
        Names of the columns.

    Examples
    --------
    >>> from sklearn_selfattn.causal import Explanation
    >>> Explanation(sets=[(1,)], outcome_before="ham", labels=["cheap", "pills"]).highlight()
    'cheap [pills]'
    """

    sets: list[tuple[int, ...]] = field(default_factory=list)
    outcome_before: object = None
    outcome_after: object = None
    replacement_rank: int | None = None
    n_model_calls: int = 0
    n_sets_tried: int = 0
    distance: int | None = None
    head: int | None = None
    pag: object = None
    target: int | None = None
    labels: list[Any] = field(default_factory=list)

    @property
    def found(self) -> bool:
        """Whether a set was found."""
        return bool(self.sets)

    @property
    def size(self) -> int | None:
        """Number of tokens in the first set, None without one."""
        return len(self.sets[0]) if self.sets else None

    def to_frame(self) -> pd.DataFrame:
        """List the sets in a table.

        Returns
        -------
        pandas.DataFrame
            Columns `set` (its number), `column` and `token`; one row per token.
        """
        import pandas as pd

        rows = [
            {"set": k, "column": v, "token": self.labels[v]}
            for k, nodes in enumerate(self.sets)
            for v in nodes
        ]
        return pd.DataFrame(rows, columns=["set", "column", "token"])

    def highlight(self, tokens: Sequence[Any] | None = None) -> str:
        """Write the tokens as a text, those of the first set in brackets.

        Parameters
        ----------
        tokens : sequence of length n_columns, default=None
            What to write for each column; `labels` by default.

        Returns
        -------
        str
            The tokens, separated by blanks.
        """
        tokens = self.labels if tokens is None else tokens
        chosen = set(self.sets[0]) if self.sets else set()
        return " ".join(f"[{t}]" if v in chosen else str(t) for v, t in enumerate(tokens))


class Searches:
    """Ask a model about sets of many samples at once.

    Parameters
    ----------
    predict_proba : callable
        Probabilities of classes for rows.
    remove : callable
        ``remove(row, columns)`` returns the row without these.
    outcome_scores : callable
        ``outcome_scores(proba, sample)`` returns scores with forbidden classes put last.
    batch_size : int
        The most rows in one call.
    """

    def __init__(self, predict_proba, remove, outcome_scores, batch_size):
        self.predict_proba, self.remove = predict_proba, remove
        self.outcome_scores, self.batch_size = outcome_scores, batch_size

    def run(self, X, levels, before, *, first_only, max_model_calls):
        """Try sets until one changes the outcome.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_columns)
            Samples.
        levels : list of iterators
            For each sample, lists of sets; sets of one list are equally good in size.
        before : ndarray of int of shape (n_samples,)
            Class codes of the outcomes to change.
        first_only : bool
            Whether to stop at the first set, or to try all of its list.
        max_model_calls : int
            The most rows for one sample.

        Returns
        -------
        list of tuple
            ``(sets that change it, scores without the first, calls, sets tried)`` per sample.
        """
        waiting = {
            sample: _OneSearch(iter(found), max_model_calls) for sample, found in enumerate(levels)
        }
        searches = list(waiting.values())
        while waiting:
            share = max(1, self.batch_size // len(waiting))
            asked = {sample: search.next_sets(share) for sample, search in waiting.items()}
            asked = {sample: sets for sample, sets in asked.items() if sets}
            rows = [self.remove(X[s], nodes) for s, sets in asked.items() for nodes in sets]
            answers = self._predict(rows) if rows else []
            start = 0
            for sample, sets in asked.items():
                scores = self.outcome_scores(answers[start : start + len(sets)], sample)
                start += len(sets)
                own = scores[:, before[sample]]
                waiting[sample].take(sets, scores, scores.max(axis=1) > own)
            waiting = {
                sample: search
                for sample, search in waiting.items()
                if not (sample not in asked or (search.hits and (first_only or search.level_done)))
            }
        return [(s.hits[:1] if first_only else s.hits, s.scores, s.calls, s.tried)
                for s in searches]  # fmt: skip

    def _predict(self, rows):
        parts = range(self.batch_size, len(rows), self.batch_size)
        rows = np.stack(rows)
        return np.concatenate([self.predict_proba(part) for part in np.split(rows, parts)])


class _OneSearch:
    """Where the search of one sample stands."""

    def __init__(self, levels, max_model_calls):
        self.levels, self.left = levels, max_model_calls
        self.level, self.position = [], 0
        self.hits, self.scores, self.calls, self.tried = [], None, 0, 0

    @property
    def level_done(self):
        return self.position >= len(self.level)

    def next_sets(self, share):
        while self.level_done:
            try:
                self.level, self.position = next(self.levels), 0
            except StopIteration:
                return []
        sets = self.level[self.position : self.position + min(share, self.left)]
        self.position += len(sets)
        self.left -= len(sets)
        return sets

    def take(self, sets, scores, changed):
        self.calls += len(sets)
        if not self.hits:
            places = np.flatnonzero(changed)
            self.tried += int(places[0]) + 1 if len(places) else len(sets)
            if len(places):
                self.scores = scores[places[0]]
        self.hits += [nodes for nodes, is_one in zip(sets, changed, strict=True) if is_one]
