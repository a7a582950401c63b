"""Check that every link inside of the built site leads to a page and an anchor that are there."""

import argparse
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Links and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.links.append(value)
            if value and name in ("id", "name"):
                self.anchors.add(value)


def broken_links(root: Path) -> tuple[list[str], int]:
    """Return the broken links below a folder, and how many were checked."""
    files = [file for file in root.rglob("*.html") if "_static" not in file.parts]
    pages = {file: Page(file.read_text("utf-8")) for file in files}
    broken, n_checked = [], 0
    for file, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            n_checked += 1
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            anchor = unquote(parts.fragment)
            if not target.exists() or (
                anchor and target in pages and anchor not in pages[target].anchors
            ):
                broken.append(f"{file.relative_to(root)}: {link}")
    return broken, n_checked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="folder of the built site")
    broken, n_checked = broken_links(parser.parse_args().root.resolve())
    print("\n".join(broken) or f"{n_checked:,} links inside of the site, none broken")
    raise SystemExit(bool(broken))


if __name__ == "__main__":
    main()
