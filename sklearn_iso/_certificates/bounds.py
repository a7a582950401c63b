"""Lower bounds of margins of logits: intervals, and linear functions of the input (CROWN)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_iso._certificates.balls import Ball
from sklearn_iso.modules._intervals import Graph, margin_rows
from sklearn_iso.modules._lines import Ramp
from sklearn_iso.modules._nodes import DOUBLE, Bounds, Cast, Diagonal, Moved, Node, largest
from sklearn_iso.modules._optimizers import uncompiled

_Adam = uncompiled(torch.optim.Adam)

#: Numbers that a chunk of rows holds at once.
MEMORY = 2**18
LEARNING_RATE = 0.2


@dataclass(frozen=True)
class Settings:
    """How much is spent on bounds; all of them are proofs.

    Parameters
    ----------
    linear : bool
        Whether the input of activations is bounded by linear functions of the input of the
        network, and the margins too; else by intervals alone.
    max_units : int
        Operations of more outputs are bounded by intervals all the same.
    n_steps : int
        Steps of gradient ascent on the lower slopes of piecewise linear activations.
    """

    linear: bool = True
    max_units: int = 1024
    n_steps: int = 0


class NetworkBounds:
    r"""Bounds of what a network computes in a ball around each sample.

    The network is its own floating-point program: each operation returns its exact value plus an
    error of at most :math:`\gamma_k (|W| |z| + |b|)` for sums of k terms, and the bounds hold for
    whatever errors of that size. The bounds themselves are computed in float64; its rounding is
    counted likewise.

    Parameters
    ----------
    graph : Graph
    ball : Ball
    settings : Settings

    Attributes
    ----------
    bounds : list of (low, high)
        Of the output of each operation; the first are those of the input.
    errors : dict of int to Tensor
        Largest rounding error of each operation.

    References
    ----------
    S. Gowal et al., "On the Effectiveness of Interval Bound Propagation for Training Verifiably
    Robust Models", 2018; H. Zhang et al., "Efficient Neural Network Robustness Certification with
    General Activation Functions", NeurIPS 2018; K. Xu et al., "Fast and Complete: Enabling
    Complete Neural Network Verification with Rapid and Massively Parallel Incomplete Verifiers",
    ICLR 2021; N. Higham, "Accuracy and Stability of Numerical Algorithms", 2002.
    """

    def __init__(self, graph: Graph, ball: Ball, settings: Settings | None = None) -> None:
        self.graph, self.ball = graph, ball
        self.settings = Settings() if settings is None else settings
        self.bounds: list[Bounds] = [(ball.low, ball.high)]
        size = math.prod(graph.shapes[0])
        self.errors: dict[int, Tensor] = {0: 8 * DOUBLE * (size + 8) * largest(self.bounds[0])}
        #: Operations that are affine in the input, and those whose outputs fill a box with it.
        self._through_affine, self._boxes = {0}, {0}
        with torch.no_grad():
            for number, node in enumerate(graph.nodes, 1):
                self.bounds.append(self._bounds_of(number, node))
            # Scores that close to each other may be equal as probabilities.
            unit = graph.nodes[-1].unit if graph.nodes else graph.unit
            tie = 8 * unit * (1 + largest(self.bounds[-1]))
            self.errors[graph.last] = self.errors.get(graph.last, 0) + tie

    def margins(self, y: Tensor) -> Tensor:
        """Return lower bounds (n, n_classes) of the logit of y less each other; inf at y itself."""
        rows = margin_rows(y, self.graph.shapes[self.graph.last][0], torch.float64)
        least = self.lowest(rows)
        return least.scatter(1, y[:, None], torch.inf)

    def lowest(self, rows: Tensor) -> Tensor:
        """Return lower bounds (n, k) of rows (n or 1, k, *shape) of the output.

        -inf where numbers overflow on the way.
        """
        with torch.no_grad():
            least = self.graph.lowest(rows, self.bounds, self.errors)
            least = least.expand(len(self.ball), -1)
            if self.settings.linear:
                least = torch.maximum(least, self._linear(rows, self.graph.last))
        if self.settings.linear and self.settings.n_steps and self.bent_ramps():
            least = torch.maximum(least, self._with_best_slopes(rows))
        return torch.where(self._finite()[:, None] & ~least.isnan(), least, -torch.inf)

    def _bounds_of(self, number: int, node: Node) -> Bounds:
        inputs = [self.bounds[i] for i in node.inputs]
        error = node.rounding(*inputs)
        low, high = node.interval(*inputs)
        if isinstance(error, Tensor):
            self.errors[number] = error
            low, high = low - error, high + error
        if node.affine and all(i in self._through_affine for i in node.inputs):
            self._through_affine.add(number)
        if isinstance(node, Diagonal | Moved | Cast) and node.inputs[0] in self._boxes:
            self._boxes.add(number)
        if self._worth_lines(number, node):
            low, high = self._tightened(number, low, high)
        return low, high

    def _worth_lines(self, number: int, node: Node) -> bool:
        """Whether linear functions may bound an operation more closely, at little cost."""
        readers = [other for other in self.graph.nodes if number in other.inputs]
        if not self.settings.linear or all(reader.affine for reader in readers):
            return False
        if number in self._through_affine:
            in_boxes = all(i in self._boxes for i in node.inputs)
            return not in_boxes or self.ball.norm.name != "linf"
        return math.prod(node.shape) <= self.settings.max_units

    def _tightened(self, number: int, low: Tensor, high: Tensor) -> Bounds:
        """Return the closer of given bounds and those by linear functions of the input."""
        shape = low.shape
        low, high = low.flatten(1).clone(), high.flatten(1).clone()
        readers = [other for other in self.graph.nodes if number in other.inputs]
        wanted = torch.ones_like(low, dtype=torch.bool)
        if all(isinstance(reader, Ramp) for reader in readers):
            wanted = (low < 0) & (high > 0)  # others are linear as they are
        units = torch.arange(low.shape[1])[wanted.any(dim=0)]
        for chunk in self._chunks(units, number):
            rows = torch.zeros(1, 2 * len(chunk), low.shape[1], dtype=torch.float64)
            places = torch.arange(len(chunk))
            rows[0, places, chunk], rows[0, len(chunk) + places, chunk] = 1.0, -1.0
            least = self._linear(rows.unflatten(2, shape[1:]), number)
            least = torch.where(least.isnan(), -torch.inf, least)
            least = torch.where(wanted[:, chunk].repeat(1, 2), least, -torch.inf)
            below, above = least.split(len(chunk), dim=1)
            low[:, chunk] = torch.maximum(low[:, chunk], below)
            high[:, chunk] = torch.minimum(high[:, chunk], -above)
        return low.reshape(shape), high.reshape(shape)

    def _chunks(self, units: Tensor, number: int) -> Iterator[Tensor]:
        widest = max(math.prod(shape) for shape in self.graph.shapes[: number + 1])
        n_samples = 1 if number in self._through_affine else len(self.ball)
        size = max(1, MEMORY // (2 * max(1, n_samples) * widest))
        return iter(units.split(size)) if len(units) else iter(())

    def _linear(self, rows: Tensor, at: int, slopes: dict[int, Tensor] | None = None) -> Tensor:
        """Return lower bounds of rows of an operation by a linear function of the input."""
        A, constant = self.graph.backward(rows, at, self.bounds, self.errors, slopes)
        from_input = self.ball.lowest(A) + constant
        return from_input - torch.matmul(
            A.abs().flatten(2), self.errors[0].flatten(1).unsqueeze(2)
        ).squeeze(2)

    def bent_ramps(self) -> list[int]:
        """Return the numbers of piecewise linear activations that bend somewhere."""
        found = []
        for number, node in enumerate(self.graph.nodes, 1):
            if isinstance(node, Ramp):
                low, high = self.bounds[node.inputs[0]]
                if ((low < 0) & (high > 0)).any():
                    found.append(number)
        return found

    def _with_best_slopes(self, rows: Tensor) -> Tensor:
        """Return the best bounds on a path of gradient ascent; slopes are those of each row."""
        slopes = {}
        for number in self.bent_ramps():
            low, high = self.bounds[self.graph.node(number).inputs[0]]
            start = (high > -low).double()[:, None]
            slopes[number] = start.repeat(1, rows.shape[1], *[1] * (low.ndim - 1))
            slopes[number].requires_grad_()
        optimizer = _Adam(slopes.values(), lr=LEARNING_RATE)
        best = torch.full((len(self.ball), rows.shape[1]), -torch.inf, dtype=torch.float64)
        with torch.enable_grad():
            for _ in range(self.settings.n_steps):
                least = self._linear(rows, self.graph.last, slopes)
                best = torch.maximum(best, torch.where(least.isnan(), -torch.inf, least.detach()))
                optimizer.zero_grad()
                (-least.sum()).backward()
                optimizer.step()
                with torch.no_grad():
                    for slope in slopes.values():
                        slope.clamp_(0, 1)
        return best

    @property
    def finite(self) -> bool:
        """Whether all bounds of all samples are finite; without them nothing is proven."""
        return bool(self._finite().all())

    def _finite(self) -> Tensor:
        """Return for which samples all bounds are finite; without them nothing is proven."""
        finite = torch.ones(len(self.ball), dtype=torch.bool)
        for low, high in self.bounds:
            finite &= (low.isfinite() & high.isfinite()).flatten(1).all(dim=1)
        return finite
