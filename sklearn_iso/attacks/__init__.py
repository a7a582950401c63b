"""Adversarial attacks on a callable that maps points to logits; no scikit-learn inside."""

from collections.abc import Callable

from torch import Tensor

from sklearn_iso.attacks.apgd import apgd
from sklearn_iso.attacks.budget import Budget
from sklearn_iso.attacks.cascade import STAGES, cascade, cascade_stages
from sklearn_iso.attacks.closest import ddn, distances, fab, fmn
from sklearn_iso.attacks.coordinates import coordinates
from sklearn_iso.attacks.losses import LOSSES
from sklearn_iso.attacks.pgd import fgsm, pgd
from sklearn_iso.attacks.rays import closest_errors, rays
from sklearn_iso.attacks.square import square
from sklearn_iso.geometry.norms import NORMS, get_norm

ATTACKS: dict[str, Callable[..., Tensor]] = {
    "cascade": cascade,
    "fgsm": fgsm,
    "pgd": pgd,
    "apgd": apgd,
    "ddn": ddn,
    "fmn": fmn,
    "fab": fab,
    "square": square,
    "rays": rays,
}

__all__ = [
    "ATTACKS",
    "LOSSES",
    "NORMS",
    "STAGES",
    "Budget",
    "apgd",
    "cascade",
    "cascade_stages",
    "closest_errors",
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
