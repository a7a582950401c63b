"""Links of the documentation resolve, its claims are linked, and its gallery runs."""

import ast
import importlib
import importlib.util
import inspect
import re
import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import sklearn_iso

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BUILT = {"auto_gallery", "_build", "subpackages", "names"}  # what only a build of the site makes
PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    if not BUILT & set(page.relative_to(ROOT).parts)
)
SCRIPTS = sorted((DOCS / "gallery").glob("plot_*.py"))
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.S)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def links_of(page: Path) -> list[str]:
    return LINK.findall(CODE.sub("", page.read_text("utf-8")))


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.M)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


def test_pages_were_found():
    assert {"README.md", "docs/index.md", "docs/tutorial/robust_pipeline.md"} <= set(
        map(label, PAGES)
    )


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_internal_links_resolve(page):
    broken = []
    for link in links_of(page):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        target, _, anchor = link.partition("#")
        if target.startswith("auto_gallery/"):  # pages that the site makes of scripts
            target = target.replace("auto_gallery/", "gallery/").replace(".rst", ".py")
        file = (page.parent / target).resolve() if target else page
        found = file.exists() and file.is_relative_to(ROOT)
        if found and anchor and file.suffix == ".md":
            found = anchor in anchors_of(file)
        if not found:
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_pictures_have_a_text_for_those_who_cannot_see_them(page):
    assert "![](" not in page.read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_a_page_is_read_in_a_quarter_of_an_hour(page):
    prose = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)
    assert len(prose.split()) <= 1500 or page.name == "CHANGELOG.md"


def test_every_guide_stands_once_in_the_index():
    index = (DOCS / "howto" / "index.md").read_text("utf-8")
    listed = re.findall(r"^(\w+)$", index, re.M)
    guides = {page.stem for page in (DOCS / "howto").glob("*.md")} - {"index"}
    assert len(listed) == len(set(listed)) and set(listed) == guides


def comparison_rows() -> list[list[str]]:
    text = (DOCS / "explanation" / "comparison.md").read_text("utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [row for row in rows if row[0] != "sklearn-iso" and row[1] != "sklearn-iso"]


def test_every_row_of_the_comparison_has_a_verdict_for_every_package():
    rows = comparison_rows()
    assert len(rows) > 20
    for row in rows:
        verdicts = [re.sub(r"\[(\w+)\]\(.*\)", r"\1", cell) for cell in row[1:]]
        assert len(verdicts) == 7 and set(verdicts) <= {"yes", "no", "part"}, row


def test_every_yes_of_ours_is_linked_to_what_shows_it():
    for row in comparison_rows():
        if not row[1].startswith(("no", "part")):
            (link,) = LINK.findall(row[1])
            file = (DOCS / "explanation" / link).resolve()
            assert file.is_file(), row
            assert file.parent.name in {"gallery", "howto"} or "tests" in file.parts, row


def test_every_peer_is_better_at_something():
    columns = list(zip(*(row[2:] for row in comparison_rows()), strict=True))
    ours = [row[1] for row in comparison_rows()]
    wins = [
        sum(peer == "yes" and "yes" not in own for peer, own in zip(column, ours, strict=True))
        for column in columns
    ]
    assert len(wins) == 6 and min(wins) > 0


def test_every_public_name_stands_once_in_the_reference(tmp_path):
    conf = module_at(DOCS / "conf.py")
    conf.DOCS = tmp_path
    (tmp_path / "reference").mkdir()
    conf.write_reference()
    listed = []
    for page in (tmp_path / "reference" / "subpackages").glob("*.rst"):
        room = importlib.import_module(page.stem)
        names = re.findall(r"^   (\w+)$", page.read_text("utf-8"), re.M)
        listed += [id(getattr(room, name)) for name in names]
    rooms = [importlib.import_module(name) for name in conf.public_subpackages()]
    public = {id(getattr(room, n)) for room in rooms for n in set(room.__all__) - {"__version__"}}
    assert len(rooms) > 8
    assert public == set(listed)
    assert not {
        name for name in conf.public_subpackages() if "geometry" in name or "training" in name
    }


def test_every_public_constant_gets_a_sentence_of_its_own_in_the_reference():
    conf = module_at(DOCS / "conf.py")
    said = {}
    for subpackage in conf.public_subpackages():
        room = importlib.import_module(subpackage)
        for name in sorted(set(room.__all__) - {"__version__"}):
            if conf.kind_of(value := getattr(room, name)) == "Constants":
                said[name] = (inspect.getdoc(value) or "").splitlines()  # what Sphinx begins with
                conf.describe_constants(None, "data", f"{subpackage}.{name}", value, {}, said[name])
    assert said["ATTACKS"] == ["Attacks by name.", ""]
    assert len(said) > 8 and len(set(map(tuple, said.values()))) == len(said)


def page_of(estimator: type) -> Path:
    """Return the page about a public estimator."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", estimator.__name__).lower()
    return DOCS / "reference" / "estimators" / f"{name}.md"


def test_every_public_estimator_has_a_page_that_tells_when_and_how():
    offered = [getattr(sklearn_iso, name) for name in sklearn_iso.__all__]
    estimators = [one for one in offered if inspect.isclass(one) and hasattr(one, "fit")]
    pages = {page_of(one) for one in estimators}
    assert len(pages) > 5
    assert pages == set((DOCS / "reference" / "estimators").glob("*.md"))
    for start in ("index.md", "reference/index.md"):
        assert pages <= {(DOCS / start).parent / link for link in links_of(DOCS / start)}
    wanted = ["## When", "## How", "## Parameters that matter", "## Go on", "../../images/"]
    for page, one in ((page_of(one), one) for one in estimators):
        text = page.read_text("utf-8")
        assert text.startswith(f"# {one.__name__}\n")
        assert not [part for part in wanted if part not in text], page
        assert 300 <= len(text.split()) <= 650, page
        parameters = re.findall(r"^\| (`.*?`) \|", text, re.M)
        named = {name for cell in parameters for name in re.findall(r"`(\w+)`", cell)}
        assert named and named <= set(inspect.signature(one).parameters), page


def module_at(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_of_the_built_site_break_without_their_page_or_anchor(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there"></a><a href="b.html#gone"></a><img src="gone.png"><a href="#top">'
        '</a><a href="https://example.org/x"></a><p id="top"></p>'
    )
    (tmp_path / "b.html").write_text('<h1 id="there"></h1>')
    broken, n_checked = module_at(DOCS / "check_links.py").broken_links(tmp_path)
    assert broken == ["a.html: b.html#gone", "a.html: gone.png"]
    assert n_checked == 4


@pytest.mark.parametrize("script", SCRIPTS, ids=label)
def test_gallery_script_opens_with_its_title(script):
    text = ast.get_docstring(ast.parse(script.read_text("utf-8")))
    title, line, *_ = text.splitlines()
    assert set(line) == {"="} and len(line) == len(title)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=label)
def test_gallery_script_draws_a_picture(script):
    try:
        runpy.run_path(str(script))
        assert plt.get_fignums()
    finally:
        plt.close("all")
