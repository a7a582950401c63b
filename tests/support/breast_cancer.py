"""A linear pipeline on data that scikit-learn ships, whose distances are known exactly."""

from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X, Y = load_breast_cancer(return_X_y=True)
MEDIAN = 0.0105  # raw units; half of the rows lie nearer to the boundary (l-infinity)


def logistic(X=X, y=Y, scaler=None):
    return make_pipeline(scaler or StandardScaler(), LogisticRegression(max_iter=500)).fit(X, y)
