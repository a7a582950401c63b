"""
Robustness beside accuracy
==========================

A network with the isometric penalty and one without, on handwritten digits under attacks of growing
strength. A sample that is wrong without an attack counts as wrong at every budget; the bands are
95% intervals.
"""

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_iso import IsometricClassifier, ThreatModel
from sklearn_iso.plotting import RobustnessCurveDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)

# %%
# Grey levels lie between 0 and 1. An L2 budget of 1 may blacken one white pixel, or move all 64 by
# an eighth.
ax = None
for name, alpha in (("plain", 0), ("isometric", 1)):
    model = IsometricClassifier(alpha=alpha, max_epochs=30, random_state=0).fit(X_train, y_train)
    ax = RobustnessCurveDisplay.from_estimator(
        model, X_test[:200], y_test[:200], eps=[0, 0.2, 0.4, 0.6, 0.8, 1, 1.2],
        threat=ThreatModel("l2", bounds=(0, 1)), name=f"{name} (alpha={alpha})", ax=ax,
        random_state=0,
    ).ax_  # fmt: skip
_ = ax.set_title("200 digits under attack")
