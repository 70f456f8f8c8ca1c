"""The types that users' editors and type checkers see: there, true, and of use."""

import importlib
import inspect
import re
import subprocess
import sys
import types
import typing
from numbers import Integral
from pathlib import Path

import pytest
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions

import sklearn_selfattn

ROOT = Path(__file__).resolve().parents[1]
HOMES = ["sklearn_selfattn", *(f"sklearn_selfattn.{home}" for home in (
    "causal", "datasets", "depth_width", "distributional", "npt", "primal", "reranking",
    "time_events", "transport", "vision_language",
))]  # fmt: skip


def public_names(home):
    """Yield the public classes and functions of a package."""
    package = importlib.import_module(home)
    for name in package.__all__:
        if callable(getattr(package, name)):
            yield name, getattr(package, name)


def own_functions(public):
    """Yield what of a public name was written here: itself, or its constructor and methods."""
    if not inspect.isclass(public):
        yield inspect.unwrap(public)
        return
    for name in dir(public):
        if name.startswith("_") and name != "__init__":
            continue
        found = inspect.getattr_static(public, name)
        if isinstance(found, property):
            found = found.fget
        found = getattr(found, "fn", found)  # of available_if
        found = inspect.unwrap(getattr(found, "__func__", found))
        if inspect.isfunction(found) and found.__module__.startswith("sklearn_selfattn."):
            yield found


def missing_annotations(function):
    """List what a signature does not tell the type of."""
    signature = inspect.signature(function)
    missing = [
        name
        for name, parameter in signature.parameters.items()
        if name not in ("self", "cls") and parameter.annotation is inspect.Parameter.empty
    ]
    is_told = signature.return_annotation is not inspect.Signature.empty
    return missing if is_told else [*missing, "return"]


def test_the_walk_sees_what_is_missing():
    def bare(self, X, y: ArrayLike, **options):
        """Have two parameters and a return value without a type."""

    assert missing_annotations(bare) == ["X", "options", "return"]
    names = {f.__qualname__ for f in own_functions(sklearn_selfattn.TimeEventRegressor)}
    assert {
        "BaseTimeEvents.attention_weights",  # inherited in the room
        "SelfAttentionTransformerMixin.transform",  # inherited from the core
        "TimeEventRegressor.__init__",
        "TimeEventRegressor.fit",  # decorated
        "TimeEventRegressor.predict_quantile",  # there or not, with the loss
    } <= names


@pytest.mark.parametrize("home", HOMES)
def test_all_that_is_public_is_annotated(home):
    assert {
        function.__qualname__: missing
        for _, public in public_names(home)
        for function in own_functions(public)
        if (missing := missing_annotations(function))
    } == {}


# --- the types of parameters are what fit checks --------------------------------------------

ESTIMATORS = {
    name: public
    for home in HOMES
    for name, public in public_names(home)
    if getattr(public, "_parameter_constraints", None)
}


def members(hint):
    """Yield the parts of a union, its aliases opened."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        for part in typing.get_args(hint):
            yield from members(part)
    else:
        yield hint


def admitted(hint):
    """Tell what a hint lets through: texts, and whether None, bools, functions and so on."""
    if hint is typing.Any:
        return None
    found = set()
    parts = set(members(hint))
    arrays = set(members(ArrayLike))
    if arrays <= parts:  # holds texts and numbers of its own
        found.add("array-like")
        parts -= arrays
    for part in parts:
        origin = typing.get_origin(part)
        if origin is typing.Literal:
            found |= {value for value in typing.get_args(part) if value is not False}
            found |= {"bool" for value in typing.get_args(part) if value is False}
        elif part is types.NoneType:
            found.add("None")
        elif part in (bool, int, float, str):
            found.add(part.__name__)
        else:
            found.add(getattr(origin, "__name__", None) or part.__name__)
    return found


def accepted(constraints):
    """Tell the same of a list of constraints."""
    found = set()
    for constraint in constraints:
        if isinstance(constraint, StrOptions):
            found |= constraint.options
        elif isinstance(constraint, Interval):
            found.add("int" if constraint.type is Integral else "float")
        elif isinstance(constraint, Options) or constraint == "boolean":
            found.add("bool")
        elif constraint is None:
            found.add("None")
        elif isinstance(constraint, HasMethods):
            found.add("Any")
        elif constraint is callable:
            found.add("Callable")
        elif constraint == "random_state":
            found |= {"None", "int", "RandomState"}
        elif constraint == "verbose" or constraint is Integral:
            found.add("int")
        elif isinstance(constraint, type):
            found.add(constraint.__name__)
        else:
            found.add(constraint)
    return found


# Told more closely than it is checked, or of types that the library behind it has no names for.
NARROWER = {
    "cv", "depths", "discovery", "error_score", "hidden_layer_sizes", "image_shape", "scoring",
    "vocabulary",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_types_of_parameters_say_what_is_accepted(name):
    estimator = ESTIMATORS[name]
    hints = typing.get_type_hints(estimator.__init__)
    constraints = estimator._parameter_constraints
    assert "random_state" in hints or len(hints) > 2
    differences = {}
    for parameter in inspect.signature(estimator).parameters:
        allowed = constraints[parameter]
        if parameter in NARROWER or allowed == "no_validation" or hints[parameter] is typing.Any:
            continue
        said = admitted(hints[parameter])
        if said != accepted(allowed):
            differences[parameter] = said ^ accepted(allowed)
    assert differences == {}


# --- what a user's type checker says ---------------------------------------------------------

USE = """
import numpy as np
from sklearn_selfattn import (
    AsymmetricKSVD, AttentionReranker, EventSequences, NeighborsDisplay, NPTClassifier,
    OTTabularClassifier, PAGDiscovery, PrimalAttentionClassifier, TimeEventRegressor,
    VisualParsingRegressor, separation_rank,
)
from sklearn_selfattn.datasets import make_digit_scenes
from sklearn_selfattn.reranking import retrieval_metric

X, y = np.zeros((3, 2)), [0, 1, 0]
model = NPTClassifier(n_layers=2, random_state=np.random.RandomState(0))
reveal_type(model.fit(X, y))  # NPTClassifier
reveal_type(model.fit([[1.0, None], ["a", 2]], y))  # NPTClassifier
reveal_type(model.predict(X))  # ndarray
reveal_type(model.attention_weights(X).rollout())  # AttentionMaps
reveal_type(NeighborsDisplay.from_estimator(model, X).plot())  # NeighborsDisplay
reveal_type(OTTabularClassifier(early_stopping=False).fit(X, y).score_samples(X))  # ndarray
series, primal = [np.zeros((2, 3)), np.zeros((2, 4))], PrimalAttentionClassifier(batch_size="auto")
reveal_type(primal.fit(series, y))  # PrimalAttentionClassifier
log = EventSequences.from_lists([[1.0], [2.0]])
reveal_type(TimeEventRegressor().fit(log, [1.0, 2.0]).predict_interval(log))  # ndarray
reveal_type(VisualParsingRegressor().fit([(X, "a sentence")], y))  # VisualParsingRegressor
reveal_type(AsymmetricKSVD().fit(X))  # AsymmetricKSVD
reveal_type(AttentionReranker().kneighbors(X, return_distance=False))  # ndarray
reveal_type(PAGDiscovery().fit(X))  # PAGDiscovery
reveal_type(separation_rank(model, X))  # SeparationRank
reveal_type(make_digit_scenes(3)[1])  # ndarray
reveal_type(retrieval_metric([[1, 0]]))  # float
"""
MISUSE = """
import numpy as np
from sklearn_selfattn import NPTClassifier, OTTabularClassifier, PrimalAttentionClassifier

X, y = np.zeros((3, 2)), [0, 1, 0]
NPTClassifier(n_layers="deep")  # arg-type
NPTClassifier(depth=3)  # call-arg
PrimalAttentionClassifier(attention="softmx")  # arg-type
OTTabularClassifier(dtype="float16")  # arg-type
NPTClassifier().fit(None, y)  # arg-type
NPTClassifier().predict(X, y)  # call-arg
NPTClassifier().predict(X).append(1)  # attr-defined
"""


def test_a_users_program_is_checked(tmp_path):
    """One run of mypy, without our settings: the types of what is right, the errors of the rest."""
    programs = {"use": USE, "misuse": MISUSE}
    for name, code in programs.items():
        (tmp_path / f"{name}.py").write_text(code)
    command = [sys.executable, "-m", "mypy", "--config-file=", "--follow-imports=silent"]
    command += [f"--cache-dir={tmp_path / 'cache'}", *(str(tmp_path / f"{p}.py") for p in programs)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    found = {name: {} for name in programs}
    for name, line, kind, message in re.findall(
        rf"^{re.escape(str(tmp_path))}/(\w+)\.py:(\d+): (\w+): (.*)$", run.stdout, re.MULTILINE
    ):
        revealed = re.search(r'Revealed type is "(?:[a-z_]+\.)*(\w+)', message)
        if revealed:
            found[name][int(line)] = revealed.group(1)
        elif kind == "error":
            found[name][int(line)] = re.search(r"\[([a-z-]+)\]$", message).group(1)
    for name, code in programs.items():
        wanted = {
            number: line.rpartition("# ")[2]
            for number, line in enumerate(code.splitlines(), start=1)
            if "  # " in line
        }
        assert wanted
        assert found[name] == wanted, run.stdout + run.stderr


def test_the_package_says_that_it_is_typed():
    assert (Path(sklearn_selfattn.__file__).parent / "py.typed").read_text() == ""
