"""What the pretrained NPT costs on one core, and whether its predictions are exact."""

from functools import partial

import numpy as np
import pandas as pd
from bench_tabular import PeakMemory
from npt_cost import median_ms, timed
from npt_exactness import mixed_table
from npt_figures import figure
from npt_prior_models import VARIANTS
from npt_prior_pretraining import weights_facts
from sklearn.datasets import make_classification
from threadpoolctl import threadpool_limits

from sklearn_selfattn import NPTClassifier, NPTRegressor

N_COLUMNS = 20
#: CPU seconds allowed for 500 context rows and 500 queries, by preset of the weights.
ALLOWED_S = {"tiny": 1, "base": 3}
#: Context rows and columns; small tables may be computed in float64, large ones are not.
EXACTNESS = ((200, 12), (500, N_COLUMNS))
N_ASKED = 50


def preset():
    """Return the preset of the weights in use, None where their file does not say it."""
    says = [fact["says"] for fact in weights_facts()]
    return says[0].get("plan", {}).get("preset") if says else None


def cost(n_context, seed):
    """Return CPU seconds of fit and of 500 queries, ms of one row, and the rise of memory."""
    X, y = make_classification(
        n_context + 500, N_COLUMNS, n_informative=10, n_classes=2, random_state=seed
    )
    model = NPTClassifier(random_state=seed, **VARIANTS["npt_pretrained"])
    known, asked = X[:n_context], X[n_context:]
    with PeakMemory() as memory:
        fit, _ = timed(lambda: model.fit(known, y[:n_context]))
        predict, _ = timed(lambda: model.predict_proba(asked))
    one = median_ms(lambda: model.predict_proba(asked[:1]), 30)
    return fit, predict, one, memory.rise


def cost_figures(seed=0):
    """Measure cost at three sizes of the context; the smallest is judged."""
    cost(100, seed)  # imports and caches are not counted
    name = preset()
    result = []
    for n_context in (500, 1000, 4000):
        fit, predict, one, memory = cost(n_context, seed)
        rows = f"{n_context:,} x {N_COLUMNS} context"
        judged = n_context == 500
        total = f"<= {ALLOWED_S[name]}" if judged and name in ALLOWED_S else None
        result += [
            figure(f"{rows} and 500 queries, CPU s ({name or 'preset unknown'})", fit + predict,
                   total),
            figure(f"{rows}: fit alone, CPU s", fit),
            figure(f"{rows}: one further row from the cache, CPU ms", one,
                   "<= 5" if judged else None),
        ]  # fmt: skip
        if memory is not None:
            result.append(figure(f"{rows} and 500 queries: rise of memory, MB", memory))
    return result


def wide_table(n_rows, n_columns, rng):
    """Return `mixed_table` beside columns of numbers: features, values, classes."""
    frame, value, label = mixed_table(n_rows, rng)
    n_more = n_columns - frame.shape[1]
    X, y = make_classification(
        n_rows, n_more, n_informative=4, n_redundant=0, random_state=int(rng.integers(2**31))
    )
    columns = pd.DataFrame(X, columns=[f"x{i}" for i in range(n_more)])
    return pd.concat([frame, columns], axis=1), (value + y) / (value + y).std(), label


def largest_differences(make, method, table, n_context, rng):
    """Return the largest difference of predictions by what was changed.

    Parameters
    ----------
    make : callable
        Returns the unfitted model.
    method : {"predict", "predict_proba"}
        What is compared.
    table : tuple of (DataFrame, ndarray)
        The first `n_context` rows are fitted on, the others asked.
    """
    X, y = table
    context, known, asked = X.iloc[:n_context], y[:n_context], X.iloc[n_context:]
    model = make().fit(context, known)
    whole = getattr(model, method)(asked)
    alone = [getattr(model, method)(asked.iloc[i : i + 1]) for i in range(len(asked))]
    found = {"alone and among others": [np.abs(np.concatenate(alone) - whole).max()]}
    order = rng.permutation(len(asked))
    again = getattr(model, method)(asked.iloc[order])
    found["order of the rows asked"] = [np.abs(again - whole[order]).max()]
    for _ in range(3):
        order = rng.permutation(n_context)
        other = getattr(make().fit(context.iloc[order], known[order]), method)(asked)
        found.setdefault("order of the context rows", []).append(np.abs(other - whole).max())
        order = rng.permutation(X.columns)
        other = getattr(make().fit(context[order], known), method)(asked[order])
        found.setdefault("order of the columns", []).append(np.abs(other - whole).max())
    return {words: max(values) for words, values in found.items()}


def exactness_figures(seed=0):
    """Compare predictions alone with those in company, and over orders of columns and rows."""
    rng = np.random.default_rng(seed)
    result = []
    for n_context, n_columns in EXACTNESS:
        X, value, label = wide_table(n_context + N_ASKED, n_columns, rng)
        for kind, y, method in (
            (NPTClassifier, label, "predict_proba"), (NPTRegressor, value, "predict")
        ):  # fmt: skip
            make = partial(kind, random_state=seed, **VARIANTS["npt_pretrained"])
            found = largest_differences(make, method, (X, y), n_context, rng)
            name = f"{kind.__name__}.{method}, {n_context} x {n_columns}"
            result += [
                figure(f"{name}, {words}: largest difference", difference, "<= 1e-06")
                for words, difference in found.items()
            ]
    return result


def measure(seed=0):
    """Measure cost and exactness with the weights in use."""
    with threadpool_limits(1):
        found = cost_figures(seed) + exactness_figures(seed)
    parameters = NPTClassifier(**VARIANTS["npt_pretrained"]).get_params()
    return {
        "figures": found,
        "configuration": ", ".join(f"{k}={v!r}" for k, v in sorted(parameters.items())),
        "weights": {fact["file"]: fact["sha256"] for fact in weights_facts()},
        "notes": [
            "One thread. Cost on make_classification with 10 informative columns of 20. Exactness "
            "on four numbers, a category and a flag, of which 15 % of the cells are missing, and "
            f"more numbers; {N_ASKED} rows asked, alone and together; three orders of context rows "
            "and columns; the target of the regression in standard deviations."
        ],
    }
