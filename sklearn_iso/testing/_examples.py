"""How the checks draw their examples."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings


def repeatable(max_examples: int) -> settings:
    """Return the settings of a check: the same examples each time, without database or clock."""
    return settings(
        max_examples=max_examples,
        deadline=None,
        derandomize=True,
        database=None,
        # Without "explain", which costs more than all others.
        phases=(Phase.generate, Phase.shrink),
        # A check may be called within a test that draws the thing to check.
        suppress_health_check=(HealthCheck.nested_given, HealthCheck.too_slow),
    )
