"""Every example in the documentation runs, and every public name has one."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import sklearn_iso

ROOT = Path(__file__).parents[1]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(sklearn_iso.__path__, prefix="sklearn_iso.")
)


def public_objects() -> list:
    """Return every class and function that the __init__ of a public room offers."""
    found = {}
    for name in ["sklearn_iso", *MODULES]:
        module = importlib.import_module(name)
        if hasattr(module, "__path__") and "._" not in name:
            for public in getattr(module, "__all__", []):
                value = getattr(module, public)
                if inspect.isclass(value) or inspect.isfunction(value):
                    found[f"{value.__module__}.{public}"] = value
    return [value for _, value in sorted(found.items())]


@pytest.mark.parametrize("name", MODULES)
def test_doctests_run(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS)
    assert result.failed == 0


def test_every_public_name_has_an_example():
    known = public_objects()
    assert len(known) > 100
    assert not [value.__name__ for value in known if ">>>" not in (value.__doc__ or "")]


PAGES = sorted(
    page
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if "_build" not in page.parts and "```python" in page.read_text("utf-8")
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_code_of_a_page_runs_from_top_to_bottom(page, capsys):
    names, text = {"__name__": "__main__"}, page.read_text("utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(compile(block, str(page), "exec"), names)
    printed = capsys.readouterr().out
    assert printed
    for shown in re.findall(r"```text\n(.*?)```", text, re.S):
        assert shown in printed


def calls_in_the_text():
    """Return calls of public functions that stand in the text of a page, such as `f(x)`."""
    known = {one.__name__: one for one in public_objects()}
    methods = {name for one in known.values() if inspect.isclass(one) for name in dir(one)}
    found = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)
        for code in re.findall(r"`((?:\w+\.)*\w+\([^`]*\))`", text):
            path, _, name = code.split("(")[0].rpartition(".")
            ours = path.startswith("sklearn_iso") or (not path and name not in methods)
            whole = isinstance(ast.parse(code, mode="eval").body, ast.Call)
            if ours and whole and name in known and "_build" not in page.parts:
                found.append((page.stem, known[name], code))
    return found


def wrong_parameters(function, code):
    """Return what a call in the text does not have in common with the function."""
    call = ast.parse(code, mode="eval").body
    some = any(isinstance(a, ast.Constant) and a.value is Ellipsis for a in call.args)
    signature, named = inspect.signature(function), {k.arg: None for k in call.keywords}
    try:
        signature.bind_partial(**named) if some else signature.bind(*call.args, **named)
    except TypeError as error:
        return str(error)
    return ""


def test_calls_in_the_text_of_pages_have_the_parameters_of_the_functions():
    calls = calls_in_the_text()
    assert len(calls) > 10
    assert wrong_parameters(sklearn_iso.preset, "preset(no_name='paper')")
    assert not [(page, code, wrong) for page, function, code in calls
                if (wrong := wrong_parameters(function, code))]  # fmt: skip


def test_every_yes_of_ours_is_linked_to_what_shows_it():
    table = (ROOT / "docs" / "explanation" / "comparison.md").read_text("utf-8")
    cells = [row.split("|")[2].strip() for row in table.splitlines() if row.startswith("| ")]
    cells = [cell for cell in cells if "yes" in cell]
    assert cells
    for cell in cells:
        assert re.fullmatch(r"\[yes\]\(\.\./(\.\./tests|howto|gallery)/[\w/]+\.(py|md)\)", cell)


@pytest.mark.slow
def test_search_by_optuna_finds_what_nothing_beats_in_both_goals(capsys):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    page = ROOT / "docs" / "howto" / "search.md"
    blocks = re.findall(r"```(?:python|py)\n(.*?)```", page.read_text("utf-8"), re.S)
    names = {"__name__": "__main__"}
    for block in (blocks[0], *(block for block in blocks if "optuna" in block)):
        exec(compile(block, str(page), "exec"), names)
    values = [trial.values for trial in names["study"].trials]
    for best in names["study"].best_trials:
        assert not any(all(a > b for a, b in zip(v, best.values, strict=True)) for v in values)
