"""Adversarial attacks on a callable that maps points to logits; no scikit-learn inside."""

from sklearn_iso.attacks.apgd import APGD, apgd
from sklearn_iso.attacks.attack import Attack
from sklearn_iso.attacks.budget import Budget
from sklearn_iso.attacks.choice import ATTACKS, as_attack
from sklearn_iso.attacks.closest import DDN, FAB, FMN, ddn, distances, fab, fmn
from sklearn_iso.attacks.coordinates import Coordinates, coordinates
from sklearn_iso.attacks.ensemble import (
    STAGES,
    AttackEnsemble,
    MinimumNormEnsemble,
    attack_ensemble,
)
from sklearn_iso.attacks.losses import LOSSES
from sklearn_iso.attacks.pgd import FGSM, PGD, fgsm, pgd
from sklearn_iso.attacks.rays import RayS, rays
from sklearn_iso.attacks.square import Square, square
from sklearn_iso.geometry.norms import NORMS, get_norm

__all__ = [
    "APGD",
    "ATTACKS",
    "Attack",
    "AttackEnsemble",
    "Budget",
    "Coordinates",
    "DDN",
    "FAB",
    "FGSM",
    "FMN",
    "LOSSES",
    "MinimumNormEnsemble",
    "NORMS",
    "PGD",
    "RayS",
    "STAGES",
    "Square",
    "apgd",
    "as_attack",
    "attack_ensemble",
    "coordinates",
    "ddn",
    "distances",
    "fab",
    "fgsm",
    "fmn",
    "get_norm",
    "pgd",
    "rays",
    "square",
]
