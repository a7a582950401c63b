"""Random label trees, for every test that needs one."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st


@st.composite
def tree_paths(draw):
    """Return ragged paths of a random tree; a name tells all of its ancestors."""
    n_levels = draw(st.integers(1, 4))
    steps = st.lists(st.integers(0, 2), min_size=1, max_size=n_levels)
    routes = draw(st.lists(steps, min_size=2, max_size=12))
    routes += [[0], [1]]
    width = max(map(len, routes))
    names = [["/".join(map(str, route[: k + 1])) for k in range(len(route))] for route in routes]
    return np.array([row + [None] * (width - len(row)) for row in names], dtype=object)
