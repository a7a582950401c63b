"""Parameters of an attack that a user sets: which it takes, and which would do nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from sklearn_iso.attacks import ATTACKS

#: What a function of a user gets where it asks for it without a default and nothing was set.
REQUIRED: dict[str, Any] = {"n_steps": 40, "n_restarts": 1, "n_queries": 500, "image_shape": None}


def _parameters(attack: str | Callable[..., Any]) -> tuple[dict[str, Any], bool]:
    """Parameters by name, and whether any other is taken too."""
    function = ATTACKS[attack] if isinstance(attack, str) else attack
    parameters = dict(inspect.signature(function).parameters)
    return parameters, any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def check_options(attack: str | Callable[..., Any], **given: Any) -> None:
    """Raise a ValueError for a parameter that was set and that the attack does not take.

    Parameters
    ----------
    attack : str or callable
    **given
        ``n_steps``, ``n_restarts``, ``n_queries`` and ``image_shape``; None where not set.

    Raises
    ------
    ValueError
        If one would do nothing.

    Examples
    --------
    >>> from sklearn_iso.metrics.options import check_options
    >>> check_options("pgd", n_steps=100, n_queries=None)
    >>> check_options("cascade", n_steps=100)
    Traceback (most recent call last):
    ValueError: n_steps must be a parameter of the attack; got n_steps=100 for attack='cascade', ...
    """
    parameters, takes_all = _parameters(attack)
    if takes_all:
        return
    for name, value in given.items():
        if value is None or name in parameters:
            continue
        shown = repr(attack) if isinstance(attack, str) else getattr(attack, "__name__", attack)
        taken = [known for known in given if known in parameters]
        takers = [known for known in ATTACKS if name in _parameters(known)[0]]
        raise ValueError(
            f"{name} must be a parameter of the attack; got {name}={value!r} for attack={shown}, "
            f"which takes {' and '.join(taken) or 'none of its kind'}. Leave it out, or choose one "
            f"of {takers}."
        )


def options_for(attack: str | Callable[..., Any], **given: Any) -> dict[str, Any]:
    """Return those parameters that the attack takes; of those not set, only what it must have.

    Examples
    --------
    >>> from sklearn_iso.metrics.options import options_for
    >>> options_for("pgd", n_steps=3, n_restarts=None, random_state=0)
    {'n_steps': 3, 'random_state': 0}
    """
    parameters, takes_all = _parameters(attack)
    found = {}
    for name, value in given.items():
        one = parameters.get(name)
        required = one is not None and one.default is inspect.Parameter.empty
        if value is None and name in REQUIRED and not required:
            continue
        if takes_all or one is not None:
            found[name] = REQUIRED.get(name) if value is None else value
    return found
