"""The package as a whole: what importing it costs, what it exports, what it asks for."""

import ast
import importlib
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import sklearn_selfattn

ROOT = Path(__file__).resolve().parents[1]
ROOMS = sorted(
    f".{path.parent.name}"
    for path in (ROOT / "sklearn_selfattn").glob("*/__init__.py")
    if path.parent.name != "core"
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [
    Requirement(line)
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for line in group
]


def canonical(name):
    """Return a distribution's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def run_python(code):
    """Run code in a fresh interpreter with warnings as errors; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_imports_no_heavy_dependency():
    code = "import sys, sklearn_selfattn; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = set(run_python(code).split())
    assert "sklearn_selfattn" in loaded
    assert not loaded & {"torch", "sklearn", "skorch", "numpy", "scipy", "pandas", "matplotlib"}


def test_every_public_name_resolves():
    for name in sklearn_selfattn.__all__:
        assert getattr(sklearn_selfattn, name) is not None
    assert dir(sklearn_selfattn) == sorted(sklearn_selfattn.__all__)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'sklearn_selfattn' has no attribute 'NPTClasifier'"):
        _ = sklearn_selfattn.NPTClasifier


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_type_checkers_see_the_names_that_users_get(room):
    package = importlib.import_module(f"sklearn_selfattn{room}")
    tree = ast.parse(Path(package.__file__).read_text())
    seen = {
        name.name: "." * (node.level - 1) + node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if name.asname  # "X as X" is how a stub says that X is public
    }
    assert seen == package._HOMES


def test_version_is_told_once():
    assert "version" in PROJECT["dynamic"]
    assert importlib.metadata.version("sklearn-selfattn") == sklearn_selfattn.__version__
    release = sklearn_selfattn.__version__.split(".dev")[0]
    first_heading = re.search(r"^## (\S+)", (ROOT / "CHANGES.md").read_text(), re.MULTILINE)
    assert first_heading.group(1) == release


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_requirements_have_a_lower_bound_and_nothing_else(requirement):
    assert [specifier.operator for specifier in requirement.specifier] == [">="]


def test_constraints_pin_a_version_that_satisfies_each_requirement():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {}
    for pin in pins:
        (specifier,) = pin.specifier
        assert specifier.operator == "=="
        versions[canonical(pin.name)] = specifier.version
    assert len(versions) == len(pins), "a package is pinned twice"
    for requirement in REQUIREMENTS:
        assert requirement.specifier.contains(versions[canonical(requirement.name)])


def test_fit_and_predict_need_no_network():
    run_python("""
import sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        raise RuntimeError(f"network access: {event} {arguments}")

sys.addaudithook(refuse)
import numpy as np
import sklearn_selfattn
for name in sklearn_selfattn.__all__:
    getattr(sklearn_selfattn, name)
X = np.random.default_rng(0).normal(size=(30, 3))
model = sklearn_selfattn.NPTClassifier(pretrained=False, max_epochs=2).fit(X, X[:, 0] > 0)
assert model.predict_proba(X).shape == (30, 2)
""")
