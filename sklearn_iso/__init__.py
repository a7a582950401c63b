"""Neural networks that keep distances, for scikit-learn.

Names and subpackages are imported when they are first asked for: attacks and penalties need torch
alone, estimators skorch too.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING

from sklearn_iso._version import __version__

if TYPE_CHECKING:
    from sklearn_iso._threat import ThreatModel
    from sklearn_iso.estimators import (
        HierarchicalIsometricClassifier,
        IsometricClassifier,
        IsometricClassifierCV,
        IsometricRegressor,
        IsometricTransformer,
        SmoothedClassifier,
        load,
        preset,
    )

__all__ = [
    "HierarchicalIsometricClassifier",
    "IsometricClassifier",
    "IsometricClassifierCV",
    "IsometricRegressor",
    "IsometricTransformer",
    "SmoothedClassifier",
    "ThreatModel",
    "__version__",
    "load",
    "preset",
]


if not TYPE_CHECKING:  # a type checker would take any name for one of these

    def __getattr__(name: str) -> object:
        """Import a public name, or a public subpackage."""
        if name in _SUBPACKAGES:
            return importlib.import_module(f"{__name__}.{name}")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = "_threat" if name == "ThreatModel" else "estimators"
        value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBPACKAGES})


_SUBPACKAGES = [
    module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")
]
