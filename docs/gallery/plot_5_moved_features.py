"""
Which features an attack moves
==============================

For tables, the question is which columns give way. Here for two classifiers of wines, neither of
them ours; a budget of 1 is one standard deviation of each column.
"""

from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_iso import ThreatModel
from sklearn_iso.plotting import AdversarialExamplesDisplay

X, y = load_wine(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
units = X_train.std().to_numpy()

ax = None
for classifier in (LogisticRegression(), SVC()):
    model = make_pipeline(StandardScaler(), classifier).fit(X_train, y_train)
    ax = AdversarialExamplesDisplay.from_estimator(
        model, X_test, y_test, eps=2, threat=ThreatModel("l2", units=units), ax=ax
    ).ax_
ax.set_xlabel("Mean absolute change of misclassified samples,\nin standard deviations")
_ = ax.set_title("Wine, L2 budget of 2 standard deviations")
