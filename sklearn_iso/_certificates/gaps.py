"""Networks behind imputation at samples with missing values: what is filled in is a constant."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_iso._threat import ThreatModel
from sklearn_iso._threat.parts import Mask
from sklearn_iso.modules._graph import Graph
from sklearn_iso.modules._nodes import Diagonal
from sklearn_iso.modules._rules import rule
from sklearn_iso.twins._columns import Impute, Indicate


class Filled(nn.Module):
    """Some columns replaced by constants, whatever they hold.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._certificates.gaps import Filled
    >>> Filled(torch.tensor([True, False]), torch.tensor([5.0, 6.0]))(torch.ones(1, 2))
    tensor([[5., 1.]])
    """

    missing: Tensor
    statistics: Tensor

    def __init__(self, missing: Tensor, statistics: Tensor) -> None:
        super().__init__()
        self.register_buffer("missing", missing)
        self.register_buffer("statistics", statistics)

    def forward(self, X: Tensor) -> Tensor:
        """Return X with the constants."""
        return torch.where(self.missing, self.statistics.to(X), X)


@rule(Filled)
def _filled(module: Filled, graph: Graph, at: int) -> int:
    keeps = (~module.missing).double()
    shift = torch.where(module.missing, module.statistics.double(), 0.0)
    return graph.add(Diagonal(at, graph.shapes[at], keeps, shift))


@dataclass(frozen=True, eq=False)
class Part:
    """Samples that miss the same values, with a model for them in which these are no input.

    Parameters
    ----------
    rows : ndarray of int, shape (n,)
    model : nn.Module
    X : ndarray of shape (n, n_features)
        Without missing values.
    threat : ThreatModel
        In which what was missing stays.
    """

    rows: NDArray
    model: nn.Module
    X: NDArray
    threat: ThreatModel


def parts(model: nn.Module, X: NDArray, threat: ThreatModel) -> Iterator[Part]:
    """Yield samples by what they miss; where a model knows nothing of it, as they are.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso._certificates.gaps import parts
    >>> from sklearn_iso.twins._columns import Impute
    >>> X, model = np.array([[np.nan, 2.0]]), Impute([5.0, 6.0], missing=float("nan"))
    >>> (part,) = parts(model, X, ThreatModel().resolve(X))
    >>> part.model(torch.from_numpy(part.X)), part.threat
    (tensor([[5., 2.]], dtype=torch.float64), ThreatModel(immutable=<mask of 1 among 2 features>))
    """
    gone = np.isnan(X)
    if X.ndim != 2 or not gone.any():  # noqa: PLR2004
        yield Part(np.arange(len(X)), model, X, threat)
        return
    patterns, of_sample = np.unique(gone, axis=0, return_inverse=True)
    for number, missing in enumerate(patterns):
        rows = np.flatnonzero(of_sample.ravel() == number)
        yield _part(model, X, threat, rows, missing)


def _part(
    model: nn.Module, X: NDArray, threat: ThreatModel, rows: NDArray, missing: NDArray
) -> Part:
    given = Part(rows, model, X[rows], threat)
    if not missing.any():
        return given
    samples = torch.from_numpy(np.array(given.X, dtype=np.float64))
    filled = _without_imputation(model, samples[:1])
    X = np.where(missing, 0, given.X).astype(X.dtype)
    with torch.no_grad():
        before, after = model(samples), filled(torch.from_numpy(X.astype(np.float64)))
    if not torch.equal(before, after):  # also where NaN is left, which equals nothing
        return given
    stays = missing.copy() if threat.immutable is None else threat.immutable_mask() | missing
    return Part(rows, filled, X, replace(threat, immutable=Mask.of(stays)))


def _without_imputation(model: nn.Module, sample: Tensor) -> nn.Module:
    """Return a copy of a model that takes what is missing in a sample as missing in all."""
    copied = copy.deepcopy(model)
    seen: dict[nn.Module, Tensor] = {}

    def watch(module: nn.Module, inputs: tuple[Tensor]) -> None:
        seen[module] = inputs[0].isnan().any(dim=0)

    read = (one for one in copied.modules() if isinstance(one, Impute | Indicate))
    steps = [one for one in read if np.isnan(one.missing)]
    hooks = [one.register_forward_pre_hook(watch) for one in steps]
    with torch.no_grad():
        copied(sample)
    for hook in hooks:
        hook.remove()
    fills: dict[nn.Module, nn.Module] = {
        one: _constant(one, seen[one]) for one in steps if one in seen
    }
    if copied in fills:
        return fills[copied]
    for parent in list(copied.modules()):
        for name, child in parent.named_children():
            if child in fills:
                setattr(parent, name, fills[child])
    return copied


def _constant(step: Impute | Indicate, missing: Tensor) -> nn.Module:
    """Return what a step makes of samples that all miss the same values."""
    if isinstance(step, Impute):
        return Filled(missing, step.statistics)
    return Filled(torch.ones_like(missing), missing.double())
