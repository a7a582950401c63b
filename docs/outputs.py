"""Run the examples of a page, and write what each one prints under it.

    python docs/outputs.py docs/howto/rules.md    # all pages, where none is named
    python docs/outputs.py --layout ...           # and lay the code out in 80 columns, by ruff

A block of Python that is followed by a block of text is held to it by the tests.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```python\n(?P<code>.*?)```\n(?P<shown>\n```text\n(?P<text>.*?)```\n)?", re.S)
WIDTH = 80
#: What only a progress bar prints, which differs from run to run and is not shown.
PROGRESS = {"\r", "\u2026", "\u2501"}


def pages() -> list[Path]:
    """Return the README and every page of the site that has code in Python."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    made = {"_build", "auto_gallery"}
    return [
        page
        for page in found
        if not made & set(page.parts) and "```python" in page.read_text("utf-8")
    ]


def run(page: Path) -> list[tuple[str, str, str | None]]:
    """Return the code of every block, what it prints, and what the page shows of that.

    The blocks of a page share their names, from top to bottom.
    """
    names: dict[str, object] = {"__name__": "__main__"}
    found = []
    for block in BLOCK.finditer(page.read_text("utf-8")):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block["code"], str(page), "exec"), names)
        text = printed.getvalue()
        text = "" if PROGRESS & set(text) else text
        found.append((block["code"], text, block["text"]))
    return found


def laid_out(code: str) -> str:
    """Return code in lines of at most 80 columns; shorter code stays as it is."""
    if max(map(len, code.splitlines())) <= WIDTH:
        return code
    command = [sys.executable, "-m", "ruff", "format", f"--line-length={WIDTH}", "-"]
    done = subprocess.run(command, input=code, capture_output=True, text=True, check=True)
    return done.stdout


def write(page: Path, layout: bool = False) -> None:
    """Write what the examples of a page print under them."""
    results = iter(run(page))

    def filled(block: re.Match[str]) -> str:
        code, printed, _ = next(results)
        code = laid_out(code) if layout else code
        lines = "\n".join(line.rstrip() for line in printed.rstrip().splitlines())
        shown = f"\n```text\n{lines}\n```\n" if lines else ""
        return f"```python\n{code}```\n{shown}"

    page.write_text(BLOCK.sub(filled, page.read_text("utf-8")), "utf-8")


def main() -> None:
    """Write the pages that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", type=Path)
    parser.add_argument("--layout", action="store_true", help="lay the code out in 80 columns")
    options = parser.parse_args()
    for page in options.pages or pages():
        write(page, options.layout)
        print(page)


if __name__ == "__main__":
    main()
