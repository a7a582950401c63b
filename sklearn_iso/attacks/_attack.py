"""What every attack shares: its call, and the state of the samples that it attacks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from torch import Tensor

from sklearn_iso._threat import Threat
from sklearn_iso.attacks._budget import Budget
from sklearn_iso.attacks._categories import Categories
from sklearn_iso.attacks._losses import Loss
from sklearn_iso.attacks._objective import Logits, Objective, check_shape
from sklearn_iso.attacks._parameters import RandomState, as_generator, check_counts
from sklearn_iso.modules._ambient import gradients_on

Value = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
#: Label of a point that got none: one that the classifier refuses. It is no adversarial example.
NO_ANSWER = torch.iinfo(torch.int64).min


def _check_finite(logits: Tensor) -> None:
    if not torch.isfinite(logits).all():
        raise ValueError(
            "logits must be finite at X; found NaN or infinity. Return scores before any softmax "
            "or log, and scale the features if they overflow."
        )


def check_labels(y: Tensor, n_rows: int) -> Tensor:
    """Return labels as int64, of shape (n_rows,), not negative.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._attack import check_labels
    >>> check_labels(torch.tensor([0, 2], dtype=torch.uint8), n_rows=2)
    tensor([0, 2])
    """
    try:
        y = torch.as_tensor(y)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"y must hold one integer for each sample; got {y!r}.") from error
    if y.is_floating_point() or y.dtype == torch.bool or y.shape != (n_rows,):
        raise ValueError(
            f"y must hold one integer for each sample, of shape ({n_rows},); got {y.dtype} of "
            f"shape {tuple(y.shape)}. Pass column numbers of the logits."
        )
    if len(y) and y.min() < 0:
        raise ValueError(f"y must hold column numbers of the logits; found {int(y.min())}.")
    return y.long()


def verdict(outputs: Tensor, y: Tensor) -> Tensor:
    """Which samples are misclassified, from logits or scores (n, n_classes) or from labels (n,).

    A sample whose scores are NaN or infinite, or whose label is `NO_ANSWER`, is not.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._attack import verdict
    >>> y = torch.tensor([0, 1])
    >>> verdict(torch.tensor([[2.0, 1.0], [3.0, 0.0]]), y), verdict(torch.tensor([0, 1]), y)
    (tensor([False,  True]), tensor([False, False]))
    """
    if not isinstance(outputs, Tensor):
        raise ValueError(
            f"logits must return a tensor of shape (n, n_classes); got {type(outputs).__name__}. "
            "Use torch.as_tensor."
        )
    if outputs.shape == y.shape and not outputs.is_floating_point():
        return (outputs != y) & (outputs != NO_ANSWER)
    check_shape(outputs, len(y))
    return (outputs.argmax(dim=1) != y) & outputs.isfinite().all(dim=1)


def _batches(rows: Tensor, batch_size: int) -> Iterator[Tensor]:
    return iter(rows.split(batch_size) if len(rows) else ())


def on_copies(logits: Logits) -> Logits:
    """Return logits that may write into their input, as an in-place ReLU does, and harm nothing.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._attack import on_copies
    >>> x = torch.tensor([-1.0])
    >>> on_copies(torch.relu_)(x), x
    (tensor([0.]), tensor([-1.]))
    """
    return lambda x: logits(x.clone())


class AttackState:
    """Samples under attack, with the best point found for each.

    Samples that are misclassified from the start are never attacked. A sample leaves as soon as a
    point breaks the network; for the others the point of the highest loss is kept.

    Parameters
    ----------
    logits : callable
        Maps points of shape (n, ...) to logits of shape (n, n_classes), or to labels (n,).
    X : Tensor of shape (n, ...)
    y : Tensor of shape (n,)
        Columns of the logits.
    batch_size : int
        Most samples that logits sees at once.

    Attributes
    ----------
    X_adv : Tensor of shape (n, ...)
        The best points so far.
    centres : Tensor of shape (n, ...)
        What the balls surround: X, but for the categories that were flipped.
    robust : Tensor of shape (n,), bool
        Samples not misclassified yet.
    is_fresh : bool
        Whether no gradient was taken yet: if the first are no numbers, the callable is at fault.
    seen : Tensor of shape (n,), bool
        For which samples an error was met, within the budget or beyond it. Kept by searches that
        need one to start from.
    ranking : Tensor of shape (n, n_classes - 1)
        Wrong classes, that of the largest logit at X first; empty for labels.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._attack import AttackState
    >>> X = torch.tensor([[1.0], [-1.0], [2.0]])
    >>> state = AttackState(lambda x: torch.cat([x, -x], dim=1), X, torch.zeros(3, dtype=int), 10)
    >>> list(state.batches())
    [tensor([0, 2])]
    """

    def __init__(self, logits: Logits, X: Tensor, y: Tensor, batch_size: int) -> None:
        check_counts(batch_size=batch_size)
        self.logits, self.X, self.batch_size = on_copies(logits), X, int(batch_size)
        self.y = self._checked(y).to(X.device)
        self.X_adv, self.centres = X.detach().clone(), X.detach()
        self.best_loss = torch.full((len(X),), -torch.inf, dtype=X.dtype, device=X.device)
        self.robust = torch.zeros(len(X), dtype=torch.bool, device=X.device)
        self.is_fresh = True
        rankings = []
        for rows in _batches(torch.arange(len(X), device=X.device), self.batch_size):
            self.robust[rows], ranking = self._judge(rows)
            rankings.append(ranking)
        self.seen = ~self.robust
        self.ranking = torch.cat(rankings) if rankings else self.y.new_empty(0, 0)

    def _checked(self, y: Tensor) -> Tensor:
        return check_labels(y, len(self.X))

    @torch.no_grad()
    def _judge(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Which samples are classified correctly, and their wrong classes by logit."""
        outputs, y = self.logits(self.X[rows]), self.y[rows]
        wrong = verdict(outputs, y)
        if outputs.ndim == 1:
            return ~wrong, y.new_empty(len(y), 0)
        _check_finite(outputs)
        if y.max() >= outputs.shape[1]:
            raise ValueError(
                f"y must hold column numbers of the {outputs.shape[1]} logits; found "
                f"{int(self.y.max())}."
            )
        order = outputs.argsort(dim=1, descending=True, stable=True)
        return ~wrong, order[order != y.unsqueeze(1)].view(len(y), -1)

    def batches(self) -> Iterator[Tensor]:
        """Iterate over the samples not misclassified yet, packed into full batches."""
        return _batches(self.robust.nonzero().squeeze(1), self.batch_size)

    def objective(self, loss: Loss) -> Objective:
        """Return what an attack that asks for a loss is to climb."""
        return Objective(self.logits, loss)

    def goals(self, rows: Tensor, rank: int | None) -> Tensor:
        """Labels of the samples, beside the wrong class of a rank where one is given."""
        y = self.y[rows]
        return y if rank is None else torch.stack([y, self.ranking[rows, rank]], dim=1)

    def rounds(self, categories: Categories | None, value: Value) -> Iterator[None]:
        """Yield once for the categories of X, then once after each flip of those still robust.

        A flip is greedy: of all single flips of the centre of a sample, with the other features
        of its best point, the one of the highest value becomes its new centre.

        Parameters
        ----------
        categories : Categories or None
        value : callable
            Maps points and y to a value, higher for a better flip, and whether they break.
        """
        self.centres = self.X.detach()
        yield
        if categories is None:
            return
        self.centres = self.centres.clone()
        for _ in range(categories.max_changes):
            for rows in self.batches():
                self._flip(categories, rows, value)
            yield

    def _flip(self, categories: Categories, rows: Tensor, value: Value) -> None:
        y = self.y[rows]
        # Earlier stages may have left other categories in the best point: count from the centre.
        best = categories.graft(self.X_adv[rows], self.centres[rows])
        flipped = categories.best_flip(best, lambda x: value(x, y)[0])
        self.centres[rows] = categories.graft(self.X[rows], flipped)
        self.record(rows, flipped, *value(flipped, y))

    def lose(self, which: Tensor) -> None:
        """Count samples of a mask as misclassified at their best points."""
        self.robust &= ~which

    def forget(self) -> None:
        """Let the next points count as the best yet, as after a change of the loss."""
        self.best_loss.fill_(-torch.inf)

    def record(self, rows: Tensor, points: Tensor, loss: Tensor, misclassified: Tensor) -> None:
        """Keep the points of samples that were misclassified or whose loss is the highest yet."""
        better = misclassified | (loss > self.best_loss[rows])
        self.X_adv[rows[better]] = points[better]
        self.best_loss[rows[better]] = loss[better].to(self.best_loss)
        self.robust[rows[misclassified]] = False


@dataclass(frozen=True, kw_only=True, repr=False)
class Attack(ABC):
    """An attack with its parameters, called on tensors.

    It compares, hashes, prints and pickles. Attacks of this package derive from it; a callable of
    the same signature does as well wherever an attack is asked for.

    Parameters
    ----------
    batch_size : int, default=1000
        Most samples that the callable sees at once.

    Attributes
    ----------
    name : str
        What is short for this attack with its defaults.
    asks : {"gradients", "scores", "labels"}
        What the callable must give: logits that differentiate, scores, or labels alone.

    Examples
    --------
    >>> from sklearn_iso.attacks import PGD
    >>> PGD(n_steps=10).asks, PGD(n_steps=10) == PGD(n_steps=10)
    ('gradients', True)
    """

    name: ClassVar[str]
    asks: ClassVar[str] = "gradients"

    batch_size: int = 1000

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_counts(batch_size=self.batch_size)

    @gradients_on()
    def __call__(
        self,
        logits: Logits,
        X: Tensor,
        y: Tensor,
        *,
        eps: float,
        threat: Threat = "linf",
        random_state: RandomState = None,
    ) -> Tensor:
        """Return perturbed samples.

        Parameters
        ----------
        logits : callable
            Maps points of shape (n, ...) to logits of shape (n, n_classes), each sample by itself
            (put modules in eval mode). Attacks that ask for scores take decision values or
            probabilities too, and those that ask for labels integers of shape (n,).
        X : Tensor of shape (n, ...), float32 or float64
        y : Tensor of shape (n,), integers
            Columns of the logits.
        eps : float
            Radius of the ball, in units of the threat.
        threat : ThreatModel, or the name of a norm
            What the attack may do, see :class:`sklearn_iso.ThreatModel`.
        random_state : int, numpy generator, torch.Generator or None
            Draws starting points and random steps; None takes fresh entropy.

        Returns
        -------
        Tensor of the shape of X

        Raises
        ------
        ValueError
            If X lies outside the bounds or is not finite, an argument is out of its range, logits
            are not finite at X, or the gradient is not finite for any sample. Elsewhere a point
            whose logits are not finite is no adversarial example.
        """
        self.check(X, threat)
        budget = Budget.of(X, eps=eps, threat=threat)
        state = AttackState(logits, X, y, self.batch_size)
        self.run(state, budget, as_generator(random_state))
        return state.X_adv

    def __repr__(self) -> str:
        """Return the parameters that are not the default."""
        values = ((field, getattr(self, field.name)) for field in fields(self))
        told = (f"{field.name}={value!r}" for field, value in values if value != field.default)
        return f"{type(self).__name__}({', '.join(told)})"

    def check(self, X: Tensor, threat: Threat) -> None:  # noqa: B027 - most fit all samples
        """Raise a ValueError where the attack cannot be of samples like X, or of the threat.

        Parameters
        ----------
        X : Tensor of shape (n, ...)
            Samples.
        threat : ThreatModel
            Threat that the attack is to keep.
        """

    @abstractmethod
    def run(self, state: AttackState, budget: Budget, generator: torch.Generator) -> None:
        """Attack the samples that are still robust, and record what comes of it.

        Parameters
        ----------
        state : AttackState
            Samples that are still robust, and what has been found.
        budget : Budget
            What a perturbation may be.
        generator : torch.Generator
            Where random numbers come from.
        """


@dataclass(frozen=True, kw_only=True, repr=False)
class MinimumNormAttack(Attack):
    """An attack that looks for the closest error, within a budget or without one.

    Examples
    --------
    >>> from sklearn_iso.attacks import FMN
    >>> from sklearn_iso.attacks._attack import MinimumNormAttack
    >>> isinstance(FMN(), MinimumNormAttack)
    True
    """

    def __call__(
        self,
        logits: Logits,
        X: Tensor,
        y: Tensor,
        *,
        eps: float | None = None,
        threat: Threat = "linf",
        random_state: RandomState = None,
    ) -> Tensor:
        """Return the closest misclassified points.

        `logits` maps points of shape (n, ...) to logits, scores or labels, whichever the attack
        asks for; X holds n floating-point samples, y their labels or columns of the logits, and
        `random_state` seeds random steps. eps is the largest budget, in units of the threat:
        samples without a misclassified point within it come back unchanged. None: no limit.
        """
        return self.closest_errors(
            logits, X, y, eps=eps, threat=threat, random_state=random_state
        ).X_adv

    @gradients_on()
    def closest_errors(
        self,
        logits: Logits,
        X: Tensor,
        y: Tensor,
        *,
        eps: float | None = None,
        threat: Threat = "linf",
        random_state: RandomState = None,
    ) -> AttackState:
        """Attack, and return the state: the points, and for which samples an error was seen."""
        self.check(X, threat)
        budget = Budget.of(X, eps=eps, threat=threat)
        state = AttackState(logits, X, y, self.batch_size)
        self.run(state, budget, as_generator(random_state))
        return state
