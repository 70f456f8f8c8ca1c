"""The acceptance measurements of the time-events room: one seed in, raw numbers out.

Nothing is judged here; `time_events_figures` sets the numbers beside their targets.
"""

import time
import warnings

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import ive
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from time_events_data import (
    flat,
    flights,
    hgb_classifier,
    hgb_regressor,
    icu,
    icu_aggregates,
    lags,
    lookup,
    stackoverflow,
    type_features,
)

from sklearn_selfattn.time_events import (
    BochnerTimeEncoder,
    EventSequences,
    MercerTimeEncoder,
    TimeEventClassifier,
    TimeEventRegressor,
    make_event_windows,
)

#: Chosen on training parts of the flights, and used for the large logs.
LARGE = {"n_layers": 2, "dropout": 0.2, "max_epochs": 12}
FUNCTIONAL = ("bochner", "bochner_normal", "bochner_icdf", "mercer")


def cpu(function):
    """Return what a function returns, and its CPU seconds."""
    start = time.process_time()
    found = function()
    return found, time.process_time() - start


# --- equations ----------------------------------------------------------------------------------


def invariance(seed):
    """Shift two moments by up to 10^9 seconds, and see whether kernels change."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("1980-01-01")
    t, u, s = (pd.to_timedelta(rng.integers(0, 10**9, size=2000), unit="s") for _ in range(3))
    X = pd.DataFrame({"at": start + t})
    found = {}
    for name, encoder in (("bochner", BochnerTimeEncoder()), ("mercer", MercerTimeEncoder())):
        encoder.fit(X)
        one = encoder.kernel(start + t, start + u)
        other = encoder.kernel(start + t + s, start + u + s)
        found[name] = np.abs(one - other).max() / encoder.kernel(start + t[:1], start + t[:1])[0]
    return found


def units(seed):
    """Fit on seconds, days and dates; return the largest relative difference of predictions."""
    rng = np.random.default_rng(seed)
    hours = rng.exponential(9.0, size=(8, 25)).cumsum(axis=1).ravel()
    at = pd.Timestamp("2020-01-01") + pd.to_timedelta(hours, unit="h")
    found = []
    for times, unit, factor in ((hours * 3600, "s", 3600), (hours / 24, "D", 1 / 24), (at, "h", 1)):
        log = pd.DataFrame({"id": np.repeat(np.arange(8), 25), "at": times})
        X, y, *_ = make_event_windows(log, "id", "at", max_len=10, unit=unit)
        model = TimeEventRegressor(time_reference="relative", max_epochs=5, random_state=seed)
        found.append(model.fit(X, y).predict(X) / factor)
    return {"difference": float(max(np.abs(p / found[0] - 1).max() for p in found[1:]))}


def claim(seed):
    """Draw more and more frequencies, and see how the largest error falls."""
    lags_, found = np.linspace(0, 100, 2001), {}
    exact = {"normal": np.exp(-(lags_**2) / 2), "laplace": 1 / (1 + lags_**2)}
    for family, kernel in exact.items():
        for d in (64, 256, 1024, 4096):
            own = []
            for draw in range(3):
                encoder = BochnerTimeEncoder(
                    n_frequencies=d, distribution=family, scale=1.0, random_state=10 * seed + draw
                ).fit(np.zeros((1, 1)))
                own.append(np.abs(encoder.kernel(lags_, np.zeros(len(lags_))) - kernel).max())
            found[f"{family} {d}"] = float(np.median(own))
        errors = [found[f"{family} {d}"] for d in (64, 256, 1024, 4096)]
        slope = np.polyfit(np.log([64, 256, 1024, 4096]), np.log(errors), 1)[0]
        found[f"{family} slope"] = float(slope)
    coefficients = np.append(ive(0, 2.0), 2 * ive(np.arange(1, 40), 2.0))
    lags_ = np.linspace(0, 24, 1000)
    for degree in (5, 10):
        encoder = MercerTimeEncoder(
            periods=[24.0], degree=degree, coefficients=coefficients[: degree + 1]
        ).fit(np.zeros((1, 1)))
        target = np.exp(2 * (np.cos(lags_ * np.pi / 12) - 1))
        error = np.abs(encoder.kernel(lags_, np.zeros(1000)) - target).max()
        found[f"mercer {degree}"] = float(error)
    return found


def periods(seed):
    """Look for two periods in noise, ten times."""
    hits, ratios = 0, []
    for draw in range(10):
        rng = np.random.default_rng(100 * seed + draw)
        times = np.sort(rng.uniform(0, 2000, size=600))
        clean = 1.43 * np.sin(2 * np.pi * times / 7.0 + 1) + np.cos(2 * np.pi * times / 24.3)
        y = clean + rng.normal(size=600) * clean.std()
        encoder = BochnerTimeEncoder(frequency_init="periodogram", n_frequencies=4)
        encoder.fit(times[:, None], y)
        top = encoder.periods_[0][:2]
        hits += bool((np.abs(top / [7.0, 24.3] - 1) < 5e-3).all())
        ratios.append(np.sqrt(encoder.weights_[0][0] / encoder.weights_[0][1]) / 1.43)
    return {"hits": hits, "ratio": float(np.median(np.abs(np.array(ratios) - 1)))}


# --- simulations ----------------------------------------------------------------------------------


def lookup_of(encodings, n_slots, n_marks):
    """Make an experiment: the mark of the event 24 before the last one."""

    def run(seed):
        X, y = lookup(8000, n_slots, n_marks, 2 * seed)
        X_test, y_test = lookup(4000, n_slots, n_marks, 2 * seed + 1)
        found = {}
        for encoding in encodings:
            model = TimeEventClassifier(time_encoding=encoding, random_state=seed)
            _, seconds = cpu(lambda model=model: model.fit(X, y))
            found[encoding] = {"accuracy": model.score(X_test, y_test), "cpu_s": seconds}
        model = hgb_classifier(seed)
        _, seconds = cpu(lambda: model.fit(flat(X), y))
        found["hgb"] = {"accuracy": model.score(flat(X_test), y_test), "cpu_s": seconds}
        return found

    return run


def renewal(seed):
    """Predict clockworks, and the same in another unit of the target."""
    found = {}
    for name, gaps in (("1", [1.0]), ("86400", [86400.0]), ("1, 3", [1.0, 3.0])):
        times = np.tile(gaps, 200)[:200].cumsum()
        log = pd.DataFrame({"id": np.repeat(np.arange(5), 40), "at": times})
        X, y, *_ = make_event_windows(log, "id", "at", max_len=8, min_history=3)
        model = TimeEventRegressor(random_state=seed).fit(X, y)
        found[name] = float(np.median(np.abs(model.predict(X) / y - 1)))
        if name == "1, 3":
            other = TimeEventRegressor(random_state=seed).fit(X, 1e5 * y).predict(X)
            found["scaled"] = float(np.abs(other / (1e5 * model.predict(X)) - 1).max())
    return found


def simulate_hawkes(n, length, mu, jump, decay, rng):
    """Return times of Hawkes processes, intensity mu + jump * decay * sum exp(-decay * age)."""
    times, now, excitation = np.empty((n, length)), np.zeros(n), np.zeros(n)
    for i in range(length):
        # two clocks race: the steady one, and that of the fading excitation, which may never ring
        steady = rng.exponential(1 / mu, size=n)
        spare = 1 - rng.exponential(size=n) * decay / np.maximum(excitation, 1e-12)
        fading = np.where(spare > 0, -np.log(np.maximum(spare, 1e-300)) / decay, np.inf)
        gap = np.minimum(steady, fading)
        now = now + gap
        excitation = excitation * np.exp(-decay * gap) + jump * decay
        times[:, i] = now
    return times


def hawkes_medians(times, mu, jump, decay):
    """Return, for each event but the last, the median wait for the next under known parameters."""
    n, length = times.shape
    excitation, found = np.zeros(n), np.empty((n, length - 1))
    for i in range(length - 1):
        gap = times[:, i] - (times[:, i - 1] if i else 0.0)
        excitation = excitation * np.exp(-decay * gap) + jump * decay
        low, high = np.zeros(n), np.full(n, np.log(2) / mu)
        for _ in range(50):
            middle = (low + high) / 2
            mass = mu * middle + excitation / decay * (1 - np.exp(-decay * middle))
            low, high = (np.where(mass < np.log(2), middle, low),
                         np.where(mass < np.log(2), high, middle))  # fmt: skip
        found[:, i] = (low + high) / 2
    return found


def fit_hawkes(times):
    """Fit an exponential Hawkes process by maximum likelihood."""

    def loss(log_parameters):
        mu, jump, decay = np.exp(log_parameters)
        total, excitation = 0.0, np.zeros(len(times))
        for i in range(times.shape[1]):
            gap = times[:, i] - (times[:, i - 1] if i else 0.0)
            faded = np.exp(-decay * gap)
            total -= (mu * gap + excitation / decay * (1 - faded)).sum()
            excitation = excitation * faded
            total += np.log(mu + excitation).sum()
            excitation = excitation + jump * decay
        return -total / times.size

    return np.exp(minimize(loss, np.log([1.0, 0.3, 1.0]), method="L-BFGS-B").x)


def hawkes(seed):
    """Predict gaps of Hawkes processes, and of Poisson ones, beside those who know how."""
    rng = np.random.default_rng(seed)
    true, found = (0.3, 0.7, 1.0), {}
    for name, jump in (("hawkes", true[1]), ("poisson", 1e-9)):
        times = simulate_hawkes(400, 80, true[0], jump, true[2], rng)
        log = pd.DataFrame({"id": np.repeat(np.arange(400), 80), "at": times.ravel()})
        X, y, groups, _ = make_event_windows(log, "id", "at", max_len=32)
        train, test = groups < 250, groups >= 250
        model = TimeEventRegressor(random_state=seed).fit(X[train], y[train])
        found[name] = float(np.abs(model.predict(X[test]) - y[test]).mean())
        if name == "hawkes":
            gaps = np.diff(times[250:], axis=1)
            for peer, parameters in (("truth", true), ("fitted", fit_hawkes(times[:250]))):
                error = np.abs(hawkes_medians(times[250:], *parameters) - gaps)
                found[peer] = float(error.mean())
        found[f"{name} constant"] = float(np.abs(np.median(y[train]) - y[test]).mean())
    return found


# --- real logs ---------------------------------------------------------------------------------


def flights_next(seed):
    """Predict the time to the next departure of a plane, from raw timestamps."""
    (X, y), (X_test, y_test) = flights(seed)
    z, z_test = np.log1p(y), np.log1p(y_test)
    found = {"constant": {"mae": float(np.abs(np.median(z) - z_test).mean()), "cpu_s": 0.0}}
    for name, clock in (("hgb lags", False), ("hgb lags and clock", True)):
        options = {"clock": clock, "categories": X.events.type_names}
        model = hgb_regressor(seed)
        _, seconds = cpu(lambda model=model, options=options: model.fit(lags(X, 16, **options), z))
        error = np.abs(model.predict(lags(X_test, 16, **options)) - z_test).mean()
        found[name] = {"mae": float(error), "cpu_s": seconds}
    for encoding in ("bochner", "positional"):
        model = TimeEventRegressor(time_encoding=encoding, max_len=16, random_state=seed, **LARGE)
        _, seconds = cpu(lambda model=model: model.fit(X, y))
        error = np.abs(np.log1p(model.predict(X_test)) - z_test).mean()
        found[encoding] = {"mae": float(error), "cpu_s": seconds}
    return found


def next_badge(known):
    """Make an experiment: the next badge of a user, with or without its time given."""

    def run(seed):
        X, y, is_test = stackoverflow("next_type", seed, known)
        train = np.flatnonzero(~is_test)
        found = {}
        features = type_features(X, known)
        model = LogisticRegression(max_iter=60, C=1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not to the last digit
            _, seconds = cpu(lambda: model.fit(features[train], y[train]))
        shares = model.predict_proba(features[is_test])
        found["logistic"] = _class_scores(y[is_test], shares, model.classes_, seconds)
        for encoding in ("bochner", "positional"):
            model = TimeEventClassifier(
                time_encoding=encoding, random_state=seed, **{**LARGE, "n_layers": 1}
            )
            _, seconds = cpu(lambda model=model: model.fit(X[train], y[train]))
            shares = model.predict_proba(X[is_test])
            found[encoding] = _class_scores(y[is_test], shares, model.classes_, seconds)
        return found

    return run


def _class_scores(y, shares, classes, seconds):
    return {
        "accuracy": float((classes[shares.argmax(axis=1)] == y).mean()),
        "log_loss": float(log_loss(y, shares, labels=classes)),
        "cpu_s": seconds,
    }


def next_badge_gap(seed):
    """Predict the days to a user's next badge."""
    X, y, is_test = stackoverflow("time_to_next", seed, False)
    train = ~is_test
    options = {"clock": True, "categories": X.events.type_names}
    model = hgb_regressor(seed)
    model.fit(lags(X[train], 8, **options), np.log1p(y[train]))
    predicted = np.expm1(model.predict(lags(X[is_test], 8, **options)))
    found = {"hgb": float(np.abs(predicted - y[is_test]).mean()),
             "median": float(np.abs(np.median(y[train]) - y[is_test]).mean())}  # fmt: skip
    model = TimeEventRegressor(random_state=seed, **{**LARGE, "n_layers": 1}).fit(
        X[train], y[train]
    )
    found["bochner"] = float(np.abs(model.predict(X[is_test]) - y[is_test]).mean())
    return found


def mortality(seed):
    """Tell who dies, from raw measurements: one fold of five, named by the seed."""
    X, y = icu()
    train, test = list(StratifiedKFold(5, shuffle=True, random_state=0).split(X, y))[seed]
    aggregates = icu_aggregates(X)
    boosted = hgb_classifier(seed).fit(aggregates[train], y[train])
    known = boosted.predict_proba(aggregates[test])[:, 1]
    model = TimeEventClassifier(
        max_len=1500, d_model=64, n_heads=8, dropout=0.3, max_epochs=12, batch_size=64,
        learning_rate=2e-3, weight_decay=1e-2, random_state=seed,
    )  # fmt: skip
    _, seconds = cpu(lambda: model.fit(X[train], y[train]))
    ours = model.predict_proba(X[test])[:, 1]
    logit = [np.log(p / (1 - p)) for p in (known, ours)]
    return {
        "hgb": float(roc_auc_score(y[test], known)), "bochner": float(roc_auc_score(y[test], ours)),
        "mean of both": float(roc_auc_score(y[test], sum(logit))), "cpu_s": seconds,
    }  # fmt: skip


# --- cost -----------------------------------------------------------------------------------------


def speed(seed):
    """Count events a second in training, window by window, and what the encoding costs."""
    rng, found = np.random.default_rng(seed), {}
    # the first fit of a process pays for what all share
    TimeEventRegressor(max_epochs=1).fit(
        EventSequences.from_lists([[0.0, 1.0]] * 300), np.arange(300.0)
    )
    for n_slots, n in ((16, 12000), (64, 3000)):
        times = list(rng.exponential(size=(n, n_slots)).cumsum(axis=1))
        X = EventSequences.from_lists(times, list(rng.integers(5, size=(n, n_slots))))
        y = rng.normal(size=n)
        for encoding in ("bochner", "positional", "mercer"):
            model = TimeEventRegressor(
                time_encoding=encoding, early_stopping=False, max_epochs=3, random_state=seed
            )
            _, seconds = cpu(lambda model=model, X=X, y=y: model.fit(X, y))
            found[f"{encoding} {n_slots}"] = 3 * n * n_slots / seconds
    log = pd.DataFrame({"id": np.repeat(np.arange(200), 100),
                        "at": rng.exponential(size=(200, 100)).cumsum(axis=1).ravel()})  # fmt: skip
    X, y, *_ = make_event_windows(log, "id", "at", max_len=64)
    for shared in (True, False):
        model = TimeEventRegressor(
            prefix_training=shared, early_stopping=False, max_epochs=1, random_state=seed
        )
        found[f"shared {shared}"] = cpu(lambda model=model: model.fit(X, y))[1]
    for n in (1000, 2000, 4000):
        X = EventSequences.from_lists(list(rng.exponential(size=(n, 32)).cumsum(axis=1)))
        model = TimeEventRegressor(early_stopping=False, max_epochs=2, random_state=seed)
        y = rng.normal(size=n)
        found[f"rows {n}"] = cpu(lambda model=model, X=X, y=y: model.fit(X, y))[1]
    return found


def reading(seed):
    """Read the raw measurements of intensive care, 1.7 million rows, as they are and shuffled."""
    from time_events_data import read

    log = read("icu2012_set_a")
    options = {"id_col": "stay", "time_col": "minute", "type_col": "parameter",
               "value_cols": ["value"], "unit": "min"}  # fmt: skip
    mixed = log.sample(frac=1, random_state=seed)
    return {
        "rows": len(log),
        "sorted": cpu(lambda: EventSequences.from_frame(log, **options))[1],
        "shuffled": cpu(lambda: EventSequences.from_frame(mixed, **options))[1],
    }


#: Every experiment, the cheap ones first; those with True need one seed only.
EXPERIMENTS = {
    "invariance": (invariance, False),
    "units": (units, False),
    "periods": (periods, False),
    "reading": (reading, True),
    "renewal": (renewal, False),
    "hawkes": (hawkes, False),
    "lookup": (
        lookup_of((*FUNCTIONAL, "mercer_summed", "time2vec", "positional", "none"), 20, 4), False
    ),
    "flights": (flights_next, False),
    "lookup, hard": (lookup_of(("bochner",), 40, 6), False),
    "mortality": (mortality, False),
    "next badge, history only": (next_badge(False), False),
    "next badge, time known": (next_badge(True), False),
    "next badge, when": (next_badge_gap, False),
    "speed": (speed, True),
    "claim": (claim, False),
}  # fmt: skip
