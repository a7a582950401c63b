"""Adversarial attacks on a callable that maps points to logits; no scikit-learn inside."""

from sklearn_iso._geometry.norms import NORMS, Norm, get_norm
from sklearn_iso.attacks._apgd import APGD, apgd
from sklearn_iso.attacks._attack import Attack
from sklearn_iso.attacks._budget import Budget
from sklearn_iso.attacks._choice import ATTACKS, as_attack
from sklearn_iso.attacks._closest import DDN, FAB, FMN, ddn, fab, fmn
from sklearn_iso.attacks._coordinates import Coordinates, coordinates
from sklearn_iso.attacks._distances import distances
from sklearn_iso.attacks._ensemble import (
    STAGES,
    AttackEnsemble,
    MinimumNormEnsemble,
    attack_ensemble,
)
from sklearn_iso.attacks._losses import LOSSES
from sklearn_iso.attacks._pgd import FGSM, PGD, fgsm, pgd
from sklearn_iso.attacks._rays import RayS, rays
from sklearn_iso.attacks._sparse import SigmaZero
from sklearn_iso.attacks._square import Square, square

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
    "Norm",
    "PGD",
    "RayS",
    "STAGES",
    "SigmaZero",
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
