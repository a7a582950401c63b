"""The subpackages and layers of docs/explanation/architecture, read from the source."""

import ast
import importlib
from collections import defaultdict
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "sklearn_iso"
LAYERS = {
    0: {"geometry", "modules", "datasets", "hierarchy"},
    1: {"threat"},
    2: {"penalties", "attacks", "twins"},
    3: {"certificates"},
    4: {"training", "metrics", "persistence"},
    5: {"augmentation", "estimators", "plotting", "model_selection", "testing"},
}
LAYER = {name: layer for layer, names in LAYERS.items() for name in names}
BELOW_EVERY_LAYER = {
    "exceptions",
    "labels",
    "randomness",
    "silence",
    "threads",
    "weighting",
    "typed",
    "version",
    "protocols",
}
NEVER_HEAR_OF_SKLEARN = {"geometry", "threat", "attacks"}
ACROSS_SUBPACKAGES = {"faults", "fuzz", "support", "typing"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def label(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def parts_of(path: Path) -> tuple[str, ...]:
    return path.relative_to(PACKAGE).parts


def subpackage_named(part: str) -> str:
    """Return the name that a dotted name or a path calls, whether or not it is public."""
    return part if part.startswith("__") else part.removeprefix("_")


def subpackage_of(path: Path) -> str:
    return subpackage_named(parts_of(path)[0].removesuffix(".py"))


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


def own_subpackages(path: Path) -> set[str]:
    own = [name for name in imports_of(path) if name.startswith("sklearn_iso.")]
    names = {subpackage_named(name.split(".")[1]) for name in own}
    return names - BELOW_EVERY_LAYER - {"__version__"}


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the length of a function without its docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def imports_upward(path: Path) -> list[str]:
    name = subpackage_of(path)
    if name == "__init__":
        return []  # the catalogue names what every layer offers
    layer = LAYER.get(name, -1)
    return sorted(
        other for other in own_subpackages(path) if other != name and LAYER[other] >= layer
    )


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


def test_every_module_lives_in_a_subpackage_with_a_layer():
    names = {*LAYER, *BELOW_EVERY_LAYER, "__init__"}
    assert not offenders(lambda path: subpackage_of(path) not in names)


def test_imports_flow_downward():
    assert not offenders(imports_upward)


def test_estimators_and_metrics_never_import_each_other():
    apart = {"estimators": "metrics", "metrics": "estimators"}
    assert not offenders(lambda path: apart.get(subpackage_of(path)) in own_subpackages(path))


def test_some_subpackages_never_hear_of_scikit_learn():
    def heard(path):
        roots = {name.split(".")[0] for name in imports_of(path)}
        return subpackage_of(path) in NEVER_HEAR_OF_SKLEARN and roots & {"sklearn", "skorch"}

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


def test_what_is_not_public_has_an_underscore():
    """A public module says in `__all__` what it offers, and defines no other name in the open."""
    public = [path for path in MODULES if all(subpackage_named(p) == p for p in parts_of(path))]
    single = {"augmentation.py", "exceptions.py", "model_selection.py"}
    assert {path.name for path in public} == {"__init__.py", *single}
    for path in public:
        module = importlib.import_module(dotted(path))
        assert all(hasattr(module, name) for name in module.__all__), path
        defined = {
            node.name
            for node in tree_of(path).body
            if isinstance(node, ast.ClassDef | ast.FunctionDef)
        }
        assert {name for name in defined if not name.startswith("_")} <= set(module.__all__), path


def test_tests_live_in_the_subpackages():
    folders = {path.parent.relative_to(TESTS).parts[0] for path in TESTS.glob("*/**/*.py")}
    assert folders <= {*LAYER, *ACROSS_SUBPACKAGES}
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


def test_every_test_that_is_named_slow_is_there():
    names = (TESTS / "slow.txt").read_text("utf-8").splitlines()
    names = {name.partition("[")[0] for name in names if not name.startswith("#")}
    assert names
    for name in names:
        file, _, function = name.partition("::")
        assert f"def {function}(" in (TESTS.parent / file).read_text("utf-8"), name
