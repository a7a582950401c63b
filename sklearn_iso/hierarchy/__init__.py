"""Labels of several levels: paths from coarse to fine, and the tree that they form."""

from sklearn_iso.hierarchy._ancestry import ancestry_paths, parents_of, told_paths
from sklearn_iso.hierarchy._paths import as_paths, common_depth, depths, is_missing
from sklearn_iso.hierarchy._tree import LabelTree

__all__ = [
    "LabelTree",
    "ancestry_paths",
    "as_paths",
    "common_depth",
    "depths",
    "is_missing",
    "parents_of",
    "told_paths",
]
