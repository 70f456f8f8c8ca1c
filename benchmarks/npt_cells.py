"""What attention between the cells of a row is worth, on a task that is all interplay."""

import numpy as np
import pandas as pd
from npt_figures import figure
from sklearn.metrics import accuracy_score

from sklearn_selfattn import NPTClassifier

N_NUMBERS, N_POINTED = 8, 4
N_TRAIN, N_TEST = 1_500, 2_000
PARAMETERS = {
    "n_estimators": 1,
    "max_epochs": 20,
    "feature_mask_prob": 0.0,
    "early_stopping": False,
}


def pointer_table(n_rows, rng):
    """Draw numbers and a pointer; the class is the sign of the number that it points to.

    Which cell of the row counts is told by another cell. One number alone agrees with the class
    in 5 of 8 rows.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    X : DataFrame of shape (n_rows, 9)
        Eight normal numbers and a category, which names one of the first four.
    y : ndarray of shape (n_rows,)
        1 where that number is positive.
    """
    numbers = rng.normal(size=(n_rows, N_NUMBERS))
    pointer = rng.integers(N_POINTED, size=n_rows)
    X = pd.DataFrame(numbers, columns=[f"number_{i}" for i in range(N_NUMBERS)])
    X["pointer"] = pd.Categorical.from_codes(pointer, X.columns[:N_POINTED])
    return X, (numbers[np.arange(n_rows), pointer] > 0).astype(np.int64)


def cell_attention(seed=0):
    """Train with and without attention between cells for the same number of steps."""
    rng = np.random.default_rng(seed)
    X, y = pointer_table(N_TRAIN, rng)
    X_test, y_test = pointer_table(N_TEST, rng)
    figures = []
    for architecture, target in (("cells", ">= 10"), ("rows", None)):
        accuracy = {}
        for use in (True, False):
            model = NPTClassifier(
                pretrained=False,
                architecture=architecture,
                use_cell_attention=use,
                random_state=seed,
                **PARAMETERS,
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
            f"A category points to one of {N_POINTED} of {N_NUMBERS} numbers, whose sign is the "
            f"class; {N_TRAIN:,} rows to train on, {N_TEST:,} to predict. With "
            "architecture='rows' the row is one vector whose feed-forward layers mix the cells "
            "as well, so that interplays are learnt either way; with architecture='cells' the "
            "attention between cells is where cells meet.",
        ],
        "seeds": [seed],
    }
