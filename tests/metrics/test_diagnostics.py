"""Broken models are found out, and sound ones are left in peace."""

import broken_models as broken
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import IsometricClassifier, ThreatModel
from sklearn_iso.attacks import AttackEnsemble, Budget, pgd
from sklearn_iso.metrics import adversarial_accuracy, robustness_report
from sklearn_iso.metrics._access import Access, Slopes
from sklearn_iso.metrics._diagnostics import (
    OF_GRADIENT_ATTACKS,
    cross_entropy_keeps_up,
    everything_breaks_in_the_end,
    fgsm_is_weaker,
    gradient_free_is_weaker,
    larger_budgets_break_more,
    noise_is_weaker,
    steps_suffice,
    transfer_is_weaker,
    unbounded,
)
from sklearn_iso.metrics._evaluation import Evaluation
from sklearn_iso.metrics._findings import Sample
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.metrics._repeated import search_suffices

DIGITS = tuple(part[:400] for part in load_digits(return_X_y=True))
DIGITS = (DIGITS[0].astype(np.float32), DIGITS[1])
IRIS = load_iris(return_X_y=True)
EPS = [0.0, 1.0, 2.0]


@pytest.fixture(scope="module")
def network():
    return IsometricClassifier(
        alpha=0, hidden_layer_sizes=(32,), max_epochs=40, random_state=0
    ).fit(*DIGITS)


def changed(network, change):
    model = broken.Wrapped(network, change)
    model.inner_, model.classes_ = network.to_torch(), network.classes_
    return model


def report_on(model, X=DIGITS[0], y=DIGITS[1], eps=EPS, **options):
    return robustness_report(model, X, y, eps=eps, random_state=0, **options)


@pytest.mark.parametrize(
    "change, names",
    [
        (broken.scaled, {"saturated cross-entropy"}),
        (broken.softmax, {"outputs are probabilities", "zero gradients"}),
        (broken.rounded, {"zero gradients", "transfer beats gradients"}),
        (broken.saturated, {"zero gradients", "transfer beats gradients"}),
        (broken.Noisy(), {"predictions do not repeat"}),
    ],
    ids=["scaled", "softmax", "rounded", "saturated", "noisy"],
)
def test_broken_model_is_flagged_for_what_it_is(network, change, names):
    report = report_on(changed(network, change), *(part[:100] for part in DIGITS))
    assert names <= {finding.name for finding in report.warnings}


@pytest.mark.parametrize("change", [broken.rounded, broken.saturated, broken.softmax])
def test_evaluation_gets_past_masked_gradients(network, change):
    model, (X, y) = changed(network, change), (part[:80] for part in DIGITS)
    by_gradients, by_default = (
        adversarial_accuracy(model, X, y, eps=3.0, attack=attack, random_state=0)
        for attack in ("pgd", "auto")
    )
    assert by_default < by_gradients - 0.2


def test_scaled_logits_hide_nothing(network):
    X, y = (part[:80] for part in DIGITS)
    sound, scaled = (
        adversarial_accuracy(changed(network, change), X, y, eps=2.0, random_state=0)
        for change in (broken.plain, broken.scaled)
    )
    assert sound < 0.7 and scaled == pytest.approx(sound, abs=0.026)


@pytest.mark.parametrize("n_queries, told", [(8, True), (2000, False)])
def test_a_search_that_more_queries_would_add_to_is_told(n_queries, told):
    X, y = load_iris(return_X_y=True)
    # In l2 no proof settles what several trees predict, so that the search is left with it.
    forest = RandomForestClassifier(3, random_state=0).fit(X, y)
    attack = AttackEnsemble(n_queries=n_queries)
    report = robustness_report(
        forest, X[::6], y[::6], eps=[0.4], threat="l2", attack=attack, random_state=0
    )
    assert "exact" not in report.broken_by
    assert "search_suffices" in report.checked
    assert ("search not finished" in [finding.name for finding in report.warnings]) is told


def test_a_second_search_is_told_as_a_share_of_the_samples_that_held():
    X, y = load_iris(return_X_y=True)
    tree = DecisionTreeClassifier(random_state=0).fit(X, y)
    sample = sample_of(tree, X, y, 2.0, n=150)
    held = np.arange(150) >= 120
    method, generator = AttackEnsemble(n_queries=200), torch.Generator().manual_seed(0)
    evaluation = Evaluation(sample.problem, sample.access, method, generator)
    finding = search_suffices(sample, evaluation, held)
    assert finding is not None
    assert finding.seen == "a second search with other draws breaks 30 of 30 samples that held"
    assert "of the 150 samples diagnosed" in finding.next_step


def test_plain_network_has_no_warnings(network):
    for model in (network, changed(network, broken.plain)):
        report = report_on(model)
        assert report.warnings == () and report.kind == "white-box"
        assert report.n_diagnosed == 100 and len(report.checked) == 14


def test_isometric_network_has_no_warnings():
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model = IsometricClassifier(max_epochs=60, random_state=0).fit(X, y)
    report = report_on(model, X, y, eps=[0, 0.2, 0.5, 1.0])
    assert report.warnings == () and report.accuracy[0] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("random_state", [0, 1, 2])
@pytest.mark.parametrize("norm, eps", [("linf", [1, 2]), ("l2", [4, 8]), ("l1", [15, 30])])
def test_sound_networks_have_no_warnings_in_any_norm(norm, eps, random_state):
    for alpha in (0, 1):
        model = IsometricClassifier(alpha, max_epochs=40, random_state=random_state).fit(*DIGITS)
        report = robustness_report(model, *DIGITS, threat=norm, eps=eps, random_state=random_state)
        assert report.warnings == (), (alpha, [str(finding) for finding in report.warnings])


def sample_of(model, X, y, eps, n=60, **threat):
    case = Problem.of(model, X, y, **threat)
    rows = np.flatnonzero(case.right())[:n]
    return Sample(case, Access.of(case), rows, eps, torch.Generator().manual_seed(0))


def test_comparisons_find_hidden_gradients(network):
    sample = sample_of(changed(network, broken.rounded), *DIGITS, eps=2.0)
    for check in (noise_is_weaker, transfer_is_weaker, gradient_free_is_weaker):
        assert "beats gradients" in check(sample).name


def test_random_search_finds_hidden_gradients():
    """Scores that rise in steps: flat for gradients, not for a search."""
    model = changed_logistic(lambda network, X: (network(X) * 4).round())
    sample = sample_of(model, *IRIS, eps=1.0)
    assert gradient_free_is_weaker(sample).name == "gradient-free beats gradients"
    assert noise_is_weaker(sample).name == "random noise beats gradients"


class Scored(broken.Wrapped):
    """A wrapped classifier that also shows its scores."""

    def decision_function(self, X):
        with torch.no_grad():
            return self.to_torch()(torch.as_tensor(np.asarray(X))).numpy()

    def predict(self, X):
        return self.classes_[self.decision_function(X).argmax(axis=1)]


def changed_logistic(change):
    classifier = LogisticRegression(max_iter=500).fit(*IRIS)
    coef, intercept = torch.tensor(classifier.coef_), torch.tensor(classifier.intercept_)
    model = Scored(classifier, change)
    model.inner_ = torch.nn.Linear(4, 3, dtype=torch.float64)
    model.inner_.weight.data, model.inner_.bias.data = coef, intercept
    model.classes_ = classifier.classes_
    return model


def backwards(network, X):
    """Scores whose gradient points the wrong way."""
    true = network(X)
    return true.detach() * 2 - true + (true - true.detach()) * 0


@pytest.mark.parametrize("change", [backwards], ids=["backwards"])
def test_gradient_that_misleads_is_beaten(change):
    model = changed_logistic(change)
    sample = sample_of(model, *IRIS, eps=1.0)
    for check in (noise_is_weaker, transfer_is_weaker, gradient_free_is_weaker):
        assert "beats gradients" in check(sample).name


class FarFlat:
    """A slope that turns around away from where it was first asked for: later steps go back."""

    def __init__(self, X):
        self.X = torch.tensor(X)

    def __call__(self, network, X):
        true = network(X)
        near = torch.cdist(X.detach(), self.X).amin(dim=1, keepdim=True) < 1e-9
        return true.detach() + (true - true.detach()) * torch.where(near, 1.0, -1.0)

    def __deepcopy__(self, memo):
        return self


def test_single_step_that_beats_many_is_flagged():
    model = changed_logistic(FarFlat(IRIS[0]))
    sample = sample_of(model, *IRIS, eps=0.6)
    assert fgsm_is_weaker(sample).name == "FGSM beats PGD"


def test_larger_budgets_that_break_less_are_flagged(monkeypatch):
    sample = sample_of(changed_logistic(broken.plain), *IRIS, eps=0.6)
    climbed = Sample.climbed
    held = np.zeros(len(sample.rows), dtype=bool)
    monkeypatch.setattr(
        Sample, "climbed", lambda self, eps: climbed(self, eps) if eps == 0.6 else held
    )
    assert sample.white_box.sum() > 5
    assert larger_budgets_break_more(sample).name == "curve not monotone"


def test_survivors_of_an_unbounded_budget_are_flagged(monkeypatch):
    sample = sample_of(changed_logistic(broken.plain), *IRIS, eps=0.6)
    assert everything_breaks_in_the_end(sample) is None
    half = np.arange(len(sample.rows)) % 2 == 0
    monkeypatch.setattr(Sample, "climbed", lambda self, eps: half)
    assert everything_breaks_in_the_end(sample).name == "robust at an unbounded budget"


def test_constant_classifier_is_robust_by_chance_alone():
    model = changed_logistic(lambda network, X: network(X) * 0 + torch.eye(3)[0].to(X))
    sample = sample_of(model, *IRIS, eps=0.6)
    assert everything_breaks_in_the_end(sample) is None


def test_attack_that_has_not_converged_is_flagged():
    sample = sample_of(changed_logistic(broken.plain), *IRIS, eps=1.0)
    sample.__dict__["_broken_by"] = np.zeros(len(sample.rows), dtype=bool), sample.rows
    assert steps_suffice(sample).name == "more steps break more"


def lopsided(network, X):
    """A third class far ahead of the runner-up in slope, far behind in value: it never wins."""
    true = network(X)
    decoy = true.detach()[:, :1] * 0 + 0.9 * true.amax(dim=1, keepdim=True).detach()
    steep = 1e3 * (X - X.detach()).sum(dim=1, keepdim=True)
    return torch.cat([true, decoy - 8 + steep], dim=1)


def test_cross_entropy_that_lags_behind_the_margin_is_flagged():
    model = changed_logistic(lopsided)
    model.classes_ = np.arange(4)
    sample = sample_of(model, *IRIS, eps=0.8)
    assert cross_entropy_keeps_up(sample).name == "margin beats cross-entropy"


def test_sound_linear_model_passes_each_comparison():
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(*IRIS)
    for norm, eps in (("linf", 0.5), ("l2", 0.8), ("l1", 1.2)):
        sample = sample_of(pipeline, *IRIS, eps=eps, threat=norm)
        assert [check(sample) for check in OF_GRADIENT_ATTACKS] == [None] * len(OF_GRADIENT_ATTACKS)
        wide = unbounded(sample.problem)
        assert sample_of(pipeline, *IRIS, eps=1.0, threat=wide).white_box.all()


def test_unbounded_threat_reaches_every_other_sample():
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(*IRIS)
    for norm in ("linf", "l2", "l1"):
        case = Problem.of(pipeline, *IRIS, threat=norm)
        X = case.points()
        for row in (0, 70):
            centre = X[row].expand_as(X)
            Budget.of(centre, threat=unbounded(case)).verify(centre, X)


def test_slopes_tell_dead_rows_from_saturated_ones():
    X, y = torch.tensor([[1.0], [200.0], [-1.0]]), torch.tensor([0, 0, 1])

    def logits(x):
        return torch.cat([x, -x.clamp(-0.5, 0.5) * 0 - x], dim=1) * (x > 0)

    slopes = Slopes.of(logits, X, y, torch.ones(1))
    assert (slopes.vanishing, slopes.saturated) == pytest.approx((1 / 3, 1 / 3))
    assert slopes.not_finite == 0 and not slopes.useful


def nan_slope(network, X):
    zero = (X - X.detach()).square().sum(dim=1, keepdim=True).sqrt()
    return network(X) + zero


def test_nan_gradients_are_flagged_and_got_around():
    report = report_on(changed_logistic(nan_slope), *IRIS, eps=[0.5])
    assert [finding.name for finding in report.warnings] == ["NaN gradients"]
    assert report.kind == "score-based" and report.accuracy[0] < 0.8


def test_few_samples_are_flagged_with_what_to_do(network):
    report = report_on(network, DIGITS[0][:20], DIGITS[1][:20], n_diagnosed=0)
    assert [finding.name for finding in report.warnings] == ["too few samples"]
    assert "Next: pass 100 samples or more." in str(report)


@pytest.mark.parametrize(
    "move, message",
    [
        (lambda X: X + torch.tensor([0.7, 0, 0, 0]), "found a perturbation of 1.4 times eps"),
        (lambda X: X + torch.tensor([0.0, 0.1, 0, 0]), r"immutable features.*feature \(1,\)"),
        (lambda X: X * torch.nan, "finite points"),
    ],
    ids=["budget", "immutable", "nan"],
)
def test_attack_that_breaks_the_rules_is_an_error(move, message):
    def attack(logits, X, y, *, eps, threat):
        return move(X)

    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(*IRIS)
    with pytest.raises(ValueError, match=message):
        threat = ThreatModel(bounds=(0, 9), immutable=[1])
        report_on(pipeline, *IRIS, eps=[0.5], attack=attack, threat=threat)


def test_point_outside_of_the_bounds_is_an_error():
    X = torch.zeros(2, 2)
    with pytest.raises(ValueError, match="stay within bounds"):
        Budget.of(X, threat=ThreatModel(bounds=(0, 1))).verify(X, X - 0.1)


def test_diagnosis_is_seeded():
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(*IRIS)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, again = (str(report_on(pipeline, *IRIS, n_diagnosed=30)) for _ in range(2))
    assert first == again
    robustness_report(pipeline, *IRIS, eps=[0.5], attack=pgd)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
