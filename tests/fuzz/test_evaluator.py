"""Every classifier of scikit-learn, and every transformer before one, gets a result."""

import itertools
import warnings

import numpy as np
import pytest
from few_queries import for_distance
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.kernel_approximation import SkewedChi2Sampler
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics.pairwise import chi2_kernel
from sklearn.neighbors import RadiusNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    PowerTransformer,
    StandardScaler,
)
from sklearn.svm import SVC
from sklearn.utils import all_estimators

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import AttackEnsemble
from sklearn_iso.metrics import adversarial_accuracy, adversarial_distance, robustness_report

NORMS = ("linf", "l2", "l1")
SIZES = (0.3, 100.0)  # in standard deviations
BOUNDED = (False, True)
N_CLASSES = (2, 3)
N_ATTACKED = 12

#: Those that take no matrix of numbers with one label for each sample, so that nothing is fitted.
NOT_FITTED = {
    "CCA",  # pairs from fit_transform
    "ClassifierChain",  # several outputs
    "MultiOutputClassifier",  # several outputs
    "DictVectorizer",  # dicts
    "FeatureHasher",  # dicts
    "HashingVectorizer",  # text
    "CountVectorizer",  # text
    "TfidfVectorizer",  # text
    "PatchExtractor",  # images
    "TSNE",  # no transform
    "IsotonicRegression",  # one feature
    "KernelCenterer",  # a square matrix
    "PLSCanonical",  # pairs from fit_transform
    "PLSRegression",  # pairs from fit_transform
    "PLSSVD",  # pairs from fit_transform
    "LabelBinarizer",  # labels
    "LabelEncoder",  # labels
    "MultiLabelBinarizer",  # labels
}
TWO_CLASSES_ONLY = {"FixedThresholdClassifier", "TunedThresholdClassifierCV"}
OPTIONS = {
    "MissingIndicator": {"features": "all"},
    "ColumnTransformer": {"transformers": [("scaled", StandardScaler(), [0, 1])]},
    "FeatureUnion": {"transformer_list": [("scaled", StandardScaler())]},
    "SparseCoder": {"dictionary": np.eye(4)},
    "RadiusNeighborsClassifier": {"radius": 3.0},
    "GaussianRandomProjection": {"n_components": 3},
    "SparseRandomProjection": {"n_components": 3},
    "SelectKBest": {"k": 2},
}
FEW = {"n_estimators": 5, "max_iter": 100, "random_state": 0, "n_init": 1, "cv": 3}


def made(kind):
    """Return an estimator of a class, small, or None where it needs what we do not know."""
    options = dict(OPTIONS.get(kind.__name__, {}))
    known = kind._get_param_names()
    if "estimator" in known:
        options["estimator"] = LogisticRegression()
    if "estimators" in known:
        inner = Ridge() if kind.__name__.endswith("Regressor") else LogisticRegression()
        options["estimators"] = [("one", inner), ("two", clone(inner))]
    options |= {name: value for name, value in FEW.items() if name in known and name not in options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of classes that will go
        return kind(**options)


def before(transformer):
    return make_pipeline(transformer, LogisticRegression())


def of_library():
    """Return every classifier, and every transformer before one, by name."""
    found = {name: made(kind) for name, kind in all_estimators("classifier")}
    steps = {name: made(kind) for name, kind in all_estimators("transformer")}
    found |= {f"{name} before": before(step) for name, step in steps.items()}
    return {name: one for name, one in found.items() if name.split()[0] not in NOT_FITTED}


def logarithm(X):
    return np.log(X)


#: What public reports and earlier runs found to be hard.
HARD = {
    "log": before(FunctionTransformer(np.log)),
    "log of a user": before(FunctionTransformer(logarithm)),
    "sqrt": before(FunctionTransformer(np.sqrt)),
    "box-cox": before(PowerTransformer("box-cox")),
    "skewed chi2": before(SkewedChi2Sampler(skewedness=0.1, random_state=0)),
    "chi2 kernel": SVC(kernel=chi2_kernel),
    "few neighbours": RadiusNeighborsClassifier(1.0),
    "bins": before(KBinsDiscretizer(quantile_method="averaged_inverted_cdf")),
    "clipped": before(MinMaxScaler(clip=True)),
    "narrow kernel": SVC(gamma=50.0),
    "saturated units": MLPClassifier((5,), activation="logistic", max_iter=50, random_state=0),
}
ESTIMATORS = of_library() | HARD
SETTINGS = list(itertools.product(NORMS, SIZES, BOUNDED))
DISCRETE = ("CategoricalNB", "OneHotEncoder", "OrdinalEncoder", "TargetEncoder")


def data(name, n_classes):
    X, y = load_iris(return_X_y=True)
    X, y = X[y < n_classes][::2], y[y < n_classes][::2]
    return (np.round(X) if name.startswith(DISCRETE) else X), y


def fitted(name, n_classes):
    X, y = data(name, n_classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = clone(ESTIMATORS[name]).fit(X, y)
    if name == "saturated units":
        estimator.coefs_ = [1000 * weights for weights in estimator.coefs_]
    rows = np.linspace(0, len(X) - 1, N_ATTACKED).astype(int)
    return estimator, X[rows], y[rows]


def assert_evaluated(estimator, X, y, setting, distance, report):
    norm, size, bounded = setting
    spread = X.std(axis=0)
    bounds = (X.min(axis=0), X.max(axis=0) + 0.1 * spread) if bounded else None
    threat = ThreatModel(norm, units=spread, bounds=bounds)
    options = {"threat": threat, "attack": AttackEnsemble(n_queries=10), "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        right = np.asarray(estimator.predict(X)) == y
        accuracy = adversarial_accuracy(estimator, X, y, eps=size, **options)
        assert isinstance(accuracy, float) and 0 <= accuracy <= right.mean()
        if distance:  # which has no budget
            found = adversarial_distance(estimator, X, y, **for_distance(options))
            assert (found[~right] == 0).all() and (found[right] > 0).all()
        if report:
            told = robustness_report(estimator, X, y, eps=[0, size], **options)
            assert told.accuracy[0] == right.mean() >= told.accuracy[1] >= 0
            assert str(told) and told.n_refused >= 0


def trials():
    """Yield every estimator with a number of classes that it takes."""
    for name, n_classes in itertools.product(ESTIMATORS, N_CLASSES):
        if n_classes == 2 or name not in TWO_CLASSES_ONLY:
            yield name, n_classes


@pytest.mark.slow
@pytest.mark.parametrize("name, n_classes", list(trials()))
def test_every_fitted_classifier_gets_a_result(name, n_classes, record_property):
    estimator, X, y = fitted(name, n_classes)
    for setting in SETTINGS:
        small, bounded = setting[1] == SIZES[0], setting[2]
        assert_evaluated(estimator, X, y, setting, distance=small, report=not small and not bounded)
    record_property("evaluated", [[name, n_classes, *setting] for setting in SETTINGS])


#: All that is hard and every sixth of the others, each in the setting that is next.
SAMPLE = [
    (name, 2 + number // 2 % 2, SETTINGS[7 * number % len(SETTINGS)])
    for number, name in enumerate([*HARD, *list(ESTIMATORS)[2::6]])
    if name not in TWO_CLASSES_ONLY
]


@pytest.mark.parametrize("name, n_classes, setting", SAMPLE)
def test_sample_of_fitted_classifiers_gets_a_result(name, n_classes, setting, record_property):
    assert_evaluated(*fitted(name, n_classes), setting, distance=True, report=False)
    record_property("evaluated", [[name, n_classes, *setting]])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NOT_FITTED))
def test_what_is_left_out_cannot_be_fitted(name):
    kinds = dict(all_estimators())  # vectorizers of text are no transformers by their class
    X, y = data(name, 2)
    estimator = made(kinds[name])
    with pytest.raises(Exception), warnings.catch_warnings():  # noqa: B017
        warnings.simplefilter("ignore")
        (estimator if hasattr(estimator, "predict_proba") else before(estimator)).fit(X, y)
