"""Who may import whom, read from the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sklearn_selfattn

PACKAGE = Path(sklearn_selfattn.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
CORE = "sklearn_selfattn.core"
ROOMS = [
    f"sklearn_selfattn.{folder.name}"
    for folder in PACKAGE.iterdir()
    if folder.is_dir()
    and (folder / "__init__.py").exists()
    and folder.name not in ("core", "datasets")
]
# Torch only: the architecture has to be readable and usable without any estimator around it.
TORCH_ONLY = [
    path
    for path in SOURCES
    if path.name in ("module.py", "waves.py")
    or path.relative_to(PACKAGE).as_posix() in ("core/attention.py", "core/tokens.py")
]
# Torch and numpy only: pretraining runs where nothing else is installed.
BARE = [
    path
    for path in SOURCES
    if path.parent in (PACKAGE / "npt" / "pretrain", PACKAGE / "npt" / "weights")
    or path.relative_to(PACKAGE).as_posix()
    in ("npt/in_context.py", "npt/ensemble.py", "core/randomness.py")
]


def name_of(path):
    return "sklearn_selfattn." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports_of(path):
    """Yield each imported module by its full name, with the function around the import."""
    package = name_of(path).split(".")[:-1]

    def walk(node, function):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, function) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                module = ".".join([*base, *([child.module] if child.module else [])])
                yield module, function
                yield from ((f"{module}.{alias.name}", function) for alias in child.names)
            inside = child.name if isinstance(child, ast.FunctionDef) else function
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                inside = "TYPE_CHECKING"  # for type checkers, never run
            yield from walk(child, inside)

    yield from walk(ast.parse(path.read_text()), None)


def imports_from(path, package):
    return [name for name, _ in imports_of(path) if f"{name}.".startswith(f"{package}.")]


def by_name(path):
    return name_of(path)


def test_the_reader_sees_imports():
    """The rules below are worth nothing if imports are overlooked."""
    found = {name for name, _ in imports_of(PACKAGE / "core" / "base.py")}
    assert {
        "numpy",
        "torch",
        "sklearn.base",
        f"{CORE}.table",
        f"{CORE}.table.TableEncoder",
    } <= found
    assert imports_from(PACKAGE / "core" / "training.py", "skorch")
    assert TORCH_ONLY


@pytest.mark.parametrize("path", SOURCES, ids=by_name)
def test_rooms_are_apart(path):
    """Core imports no room, and no room imports another."""
    name = name_of(path)
    if name == "sklearn_selfattn.__init__":
        return  # resolves the public names, lazily
    foreign = [room for room in ROOMS if not name.startswith(f"{room}.")]
    assert [found for room in foreign for found in imports_from(path, room)] == []


@pytest.mark.parametrize("path", TORCH_ONLY, ids=by_name)
def test_modules_know_no_estimators(path):
    assert [*imports_from(path, "sklearn"), *imports_from(path, "skorch")] == []


@pytest.mark.parametrize("path", BARE, ids=by_name)
def test_pretraining_knows_torch_and_numpy_alone(path):
    assert len(BARE) > 9  # and all of them are looked at
    for package in ("sklearn", "skorch", "pandas", "scipy"):
        assert imports_from(path, package) == []


@pytest.mark.parametrize("path", SOURCES, ids=by_name)
def test_matplotlib_only_when_something_is_drawn(path):
    """An optional dependency: imported inside the function that draws, never with the file."""
    assert [
        name
        for name, inside in imports_of(path)
        if name.split(".")[0] == "matplotlib" and not inside
    ] == []


@pytest.mark.parametrize("path", SOURCES, ids=by_name)
def test_no_global_state_is_set(path):
    """No call that changes a random state, the thread count or a default for everyone."""
    forbidden = {
        "torch.manual_seed", "torch.seed", "torch.set_num_threads", "torch.set_default_dtype",
        "torch.set_default_device", "torch.use_deterministic_algorithms", "np.random.seed",
        "numpy.random.seed", "random.seed", "torch.cuda.manual_seed_all",
    }  # fmt: skip
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    assert [ast.unparse(call.func) for call in calls if ast.unparse(call.func) in forbidden] == []


@pytest.mark.parametrize(
    "package", ["sklearn_selfattn", "sklearn_selfattn.distributional", "sklearn_selfattn.npt"]
)
def test_package_alone_imports_nothing_heavy(package):
    code = f"import sys, {package}; print({{'torch', 'sklearn', 'skorch'}} & set(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert run.stdout.strip() == "set()"
