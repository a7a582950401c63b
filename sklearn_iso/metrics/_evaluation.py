"""An evaluation: an attack on samples of a problem, judged by the estimator itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_iso._threads import threads_for
from sklearn_iso.attacks import STAGES, Attack, AttackEnsemble, Coordinates, RayS, Square
from sklearn_iso.attacks._attack import verdict
from sklearn_iso.attacks._parameters import RandomState, as_generator
from sklearn_iso.metrics._access import Access
from sklearn_iso.metrics._combinations import every_combination, leaves_none_out
from sklearn_iso.metrics._images import knowing_images
from sklearn_iso.metrics._known_errors import STAGE, KnownErrors
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.metrics._result import Result, Watch
from sklearn_iso.metrics._transfer import linear_surrogate, transfer

#: Points asked about for each sample without gradients, and where gradients were followed before.
AUTOMATIC_QUERIES, QUERIES_AFTER_GRADIENTS = 1000, 500
SAMPLES_CHECKED, QUERIES_CHECKED, SHARE_OVERLOOKED = 100, 50, 0.01
FEWEST_TO_SHARE = 8


@dataclass(frozen=True)
class Evaluation:
    """An attack on a problem, through the access that there is to its estimator.

    Parameters
    ----------
    problem : Problem
    access : Access
    method : Attack or callable
        The attack.
    generator : torch.Generator
        Or, for a callable of a user, what the user passed as random_state.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_iso.attacks import AttackEnsemble
    >>> from sklearn_iso.metrics._evaluation import Evaluation
    >>> from sklearn_iso.metrics._problem import Problem
    >>> X, y = load_iris(return_X_y=True)
    >>> problem = Problem.of(LogisticRegression(max_iter=500).fit(X, y), X, y)
    >>> samples = np.array([0, 1])
    >>> evaluation = Evaluation.of(problem, AttackEnsemble(), 0, samples)
    >>> evaluation.attack(samples, eps=5.0).stage
    array(['cross_entropy', 'cross_entropy'], dtype=object)
    """

    problem: Problem
    access: Access
    method: Attack | Callable[..., Tensor]
    generator: RandomState

    @classmethod
    def of(
        cls,
        problem: Problem,
        method: Attack | Callable[..., Tensor],
        random_state: RandomState,
        samples: NDArray,
    ) -> Evaluation:
        """Find the access to the estimator, and check it for what the attack asks for.

        Raises
        ------
        NotDifferentiableError, ValueError
            If the attack follows gradients and there is no twin, or none that agrees; if it has
            no queries where there are no gradients.
        """
        if not isinstance(method, Attack):
            access = Access.of(problem, samples)
            access.require_gradients()
            return cls(problem, access, method, random_state)  # as the user passed it
        method.check(problem.points(), problem.threat)
        access = Access.of(problem, samples, method.asks)
        method = knowing_images(method, access.twin, problem.points(samples[:1]))
        if isinstance(method, AttackEnsemble):
            if not access.climbs and method.n_queries == 0:
                raise ValueError(
                    "n_queries must be positive where there are no gradients to follow; got 0, "
                    f"and {access.reason}."
                )
        elif method.asks == "gradients":
            access.require_gradients()
        return cls(problem, access, method, as_generator(random_state))

    @cached_property
    def known(self) -> KnownErrors | None:
        """What is known of errors without a search."""
        return KnownErrors.of(self.problem)

    def attack(self, samples: NDArray, eps: float, watch: Watch | None = None) -> Result:
        """Attack samples, all of them classified correctly, within a budget.

        Raises
        ------
        ValueError
            If an attack leaves the budget or the bounds, touches what is immutable, or returns
            NaN.
        """
        problem = self.problem
        result = Result.none(samples, problem.points(samples), watch)
        if not len(samples) or problem.budget(problem.points(samples), eps).is_zero:
            return result
        problem.count_refusals_within(problem.threat.widest(eps))
        run = _Run(self, eps, result)
        with threads_for(self.access.largest_product(len(samples))):
            if isinstance(self.method, AttackEnsemble):
                run.ensemble(self.method)
            elif isinstance(self.method, RayS):
                run.by_labels(run.everywhere, self.method, told=False)
            elif isinstance(self.method, Attack) and self.method.asks == "scores":
                run.by_scores_alone(self.method)
            else:
                run.by_gradients()
        return result


@dataclass(frozen=True)
class _Run:
    """What an evaluation does to some samples within one budget."""

    evaluation: Evaluation
    eps: float
    result: Result

    @property
    def everywhere(self) -> NDArray:
        """Positions of all samples."""
        return np.arange(len(self.result.samples))

    @property
    def access(self) -> Access:
        return self.evaluation.access

    def by_gradients(self) -> None:
        """Run one attack on the twin: one of ours, or a callable of a user."""
        method, problem = self.evaluation.method, self.evaluation.problem
        X, y = problem.points(self.result.samples), problem.labels(self.result.samples)
        if isinstance(method, Attack):
            logits: Callable[[Tensor], Tensor] = self.access.logits
            name, options = method.name, self._random()
        else:
            logits, name, options = self.access.model, "custom", self._random(method)
        # Copies: an attack of a user may write into X and y, and is judged by the originals.
        X_adv = method(logits, X.clone(), y.clone(), eps=self.eps, threat=problem.threat, **options)
        if not isinstance(X_adv, Tensor):
            raise TypeError(
                f"An attack must return a tensor of perturbed samples; got {type(X_adv).__name__}."
            )
        self._record(self.everywhere, X_adv.detach(), name)

    def _random(self, function: Callable | None = None) -> dict[str, RandomState]:
        """Return the random state, for a function of a user if it takes one."""
        given = {"random_state": self.evaluation.generator}
        if function is None:
            return given
        parameters = inspect.signature(function).parameters
        takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
        return given if takes_all or "random_state" in parameters else {}

    def _record(self, at: NDArray, X_adv: Tensor, stage: str | NDArray) -> None:
        """Verify the points of samples at some positions, and note which the estimator errs on."""
        if not len(at):
            return
        problem, samples = self.evaluation.problem, self.result.samples[at]
        X = problem.points(samples)
        X_adv = problem.candidate(X, X_adv, self.eps, samples)
        problem.budget(X, self.eps).verify(X, X_adv)
        self.result.record(at, X_adv, problem.misclassified_at(X_adv, samples), stage)

    def ensemble(self, method: AttackEnsemble) -> None:
        """Attack by what is known of errors without a search, and search for the others.

        The search comes first where gradients are trusted, and where its points are watched.
        """
        known = self.evaluation.known
        if known is None or self.access.trusted or self.result.watch is not None:
            self._search_all(method)
            if known is not None:
                self._take(known)
            return
        left = self._take(known)
        self.result.exact[:] = True
        self.result.exact[left] = False
        if len(left):
            part = Result.none(self.result.samples[left], self.result.X_adv[left])
            replace(self, result=part)._search_all(method)
            self.result.record(left, part.X_adv, part.misclassified, part.stage)
            self.result.unseen[left] = part.unseen

    def _take(self, known: KnownErrors) -> NDArray:
        """Take known errors of samples that are left; return about whom more may be found."""
        left = self.result.left(self.everywhere)
        errors = known.within(self.result.samples[left], self.eps) if len(left) else None
        if errors is None:
            return left
        hit = errors.misclassified
        self._record(left[hit], errors.points[hit], STAGE)
        self.result.unseen[left[errors.settled]] = False
        return left[~hit & ~errors.settled]

    def _search_all(self, method: AttackEnsemble) -> None:
        """Follow gradients where there are some, and search without them what they leave over."""
        claimed = np.zeros(len(self.result.samples), dtype=bool)
        if self.access.climbs:
            claimed = self._climb(method)
        n_queries = method.n_queries
        if n_queries is None:
            # A trusted twin has the last word, but for points where the estimator contradicts.
            trusted = self.access.trusted
            n_queries = QUERIES_AFTER_GRADIENTS if trusted else AUTOMATIC_QUERIES
            threat = self.evaluation.problem.threat
            # Gradients say little of whole numbers, and where relations bind not all.
            trusted = trusted and threat.integers is None and threat.relations is None
            trusted = trusted and not self._overlooked(method)
            left = ~self.result.misclassified & (claimed | (not trusted))
        else:
            left = ~self.result.misclassified & (n_queries > 0)
        if left.any():
            self._without_gradients(method, np.flatnonzero(left), n_queries)
        self._try_all_categories()

    def _try_all_categories(self) -> None:
        """Try each combination of the categories of raw columns, where there are few."""
        left = self.result.left(self.everywhere)
        if self.evaluation.problem.table.is_raw and len(left):
            points, misclassified = every_combination(self.access, self.result.samples[left])
            self.result.record(left, points, misclassified, "categories")
            if leaves_none_out(self.evaluation.problem.threat):
                self.result.unseen[:] = False

    def _climb(self, method: AttackEnsemble) -> NDArray:
        """Attack by the gradients of the twin; return which samples the twin errs on."""
        problem, samples = self.evaluation.problem, self.result.samples
        n_queries = None if method.n_queries is None else 0
        X_adv, stage = replace(method, n_queries=n_queries).with_stages(
            self.access.logits, problem.points(samples), problem.labels(samples),
            eps=self.eps, threat=problem.threat, random_state=self.evaluation.generator,
        )  # fmt: skip
        # Where the twin holds and the estimator does not, the last attack's point did it.
        last = STAGES.index("targeted_margin")
        names = np.array(STAGES, dtype=object)[np.where(stage < 1, last, stage)]
        self._record(self.everywhere, X_adv, names)
        return stage.numpy() >= 0

    def _overlooked(self, method: AttackEnsemble) -> bool:
        """Whether a short search on the twin finds what gradients did not.

        Gradients at a point tell little of a quadratic score in the l1 norm, for example, where
        the best of many corners is to be found.
        """
        problem, left = self.evaluation.problem, self.result.samples[~self.result.misclassified]
        some = left[:: max(1, -(-len(left) // SAMPLES_CHECKED))]
        if not len(some):
            return False
        X, y = problem.points(some), problem.labels(some)
        search = Square(n_queries=QUERIES_CHECKED, image_shape=method.image_shape)
        X_adv = search(
            self.access.logits, X, y, eps=self.eps, threat=problem.threat, **self._random()
        )
        with torch.no_grad():
            found = verdict(self.access.model(X_adv), y)
            found &= self.access.model(X).argmax(dim=1) == y
        return int(found.sum()) > SHARE_OVERLOOKED * len(some)

    def _without_gradients(self, method: AttackEnsemble, at: NDArray, n_queries: int) -> None:
        """Attack by scores, and by labels where scores mislead."""
        scores = self.access.answers.scores
        if not self.access.climbs:
            at = self._transfer(at)
        if scores is not None and len(at):
            at, n_queries = self._by_scores(scores, method, at, n_queries)
        if len(at):
            self.by_labels(at, RayS(n_queries=n_queries), told=scores is not None)

    def by_scores_alone(self, method: Attack) -> None:
        """Run one attack on the scores of the estimator."""
        problem, answers = self.evaluation.problem, self.access.answers
        if answers.scores is None:
            raise ValueError(
                f"attack={method.name!r} needs scores that decide as predict does; of "
                f"{type(problem.estimator).__name__} we know that {answers.source}. Pass "
                "attack='rays', which needs labels alone."
            )
        X_adv = self._search(method, answers.scores, self.everywhere)
        misled = self._misled(answers.scores, X_adv, self.everywhere)
        if len(misled):
            n_queries = getattr(method, "n_queries", AUTOMATIC_QUERIES)
            self.by_labels(misled, RayS(n_queries=n_queries), told=True)

    def _by_scores(
        self, scores: Callable, method: AttackEnsemble, at: NDArray, n_queries: int
    ) -> tuple[NDArray, int]:
        """Attack by scores; return who is left to labels, and for how many queries."""
        shape = method.image_shape
        if not self.access.trusted and n_queries >= FEWEST_TO_SHARE:
            # Models without gradients often change in steps along single features.
            n_each = n_queries // 4
            self._search(Square(n_queries=n_queries - 2 * n_each, image_shape=shape), scores, at)
            at = self.result.left(at)
            if len(at):
                self._search(Coordinates(n_queries=n_each), scores, at)
            return self.result.left(at), n_each
        X_adv = self._search(Square(n_queries=n_queries, image_shape=shape), scores, at)
        return self._misled(scores, X_adv, at), n_queries

    def _misled(self, scores: Callable, X_adv: Tensor, at: NDArray) -> NDArray:
        """Positions whose scores err where the estimator does not."""
        codes = self.evaluation.problem.codes[self.result.samples[at]]
        with torch.no_grad():
            misled = scores(X_adv).argmax(dim=1).numpy() != codes
        return self.result.left(at[misled])

    def by_labels(self, at: NDArray, method: RayS, told: bool) -> None:
        """Attack by labels; note where no other label was met, unless scores told enough."""
        problem, samples = self.evaluation.problem, self.result.samples[at]
        state = method.closest_errors(
            self.access.answers.predict, problem.points(samples), problem.labels(samples),
            eps=self.eps, threat=problem.threat, **self._random(),
        )  # fmt: skip
        self.result.unseen[at] = ~state.seen.numpy() & (not told)
        self._record(at, state.X_adv, method.name)

    def _transfer(self, at: NDArray) -> NDArray:
        """Attack by a linear surrogate, which costs next to nothing; return who is left."""
        problem, samples = self.evaluation.problem, self.result.samples[at]
        surrogate = linear_surrogate(problem)
        if surrogate is None:
            return at
        X, y = problem.points(samples), problem.labels(samples)
        X_adv = transfer(surrogate, X, y, eps=self.eps, threat=problem.threat)
        self._record(at, X_adv, "transfer")
        return self.result.left(at)

    def _search(self, method: Attack, scores: Callable, at: NDArray) -> Tensor:
        problem, samples = self.evaluation.problem, self.result.samples[at]
        X, y = problem.points(samples), problem.labels(samples)
        X_adv = method(scores, X, y, eps=self.eps, threat=problem.threat, **self._random())
        self._record(at, X_adv, method.name)
        return X_adv
