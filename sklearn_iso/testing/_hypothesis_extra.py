"""What the kit needs beside the package itself."""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("hypothesis") is None:
    raise ImportError(
        "sklearn_iso.testing needs hypothesis, which draws the examples; it is not installed. "
        "Run: pip install 'sklearn-iso[testing]'"
    )
