"""Distances found without any certificate: by going through all points that could be nearest."""

from itertools import product

import numpy as np


def thresholds_of(trees):
    """Return the thresholds of scikit-learn's trees, and the columns they test."""
    column = np.concatenate([tree.feature[tree.feature >= 0] for tree in trees])
    threshold = np.concatenate([tree.threshold[tree.feature >= 0] for tree in trees])
    return column, threshold


def both_sides(threshold):
    """Return numbers left and right of thresholds that also single precision tells apart."""
    single = np.float32(threshold)
    below = np.where(single <= threshold, single, np.nextafter(single, np.float32(-np.inf)))
    above = np.nextafter(below.astype(np.float32), np.float32(np.inf))
    return np.concatenate([below, above]).astype(np.float64)


def norm_of(moves, order):
    return np.linalg.norm(moves, ord=order, axis=-1)


def brute_force(
    estimator, x, y, column, candidates, *, order=np.inf, units=None, low=None, high=None
):
    """Return the distance of the nearest of all combinations of candidates that is an error."""
    units = np.ones(len(x)) if units is None else np.asarray(units, float)
    values = []
    for feature in range(len(x)):
        some = np.append(candidates[column == feature], x[feature])
        if low is not None:
            some = some[(some >= low) & (some <= high)]
        values.append(np.unique(some if units[feature] > 0 else x[[feature]]))
    points = np.array(list(product(*values)))
    wrong = points[estimator.predict(points) != y]
    if not len(wrong):
        return np.inf
    with np.errstate(invalid="ignore", divide="ignore"):
        moves = np.where(wrong == x, 0.0, np.abs(wrong - x) / units)
    return norm_of(moves, order).min()
