"""Diagnostics against false robustness: signs that an attack failed for want of a slope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_iso._threat import ThreatModel
from sklearn_iso.attacks import APGD, FGSM, PGD, Square, get_norm
from sklearn_iso.metrics._access import SHARE_THAT_MAY_VANISH, Access
from sklearn_iso.metrics._findings import Finding, Sample
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.metrics._refused import REMEDY, Refused
from sklearn_iso.metrics._transfer import linear_surrogate, transfer

Check = Callable[[Sample], Finding | None]
N_NOISE, N_QUERIES, N_STEPS = 20, 200, 40
STEEPEST = PGD(n_steps=N_STEPS, random_start=False)
FEWEST_SAMPLES = 100
# On sound networks the margin leads by up to a few samples in a hundred.
SHARE_MARGIN_MAY_LEAD = 0.15


def gradients_are_useful(sample: Sample) -> Finding | None:
    """Look for gradients that are zero, NaN, or underflow in the cross-entropy."""
    slopes = sample.access.slopes
    if slopes.not_finite:
        return Finding(
            "NaN gradients",
            f"the gradient is NaN or infinite for {slopes.not_finite:.0%} of the samples",
            "look for a square root, a norm or a logarithm at 0 in the model; only gradient-free "
            "attacks were run",
        )
    if slopes.vanishing > SHARE_THAT_MAY_VANISH:
        return Finding(
            "zero gradients",
            f"the gradient vanishes for {slopes.vanishing:.0%} of the samples, as behind rounding, "
            "steps or saturated units",
            "do not believe attacks by gradients on this model, here or elsewhere; raise "
            "n_queries, or give the class a to_torch() with a smooth stand-in for that step "
            "(backward-pass differentiable approximation)",
        )
    return None


def cross_entropy_has_a_slope(sample: Sample) -> Finding | None:
    """Look for logits so large that the gradient of the cross-entropy is exactly zero."""
    saturated = sample.access.slopes.saturated
    if saturated <= SHARE_THAT_MAY_VANISH:
        return None
    return Finding(
        "saturated cross-entropy",
        f"logits are so far apart that the gradient of the cross-entropy is exactly zero for "
        f"{saturated:.0%} of the samples",
        "the attacks here ascend log-odds, which have a slope, but those of other tools stall: "
        "divide the logits by a constant before comparing, and rely on margin attacks",
    )


@torch.no_grad()
def outputs_are_logits(sample: Sample) -> Finding | None:
    """Look for probabilities where logits belong."""
    scores = _scores(sample)
    if scores is None or scores.min() < 0 or not (scores.sum(dim=1) - 1).abs().max() < 1e-3:
        return None
    return Finding(
        "outputs are probabilities",
        "the scores of the twin lie in [0, 1] and sum to 1",
        "let to_torch() return logits, before the softmax: the softmax of a confident model is "
        "flat, and attacks that take its outputs for logits stall",
    )


def _scores(sample: Sample) -> Tensor | None:
    twin = sample.access.twin
    return None if twin is None else twin(sample.X)


@torch.no_grad()
def predictions_repeat(sample: Sample) -> Finding | None:
    """Ask the same question twice."""
    values = sample.X.numpy()
    first, again = (sample.problem.predict(values, sample.rows) for _ in range(2))
    differs = int((first != again).sum())
    seen = f"two predictions differ on {sample.share(differs)}" if differs else ""
    one, other = _scores(sample), _scores(sample)
    if one is not None and other is not None and not torch.equal(one, other):
        seen = seen or "two evaluations of the twin give different scores"
    if not seen:
        return None
    return Finding(
        "predictions do not repeat",
        f"{seen}, so the model is random",
        "fix its randomness in predict, or average scores over draws in to_torch() (expectation "
        "over transformation); a single noisy gradient misleads every attack",
    )


def fgsm_is_weaker(sample: Sample) -> Finding | None:
    """Compare one step with many."""
    single = sample.misclassified_under(FGSM(), sample.logits)
    many = sample.misclassified_under(STEEPEST, sample.logits)
    count = int((single & ~many).sum())
    if not sample.many(count):
        return None
    return Finding(
        "FGSM beats PGD",
        f"one step breaks {sample.share(count)} that {N_STEPS} steps do not",
        "gradients away from the data point elsewhere: raise n_queries, and look for "
        "discontinuities or noise in the model",
    )


def noise_is_weaker(sample: Sample) -> Finding | None:
    """Compare gradients with random points of the ball."""
    ball = sample.problem.budget(sample.X, sample.eps).around(sample.X)
    misclassified = np.zeros(len(sample.rows), dtype=bool)
    for _ in range(N_NOISE):
        points = ball.point_within(ball.random(sample.generator))
        points = sample.problem.candidate(sample.X, points, sample.eps, sample.rows)
        misclassified |= sample.problem.misclassified_at(points, sample.rows)
    return _beaten(
        sample,
        misclassified,
        "random noise beats gradients",
        f"the best of {N_NOISE} random points breaks",
    )


def transfer_is_weaker(sample: Sample) -> Finding | None:
    """Compare gradients with those of a linear model of the estimator's predictions."""
    surrogate = linear_surrogate(sample.problem)
    if surrogate is None:
        return None
    threat = sample.problem.threat
    X_adv = transfer(surrogate, sample.X, sample.y, eps=sample.eps, threat=threat)
    X_adv = sample.problem.candidate(sample.X, X_adv, sample.eps, sample.rows)
    sample.problem.budget(sample.X, sample.eps).verify(sample.X, X_adv)
    misclassified = sample.problem.misclassified_at(X_adv, sample.rows)
    return _beaten(
        sample,
        misclassified,
        "transfer beats gradients",
        "the step against a linear surrogate breaks",
    )


def gradient_free_is_weaker(sample: Sample) -> Finding | None:
    """Compare gradients with random search on the estimator's own scores."""
    scores = sample.access.answers.scores
    if scores is None:
        return None
    misclassified = sample.misclassified_under(
        Square(n_queries=N_QUERIES, image_shape=sample.image_shape), scores
    )
    return _beaten(
        sample,
        misclassified,
        "gradient-free beats gradients",
        f"random search ({N_QUERIES} queries) breaks",
    )


def _beaten(sample: Sample, misclassified: NDArray, name: str, how: str) -> Finding | None:
    count = int((misclassified & ~sample.white_box).sum())
    if not sample.many(count):
        return None
    return Finding(
        name,
        f"{how} {sample.share(count)} that attacks by gradients do not",
        "gradients are masked: raise n_queries so that gradient-free attacks follow, and look for "
        "rounding, saturation or noise in the model",
    )


def steps_suffice(sample: Sample) -> Finding | None:
    """Attack with twice the steps."""
    longer = APGD(n_steps=2 * N_STEPS, loss="margin")
    doubled = sample.misclassified_under(longer, sample.logits) | sample.misclassified_under(
        STEEPEST, sample.logits
    )
    count = int((doubled & ~sample.white_box).sum())
    if not sample.many(count):
        return None
    return Finding(
        "more steps break more",
        f"twice the steps break another {sample.share(count)}",
        "the attack has not converged: evaluate with attack=APGD(n_steps=..., n_restarts=...), "
        "larger and larger, until the result stands still",
    )


def ascents_are_enough(sample: Sample) -> Finding | None:
    """Compare ascents within the budget with attacks that leave it and come back."""
    count = int(sample.from_beyond.sum())
    if not sample.many(count):
        return None
    return Finding(
        "slopes within the budget mislead",
        f"attacks that leave the budget and come back break {sample.share(count)} that no ascent "
        "within it does",
        "the model is flat around its samples, as where it was trained for another norm, and other "
        "attacks may break more: add random search, attack=AttackEnsemble(n_queries=2000) with the "
        "image_shape of images, and do not rely on attacks within the budget alone",
    )


def cross_entropy_keeps_up(sample: Sample) -> Finding | None:
    """Compare the two losses."""
    entropy = sample.misclassified_under(STEEPEST, sample.logits)
    margin = sample.misclassified_under(replace(STEEPEST, loss="margin"), sample.logits)
    count = int(margin.sum()) - int(entropy.sum())
    if not sample.many(count, share=SHARE_MARGIN_MAY_LEAD):
        return None
    return Finding(
        "margin beats cross-entropy",
        f"ascent on the margin breaks {sample.share(count)} more than ascent on the cross-entropy",
        "logits differ much in scale; do not rely on PGD with the cross-entropy for this model",
    )


def everything_breaks_in_the_end(sample: Sample) -> Finding | None:
    """Attack with a budget that holds every other sample."""
    threat = sample.problem.threat
    if threat.immutable is not None or not threat.radius(1.0).all():
        return None  # what may not move may be all that counts
    if not np.ptp(sample.problem.table.values, axis=0).any():
        return None  # there is one place only
    wide = replace(sample, problem=replace(sample.problem, threat=unbounded(sample.problem)))
    held = ~wide.climbed(1.0)
    # Of all samples: a constant classifier is right by chance, and no attack changes it.
    share = float(held.mean()) * float(sample.problem.right().mean())
    chance = 1 / len(sample.problem.classes)
    if share <= chance + 1e-9:
        return None
    return Finding(
        "robust at an unbounded budget",
        f"{sample.share(int(held.sum()))} survive attacks by gradients whose budget holds every "
        f"other sample, more than the {chance:.0%} of chance",
        "the attack fails, whatever the model: raise n_queries, and look for flat or misleading "
        "gradients far from the data",
    )


def unbounded(problem: Problem) -> ThreatModel:
    """Return a threat of which one unit, around any sample, holds all others.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn_iso.metrics._problem import Problem
    >>> from sklearn_iso.metrics._diagnostics import unbounded
    >>> X, y = load_iris(return_X_y=True)
    >>> unbounded(Problem.of(GaussianNB().fit(X, y), X, y)).radius(1).round(2)
    array([3.6, 2.4, 5.9, 2.4])
    """
    ranges = np.ptp(problem.table.values, axis=0).astype(np.float64)
    corner = torch.ones(1, *ranges.shape, dtype=torch.float64)
    norm = get_norm("linf") if problem.threat.norm.name == "l0" else problem.threat.norm
    return replace(problem.threat, norm=norm, units=ranges * float(norm.size(corner)[0]))


def larger_budgets_break_more(sample: Sample) -> Finding | None:
    """Attack anew at larger budgets, without what smaller ones found."""
    before = sample.white_box
    for factor in (2, 4):
        after = sample.climbed(sample.eps * factor)
        count = int(before.sum()) - int(after.sum())
        if sample.many(count):
            return Finding(
                "curve not monotone",
                f"at {factor} times the budget gradients break {sample.share(count)} fewer",
                "the curve is monotone only because results of smaller budgets are kept; attacks "
                "fail at the larger ones: raise n_queries",
            )
        before = after
    return None


def samples_suffice(n_samples: int) -> Finding | None:
    """Tell whether there are enough samples for an interval of less than 0.2.

    Examples
    --------
    >>> from sklearn_iso.metrics._diagnostics import samples_suffice
    >>> samples_suffice(20).name, samples_suffice(2000)
    ('too few samples', None)
    """
    if n_samples >= FEWEST_SAMPLES:
        return None
    return Finding(
        "too few samples",
        f"{n_samples} samples leave an interval of up to {1.96 / np.sqrt(n_samples):.2f}",
        f"pass {FEWEST_SAMPLES} samples or more",
    )


def estimator_answers(refused: Refused) -> tuple[Finding, ...]:
    """Tell, in a finding or none, of perturbed points refused: they count as not adversarial.

    Examples
    --------
    >>> from sklearn_iso.metrics._diagnostics import estimator_answers
    >>> from sklearn_iso.metrics._refused import Refused
    >>> (finding,) = estimator_answers(Refused(3, "ValueError: Negative values"))
    >>> print(finding.seen)
    the estimator gave no answer at 3 perturbed points (ValueError: Negative values)
    """
    return (Finding("points refused", refused.told(), REMEDY),) if refused.n_points else ()


OF_THE_MODEL: tuple[Check, ...] = (
    gradients_are_useful,
    cross_entropy_has_a_slope,
    outputs_are_logits,
    predictions_repeat,
)
OF_GRADIENT_ATTACKS: tuple[Check, ...] = (
    fgsm_is_weaker,
    noise_is_weaker,
    transfer_is_weaker,
    gradient_free_is_weaker,
    steps_suffice,
    ascents_are_enough,
    cross_entropy_keeps_up,
    everything_breaks_in_the_end,
    larger_budgets_break_more,
)


def checks_for(access: Access, attacked: bool) -> tuple[Check, ...]:
    """Return which checks make sense: attacks by gradients are compared where they count.

    Examples
    --------
    >>> from sklearn_iso.metrics._diagnostics import checks_for
    >>> from sklearn_iso.metrics._access import Access, AccessKind, Gradients
    >>> len(checks_for(Access(None, AccessKind.SCORES, Gradients.NONE, "a tree"), attacked=True))
    4
    """
    climbs = access.trusted or (access.slopes.vanishing > 0 and not access.slopes.not_finite)
    return OF_THE_MODEL + (OF_GRADIENT_ATTACKS if attacked and climbs else ())
