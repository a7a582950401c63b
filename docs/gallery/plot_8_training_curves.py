"""
Watch a fit
===========

Classification loss, of training and of validation samples, and penalty of two fits. The penalty of
the first is 0: alpha is 0, and it is not computed.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from sklearn_iso import IsometricClassifier
from sklearn_iso.plotting import TrainingCurveDisplay

X, y = load_digits(return_X_y=True)
_, ax = plt.subplots(figsize=(9, 5), layout="constrained")
for alpha in (0, 1):
    model = IsometricClassifier(
        alpha=alpha, early_stopping=True, max_epochs=40, n_iter_no_change=40, random_state=0
    ).fit(X / 16, y)
    TrainingCurveDisplay.from_estimator(model, name=f"alpha={alpha}", ax=ax)
ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)  # beside the curves
_ = ax.set_title("1,797 digits, a tenth of them held out")
