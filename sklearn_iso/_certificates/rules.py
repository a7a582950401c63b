"""Operations of the differentiable models of estimators, and of the steps before them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sklearn_iso.modules._graph import Graph
from sklearn_iso.modules._nodes import Dense, Diagonal, Joined, Moved
from sklearn_iso.modules._rules import NoBoundsError, append_part, reshaped, rule, unit_of
from sklearn_iso.modules._rules_of_torch import clipped, columns, in_order
from sklearn_iso.twins._affine import Linear, TwoLogits
from sklearn_iso.twins._columns import Columns, Impute, Indicate, SideBySide
from sklearn_iso.twins._projections import Project
from sklearn_iso.twins._registry import InOwnDtype
from sklearn_iso.twins._scalers import Clip, Rescale, Standardize
from sklearn_iso.twins._skorch_nets import BinaryLogits, LogOf


@rule(Linear)
def _linear(module: Linear, graph: Graph, at: int) -> int:
    n_outputs = module.coef.shape[1]
    return graph.add(Dense(at, module.coef.T, module.intercept.expand(n_outputs)))


@rule(Project)
def _project(module: Project, graph: Graph, at: int) -> int:
    return graph.add(Dense(at, module.directions.T, None))


@rule(TwoLogits)
def _two_logits(module: TwoLogits, graph: Graph, at: int) -> int:
    return graph.add(Moved(at, (1,), (2,), _after_zero))


def _after_zero(z: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(z), z], dim=1)


@rule(BinaryLogits)
def _binary_logits(module: BinaryLogits, graph: Graph, at: int) -> int:
    at = reshaped(graph, at, (1,))
    shifted = graph.add(Diagonal(at, (1,), None, torch.tensor(-module.shift, dtype=torch.float64)))
    return graph.add(Moved(shifted, (1,), (2,), _after_zero))


@rule(LogOf)
def _log_of(module: LogOf, graph: Graph, at: int) -> int:
    if module.probabilities is not None or not graph.ends_in_order:
        raise NoBoundsError(module, reason="the module before must end with a softmax")
    return in_order(graph, at)


@rule(Standardize)
def _standardize(module: Standardize, graph: Graph, at: int) -> int:
    factor = None if module.scale is None else 1 / module.scale.double()
    shift = None if module.centre is None else -module.centre.double()
    if factor is not None and shift is not None:
        shift = shift * factor
    return graph.add(Diagonal(at, graph.shapes[at], factor, shift))


@rule(Rescale)
def _rescale(module: Rescale, graph: Graph, at: int) -> int:
    return graph.add(Diagonal(at, graph.shapes[at], module.scale, module.shift))


@rule(Clip)
def _clip(module: Clip, graph: Graph, at: int) -> int:
    return clipped(graph, at, module.low, module.high)


@rule(Columns)
def _columns(module: Columns, graph: Graph, at: int) -> int:
    return columns(graph, at, module.positions)


@rule(SideBySide)
def _side_by_side(module: SideBySide, graph: Graph, at: int) -> int:
    parts = []
    for number, (twin, weight) in enumerate(zip(module.twins, module.weights, strict=True)):
        part = append_part(f"twins.{number}", twin, graph, at)
        factor = torch.tensor(weight, dtype=torch.float64)
        parts.append(graph.add(Diagonal(part, graph.shapes[part], factor, None)))
    return graph.add(Joined(parts, [graph.shapes[part] for part in parts]))


@rule(Impute)
def _impute(module: Impute, graph: Graph, at: int) -> int:
    _check_missing(module)
    return at


@rule(Indicate)
def _indicate(module: Indicate, graph: Graph, at: int) -> int:
    _check_missing(module)
    zeros = torch.zeros(graph.shapes[at], dtype=torch.float64)
    return graph.add(Diagonal(at, graph.shapes[at], zeros, zeros))


def _check_missing(module: Impute | Indicate) -> None:
    if not math.isnan(module.missing):
        raise NoBoundsError(module, reason="missing values must be NaN, which no sample has")


@rule(InOwnDtype)
def _in_own_dtype(module: InOwnDtype, graph: Graph, at: int) -> int:
    unit = unit_of(module.module)
    at = at if unit is None else graph.cast(at, unit)
    return append_part("module", module.module, graph, at)
