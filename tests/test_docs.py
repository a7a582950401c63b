"""Every example in the documentation runs, and every public name has one."""

import ast
import doctest
import importlib
import importlib.util
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest
from releases import calls_back, compiles_pages, exports, sees_messages

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


def marked(name, marks):
    """Return a parameter, with what it needs of other packages."""
    return pytest.param(name, id=name, marks=marks.get(name, ()))


DOCTEST_MARKS = {
    "sklearn_iso.persistence._onnx": exports,
    "sklearn_iso.testing._invariance": sees_messages,
}


@pytest.mark.parametrize("name", [marked(name, DOCTEST_MARKS) for name in MODULES])
def test_doctests_run(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS)
    assert result.failed == 0


def test_every_public_name_has_an_example():
    known = public_objects()
    assert len(known) > 100
    assert not [value.__name__ for value in known if ">>>" not in (value.__doc__ or "")]


def test_docstrings_of_public_names_lead_to_no_private_module():
    private = re.compile(r"sklearn_iso(?:\.\w+)*\._\w+")
    led = {value.__name__: private.findall(inspect.getdoc(value)) for value in public_objects()}
    printed = {"sklearn_iso.testing._broken"}  # the name of an error in a traceback
    assert not {name: found for name, found in led.items() if set(found) - printed}


def outputs_of_pages():
    """Return the script that runs the examples of a page."""
    spec = importlib.util.spec_from_file_location("outputs", ROOT / "docs" / "outputs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OUTPUTS = outputs_of_pages()
NUMBER = re.compile(r"-?\d*\.?\d+(?:e[-+]?\d+)?")


def differs(shown, printed):
    """Return whether texts differ by more than the last digits of their numbers.

    Trained networks differ between processors in what they round.
    """
    words = [" ".join(NUMBER.sub(blank, text).split()) for text in (shown, printed)]
    numbers = [np.array([float(x) for x in NUMBER.findall(text)]) for text in (shown, printed)]
    return words[0] != words[1] or not np.allclose(*numbers, rtol=0.03, atol=0.03)


def blank(number):
    """Return a place for a share or a measure, and a whole number as it is."""
    return "#" if "." in number[0] or "e" in number[0] else number[0]


def test_differences_of_outputs_are_told():
    assert not differs("clean 0.978,  robust .80\n", "clean 0.980, robust .81")
    assert differs("clean 0.978", "clean 0.90")
    assert differs("clean 0.978", "robust 0.978")
    assert differs("1 2", "1")
    assert differs("broken: 100 of 450", "broken: 101 of 450")


NEEDS = {
    "docs/howto/own_module.md": compiles_pages,
    "docs/howto/save_and_ship.md": exports,
    "docs/howto/search.md": calls_back,
}


@pytest.mark.parametrize(
    "page", [marked(page.relative_to(ROOT).as_posix(), NEEDS) for page in OUTPUTS.pages()]
)
def test_code_of_a_page_runs_and_prints_what_the_page_shows(page):
    blocks = OUTPUTS.run(ROOT / page)
    assert any(printed for _, printed, _ in blocks)
    assert not [code for code, printed, _ in blocks if "print(" in code and not printed]
    assert not [(shown, printed) for _, printed, shown in blocks
                if differs(shown or "", printed)]  # fmt: skip
    assert not [line for code, _, _ in blocks for line in code.splitlines() if len(line) > 80]


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
