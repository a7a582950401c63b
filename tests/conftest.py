import os
from pathlib import Path

import matplotlib
import pytest
from hypothesis import settings

matplotlib.use("Agg")  # pictures are drawn in memory: no window, no display server

# The same examples on every machine, so that a red run means a change and not a draw.
# `make test-all` searches on, with fresh examples each time.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("search", print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

SLOW = Path(__file__).with_name("slow.txt")


@pytest.hookimpl(tryfirst=True)  # before `-m "not slow"` looks at the markers
def pytest_collection_modifyitems(items):
    """Mark the tests that slow.txt names."""
    named = set(SLOW.read_text("utf-8").splitlines())
    for item in items:
        if item.nodeid in named:
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter):
    """Tell how much of scikit-learn tests/fuzz/test_evaluator.py has evaluated."""
    ran = [
        tuple(setting)
        for report in terminalreporter.getreports("passed")
        for name, settings in getattr(report, "user_properties", [])
        if name == "evaluated"
        for setting in settings
    ]
    if ran:
        estimators, norms = ({setting[column] for setting in ran} for column in (0, 2))
        terminalreporter.write_line(
            f"evaluated: {len(estimators)} estimators, {len(set(ran))} settings, {len(norms)} norms"
        )
