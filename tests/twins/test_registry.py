"""Twins agree with scikit-learn to 1e-6, in value and in gradient."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from releases import SKLEARN_1_8
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.datasets import load_iris
from sklearn.decomposition import NMF
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from torch import nn

from sklearn_iso.twins import NotDifferentiableError, as_torch, register, registered

X, Y = load_iris(return_X_y=True)
BEYOND = np.concatenate([X, X * 3 - 5])  # also outside of the range seen in fit
SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    StandardScaler(with_mean=False, with_std=False),
    MinMaxScaler(),
    MinMaxScaler(feature_range=(-2, 5)),
    MinMaxScaler(clip=True),
    MaxAbsScaler(),
    *([MaxAbsScaler(clip=True)] if SKLEARN_1_8 else []),
    RobustScaler(),
    RobustScaler(with_centering=False, quantile_range=(10, 90)),
    RobustScaler(with_scaling=False, unit_variance=True),
]
LABELS = {
    "three classes": Y,
    "two classes": Y > 0,
    "strings": np.array(["rose", "iris", "aster"])[Y],
    "negative": Y - 5,
}
CLASSIFIERS = [
    LogisticRegression(max_iter=300),
    LogisticRegression(fit_intercept=False, max_iter=300),
    *(
        MLPClassifier((5, 4), activation=activation, max_iter=30, random_state=0)
        for activation in ("relu", "tanh", "logistic", "identity")
    ),
    MLPClassifier((), max_iter=30, random_state=0),
]


def fitted(estimator, X=X, y=Y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scaler", SCALERS, ids=repr)
def test_scaler_twin_equals_transform_also_beyond_the_fitted_range(scaler, dtype):
    scaler = fitted(scaler)
    expected = scaler.transform(BEYOND.astype(dtype))
    actual = as_torch(scaler)(torch.tensor(BEYOND.astype(dtype)))
    assert actual.numpy().dtype == expected.dtype == dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler(clip=True)], ids=repr)
@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=repr)
def test_softmax_of_the_twin_of_a_pipeline_is_predict_proba(classifier, scaler, labels):
    pipeline = fitted(make_pipeline(scaler, classifier), y=labels)
    logits = as_torch(pipeline)(torch.tensor(BEYOND))
    np.testing.assert_allclose(
        torch.softmax(logits, dim=1), pipeline.predict_proba(BEYOND), rtol=1e-6, atol=1e-9
    )
    assert (pipeline.classes_[logits.argmax(dim=1)] == pipeline.predict(BEYOND)).all()


@pytest.mark.parametrize("labels", [Y, Y > 0], ids=["three classes", "two classes"])
def test_linear_twin_returns_the_decision_function(labels):
    classifier = fitted(LogisticRegression(max_iter=300), y=labels)
    logits = as_torch(classifier)(torch.tensor(X))
    expected = classifier.decision_function(X)
    if expected.ndim == 1:
        expected = np.column_stack([np.zeros(len(X)), expected])
    np.testing.assert_allclose(logits, expected, atol=1e-12)


def test_twin_in_float32_is_close_to_the_estimator():
    pipeline = fitted(make_pipeline(StandardScaler(), CLASSIFIERS[2]))
    logits = as_torch(pipeline)(torch.tensor(X, dtype=torch.float32))
    assert logits.dtype == torch.float32
    probabilities = pipeline.predict_proba(X.astype(np.float32))
    np.testing.assert_allclose(torch.softmax(logits, dim=1), probabilities, atol=1e-5)


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=repr)
def test_gradient_of_the_twin_is_that_of_the_estimator(classifier):
    pipeline = fitted(make_pipeline(RobustScaler(), classifier))
    x = torch.tensor(X[:5], requires_grad=True)
    torch.softmax(as_torch(pipeline)(x), dim=1)[:, 1].sum().backward()
    step = 1e-6
    for feature in range(4):
        shift = step * np.eye(4)[feature]
        ahead, behind = (pipeline.predict_proba(X[:5] + s)[:, 1] for s in (shift, -shift))
        np.testing.assert_allclose(x.grad[:, feature], (ahead - behind) / (2 * step), atol=1e-6)


def test_passthrough_none_and_nested_pipelines():
    nested = Pipeline(
        [
            ("nothing", "passthrough"),
            ("inner", make_pipeline(StandardScaler(), MinMaxScaler())),
            ("also_nothing", None),
            ("classifier", LogisticRegression()),
        ]
    ).fit(X, Y)
    logits = as_torch(nested)(torch.tensor(X))
    np.testing.assert_allclose(logits, nested.decision_function(X), atol=1e-9)


@pytest.mark.parametrize("search", [GridSearchCV, RandomizedSearchCV])
def test_search_has_the_twin_of_its_best_estimator(search):
    options = {"n_iter": 2, "random_state": 0} if search is RandomizedSearchCV else {}
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    searched = search(pipeline, {"logisticregression__C": [0.1, 1.0]}, cv=2, **options).fit(X, Y)
    logits = as_torch(searched)(torch.tensor(X))
    np.testing.assert_allclose(logits, searched.decision_function(X), atol=1e-9)


def test_pipeline_may_end_in_a_search():
    pipeline = make_pipeline(
        StandardScaler(), GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2)
    ).fit(X, Y)
    assert (as_torch(pipeline)(torch.tensor(X)).argmax(1).numpy() == pipeline.predict(X)).all()


def test_subclass_inherits_the_twin():
    class Renamed(LogisticRegression):
        pass

    classifier = Renamed(max_iter=300).fit(X, Y)
    logits = as_torch(classifier)(torch.tensor(X))
    np.testing.assert_allclose(logits, classifier.decision_function(X), atol=1e-9)


def test_estimator_fitted_on_a_frame_has_a_twin():
    frame = pd.DataFrame(X, columns=list("abcd"))
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, Y)
    logits = as_torch(pipeline)(torch.tensor(X))
    np.testing.assert_allclose(logits, pipeline.decision_function(frame), atol=1e-9)


class WithToTorch(ClassifierMixin, BaseEstimator):
    """An estimator that brings its own module."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.module_ = nn.Linear(X.shape[1], len(self.classes_))
        return self

    def to_torch(self):
        return self.module_


def test_to_torch_gives_a_frozen_copy_in_its_own_dtype():
    with torch.random.fork_rng():
        estimator = WithToTorch().fit(X, Y)
    twin = as_torch(make_pipeline(StandardScaler(), estimator).fit(X, Y))
    assert twin(torch.tensor(X)).dtype == torch.float32 and not twin.training
    assert not any(p.requires_grad for p in twin.parameters())
    twin.double()
    assert estimator.module_.weight.requires_grad
    assert estimator.module_.weight.dtype == torch.float32


def test_moving_a_twin_leaves_the_estimator_alone():
    scaler = StandardScaler().fit(X)
    before = scaler.mean_.copy()
    with torch.no_grad():
        as_torch(scaler).centre += 1
    np.testing.assert_array_equal(scaler.mean_, before)


class Cube(TransformerMixin, BaseEstimator):
    """A transformer without a twin of its own."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return X**3


class CubeModule(nn.Module):
    def forward(self, X):
        return X**3


def test_register_adds_a_class_of_the_user():
    pipeline = make_pipeline(StandardScaler(), Cube(), LogisticRegression()).fit(X, Y)
    with pytest.raises(NotDifferentiableError, match="Step 'cube' .Cube. cannot"):
        as_torch(pipeline)

    class Registered(Cube):
        pass

    @register(Registered)
    def build(estimator):
        return CubeModule()

    assert callable(build) and "Registered" in registered()
    pipeline = make_pipeline(StandardScaler(), Registered(), LogisticRegression()).fit(X, Y)
    logits = as_torch(pipeline)(torch.tensor(X))
    np.testing.assert_allclose(logits, pipeline.decision_function(X), atol=1e-9)


def test_error_names_the_path_the_class_what_works_and_the_remedies():
    inner = Pipeline([("scale", MinMaxScaler()), ("kernel", NMF(2, tol=0.1))])
    pipeline = Pipeline([("inner", inner), ("classifier", LogisticRegression())]).fit(X, Y)
    with pytest.raises(NotDifferentiableError) as caught:
        as_torch(pipeline)
    message = str(caught.value)
    assert message.startswith("Step 'inner' > 'kernel' (NMF) cannot be differentiated: its ")
    assert "MaxAbsScaler, MinMaxScaler, " in message
    assert "@sklearn_iso.twins.register(NMF)" in message
    assert "or drop the step" in message


def test_classifier_without_a_twin_is_named():
    forest = RandomForestClassifier(3, random_state=0).fit(X, Y)
    with pytest.raises(NotDifferentiableError, match="^RandomForestClassifier cannot be diff"):
        as_torch(forest)


def test_multilabel_network_is_refused():
    network = fitted(MLPClassifier((3,), max_iter=5, random_state=0), y=np.eye(3, dtype=int)[Y])
    with pytest.raises(TypeError, match="multilabel MLPClassifier has no twin"):
        as_torch(network)


@pytest.mark.parametrize(
    "estimator",
    [
        StandardScaler(),
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        GridSearchCV(LogisticRegression(), {"C": [1]}),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_unfitted_estimator_is_scikit_learns_error(estimator):
    with pytest.raises(NotFittedError):
        as_torch(estimator)


def test_search_without_refit_is_an_error():
    search = GridSearchCV(LogisticRegression(), {"C": [1]}, cv=2, refit=False).fit(X, Y)
    with pytest.raises(NotFittedError, match="Search with refit=True"):
        as_torch(search)


def test_register_wants_a_class():
    with pytest.raises(TypeError, match="register takes a class; got .* Write @register"):
        register(lambda estimator: None)
