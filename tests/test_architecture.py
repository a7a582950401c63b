"""The rooms and floors of docs/explanation/architecture, read from the source: a test a law."""

import ast
from collections import defaultdict
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "sklearn_iso"
FLOORS = {
    0: {"geometry", "modules", "datasets", "hierarchy"},
    1: {"threat"},
    2: {"penalties", "attacks", "twins"},
    3: {"training", "metrics", "persistence"},
    4: {"estimators", "plotting", "model_selection", "testing"},
}
FLOOR = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
BELOW_EVERY_FLOOR = {"exceptions", "randomness", "weighting", "_typed", "_version"}
NEVER_HEAR_OF_SKLEARN = {"geometry", "threat", "attacks"}
ACROSS_ROOMS = {"faults", "fuzz", "support", "typing"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def label(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Return every dotted name that a module imports, at its top or inside a function."""
    package = dotted(path.parent / "__init__.py").split(".")
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return frozenset(found)


def own_rooms(path: Path) -> set[str]:
    names = {name.split(".")[1] for name in imports_of(path) if name.startswith("sklearn_iso.")}
    return names - BELOW_EVERY_FLOOR - {"__version__"}


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the length of a function without its docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def imports_upward(path: Path) -> list[str]:
    room = room_of(path)
    if room == "__init__":
        return []  # the catalogue names what every floor offers
    floor = FLOOR.get(room, -1)
    return sorted(other for other in own_rooms(path) if other != room and FLOOR[other] >= floor)


def long_functions(path: Path) -> dict[str, int]:
    functions = (
        node
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return {f.name: code_lines(f) for f in functions if code_lines(f) > 60}


def offenders(law) -> dict[str, object]:
    """Return what a law finds wrong, by file."""
    assert len(MODULES) > 10, "the package was not found"
    return {label(path): wrong for path in MODULES if (wrong := law(path))}


def test_every_module_lives_in_a_room_with_a_floor():
    rooms = {*FLOOR, *BELOW_EVERY_FLOOR, "__init__"}
    assert not offenders(lambda path: room_of(path) not in rooms)


def test_imports_flow_downward():
    assert not offenders(imports_upward)


def test_estimators_and_metrics_never_import_each_other():
    apart = {"estimators": "metrics", "metrics": "estimators"}
    assert not offenders(lambda path: apart.get(room_of(path)) in own_rooms(path))


def test_some_rooms_never_hear_of_scikit_learn():
    def heard(path):
        roots = {name.split(".")[0] for name in imports_of(path)}
        return room_of(path) in NEVER_HEAR_OF_SKLEARN and roots & {"sklearn", "skorch"}

    assert not offenders(heard)


def test_modules_import_each_other_in_one_direction():
    names = {dotted(path) for path in MODULES}
    graph = defaultdict(set)
    for path in MODULES:
        for imported in imports_of(path):
            target = imported if imported in names else imported.rpartition(".")[0]
            if target in names and target != dotted(path):
                graph[dotted(path)].add(target)
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the cycle


def test_files_are_short():
    lengths = {label(p): len(p.read_text(encoding="utf-8").splitlines()) for p in MODULES}
    assert not {name: length for name, length in lengths.items() if length >= 400}


def test_functions_are_short():
    assert not offenders(long_functions)


def test_no_module_is_named_utils():
    parts = {part for path in MODULES for part in path.relative_to(PACKAGE).with_suffix("").parts}
    assert not {part for part in parts if "util" in part or part in {"helpers", "common", "misc"}}


def test_tests_live_in_the_rooms_of_the_package():
    folders = {path.parent.relative_to(TESTS).parts[0] for path in TESTS.glob("*/**/*.py")}
    assert folders <= {*FLOOR, *ACROSS_ROOMS}
    assert not list(TESTS.rglob("__init__.py")), "tests are no packages"


@pytest.mark.parametrize(
    ("law", "source"),
    [
        (imports_upward, "from sklearn_iso.estimators import IsometricClassifier"),
        (imports_upward, "def f():\n    import sklearn_iso.metrics"),
        (long_functions, "def f():\n" + "    pass\n" * 60),
    ],
)
def test_laws_find_what_breaks_them(law, source, monkeypatch, tmp_path):
    path = tmp_path / "sklearn_iso" / "geometry" / "wrong.py"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path / "sklearn_iso")
    assert law(path)
    path.with_name("right.py").write_text("import torch\n")
    assert not law(path.with_name("right.py"))
