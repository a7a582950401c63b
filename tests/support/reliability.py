"""The counts that docs/explanation/reliability.md tells, held to what the tests try."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "reliability.md"


def told(pattern):
    """Return the numbers of the one place of the page that a pattern matches."""
    (found,) = re.findall(pattern, PAGE.read_text(encoding="utf-8"))
    return tuple(int(number) for number in ((found,) if isinstance(found, str) else found))
