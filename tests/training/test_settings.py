"""Schedules of the learning rate."""

from __future__ import annotations

from sklearn_iso._training.fit import SCHEDULES


def test_schedules_start_at_one_and_never_rise():
    for factor in filter(None, SCHEDULES.values()):
        values = [factor(epoch, max_epochs=10) for epoch in range(10)]
        assert values[0] == 1
        assert all(a > b > 0 for a, b in zip(values, values[1:], strict=False))
