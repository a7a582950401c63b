"""
How far distances are kept
==========================

Distances of the last hidden layer against distances of the input, within and between classes. The
closer the pairs within a class lie to the line, the more isometric the representation is.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_iso import IsometricClassifier
from sklearn_iso.plotting import ShepardDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)

figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharex=True, layout="constrained")
for ax, (name, alpha) in zip(axes, (("plain", 0), ("isometric", 1)), strict=True):
    model = IsometricClassifier(alpha=alpha, max_epochs=30, random_state=0).fit(X_train, y_train)
    ShepardDisplay.from_estimator(model, X_test, y_test, name=f"{name} (alpha={alpha})", ax=ax)
