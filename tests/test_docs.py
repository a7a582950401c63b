"""Every example in the documentation runs, and every public name has one."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import sklearn_iso

ROOT = Path(__file__).parents[1]
INTERNAL = {"geometry", "training"}  # rooms that users do not import from
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(sklearn_iso.__path__, prefix="sklearn_iso.")
)


def public_objects() -> list:
    """Return every class and function that the __init__ of a public room offers."""
    found = {}
    for name in ["sklearn_iso", *MODULES]:
        module = importlib.import_module(name)
        if hasattr(module, "__path__") and not INTERNAL & set(name.split(".")):
            for public in getattr(module, "__all__", []):
                value = getattr(module, public)
                if inspect.isclass(value) or inspect.isfunction(value):
                    found[f"{value.__module__}.{public}"] = value
    return [pytest.param(value, id=name) for name, value in sorted(found.items())]


@pytest.mark.parametrize("name", MODULES)
def test_doctests_run(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS)
    assert result.failed == 0


@pytest.mark.parametrize("value", public_objects())
def test_public_name_has_an_example(value):
    assert ">>>" in (value.__doc__ or ""), f"{value.__name__} has no Examples section"


PAGES = sorted(
    page
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if "_build" not in page.parts and "```python" in page.read_text("utf-8")
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_code_of_a_page_runs_from_top_to_bottom(page, capsys):
    names = {"__name__": "__main__"}
    for block in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.S):
        exec(compile(block, str(page), "exec"), names)
    assert capsys.readouterr().out
