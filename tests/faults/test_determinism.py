"""random_state decides everything: repeats, workers, backends, and what else runs around."""

import threading

import joblib
import numpy as np
import pytest
import torch
from reliability import told
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV
from torch import nn

from sklearn_iso import (
    HierarchicalIsometricClassifier,
    IsometricClassifier,
    IsometricClassifierCV,
    IsometricRegressor,
    IsometricTransformer,
    ThreatModel,
)
from sklearn_iso.attacks import PGD, RayS, SigmaZero, Square
from sklearn_iso.datasets import make_entangled_rings, make_torus
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    distortion_report,
    isometry_distortion,
    make_adversarial_scorer,
    robustness_curve,
    robustness_report,
)
from sklearn_iso.testing import check_attack
from sklearn_iso.testing._generators import require_global_generators_kept

X, y = load_digits(return_X_y=True)
X, y = X[:150] / 16, y[:150]
SMALL = {"max_epochs": 3, "hidden_layer_sizes": (16, 8), "random_state": 0, "batch_size": 50}


class Dropping(nn.Module):
    """A module that draws from torch's default generator, also when it first sees rows."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.first, self.last = nn.LazyLinear(16), nn.Linear(16, n_outputs)
        self.drop = nn.Dropout(0.5)

    def forward(self, X):
        return self.last(self.drop(torch.tanh(self.first(X))))


MODELS = {
    "classifier": IsometricClassifier(**SMALL),
    "early stopping": IsometricClassifier(early_stopping=True, **SMALL),
    "own module": IsometricClassifier(module=Dropping, max_epochs=3, random_state=0),
    "local pairs": IsometricClassifier(penalty="local", **SMALL),
    "regressor": IsometricRegressor(**SMALL),
    "embedding": IsometricTransformer(**SMALL),
    "shortest paths": IsometricTransformer(penalty="geodesic", **SMALL),
    "levels": HierarchicalIsometricClassifier(max_epochs=3, batch_size=50, random_state=0),
    "alpha by folds": IsometricClassifierCV(
        [0.1, 1.0], estimator=IsometricClassifier(**SMALL | {"random_state": None}), cv=2,
        random_state=0,
    ),
}  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
every_model = pytest.mark.parametrize("name", MODELS)


def labels(name):
    return np.column_stack([y > 4, y]) if name == "levels" else y


def weights(model):
    model = getattr(model, "estimator_", model)
    return [value.numpy() for value in model.net_.module_.state_dict().values()]


def fitted(name):
    return weights(clone(MODELS[name]).fit(X, labels(name)))


def assert_equal(first, second):
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@every_model
def test_fit_repeats_bit_by_bit(name):
    assert_equal(fitted(name), fitted(name))


@every_model
def test_another_seed_is_another_model(name):
    other = clone(MODELS[name]).set_params(random_state=1).fit(X, labels(name))
    same = [np.array_equal(a, b) for a, b in zip(fitted(name), weights(other), strict=True)]
    assert not all(same)


@every_model
@pytest.mark.parametrize("random_state", [0, None])
def test_fit_leaves_the_global_generators_alone(name, random_state):
    model = clone(MODELS[name]).set_params(random_state=random_state)
    with require_global_generators_kept("fit"):
        model.fit(X, labels(name))
        for method in ("predict", "predict_proba", "transform"):
            if hasattr(model, method):
                getattr(model, method)(X)


@every_model
def test_the_modes_of_torch_around_a_fit_change_nothing(name):
    expected = fitted(name)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), torch.device("meta"):
        found = fitted(name)
    assert_equal(expected, found)


@pytest.mark.parametrize("name", ["classifier", "regressor", "own module"])
def test_a_fit_differentiates_where_gradients_are_off(name):
    with torch.no_grad():
        found = fitted(name)
    assert_equal(fitted(name), found)


def test_lazy_layers_go_on_by_chunks_and_by_warm_starts_as_decided_by_the_seed():
    def models():
        model = clone(MODELS["own module"]).set_params(early_stopping=True, warm_start=True)
        yield weights(model.fit(X, y).fit(X, y))
        model = clone(MODELS["own module"]).partial_fit(X, y, classes=range(10))
        yield weights(model.partial_fit(X, y))
        model = IsometricClassifierCV([0.1, 1.0], estimator=MODELS["own module"], cv=2)
        yield weights(model.fit(X, y))

    with require_global_generators_kept("fit"):
        first, again = list(models()), list(models())
    for one, other in zip(first, again, strict=True):
        assert_equal(one, other)


@every_model
def test_other_torch_code_of_the_process_changes_nothing(name):
    expected, stop = fitted(name), threading.Event()

    def disturb():
        while not stop.wait(0.001):
            torch.manual_seed(1)
            torch.rand(10)
            np.random.seed(2)

    before = torch.get_rng_state(), np.random.get_state()
    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        found = fitted(name)
    finally:
        stop.set()
        thread.join()
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])
    if name == "own module":
        pytest.skip("a thread that seeds torch's default generator at any moment reaches dropout")
    assert_equal(expected, found)


@pytest.mark.parametrize("name", ["own module", "classifier"])
def test_fits_in_threads_are_those_in_turn(name):
    expected, found = fitted(name), {}
    threads = [
        threading.Thread(target=lambda k=k: found.update({k: fitted(name)})) for k in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(3):
        assert_equal(expected, found[k])


def scores(model, grid, n_jobs, backend):
    with joblib.parallel_backend(backend):
        search = GridSearchCV(model, grid, cv=2, n_jobs=n_jobs).fit(X, y)
    return search.cv_results_["mean_test_score"]


@pytest.mark.parametrize("name", ["classifier", "own module"])
def test_search_in_threads_has_the_scores_of_one_after_the_other(name):
    grid = {"alpha": [0, 1]}
    expected = scores(MODELS[name], grid, 1, "sequential")
    np.testing.assert_array_equal(scores(MODELS[name], grid, 2, "threading"), expected)


@pytest.mark.slow
def test_search_in_processes_has_the_scores_of_one_after_the_other():
    grid = {"alpha": [0, 1]}
    expected = scores(MODELS["classifier"], grid, 1, "sequential")
    np.testing.assert_array_equal(scores(MODELS["classifier"], grid, 2, "loky"), expected)


def test_bagging_in_threads_is_bagging_in_turn():
    def probabilities(n_jobs):
        bag = BaggingClassifier(MODELS["classifier"], n_estimators=3, random_state=0, n_jobs=n_jobs)
        with joblib.parallel_backend("threading"):
            return bag.fit(X, y).predict_proba(X)

    np.testing.assert_array_equal(probabilities(1), probabilities(2))


@pytest.mark.parametrize("name", ["classifier", "embedding"])
def test_number_of_threads_changes_no_more_than_rounding(name):
    before = torch.get_num_threads()
    outputs = []
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            outputs.append(clone(MODELS[name]).fit(X, y).transform(X))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(*outputs, rtol=1e-3, atol=1e-3)


MODEL = clone(MODELS["classifier"]).fit(X, y)
EMBEDDING = clone(MODELS["embedding"]).fit(X)
FEW = X[:10], y[:10]
CALLS = {
    "adversarial_accuracy": lambda seed: adversarial_accuracy(
        MODEL, *FEW, eps=0.1, random_state=seed
    ),
    "adversarial_distance": lambda seed: adversarial_distance(MODEL, *FEW, random_state=seed),
    "robustness_curve": lambda seed: repr(
        robustness_curve(MODEL, *FEW, eps=[0, 0.1], random_state=seed)
    ),
    "robustness_report": lambda seed: str(
        robustness_report(MODEL, *FEW, eps=[0, 0.1], random_state=seed)
    ),
    "scorer": lambda seed: make_adversarial_scorer(eps=0.1, random_state=seed)(MODEL, *FEW),
    "isometry_distortion": lambda seed: isometry_distortion(
        X, EMBEDDING.transform(X), max_exact=10, n_pairs=100, random_state=seed
    ),
    "distortion_report": lambda seed: str(
        distortion_report(X, EMBEDDING.transform(X), max_exact=20, n_pairs=100, random_state=seed)
    ),
    "rings": lambda seed: make_entangled_rings(20, random_state=seed)[0],
    "torus": lambda seed: make_torus(20, random_state=seed)[0],
}


@pytest.mark.parametrize("name", CALLS)
def test_function_repeats_and_leaves_the_global_generators_alone(name):
    with require_global_generators_kept(name):
        first, again = CALLS[name](0), CALLS[name](0)
        CALLS[name](None)
    assert np.array_equal(first, again)


@pytest.mark.parametrize(
    "name", [name for name in CALLS if name.startswith(("adversarial", "robust", "scorer"))]
)
def test_an_evaluation_differentiates_where_gradients_are_off(name):
    with torch.inference_mode():
        found = CALLS[name](0)
    assert np.array_equal(found, CALLS[name](0))


SAMPLES = torch.from_numpy(X[:10].astype(np.float32)), torch.from_numpy(y[:10])
SINGLE = IsometricClassifier(alpha=1, penalty="local", **SMALL).fit(X.astype(np.float32), y)
SCORES, PIXELS = SINGLE.to_torch(), ThreatModel("l0", bounds=(0, 1))


def labels_of(points):
    return torch.nn.functional.one_hot(SCORES(points).argmax(1), 10)


#: What draws at random or scales by factors, in float32.
IN_SINGLE = {
    "local pairs": lambda: weights(clone(SINGLE).fit(X.astype(np.float32), y)),
    "square": lambda: Square(n_queries=30)(SCORES, *SAMPLES, eps=0.1, random_state=0),
    "windows": lambda: Square(n_queries=30, image_shape=(8, 8))(
        SCORES, *SAMPLES, eps=0.1, random_state=0
    ),
    "rays": lambda: RayS(n_queries=60)(labels_of, *SAMPLES, eps=0.1, random_state=0),
    "closest rays": lambda: RayS(n_queries=200)(labels_of, *SAMPLES, random_state=0),
    "sparse": lambda: SigmaZero(n_steps=20)(SCORES, *SAMPLES, threat=PIXELS, random_state=0),
    "check of an attack": lambda: check_attack(PGD(n_steps=10), reach=None) or [],
}


@pytest.mark.parametrize("name", IN_SINGLE)
def test_float64_by_default_changes_nothing(name):
    expected, before = IN_SINGLE[name](), torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        found = IN_SINGLE[name]()
    finally:
        torch.set_default_dtype(before)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype and np.array_equal(one, other)


def test_the_page_tells_what_is_tried():
    number = len(MODELS)
    assert told(r"another seed gives others \| (\d+) models") == (number,)
    assert told(r"NumPy and torch alone \| (\d+) models") == (number,)
    assert told(r"all the time changes nothing \| (\d+) models") == (number - 1,)
    assert told(r"and repeat themselves \| (\d+) functions") == (len(CALLS),)
