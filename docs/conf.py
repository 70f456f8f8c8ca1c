"""Sphinx configuration. The build needs no network: no intersphinx, no theme downloads."""

import sys
from pathlib import Path

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util.math import get_node_equation_number

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import sklearn_selfattn  # noqa: E402

project = "sklearn_selfattn"
author = "The sklearn_selfattn developers"
copyright = "2026, The sklearn_selfattn developers"
version = release = sklearn_selfattn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates", "gallery/**/*.ipynb"]
templates_path = ["_templates"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

html_math_renderer = "mathml"  # drawn by the browser: MathJax would be fetched from the net

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc sections already give the types
numpydoc_show_class_members = False  # the class template lists them

html_theme = "pydata_sphinx_theme"
html_title = f"sklearn_selfattn {version}"
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_show_sourcelink = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "ignore_pattern": r"(__init__|distributed)",
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("sklearn_selfattn",),
    "reference_url": {"sklearn_selfattn": None},
    "backreferences_dir": "generated/backreferences",
    "abort_on_example_error": True,
    "min_reported_time": 1,
    "remove_config_comments": True,
    "ignore_repr_types": r"matplotlib|Display",  # the picture speaks for itself
}


def skip_inherited(app, what, name, obj, skip, options):
    """Leave out what scikit-learn documents itself (get_params, metadata routing, ...)."""
    function = obj.fget if isinstance(obj, property) else obj
    if str(getattr(function, "__module__", "")).startswith(("sklearn.", "skorch.")):
        return True
    return skip


def inline_math(translator, node):
    """Write an inline formula as MathML."""
    translator.body.append(tex2mathml(node.astext()))
    raise SkipNode


def display_math(translator, node):
    """Write a displayed formula as MathML, with its number if it has one."""
    translator.body.append(
        translator.starttag(node, "div", style="overflow-x: auto; padding-bottom: 1em")
    )
    if node["number"]:
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})</span>')
    translator.body.append(tex2mathml(node.astext(), as_block=True) + "</div>")
    raise SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (inline_math, None), (display_math, None))
    app.connect("autodoc-skip-member", skip_inherited)
