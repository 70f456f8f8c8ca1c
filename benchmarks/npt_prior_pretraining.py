"""What is known of the pretraining: facts of the shipped weights, the curve, its real tables."""

import json
from contextlib import suppress

import npt_prior_models
import numpy as np
from npt_prior_tables import AT_MOST, CLASSIFICATION, context_and_test, load_table

MAX_CLASSES = 10
KEPT = ("step", "flop", "seconds", "validation_loss")


def _facts(path):
    """Return what a weights file says of itself: the JSON in its entry ``facts``."""
    with np.load(path, allow_pickle=False) as file:
        return json.loads(str(file["facts"])) if "facts" in file.files else {}


def weights_facts():
    """Describe the weights in use: name, bytes, SHA-256 and what the file says of itself."""
    return [
        {
            "file": path.name,
            "bytes": path.stat().st_size,
            "sha256": npt_prior_models.sha256(path),
            "says": {key: value for key, value in _facts(path).items() if key != "curve"},
        }
        for path in npt_prior_models.weights_files()
    ]


def _short(lines):
    """Keep of the lines of a run what is drawn, in the order of their steps."""
    points = {}
    for line in lines:
        points[line["step"]] = {key: line[key] for key in KEPT if key in line}
        if line.get("development"):
            real = line["development"]
            points[line["step"]]["development"] = {
                key: real[key] for key in ("auc", "log_loss", "n_tables")
            }
    names = [sorted(line["development"].get("tables", ())) for line in lines
             if line.get("development")]  # fmt: skip
    return {"points": [points[step] for step in sorted(points)], "tables": (names or [[]])[-1]}


def curve(folder):
    """Read the curves of the pretraining, nothing where there is none.

    Parameters
    ----------
    folder : Path
        Where ``npt_pretraining.jsonl`` may lie, the log of ``python -m
        sklearn_selfattn.npt.pretrain``: an object a line with ``step``, ``flop``,
        ``seconds``, ``validation_loss`` and, on some lines, ``development`` with ``auc``,
        ``log_loss``, ``n_tables`` and ``tables``. Lines of several runs are told apart by
        ``run``, if they have it.

    Returns
    -------
    curves : dict of str to dict
        ``points`` of each run, in the order of their steps, and the names of the
        development ``tables``: of the weights in use, and of the log.
    """
    runs = {}
    for path in npt_prior_models.weights_files():
        if _facts(path).get("curve"):
            runs[path.stem] = _facts(path)["curve"]
    log = folder / "npt_pretraining.jsonl"
    if log.exists():
        for text in log.read_text().splitlines():
            with suppress(json.JSONDecodeError):  # the run was stopped in the middle of a line
                line = json.loads(text)
                runs.setdefault(line.get("run", "log"), []).append(line)
    return {run: _short(lines) for run, lines in runs.items()}


def write_development(path):
    """Write the real tables that the pretraining is scored on, as it reads them.

    Context and test rows of split 0 at 500 rows of every classification table of at most
    ten classes: ``NAME/X`` (context rows first; categories as codes), ``NAME/y``,
    ``NAME/categorical``, ``NAME/context``.
    """
    arrays = {}
    for name in CLASSIFICATION:
        table = load_table(name)
        if table.y.max() >= MAX_CLASSES:
            continue
        context, test = context_and_test(table, 0, AT_MOST)
        categorical = (table.X.dtypes == "category").to_numpy()  # (d,)
        X = np.column_stack(
            [
                table.X[column].cat.codes.replace(-1, np.nan) if is_category else table.X[column]
                for column, is_category in zip(table.X, categorical, strict=True)
            ]
        ).astype(np.float64)  # (n, d)
        # Half of the digits of a large number are gone in float32: count from the first row.
        offset = np.where(categorical, 0, np.nan_to_num(X[context[0]]))
        rows = np.concatenate([context, test])
        arrays |= {
            f"{name}/X": (X - offset)[rows].astype(np.float32),
            f"{name}/y": table.y[rows].astype(np.int16),
            f"{name}/categorical": categorical,
            f"{name}/context": np.int64(len(context)),
        }
    np.savez_compressed(path, **arrays)
