"""A fitted estimator as a graph that predicts without this package: torch.export and ONNX."""

import importlib
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from .decompositions import decompositions

__all__ = ["export_inputs", "export_onnx", "export_program"]

#: What has the methods that are asked for here. Core knows no method: names, not classes.
ACCEPTED = (
    "AttentionReranker",
    "NPTClassifier",
    "NPTRegressor",
    "OTTabularClassifier",
    "PrimalAttentionClassifier",
    "PrimalAttentionRegressor",
    "TimeEventClassifier",
    "TimeEventRegressor",
    "VisualParsingClassifier",
    "VisualParsingRegressor",
)
PACKAGES = ("onnx", "onnxscript")  # that write a file; onnxruntime only runs it


def export_inputs(estimator: Any, X: Any) -> dict[str, NDArray[Any]]:
    """Return what an exported graph is given for some rows.

    Checks, scales and encodes rows as the estimator does before it predicts. The graph takes it
    from there.

    Parameters
    ----------
    estimator : estimator
        A fitted one of those that `export_program` lists.
    X : array-like or frame
        Rows, as for `predict`.

    Returns
    -------
    dict of str to ndarray
        The inputs by their names, rows along the first axis of each:

        - NPT and primal attention on a table: "cells" (n_samples, n_features), scaled numbers
          and category codes, NaN where missing;
        - primal attention on series: "series" (n_samples, n_steps, n_channels), NaN after the
          end of a series;
        - transport: "features" (n_samples, n_columns), with one-hot categories;
        - time events: "codes", "numbers", "times", "clock" and "real" (n_samples, n_events, ...),
          "query_times", "query_clock" and "query_numbers" (n_samples, 1, ...); "cells" of a plain
          table;
        - visual parsing: "pixels" (n_samples, n_channels, height, width) and "words"
          (n_samples, max_text_length), which is missing where there are none;
        - the re-ranker: "affinity" (n_samples, n_candidates + 1, n_anchors), the similarities of
          the query and of each item of its list to the first of them.

    Raises
    ------
    NotFittedError
        The estimator is not fitted.
    TypeError
        It is none of those that can be exported.
    ValueError
        It has nothing to compute, or `X` is refused as by `predict`.

    See Also
    --------
    export_onnx : Write the graph.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_selfattn import OTTabularClassifier, export_inputs
    >>> X, y = load_iris(return_X_y=True)
    >>> model = OTTabularClassifier(max_epochs=2, random_state=0).fit(X, y)
    >>> {name: array.shape for name, array in export_inputs(model, X[:5]).items()}
    {'features': (5, 4)}
    """
    return {name: array for name, (array, _) in _arrays(estimator, X).items()}


def export_program(estimator: Any, X: Any) -> torch.export.ExportedProgram:
    """Turn the prediction of a fitted estimator into a PyTorch graph.

    The graph holds weights and what follows them. It needs PyTorch, and neither this package nor
    scikit-learn, to run; :func:`torch.export.save` writes it. Its inputs are those of
    `export_inputs`, and its output is

    - of a classifier `predict_proba`, (n_samples, n_classes);
    - of a regressor `predict`, (n_samples,), in the units of the target;
    - of an `AttentionReranker` the score of each item of a list, (n_samples, n_candidates): what
      `kneighbors` sorts by, 1 less the distance. The search for candidates is not part of it.

    Parameters
    ----------
    estimator : estimator
        A fitted NPTClassifier or NPTRegressor (with its context as it is now),
        OTTabularClassifier, PrimalAttentionClassifier or PrimalAttentionRegressor,
        TimeEventClassifier or TimeEventRegressor, VisualParsingClassifier or
        VisualParsingRegressor, or AttentionReranker.
    X : array-like or frame
        Some rows, as for `predict`. What is in them does not matter.

    Returns
    -------
    torch.export.ExportedProgram
        Takes any number of rows; series and histories of any length where the estimator does.
        Call it as ``program.module()(inputs)`` with a dict of tensors, the arrays of
        `export_inputs`.

    Raises
    ------
    NotFittedError
        The estimator is not fitted.
    TypeError
        It is none of those above, which have a net.
    ValueError
        A classifier that knows one class, or a re-ranker that chose not to re-rank: there is
        nothing to compute; or `X` is refused as by `predict`.

    See Also
    --------
    export_onnx : The same for other runtimes.

    Notes
    -----
    Equal to the estimator's own predictions to 1e-10 where it predicts in float64, as it does on a
    CPU by default. Costs about a second, whatever the number of rows. All rows go through
    the graph at once: memory grows with them, so cut many rows into parts.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_selfattn import OTTabularClassifier, export_inputs, export_program
    >>> X, y = load_iris(return_X_y=True)
    >>> model = OTTabularClassifier(max_epochs=2, random_state=0).fit(X, y)
    >>> program = export_program(model, X[:2])
    >>> inputs = {k: torch.as_tensor(v) for k, v in export_inputs(model, X).items()}
    >>> proba = program.module()(inputs).detach().numpy()
    >>> bool(np.allclose(proba, model.predict_proba(X)))
    True
    """
    found = _arrays(estimator, X)
    device = next(estimator.module_.parameters()).device
    shapes, tensors = {}, {}
    for name, (array, n_free) in found.items():
        for axis in range(n_free):
            if array.shape[axis] < 2:  # a graph made for one row would be for one row only
                array = np.concatenate([array, array], axis=axis)
        shapes[name] = dict.fromkeys(range(n_free), torch.export.Dim.DYNAMIC)
        tensors[name] = torch.as_tensor(array, device=device)
    with torch.no_grad(), _quiet():
        return torch.export.export(
            _Predictor(estimator), (tensors,), dynamic_shapes={"inputs": shapes}, strict=False
        )


def export_onnx(estimator: Any, X: Any, path: str | os.PathLike[str]) -> None:
    """Write the prediction of a fitted estimator as an ONNX file.

    It runs wherever there is an ONNX runtime: in C++, C#, Java, a browser, without Python. What
    goes in and what comes out is told at `export_inputs` and `export_program`; the input names are
    those of `export_inputs`, the output is called "prediction".

    Parameters
    ----------
    estimator : estimator
        A fitted one of those that `export_program` lists.
    X : array-like or frame
        Some rows, as for `predict`. What is in them does not matter.
    path : str or path-like
        The file, ending in ".onnx". A file that is there is replaced.

    Raises
    ------
    NotFittedError, TypeError, ValueError
        As `export_program`; or the path ends otherwise.
    ImportError
        onnx or onnxscript is not installed.

    See Also
    --------
    export_program : The same for PyTorch.

    Notes
    -----
    Equal to the estimator's own predictions to 1e-5. Numbers are float64 where the estimator
    predicts so, but for the error function and convolutions, which the CPU runtime has in
    float32 alone. Costs some seconds. If this raises, no file is written or changed.

    Examples
    --------
    >>> import tempfile
    >>> import onnxruntime
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_selfattn import OTTabularClassifier, export_inputs, export_onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> model = OTTabularClassifier(max_epochs=2, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_onnx(model, X[:2], f"{folder}/iris.onnx")
    ...     session = onnxruntime.InferenceSession(f"{folder}/iris.onnx")
    >>> session.run(["prediction"], export_inputs(model, X))[0].shape
    (150, 3)
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ValueError(f"path has to end in '.onnx', got {str(path)!r}.")
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ImportError(
                f"export_onnx writes with {package}, which is not installed. "
                'Install it with: pip install "sklearn-selfattn[export]"'
            ) from error
    names = list(_arrays(estimator, X))
    program = export_program(estimator, X)
    with torch.no_grad(), _quiet():
        program = program.run_decompositions(decompositions())
        onnx_program = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            input_names=names,
            output_names=["prediction"],
        )
        assert onnx_program is not None
        onnx_program.save(path)


def _arrays(estimator: Any, X: Any) -> dict[str, tuple[NDArray[Any], int]]:
    """Return the inputs of a graph, each with how many of its first axes have no fixed size."""
    name = type(estimator).__name__
    if not hasattr(estimator, "_export_inputs"):
        raise TypeError(f"{name} cannot be exported; accepted are {', '.join(ACCEPTED)}.")
    check_is_fitted(estimator)
    if len(getattr(estimator, "classes_", "ab")) == 1:
        raise ValueError(f"This {name} knows one class: there is nothing to compute.")
    return estimator._export_inputs(X)  # type: ignore[no-any-return]


class _Predictor(nn.Module):
    """The module of an estimator and what it makes of the outputs, without the estimator."""

    def __init__(self, estimator: Any) -> None:
        super().__init__()
        self.module = estimator.module_
        self._outputs: Callable[..., Tensor] = estimator._export_forward()
        self._answer: Callable[[Tensor], Tensor] = estimator._export_answer

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return predictions from the inputs by name."""
        return self._answer(self._outputs(**inputs).to(torch.float64))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves what torch says of its own insides while it exports."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        # a bound of float64, tried in float32
        warnings.filterwarnings("ignore", "overflow encountered in cast", RuntimeWarning)
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(level)
