"""Twins of regressors predict as they do, with true gradients; the others say why not."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn import linear_model
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.cross_decomposition import CCA, PLSCanonical, PLSRegression
from sklearn.datasets import make_friedman1
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor, kernels
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    GammaRegressor,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    RANSACRegressor,
    Ridge,
    SGDRegressor,
    TweedieRegressor,
)
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.neighbors import KNeighborsRegressor, RadiusNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVR, LinearSVR, NuSVR
from sklearn.tree import DecisionTreeRegressor
from skorch import NeuralNetRegressor

from sklearn_iso import IsometricRegressor
from sklearn_iso.twins import NotDifferentiableError, as_torch, surrogates
from sklearn_iso.twins._regressors import LINEAR

X, Y = make_friedman1(60, n_features=5, noise=0.5, random_state=0)
X = X * [1, 10, 1, 1, 5]
TARGETS = np.stack([Y, Y[::-1] ** 2], axis=1)
BEYOND = np.concatenate([X, 2 * X - 1])


def linear_models():
    """Return one of every linear regressor, with the targets that it is fitted on."""
    for name in LINEAR:
        if hasattr(linear_model, name) and name != "PassiveAggressiveRegressor":
            yield getattr(linear_model, name)(), TARGETS if name.startswith("Multi") else Y


NETWORK = {"hidden_layer_sizes": (6, 4), "max_iter": 20, "random_state": 0}
SMOOTH = [
    PoissonRegressor(),
    GammaRegressor(),
    TweedieRegressor(power=0),
    TweedieRegressor(power=1.5),
    TweedieRegressor(power=0, link="log"),
    RANSACRegressor(random_state=0),
    LinearSVR(),
    *(SVR(kernel=kernel, C=10) for kernel in ("linear", "poly", "rbf", "sigmoid")),
    NuSVR(gamma=0.1),
    *(
        KernelRidge(kernel=kernel, gamma=gamma)
        for kernel in ("linear", "poly", "rbf", "laplacian", "cosine", "sigmoid")
        for gamma in (None, 0.1)
    ),
    *(
        MLPRegressor(activation=activation, **NETWORK)
        for activation in ("relu", "tanh", "logistic", "identity")
    ),
    *(
        GaussianProcessRegressor(kernel, alpha=0.1, normalize_y=True, optimizer=None)
        for kernel in (
            None,
            2.0 * kernels.RBF([1.0, 10.0, 1.0, 1.0, 5.0]) + kernels.WhiteKernel(0.3),
            *(kernels.Matern(4.0, nu=nu) for nu in (0.5, 1.5, 2.5, np.inf)),
            kernels.RationalQuadratic(4.0, 0.7) * kernels.ConstantKernel(3.0),
            kernels.ExpSineSquared(3.0, 20.0),
            kernels.DotProduct(2.0) ** 2,
        )
    ),
    VotingRegressor([("a", Ridge()), ("b", SVR()), ("c", "drop")], weights=[1, 3, 5]),
    BaggingRegressor(Ridge(), 4, max_features=0.6, random_state=0),
    StackingRegressor([("a", Ridge()), ("b", SVR())], Ridge()),
    StackingRegressor([("a", Ridge()), ("b", SVR())], SVR(), passthrough=True),
    TransformedTargetRegressor(Ridge()),
    TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=np.exp),
    *(
        TransformedTargetRegressor(Ridge(), transformer=transformer)
        for transformer in (
            StandardScaler(),
            MinMaxScaler((-2, 3)),
            RobustScaler(),
            PowerTransformer(),
            PowerTransformer("box-cox", standardize=False),
        )
    ),
    IsometricRegressor(alpha=0.1, hidden_layer_sizes=(8,), max_epochs=2, random_state=0),
]
SEVERAL = [
    LinearRegression(),
    Ridge(),
    PLSRegression(2),
    PLSCanonical(1),
    CCA(1),
    KernelRidge(kernel="rbf"),
    MLPRegressor(**NETWORK),
    GaussianProcessRegressor(kernels.RBF(5.0), alpha=0.1, normalize_y=True, optimizer=None),
    MultiOutputRegressor(SVR()),
    RegressorChain(Ridge(), order=[1, 0]),
    TransformedTargetRegressor(Ridge(), transformer=StandardScaler()),
    make_pipeline(StandardScaler(), PCA(3), Ridge()),
]
NEIGHBOURS = [
    KNeighborsRegressor(3),
    KNeighborsRegressor(4, weights="distance"),
    KNeighborsRegressor(2, p=1),
    KNeighborsRegressor(2, metric="chebyshev"),
]
REFUSED = [
    DecisionTreeRegressor(),
    RandomForestRegressor(2),
    HistGradientBoostingRegressor(max_iter=2),
    AdaBoostRegressor(n_estimators=2),
    RadiusNeighborsRegressor(100.0),
    KernelRidge(kernel="chi2", gamma=1.0),
    SVR(kernel=lambda a, b: a @ b.T),
    GaussianProcessRegressor(kernels.Matern(nu=0.7), optimizer=None),
    GaussianProcessRegressor(kernels.PairwiseKernel(), optimizer=None),
    TransformedTargetRegressor(Ridge(), transformer=QuantileTransformer(n_quantiles=9)),
    MultiOutputRegressor(DecisionTreeRegressor()),
]


def fitted(regressor, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        return clone(regressor).fit(X, y)


def check_predicts(regressor, y):
    regressor = fitted(regressor, y)
    twin = as_torch(regressor)
    expected = regressor.predict(BEYOND)
    actual = twin(torch.tensor(BEYOND)).numpy()
    assert actual.shape == (len(BEYOND), y.ndim if y.ndim == 1 else y.shape[1])
    scale = 1 + np.abs(expected).max()
    np.testing.assert_allclose(
        actual / scale, expected.reshape(actual.shape) / scale, rtol=1e-5, atol=1e-6
    )
    return twin


@pytest.mark.parametrize(
    ("regressor", "y"), list(linear_models()), ids=lambda value: type(value).__name__
)
def test_twin_of_a_linear_model_predicts_as_it_does(regressor, y):
    assert not surrogates(check_predicts(regressor, y))


@pytest.mark.parametrize("regressor", SMOOTH, ids=repr)
def test_twin_of_one_output_predicts_as_its_regressor_does(regressor):
    twin = check_predicts(regressor, Y)
    again = pickle.loads(pickle.dumps(twin))
    torch.testing.assert_close(again(torch.tensor(X)), twin(torch.tensor(X)))


@pytest.mark.parametrize("regressor", SEVERAL, ids=repr)
def test_twin_of_several_outputs_predicts_as_its_regressor_does(regressor):
    check_predicts(regressor, TARGETS)


@pytest.mark.parametrize("regressor", NEIGHBOURS, ids=repr)
@pytest.mark.parametrize("y", [Y, TARGETS], ids=["one output", "two outputs"])
def test_twin_of_neighbours_predicts_as_they_do_with_a_slope(regressor, y):
    twin = check_predicts(regressor, y)
    assert "KNeighborsRegressor" in surrogates(twin)[0]
    points = torch.tensor(X).requires_grad_()
    (slope,) = torch.autograd.grad(twin(points).sum(), points)
    assert slope.abs().max() > 0


@pytest.mark.parametrize(
    "regressor",
    [
        PoissonRegressor(),
        KernelRidge(kernel="rbf", gamma=0.1),
        SVR(C=10),
        MLPRegressor(activation="tanh", **NETWORK),
        GaussianProcessRegressor(kernels.Matern(4.0, nu=1.5), alpha=0.1, optimizer=None),
        GaussianProcessRegressor(kernels.RationalQuadratic(4.0), alpha=0.1, optimizer=None),
        StackingRegressor([("a", Ridge()), ("b", SVR())], SVR(), passthrough=True),
        TransformedTargetRegressor(Ridge(), transformer=PowerTransformer()),
        make_pipeline(StandardScaler(), PCA(3), SVR()),
    ],
    ids=repr,
)
def test_gradient_is_the_true_one(regressor):
    twin = as_torch(fitted(regressor, Y))
    points = torch.tensor(X[:2] + 0.01).requires_grad_()
    assert torch.autograd.gradcheck(twin, points)


def test_matern_kernel_has_a_finite_slope_at_a_training_sample():
    process = GaussianProcessRegressor(kernels.Matern(4.0, nu=0.5), alpha=0.1, optimizer=None)
    points = torch.tensor(X).requires_grad_()
    (slope,) = torch.autograd.grad(as_torch(process.fit(X, Y))(points).sum(), points)
    assert slope.isfinite().all()


def test_sparse_coefficients_are_those_of_the_model():
    regressor = SGDRegressor(random_state=0).fit(X / 10, Y)
    expected = regressor.predict(X)
    np.testing.assert_allclose(as_torch(regressor.sparsify())(torch.tensor(X))[:, 0], expected)


@pytest.mark.parametrize("regressor", REFUSED, ids=lambda one: type(one).__name__)
def test_regressor_without_a_twin_says_why(regressor):
    y = TARGETS if isinstance(regressor, MultiOutputRegressor) else Y
    with pytest.raises(NotDifferentiableError, match=r"cannot be differentiated: \w+"):
        as_torch(fitted(regressor, y))


def test_regressor_of_a_user_who_transforms_gives_the_twin_of_its_transform():
    regressor = fitted(SMOOTH[-1], Y)
    twin = as_torch(make_pipeline(regressor, Ridge()).fit(X, Y)[:1], transform=True)
    np.testing.assert_allclose(twin(torch.tensor(X)), regressor.transform(X), rtol=1e-4, atol=1e-5)


def test_net_of_skorch_predicts_as_its_module_does():
    options = {"max_epochs": 1, "verbose": 0}
    net = NeuralNetRegressor(torch.nn.Linear(5, 1), **options)
    net.fit(X.astype(np.float32), Y[:, None].astype(np.float32))
    expected = net.predict(X.astype(np.float32))
    np.testing.assert_allclose(as_torch(net)(torch.tensor(X)), expected, rtol=1e-5, atol=1e-5)
    net.set_params(predict_nonlinearity=torch.exp)
    with pytest.raises(NotDifferentiableError, match="predict_nonlinearity"):
        as_torch(net)


def test_regressor_is_no_transformer():
    with pytest.raises(NotDifferentiableError, match="stands here as a transformer"):
        as_torch(Ridge().fit(X, Y), transform=True)


@pytest.mark.parametrize("kind", [OneVsRestClassifier, OneVsOneClassifier])
def test_regressors_among_classes_have_no_twin(kind):
    classes = np.digitize(Y, np.quantile(Y, [0.3, 0.6]))
    assert as_torch(kind(LogisticRegression(max_iter=1000)).fit(X, classes))
    if kind is OneVsRestClassifier:
        with pytest.raises(NotDifferentiableError, match="regressor among classes"):
            as_torch(kind(Ridge()).fit(X, classes))


def test_search_has_the_twin_of_its_best_regressor():
    search = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2).fit(X, Y)
    np.testing.assert_allclose(as_torch(search)(torch.tensor(X))[:, 0], search.predict(X))
