"""Property-test that an estimator keeps distances, in a test suite of your own."""

# First: without hypothesis, an error that names what to install.
from sklearn_iso.testing import _hypothesis_extra  # noqa: F401, I001
from sklearn_iso.testing._attack_laws import check_attack
from sklearn_iso.testing._broken import LawBrokenError
from sklearn_iso.testing._clouds import SHAPES, labelled_point_clouds, point_clouds
from sklearn_iso.testing._distances import check_distance_preservation
from sklearn_iso.testing._invariance import check_rigid_motion_invariance
from sklearn_iso.testing._lipschitz import check_lipschitz
from sklearn_iso.testing._maps import (
    BiLipschitzMap,
    Similarity,
    bi_lipschitz_maps,
    rigid_motions,
    similarities,
)
from sklearn_iso.testing._penalty_laws import check_penalty
from sklearn_iso.testing._scorer_laws import check_adversarial_scorer
from sklearn_iso.testing._trees import label_trees

__all__ = [
    "SHAPES",
    "BiLipschitzMap",
    "LawBrokenError",
    "Similarity",
    "bi_lipschitz_maps",
    "check_adversarial_scorer",
    "check_attack",
    "check_distance_preservation",
    "check_lipschitz",
    "check_penalty",
    "check_rigid_motion_invariance",
    "label_trees",
    "labelled_point_clouds",
    "point_clouds",
    "rigid_motions",
    "similarities",
]
