"""Views of a table by one net: any order of columns and rows, many classes, distributions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq

from sklearn_selfattn.core.mixins import weighted_mean_and_scale
from sklearn_selfattn.npt import ensemble
from sklearn_selfattn.npt.ensemble import Encoded, Ensemble, rank_columns
from sklearn_selfattn.npt.in_context import MAX_CLASSES
from tests.npt.nets import SMALL, make_net

N_CONTEXT, N_CLASSES = 40, 3
CATEGORICAL = np.array([False, False, False, False, True, True, False])
quick = settings(derandomize=True, deadline=None, max_examples=10)
every_task = pytest.mark.parametrize("task", ["classification", "regression"])


def make_cells(task, n_rows=N_CONTEXT, seed=0):
    """Return cells with ties, a negated and a doubled column, categories, missing cells."""
    rng = np.random.RandomState(seed)
    x, ties = rng.normal(size=n_rows), rng.randint(3, size=n_rows) - 1.0
    X = np.column_stack([x, -x, x, ties, rng.randint(4, size=(n_rows, 2)), rng.normal(size=n_rows)])
    y = X[:, 0] + ties * X[:, 6]
    X[::5, 3], X[1::7, 5], X[2::6, 6] = np.nan, np.nan, np.nan
    if task == "classification":
        y = np.searchsorted(np.quantile(y, [0.3, 0.6]), y).astype(float)
    return np.column_stack([X, y])


def make_ensemble(task, categorical=CATEGORICAL, dtype=torch.float64, **changed):
    sizes = {
        "n_categories": 4,
        "n_classes": N_CLASSES if task == "classification" else 0,
        "n_members": 4,
        "n_columns": len(categorical),
        "seed": 0,
    }
    return Ensemble(make_net(), categorical, **{**sizes, **changed}).to(dtype).eval()


@torch.no_grad()
def predict(task, context, queries, columns=None, dtype=torch.float64):
    """Return log probabilities or means for queries, the columns given in some order."""
    columns = np.arange(len(CATEGORICAL)) if columns is None else np.asarray(columns)
    with_target = np.append(columns, len(columns))
    members = make_ensemble(task, CATEGORICAL[columns], dtype)
    members.arrange(context[:, with_target])
    context, queries = (
        torch.as_tensor(cells[:, with_target], dtype=dtype)[None] for cells in (context, queries)
    )
    encoded = members.encode(context)
    logits = members.target(members.query(queries, encoded))
    if task == "classification":
        return members.log_share(logits).numpy()
    return members.mean(logits, encoded).numpy()


@every_task
@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_order_of_columns_and_rows_does_not_matter(task, dtype, error):
    context, queries = make_cells(task), make_cells(task, 15, seed=1)
    expected = predict(task, context, queries, dtype=dtype)
    assert expected.std(axis=0).min() > 1e-3

    @given(st.permutations(range(len(CATEGORICAL))), st.permutations(range(N_CONTEXT)))
    @quick
    def another_order(columns, rows):
        found = predict(task, context[rows], queries, columns, dtype)
        np.testing.assert_allclose(found, expected, rtol=0, atol=error)

    another_order()


@every_task
def test_without_the_ranking_the_order_of_columns_matters(task, monkeypatch):
    monkeypatch.setattr(ensemble, "rank_columns", lambda cells, _: np.arange(cells.shape[1] - 1))
    context, queries = make_cells(task), make_cells(task, 15, seed=1)
    changed = predict(task, context, queries, [6, 4, 2, 0, 5, 3, 1])
    assert np.abs(changed - predict(task, context, queries)).max() > 1e-4


def test_the_ranking_does_not_depend_on_the_last_digits_of_a_mean():
    """Columns that tell the same of the target, scaled by sums over rows in some order."""
    rng = np.random.RandomState(0)
    x, b = rng.normal(size=60), rng.rand(60) < 0.5
    X = np.column_stack([x, 1 - x, b, ~b, rng.normal(size=60)]).astype(float)
    y = (x + b > 0.5).astype(float)
    rankings = {True: set(), False: set()}
    for seed in range(80):
        rng = np.random.RandomState(seed)
        rows, columns = rng.permutation(60), rng.permutation(5)
        shuffled = X[rows][:, columns]
        mean, scale = weighted_mean_and_scale(shuffled)
        cells = np.column_stack([(shuffled - mean) / scale, y[rows]])
        by_class = seed % 2 == 0
        rankings[by_class].add(tuple(columns[rank_columns(cells, by_class)]))
    assert [len(found) for found in rankings.values()] == [1, 1]


def test_the_best_columns_come_first():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(200, 6))
    X[:, 4] = 1.0  # tells nothing at all
    target = 3 * X[:, 2] - 2 * X[:, 5] + X[:, 0]
    X[::10, 2] = np.nan
    ranking = rank_columns(np.column_stack([X, target]), by_class=False)
    np.testing.assert_array_equal(ranking[:3], [2, 5, 0])
    assert ranking[-1] == 4
    classes = np.arange(200) % 3  # the one in the middle stands out, whatever it is called
    X[:, 1] += 2 * (classes == 1)
    for names in ([0, 1, 2], [1, 0, 2], [2, 0, 1]):
        cells = np.column_stack([X, np.array(names)[classes]])
        found = rank_columns(cells, by_class=True)
        assert found[0] == 1 and found[-1] == 4
        np.testing.assert_array_equal(found, rank_columns(cells[::-1], by_class=True))


def test_of_many_columns_every_member_sees_the_best_and_a_draw_of_the_rest():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(80, 30))
    best = [3, 11, 17, 29]
    cells = np.column_stack([X, X[:, best].sum(axis=1)])
    members = make_ensemble("regression", np.zeros(30, dtype=bool), n_columns=8, n_members=6)
    members.arrange(cells)
    seen = [set(order.tolist()) for order in members.order]
    assert all(len(columns) == 8 and columns >= set(best) for columns in seen)
    assert len(set.union(*seen)) > 16
    places = {order.tolist().index(3) for order in members.order}
    assert len(places) > 1  # and not all in one place


@torch.no_grad()
def test_attention_is_told_in_the_order_of_the_table():
    """Of columns that a member does not see, nothing is read; learnt rows come last, as one."""
    cells = make_cells("regression")
    members = make_ensemble("regression", n_columns=3)
    members.arrange(cells)
    traces = [{} for _ in members.blocks]
    members.query(torch.as_tensor(cells[:5])[None], members.encode(torch.as_tensor(cells)), traces)
    d = len(CATEGORICAL)
    for trace in traces:
        assert trace["rows"].shape == (4, SMALL.n_heads, 5, N_CONTEXT + 1)
        assert trace["cells"].shape == (4, 5, SMALL.n_heads, d + 1, d + 1)
        for share in trace.values():
            torch.testing.assert_close(share.sum(dim=-1), torch.ones(share.shape[:-1]).double())
        for order, share in zip(members.order, trace["cells"], strict=True):
            unseen = np.setdiff1d(np.arange(d), order)
            assert (share[..., d, unseen] == 0).all()
            assert (share[..., d, order] > 0).all()
            assert (share[..., unseen, unseen] == 1).all()


# --- classes --------------------------------------------------------------------------------


@torch.no_grad()
def test_other_names_of_classes_move_predictions_by_the_codes_alone():
    """Classes renamed, and their codes with them: the same probabilities, to the last bit."""
    cells = torch.as_tensor(make_cells("classification"))[None]
    members, renamed = make_ensemble("classification"), make_ensemble("classification")
    new_name = torch.tensor([2, 0, 1])
    renamed.codes[:, new_name] = members.codes
    other = cells.clone()
    other[..., -1] = new_name[cells[..., -1].long()].double()
    found = [
        model.log_share(model.target(model.query(part, model.encode(part))))
        for model, part in ((members, cells), (renamed, other))
    ]
    # but for the order in which the probabilities are added up to one
    torch.testing.assert_close(found[1][:, new_name], found[0], rtol=1e-14, atol=1e-14)
    assert len(members.codes.unique(dim=0)) > 1  # members have codes of their own
    assert (members.codes.sort(dim=1).values == torch.arange(N_CLASSES)).all()


def test_up_to_ten_classes_logits_are_averaged():
    members = make_ensemble("classification", n_classes=5)
    logits = torch.randn(4, 7, 5, generator=torch.Generator().manual_seed(0)).double()
    codes = members.codes.numpy()
    mean = np.mean([z[:, c] for z, c in zip(logits.numpy(), codes, strict=True)], axis=0)
    expected = np.exp(mean) / np.exp(mean).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(members.log_share(logits).exp(), expected, rtol=1e-12)


def test_more_classes_share_codes_evenly_and_otherwise_in_each_member():
    members = make_ensemble("classification", n_classes=23)
    for codes in members.codes:
        assert set(codes.bincount(minlength=MAX_CLASSES).tolist()) == {2, 3}
    together = [codes[:, None] == codes for codes in members.codes]
    assert not torch.equal(together[0], together[1])


def test_probabilities_of_many_classes_add_up_to_what_members_say_of_their_codes():
    n_classes = 15
    members = make_ensemble("classification", n_classes=n_classes)
    truth = np.random.RandomState(0).dirichlet(np.full(n_classes, 0.3), size=50)
    sums = np.zeros((4, 50, MAX_CLASSES))
    for member, codes in enumerate(members.codes.numpy()):
        for k in range(n_classes):
            sums[member, :, codes[k]] += truth[:, k]
    log_share = members.log_share(torch.as_tensor(np.log(sums))).numpy()
    share = np.exp(log_share)
    np.testing.assert_allclose(share.sum(axis=1), 1, rtol=1e-12)
    for member, codes in enumerate(members.codes.numpy()):
        for code in range(MAX_CLASSES):
            found = share[:, codes == code].sum(axis=1)
            np.testing.assert_allclose(found, sums[member, :, code], rtol=0, atol=0.02)
    # members as if they were independent witnesses: far too sure
    product = np.prod([sums[m][:, c] for m, c in enumerate(members.codes.numpy())], axis=0)
    product /= product.sum(axis=1, keepdims=True)

    def divergence(q):
        return (truth * np.log((truth + 1e-300) / q)).sum(axis=1).mean()

    assert divergence(share) < 0.5 * divergence(product)


# --- distributions of numbers ------------------------------------------------------------------


def make_distributions():
    """Return an ensemble with uneven bars, logits (m, q, n_bars), and scales of the target."""
    members = make_ensemble("regression", n_members=2)
    members.net.borders.copy_(torch.tensor([-1.5, -0.7, -0.2, 0.1, 0.6, 2.0]))
    members.net.tails.copy_(torch.tensor([0.8, 1.7]))
    logits = 1.5 * torch.randn(2, 5, SMALL.n_bars, generator=torch.Generator().manual_seed(0))
    center, scale = torch.tensor([[3.0], [2.5]]).double(), torch.tensor([[2.0], [0.5]]).double()
    return members, logits.double(), Encoded([], None, center, scale)


def distribution_function(members, logits):
    """Return the share below a standardised number: lines over bars, exponential beyond."""
    share, borders = logits.softmax(dim=0).numpy(), members.net.borders.numpy()
    below, above = members.net.tails.numpy()
    upto = np.cumsum(share)[:-1]  # at the borders

    def share_below(value):
        if value < borders[0]:
            return share[0] * 0.5 ** ((borders[0] - value) / below)
        if value > borders[-1]:
            return 1 - share[-1] * 0.5 ** ((value - borders[-1]) / above)
        return np.interp(value, borders, upto)

    return share_below


def test_quantiles_invert_the_distribution_function():
    members, logits, encoded = make_distributions()
    levels = np.array([0.001, 0.05, 0.2, 0.5, 0.77, 0.95, 0.999])
    found = members.quantiles(logits, encoded, torch.as_tensor(levels)).numpy()
    expected = np.zeros((2, 5, len(levels)))
    for m, q, i in np.ndindex(expected.shape):
        share_below = distribution_function(members, logits[m, q])
        value = brentq(lambda v, f=share_below, i=i: f(v) - levels[i], -99, 99, xtol=1e-12)
        expected[m, q, i] = encoded.center[m, 0] + encoded.scale[m, 0] * value
    np.testing.assert_allclose(found, expected.mean(axis=0), rtol=0, atol=1e-6)
    fine = members.quantiles(logits, encoded, torch.linspace(0.001, 0.999, 400).double())
    assert (fine.diff(dim=1) > 0).all()


def test_the_mean_is_the_integral():
    members, logits, encoded = make_distributions()
    expected = np.zeros((2, 5))
    for m, q in np.ndindex(expected.shape):
        share_below = distribution_function(members, logits[m, q])
        points = [0.0, *members.net.borders.numpy()]
        mean = quad(lambda v, f=share_below: (v > 0) - f(v), -80, 80, points=points, limit=500)[0]
        expected[m, q] = encoded.center[m, 0] + encoded.scale[m, 0] * mean
    found = members.mean(logits, encoded)
    np.testing.assert_allclose(found, expected.mean(axis=0), rtol=0, atol=1e-6)


@torch.no_grad()
def test_a_constant_target_is_predicted_as_it_is():
    cells = make_cells("regression")
    cells[:, -1] = 7.25
    context = torch.as_tensor(cells)[None]
    members = make_ensemble("regression")
    encoded = members.encode(context)
    logits = members.target(members.query(context, encoded))
    assert (members.mean(logits, encoded) == 7.25).all()
    assert (members.quantiles(logits, encoded, torch.tensor([0.05, 0.95]).double()) == 7.25).all()
    assert math.isfinite(members.held_out_loss(context[0], context[0]))


@every_task
@torch.no_grad()
def test_the_held_out_loss_is_the_negative_log_likelihood(task):
    context, queries = make_cells(task), make_cells(task, 15, seed=1)
    members = make_ensemble(task)
    encoded = members.encode(torch.as_tensor(context)[None])
    logits = members.target(members.query(torch.as_tensor(queries)[None], encoded))
    if task == "classification":
        likely = members.log_share(logits).exp().numpy()
        chosen = queries[:, -1].astype(int)
    else:
        likely = logits.softmax(dim=-1).mean(dim=0).numpy()
        z = (queries[:, -1] - context[:, -1].mean()) / context[:, -1].std()
        chosen = np.searchsorted(members.net.borders.numpy(), z)
    loss = members.held_out_loss(torch.as_tensor(context), torch.as_tensor(queries))
    assert loss == pytest.approx(-np.log(likely[np.arange(15), chosen]).mean(), rel=1e-9)
