"""What attention between the cells of a row is worth, on a task that is all interplay."""

import numpy as np
import pandas as pd
from npt_figures import figure
from sklearn.metrics import accuracy_score

from sklearn_selfattn import NPTClassifier

N_BITS, N_ODD = 8, 3
N_TRAIN, N_TEST = 1_500, 2_000
PARAMETERS = {
    "n_estimators": 1,
    "max_epochs": 20,
    "feature_mask_prob": 0.0,
    "early_stopping": False,
}


def parity_table(n_rows, rng):
    """Draw bits as categories; the class tells whether the first three have an odd sum.

    No column, and no two of them, tell anything of the class.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    X : DataFrame of shape (n_rows, 8)
        Categories "no" and "yes".
    y : ndarray of shape (n_rows,)
        0 or 1.
    """
    bits = rng.integers(2, size=(n_rows, N_BITS))
    columns = {
        f"bit_{i}": pd.Categorical.from_codes(column, ["no", "yes"])
        for i, column in enumerate(bits.T)
    }
    return pd.DataFrame(columns), bits[:, :N_ODD].sum(axis=1) % 2


def cell_attention(seed=0):
    """Train with and without attention between cells for the same number of steps."""
    rng = np.random.default_rng(seed)
    X, y = parity_table(N_TRAIN, rng)
    X_test, y_test = parity_table(N_TEST, rng)
    figures = []
    for architecture, target in (("cells", ">= 10"), ("rows", None)):
        accuracy = {}
        for use in (True, False):
            model = NPTClassifier(
                architecture=architecture, use_cell_attention=use, random_state=seed, **PARAMETERS
            ).fit(X, y)
            accuracy[use] = accuracy_score(y_test, model.predict(X_test))
        figures += [
            figure(f"architecture='{architecture}': points of accuracy that it adds",
                   100 * (accuracy[True] - accuracy[False]), target),
            figure(f"architecture='{architecture}': accuracy with it", accuracy[True]),
            figure(f"architecture='{architecture}': accuracy without it", accuracy[False]),
        ]  # fmt: skip
    shown = ", ".join(f"{key}={value!r}" for key, value in PARAMETERS.items())
    return {
        "figures": figures,
        "configuration": f"NPTClassifier(architecture=..., use_cell_attention=..., {shown})",
        "notes": [
            f"Parity of {N_ODD} of {N_BITS} bits, {N_TRAIN:,} rows to train on, {N_TEST:,} to "
            "predict. With architecture='rows' the row is one vector whose feed-forward layers "
            "mix the cells as well, so that small interplays are learnt either way; with "
            "architecture='cells' the attention between cells is where cells meet.",
        ],
        "seeds": [seed],
    }
