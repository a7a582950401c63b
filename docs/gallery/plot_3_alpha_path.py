"""
What alpha buys, and what it costs
==================================

A grid search whose scorers are accuracy, accuracy under attack and distortion; the grey line is the
choice of :func:`~sklearn_iso.model_selection.refit_robust`.
"""

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from sklearn_iso import IsometricClassifier, ThreatModel
from sklearn_iso.metrics import make_adversarial_scorer, make_distortion_scorer
from sklearn_iso.model_selection import refit_robust
from sklearn_iso.plotting import AlphaPathDisplay

X, y = load_digits(return_X_y=True)
X, y = X[::3] / 16, y[::3]
search = GridSearchCV(
    IsometricClassifier(hidden_layer_sizes=(64, 32), max_epochs=40, random_state=0),
    {"alpha": [0, 0.1, 1, 10]},
    scoring={
        "clean": "accuracy",
        "robust": make_adversarial_scorer(
            eps=0.6, threat=ThreatModel("l2", bounds=(0, 1)), attack="pgd", random_state=0
        ),
        "distortion": make_distortion_scorer(),
    },
    refit=refit_robust(0.02, clean="clean", robust="robust"),
    cv=3,
).fit(X, y)
display = AlphaPathDisplay.from_estimator(search)
_ = display.ax_.set_title("599 digits, L2 budget 0.6")
