"""The tables of the tabular benchmark, and how they are split."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.model_selection import train_test_split

ROOT = Path(__file__).resolve().parents[1]

#: The ten small tables on which the summary of the benchmark rests.
TEN = (
    "wdbc", "credit_g", "soybean", "vowel", "car", "tic_tac_toe",
    "concrete", "energy", "autompg", "yacht",
)  # fmt: skip
#: Tables that scikit-learn carries with it: no files needed.
BUNDLED = ("wdbc", "iris", "wine", "digits", "diabetes")
#: Larger tables of the shared data.
MIDDLE = ("telco", "abalone")
#: Costly or peculiar tables: only on request.
ON_REQUEST = ("adult", "protein", "beed")
#: Rows of these tables follow each other in time: whole blocks of rows go to one side.
BLOCK_LENGTH = {"beed": 200}

TEST_SIZE = 0.25
DIGITS_ROWS = 300


@dataclass(frozen=True)
class Table:
    """A table ready to be split.

    Attributes
    ----------
    name : str
        What the table is called in results.
    task : {"classification", "regression"}
        Kind of target.
    X : DataFrame
        Features; categorical columns have dtype ``category``, the others are float64.
    y : ndarray
        Class codes 0..K-1, or float64 values.
    blocks : ndarray or None
        Block number of each row where rows may not be split freely.
    n_rows_raw : int
        Number of rows before repeated rows were dropped.
    """

    name: str
    task: str
    X: pd.DataFrame
    y: np.ndarray
    blocks: np.ndarray | None
    n_rows_raw: int

    def describe(self):
        """Return the facts of the table that results carry with them."""
        return {
            "task": self.task,
            "n_rows_raw": self.n_rows_raw,
            "n_rows": len(self.X),
            "n_features": self.X.shape[1],
            "n_categorical": int((self.X.dtypes == "category").sum()),
            "n_classes": int(self.y.max()) + 1 if self.task == "classification" else 0,
            "missing_fraction": round(float(self.X.isna().to_numpy().mean()), 4),
            "target_sd": None if self.task == "classification" else float(self.y.std()),
            "split": "random" if self.blocks is None else f"blocks of {BLOCK_LENGTH[self.name]}",
        }


def shared_folder():
    """Return the folder of shared tables: ``SELFATTN_DATA`` or ``../shared/data``."""
    return Path(os.environ.get("SELFATTN_DATA") or ROOT.parent / "shared" / "data") / "tabular"


def _bundled(name, n_rows=None):
    loader = {"wdbc": "breast_cancer"}.get(name, name)
    bunch = getattr(datasets, f"load_{loader}")(as_frame=True)
    frame = bunch.data.assign(target=bunch.target)
    if n_rows is not None and n_rows < len(frame):
        # The same rows each time, each class in its share.
        frame, _ = train_test_split(
            frame, train_size=n_rows, stratify=frame["target"], random_state=0
        )
    return frame, "regression" if name == "diabetes" else "classification", []


def _shared(name):
    folder = shared_folder()
    facts = json.loads((folder / "tables.json").read_text())[name]
    # "none" and "NA" are categories in some of these tables: only empty cells are missing.
    text = dict.fromkeys(facts["categorical"], str)
    frame = pd.read_csv(
        folder / f"{name}.csv.gz", dtype=text, keep_default_na=False, na_values=[""]
    )
    return frame, facts["task"], facts["categorical"]


def _openml(data_id):
    """Fetch a table of OpenML by its number; scikit-learn keeps a copy for the next time."""
    bunch = datasets.fetch_openml(data_id=data_id, as_frame=True, parser="auto")
    values = pd.api.types.is_numeric_dtype(bunch.target)
    categorical = list(bunch.data.columns[~bunch.data.dtypes.map(pd.api.types.is_numeric_dtype)])
    frame = bunch.data.assign(target=bunch.target).dropna(subset="target")
    return frame, "regression" if values else "classification", categorical


def drop_repeated_rows(frame):
    """Keep the first of rows that agree in every feature and in the target.

    A copy of a training row in the test part rewards a model for remembering, and a
    model that looks rows up would be rewarded most.
    """
    return frame.drop_duplicates(ignore_index=True)


def load_table(name, n_digits=None):
    """Load a table by its name.

    Parameters
    ----------
    name : str
        One of `TEN`, `BUNDLED`, `MIDDLE`, `ON_REQUEST`, or ``openml_ID`` for any table of
        OpenML, which needs a network the first time.
    n_digits : int, default=None
        Keep only so many rows of ``digits``.

    Returns
    -------
    table : Table
        Without repeated rows.
    """
    if name in BUNDLED:
        frame, task, categorical = _bundled(name, n_digits if name == "digits" else None)
    elif name.startswith("openml_"):
        frame, task, categorical = _openml(int(name.removeprefix("openml_")))
    else:
        frame, task, categorical = _shared(name)
    n_rows_raw = len(frame)
    blocks = None
    if name in BLOCK_LENGTH:
        blocks = np.arange(n_rows_raw) // BLOCK_LENGTH[name]  # (n,)
    else:
        frame = drop_repeated_rows(frame)
    X = frame.drop(columns="target")
    # LightGBM and XGBoost refuse some characters in names.
    X.columns = [str(column).replace(" ", "_") for column in X.columns]
    for column in X.columns:
        # Types are given before the split, so that every model knows the same list of
        # categories; which of them occur in the training rows is up to the split.
        X[column] = X[column].astype("category" if column in categorical else np.float64)
    if task == "classification":
        y = pd.factorize(frame["target"], sort=True)[0].astype(np.int64)
    else:
        y = frame["target"].to_numpy(np.float64)
    return Table(name, task, X, y, blocks, n_rows_raw)


def split_rows(table, split, test_size=TEST_SIZE):
    """Return the row numbers of the training and the test part of one repetition.

    Classes keep their shares. Where rows come in blocks, whole blocks are drawn.
    """
    units = np.arange(len(table.y))
    strata = table.y if table.task == "classification" else None
    if table.blocks is not None:
        # A block is stratified by its most frequent class.
        units, first = np.unique(table.blocks, return_index=True)
        if strata is not None:
            strata = np.array([np.bincount(strata[table.blocks == b]).argmax() for b in units])
    train, test = train_test_split(units, test_size=test_size, random_state=split, stratify=strata)
    if table.blocks is not None:
        train, test = (np.flatnonzero(np.isin(table.blocks, part)) for part in (train, test))
    return np.sort(train), np.sort(test)
