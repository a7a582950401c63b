"""The check of docstrings complains where a reader has to look elsewhere, and not otherwise."""

import importlib.util
from pathlib import Path

import pytest
from numpydoc.docscrape import NumpyDocString

CHECK = Path(__file__).parents[1] / "docs" / "check_docstrings.py"


def check():
    """Return the script that checks docstrings."""
    spec = importlib.util.spec_from_file_location("check_docstrings", CHECK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCES = check().references

TEMPLATE = """Return nothing.

{section}
{line}
x{kind}
    {description}
"""


def references(description, kind=" : float", section="Parameters"):
    """Return the complaints about a docstring with one entry."""
    text = TEMPLATE.format(
        section=section, line="-" * len(section), kind=kind, description=description
    )
    return REFERENCES(NumpyDocString(text))


@pytest.mark.parametrize("description", [
    "As in :func:`other`.",
    "As for :class:`Other`; at least 0.",
    "As :meth:`fit`.",
    "As of :func:`other`; 5 by default.",
    "As in the other function.",
    "as in :meth:`~package.Other.fit`, but None sets no limit.",
    "See :class:`Other`.",
    "Same as :func:`other`.",
    "The same as in :func:`other`.",
    "The same parameters as :func:`other`.",
    "Like in :func:`other`.",
    "Those of :class:`Other`.",
    "That of :class:`Other`.",
    "Parameters of :class:`Other`.",
    "Of :func:`other`: how far.",
    "Passed to :meth:`plot`.",
    "Passed on to :meth:`plot`.",
    "Labels, as in :func:`other`, or targets.",
    "Of the search, as in :class:`Other`.",
    "Folds, as :func:`other` takes them.",
])  # fmt: skip
def test_a_reference_in_place_of_a_description_is_told(description):
    (told,) = references(description)
    assert "'x' of Parameters" in told and description in told


@pytest.mark.parametrize("description", [
    "Budget, in units of the threat.",
    "Budget, in units of the threat; details in :func:`other`.",
    "Budget. As in :func:`other` it is never negative.",
    "What :func:`other` returned.",
    "What an attack may do, see :class:`Other`.",
    "As many samples as the classes need.",
    "The same number for samples that equal each other.",
    "Passed to matplotlib's `plot`.",
    "Those that hold.",
    "Of the layer: rows of length 1.",
    ":class:`Other`, or a function that makes one.",
    "With a twin (:func:`other`).",
])  # fmt: skip
def test_a_description_may_refer_afterwards(description):
    assert references(description) == []


@pytest.mark.parametrize("section", ["Parameters", "Returns", "Attributes"])
def test_every_section_is_looked_at(section):
    assert references("As in :func:`other`.", section=section)
    assert not references("Smallest one.", section=section)


def test_errors_without_a_name_are_told_by_their_kind():
    text = "Return nothing.\n\nRaises\n------\nValueError\n    As :func:`other`.\n"
    (told,) = REFERENCES(NumpyDocString(text))
    assert "'ValueError' of Raises" in told


def test_a_reference_in_the_place_of_a_kind_is_told():
    assert references("", kind=" : array-like, as in :meth:`fit`")
    assert not references("", kind=" : array-like of shape (n_samples,)")
