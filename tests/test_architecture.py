"""The rooms and floors of CONTRIBUTING.md, read from the source."""

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sklearn_iso"
FLOORS = {
    0: {"geometry", "modules", "datasets", "hierarchy"},
    1: {"threat"},
    2: {"penalties", "attacks", "twins"},
    3: {"training", "metrics", "persistence"},
    4: {"estimators", "plotting", "model_selection", "testing"},
}
FLOOR = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
BELOW_EVERY_FLOOR = {"exceptions", "randomness", "weighting", "_version"}
NEVER_HEAR_OF_SKLEARN = {"geometry", "threat", "attacks"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def label(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Return every dotted name that a module imports, at its top or inside a function."""
    package = dotted(path.parent / "__init__.py").split(".")
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


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


def test_the_package_was_found():
    assert len(MODULES) > 10


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_every_module_lives_in_a_room_with_a_floor(path):
    assert room_of(path) in {*FLOOR, *BELOW_EVERY_FLOOR, "__init__"}


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_imports_flow_downward(path):
    room = room_of(path)
    if room == "__init__":
        return  # the catalogue names what every floor offers
    floor = FLOOR.get(room, -1)
    wrong = {other for other in own_rooms(path) if other != room and FLOOR[other] >= floor}
    assert not wrong, f"{label(path)} (floor {floor}) imports {sorted(wrong)}"


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_estimators_and_metrics_never_import_each_other(path):
    forbidden = {"estimators": "metrics", "metrics": "estimators"}.get(room_of(path))
    assert forbidden not in own_rooms(path)


@pytest.mark.parametrize("room", sorted(NEVER_HEAR_OF_SKLEARN))
def test_room_never_hears_of_scikit_learn(room):
    for path in (PACKAGE / room).rglob("*.py"):
        roots = {name.split(".")[0] for name in imports_of(path)}
        assert not roots & {"sklearn", "skorch"}, label(path)


def test_modules_import_each_other_in_one_direction():
    names = {dotted(path) for path in MODULES}
    graph = defaultdict(set)
    for path in MODULES:
        for imported in imports_of(path):
            target = imported if imported in names else imported.rpartition(".")[0]
            if target in names and target != dotted(path):
                graph[dotted(path)].add(target)
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the cycle


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_files_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 400


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_functions_are_short(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {f.name: code_lines(f) for f in functions if code_lines(f) > 60}
    assert not long, f"{label(path)}: {long}"


def test_no_module_is_named_utils():
    parts = {part for path in MODULES for part in path.relative_to(PACKAGE).with_suffix("").parts}
    assert not {part for part in parts if "util" in part or part in {"helpers", "common", "misc"}}


def test_tests_are_no_packages():
    assert not list(Path(__file__).parent.rglob("__init__.py"))
