"""The pictures of the demo can be compared."""

import importlib.util
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.preprocessing import FunctionTransformer

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"


@pytest.fixture
def demo(monkeypatch):
    spec = importlib.util.spec_from_file_location("demo", DEMO)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "demo", module)  # where its dataclass looks for types
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("factors", [(3.0, 0.5), (0.5, 3.0)])
def test_both_shepard_diagrams_have_axes_that_hold_the_pairs_of_both(factors, demo, tmp_path):
    models = {f"{c:g}": FunctionTransformer(partial(np.multiply, c)) for c in factors}
    left, right = demo.draw_distances(models, demo.digits(), tmp_path).axes
    assert left.get_xlim() == right.get_xlim() and left.get_ylim() == right.get_ylim()
    for ax in (left, right):
        assert ax.get_xlim()[1] >= ax.dataLim.x1 and ax.get_ylim()[1] >= ax.dataLim.y1
    assert left.dataLim.y1 != pytest.approx(right.dataLim.y1)
    assert (tmp_path / "digits_shepard.png").exists()
