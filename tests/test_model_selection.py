"""The choice between accuracy and robustness: its rule, its ties and its errors."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from sklearn_iso import IsometricClassifier
from sklearn_iso.metrics import make_adversarial_scorer
from sklearn_iso.model_selection import refit_robust

scores = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8)


def results(clean, robust, **more):
    return {"mean_test_clean": clean, "mean_test_robust": robust, **more}


@given(scores, st.floats(0, 0.2))
def test_choice_is_the_most_robust_of_those_that_are_accurate_enough(pairs, drop):
    clean, robust = map(list, zip(*pairs, strict=True))
    chosen = refit_robust(drop)(results(clean, robust))
    enough = [i for i in range(len(clean)) if clean[i] >= max(clean) - drop]
    assert clean[chosen] >= max(clean) - drop - 1e-9
    assert robust[chosen] >= max(robust[i] for i in enough)


def test_of_equally_robust_candidates_the_most_accurate_wins_and_then_the_first():
    assert refit_robust(0.1)(results([0.9, 0.95, 0.95], [0.5, 0.5, 0.5])) == 1


def test_one_standard_error_is_that_of_the_most_accurate_candidate():
    folds = np.array([[0.90, 1.00], [0.94, 0.94], [0.80, 0.80]])
    found = results(
        folds.mean(axis=1), [0.1, 0.2, 0.9],
        std_test_clean=folds.std(axis=1), split0_test_clean=folds[:, 0],
        split1_test_clean=folds[:, 1],
    )  # fmt: skip
    # numpy's std over 2 folds is .05, its standard error .05 / sqrt(1).
    assert refit_robust("std_error")(found) == 1
    assert refit_robust(0.0)(found) == 0


def test_candidates_that_failed_are_passed_over():
    assert refit_robust(0.5)(results([0.9, np.nan, 0.8], [0.1, 0.9, 0.2])) == 2
    with pytest.raises(ValueError, match="all are NaN"):
        refit_robust()(results([np.nan], [0.5]))


@pytest.mark.parametrize("wrong, message", [
    (-0.1, "'max_accuracy_drop' parameter .* Got -0.1"),
    ("2 std", "'max_accuracy_drop' parameter .* among {'std_error'}. Got '2 std'"),
    (np.nan, "'max_accuracy_drop' parameter .* Got nan"),
])  # fmt: skip
def test_drop_out_of_range_is_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        refit_robust(wrong)


def test_scorers_are_found_or_asked_for():
    one = {"mean_test_a": [1.0], "mean_test_b": [0.5]}
    with pytest.raises(ValueError, match=r"among \['a', 'b'\]"):
        refit_robust()(one)
    assert refit_robust(clean="a", robust="b")(one) == 0
    three = results([0.9, 0.8], [0.1, 0.2], mean_test_distortion=[0.0, 0.0])
    with pytest.raises(ValueError, match="Name both"):
        refit_robust(1.0)(three)
    assert refit_robust(1.0, robust="robust")(three) == 1


def test_search_refits_the_candidate_that_was_chosen():
    X, y = load_iris(return_X_y=True)
    model = IsometricClassifier(hidden_layer_sizes=(8,), max_epochs=30, random_state=0)
    scoring = {"accuracy": "accuracy", "robust": make_adversarial_scorer(eps=0.5)}
    choice = pickle.loads(pickle.dumps(refit_robust(0.05)))
    search = GridSearchCV(model, {"alpha": [0, 1]}, scoring=scoring, refit=choice, cv=2)
    search.fit(X, y)
    assert search.best_index_ == refit_robust(0.05)(search.cv_results_)
    assert search.best_estimator_.alpha == search.best_params_["alpha"]
