"""The attack of an evaluation: what it runs on which rows, judged by the estimator itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_iso.attacks import (
    ATTACKS,
    STAGES,
    cascade_stages,
    closest_errors,
    coordinates,
    rays,
    square,
)
from sklearn_iso.attacks.survivors import as_generator, verdict
from sklearn_iso.metrics.case import Case
from sklearn_iso.metrics.evaluation import Access
from sklearn_iso.metrics.options import options_for
from sklearn_iso.metrics.transfer import linear_surrogate, transfer

Attack = Callable[..., Tensor]
#: Points asked about for each sample without gradients, and where gradients were followed before.
AUTOMATIC_QUERIES, QUERIES_AFTER_GRADIENTS = 1000, 500
ROWS_CHECKED, QUERIES_CHECKED, SHARE_OVERLOOKED = 100, 50, 0.01
WITHOUT_GRADIENTS = ("square", "rays")
FEWEST_TO_SHARE = 8


@dataclass
class Broken:
    """Which rows were broken, by what, and where.

    Attributes
    ----------
    rows : ndarray of shape (n,)
        Row numbers in the case.
    X_adv : Tensor of shape (n, ...)
    fooled : ndarray of bool, shape (n,)
    stage : ndarray of str, shape (n,)
        Which attack fooled the row; empty where none did.
    unseen : ndarray of bool, shape (n,)
        For which rows labels alone were searched and no other label was ever met.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn_iso.metrics.breaking import Broken
    >>> Broken.none(np.array([3, 5]), torch.zeros(2, 1)).fooled
    array([False, False])
    """

    rows: NDArray
    X_adv: Tensor
    fooled: NDArray
    stage: NDArray
    unseen: NDArray

    @classmethod
    def none(cls, rows: NDArray, X: Tensor) -> Broken:
        """Rows that nothing has broken yet."""
        n = len(rows)
        stage, unseen = np.full(n, "", dtype=object), np.zeros(n, dtype=bool)
        return cls(rows, X.clone(), np.zeros(n, dtype=bool), stage, unseen)

    def record(self, at: NDArray, X_adv: Tensor, fooled: NDArray, stage: Any) -> None:
        """Note what an attack made of the rows at some positions."""
        hit = at[fooled]
        self.X_adv[hit], self.fooled[hit] = X_adv[fooled], True
        self.stage[hit] = stage if isinstance(stage, str) else stage[fooled]


@dataclass(frozen=True)
class Procedure:
    """How rows are attacked.

    Parameters
    ----------
    attack : str or callable
    n_steps, n_restarts : int or None
        Those of a single attack; None leaves them to it.
    n_queries : int or None
        Queries without gradients for each row; None decides by the access.
    random_state : int, RandomState, torch.Generator or None

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_iso.metrics.breaking import Procedure
    >>> from sklearn_iso.metrics.case import Case
    >>> from sklearn_iso.metrics.evaluation import Access
    >>> X, y = load_iris(return_X_y=True)
    >>> case = Case.of(LogisticRegression(max_iter=500).fit(X, y), X, y)
    >>> Procedure(random_state=0).run(case, Access.of(case), 5.0, np.array([0, 1])).stage
    array(['cross_entropy', 'cross_entropy'], dtype=object)
    """

    attack: str | Attack = "cascade"
    n_steps: int | None = None
    n_restarts: int | None = None
    n_queries: int | None = None
    random_state: Any = None

    def seeded(self) -> Procedure:
        """Return the same procedure with one generator for all its runs."""
        if callable(self.attack):
            return self  # a user's attack gets what the user passed
        return replace(self, random_state=as_generator(self.random_state))

    @property
    def needs_access(self) -> bool:
        """Whether it matters if there are gradients."""
        return self.attack not in WITHOUT_GRADIENTS

    def access(self, case: Case, rows: NDArray) -> Access:
        """Access to the estimator, checked for what the attack needs.

        Raises
        ------
        NotDifferentiableError, ValueError
            If the attack follows gradients and there is no twin, or none that agrees.
        """
        if not self.needs_access:
            return Access(case, "score-based", "as asked for")
        access = Access.of(case, rows)
        if self.attack == "cascade":
            if not access.climbs and self.n_queries == 0:
                raise ValueError(
                    "n_queries must be positive where there are no gradients to follow; got 0, "
                    f"and {access.reason}."
                )
            return access
        if access.error is not None:
            raise access.error
        if not access.climbs and "predicts otherwise" in access.reason:
            raise ValueError(
                "The estimator's twin must predict as the estimator does; it differs: "
                f"{access.reason}. Correct its to_torch() or its registered twin (a subclass that "
                "changes predict or transform needs one of its own), or pass attack='cascade', "
                "which then attacks without gradients."
            )
        return access

    def run(self, case: Case, access: Access, eps: float, rows: NDArray) -> Broken:
        """Attack rows, all of them classified correctly, within a budget.

        Raises
        ------
        ValueError
            If an attack leaves the budget or the bounds, touches what is immutable, or returns
            NaN.
        """
        broken = Broken.none(rows, case.points(rows))
        if not len(rows) or case.budget(case.points(rows), eps).is_zero:
            return broken
        case.refused.limit(case.table.values, case.threat.radius(eps), case.threat.categories)
        if self.attack == "cascade":
            self._cascade(case, access, eps, broken)
        elif self.attack in WITHOUT_GRADIENTS:
            n_queries = AUTOMATIC_QUERIES if self.n_queries is None else self.n_queries
            self._without_gradients(case, access, eps, broken, np.arange(len(rows)), n_queries)
        else:
            self._one_attack(case, access, eps, broken)
        return broken

    def _one_attack(self, case: Case, access: Access, eps: float, broken: Broken) -> None:
        attack = ATTACKS[self.attack] if isinstance(self.attack, str) else self.attack
        names = ("n_steps", "n_restarts", "n_queries", "random_state")
        options = {name: getattr(self, name) for name in names}
        run = partial(attack, **options_for(attack, image_shape=case.image_shape, **options))
        X, y = case.points(broken.rows), case.labels(broken.rows)
        # Copies: an attack of a user may write into X and y, and is judged by the originals.
        given = {"eps": eps, "threat": case.threat}
        logits = access.logits if isinstance(self.attack, str) else access.twin
        X_adv = run(logits, X.clone(), y.clone(), **given)
        if not isinstance(X_adv, Tensor):
            raise TypeError(
                f"An attack must return a tensor of perturbed rows; got {type(X_adv).__name__}."
            )
        X_adv = X_adv.detach()
        case.budget(X, eps).verify(X, X_adv)
        name = self.attack if isinstance(self.attack, str) else "custom"
        broken.record(np.arange(len(X)), X_adv, case.fools(X_adv, broken.rows), name)

    def _cascade(self, case: Case, access: Access, eps: float, broken: Broken) -> None:
        claimed = np.zeros(len(broken.rows), dtype=bool)
        if access.climbs:
            claimed = self._climb(case, access, eps, broken)
        n_queries = self.n_queries
        if n_queries is None:
            # A trusted twin has the last word, but for points where the estimator contradicts.
            n_queries = QUERIES_AFTER_GRADIENTS if access.trusted else AUTOMATIC_QUERIES
            trusted = access.trusted and not self._overlooked(case, access, eps, broken)
            left = ~broken.fooled & (claimed | (not trusted))
        else:
            left = ~broken.fooled & (n_queries > 0)
        self._without_gradients(case, access, eps, broken, np.flatnonzero(left), n_queries)

    def _overlooked(self, case: Case, access: Access, eps: float, broken: Broken) -> bool:
        """Whether a short search on the twin finds what gradients did not.

        Gradients at a point tell little of a quadratic score in the l1 norm, for example, where
        the best of many corners is to be found.
        """
        left = broken.rows[~broken.fooled]
        some = left[:: max(1, -(-len(left) // ROWS_CHECKED))]
        if not len(some):
            return False
        X, y = case.points(some), case.labels(some)
        X_adv = square(
            access.logits, X, y, eps=eps, n_queries=QUERIES_CHECKED,
            random_state=self.random_state, image_shape=case.image_shape, threat=case.threat,
        )  # fmt: skip
        with torch.no_grad():
            found = verdict(access.twin(X_adv), y)
            found &= access.twin(X).argmax(dim=1) == y
        return int(found.sum()) > SHARE_OVERLOOKED * len(some)

    def _climb(self, case: Case, access: Access, eps: float, broken: Broken) -> NDArray:
        """Attack by the gradients of the twin; return which rows the twin gives up."""
        X, y = case.points(broken.rows), case.labels(broken.rows)
        X_adv, stage = cascade_stages(
            access.logits, X, y, eps=eps, random_state=self.random_state, threat=case.threat
        )
        case.budget(X, eps).verify(X, X_adv)
        fooled = case.fools(X_adv, broken.rows)
        # Where the twin holds and the estimator does not, the last attack's point did it.
        last = STAGES.index("targeted_margin")
        names = np.array(STAGES, dtype=object)[np.where(stage < 1, last, stage)]
        broken.record(np.arange(len(X)), X_adv, fooled, names)
        return stage.numpy() >= 0

    def _without_gradients(
        self, case: Case, access: Access, eps: float, broken: Broken, at: NDArray, n_queries: int
    ) -> None:
        """Attack the rows at some positions by scores, and by labels where scores mislead."""
        if not len(at):
            return
        scores = None if self.attack == "rays" else access.answers.scores
        if scores is None and self.attack == "square":
            raise ValueError(
                "attack='square' needs scores that decide as predict does; of "
                f"{type(case.estimator).__name__} we know that {access.answers.source}. Pass "
                "attack='rays', which needs labels alone."
            )
        if self.attack == "cascade" and not access.climbs:
            at = self._transfer(case, eps, broken, at)
        if scores is not None and len(at):
            at, n_queries = self._by_scores(scores, case, access, eps, broken, at, n_queries)
        if len(at):
            self._by_labels(access, case, eps, broken, at, n_queries, told=scores is not None)

    def _by_scores(
        self,
        scores: Callable,
        case: Case,
        access: Access,
        eps: float,
        broken: Broken,
        at: NDArray,
        n_queries: int,
    ) -> tuple[NDArray, int]:
        """Attack by scores; return who is left to labels, and for how many queries."""
        shape = {"image_shape": case.image_shape, "n_restarts": self.n_restarts or 1}
        alone = self.attack == "square" or access.trusted
        if not alone and n_queries >= FEWEST_TO_SHARE:
            # Models without gradients often change in steps along single features.
            n_each = n_queries // 4
            n_first = n_queries - 2 * n_each
            self._search(square, scores, case, eps, broken, at, n_first, **shape)
            at = at[~broken.fooled[at]]
            if len(at):
                self._search(coordinates, scores, case, eps, broken, at, n_each)
            return at[~broken.fooled[at]], n_each
        X_adv = self._search(square, scores, case, eps, broken, at, n_queries, **shape)
        with torch.no_grad():
            misled = scores(X_adv).argmax(dim=1).numpy() != case.codes[broken.rows[at]]
        return at[misled & ~broken.fooled[at]], n_queries

    def _by_labels(
        self,
        access: Access,
        case: Case,
        eps: float,
        broken: Broken,
        at: NDArray,
        n_queries: int,
        told: bool,
    ) -> None:
        """Attack by labels; note where no other label was met, unless scores told enough."""

        def search(*args: Any, **options: Any) -> Tensor:
            X_adv, seen = closest_errors(*args, **options)
            broken.unseen[at] = ~seen.numpy() & (not told)
            return X_adv

        search.__name__ = rays.__name__
        self._search(search, access.answers.predict, case, eps, broken, at, n_queries)

    def _transfer(self, case: Case, eps: float, broken: Broken, at: NDArray) -> NDArray:
        """Attack by a linear surrogate, which costs next to nothing; return who is left."""
        surrogate, rows = linear_surrogate(case), broken.rows[at]
        if surrogate is None:
            return at
        X = case.points(rows)
        X_adv = transfer(surrogate, X, case.labels(rows), eps=eps, threat=case.threat)
        case.budget(X, eps).verify(X, X_adv)
        broken.record(at, X_adv, case.fools(X_adv, rows), "transfer")
        left: NDArray = at[~broken.fooled[at]]
        return left

    def _search(
        self,
        attack: Attack,
        answer: Callable,
        case: Case,
        eps: float,
        broken: Broken,
        at: NDArray,
        n_queries: int,
        **options: Any,
    ) -> Tensor:
        rows = broken.rows[at]
        X, y = case.points(rows), case.labels(rows)
        X_adv = attack(
            answer, X, y, eps=eps, n_queries=n_queries, random_state=self.random_state,
            threat=case.threat, **options,
        )  # fmt: skip
        case.budget(X, eps).verify(X, X_adv)
        broken.record(at, X_adv, case.fools(X_adv, rows), attack.__name__)
        return X_adv
