"""Check the docstrings of every public name: parameters, results and sections, by numpydoc."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

from numpydoc.docscrape import ClassDoc, FunctionDoc, NumpyDocString, get_doc_object
from numpydoc.hooks.validate_docstrings import parse_config
from numpydoc.validate import validate

import sklearn_iso

ROOT = Path(__file__).parents[1]
#: The order of a class's parameters is that of its bases, all of them by name: those that matter
#: most are told first. A result has attributes where another class has parameters.
NOT_OF_CLASSES, NOT_OF_RESULTS = {"PR03"}, {"PR01", "PR03"}
#: A method may say all in a sentence; one with sections has them all.
NOT_OF_A_SENTENCE = {"PR01", "RT01"}
#: What is described: a reader should not have to look elsewhere for it.
DESCRIBED = ("Parameters", "Other Parameters", "Returns", "Yields", "Attributes", "Raises", "Warns")
#: A reference in the place of a description: "As in :func:`x`", "Those of :class:`X`, ...",
#: "Labels, as in :func:`x`". One that follows a description is welcome.
REFERENCE = re.compile(
    r"(?:[^.:;]{0,60}, )?as (?:in|for|of|by|with|to)? *:\w+:`"
    r"|(?:as (?:in|for|of|by|with)|see|like|(?:the )?same(?: \w+)? as)\b"
    r"|(?:(?:those|that|these|parameters|arguments|keywords|of|for|to|by|on|passed|handed|given"
    r"|forwarded)\s+)+:\w+:`",
    re.IGNORECASE,
)


def public_subpackages() -> list[str]:
    """Return the package and its public subpackages, the deepest first."""
    found = [m.name for m in pkgutil.iter_modules(sklearn_iso.__path__, "sklearn_iso.")]
    return [*(name for name in found if "._" not in name), "sklearn_iso"]


def public_names() -> Iterator[tuple[str, set[str]]]:
    """Give each public class, function and method once, and the checks that do not apply to it."""
    seen = set()
    for subpackage in public_subpackages():
        module = importlib.import_module(subpackage)
        for name in module.__all__:
            value = getattr(module, name)
            if not callable(value) or id(value) in seen:
                continue
            seen.add(id(value))
            if not inspect.isclass(value):
                yield f"{subpackage}.{name}", set()
                continue
            is_result = not ClassDoc(value)["Parameters"]
            yield f"{subpackage}.{name}", NOT_OF_RESULTS if is_result else NOT_OF_CLASSES
            for own in methods_of(value):
                documented = FunctionDoc(getattr(value, own))
                has_sections = documented["Parameters"] or documented["Returns"]
                yield f"{subpackage}.{name}.{own}", set() if has_sections else NOT_OF_A_SENTENCE


def methods_of(kind: type) -> list[str]:
    """Return the public methods that a class defines, without those that a base documents."""
    return [
        name
        for name, value in vars(kind).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, classmethod | staticmethod))
        and not any(hasattr(base, name) for base in kind.__bases__)
    ]


def references(docstring: NumpyDocString) -> list[str]:
    """Return what a docstring leaves to another one, in the place of a description of its own."""
    told = [
        (section, entry.name or entry.type, text)
        for section in DESCRIBED
        for entry in docstring[section]
        for text in (" ".join(entry.desc), entry.type if entry.name else "")
    ]
    return [
        f"Describe {name!r} of {section} itself, and refer after that; got {text!r}"
        for section, name, text in told
        if REFERENCE.match(text)
    ]


def complaints(name: str, checks: set[str]) -> list[str]:
    """Return what numpydoc finds wrong with a docstring, and what it leaves to others."""
    found = [f"{code}: {text}" for code, text in validate(name)["errors"] if code in checks]
    return found + references(get_doc_object(pkgutil.resolve_name(name)))


def main() -> None:
    """Print all complaints, and fail if there are some."""
    checks = set(parse_config(str(ROOT))["checks"])
    names = dict(public_names())
    found = {name: complaints(name, checks - spared) for name, spared in names.items()}
    wrong = {name: errors for name, errors in found.items() if errors}
    for name, errors in wrong.items():
        print(name, *errors, sep="\n    ")
    print(f"{len(names)} public docstrings, {len(wrong)} with complaints")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
