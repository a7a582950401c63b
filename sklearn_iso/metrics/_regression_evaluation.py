"""An attack on a regressor: the worst predictions found, judged by the estimator itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_iso.attacks import APGD, FGSM, Attack, AttackEnsemble, Coordinates, Square
from sklearn_iso.attacks._ascent import GradientAscent
from sklearn_iso.attacks._linear_steps import FrankWolfe
from sklearn_iso.attacks._parameters import N_TARGETS, RandomState, as_generator
from sklearn_iso.attacks._refinement import Refinement
from sklearn_iso.attacks._worst_case import WorstCaseState, along_direction, directions
from sklearn_iso.metrics._combinations import changed
from sklearn_iso.metrics._evaluation import (
    AUTOMATIC_QUERIES,
    FEWEST_TO_SHARE,
    QUERIES_CHECKED,
    SAMPLES_CHECKED,
    SHARE_OVERLOOKED,
)
from sklearn_iso.metrics._images import knowing_images
from sklearn_iso.metrics._known_errors import STAGE
from sklearn_iso.metrics._known_values import KnownValues
from sklearn_iso.metrics._neighbour_steps import NeighbourSteps
from sklearn_iso.metrics._regression_access import RegressionAccess
from sklearn_iso.metrics._regression_problem import RegressionProblem, SampleLoss

#: What climbs a twin, one after the other.
CLIMBS = (FrankWolfe(), APGD(n_steps=40))
USABLE = (AttackEnsemble, GradientAscent, FGSM, Square, Coordinates)
#: A loss that is larger by this share, and no rounding, counts as one that was overlooked.
SHARE_LARGER, ROUNDING = 0.01, 1e-12

BATCH = 1000

Outputs = Callable[[Tensor], Tensor]
Method = Attack | Callable[..., Tensor]
#: What is climbed: targets or directions of the samples, and a loss of outputs and these.
Goal = tuple[Tensor, Callable[[Tensor, Tensor], Tensor]]


@dataclass
class Worst:
    """The worst predictions of samples found so far.

    Attributes
    ----------
    X_adv : Tensor of shape (n, ...)
    predicted : ndarray of shape (n, n_outputs)
    loss : ndarray of shape (n,)
    stage : ndarray of str, shape (n,)
        Which attack found it; "clean" where none found anything worse than the sample itself.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn_iso.metrics._regression_evaluation import Worst
    >>> worst = Worst.of(torch.zeros(2, 1), np.zeros((2, 1)), np.array([1.0, 5.0]))
    >>> worst.offer(torch.ones(2, 1), np.ones((2, 1)), np.array([3.0, np.nan]), "pgd")
    >>> worst.loss, worst.stage
    (array([3., 5.]), array(['pgd', 'clean'], dtype=object))
    """

    X_adv: Tensor
    predicted: NDArray[np.float64]
    loss: NDArray[np.float64]
    stage: NDArray[np.object_]

    @classmethod
    def of(cls, X: Tensor, predicted: NDArray, loss: NDArray) -> Worst:
        """Return samples as they are."""
        stage = np.full(len(loss), "clean", dtype=object)
        return cls(X.clone(), predicted.copy(), loss.copy(), stage)

    def part(self, rows: NDArray) -> Worst:
        """Return copies of what is known of some samples."""
        found = self.predicted[rows], self.loss[rows], self.stage[rows]
        return Worst(self.X_adv[torch.from_numpy(rows)], *found)

    @classmethod
    def joined(cls, parts: Sequence[Worst]) -> Worst:
        """Return what is known of parts of the samples as one, in their order."""
        return cls(
            torch.cat([part.X_adv for part in parts]),
            np.concatenate([part.predicted for part in parts]),
            np.concatenate([part.loss for part in parts]),
            np.concatenate([part.stage for part in parts]),
        )

    def offer(self, X_adv: Tensor, predicted: NDArray, loss: NDArray, stage: str) -> None:
        """Keep what is worse by more than rounding; losses of NaN are not."""
        worse = loss > self.loss + ROUNDING * np.abs(self.loss)
        self.X_adv[torch.from_numpy(worse)] = X_adv[torch.from_numpy(worse)]
        self.predicted[worse], self.loss[worse] = predicted[worse], loss[worse]
        self.stage[worse] = stage


@dataclass(frozen=True)
class RegressionEvaluation:
    """An attack on a problem, through the access that there is to its estimator.

    Parameters
    ----------
    problem : RegressionProblem
    access : RegressionAccess
    loss : SampleLoss
    method : Attack or callable
    generator : torch.Generator
        Or, for a callable of a user, what the user passed as random_state.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_iso.attacks import AttackEnsemble
    >>> from sklearn_iso.metrics._regression_evaluation import RegressionEvaluation
    >>> from sklearn_iso.metrics._regression_problem import RegressionProblem, SampleLoss
    >>> X, y = load_diabetes(return_X_y=True)
    >>> problem = RegressionProblem.of(Ridge().fit(X, y), X, y)
    >>> loss = SampleLoss("absolute_error")
    >>> evaluation = RegressionEvaluation.of(problem, loss, AttackEnsemble(), 0)
    >>> worst = evaluation.clean()
    >>> before = worst.loss.mean()
    >>> evaluation.attack(worst, eps=0.01)
    >>> bool(worst.loss.mean() > before)
    True
    """

    problem: RegressionProblem
    access: RegressionAccess
    loss: SampleLoss
    method: Method
    generator: RandomState

    @classmethod
    def of(
        cls, problem: RegressionProblem, loss: SampleLoss, method: Method, random_state: RandomState
    ) -> RegressionEvaluation:
        """Find the access to the estimator, and check it for what the attack asks for.

        Raises
        ------
        NotDifferentiableError, ValueError
            If the attack follows gradients and there is no twin, or none that agrees; if it is
            one of classes alone.
        """
        if not isinstance(method, Attack):
            access = RegressionAccess.of(problem)
            access.require_gradients()
            return cls(problem, access, loss, method, random_state)
        check_usable(method)
        method.check(problem.points(), problem.threat)
        access = RegressionAccess.of(problem, method.asks)
        method = knowing_images(method, access.twin, problem.points())
        if isinstance(method, AttackEnsemble):
            if not access.climbs and method.n_queries == 0:
                raise ValueError(
                    "n_queries must be positive where there are no gradients to follow; got 0, "
                    f"and {access.reason}."
                )
        elif method.asks == "gradients":
            access.require_gradients()
        return cls(problem, access, loss, method, as_generator(random_state))

    def clean(self) -> Worst:
        """Return the samples without an attack."""
        predicted = self.problem.clean
        return Worst.of(self.problem.points(), predicted, self.loss(self.problem.y, predicted))

    def part(self, rows: NDArray, generator: RandomState) -> RegressionEvaluation:
        """Return the evaluation of some of the samples, through the access that all have."""
        problem = self.problem
        of_rows = replace(
            problem,
            table=problem.table.part(rows),
            y=problem.y[rows],
            clean=problem.clean[rows],
            weight=None if problem.weight is None else problem.weight[rows],
        )
        access = replace(self.access, problem=of_rows)
        return replace(self, problem=of_rows, access=access, generator=generator)

    def attack(self, worst: Worst, eps: float) -> None:
        """Attack all samples within a budget, and keep what is worse than what is known.

        Raises
        ------
        ValueError
            If an attack leaves the budget or the bounds, touches what is immutable, or returns
            NaN.
        """
        problem = self.problem
        if problem.budget(problem.points(), eps).is_zero:
            return
        problem.count_refusals_within(problem.threat.radius(eps))
        run = _Run(self, eps, worst)
        if isinstance(self.method, AttackEnsemble):
            run.ensemble(self.method)
        elif isinstance(self.method, Attack):
            run.alone(self.method)
        else:
            run.custom(self.method)


def check_usable(method: Attack) -> None:
    """Raise a ValueError unless an attack can raise a loss of predictions.

    Examples
    --------
    >>> from sklearn_iso.attacks import PGD
    >>> from sklearn_iso.metrics._regression_evaluation import check_usable
    >>> check_usable(PGD())
    """
    if not isinstance(method, USABLE):
        names = ", ".join(kind.__name__ for kind in (AttackEnsemble, APGD, FGSM, Square))
        raise ValueError(
            f"attack on a regressor must be one that maximises a loss, {names}, PGD or "
            f"Coordinates, or a callable; got {method!r}, which looks for another label. For the "
            "closest point at which predictions move, call adversarial_distance with tolerance=."
        )


@dataclass(frozen=True)
class _Run:
    """What an evaluation does within one budget."""

    evaluation: RegressionEvaluation
    eps: float
    worst: Worst

    @property
    def problem(self) -> RegressionProblem:
        return self.evaluation.problem

    def _goals(self) -> list[Goal]:
        """Return what is climbed: every direction, and the loss where there are several."""
        targets = self.problem.targets()
        deviation = torch.from_numpy(self.problem.clean) - targets
        goals: list[Goal] = [(one, along_direction) for one in directions(deviation)]
        loss = self.evaluation.loss.of_tensors
        if self.problem.n_outputs > 1 and loss is not None:
            goals.append((targets, loss))
        return goals

    def _offer(self, X_adv: Tensor, stage: str, rows: NDArray | None = None) -> None:
        """Verify points, ask the estimator, and keep what is worse."""
        problem, X = self.problem, self.problem.points()
        budget = problem.budget(X, self.eps)
        X_adv = budget.obeying(X, X_adv)
        budget.verify(X, X_adv)
        predicted = problem.predict_perturbed(
            X_adv.detach().cpu().numpy(), np.arange(len(X)), thorough=True
        )
        known = np.isfinite(predicted).all(axis=1)
        loss = np.full(len(X), np.nan)
        if known.any():
            loss[known] = self.evaluation.loss(problem.y[known], predicted[known])
        self.worst.offer(X_adv.detach(), predicted, loss, stage)

    def _states(
        self, outputs: Outputs, rows: NDArray | slice = slice(None)
    ) -> list[WorstCaseState]:
        """Return samples to be attacked, once for each goal."""
        X, size = self.problem.points(rows), getattr(self.evaluation.method, "batch_size", BATCH)
        return [WorstCaseState(outputs, X, y[rows], loss, size) for y, loss in self._goals()]

    def _run(self, attack: Attack, states: list[WorstCaseState]) -> None:
        """Let an attack raise what the states hold."""
        if isinstance(attack, GradientAscent):  # its losses are those of classes
            attack = replace(attack, loss="margin", n_targets=N_TARGETS)
        for state in states:
            budget = self.problem.budget(state.X, self.eps)
            attack.run(state, budget, as_generator(self.evaluation.generator))

    def _attack(self, attack: Attack, states: list[WorstCaseState]) -> None:
        """Run an attack, and ask the estimator about its points."""
        self._run(attack, states)
        for state in states:
            self._offer(state.X_adv, attack.name)

    def alone(self, attack: Attack) -> None:
        """Run one attack, on the outputs that it asks for."""
        climbs = attack.asks == "gradients"
        outputs = self.evaluation.access.outputs if climbs else self.problem.outputs
        self._attack(attack, self._states(outputs))

    def custom(self, method: Callable[..., Tensor]) -> None:
        """Run a callable of a user on the outputs of the twin, with the targets as y."""
        X, y = self.problem.points(), self.problem.targets()
        parameters = inspect.signature(method).parameters
        takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
        options = {"random_state": self.evaluation.generator}
        if not takes_all and "random_state" not in parameters:
            options = {}
        twin, threat = self.evaluation.access.twin, self.problem.threat
        X_adv = method(twin, X.clone(), y.clone(), eps=self.eps, threat=threat, **options)
        if not isinstance(X_adv, Tensor):
            raise TypeError(
                f"An attack must return a tensor of perturbed samples; got {type(X_adv).__name__}."
            )
        self._offer(X_adv, "custom")

    def ensemble(self, method: AttackEnsemble) -> None:
        """Follow gradients where there are some, and search without them where not enough."""
        if self._take_known():
            return
        access = self.evaluation.access
        states = self._states(access.outputs if access.climbs else self.problem.outputs)
        if access.climbs:
            for climb in CLIMBS:
                self._attack(climb, states)
        n_queries = method.n_queries
        if n_queries is None:
            settled = access.trusted and not self._overlooked(method)
            n_queries = 0 if settled else AUTOMATIC_QUERIES * len(states)
        searches = self._searches(method, n_queries // len(states))
        if searches and access.climbs:
            for state in states:
                state.reassess(self.problem.outputs)
        if searches and (steps := NeighbourSteps.of(self.problem)) is not None:
            for state in states:
                budget = self.problem.budget(state.X, self.eps)
                steps.run(state, budget, as_generator(self.evaluation.generator))
                self._offer(state.X_adv, steps.name)
        for attack in searches:
            self._attack(attack, states)
        self._try_all_categories()

    def _take_known(self) -> bool:
        """Take the worst that is known without a search; return whether nothing remains to find."""
        known = KnownValues.of(self.problem)
        points = None if known is None else known.worst(self.evaluation.loss, self.eps)
        if known is None or points is None:
            return False
        self._offer(points, STAGE)
        return known.is_all

    def _try_all_categories(self) -> None:
        """Try each combination of the categories of raw columns, where there are few.

        With the other features as they are, and as the worst points found have them.
        """
        X = self.problem.points()
        if not self.problem.table.is_raw:
            return
        moved = self.worst.X_adv.clone()
        for group in self.problem.threat.one_hot():
            moved[:, list(group)] = X[:, list(group)]
        for start in (X, moved):
            for points in changed(start, self.problem.threat):
                self._offer(points, "categories")

    def _searches(self, method: AttackEnsemble, n_each: int) -> list[Attack]:
        """Return searches of so many queries in all for each goal."""
        if n_each < 1:
            return []
        shape = method.image_shape
        if n_each < FEWEST_TO_SHARE:
            return [Square(n_queries=n_each, image_shape=shape)]
        n_last = n_each // 2
        n_first = (n_each - n_last) // 2
        return [
            Square(n_queries=n_first, image_shape=shape),
            Coordinates(n_queries=n_each - n_last - n_first),
            Refinement(n_queries=n_last),
        ]

    def _overlooked(self, method: AttackEnsemble) -> bool:
        """Whether a short search on the twin finds what gradients did not."""
        n = len(self.problem.table)
        rows = np.arange(0, n, max(1, -(-n // SAMPLES_CHECKED)))
        search = Square(n_queries=QUERIES_CHECKED, image_shape=method.image_shape)
        before, twin = self.worst.loss[rows], self.evaluation.access.model
        largest = before.copy()
        states = self._states(twin, rows)
        self._run(search, states)
        for state in states:
            with torch.no_grad():
                found = twin(state.X_adv).double().numpy()
            known = np.isfinite(found).all(axis=1)
            if known.any():
                loss = self.evaluation.loss(self.problem.y[rows[known]], found[known])
                largest[known] = np.maximum(largest[known], loss)
        larger = largest > before + SHARE_LARGER * np.maximum(before, np.abs(before).mean())
        return int(larger.sum()) > SHARE_OVERLOOKED * len(rows)
