"""What pyproject.toml cannot say: the README as a page away from the repository shows it."""

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|mailto:|#)([^)\s]+)\)")


def for_an_index_page(text: str, source: str | None, version: str) -> str:
    """Return a README whose links lead to a release in the public repository.

    Parameters
    ----------
    text : str
        The README, with links relative to its folder.
    source : str or None
        Address of the repository. Without one a link becomes its text, and a picture its
        description: a link that leads nowhere is worse.
    version : str

    Returns
    -------
    text : str
        Without relative links.
    """

    def absolute(link: re.Match[str]) -> str:
        picture, label, path = link.groups()
        if not source:
            return f"*Picture: {label}*" if picture else label
        kind = "raw" if picture else "blob"
        return f"{picture}[{label}]({source.rstrip('/')}/{kind}/v{version}/{path})"

    return _LINK.sub(absolute, text)


def long_description() -> str:
    """Return the README of this version, with the address that pyproject.toml names as Source."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    version_file = (ROOT / "sklearn_iso" / "_version.py").read_text("utf-8")
    version = re.findall(r'^__version__ = "(.+)"$', version_file, re.M)[0]
    readme = (ROOT / "README.md").read_text("utf-8")
    return for_an_index_page(readme, project["urls"].get("Source"), version)


if __name__ == "__main__":
    from setuptools import setup

    setup(long_description=long_description(), long_description_content_type="text/markdown")
