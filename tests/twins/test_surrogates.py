"""Votes have a slope, memory is bounded, and twins say what they are."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, make_blobs
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import BernoulliNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, NuSVC
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from sklearn_iso.twins import NotDifferentiableError, as_torch, surrogates, verify
from sklearn_iso.twins import _kernels as kernels
from sklearn_iso.twins._one_vs_one import PairVotes
from sklearn_iso.twins._responses import decision, first_argmax, log_proba, with_winner

X, Y = load_iris(return_X_y=True)
SCALED = StandardScaler().fit_transform(X)


@given(st.data())
def test_winner_is_on_top_and_the_gradient_is_that_of_the_scores(data):
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]))
    rows = st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4)
    scores = torch.tensor([data.draw(rows)], dtype=dtype, requires_grad=True)
    winner = torch.tensor([data.draw(st.integers(0, 3))])
    lifted = with_winner(scores, winner)
    top = lifted.detach().topk(2).values[0]
    assert lifted.argmax() == winner and top[0] > top[1]
    (lifted @ torch.arange(4.0, dtype=dtype)).sum().backward()
    np.testing.assert_array_equal(scores.grad, [[0, 1, 2, 3]])


def test_scores_whose_winner_leads_stay_as_they_are():
    scores = torch.tensor([[1.0, 3.0, 2.0]])
    assert torch.equal(with_winner(scores, torch.tensor([1])), scores)


def test_first_of_equal_votes_wins():
    votes = torch.tensor([[2.0, 2.0, 1.0], [0.0, 1.0, 1.0]])
    assert first_argmax(votes).tolist() == [0, 1]


def test_class_that_beats_all_others_has_the_only_positive_score():
    margins = torch.randn(500, 6, generator=torch.Generator().manual_seed(0))
    pairs = PairVotes(4)
    votes, closest = pairs.votes(margins > 0), pairs.closest(margins)
    beats_all = votes == 3
    assert torch.equal(closest > 0, beats_all) and beats_all.any(dim=1).double().mean() < 1


@pytest.mark.parametrize("kernel", ["rbf", "linear", "poly", "sigmoid"])
@pytest.mark.parametrize("kind", [SVC, NuSVC])
def test_decision_values_of_many_classes_are_scikit_learns(kind, kernel):
    digits, labels = load_digits(n_class=6, return_X_y=True)
    digits, labels = digits[:300], labels[:300]
    options = {"nu": 0.1} if kind is NuSVC else {}
    classifier = kind(kernel=kernel, coef0=0.1, **options).fit(digits, labels)
    actual = decision(as_torch(classifier), torch.tensor(digits))
    np.testing.assert_allclose(actual, classifier.decision_function(digits), atol=1e-6)


@pytest.mark.parametrize("kernel", ["rbf", "linear", "poly", "sigmoid"])
def test_two_classes_have_an_exact_twin_without_surrogate(kernel):
    classifier = SVC(kernel=kernel).fit(SCALED, Y == 1)
    twin = as_torch(classifier)
    agreement = verify(twin, classifier, SCALED)
    assert agreement.exact and agreement.share_equal == 1
    assert agreement.largest_difference < 1e-8 and surrogates(twin) == []
    assert torch.autograd.gradcheck(twin, (torch.tensor(SCALED[:4], requires_grad=True),))


@pytest.mark.parametrize("break_ties", [False, True])
def test_votes_that_tie_are_decided_as_scikit_learn_decides_them(break_ties):
    # A weak sigmoid kernel makes pairs that no class wins all of.
    points, labels = make_blobs(200, centers=5, cluster_std=4, random_state=0)
    classifier = SVC(kernel="sigmoid", gamma=0.05, break_ties=break_ties).fit(points, labels)
    grid = np.random.default_rng(0).uniform(-20, 20, (3000, 2))
    margins = SVC(kernel="sigmoid", gamma=0.05, decision_function_shape="ovo")
    margins = torch.tensor(margins.fit(points, labels).decision_function(grid))
    most = PairVotes(5).votes(margins > 0).topk(2).values
    assert (most[:, 0] == most[:, 1]).any()
    assert verify(as_torch(classifier), classifier, grid).share_equal == 1


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("labels", [Y, Y == 1], ids=["three classes", "two classes"])
def test_platt_probabilities_are_libsvms_to_its_tolerance(labels):
    classifier = SVC(probability=True, random_state=0).fit(SCALED, labels)
    probabilities = log_proba(as_torch(classifier), torch.tensor(SCALED)).exp()
    np.testing.assert_allclose(probabilities, classifier.predict_proba(SCALED), atol=0.005)


def climb(twin, X, y, target, step, n_steps):
    """Climb the margin of a target over the true class by normalised steps."""
    points = torch.tensor(X)
    for _ in range(n_steps):
        points.requires_grad_(True)
        scores = twin(points)
        margin = scores[:, target] - scores.gather(1, torch.tensor(y)[:, None])[:, 0]
        (slope,) = torch.autograd.grad(margin.sum(), points)
        length = slope.norm(dim=1, keepdim=True)
        points = (points + step * slope / length.clamp_min(1e-300)).detach()
    return points.numpy()


@pytest.mark.parametrize(
    "classifier",
    [
        SVC(),
        SVC(kernel="linear", break_ties=True),
        KNeighborsClassifier(),
        KNeighborsClassifier(1),
        VotingClassifier([("svc", SVC()), ("logistic", LogisticRegression())]),
        CalibratedClassifierCV(SVC(), method="isotonic", cv=2),
    ],
    ids=repr,
)
def test_slope_of_the_surrogate_leads_across_the_boundary(classifier):
    classifier.fit(SCALED, Y)
    correct = classifier.predict(SCALED) == Y
    points, labels, twin = SCALED[correct], Y[correct], as_torch(classifier)
    paths = [climb(twin, points, labels, target, step=0.1, n_steps=50) for target in range(3)]
    misclassified = [classifier.predict(path) != labels for path in paths]
    # Far from all data a Gaussian kernel is flat for the estimator itself.
    assert np.any(misclassified, axis=0).mean() > 0.9


@pytest.mark.parametrize("classifier", [SVC(), KNeighborsClassifier()], ids=repr)
def test_blocks_of_rows_change_neither_scores_nor_gradients(classifier, monkeypatch):
    twin = as_torch(classifier.fit(SCALED, Y))

    def scores_and_gradient():
        points = torch.tensor(SCALED, requires_grad=True)
        scores = twin(points)
        scores[:, 0].sum().backward()
        return scores.detach(), points.grad

    whole = scores_and_gradient()
    monkeypatch.setattr(kernels, "BLOCK", 700)
    for one, other in zip(whole, scores_and_gradient(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_largest_tensor_of_a_kernel_is_no_larger_than_its_block(monkeypatch):
    monkeypatch.setattr(kernels, "BLOCK", 1000)
    sizes = []
    inner = kernels.squared_distances

    def watched(X, points):
        sizes.append(len(X) * len(points))
        return inner(X, points)

    monkeypatch.setattr(kernels, "squared_distances", watched)
    as_torch(SVC().fit(SCALED, Y))(torch.tensor(SCALED))
    assert len(sizes) > 1 and max(sizes) <= 1000


def test_float32_far_from_the_origin_keeps_its_digits():
    X, y = load_breast_cancer(return_X_y=True)
    classifier = SVC().fit(X + 5000, y)
    assert verify(as_torch(classifier), classifier, (X + 5000).astype(np.float32)).share_equal == 1


def test_surrogates_are_declared_once_from_any_depth():
    knn, svc = KNeighborsClassifier(), make_pipeline(StandardScaler(), SVC())
    vote = VotingClassifier([("knn", knn), ("svc", svc), ("again", SVC())]).fit(X, Y)
    reasons = surrogates(as_torch(make_pipeline(StandardScaler(), vote).fit(X, Y)))
    assert len(reasons) == 3
    assert [reason.split()[0] for reason in reasons] == ["an", "KNeighborsClassifier", "SVC"]


class Wrong(nn.Module):
    """Scores that another class wins everywhere."""

    def __init__(self, n_classes, value=1.0):
        super().__init__()
        self.n_classes, self.value = n_classes, value

    def forward(self, X):
        scores = torch.zeros(len(X), self.n_classes, dtype=X.dtype)
        scores[:, 0] = self.value
        return scores


def test_verify_measures_a_twin_that_predicts_otherwise():
    classifier = LogisticRegression(max_iter=300).fit(X, Y)
    agreement = verify(Wrong(3), classifier, X)
    assert not agreement.exact and agreement.finite
    assert agreement.share_equal == (classifier.predict(X) == 0).mean()
    assert agreement.largest_difference > 0.1


def test_verify_counts_scores_that_are_not_finite_as_unequal():
    classifier = LogisticRegression(max_iter=300).fit(X, Y)
    agreement = verify(Wrong(3, np.nan), classifier, X)
    assert (agreement.exact, agreement.finite, agreement.share_equal) == (False, False, 0)
    assert agreement.largest_difference == np.inf


def test_verify_refuses_no_samples_and_a_wrong_number_of_scores():
    classifier = LogisticRegression(max_iter=300).fit(X, Y)
    with pytest.raises(ValueError, match="at least one sample .* got none"):
        verify(as_torch(classifier), classifier, X[:0])
    with pytest.raises(ValueError, match="one score for each of the 3 classes; got shape"):
        verify(Wrong(4), classifier, X)


TREES = [
    DecisionTreeClassifier(),
    RandomForestClassifier(2),
    ExtraTreesClassifier(2),
    GradientBoostingClassifier(n_estimators=2),
    HistGradientBoostingClassifier(max_iter=2),
]


@pytest.mark.parametrize("classifier", [*TREES, AdaBoostClassifier(), BernoulliNB()], ids=repr)
def test_flat_classifiers_are_refused_with_the_reason(classifier):
    kind = type(classifier).__name__
    with pytest.raises(NotDifferentiableError) as caught:
        as_torch(make_pipeline(StandardScaler(), classifier).fit(X, Y))
    message = str(caught.value)
    assert message.startswith(f"Step '{kind.lower()}' ({kind}) cannot be differentiated: ")
    assert "gradient is zero almost everywhere" in message
    assert "attack without gradients" in message


@pytest.mark.parametrize(
    ("classifier", "reason"),
    [
        (SVC(kernel=lambda a, b: a @ b.T), "kernel=.* has no torch form; use one of"),
        (KNeighborsClassifier(metric="cosine"), "metric='cosine' has no torch form"),
        (KNeighborsClassifier(weights=lambda d: 1 / (1 + d)), "weights=.* has no torch form"),
        (KNeighborsClassifier(metric_params={"w": np.ones(4)}), "metric_params have no torch"),
    ],
    ids=["kernel", "metric", "weights", "metric_params"],
)
def test_options_without_a_torch_form_are_named(classifier, reason):
    with pytest.raises(NotDifferentiableError, match=reason):
        as_torch(classifier.fit(SCALED, Y))


@pytest.mark.parametrize(
    "classifier",
    [SVC(), KNeighborsClassifier(), VotingClassifier([("svc", SVC())])],
    ids=repr,
)
def test_unfitted_classifier_is_scikit_learns_error(classifier):
    with pytest.raises(NotFittedError):
        as_torch(classifier)
