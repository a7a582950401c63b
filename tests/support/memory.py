"""What this process holds in memory, where the system tells."""

import re
from contextlib import contextmanager
from pathlib import Path

import pytest

STATUS = Path("/proc/self/status")
needs_status = pytest.mark.skipif(not STATUS.exists(), reason="the system does not tell")


def held(kind="RssAnon"):
    """Return the bytes that this process holds: of no file, or "VmHWM", the most so far."""
    return int(re.search(rf"{kind}:\s+(\d+)", STATUS.read_text())[1]) * 1024


@contextmanager
def growth():
    """Yield a list that gets the bytes by which this process grew at its peak; Linux only."""
    found = []
    Path("/proc/self/clear_refs").write_text("5")
    before = held("VmRSS")
    yield found
    found.append(held("VmHWM") - before)
