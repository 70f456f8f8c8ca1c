"""The documentation is held to the code: docstrings, pages, links, and code that runs."""

import inspect
import json
import re
import textwrap
from pathlib import Path

import npt_prior_models
import pytest
import render_npt_card
import render_npt_prior
import render_tabular
from numpydoc.validate import validate

import sklearn_selfattn

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PUBLIC = [name for name in sklearn_selfattn.__all__ if name != "__version__"]
ROOMS = sorted(
    path.parent.name
    for path in (ROOT / "sklearn_selfattn").glob("*/__init__.py")
    if path.parent.name not in {"core", "datasets"}
)
# What numpydoc would like and this project does not ask for.
NOT_ASKED = {
    "ES01",  # an extended summary: one line is enough where it says all
    "RT02",  # a return value without a name: scikit-learn names its return values
    "SA01",  # a See Also section everywhere
    "GL01",  # text on the line after the quotes
}
ONLY_FOR_CLASSES = {"EX01"}  # each class shows an example, a method need not


def documented_objects():
    """Yield the dotted name of each public class and of each public member we wrote."""
    for name in PUBLIC:
        yield f"sklearn_selfattn.{name}"
        cls = getattr(sklearn_selfattn, name)
        for member, value in inspect.getmembers(cls):
            function = value.fget if isinstance(value, property) else value
            module = getattr(function, "__module__", None) or ""
            if not member.startswith("_") and module.startswith("sklearn_selfattn"):
                yield f"sklearn_selfattn.{name}.{member}"


@pytest.mark.parametrize("name", list(documented_objects()))
def test_docstring_is_valid_numpydoc(name):
    not_asked = NOT_ASKED if name.count(".") == 1 else NOT_ASKED | ONLY_FOR_CLASSES
    errors = [f"{code}: {text}" for code, text in validate(name)["errors"] if code not in not_asked]
    assert not errors


def code_blocks(path):
    """Yield the Python blocks of a page, each on the lines where it stands."""
    text = path.read_text()
    if path.suffix == ".md":
        pattern = r"^```python\n(.*?)^```"
    else:
        pattern = r"^\.\. code-block:: python\n\n((?:   [^\n]*\n|\n)+)"
    for block in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
        n_lines_above = text.count("\n", 0, block.start(1))
        yield "\n" * n_lines_above + textwrap.dedent(block.group(1))


def execute(path, namespace):
    blocks = list(code_blocks(path))
    assert blocks, f"{path.name} shows no Python"
    for block in blocks:
        exec(compile(block, str(path), "exec"), namespace)
    return namespace


def test_readme_example_runs_and_says_what_it_promises(capsys):
    shown = execute(ROOT / "README.md", {})
    assert shown["X_train"].isna().any(axis=None)
    assert float(capsys.readouterr().out.split()[0]) > 0.9
    assert shown["model"].n_context_ == len(shown["X"])


@pytest.fixture(scope="module")
def wine():
    """Names that the pages use without making them, on a small table."""
    from sklearn.datasets import load_wine
    from sklearn.model_selection import train_test_split

    from sklearn_selfattn import NPTClassifier

    X, y = load_wine(return_X_y=True, as_frame=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    model = NPTClassifier(pretrained=False, max_epochs=2, random_state=0).fit(X_train, y_train)
    names = {"X_train": X_train, "X_test": X_test, "y_train": y_train, "y_test": y_test}
    return names | {"X": X_test.head(3), "X_today": X, "y_today": y, "model": model}


@pytest.mark.parametrize(
    "page",
    [
        "index.rst",
        "guide/causal.rst",
        "guide/core.rst",
        "guide/depth_width.rst",
        "guide/distributional.rst",
        "guide/guarantees.rst",
        "guide/index.rst",
        "guide/npt.rst",
        "guide/npt_pretrained.rst",
        "guide/time_events.rst",
        "guide/primal.rst",
        "guide/reranking.rst",
        "guide/transport.rst",
        "guide/vision_language.rst",
    ],
)
def test_code_on_the_pages_runs(page, wine):
    execute(DOCS / page, dict(wine))


def test_api_page_lists_the_public_names():
    entries = re.findall(r"^   (\w+)$", (DOCS / "api.rst").read_text(), re.MULTILINE)
    assert sorted(entries) == sorted(PUBLIC)


@pytest.mark.parametrize("room", ROOMS)
def test_room_is_documented(room):
    assert (DOCS / "guide" / f"{room}.rst").read_text().startswith(f".. _{room}:\n")
    assert f"   {room}\n" in (DOCS / "guide" / "index.rst").read_text()
    assert f"](docs/guide/{room}.rst)" in (ROOT / "README.md").read_text()
    assert list((ROOT / "examples").glob(f"plot_{room}_*.py"))


def test_there_are_rooms():
    assert "npt" in ROOMS


PAGES = [*ROOT.glob("*.md"), *DOCS.glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not missing


def test_benchmark_figures_come_from_the_results_files():
    """Page and README table are what the results file renders to, to the letter."""
    results = json.loads((ROOT / "benchmarks" / "results" / "tabular.json").read_text())
    assert (DOCS / "benchmarks" / "tabular.rst").read_text() == render_tabular.page(results)
    start, end = render_tabular.README_MARKERS
    shown = (ROOT / "README.md").read_text().split(start)[1].split(end)[0]
    assert shown.strip() == render_tabular.readme_table(results).strip()


def test_figures_of_the_pretrained_weights_come_from_their_results_file():
    """Benchmark page and model card are rendered, and speak of the weights in the package."""
    results = json.loads((ROOT / "benchmarks" / "results" / "npt_prior.json").read_text())
    assert (DOCS / "benchmarks" / "npt_prior.rst").read_text() == render_npt_prior.page(results)
    assert (ROOT / render_npt_card.CARD).read_text() == render_npt_card.card(results)
    assert [entry["sha256"] for entry in results["weights"]] == [
        npt_prior_models.sha256(path) for path in npt_prior_models.weights_files()
    ]


def test_readme_has_exactly_two_set_up_commands():
    readme = (ROOT / "README.md").read_text()
    first_block = re.search(r"^```console\n(.*?)^```", readme, re.MULTILINE | re.DOTALL).group(1)
    assert first_block.splitlines() == ["make demo", "make test"]
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"demo", "test"} <= set(targets)


def test_commands_shown_for_those_without_make_are_the_makefiles():
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for extras in re.findall(r'-e "(\.\[[\w,]+\])"', readme):
        assert f'"{extras}"' in makefile
    for command in re.findall(r"^\S*\.venv/bin/python (?!-m pip)(.*)$", readme, re.MULTILINE):
        expanded = makefile.replace("$(JOBS)", "2")
        assert f"$(BIN)/python {command}\n" in expanded
