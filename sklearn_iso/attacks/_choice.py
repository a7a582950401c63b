"""The attacks by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from sklearn_iso.attacks._apgd import APGD
from sklearn_iso.attacks._attack import Attack
from sklearn_iso.attacks._closest import DDN, FAB, FMN
from sklearn_iso.attacks._ensemble import AttackEnsemble
from sklearn_iso.attacks._pgd import FGSM, PGD
from sklearn_iso.attacks._rays import RayS
from sklearn_iso.attacks._square import Square

#: What functions take: an attack, its name, or a callable of the signature of an attack.
AttackName = Literal["auto", "fgsm", "pgd", "apgd", "ddn", "fmn", "fab", "square", "rays"]
AttackLike = AttackName | Attack | Callable[..., Tensor]
#: Attacks by name.
ATTACKS: dict[str, type[Attack]] = {
    kind.name: kind for kind in (AttackEnsemble, FGSM, PGD, APGD, DDN, FMN, FAB, Square, RayS)
}


def as_attack(attack: AttackLike) -> Attack | Callable[..., Tensor]:
    """Return an attack, with its defaults where a name came; callables pass as they are.

    Parameters
    ----------
    attack : str, Attack or callable

    Returns
    -------
    Attack or callable
        The attack.

    Raises
    ------
    ValueError
        If no such attack is known, or it is a class and no value.

    Examples
    --------
    >>> from sklearn_iso.attacks import as_attack
    >>> as_attack("rays")
    RayS()
    """
    if isinstance(attack, str) and attack in ATTACKS:
        return ATTACKS[attack]()
    if callable(attack) and not isinstance(attack, type):
        return attack
    remedy = f"Pass {attack.__name__}()" if isinstance(attack, type) else "Pass PGD(n_steps=100)"
    raise ValueError(
        f"attack must be one of {', '.join(map(repr, ATTACKS))}, an attack of sklearn_iso.attacks "
        f"with its parameters, or a callable; got {attack!r}. {remedy}, for example."
    )
