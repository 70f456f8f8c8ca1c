"""What the pretrained NPT costs on one core, and whether its predictions are exact."""

import numpy as np
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


def exactness_figures(seed=0):
    """Compare predictions alone with those in company, and over orders of columns and rows."""
    rng = np.random.default_rng(seed)
    X, value, label = mixed_table(400, rng)
    context, asked = X.iloc[:250], X.iloc[250:]
    result = []
    for kind, y, method in (
        (NPTClassifier, label, "predict_proba"), (NPTRegressor, value / value.std(), "predict")
    ):  # fmt: skip

        def fitted(X, y, kind=kind):
            return kind(random_state=seed, **VARIANTS["npt_pretrained"]).fit(X, y)

        known = y[:250]
        model = fitted(context, known)
        whole = getattr(model, method)(asked)
        alone = [getattr(model, method)(asked.iloc[i : i + 1]) for i in range(len(asked))]
        differences = {"alone and among others": np.abs(np.concatenate(alone) - whole).max()}
        order = rng.permutation(len(asked))
        again = getattr(model, method)(asked.iloc[order])
        differences["order of the rows asked"] = np.abs(again - whole[order]).max()
        rows, columns = [], []
        for _ in range(3):
            order = rng.permutation(len(context))
            other = getattr(fitted(context.iloc[order], known[order]), method)(asked)
            rows.append(np.abs(other - whole).max())
            order = rng.permutation(context.columns)
            other = getattr(fitted(context[order], known), method)(asked[order])
            columns.append(np.abs(other - whole).max())
        differences["order of the context rows"] = max(rows)
        differences["order of the columns"] = max(columns)
        result += [
            figure(f"{kind.__name__}.{method}, {words}: largest difference", found, "<= 1e-06")
            for words, found in differences.items()
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
            "on 250 context rows of four numbers, a category and a flag, 15 % of the cells "
            "missing, the target of the regression in standard deviations; three orders each."
        ],
    }
