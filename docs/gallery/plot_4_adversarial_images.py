"""
What an attack paints
=====================

The same six digits, attacked with the same budget: against the plain network and against the
isometric one. Nothing is picked: these are the first test images that each network gets right.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_iso import IsometricClassifier, ThreatModel
from sklearn_iso.plotting import AdversarialExamplesDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)

figure, axes = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
for ax, (name, alpha) in zip(axes, (("plain", 0), ("isometric", 1)), strict=True):
    model = IsometricClassifier(alpha=alpha, max_epochs=30, random_state=0).fit(X_train, y_train)
    AdversarialExamplesDisplay.from_estimator(
        model, X_test[:20], y_test[:20], eps=0.6,
        threat=ThreatModel("l2", bounds=(0, 1)), image_shape=(8, 8),
        name=f"{name} (alpha={alpha}), L2 budget 0.6", ax=ax,
    )  # fmt: skip
