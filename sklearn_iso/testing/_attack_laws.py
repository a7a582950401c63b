"""The laws that every attack keeps, as one check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor

from sklearn_iso._geometry.norms import NORMS, NormName
from sklearn_iso._threat import ThreatModel
from sklearn_iso._threat.model import Options
from sklearn_iso._typed import validate_params
from sklearn_iso.attacks import Attack, Budget, as_attack, get_norm
from sklearn_iso.attacks._choice import AttackLike
from sklearn_iso.modules import MLP
from sklearn_iso.testing._broken import LawBrokenError, require, shown
from sklearn_iso.testing._generators import require_global_generators_kept
from sklearn_iso.testing._models import require_model_kept

if TYPE_CHECKING:
    from typing_extensions import Unpack


@validate_params(
    {
        "norms": ["array-like", str],
        "reach": [Interval(Real, 1, None, closed="neither"), None],
        "n_features": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=False,
)
def check_attack(
    attack: AttackLike,
    *,
    norms: NormName | Sequence[NormName] = ("linf", "l2", "l1"),
    reach: float | None = 1.01,
    n_features: int = 5,
    **options: object,
) -> None:
    r"""Check the laws that an attack must keep.

    An attack is a function ``(logits, X, y, *, eps, threat, ...)`` of tensors, such as
    :func:`sklearn_iso.attacks.pgd`. In every norm it

    - returns finite points of the shape and dtype of X, without a graph, within the ball and the
      bounds, also where each feature has a unit of its own, and moves no feature of unit 0;
    - returns X for eps 0, and returns samples unchanged that are misclassified as they are;
    - breaks a linear model at `reach` times its exact distance
      :math:`|f(x)| / \|w\|_*` in the dual norm;
    - leaves X, y, the network (weights, gradients, training mode) and all global generators as
      they were, and repeats itself with the same options.

    Parameters
    ----------
    attack : callable, Attack or str
        An attack of your own, or one of :mod:`sklearn_iso.attacks` or its name.
    norms : str or sequence of str
        The norms that it takes.
    reach : float or None, default=1.01
        Budget over the exact distance, more than 1, at which every sample of a linear model must be
        misclassified. None leaves that out, as for an attack that looks at one step only.
    n_features : int, default=5
        Features of the linear model; attacks without gradients need many queries for more.
    **options
        Passed to the call of the attack, such as ``random_state=0``; attacks of this package carry
        their other parameters, ``Square(n_queries=3000)``, and draw from seed 0 by default.

    Raises
    ------
    LawBrokenError
        If a law is broken: an AssertionError that names it and the worst sample.
    ValueError
        If a parameter is out of its range.

    Examples
    --------
    >>> from sklearn_iso.testing import check_attack
    >>> check_attack("pgd", random_state=0)
    >>> def too_far(logits, X, y, *, eps, threat):
    ...     return X + 2 * eps
    >>> check_attack(too_far)
    Traceback (most recent call last):
    sklearn_iso.testing._broken.LawBrokenError: An attack must stay within eps; found ...
    """
    attack = as_attack(attack)
    if isinstance(attack, Attack):
        options = {"random_state": 0, **options}
    norms = [norms] if isinstance(norms, str) else list(np.ravel(np.asarray(norms, dtype=object)))
    if not norms:
        raise ValueError("norms must name one norm or more; got none. Pass for example ['linf'].")
    unknown = [norm for norm in norms if norm not in list(NORMS)]
    if unknown:
        raise ValueError(f"norms must name norms of {list(NORMS)}; got {unknown}.")
    for norm in norms:
        run = _Run(attack, norm, options)
        run.check_side_effects()
        run.check_budget()
        run.check_zero_budget()
        if reach is not None:
            run.check_reach(reach, n_features)


def linear_problem(n_features: int, norm: str, n: int = 20) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weights of a linear model, samples in turn of each class, and their distances."""
    generator = torch.Generator().manual_seed(int(n_features))
    w = torch.randn(int(n_features), generator=generator, dtype=torch.float64)
    X = torch.randn(n, int(n_features), generator=generator, dtype=torch.float64)
    dual = get_norm(norm).dual_order
    # Every sample at the same distance, so that one budget reaches all of them or none.
    value = 0.7 * torch.linalg.vector_norm(w, ord=dual) * (-1.0) ** torch.arange(n)
    X += (value - X @ w)[:, None] * w / (w @ w)
    return w, X, (X @ w).abs() / torch.linalg.vector_norm(w, ord=dual)


def linear_logits(w: Tensor) -> Callable[[Tensor], Tensor]:
    """Return logits (0, w x)."""
    return lambda x: torch.stack([torch.zeros_like(x[:, 0]), x @ w.to(x)], dim=1)


class _Run:
    """An attack in one norm, on a small network with points in the unit box."""

    def __init__(
        self, attack: Callable[..., Tensor], norm: NormName, options: Mapping[str, object]
    ) -> None:
        self.attack, self.norm, self.options = attack, norm, options
        generator = torch.Generator().manual_seed(0)
        self.model = MLP(
            6, 3, hidden_layer_sizes=(16,), activation="tanh", generator=generator
        ).eval()
        self.X = torch.rand(30, 6, generator=generator, dtype=torch.float32)
        with torch.no_grad():
            self.y = self.model(self.X).argmax(1)

    def __call__(
        self,
        logits: Callable[[Tensor], Tensor],
        X: Tensor,
        y: Tensor,
        eps: float,
        **threat: Unpack[Options],
    ) -> Tensor:
        """Return what the attack makes of X, which must be a tensor like X."""
        given = {"eps": eps, "threat": ThreatModel(self.norm, **threat)}
        X_adv = self.attack(logits, X, y, **given, **self.options)
        same = isinstance(X_adv, Tensor) and X_adv.shape == X.shape and X_adv.dtype == X.dtype
        told = type(X_adv).__name__
        if isinstance(X_adv, Tensor):
            told = f"{told} of shape {tuple(X_adv.shape)} and {X_adv.dtype}"
        require(
            same and torch.isfinite(X_adv).all() and not X_adv.requires_grad,
            f"An attack must return finite points of shape {tuple(X.shape)} and {X.dtype}, "
            f"without a graph; got a {told}{self.lost(X_adv) if same else ''}.",
        )
        return X_adv

    def check_zero_budget(self) -> None:
        X_adv = self(self.model, self.X.clone(), self.y.clone(), eps=0.0, bounds=(0, 1))
        require(
            torch.equal(X_adv, self.X), f"An attack must return X for eps 0; {self.told(X_adv)}"
        )
        wrong = (self.y + 1) % 3
        X_adv = self(self.model, self.X.clone(), wrong, eps=0.1, bounds=(0, 1))
        require(
            torch.equal(X_adv, self.X),
            f"Rows that are misclassified already must come back unchanged; {self.told(X_adv)}",
        )

    def check_budget(self) -> None:
        each = (0.0, 0.01, 0.05, 0.1, 0.3, 0.6)
        moved = False
        trials: list[tuple[float, Options]] = [
            (0.3, {}), (0.3, {"bounds": (0, 1)}), (1.0, {"units": each, "bounds": (0, 1)}),
        ]  # fmt: skip
        for eps, parts in trials:
            X_adv = self(self.model, self.X.clone(), self.y.clone(), eps=eps, **parts)
            threat = ThreatModel(self.norm, **parts)
            try:
                Budget.of(self.X, eps=eps, threat=threat).verify(self.X, X_adv)
            except ValueError as error:
                raise LawBrokenError(
                    f"{error} It came with eps={eps} and threat={threat}; {self.told(X_adv)}"
                ) from None
            moved = moved or not torch.equal(X_adv, self.X)
        require(moved, f"An attack must move some row; none moved in norm {self.norm!r}.")
        require(
            torch.equal(X_adv[:, 0], self.X[:, 0]),
            f"A feature of unit 0 must stay as it is; {self.told(X_adv)}",
        )

    def check_side_effects(self) -> None:
        X, y = self.X.clone(), self.y.clone()
        with (
            require_global_generators_kept("An attack"),
            require_model_kept(self.model, "An attack"),
        ):
            first, again = (self(self.model, X, y, eps=0.2) for _ in range(2))
        for name, now, before in (("X", X, self.X), ("y", y, self.y)):
            require(
                torch.equal(now, before),
                f"An attack must leave {name} as it was; it wrote into it. Work on a copy.",
            )
        require(
            torch.equal(first, again),
            "An attack must repeat itself with the same options. Pass random_state=0, or draw "
            "from nothing.",
        )

    def check_reach(self, reach: float, n_features: int) -> None:
        w, X, distance = linear_problem(n_features, self.norm)
        y, eps = (X @ w > 0).long(), float(distance[0]) * reach
        X_adv = self(linear_logits(w), X.clone(), y.clone(), eps=eps)
        safe = ((X_adv @ w > 0).long() == y).nonzero().flatten().tolist()
        require(
            not safe,
            f"An attack must break a linear model at {reach:g} times its exact distance in norm "
            f"{self.norm!r}; {len(safe)} of {len(X)} rows were not, the first of them row "
            f"{safe[0] if safe else None}. Give it more steps, or pass reach=None.",
        )

    @staticmethod
    def lost(X_adv: Tensor) -> str:
        """Return the first sample that is not finite."""
        lost = ~torch.isfinite(X_adv).all(dim=1)
        row = int(lost.int().argmax())
        return f", sample {row}: {shown(X_adv[row].detach())}" if lost.any() else " with one"

    def told(self, X_adv: Tensor) -> str:
        """Return the sample that moved farthest."""
        row = int((X_adv - self.X).abs().amax(1).argmax())
        return (
            f"in norm {self.norm!r}, sample {row} came from {shown(self.X[row])} to "
            f"{shown(X_adv[row])}."
        )
