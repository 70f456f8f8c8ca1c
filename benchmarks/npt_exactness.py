"""Exactness and leakage: predictions are a function of one row, and of nothing they may not see."""

import numpy as np
import pandas as pd
import torch
from npt_figures import figure
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict, cross_validate
from tabular_data import load_table

from sklearn_selfattn import NPTClassifier, NPTRegressor

COMPANIONS = (1, 2, 3, 7, 50, 499, 500)


def mixed_table(n_rows, rng):
    """Return numbers, categories and missing cells, a class and a value that depend on them."""
    x = rng.normal(size=(n_rows, 4))
    colour = rng.choice(["red", "green", "blue"], size=n_rows)
    large = rng.random(n_rows) < 0.4
    value = x[:, 0] + 2 * large * x[:, 1] + (colour == "red")
    frame = pd.DataFrame(x, columns=["a", "b", "c", "d"]).assign(colour=colour, large=large)
    frame["colour"] = frame["colour"].astype("category")
    frame[["a", "b", "c", "d", "colour"]] = frame[["a", "b", "c", "d", "colour"]].mask(
        rng.random((n_rows, 5)) < 0.15
    )
    return frame, value, np.where(value > 1, "high", np.where(value > -0.5, "middle", "low"))


def uncached(model, X):
    """Return the members' outputs of one pass of context and queries together, (m, n, outputs)."""
    cells = model._as_cells(model._encode_table(X, reset=False))
    context = model._context[model._member_rows]  # (m, c, d)
    queries = np.broadcast_to(cells, (len(context), *cells.shape))
    table = model._tensor(np.concatenate([context, queries], axis=1))
    hidden = torch.zeros(table.shape, dtype=torch.bool)
    hidden[:, context.shape[1] :, -1] = True
    with torch.inference_mode():
        return model.module_.target(model.module_(table, hidden, context.shape[1]))


def exactness(seed=0):
    """Compare cached with uncached, alone with in company, and orders of the context."""
    rng = np.random.default_rng(seed)
    X, value, label = mixed_table(1000, rng)
    differences = {"cached and uncached": [], "alone and among others": [], "context order": []}
    for model, y in ((NPTClassifier(pretrained=False, random_state=seed), label),
                     (NPTRegressor(pretrained=False, random_state=seed), value)):  # fmt: skip
        model.set_params(max_epochs=5)
        context, asked = X.iloc[:500], X.iloc[500:]
        model.fit(context, y[:500])

        def predict(X, model=model):
            return model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X)

        whole = predict(asked)
        raw = model._raw_predict(asked)
        differences["cached and uncached"].append(
            np.abs(model._combine(uncached(model, asked), None) - raw).max()
        )
        alone = np.concatenate([predict(asked.iloc[i : i + 1]) for i in range(len(asked))])
        differences["alone and among others"].append(np.abs(alone - whole).max())
        for n in COMPANIONS:
            rows = rng.permutation(len(asked))[:n]
            differences["alone and among others"].append(
                np.abs(predict(asked.iloc[rows]) - whole[rows]).max()
            )
        for _ in range(5):
            order = rng.permutation(500)
            model.set_context(context.iloc[order], y[order])
            differences["context order"].append(np.abs(predict(asked) - whole).max())
    return {
        "figures": [
            figure(f"{name}: largest difference", max(found), "<= 1e-10")
            for name, found in differences.items()
        ],
        "configuration": "both classes, max_epochs=5, other parameters at defaults",
        "notes": [
            "A table of four numbers, a category and a flag, 15 % of the cells missing; 500 rows "
            "of context, 500 to predict, each alone and among "
            f"{', '.join(map(str, COMPANIONS))} others; five orders of the context.",
        ],
        "seeds": [seed],
    }


def leakage(seed=0):
    """Shuffled labels and pure noise: nothing may be found where there is nothing."""
    rng = np.random.default_rng(seed)
    X, y = load_breast_cancer(return_X_y=True)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    auc = cross_validate(
        NPTClassifier(pretrained=False, random_state=seed),
        X,
        rng.permutation(y),
        cv=folds,
        scoring="roc_auc",
    )["test_score"]
    X, y = load_diabetes(return_X_y=True)
    folds = KFold(5, shuffle=True, random_state=seed)
    r2 = cross_validate(
        NPTRegressor(pretrained=False, random_state=seed), X, rng.permutation(y), cv=folds
    )
    best = []
    for noise_seed in range(3):
        noise = np.random.default_rng(noise_seed)
        model = NPTClassifier(pretrained=False, early_stopping=True, random_state=noise_seed)
        model.fit(noise.normal(size=(400, 10)), np.tile([0, 1], 200))
        best.append(min(epoch["valid_loss"] for epoch in model.history_))
    return {
        "figures": [
            figure("wdbc, shuffled labels: AUC of 5-fold cross-validation", auc.mean(),
                   "0.45 to 0.55"),
            figure("diabetes, shuffled labels: R² of 5-fold cross-validation",
                   r2["test_score"].mean(), "<= 0"),
            figure("noise (400 x 10), lowest validation loss, mean of 3 tables", np.mean(best),
                   f">= {np.log(2) - 0.02:.4f}"),
            figure("noise, lowest validation loss of the 3 tables", min(best)),
        ],
        "configuration": "defaults; early_stopping=True on noise",
        "notes": ["Folds: " + ", ".join(f"AUC {a:.3f}" for a in auc) + "; "
                  + ", ".join(f"R² {a:.3f}" for a in r2["test_score"]) + "."],
        "seeds": [seed],
    }  # fmt: skip


def row_losses(y, output, classes=None):
    """Return log loss or squared error of each row."""
    if classes is None:
        return (y - output) ** 2
    chosen = output[np.arange(len(y)), np.searchsorted(classes, y)]
    return -np.log(np.clip(chosen, 1e-15, None))


def leave_one_out(seed=0):
    """Compare `predict_loo` of one fit with a cross-validation of five."""
    figures, notes = [], []
    for name in ("credit_g", "autompg", "yacht"):
        table = load_table(name)
        classify = table.task == "classification"
        model = (NPTClassifier if classify else NPTRegressor)(random_state=seed)
        method = "predict_proba" if classify else "predict"
        folds = (StratifiedKFold if classify else KFold)(5, shuffle=True, random_state=seed)
        crossed = cross_val_predict(clone(model), table.X, table.y, cv=folds, method=method)
        left_out = model.fit(table.X, table.y).predict_loo(method)
        classes = model.classes_ if classify else None
        losses = row_losses(table.y, crossed, classes)
        own = row_losses(table.y, left_out, classes)
        error = losses.std(ddof=1) / np.sqrt(len(losses))
        loss = "log loss" if classify else "squared error"
        figures.append(
            figure(f"{name}: {loss} of predict_loo less that of cross-validation, standard errors",
                   (own.mean() - losses.mean()) / error, "-2 to 2")
        )  # fmt: skip
        seen = getattr(model, method)(table.X)
        if classify:
            scores = [log_loss(table.y, out) for out in (left_out, crossed, seen)]
            scores += [roc_auc_score(table.y, out[:, 1]) for out in (left_out, crossed, seen)]
            words = "log loss {:.3f} / {:.3f} / {:.3f}, AUC {:.3f} / {:.3f} / {:.3f}"
        else:
            scores = [np.sqrt(np.mean((table.y - out) ** 2)) for out in (left_out, crossed, seen)]
            words = "RMSE {:.3f} / {:.3f} / {:.3f}"
        notes.append(f"{name}, predict_loo / cross-validation / predict on the rows of the "
                     f"context: {words.format(*scores)}.")  # fmt: skip
    return {
        "figures": figures,
        "configuration": "defaults",
        "notes": ["The standard error is that of the mean loss over rows, in the "
                  "cross-validation.", *notes],
        "seeds": [seed],
    }  # fmt: skip
