"""Exact distances to the nearest error of classifiers that are constant on boxes."""

import itertools

import numpy as np

ORDER = {"linf": np.inf, "l2": 2, "l1": 1}


def leaves(tree):
    """Yield the box and the class of every leaf of a fitted tree."""
    t, d = tree.tree_, tree.n_features_in_
    stack = [(0, np.full(d, -np.inf), np.full(d, np.inf))]
    while stack:
        node, low, high = stack.pop()
        feature, threshold = t.feature[node], t.threshold[node]
        if t.children_left[node] < 0:
            yield low, high, tree.classes_[t.value[node].argmax()]
            continue
        for child, side in ((t.children_left[node], high), (t.children_right[node], low)):
            kept = side[feature]
            side[feature] = min(kept, threshold) if side is high else max(kept, threshold)
            stack.append((child, low.copy(), high.copy()))
            side[feature] = kept


def grid(model, edges):
    """Yield the box and the class of every cell between edges of each feature."""
    sides = [np.concatenate([[-np.inf], e, [np.inf]]) for e in edges]
    cells = list(itertools.product(*(range(len(s) - 1) for s in sides)))
    low = np.array([[s[k] for s, k in zip(sides, cell, strict=True)] for cell in cells])
    high = np.array([[s[k + 1] for s, k in zip(sides, cell, strict=True)] for cell in cells])
    inside = np.where(np.isinf(low), high - 1, low), np.where(np.isinf(high), low + 1, high)
    middle = (inside[0] + inside[1]) / 2
    yield from zip(low, high, model.predict(middle), strict=True)


def exact_distances(boxes, X, y, norm):
    """Return the distance of every sample to the nearest box of another class."""
    nearest = np.full(len(X), np.inf)
    for low, high, label in boxes:
        gap = np.linalg.norm(np.maximum(0, np.maximum(low - X, X - high)), ORDER[norm], axis=1)
        nearest = np.where(y == label, nearest, np.minimum(nearest, gap))
    return nearest
