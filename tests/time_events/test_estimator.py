"""The estimators: what a toy would not do, exactness, and life among scikit-learn's tools."""

import pickle

import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_selfattn import (
    EventSequences,
    TimeEventClassifier,
    TimeEventRegressor,
    make_event_windows,
)
from sklearn_selfattn.core.training import weighted_row_loss
from sklearn_selfattn.time_events import paper_preset
from sklearn_selfattn.time_events.base import ENCODINGS
from sklearn_selfattn.time_events.histories import Histories
from sklearn_selfattn.time_events.targets import mixture, mixture_quantiles
from tests.time_events.test_sequences import event_log

FAST = {"d_model": 8, "n_heads": 2, "n_frequencies": 6, "max_epochs": 3, "random_state": 0}


def windows(target="time_to_next", n=120, max_len=5, **options):
    return make_event_windows(
        event_log(n), "who", "at", "what", ["value"], target=target, max_len=max_len, unit="h",
        **options,
    )  # fmt: skip


# --- what a toy would not do ---------------------------------------------------------------------


def lookup(n, seed):
    """Label: the mark of the event nearest to 24 before the last; ten events, gaps of mean 8."""
    rng = np.random.default_rng(seed)
    times = rng.exponential(8.0, size=(n, 10)).cumsum(axis=1)
    marks = rng.integers(3, size=(n, 10))
    nearest = np.abs(times[:, -1:] - times - 24.0).argmin(axis=1)
    return EventSequences.from_lists(list(times), list(marks)), marks[np.arange(n), nearest]


@pytest.fixture(scope="module")
def lookups():
    return lookup(3000, 0), lookup(1500, 1)


@pytest.mark.parametrize("encoding", ["bochner", "mercer"])
def test_the_event_24_hours_ago_is_found(lookups, encoding):
    """By elapsed time, and not by the order of events alone."""
    (X, y), (X_test, y_test) = lookups
    options = {"max_epochs": 15, "random_state": 0}
    model = TimeEventClassifier(time_encoding=encoding, **options).fit(X, y)
    assert model.score(X_test, y_test) >= 0.9
    if encoding == "bochner":
        blind = TimeEventClassifier(time_encoding="positional", **options).fit(X, y)
        assert blind.score(X_test, y_test) <= 0.65
        # and what it looks at is what happened then
        maps = model.attention_weights(X_test[:200])
        lags = X_test.events.axis.difference(
            X_test[:200]._query()[:, None], X_test.events.times.reshape(-1, 10)[:200]
        )
        attention = maps[0].max(axis=1)[:, 0, :-1]
        near = np.abs(lags - 24) < 4
        assert attention[near].mean() > 3 * attention[~near].mean()


@pytest.mark.parametrize("gaps", [[1.0], [86400.0], [1.0, 3.0]])
def test_a_clockwork_is_predicted(gaps):
    times = np.cumsum(np.tile(gaps, 120))[:120]
    log = pd.DataFrame({"id": np.repeat([0, 1, 2], 40), "at": times})
    X, y, *_ = make_event_windows(log, "id", "at", max_len=8, min_history=3)
    model = TimeEventRegressor(random_state=0).fit(X, y)
    error = np.abs(model.predict(X) / y - 1)
    assert np.median(error) <= (0.01 if len(gaps) == 1 else 0.05)
    more = TimeEventRegressor(random_state=0).fit(X, 1e5 * y).predict(X)
    np.testing.assert_allclose(more, 1e5 * model.predict(X), rtol=1e-6)


def test_noise_is_not_learnt():
    """Targets without a meaning are predicted no better than by their mean, group by group."""
    X, y, groups, _ = windows(n=300, max_len=8)
    noise = np.random.default_rng(0).normal(size=len(y))
    model = TimeEventRegressor(**{**FAST, "loss": "squared_error"})
    assert cross_val_score(model, X, noise, groups=groups, cv=GroupKFold(3)).mean() <= 0.02


# --- invariances ---------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["bochner", "mercer"])
@pytest.mark.parametrize("n_layers", [1, 2])
def test_five_years_later_nothing_is_different(encoding, n_layers):
    log = event_log(90)
    columns = {"id_col": "who", "time_col": "at", "type_col": "what", "unit": "h", "max_len": 6}
    X, y, *_ = make_event_windows(log, **columns)
    later = log.assign(at=log["at"] + pd.Timedelta(days=5 * 365.25))
    X_later, y_later, *_ = make_event_windows(later, **columns)
    np.testing.assert_array_equal(y, y_later)
    options = {**FAST, "time_encoding": encoding, "n_layers": n_layers}
    model = TimeEventRegressor(**options, time_reference="relative").fit(X, y)
    np.testing.assert_allclose(model.predict(X), model.predict(X_later), rtol=1e-5)
    with_clock = TimeEventRegressor(**options).fit(X, y)
    assert np.abs(with_clock.predict(X) / with_clock.predict(X_later) - 1).max() > 1e-3


@pytest.mark.parametrize("init", ["log", "auto"])
def test_the_unit_of_time_changes_nothing(init):
    log = event_log(90)
    hours = (log["at"] - log["at"].min()).dt.total_seconds() / 3600
    options = {**FAST, "time_reference": "relative", "frequency_init": init}
    found = []
    for at, unit, factor in (
        (hours * 3600, "s", 3600.0), (hours / 24, "D", 1 / 24), (log["at"], "h", 1.0),
        (hours * 3600, None, 3600.0),
    ):  # fmt: skip
        if init == "auto" and unit is None:
            continue  # without a unit there is no calendar
        X, y, *_ = make_event_windows(log.assign(at=at), "who", "at", "what", max_len=5, unit=unit)
        model = TimeEventRegressor(**options).fit(X, y)
        found.append((model.predict(X) / factor, model.periods_ / factor))
    for predicted, periods in found[1:]:
        np.testing.assert_allclose(predicted, found[0][0], rtol=1e-4)
        np.testing.assert_allclose(periods, found[0][1], rtol=1e-6)


# --- exactness ------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["bochner", "mercer", "positional", "none"])
@pytest.mark.parametrize("n_layers", [1, 2])
def test_one_pass_trains_all_prefixes(encoding, n_layers):
    """The loss, and its gradient, of whole sequences are those of their windows."""
    max_len = 6 if n_layers == 1 else 200  # of more layers, those of whole histories
    X, y, *_ = windows(max_len=max_len)
    model = TimeEventRegressor(
        **{**FAST, "max_len": max_len, "time_encoding": encoding, "n_layers": n_layers}
    ).fit(X, y)
    module = model.module_.double()
    target = torch.stack([torch.tensor(y), torch.zeros(len(y))], dim=1)
    found = []
    for shared in (False, True):
        histories = Histories(X, model._coder, max_len=max_len, shared=shared,
                              device=torch.device("cpu"), dtype=torch.float64)  # fmt: skip
        assert (len(histories) < len(X) / 4) == shared
        batch, rows = histories.batch(torch.arange(len(histories)))
        module.zero_grad()
        loss = weighted_row_loss(lambda out, y: (out[:, 0] - y[:, 0]) ** 2)(
            module, (batch, target[rows], torch.ones(len(y)))
        )
        loss.backward()
        grads = [p.grad for p in module.parameters() if p.grad is not None]
        found.append([loss, *grads])
    for window_wise, in_one_pass in zip(*found, strict=True):
        torch.testing.assert_close(window_wise, in_one_pass, rtol=1e-8, atol=1e-8)


def test_prefix_training_is_chosen_where_it_can_be():
    X, y, *_ = windows()
    fits = [TimeEventRegressor(**FAST, prefix_training=how) for how in ("auto", True, False)]
    auto, on, off = (model.fit(X, y).predict(X) for model in fits)
    np.testing.assert_array_equal(auto, on)
    np.testing.assert_allclose(on, off, rtol=1e-4)  # one batch holds all rows here


def test_weights_count_rows():
    X, y, *_ = windows()
    times = np.random.default_rng(0).integers(0, 3, size=len(y))
    options = {**FAST, "loss": "squared_error"}
    weighted = TimeEventRegressor(**options).fit(X, y, sample_weight=times)
    repeated = TimeEventRegressor(**options).fit(
        X[np.repeat(np.arange(len(y)), times)], np.repeat(y, times)
    )
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-6)


def test_rows_are_predicted_alike_in_any_company():
    X, y, *_ = windows()
    model = TimeEventRegressor(**FAST).fit(X, y)
    together = model.predict(X)
    order = np.random.default_rng(0).permutation(len(y))
    np.testing.assert_allclose(model.predict(X[order]), together[order], rtol=1e-10)
    np.testing.assert_allclose(model.predict(X[[7]]), together[[7]], rtol=1e-10)
    again = TimeEventRegressor(**FAST).fit(X, y)
    np.testing.assert_array_equal(again.predict(X), together)  # bit by bit
    np.testing.assert_array_equal(model.set_params(max_len=2).predict(X), together)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("interaction", ["concat", "add", "multiply", "kernel_bias"])
def test_every_encoding_and_interaction_trains_and_is_saved(encoding, interaction):
    X, y, *_ = windows(target="next_type", n=60)
    model = TimeEventClassifier(
        **{**FAST, "max_epochs": 1, "time_encoding": encoding, "interaction": interaction}
    )
    if interaction == "kernel_bias" and encoding in ("time2vec", "mercer_summed"):
        with pytest.raises(ValueError, match="needs a kernel"):
            model.fit(X, y)
        return
    model.fit(X, y)
    shares = model.predict_proba(X)
    assert np.isfinite(shares).all()
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict_proba(X), shares)
    functional = encoding in ("bochner", "bochner_normal", "bochner_icdf", "mercer")
    assert hasattr(model, "periods_") == functional
    if functional:
        assert model.time_kernel([0.0])[0] == pytest.approx(1.0)


# --- distributions -------------------------------------------------------------------------------


def test_quantiles_are_those_of_the_distribution():
    """Log-normal waits with a spread that the last type tells: intervals cover, and know it."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(2, size=3000)
    gaps = np.exp(rng.normal(size=3000) * np.where(kinds, 1.0, 0.2))
    at = np.concatenate([[0.0], gaps.cumsum()[:-1]])
    log = pd.DataFrame({"id": np.repeat(np.arange(30), 100), "at": at, "kind": kinds})
    X, y, groups, _ = make_event_windows(log, "id", "at", "kind", max_len=4)
    train = groups < 20
    model = TimeEventRegressor(loss="lognormal_mixture", max_epochs=15, random_state=0)
    model.fit(X[train], y[train])
    held, last = X[~train], X.events.codes[X[~train].stop - 1]
    interval = model.predict_interval(held, coverage=0.8)
    inside = (y[~train] >= interval[:, 0]) & (y[~train] <= interval[:, 1])
    assert abs(inside.mean() - 0.8) < 0.05
    width = np.log(interval[:, 1] / interval[:, 0])
    np.testing.assert_allclose(np.median(width[last == 1]), 2 * 1.2816, rtol=0.15)
    np.testing.assert_allclose(np.median(width[last == 0]), 0.2 * 2 * 1.2816, rtol=0.25)
    np.testing.assert_allclose(model.predict_quantile(held), model.predict(held))
    many = model.predict_quantile(held, [0.1, 0.5, 0.9])
    assert (np.diff(many, axis=1) > 0).all()


def test_censored_rows_count_as_at_least():
    """Waits cut off at 1: their median is that of the exponential, not of what was seen."""
    rng = np.random.default_rng(0)
    wait = rng.exponential(2.0, size=700)
    X = EventSequences.from_lists(list(np.zeros((700, 1))))
    y, censored = np.minimum(wait, 1.5), wait > 1.5
    options = {**FAST, "max_epochs": 40, "loss": "lognormal_mixture"}
    informed = TimeEventRegressor(**options).fit(X, y, censored=censored).predict(X[:1])[0]
    naive = TimeEventRegressor(**options).fit(X, y).predict(X[:1])[0]
    median = 2.0 * np.log(2)
    assert abs(informed / median - 1) < 0.15
    dropped = TimeEventRegressor(**options).fit(X[~censored], y[~censored]).predict(X[:1])[0]
    assert dropped < 0.6 * median
    assert naive == pytest.approx(np.median(y), rel=0.1)


def test_mixture_loss_and_quantiles_are_the_formulas():
    from scipy import stats

    rng = np.random.default_rng(0)
    output = rng.normal(size=(5, 24))
    share = np.exp(output[:, :8]) / np.exp(output[:, :8]).sum(axis=1, keepdims=True)
    mean, spread = output[:, 8:16] + np.linspace(-2, 2, 8), np.exp(output[:, 16:])
    z = rng.normal(size=5)
    normal = stats.norm(mean, spread)
    for late, value in ((0.0, normal.pdf(z[:, None])), (1.0, normal.sf(z[:, None]))):
        target = torch.tensor(np.stack([z, np.full(5, late)], axis=1))
        loss = mixture(torch.tensor(output), target).numpy()
        np.testing.assert_allclose(loss, -np.log((share * value).sum(axis=1)), atol=1e-10)
    levels = np.array([0.05, 0.5, 0.99])
    found = mixture_quantiles(output, levels)
    below = (share[:, None] * stats.norm(mean[:, None], spread[:, None]).cdf(found[..., None])).sum(
        2
    )
    np.testing.assert_allclose(below, np.tile(levels, (5, 1)), atol=1e-10)


# --- among scikit-learn's tools ------------------------------------------------------------------


def test_searches_splits_and_pipelines():
    X, y, groups, _ = windows(target="next_type", n=90)
    model = TimeEventClassifier(**{**FAST, "max_epochs": 1})
    grid = {"time_encoding": ["bochner", "none"], "degree": [2], "frequency_init": ["log"]}
    searches = [
        GridSearchCV(model, grid, cv=GroupKFold(2), n_jobs=n).fit(X, y, groups=groups)
        for n in (1, 2)
    ]
    scores = [search.cv_results_["mean_test_score"] for search in searches]
    np.testing.assert_array_equal(*scores)
    piped = cross_val_predict(
        make_pipeline("passthrough", model), X, y, groups=groups, cv=GroupKFold(3)
    )
    direct = cross_val_predict(clone(model), X, y, groups=groups, cv=GroupKFold(3))
    assert (piped == direct).all()


def test_wide_tables_are_taken_as_they_are():
    X, y, *_ = windows()
    wide = X.to_wide()
    model = TimeEventRegressor(**FAST)
    by_events = model.fit(EventSequences.from_wide(wide), y).predict(wide)
    by_table = clone(model).fit(wide, y)
    np.testing.assert_array_equal(by_table.predict(wide), by_events)
    assert not hasattr(by_table, "n_features_in_")


@pytest.mark.parametrize("kind", ["dates", "zoned", "durations", "numbers"])
def test_predicted_moments_are_of_the_kind_that_was_given(kind):
    log = event_log(60, dates=kind != "numbers")
    if kind == "zoned":
        log["at"] = log["at"].dt.tz_localize("UTC").dt.tz_convert("Europe/Rome")
    if kind == "durations":
        log["at"] = log["at"] - log["at"].min()
    unit = None if kind == "numbers" else "D"
    X, y, _, last = make_event_windows(log, "who", "at", max_len=4, unit=unit)
    model = TimeEventRegressor(**FAST).fit(X, y)
    moments, gap = model.predict_event_time(X), model.predict(X)
    if kind == "numbers":
        np.testing.assert_allclose(moments, last + gap)
        return
    assert moments.dtype == last.dtype
    np.testing.assert_allclose((moments - last) / pd.Timedelta("1D"), gap, atol=1e-9)


def test_embeddings_and_attention():
    X, y, *_ = windows()
    model = TimeEventRegressor(**FAST, n_layers=2).fit(X, y)
    vectors = model.set_output(transform="pandas").transform(X)
    assert list(vectors) == list(model.get_feature_names_out())
    assert vectors.shape == (len(X), 8)
    maps = model.attention_weights(X)
    n_slots = X.lengths.max()
    assert maps[0].shape == (len(X), 2, 1, n_slots + 1)
    assert maps.key_labels == [*range(-n_slots, 0), "nothing"]
    padded = np.arange(n_slots, 0, -1) > X.lengths[:, None]
    assert (maps[0][:, :, 0, :-1].transpose(0, 2, 1)[padded] == 0).all()
    assert (maps[0][:, :, 0, -2] > 0).all()  # the latest event is always there
    lower = model.attention_weights(X, layer=0)
    assert lower[0].shape == (len(X), 2, n_slots, n_slots + 1)
    later = np.triu(np.ones((n_slots, n_slots), dtype=bool), 1)
    assert (lower[0][..., :-1][..., later] == 0).all()  # no event sees a later one
    with pytest.raises(ValueError, match="layer=2 is none of the 2"):
        model.attention_weights(X, layer=2)


def test_saved_models_predict_alike(tmp_path):
    X, y, *_ = windows()
    model = TimeEventRegressor(**FAST, loss="lognormal_mixture").fit(X, y)
    saved = skops.io.dumps(model)
    unknown = skops.io.get_untrusted_types(data=saved)
    assert all(name.startswith("sklearn_selfattn.") for name in unknown)
    np.testing.assert_array_equal(
        skops.io.loads(saved, trusted=unknown).predict(X), model.predict(X)
    )
    assert len(pickle.dumps(model)) < 60_000  # no training rows


def test_calendar_is_local_or_utc():
    """What happens at nine by the clock moves in UTC when the clocks change."""
    log = event_log(60)
    log["at"] = log["at"].dt.tz_localize("UTC").dt.tz_convert("Europe/Rome")
    X, y, *_ = make_event_windows(log, "who", "at", max_len=4, unit="h")
    local, utc = (
        TimeEventRegressor(**FAST, calendar=which).fit(X, y) for which in ("local", "utc")
    )
    difference = local._coder.code(X)["query_clock"] * local.time_scale_ + local.time_origin_
    difference -= utc._coder.code(X)["query_clock"] * utc.time_scale_ + utc.time_origin_
    assert set(np.round(difference, 6)) <= {1.0, 2.0}


@pytest.mark.parametrize("encoding", ["bochner", "mercer", "mercer_summed"])
def test_paper_preset_fits(encoding):
    X, y, *_ = windows(target="next_type", n=60)
    model = TimeEventClassifier(**paper_preset(encoding), max_epochs=1, random_state=0).fit(X, y)
    assert (model.n_heads, model.degree, model.gap_feature) == (1, 10, False)
    if encoding == "mercer":
        assert len(model.periods_) == 320  # 32 periods of ten harmonics
    with pytest.raises(ValueError, match="encoding has to be one of"):
        paper_preset("time2vec")


def test_uneven_grids_of_plain_tables():
    """The mean of what was measured in the last hour, on a grid that is not even."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 5))
    X[::5, 2] = np.nan
    model = TimeEventRegressor(time_grid=[0.0, 0.1, 0.5, 4.0, 9.0], random_state=0, **{
        "max_epochs": 10, "loss": "squared_error"}).fit(X, X[:, 4])  # fmt: skip
    assert model.score(X, X[:, 4]) > 0.9
    assert model.time_scale_ == pytest.approx(np.median([0.1, 0.4, 3.5, 5.0]))
    assert model.attention_weights(X[:3]).key_labels[-1] == "nothing"


def test_targets_of_any_size_are_learnt_alike():
    """Squares of 1e200 overflow; a power of two changes no bit."""
    X = np.linspace(0, 1, 60).reshape(20, 3)
    y = np.sin(7 * X[:, 0])
    model = TimeEventRegressor(max_epochs=3, random_state=0)
    expected = model.fit(X, y).predict(X)
    for factor in (2.0**900, 2.0**-900):
        np.testing.assert_array_equal(model.fit(X, factor * y).predict(X), factor * expected)
