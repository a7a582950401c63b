"""The documentation site: `make docs` builds it into docs/_build/html."""

import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path
from typing import Any

from sphinx.pycode import ModuleAnalyzer

import sklearn_iso

DOCS = Path(__file__).parent

project = "sklearn-iso"
author = "the sklearn-iso developers"
copyright = "the sklearn-iso developers"
version = release = sklearn_iso.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",  # formulas render without a network
]
exclude_patterns = ["_build", "gallery"]
templates_path = ["_templates"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
root_doc = "index"

# The pages are read on GitHub too, which knows dollars for formulas and anchors of headings.
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "substitution"]
myst_substitutions = {"version": version}
myst_heading_anchors = 3

autosummary_generate = True
toc_object_entries_show_parents = "hide"  # the page of a class names it already
autodoc_typehints = "none"  # numpydoc says them
autodoc_member_order = "bysource"
numpydoc_show_class_members = False  # the template of a class lists them

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "min_reported_time": 1,
}

html_theme = "pydata_sphinx_theme"
html_title = "sklearn-iso"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["layout.css"]
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    # The widest tables get the subpackage of the second sidebar, too.
    "secondary_sidebar_items": {"**": ["page-toc"], "explanation/comparison": []},
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
}

_PAGE = """\
{title}
{line}

.. automodule:: {module}
   :no-members:

.. currentmodule:: {module}

{sections}"""
_SECTION = """\
.. rubric:: {title}

.. autosummary::
   :toctree: ../names

{names}
"""
#: What the index of the reference shows of a subpackage.
_PART = """.. rubric:: {module}

.. currentmodule:: {module}

.. autosummary::

{names}
"""


def public_subpackages() -> list[str]:
    """Return the package and its public subpackages that offer names."""
    subpackages = [
        module.name
        for module in pkgutil.iter_modules(sklearn_iso.__path__, prefix="sklearn_iso.")
        if "._" not in module.name
    ]
    return ["sklearn_iso"] + [
        subpackage
        for subpackage in subpackages
        if getattr(importlib.import_module(subpackage), "__all__", [])
    ]


def kind_of(value: object) -> str:
    """Return the heading under which a name stands."""
    if inspect.isclass(value):
        return "Classes"
    return "Functions" if callable(value) else "Constants"


def write_reference() -> None:
    """Write one page for each subpackage, with every name of its `__all__`."""
    folder = DOCS / "reference" / "subpackages"
    folder.mkdir(exist_ok=True)
    pages, parts = {}, []
    offered = {"__version__"}
    for subpackage in public_subpackages():
        module = importlib.import_module(subpackage)
        names: dict[str, list[str]] = {"Classes": [], "Functions": [], "Constants": []}
        own = (
            set(module.__all__) - offered
        )  # the package offers estimators before their subpackage does
        for name in sorted(own):
            names[kind_of(getattr(module, name))].append(f"   {name}")
        if subpackage == "sklearn_iso":
            offered |= own
        if not own:
            continue
        sections = "\n".join(
            _SECTION.format(title=title, names="\n".join(found))
            for title, found in names.items()
            if found
        )
        listed = "\n".join(f"   {name}" for name in sorted(own))
        parts.append(_PART.format(module=subpackage, names=listed))
        pages[f"{subpackage}.rst"] = _PAGE.format(
            title=subpackage, line="=" * len(subpackage), module=subpackage, sections=sections
        )
    pages["all.txt"] = "\n".join(parts)
    for old in folder.glob("*.rst"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        page = folder / name
        if not page.exists() or page.read_text("utf-8") != text:  # keeps rebuilds short
            page.write_text(text, "utf-8")


def mark_files_outside(app: object, docname: str, source: list[str]) -> None:
    """Let links to scripts of the gallery lead to their pages, and to other files to downloads."""
    to_gallery = r"](\1auto_gallery/\2.rst)"
    source[0] = re.sub(r"\]\(((?:\.\./)+)gallery/(\w+)\.py\)", to_gallery, source[0])
    way_out = max(2, docname.count("/") + 1)  # folders up, from a page to what is around docs
    outside = rf"\]\(((?:\.\./){{{way_out}}}[^)#\s]+)(#[^)\s]*)?\)"
    source[0] = re.sub(outside, r"](path:\1)", source[0])


def quote_prefixes(
    app: object, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Mark column names such as "valid_..." as code: else a last underscore makes a reference."""
    lines[:] = [re.sub(r'(?<!`)"(\w+_\.\.\.)"', r'``"\1"``', line) for line in lines]


def describe_constants(
    app: object, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Say of a constant what the comment above it says, and not what Python says of dicts."""
    if what != "data":
        return
    last = name.rpartition(".")[2]
    for module in [m for key, m in sorted(sys.modules.items()) if key.startswith("sklearn_iso")]:
        if getattr(module, last, None) is obj:
            comments = ModuleAnalyzer.for_module(module.__name__).find_attr_docs()
            if comment := comments.get(("", last)):
                lines[:] = comment
                return
    raise LookupError(f"{name} needs a comment #: above its definition")


def skip_metadata_requests(
    app: object, what: str, name: str, obj: object, skip: bool, options: object
) -> bool | None:
    """Leave out what scikit-learn writes itself: set_fit_request and its like."""
    return True if re.fullmatch(r"set_\w+_request", name) else None


def setup(app: Any) -> None:
    """Write the reference before Sphinx looks for pages."""
    write_reference()
    app.connect("source-read", mark_files_outside)
    app.connect("autodoc-process-docstring", quote_prefixes)
    app.connect("autodoc-process-docstring", describe_constants)
    app.connect("autodoc-skip-member", skip_metadata_requests)
