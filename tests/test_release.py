"""What goes out with a release agrees with itself: version, classifiers, links, files, targets."""

import importlib.util
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

import sklearn_iso

ROOT = Path(__file__).parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
in_a_clone = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no clone")


def setup_script():
    spec = importlib.util.spec_from_file_location("setup_script", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def relative_links(text):
    return re.findall(r"\]\((?!https://|#)[^)]*\)", text)


def test_readme_of_an_index_page_has_no_link_that_leads_nowhere():
    script = setup_script()
    text = "See [a](docs/a.md#b), [c](https://c.test) and\n![two\nparts](docs/images/d.png)."
    assert script.for_an_index_page(text, "https://host.test/us/", "1.2.0") == (
        "See [a](https://host.test/us/blob/v1.2.0/docs/a.md#b), [c](https://c.test) and\n"
        "![two\nparts](https://host.test/us/raw/v1.2.0/docs/images/d.png)."
    )
    assert script.for_an_index_page(text, None, "1.2.0") == (
        "See a, [c](https://c.test) and\n*Picture: two\nparts*."
    )
    assert not relative_links(script.long_description())


def test_readme_shows_its_code_unchanged_on_an_index_page():
    blocks = re.findall(r"```.*?```", README, re.S)
    assert blocks
    assert re.findall(r"```.*?```", setup_script().long_description(), re.S) == blocks


def test_citation_names_the_version_of_the_package():
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.M) == [sklearn_iso.__version__]


def test_oldest_constraints_are_the_bounds_of_the_project():
    oldest = (ROOT / "constraints-lowest.txt").read_text("utf-8")
    pinned = dict(re.findall(r"^([\w-]+)==([\d.]+)$", oldest, re.M))
    bounds = dict(re.findall(r'^    "([\w-]+)>=([\d.]+)",$', PROJECT, re.M))
    runtime = re.findall(r"^dependencies = \[(.*?)^\]", PROJECT, re.S | re.M)[0]
    assert {name for name in bounds if f'"{name}>=' in runtime} <= set(pinned)
    for name, version in pinned.items():
        bound = bounds.get(name, version)
        assert (version + ".").startswith(bound + "."), (name, version, bound)


@in_a_clone
def test_workflow_tests_every_python_that_the_classifiers_name():
    classified = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PROJECT)
    oldest = re.findall(r'^requires-python = ">=(.+)"$', PROJECT, re.M)
    matrix = re.findall(r"python: \[(.+)\]", (ROOT / ".github/workflows/test.yml").read_text())
    assert re.findall(r"3\.\d+", matrix[0]) == classified
    assert classified[:1] == oldest


@in_a_clone
@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_runs_targets_of_the_makefile_alone(workflow):
    text = workflow.read_text("utf-8")
    commands = re.findall(r"^ *- run: (.*)$", text, re.M)
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert commands
    for command in commands:
        make, target, *variables = command.replace("${{ matrix.target }}", "test").split()
        assert make == "make" and target in targets
        assert all(re.fullmatch(r"(PYTHON|PRE)=[\w-]+", variable) for variable in variables)
    assert set(re.findall(r"target: (?:\[)?([\w-]+)", text)) <= set(targets)


@in_a_clone
def test_source_distribution_holds_every_file_but_those_of_the_repository_itself():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("git cannot list the files")
    manifest = (ROOT / "MANIFEST.in").read_text("utf-8").splitlines()
    whole = {line.split()[1] for line in manifest if line.startswith("graft ")} | {"sklearn_iso"}
    single = [pattern for line in manifest if line.startswith("include ")
              for pattern in line.split()[1:]]  # fmt: skip
    single += ["LICENSE", "MANIFEST.in", "pyproject.toml", "setup.py"]  # setuptools adds these
    left_out = [
        file
        for file in listed.stdout.split()
        if file.split("/")[0] not in whole and not any(fnmatch(file, one) for one in single)
    ]
    assert {file.split("/")[0] for file in left_out} <= {
        ".ci", ".github", ".gitignore", ".pre-commit-config.yaml",
    }  # fmt: skip
