"""What every penalty is, and their weighted sum."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from sklearn_iso._typed import BaseComposition, BaseEstimator, clone
from sklearn_iso.modules import Layers
from sklearn_iso.penalties._batch import Batch


class Penalty(BaseEstimator, ABC):
    """A loss on how far a map is from keeping distances.

    A penalty of your own stores its parameters in ``__init__``, as every scikit-learn
    estimator does, and returns a scalar from ``__call__``. Penalties add (``p + q``) and
    scale (``0.1 * p``), and are cloned before they are calibrated.

    Attributes
    ----------
    layers : layers or None
        The representations the penalty reads; None means those of the estimator.
    needs_input_gradient : bool
        Whether the penalty differentiates representations with respect to X.
    needs_all_samples : bool
        Whether it is calibrated on every training sample and not on a sample of them.
    needs_labels : bool
        Whether it means nothing without y.
    by_sample : bool
        Whether it is a weighted mean of a value of each sample by itself, given draws that do not
        depend on the number of samples. Of a batch that several processes share, each then
        evaluates it on samples of its own.
    common_params : frozenset of str
        Parameters that mean the same in every penalty that lists them here, as a radius does: the
        plain name sets them in all such terms of a sum.
    grows_by_batch : bool
        Whether the progress of a batch is the share of the batches before it; else it is that
        of the epochs, its own included.

    Examples
    --------
    >>> from sklearn_iso import IsometricClassifier
    >>> from sklearn_iso.penalties import Penalty
    >>> class SmallLogits(Penalty):
    ...     def __call__(self, batch):
    ...         (Z,) = batch.representations("logits")
    ...         return Z.square().mean()
    >>> IsometricClassifier(penalty=0.1 * SmallLogits()).penalty.weights
    [0.1]
    """

    layers: Layers | None = None
    needs_input_gradient: bool = False
    needs_all_samples: bool = False
    grows_by_batch: bool = False
    common_params: frozenset[str] = frozenset()

    @property
    def needs_labels(self) -> bool:
        """Whether the penalty means nothing without y; a class may simply set it to True."""
        return False

    @property
    def by_sample(self) -> bool:
        """Whether the penalty is a mean over samples; a class may simply set it to True."""
        return False

    @abstractmethod
    def __call__(self, batch: Batch) -> Tensor:
        """Return the penalty of a batch, a scalar that is differentiable and at least 0."""

    def calibrate(
        self,
        X: Tensor,
        y: Tensor,
        sample_weight: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Penalty:
        """Set from the training data whatever is "auto", as attributes that end in ``_``.

        Parameters
        ----------
        X : Tensor of shape (n_samples, ...)
            Training samples, all or some.
        y : Tensor of shape (n_samples,)
            Their targets.
        sample_weight : Tensor of shape (n_samples,), default=None
            Their weights.
        generator : torch.Generator, default=None
            Where random numbers come from.

        Returns
        -------
        self : Penalty
            The penalty, calibrated.
        """
        return self

    def without_logits(self) -> Penalty:
        """Return a clone for a map whose outputs are no logits, such as an embedding.

        Returns
        -------
        penalty : Penalty
            The clone.

        Raises
        ------
        ValueError
            If the penalty is one of logits.
        """
        return clone(self)

    def release(self) -> None:
        """Let go of training data that calibration kept; called when a fit ends."""

    def rescale(self, factor: float) -> None:
        """Follow a map whose output has been multiplied by a factor, in what calibration found.

        Parameters
        ----------
        factor : float
            By which the output was multiplied.
        """

    def terms(self) -> list[tuple[str, float, Penalty]]:
        """Return the name, the weight and the penalty of each summand.

        Returns
        -------
        terms : list of (str, float, Penalty)
            One for each summand; a single penalty is its own.
        """
        return [(name_of(self), 1.0, self)]

    def __add__(self, other: Penalty) -> PenaltySum:
        """Return the sum of two penalties."""
        return weighted_sum([(weight, p) for _, weight, p in [*self.terms(), *other.terms()]])

    def __mul__(self, factor: float) -> PenaltySum:
        """Return the penalty times a non-negative factor."""
        return weighted_sum([(factor * weight, clone(p)) for _, weight, p in self.terms()])

    __rmul__ = __mul__


def name_of(penalty: Penalty) -> str:
    """Return the snake-case name of a penalty's class without the word Isometry."""
    stem = type(penalty).__name__.removesuffix("Isometry").removesuffix("Penalty")
    return "".join("_" + c.lower() if c.isupper() else c for c in stem).lstrip("_") or "penalty"


class PenaltySum(BaseComposition, Penalty):
    r"""Weighted sum of penalties.

    .. math:: P = \sum_k w_k P_k

    Usually written ``p + 0.1 * q``. A parameter is reached by the name of its term, as
    ``worst_case__radius``, and by its plain name, as ``radius``, where only one term has it or
    where it means the same in all that have it (their `common_params`): then in all of them. So
    ``penalty__radius`` in a grid moves the radius of every local pair; pairs in several norms
    are better told apart by their terms.

    Parameters
    ----------
    penalties : list of (str, Penalty)
        Terms and their names.
    weights : list of float, optional
        Non-negative weight of each term; all 1 by default.

    Examples
    --------
    >>> from sklearn_iso.penalties import WithinClassIsometry, WorstCaseIsometry
    >>> penalty = WithinClassIsometry() + 10 * WorstCaseIsometry()
    >>> penalty.weights
    [1.0, 10.0]
    >>> penalty.set_params(radius=2.0, within_class__scale=1.0).get_params()["radius"]
    2.0
    """

    def __init__(
        self,
        penalties: list[tuple[str, Penalty]],
        weights: Sequence[float] | None = None,
    ) -> None:
        self.penalties = penalties
        self.weights = weights

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted sum on a batch."""
        values = [weight * penalty(batch) for _, weight, penalty in self.terms()]
        return torch.stack(values).sum()

    def calibrate(
        self,
        X: Tensor,
        y: Tensor,
        sample_weight: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> PenaltySum:
        """Calibrate every term; all start at the same random draws, so that equal terms agree."""
        self._check()
        if generator is None:
            generator = torch.Generator().manual_seed(torch.initial_seed())
        state = generator.get_state()
        for _, penalty in self.penalties:
            generator.set_state(state)
            penalty.calibrate(X, y, sample_weight, generator)
        return self

    def without_logits(self) -> PenaltySum:
        """Return the sum of what the terms are without logits."""
        terms = [(name, penalty.without_logits()) for name, _, penalty in self.terms()]
        return PenaltySum(terms, self.weights)

    def release(self) -> None:
        """Release every term."""
        for _, penalty in self.penalties:
            penalty.release()

    def rescale(self, factor: float) -> None:
        """Follow a map whose output has been multiplied, in every term."""
        for _, penalty in self.penalties:
            penalty.rescale(factor)

    def terms(self) -> list[tuple[str, float, Penalty]]:
        """Return the name, the weight and the penalty of each term."""
        self._check()
        weights = self._weights()
        return [(name, w, p) for (name, p), w in zip(self.penalties, weights, strict=True)]

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the parameters, those of the terms too."""
        params = self._get_params("penalties", deep=deep)
        if deep:
            for plain, full in self._plain_names(params).items():
                values = [params[name] for name in full]
                if len({repr(value) for value in values}) == 1:
                    params[plain] = values[0]
        return params

    def set_params(self, **params: object) -> PenaltySum:
        """Set parameters of the sum or of its terms, a common one in all that have it."""
        plain = self._plain_names(self._get_params("penalties", deep=True))
        self._refuse_ambiguous(params)
        named = {name: value for key, value in params.items() for name in plain.get(key, [key])}
        self._set_params("penalties", **named)
        return self

    def _plain_names(self, params: Mapping[str, object]) -> dict[str, list[str]]:
        """Return the full names that each plain name stands for."""
        return {
            plain: full
            for plain, full in self._owners(params).items()
            if len(full) == 1 or self._is_common(plain, full)
        }

    def _owners(self, params: Mapping[str, object]) -> dict[str, list[str]]:
        names, found = {name for name, _ in self.penalties}, defaultdict(list)
        for key in params:
            term, _, plain = key.partition("__")
            if plain and term in names:
                found[plain].append(key)
        return found

    def _is_common(self, plain: str, full: list[str]) -> bool:
        terms = dict(self.penalties)
        return all(plain in terms[key.partition("__")[0]].common_params for key in full)

    def _refuse_ambiguous(self, params: Mapping[str, object]) -> None:
        owners = self._owners(self._get_params("penalties", deep=True))
        for key in params:
            full = owners.get(key, [])
            if len(full) > 1 and not self._is_common(key, full):
                raise ValueError(
                    f"A parameter that several penalties have needs the name of its term; "
                    f"got {key!r}. Set one of {full}."
                )

    def _weights(self) -> list[float]:
        return [1.0] * len(self.penalties) if self.weights is None else list(self.weights)

    def _check(self) -> None:
        self._check_kinds()
        if len(self._weights()) != len(self.penalties) or min(self._weights(), default=0) < 0:
            raise ValueError(
                f"weights must be one non-negative number for each of the "
                f"{len(self.penalties)} penalties; got {self.weights}. "
                "A penalty of negative weight would reward distortion."
            )

    def _check_kinds(self) -> None:
        named = isinstance(self.penalties, list | tuple) and all(
            isinstance(term, tuple) and len(term) == 2 and isinstance(term[1], Penalty)
            for term in self.penalties
        )
        if not named or not self.penalties:
            raise ValueError(
                f"penalties must be a list of pairs (name, Penalty), at least one; got "
                f"{self.penalties!r}. Or write p + 0.1 * q."
            )
        weights = self.weights
        if weights is not None and not (
            (isinstance(weights, list | tuple) or np.ndim(weights) == 1)
            and all(isinstance(weight, Real) and math.isfinite(weight) for weight in weights)
        ):
            raise ValueError(f"weights must be a list of finite numbers; got {weights!r}.")


def weighted_sum(terms: list[tuple[float, Penalty]]) -> PenaltySum:
    """Return the sum of weighted penalties under distinct names."""
    taken: Counter[str] = Counter()
    named = []
    for _, penalty in terms:
        name = name_of(penalty)
        taken[name] += 1
        named.append((name if taken[name] == 1 else f"{name}_{taken[name]}", penalty))
    return PenaltySum(named, [float(weight) for weight, _ in terms])
