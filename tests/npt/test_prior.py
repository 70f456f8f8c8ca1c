"""The synthetic prior: same seed same tables, every rule what it claims, nothing degenerate."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier, RidgeCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from sklearn_selfattn.npt.pretrain import prior
from sklearn_selfattn.npt.pretrain.prior import KINDS, ON_LEVELS, SHARES, SURPLUS, sample_tables
from sklearn_selfattn.npt.pretrain.prior_columns import Columns, hide_cells
from sklearn_selfattn.npt.pretrain.prior_draw import Draw
from sklearn_selfattn.npt.pretrain.prior_probe import LEAST_EXPLAINED, explained
from sklearn_selfattn.npt.pretrain.prior_rules import RULES
from sklearn_selfattn.npt.pretrain.prior_scores import SCORES

TASKS = ("classification", "regression")


def generator(seed):
    return torch.Generator().manual_seed(seed)


def sample(*shape, seed=0, task="classification", **options):
    return sample_tables(*shape, task=task, generator=generator(seed), **options)


def same(one, other):
    return all(
        torch.equal(a.nan_to_num(nan=-99.0), b.nan_to_num(nan=-99.0))
        for a, b in zip(vars(one).values(), vars(other).values(), strict=True)
    )


def grid(*levels, n_tables=40):
    """Return tables that hold every combination of levels once."""
    code = torch.tensor(list(itertools.product(*map(range, levels))))
    code = code.expand(n_tables, -1, -1)
    b, n, d = code.shape
    return Columns(
        shown=code.float(),
        value=code.float(),
        code=code,
        n_levels=torch.tensor(levels).expand(b, d),
        is_categorical=torch.ones(b, d, dtype=torch.bool),
        nodes=torch.zeros(b, n, 10),
        component=torch.zeros(b, n, dtype=torch.int64),
    )


def outcomes(rule, columns, seed=0):
    """Return the codes and the outcomes of every table as arrays."""
    outcome = RULES[rule](Draw(generator(seed), "cpu"), columns)
    return columns.code[0].numpy(), outcome.numpy()


@pytest.mark.parametrize("task", TASKS)
def test_the_generator_is_all_the_randomness(task):
    before = torch.get_rng_state()
    first = sample(6, 64, 5, task=task)
    assert same(first, sample(6, 64, 5, task=task))
    assert not same(first, sample(6, 64, 5, task=task, seed=1))
    state = generator(0)
    again = [sample_tables(6, 64, 5, task=task, generator=state) for _ in range(2)]
    assert same(first, again[0])
    assert not same(first, again[1])
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "shape", [(40, 16, 1), (40, 17, 2), (20, 128, 8), (8, 64, 50), (3, 1024, 3)]
)
def test_tables_are_sound(shape, task):
    tables = sample(*shape, task=task)
    n_tables, n_rows, n_columns = shape
    assert tables.X.shape == shape
    assert tables.X.dtype == tables.y.dtype == torch.float32
    assert tables.y.shape == shape[:2]
    assert tables.is_categorical.shape == (n_tables, n_columns)
    assert tables.is_categorical.dtype == torch.bool
    assert tables.n_classes.dtype == torch.int64
    assert not tables.X.isinf().any()
    assert tables.y.isfinite().all()
    codes = tables.X.movedim(2, 1)[tables.is_categorical].nan_to_num(nan=0.0)
    assert torch.equal(codes, codes.round())
    assert (codes >= 0).all()
    if task == "classification":
        present = [y.unique().tolist() for y in tables.y]
        assert present == [list(range(k)) for k in tables.n_classes]
        assert tables.n_classes.amin() >= 2
        assert tables.n_classes.amax() <= 10
    else:
        assert (tables.n_classes == 0).all()
        assert (tables.y.amax(1) > tables.y.amin(1)).all()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_asked_for_and_varies(kind, task):
    tables = sample(12, 48, 5, task=task, kind=kind)
    assert not tables.X.isinf().any()
    assert (tables.y.amax(1) > tables.y.amin(1)).all()


def test_kinds_and_their_shares():
    assert set(KINDS) == {*SCORES, *RULES}
    np.testing.assert_allclose(np.sum(list(SHARES.values()), 0), 1)
    with pytest.raises(ValueError, match="parity"):
        sample(2, 16, 2, kind="no such kind")


def test_parity_is_parity():
    """Over two-valued columns: the sum of some two to four of them, modulo 2 or 3."""
    code, outcome = outcomes("parity", grid(2, 2, 2, 2, 2))
    sums = [code[:, :used].sum(1) for used in (2, 3, 4)]
    answers = [(total + flip) % 2 for total in sums for flip in (0, 1)]
    answers += [total % 3 for total in sums]
    which = [[np.array_equal(y, answer) for answer in answers] for y in outcome]
    assert (np.sum(which, axis=1) == 1).all()
    assert np.sum(which, axis=0).astype(bool)[: len(sums)].any()
    # No single column says anything about the sum modulo 2.
    even = outcome[outcome.max(1) == 1].astype(float)
    for column in code.T:
        np.testing.assert_allclose(even[:, column == 0].mean(1), even[:, column == 1].mean(1))


def test_counting_counts():
    """The outcome is a rising function of a count of levels, or asks for one count exactly."""
    code, outcome = outcomes("counting", grid(2, 2, 2, 2, 2))
    counts = [
        (code[:, : len(wanted)] == wanted).sum(1)
        for used in (3, 4, 5)
        for wanted in itertools.product((0, 1), repeat=used)
    ]

    def is_rule_on(count, y):
        by_count = [set(y[count == value]) for value in range(count.max() + 1)]
        if any(len(answers) > 1 for answers in by_count):
            return False
        steps = [answers.pop() for answers in by_count]
        return steps == sorted(steps) or sum(steps) == 1

    assert all(len(set(y)) > 1 for y in outcome)
    assert all(any(is_rule_on(count, y) for count in counts) for y in outcome)
    # With labels shuffled among the rows no count explains them, however the table is cut.
    even = outcome[np.abs((outcome > 0).mean(1) - 0.5) < 0.3]
    assert len(even) > 10
    shuffled = np.random.default_rng(0).permuted(even, axis=1)
    assert not any(is_rule_on(count, y) for y in shuffled for count in counts)


def test_conjunctions_are_three_in_a_row():
    """Every positive row is covered by a clause on at most three columns that has no exception."""
    code, outcome = outcomes("conjunctions", grid(3, 3, 3, 3, 3))
    triples = list(itertools.combinations(range(5), 3))
    # (n, n, triples): whether two rows agree on three columns
    agree = np.stack([(code[:, None, t] == code[None][..., t]).all(-1) for t in map(list, triples)])

    def is_disjunction(positive):
        without_exception = (positive | ~agree).all(-1)  # (triples, n)
        return np.array_equal(without_exception.any(0), positive)

    assert all(is_disjunction(y > 0) for y in outcome)
    assert all(0 < (y > 0).mean() < 1 for y in outcome)
    rng = np.random.default_rng(0)
    assert not any(is_disjunction(rng.permutation(y > 0)) for y in outcome)


def test_hierarchy_is_monotone_in_every_column():
    levels = (3, 3, 3, 3)
    code, outcome = outcomes("hierarchy", grid(*levels))
    for y in outcome:
        assert len(set(y)) > 1
        for axis in range(4):
            change = np.diff(y.reshape(levels), axis=axis)
            assert (change >= 0).all() or (change <= 0).all()


def test_lookup_has_an_entry_per_combination():
    columns = grid(2, 3, 2, 2)
    scores = SCORES["lookup"](Draw(generator(0), "cpu"), columns, 10)
    sizes = np.cumprod((2, 3, 2, 2)).tolist()
    code = columns.code[0].numpy()
    found = []
    for table in scores.numpy():
        entries = np.unique(table, axis=0)
        used = 1 + sizes.index(len(entries))  # an unexpected number of entries raises here
        pairs = np.unique(np.hstack([code[:, :used], table]), axis=0)
        assert len(pairs) == len(entries)
        found.append(used)
    assert len(set(found)) > 1
    assert max(sizes[used - 1] for used in found) <= len(code) / 4  # rows enough to fill it


@pytest.mark.parametrize("kind", ON_LEVELS)
def test_rules_without_noise_reach_the_table(kind):
    """In many tables rows that look alike have the same class, shown codes relabelled or not."""
    tables = sample(60, 512, 3, kind=kind, seed=2)
    exact = []
    for X, y in zip(tables.X, tables.y, strict=True):
        rows, number = np.unique(X.nan_to_num(nan=-1).numpy(), axis=0, return_inverse=True)
        if len(rows) > 128:
            continue  # too few rows look alike
        labels = {(row, label) for row, label in zip(number.ravel(), y.tolist(), strict=True)}
        exact.append(len(labels) == len(rows))
    assert len(exact) > 20
    assert 0.15 < np.mean(exact) < 0.9


def test_relevant_columns_are_anywhere():
    tables = sample(200, 128, 4, task="regression", kind="linear")
    X = tables.X.nan_to_num() - tables.X.nan_to_num().mean(1, keepdim=True)
    y = tables.y - tables.y.mean(1, keepdim=True)
    correlation = (X * y[..., None]).sum(1).abs() / X.norm(dim=1).clamp(min=1e-6)
    best = torch.bincount(correlation.argmax(1), minlength=4) / 200
    assert best.amin() > 1 / 8
    assert best.amax() < 1 / 2


def judged(X, y, task):
    """Return whether scikit-learn's neighbours or ridge, fitted on half, beat the other's mean."""
    X, half = X.nan_to_num().numpy(), len(y) // 2
    X, y = (X - X.mean(0)) / (X.std(0) + 1e-6), y.numpy()
    models, floor = [KNeighborsRegressor(5), RidgeCV((1, 10, 100))], 0.0
    if task == "classification":
        models = [KNeighborsClassifier(5), RidgeClassifier(10.0)]
        floor = np.bincount(y[half:].astype(int)).max() / (len(y) - half)
    if len(set(y[:half])) < 2:
        return False
    return max(model.fit(X[:half], y[:half]).score(X[half:], y[half:]) for model in models) > floor


def filtered(n_tables, *shape, task):
    """Return all candidates, which of them the filter keeps, and which follow rules on levels.

    Without the filter the same generator shows the candidates.
    """
    n_drawn = round(SURPLUS * n_tables)
    candidates = sample(n_drawn, *shape, task=task, drop_unlearnable=False)
    kept = {X.numpy().tobytes() for X in sample(n_tables, *shape, task=task).X}
    stays = np.array([X.numpy().tobytes() in kept for X in candidates.X])
    assert stays.sum() == n_tables
    groups = prior.draw_kinds(Draw(generator(0), "cpu"), n_drawn, task)
    rules = [table for kind in ON_LEVELS for table in groups.get(kind, [])]
    return candidates, stays, np.isin(np.arange(n_drawn), rules)


@pytest.mark.parametrize("task", TASKS)
def test_filter_drops_what_cannot_be_learnt(task):
    """Judged by other models than the filter's own; a small share passes: noise is real."""
    tables, stays, rules = filtered(100, 128, 4, task=task)
    good = np.array([judged(X, y, task) for X, y in zip(tables.X, tables.y, strict=True)])
    assert good[stays & ~rules].mean() > good[~rules].mean() + 0.02
    assert stays[~good & ~rules].mean() < stays[good & ~rules].mean() - 0.2
    assert stays[~good & ~rules].any()


def test_filter_keeps_rules():
    _, stays, rules = filtered(200, 64, 6, task="classification")
    assert rules.sum() > 20
    assert stays[rules].all()


def test_parity_would_not_survive_the_probe():
    """The reason for the exemption: ridge and neighbours among many columns see nothing."""
    draw = Draw(generator(0), "cpu")
    value = draw.normal(20, 256, 12)
    product = value[..., :3].prod(-1).sign()[..., None]
    assert (explained(value, product) < LEAST_EXPLAINED).float().mean() > 0.8
    assert (explained(value, value[..., :3].sum(-1, keepdim=True)) > 0.5).all()


def test_cells_are_missing_in_a_minority_and_sometimes_for_a_reason():
    draw = Draw(generator(0), "cpu")
    b, n, d = 300, 256, 4
    columns = grid(2, n_tables=b)
    columns.shown = columns.value = draw.normal(b, n, d)
    hidden = hide_cells(draw, columns, torch.zeros(b, n)).isnan()
    affected = hidden.any(1).any(1)
    assert 0.1 < affected.float().mean() < 0.35
    # Shift of the hidden values, in standard errors: far beyond chance in some columns only.
    often = hidden.sum(1) > 20
    shift = (columns.value * hidden).sum(1)[often] / hidden.sum(1)[often].sqrt()
    assert (shift > 4).sum() > 5
    assert (shift.abs() < 2).sum() > 5
    assert (shift < -4).sum() == 0


def test_tables_look_like_tables():
    """All numbers, all categories and mixtures; two classes and ten; ties, skew, near-copies."""
    tables = sample(200, 128, 6, seed=3)
    share = tables.is_categorical.float().mean(1)
    for part in (share == 0, share == 1, (share > 0) & (share < 1)):
        assert part.float().mean() > 0.1
    assert 0.4 < (tables.n_classes == 2).float().mean() < 0.7
    assert (tables.n_classes >= 8).float().mean() > 0.02
    X = tables.X.nan_to_num()
    assert X.movedim(2, 1)[tables.is_categorical].amax() >= 15
    numeric = X.movedim(2, 1)[~tables.is_categorical]  # (columns, n)
    n_values = np.array([len(column.unique()) for column in numeric])
    assert 0.05 < np.mean(n_values < 15) < 0.5
    centred = numeric - numeric.mean(1, keepdim=True)
    skew = centred.pow(3).mean(1) / centred.square().mean(1).clamp(min=1e-6) ** 1.5
    assert (skew > 2).float().mean() > 0.02
    correlation = np.array([
        np.abs(np.nan_to_num(np.corrcoef(table.T + 1e-9 * np.arange(128))) - np.eye(6)).max()
        for table in X.numpy().astype(float)
    ])  # fmt: skip
    assert 0.05 < np.mean(correlation > 0.95) < 0.5
