"""
Where a network stretches the plane
===================================

Two networks learn three arms of a spiral. The background tells how far the last hidden layer
stretches the plane at each point. An ellipse holds the points that the network takes, to first
order, to the same distance from its centre: a circle where it keeps distances up to scale, a sliver
across the direction that it stretches most. The penalty leaves the regions as they are, and evens
out the rest.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_iso import IsometricClassifier
from sklearn_iso.plotting import DistortionMapDisplay

rng = np.random.default_rng(0)
y = np.arange(300) % 3
radius = rng.uniform(0.4, 2, 300)
angle = 2 * np.pi / 3 * y + 1.5 * radius + rng.normal(0, 0.12, 300)
X = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)

figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for ax, (name, alpha) in zip(axes, (("plain", 0), ("isometric", 3)), strict=True):
    model = IsometricClassifier(
        alpha=alpha, hidden_layer_sizes=(64, 64), activation="tanh", max_epochs=200,
        learning_rate=0.005, random_state=0,
    ).fit(X, y)  # fmt: skip
    DistortionMapDisplay.from_estimator(
        model, X, y, name=f"{name} (alpha={alpha})", vmin=1, vmax=20, ax=ax
    )
