"""What the functions of attacks take by name: the parameters of their classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict


class Options(TypedDict, total=False):
    """Parameters that all attacks have."""

    batch_size: int


class QueryOptions(Options, total=False):
    """Those of attacks that ask for answers alone."""

    n_queries: int


class SquareOptions(QueryOptions, total=False):
    """Those of :class:`~sklearn_iso.attacks._square.Square`."""

    n_restarts: int
    image_shape: Sequence[int] | None


class StepOptions(Options, total=False):
    """Those of attacks that take steps, and begin anew."""

    n_steps: int
    n_restarts: int


class BoundaryOptions(Options, total=False):
    """Those of :class:`~sklearn_iso.attacks._closest.FAB`."""

    n_steps: int
    n_targets: int


class SignOptions(Options, total=False):
    """Those of :class:`~sklearn_iso.attacks._pgd.FGSM`."""

    loss: str


class AscentOptions(StepOptions, SignOptions, total=False):
    """Those of :class:`~sklearn_iso.attacks._apgd.APGD`."""

    n_targets: int
    random_start: bool


class ProjectedOptions(AscentOptions, total=False):
    """Those of :class:`~sklearn_iso.attacks._pgd.PGD`."""

    step_size: float | None


class EnsembleOptions(Options, total=False):
    """Those of :class:`~sklearn_iso.attacks._ensemble.AttackEnsemble`."""

    n_targets: int
    n_queries: int | None
    image_shape: Sequence[int] | None
