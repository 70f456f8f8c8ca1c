"""Explanations are true of the model, smallest, and found in few tries where attention tells."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import check_estimator

from sklearn_selfattn import (
    AttentionCausalDiscovery,
    CLEANNExplainer,
    CumulativeExplainer,
    NPTClassifier,
    SubsetSearchExplainer,
)
from tests.causal.models import MeanClassifier, RuleClassifier

ABSENT = 0
EXPLAINERS = [CLEANNExplainer, SubsetSearchExplainer, CumulativeExplainer]


def looking_at(n_columns, columns, n_heads=1, decoys=()):
    """Attention in which column 0 looks at some columns, each of which looks at itself alone."""
    A = np.eye(n_columns)
    A[0, list(columns)] = 1.0
    for v in decoys:  # attended to more, and no cause of anything but of each other
        A[0, v] = 1.5
    return np.broadcast_to(A / A.sum(axis=1, keepdims=True), (n_heads, n_columns, n_columns))


def needs(*groups):
    """Return a rule: "yes" while all columns of one group are there."""

    def rule(X):
        there = [(X[:, list(group)] != ABSENT).all(axis=1) for group in groups]
        return 0.1 + 0.8 * np.any(there, axis=0)

    return rule


def explainer(kind, rule, weights, **params):
    model = RuleClassifier(rule, weights).fit()
    return kind(FrozenEstimator(model), mask_value=ABSENT, **params).fit(np.ones((1, 2)), [0])


def minimal_sets(rule, row, columns, max_size=3):
    """All sets of the smallest size that change the outcome, tried one by one."""
    was = rule(row[None])[0] > 0.5
    for size in range(1, max_size + 1):
        hits = []
        for nodes in combinations(columns, size):
            without = row.copy()
            without[list(nodes)] = ABSENT
            if (rule(without[None])[0] > 0.5) != was:
                hits.append(nodes)
        if hits:
            return hits
    return []


def test_the_set_that_matters():
    rule = needs((2, 5))
    model = explainer(CLEANNExplainer, rule, looking_at(8, [2, 5]), fallback=None)
    (found,) = model.explain(np.ones((1, 8), dtype=int))
    assert found.sets == [(2,), (5,)]
    assert (found.outcome_before, found.outcome_after) == ("yes", "no")
    assert found.replacement_rank == 2
    assert (found.size, found.distance, found.head, found.target) == (1, 1, 0, 0)
    assert found.n_model_calls == 2  # all candidates of size 1: the graph left the others out
    assert found.pag.nodes == list(range(8))
    assert found.to_frame()["column"].tolist() == [2, 5]
    assert found.highlight(list("abcdefgh")) == "a b [c] d e f g h"


def test_sets_of_several_tokens():
    rule = needs((1, 2), (3, 4))  # one of each pair has to go
    row = np.ones((1, 6), dtype=int)
    model = explainer(CLEANNExplainer, rule, looking_at(6, [1, 2, 3, 4]), fallback=None)
    (found,) = model.explain(row)
    assert sorted(found.sets) == [(1, 3), (1, 4), (2, 3), (2, 4)]
    assert sorted(found.sets) == minimal_sets(rule, row[0], range(1, 6))
    assert found.distance == 2
    first = clone(model).set_params(find="first").fit([[0]], [0]).explain(row)[0]
    assert len(first.sets) == 1
    assert first.n_sets_tried <= found.n_sets_tried


def random_rules(seed, n_columns=8):
    rng = np.random.default_rng(seed)
    groups = [tuple(rng.choice(np.arange(1, n_columns), 2, replace=False)) for _ in range(2)]
    weights = rng.dirichlet(np.full(n_columns, 0.3), size=(2, n_columns))
    return needs(*groups), weights


def test_with_fallback_it_finds_what_an_exhaustive_search_finds():
    n_without = n_with = 0
    for seed in range(15):
        rule, weights = random_rules(seed)
        row = np.ones((1, 8), dtype=int)
        truth = minimal_sets(rule, row[0], range(1, 8))
        full = explainer(CLEANNExplainer, rule, weights)
        (found,) = full.explain(row)
        assert sorted(found.sets) == truth
        for order in ("attention", "recency", "random", "leave_one_out"):
            peer = explainer(SubsetSearchExplainer, rule, weights, order=order)
            assert sorted(peer.explain(row)[0].sets) == truth
        alone = explainer(CLEANNExplainer, rule, weights, fallback=None).explain(row)[0]
        # what the graph proposes has been tried, so that it is true even where it misses sets
        for nodes in alone.sets:
            without = row.copy()
            without[0, list(nodes)] = ABSENT
            assert rule(without)[0] < 0.5
        n_without += len(alone.sets)
        n_with += len(found.sets)
    assert n_without < n_with


def test_the_graph_saves_tries_where_attention_is_causal():
    """Attention as a structural model: its direct causes decide, others are attended to as well."""
    n_tries = {"graph": 0, "attention": 0, "random": 0}
    for seed in range(12):
        rng = np.random.default_rng(seed)
        columns = rng.permutation(np.arange(1, 10))
        causes, behind = columns[:2], columns[2:8]
        effects = np.zeros((10, 10))
        effects[0, causes] = 1.0
        for v in behind:  # causes of the causes: the target attends to them through these
            effects[rng.choice(causes), v] = rng.uniform(1.2, 2)
        A = np.linalg.inv(np.eye(10) - effects)
        A = np.maximum(A, 0) / np.maximum(A, 0).sum(axis=1, keepdims=True)
        rule = needs((causes[0],), (causes[1],))  # both have to go
        row = np.ones((1, 10), dtype=int)
        reader = AttentionCausalDiscovery(n_samples=1e6, alpha=1e-4)
        for name, kind, params in (
            ("graph", CLEANNExplainer, {"discovery": reader}),
            ("attention", SubsetSearchExplainer, {}),
            ("random", SubsetSearchExplainer, {"order": "random", "random_state": seed}),
        ):
            model = explainer(kind, rule, A[None], find="first", batch_size=1, **params)
            (found,) = model.explain(row)
            assert found.sets == [tuple(sorted(causes.tolist()))]
            assert found.n_model_calls == found.n_sets_tried
            n_tries[name] += found.n_sets_tried
    assert n_tries["graph"] < 0.5 * n_tries["attention"]
    assert n_tries["graph"] < 0.5 * n_tries["random"]


def test_cumulative_sets_are_larger():
    rule = needs((2,))
    weights = looking_at(6, [2], decoys=[3, 4])
    row = np.ones((1, 6), dtype=int)
    by_attention = explainer(CumulativeExplainer, rule, weights).explain(row)[0]
    assert by_attention.sets == [(2, 3, 4)]  # the decoys go first
    assert explainer(CLEANNExplainer, rule, weights).explain(row)[0].sets == [(2,)]
    alone = explainer(CumulativeExplainer, rule, weights, order="leave_one_out").explain(row)[0]
    assert alone.sets == [(2,)]
    assert alone.n_model_calls == 5 + 1
    recent = explainer(CumulativeExplainer, rule, weights, order="recency").explain(row)[0]
    assert recent.sets == [(2, 3, 4, 5)]
    given = explainer(
        CumulativeExplainer, rule, weights, order=lambda model, X: -np.abs(np.arange(6) - 2.0)[None]
    )
    assert given.explain(row)[0].sets == [(2,)]


def test_distance_before_size():
    """The text's search: all sizes near the target before anything farther away."""
    effects = np.zeros((5, 5))
    effects[0, [2, 4]] = 1.0
    effects[1, [0, 3]] = 1.0  # 3 is reached through 1, their common effect
    A = np.linalg.inv(np.eye(5) - effects)
    A = np.maximum(A, 0) / np.maximum(A, 0).sum(axis=1, keepdims=True)

    def rule(X):  # two with the far one, or all three near ones
        gone = X == ABSENT
        return 0.9 - 0.8 * (gone[:, 1] & (gone[:, 3] | (gone[:, 2] & gone[:, 4])))

    reader = AttentionCausalDiscovery(n_samples=1e6)
    row = np.ones((1, 5), dtype=int)
    found = {
        search: explainer(CLEANNExplainer, rule, A[None], search=search, discovery=reader)
        .explain(row)[0]
        for search in ("size", "distance")
    }  # fmt: skip
    assert found["distance"].sets == [(1, 2, 4)]
    assert found["size"].sets == [(1, 3)]
    assert found["size"].distance == 1 + 2


class NextItem(RuleClassifier):
    """Recommends item 7 while 3 is in the history, else 8; an item seen before comes out on top."""

    def fit(self, X=None, y=None):
        self.classes_ = np.arange(1, 10)
        return self

    def predict_proba(self, X):
        self.slots_ = X[:, -1].copy()
        scores = np.full((len(X), 9), 0.01)
        has_3 = (X == 3).any(axis=1)
        scores[:, 6] = 0.3 + 0.2 * has_3
        scores[:, 7] = 0.4
        scores[:, 4] = 0.45
        return scores / scores.sum(axis=1, keepdims=True)

    def attention_weights(self, X, layer=None):
        self.filled_ = X[:, -1].copy()
        return super().attention_weights(X, layer)


def test_recommendation():
    """The slot is filled for attention, empty for questions; seen items are no answer."""
    weights = np.eye(6)
    weights[-1, 2] = 1.0
    weights /= weights.sum(axis=1, keepdims=True)
    model = NextItem(None, weights[None]).fit()
    row = np.array([[0, 5, 3, 1, 2, 99]])  # padded in front; 99 marks the slot
    kept = {}

    def remove(row, columns):
        row = row.copy()
        row[list(columns)] = 0
        kept.setdefault("columns", []).append(tuple(columns))
        return row

    params = {"target": "next", "exclude_seen": True, "mask_value": remove, "fallback": None}
    explaining = CLEANNExplainer(FrozenEstimator(model), **params).fit(row, [7])
    (found,) = explaining.explain(row)
    assert model.filled_.tolist() == [7]
    assert model.slots_.tolist() == [99]
    assert (found.outcome_before, found.outcome_after) == (7, 8)
    assert found.sets == [(2,)]
    assert found.replacement_rank == 2  # 5 had more, but was seen
    assert kept["columns"] == [(2,)]
    assert explaining.graphs(row)[0][0].possible_ancestors(5) == [2]
    # without the rule, the item seen before is the outcome that does not change
    (other,) = explaining.set_params(exclude_seen=False).explain(row)
    assert other.outcome_before == 7
    assert other.outcome_after == 5


def test_a_tie_is_no_change():
    def rule(X):
        return np.where((X[:, 1:] != ABSENT).all(axis=1), 0.8, 0.5)

    model = explainer(CLEANNExplainer, rule, looking_at(4, [1]))
    assert not model.explain(np.ones((1, 4), dtype=int))[0].found


def test_only_what_is_there_and_may_go():
    rule = needs((1,), (2,))
    model = explainer(SubsetSearchExplainer, rule, looking_at(5, [1, 2]))
    (found,) = model.explain(np.array([[1, 1, 0, 1, 1]]))
    assert found.sets == [(1,)]
    assert found.n_model_calls == 3  # columns 1, 3, 4: 2 is absent already, 0 is the target
    removable = np.array([[False, False, True, True, True]])
    assert not model.explain(np.ones((1, 5), dtype=int), removable=removable)[0].found


def test_samples_share_calls_and_nothing_else():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, size=(30, 8))
    X[:, 0] = 1
    for kind in EXPLAINERS:
        rule, weights = random_rules(3)
        for params in ({"batch_size": 7}, {}):
            model = explainer(kind, rule, weights, **params)
            together = model.explain(X)
            for k in (0, 11, 29):
                (alone,) = model.explain(X[[k]])
                assert alone.sets == together[k].sets
                assert alone.n_sets_tried == together[k].n_sets_tried
    asked = model.estimator_.estimator
    before = asked.n_rows_
    together = model.explain(X)
    # the rows of X themselves, and what the explanations say
    assert asked.n_rows_ - before == 30 + sum(e.n_model_calls for e in together)


def test_calls_are_limited():
    model = explainer(
        SubsetSearchExplainer, lambda X: np.full(len(X), 0.9), looking_at(12, [1]),
        max_model_calls=25,
    )  # fmt: skip
    (found,) = model.explain(np.ones((1, 12), dtype=int))
    assert not found.found
    assert found.n_model_calls == found.n_sets_tried == 25
    assert (found.size, found.outcome_after, found.distance) == (None, None, None)


def test_tables_lose_cells_to_nan():
    """A model of tables: absent is missing."""
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=["a", "b", "c"])

    class Tolerant(MeanClassifier):
        def predict_proba(self, X):
            assert list(X.columns) == ["a", "b", "c"]  # as it was fitted
            yes = np.where(X["b"].isna(), 0.1, 0.9)
            return np.column_stack([1 - yes, yes])

    model = SubsetSearchExplainer(Tolerant(), target=None, order="recency").fit(X, X["b"] > 0)
    (found,) = model.explain(X.head(1))
    assert found.sets == [(1,)]
    assert found.highlight() == "a [b] c"
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("order", ["recency", "leave_one_out"])
def test_frames_stay_frames(order):
    """Names, categories and whole numbers reach the model as they were fitted; gaps are gaps."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=200),
            "count": rng.integers(0, 9, size=200),
            "colour": pd.Categorical(rng.choice(["red", "blue"], size=200)),
            "new": rng.random(200) < 0.5,
        }
    )
    frame.loc[::5, "colour"] = np.nan
    y = np.where(frame["colour"] == "red", "warm", "cold")
    model = SubsetSearchExplainer(
        HistGradientBoostingClassifier(max_iter=20, random_state=0), target=None, order=order
    ).fit(frame, y)
    rows = frame[y == "warm"].head(5)
    for found in model.explain(rows):
        assert found.sets == [(2,)]
        assert found.labels == list(frame.columns)
    whole = rows[["count"]].to_numpy()
    counting = SubsetSearchExplainer(MeanClassifier(), target=None, order="recency")
    counting.fit(frame[["count"]].to_numpy(), y)
    with pytest.raises(ValueError, match="NaN"):  # this model takes no gaps, and says so
        counting.explain(whole)


@pytest.mark.parametrize("kind", EXPLAINERS)
def test_check_estimator_with_a_model(kind):
    results = check_estimator(kind(MeanClassifier()), on_fail=None, on_skip=None)
    assert len(results) > 50
    assert [
        (r["check_name"], r["status"], r["exception"]) for r in results if r["status"] != "passed"
    ] == []


def test_the_models_own_face():
    X = np.random.default_rng(0).normal(size=(20, 3))
    y = np.arange(20) % 2
    model, own = CLEANNExplainer(MeanClassifier()).fit(X, y), MeanClassifier().fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), own.predict_proba(X))
    assert model.score(X, y) == own.score(X, y)
    assert model.classes_.tolist() == [0, 1]
    assert hasattr(model, "predict")


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EXPLAINERS)
def test_not_fitted(kind):
    with pytest.raises(NotFittedError):
        kind(MeanClassifier()).explain([[1.0, 2.0]])


@pytest.mark.parametrize(
    ("kind", "params", "X", "words"),
    [
        (CLEANNExplainer, {"target": 9}, np.ones((1, 4)), "target has to be one of 4 columns"),
        (CLEANNExplainer, {"search": "depth"}, np.ones((1, 4)), "'search' parameter"),
        (CLEANNExplainer, {"discovery": "icd"}, np.ones((1, 4)), "'discovery' parameter"),
        (CLEANNExplainer, {}, np.ones(4), "2D array"),
        (CLEANNExplainer, {}, np.ones((1, 5)), "attends from 4 tokens .* X has 5 columns"),
        (SubsetSearchExplainer, {"target": None}, np.ones((1, 4)), "needs a target"),
        (SubsetSearchExplainer, {"max_set_size": 0}, np.ones((1, 4)), "'max_set_size' parameter"),
        (CumulativeExplainer, {"order": "random"}, np.ones((1, 4)), "'order' parameter"),
        (CumulativeExplainer, {"order": lambda m, X: X[0]}, np.ones((1, 4)), "scores of the shape"),
    ],
)
def test_bad_input_is_refused(kind, params, X, words):
    model = explainer(kind, needs((1,)), looking_at(4, [1]))
    model.set_params(**params)
    with pytest.raises(ValueError, match=words):
        model.explain(X)


@pytest.mark.parametrize("target", ["cls", 1])
def test_models_of_tables_are_refused_with_what_to_take_instead(target):
    """Their tokens are no columns of X, so that a column's attention would be another's."""
    X = np.random.default_rng(0).normal(size=(30, 3))
    y = np.where(X[:, 0] > 0, "yes", "no")
    npt = FrozenEstimator(NPTClassifier(pretrained=False, max_epochs=1, random_state=0).fit(X, y))
    words = rf"4 tokens \(x0, x1, x2, target\) to 4, but X has 3 columns.* target={target!r} .*"
    for explainer in (CLEANNExplainer, SubsetSearchExplainer, CumulativeExplainer):
        with pytest.raises(ValueError, match=words + "take SubsetSearchExplainer"):
            explainer(npt, target=target).fit(X, y).explain(X[:1])
        with pytest.raises(ValueError, match="target='next' puts the predicted label into the"):
            explainer(npt, target="next").fit(X, y).explain(X[:1])
    advised = SubsetSearchExplainer(npt, order="leave_one_out", target=None).fit(X, y)
    assert advised.explain(X[:1])[0].n_sets_tried > 0


def test_models_that_cannot_be_asked():
    X, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    with pytest.raises(TypeError, match="LogisticRegression does not answer attention_weights"):
        CLEANNExplainer(LogisticRegression()).fit(X, y).explain(X)
    with pytest.raises(ValueError, match="removable has to have the shape of X"):
        SubsetSearchExplainer(MeanClassifier()).fit(X, y).explain(X, removable=[[True]])
    with pytest.raises(ValueError, match="X has 2 features, but CLEANNExplainer is expecting 3"):
        CLEANNExplainer(MeanClassifier()).fit(X, y).explain(X[:, :2])
