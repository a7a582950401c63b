"""Parameters of a penalty that is given by name."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_iso import (
    HierarchicalIsometricClassifier,
    IsometricClassifier,
    IsometricRegressor,
    IsometricTransformer,
)
from sklearn_iso.penalties import GlobalIsometry, make_penalty

X, y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
QUICK = {"max_epochs": 2, "hidden_layer_sizes": (8,), "random_state": 0}


@pytest.mark.parametrize(
    "estimator",
    [IsometricClassifier(), HierarchicalIsometricClassifier(), IsometricRegressor()],
    ids=repr,
)
def test_parameters_of_a_named_penalty_are_set_in_its_object(estimator):
    plain = clone(estimator)
    assert estimator.set_params(penalty__radius=0.5) is estimator
    found = [t.radius for *_, t in estimator.penalty.terms() if hasattr(t, "radius")]
    assert found and set(found) == {0.5}
    assert estimator.get_params()["penalty__radius"] == 0.5
    assert repr(clone(estimator)) == repr(estimator) != repr(plain)
    assert plain.penalty == "isometric"


def test_the_object_of_a_name_is_the_one_that_a_fit_would_take():
    named = IsometricClassifier(**QUICK)
    given = IsometricClassifier(**QUICK).set_params(penalty__max_samples=64)  # as it is
    assert not isinstance(given.penalty, str)
    np.testing.assert_array_equal(
        named.fit(X, y).predict_proba(X), given.fit(X, y).predict_proba(X)
    )
    terms = [t for *_, t in IsometricRegressor().set_params(penalty__radius=1.0).penalty.terms()]
    assert [type(term).__name__ for term in terms] == ["NeighborIsometry", "WorstCaseIsometry"]
    assert terms[1].start == "random"  # there are no logits of classes


def test_the_penalty_of_a_decoder_has_parameters_by_name_too():
    base = IsometricTransformer(decoder_penalty="jacobian", **QUICK)
    search = GridSearchCV(base, {"decoder_penalty__scale": ["fitted", 1.0]}, cv=2).fit(X)
    assert (
        search.best_estimator_.decoder_penalty.scale
        == search.best_params_["decoder_penalty__scale"]
    )
    by_name = clone(base).fit(X).transform(X)
    same = clone(base).set_params(decoder_penalty__layers="logits")
    assert not isinstance(same.decoder_penalty, str) and base.decoder_penalty == "jacobian"
    np.testing.assert_array_equal(same.fit(X).transform(X), by_name)
    with pytest.raises(ValueError, match="decoder_penalty must be 'jacobian'"):
        IsometricTransformer(decoder_penalty="global").set_params(decoder_penalty__scale=1.0)


def test_name_and_parameter_may_come_together_in_any_order():
    for params in (
        {"penalty": "worst_case", "penalty__radius": 2.0},
        {"penalty__radius": 2.0, "penalty": "worst_case"},
    ):
        penalty = IsometricClassifier().set_params(**params).penalty
        assert repr(penalty) == "WorstCaseIsometry(radius=2.0)"


def test_embedding_brings_its_metric_and_neighbours_to_the_object():
    model = IsometricTransformer(penalty="neighbors", n_neighbors=7, metric="manhattan")
    model.set_params(penalty__loss="raw_stress", metric="chebyshev")
    params = model.penalty.get_params()
    assert (params["n_neighbors"], params["metric"]) == (7, "linf")
    assert np.isfinite(model.set_params(max_epochs=1).fit(X[:40]).loss_curve_).all()


def test_shortest_paths_that_are_found_before_have_no_parameters():
    model = IsometricTransformer(penalty="geodesic", metric="precomputed")
    with pytest.raises(ValueError, match="has no object with parameters. Pass the shortest"):
        model.set_params(penalty__scale=2.0)
    assert model.penalty == "geodesic"


def test_unknown_parameter_of_a_named_penalty_is_named():
    with pytest.raises(ValueError, match="'radios'"):
        IsometricClassifier().set_params(penalty__radios=0.5)
    with pytest.raises(ValueError, match="penalty must be one of .*'isometric'.*got 'isometrics'"):
        IsometricClassifier(penalty="isometrics").set_params(penalty__radius=0.5)
    with pytest.raises(ValueError, match="Invalid parameter 'radius'"):
        IsometricClassifier().set_params(radius=0.5)


@pytest.mark.parametrize(
    "penalty",
    ["isometric", "worst_case", make_penalty("isometric"), 0.1 * make_penalty("local")
     + make_penalty("worst_case")],
    ids=repr,
)  # fmt: skip
def test_a_grid_over_the_radius_reaches_every_local_pair(penalty):
    pipeline = make_pipeline(StandardScaler(), IsometricClassifier(1, penalty=penalty, **QUICK))
    grid = {"isometricclassifier__penalty__radius": [0.01, 3.0]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    best = search.best_params_["isometricclassifier__penalty__radius"]
    assert search.best_estimator_[-1].radius_ == best


def test_a_radius_from_a_grid_changes_the_fit():
    model = IsometricClassifier(10, **QUICK)
    small, large = (
        clone(model).set_params(penalty__radius=r).fit(X, y).predict_proba(X) for r in (0.01, 3.0)
    )
    assert np.abs(small - large).max() > 1e-3


def test_penalty_object_is_left_to_the_user():
    penalty = GlobalIsometry()
    model = IsometricClassifier(penalty=penalty).set_params(penalty__scale=2.0, alpha=3.0)
    assert model.penalty is penalty and penalty.scale == 2.0 and model.alpha == 3.0
