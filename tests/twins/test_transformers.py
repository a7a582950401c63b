"""Twins of transformers equal transform, with finite and true gradients."""

import pickle
import re
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.cluster import Birch, BisectingKMeans, FeatureAgglomeration, KMeans, MiniBatchKMeans
from sklearn.cross_decomposition import CCA, PLSSVD, PLSCanonical, PLSRegression
from sklearn.datasets import load_digits, load_wine
from sklearn.decomposition import (
    PCA,
    FactorAnalysis,
    FastICA,
    IncrementalPCA,
    KernelPCA,
    MiniBatchSparsePCA,
    SparsePCA,
    TruncatedSVD,
)
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.feature_selection import (
    RFE,
    SelectFromModel,
    SelectKBest,
    SelectPercentile,
    VarianceThreshold,
)
from sklearn.frozen import FrozenEstimator
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.kernel_approximation import (
    AdditiveChi2Sampler,
    Nystroem,
    PolynomialCountSketch,
    RBFSampler,
    SkewedChi2Sampler,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
)
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection

from sklearn_iso.twins import NotDifferentiableError, as_torch, surrogates

X, Y = load_wine(return_X_y=True)
X = X[:, [0, 1, 4, 9, 10]]  # alcohol, acid, magnesium, colour and hue: scales from 1 to 100
KERNELS = ("rbf", "linear", "poly", "sigmoid", "cosine", "laplacian")
LINEAR = [
    FastICA(3, tol=0.01),
    # Of columns with other scales it may find none, as it takes them for whitened.
    make_pipeline(StandardScaler(), FastICA(whiten=False, tol=1.0)),
    FactorAnalysis(2),
    NeighborhoodComponentsAnalysis(2, max_iter=5),
    FeatureAgglomeration(2),
    FeatureAgglomeration(3, pooling_func=np.sum),
    GaussianRandomProjection(3),
    SparseRandomProjection(3, density=0.5),
    SparseRandomProjection(3, density=0.5, dense_output=True),
    SparsePCA(2),
    MiniBatchSparsePCA(2, ridge_alpha=3.0),
    PLSRegression(2),
    PLSCanonical(1),
    PLSSVD(1),
    CCA(1),
    KNNImputer(),
]
SMOOTH = [
    *LINEAR,
    KMeans(3),
    MiniBatchKMeans(3),
    BisectingKMeans(3),
    make_pipeline(StandardScaler(), Birch(threshold=1.5)),
    make_pipeline(MinMaxScaler(), BernoulliRBM(4, n_iter=2)),
    TfidfTransformer(),
    TfidfTransformer(use_idf=False, norm=None, sublinear_tf=True),
    AdditiveChi2Sampler(),
    AdditiveChi2Sampler(sample_steps=3),
    SkewedChi2Sampler(n_components=4),
    PolynomialCountSketch(gamma=1e-3, n_components=8, degree=3, coef0=2),
    PolynomialCountSketch(n_components=8),
    SplineTransformer(extrapolation="linear"),
    SplineTransformer(2, degree=1, extrapolation="linear"),
    SplineTransformer(knots="quantile", extrapolation="continue", include_bias=False),
    SplineTransformer(6, extrapolation="periodic"),
    *(
        make_pipeline(StandardScaler(), KernelPCA(4, kernel=kernel, gamma=0.1, degree=2))
        for kernel in KERNELS[:-1]
    ),
    Normalizer(),
    Normalizer("l1"),
    PolynomialFeatures(),
    PolynomialFeatures(3, interaction_only=True, include_bias=False),
    PolynomialFeatures((2, 3)),
    PowerTransformer(),
    PowerTransformer(standardize=False),
    PowerTransformer("box-cox"),
    PCA(2),
    PCA(whiten=True),
    IncrementalPCA(3),
    TruncatedSVD(3, random_state=0),
    LinearDiscriminantAnalysis(),
    LinearDiscriminantAnalysis(n_components=1),
    LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto"),
    SimpleImputer(),
    SelectKBest(k=2),
    SelectPercentile(percentile=50),
    VarianceThreshold(1.0),
    SelectFromModel(LogisticRegression(max_iter=2000)),
    RFE(LinearDiscriminantAnalysis(), n_features_to_select=2),
    RBFSampler(gamma=0.01, n_components=7, random_state=0),
    RBFSampler(gamma="scale", n_components=7, random_state=0),
    *(
        # No more components than the kernel's rank: the others would be rounding, normalised.
        make_pipeline(StandardScaler(), Nystroem(kernel, n_components=4, random_state=0))
        for kernel in KERNELS
    ),
    make_pipeline(StandardScaler(), Nystroem("poly", gamma=0.1, coef0=2, degree=2, n_components=4)),
    FeatureUnion(
        [("scale", MinMaxScaler()), ("same", "passthrough"), ("gone", "drop"), ("pca", PCA(2))],
        transformer_weights={"pca": 3.0},
    ),
    make_pipeline(make_pipeline(StandardScaler(), FeatureUnion([("pca", PCA(2))])), PCA(1)),
    FrozenEstimator(StandardScaler().fit(X)),
]
STEPPED = [  # flat or with corners at the points of the fit
    Normalizer("max"),
    FeatureAgglomeration(2, pooling_func=np.max),
    FeatureAgglomeration(2, pooling_func=np.min),
    SplineTransformer(),
    QuantileTransformer(n_quantiles=20),
    QuantileTransformer(n_quantiles=20, output_distribution="normal"),
    QuantileTransformer(n_quantiles=178, output_distribution="normal"),
]


def name(transformer):
    # A function prints its address, which differs between the processes of a test run.
    return re.sub(r"<function (\w+) at \w+>", r"\1", repr(transformer))


def transformed(transformer, points):
    Z = transformer.transform(points)
    return np.asarray(Z.toarray() if hasattr(Z, "toarray") else Z, dtype=float)


@cache  # each is fitted once for all laws
def fitted(transformer):
    if isinstance(transformer, FrozenEstimator):
        return transformer
    random = {k: 0 for k in transformer.get_params() if k.endswith("random_state")}
    return transformer.set_params(**random).fit(X, Y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("transformer", SMOOTH + STEPPED, ids=name)
def test_twin_equals_transform(transformer):
    transformer = fitted(transformer)
    twin = as_torch(transformer, transform=True)
    beyond = np.concatenate([X, X * 1.4 + 0.1, X * 0.3])
    expected = transformed(transformer, beyond)
    scale = np.abs(expected).max(initial=1e-3)
    np.testing.assert_allclose(twin(torch.tensor(beyond)), expected, rtol=0, atol=1e-10 * scale)
    assert surrogates(twin) == []


@pytest.mark.parametrize("transformer", SMOOTH + STEPPED, ids=name)
def test_twin_in_float32_is_close(transformer):
    transformer = fitted(transformer)
    single = X.astype(np.float32)
    actual = as_torch(transformer, transform=True)(torch.tensor(single))
    # In float64, as scikit-learn's own float32 is off by more.
    expected = transformed(transformer, single.astype(np.float64))
    scale = np.abs(expected).max(initial=1e-3)
    assert actual.dtype == torch.float32
    np.testing.assert_allclose(actual / scale, expected / scale, atol=1e-4)


@pytest.mark.parametrize("transformer", SMOOTH, ids=name)
def test_gradient_equals_finite_differences(transformer):
    twin = as_torch(fitted(transformer), transform=True)
    points = torch.tensor(X[:3], requires_grad=True)
    assert torch.autograd.gradcheck(twin, (points,), eps=1e-6, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("transformer", SMOOTH + STEPPED, ids=name)
def test_gradient_is_finite_also_at_zero_and_at_the_points_of_the_fit(transformer):
    twin = as_torch(fitted(transformer), transform=True)
    points = torch.tensor(np.concatenate([np.zeros((2, 5)), X]), requires_grad=True)
    images = twin(points)
    (images * torch.linspace(-1, 2, images.shape[1])).sum().backward()
    assert points.grad.isfinite().all()


@pytest.mark.parametrize("transformer", SMOOTH + STEPPED, ids=name)
def test_twin_pickles(transformer):
    twin = as_torch(fitted(transformer), transform=True)
    points = torch.tensor(X)
    torch.testing.assert_close(pickle.loads(pickle.dumps(twin))(points), twin(points))


@pytest.mark.parametrize("output", ["uniform", "normal"])
def test_quantiles_with_jumps_and_constant_features_equal_scikit_learn(output):
    digits = load_digits().data[:300, :20]  # repeated values and constant columns
    transformer = QuantileTransformer(n_quantiles=60, output_distribution=output).fit(digits)
    beyond = np.concatenate([digits, digits - 1, digits + 0.5, digits * 2])
    np.testing.assert_allclose(
        as_torch(transformer)(torch.tensor(beyond)), transformer.transform(beyond), atol=1e-6
    )


def test_quantiles_have_the_slope_of_their_segment():
    transformer = QuantileTransformer(n_quantiles=3).fit([[0.0], [1.0], [3.0]])
    points = torch.tensor([[0.5], [2.0], [9.0]], dtype=torch.float64, requires_grad=True)
    as_torch(transformer)(points).sum().backward()
    np.testing.assert_allclose(points.grad[:, 0], [0.5, 0.25, 0.0])


@pytest.mark.parametrize("lmbda", [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("method", ["yeo-johnson", "box-cox"])
def test_power_transformer_of_every_kind_of_lambda(method, lmbda):
    values = np.linspace(0.1 if method == "box-cox" else -3, 3, 40)[:, None]
    transformer = PowerTransformer(method, standardize=False).fit(values)
    transformer.lambdas_ = np.array([lmbda])
    points = torch.tensor(values, requires_grad=True)
    np.testing.assert_allclose(
        as_torch(transformer)(points).detach(), transformer.transform(values), rtol=1e-9, atol=1e-12
    )
    assert torch.autograd.gradcheck(as_torch(transformer), (points,))


def test_yeo_johnson_has_slope_one_at_zero():
    transformer = PowerTransformer(standardize=False).fit(X)
    zero = torch.zeros(1, 5, dtype=torch.float64, requires_grad=True)
    as_torch(transformer)(zero).sum().backward()
    np.testing.assert_allclose(zero.grad, np.ones((1, 5)))


@pytest.mark.parametrize(
    ("transformer", "at_ends", "inside"),
    [
        (MinMaxScaler(clip=True), 0.25, 0.25),
        (MinMaxScaler((-1, 1), clip=True), 0.5, 0.5),
        (SplineTransformer(2, degree=1, include_bias=False), -0.25, -0.25),
        # The mean of both sides, as its values are.
        (QuantileTransformer(n_quantiles=2), 0.125, 0.25),
    ],
    ids=repr,
)
def test_slope_at_the_ends_of_the_fit_leads_inwards_and_is_zero_beyond(
    transformer, at_ends, inside
):
    values = np.arange(5.0)[:, None]
    transformer.fit(values)
    points = torch.tensor([[0.0], [1.0], [4.0], [-1.0], [5.0]], dtype=torch.float64)
    points.requires_grad_()
    as_torch(transformer)(points)[:, 0].sum().backward()
    expected = [at_ends, inside, at_ends, 0, 0]
    np.testing.assert_allclose(points.grad[:, 0], expected, atol=1e-12)


def test_imputer_fills_drops_and_indicates():
    holes = X.copy()
    holes[::7, 1] = np.nan
    holes[:, 3] = np.nan
    imputer = SimpleImputer(add_indicator=True).fit(holes)
    with pytest.warns(UserWarning, match="Skipping features"):
        expected = imputer.transform(holes)
    np.testing.assert_allclose(as_torch(imputer)(torch.tensor(holes)), expected)
    indicator = MissingIndicator().fit(holes)
    np.testing.assert_array_equal(
        as_torch(indicator)(torch.tensor(holes)), indicator.transform(holes)
    )
    minus_one = np.where(np.isnan(holes), -1, holes)
    imputer = SimpleImputer(missing_values=-1, keep_empty_features=True).fit(minus_one)
    expected = imputer.transform(minus_one)
    np.testing.assert_allclose(as_torch(imputer)(torch.tensor(minus_one)), expected)


@pytest.mark.parametrize("keep", [False, True])
def test_imputer_by_neighbours_passes_complete_samples_and_drops_empty_features(keep):
    holes = X.copy()
    holes[::7, 1], holes[:, 3] = np.nan, np.nan
    imputer = KNNImputer(add_indicator=True, keep_empty_features=keep).fit(holes)
    np.testing.assert_array_equal(as_torch(imputer)(torch.tensor(X)), imputer.transform(X))


class Resampler(BaseEstimator):
    """Repeats samples in fit, as imbalanced-learn's do, and has no transform."""

    def fit(self, X, y):
        return self

    def fit_resample(self, X, y):
        return np.concatenate([X, X[:9]]), np.concatenate([y, y[:9]])


class ResamplingPipeline(Pipeline):
    """Resamples in fit and skips these steps in predict, as imbalanced-learn's does."""

    def fit(self, X, y):
        for _, step in self.steps[:-1]:
            if hasattr(step, "fit_resample"):
                X, y = step.fit_resample(X, y)
            else:
                X = step.fit_transform(X, y)
        self.steps[-1][1].fit(X, y)
        return self

    def _iter(self, *args, **kwargs):
        steps = super()._iter(*args, **kwargs)
        return (item for item in steps if not hasattr(item[-1], "fit_resample"))


def test_step_that_resamples_in_fit_alone_leaves_a_pipeline_its_twin():
    steps = [("scale", StandardScaler()), ("more", Resampler()), ("last", LogisticRegression())]
    pipeline = ResamplingPipeline(steps).fit(X, Y)
    logits = as_torch(pipeline)(torch.tensor(X))
    np.testing.assert_allclose(logits, pipeline.decision_function(X), rtol=0, atol=1e-12)


def test_step_that_resamples_and_transforms_is_no_step_to_skip():
    class Both(Resampler):
        def transform(self, X):
            return 2 * X

        def __sklearn_is_fitted__(self):
            return True

    steps = [("both", Both()), ("last", LinearDiscriminantAnalysis().fit(X, Y))]
    with pytest.raises(NotDifferentiableError, match="Step 'both'"):
        as_torch(Pipeline(steps))


def test_discriminant_analysis_is_a_transformer_before_the_last_step_and_a_classifier_in_it():
    lda = LinearDiscriminantAnalysis
    pipeline = make_pipeline(lda(n_components=2), make_pipeline(lda(), lda())).fit(X, Y)
    logits = as_torch(pipeline)(torch.tensor(X))
    np.testing.assert_allclose(logits, pipeline.decision_function(X), atol=1e-8)


def test_search_of_a_transformer_transforms():
    search = GridSearchCV(LinearDiscriminantAnalysis(), {"n_components": [1]}, cv=2).fit(X, Y)
    actual = as_torch(search, transform=True)(torch.tensor(X))
    np.testing.assert_allclose(actual, search.transform(X), atol=1e-9)


def test_elimination_that_predicts_has_the_twin_of_its_estimator():
    selector = RFE(LinearDiscriminantAnalysis(), n_features_to_select=2).fit(X, Y)
    logits = as_torch(selector)(torch.tensor(X))
    np.testing.assert_allclose(logits, selector.decision_function(X), atol=1e-9)


@pytest.mark.parametrize("kernel", [lambda a, b: a @ b, "chi2"], ids=["callable", "chi2"])
def test_kernel_without_a_torch_form_is_named(kernel):
    nystroem = Nystroem(kernel, n_components=3, random_state=0).fit(X)
    with pytest.raises(NotDifferentiableError, match="kernel=.* has no torch form; use one of"):
        as_torch(nystroem)


@pytest.mark.parametrize(
    ("transformer", "reason"),
    [
        (KernelPCA(2, kernel="precomputed"), "kernel='precomputed' has no torch form"),
        (FeatureAgglomeration(2, pooling_func=np.median), "pooling_func=median has no torch form"),
        (SplineTransformer(degree=0), "with degree=0 it is piecewise constant"),
    ],
    ids=name,
)
def test_transformer_without_a_torch_form_is_named(transformer, reason):
    with pytest.raises(NotDifferentiableError, match=reason):
        as_torch(transformer.fit(X[:5]))


def test_discriminant_analysis_without_transform_is_named():
    lda = LinearDiscriminantAnalysis(solver="lsqr").fit(X, Y)
    with pytest.raises(NotDifferentiableError, match="solver='lsqr' it has no transform"):
        as_torch(lda, transform=True)


def test_classifier_in_the_place_of_a_transformer_is_named():
    with pytest.raises(NotDifferentiableError, match="stands here as a transformer"):
        as_torch(LogisticRegression(max_iter=3000).fit(X, Y), transform=True)
