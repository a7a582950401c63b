"""Notebooks run from top to bottom, and are committed without output."""

import ast
import importlib
import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


def cells_of(notebook, kind):
    found = json.loads(notebook.read_text("utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == kind]


def source_of(cell):
    return "".join(cell["source"])


def run(notebook):
    """Run the cells of a notebook, which share their names."""
    names = {"__name__": "__main__"}
    for cell in cells_of(notebook, "code"):
        exec(compile(source_of(cell), f"{notebook.name}, {cell['id']}", "exec"), names)


@pytest.fixture
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("Agg")
    yield
    plt.close("all")


def test_there_are_three_and_the_tutorials_link_them():
    assert len(NOTEBOOKS) == 3
    index = (ROOT / "docs" / "tutorial" / "index.md").read_text("utf-8")
    assert set(re.findall(r"\]\(\.\./\.\./examples/notebooks/(\S+)\)", index)) == {
        notebook.name for notebook in NOTEBOOKS
    }


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_valid_and_holds_no_output(notebook):
    book = json.loads(notebook.read_text("utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    assert source_of(cells_of(notebook, "markdown")[0]).startswith("# ")
    for cell in cells_of(notebook, "code"):
        assert cell["outputs"] == [] and cell["execution_count"] is None
        assert max(map(len, source_of(cell).splitlines())) <= 80


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_names_of_a_notebook_are_those_of_the_package(notebook):
    """A quick look at each cell; all run in the slow tests."""
    for cell in cells_of(notebook, "code"):
        tree = ast.parse(source_of(cell))
        imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
        for node in imports:
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_from_top_to_bottom(notebook, in_a_folder_of_its_own, capsys):
    run(notebook)
    assert plt.get_fignums()
    assert capsys.readouterr().out
