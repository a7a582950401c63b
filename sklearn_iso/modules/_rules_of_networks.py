"""Operations of the networks of this package."""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_iso.modules._autoencoder import ResidualMLP
from sklearn_iso.modules._convnet import ConvNet
from sklearn_iso.modules._graph import Graph
from sklearn_iso.modules._largest import Largest
from sklearn_iso.modules._mlp import MLP
from sklearn_iso.modules._nodes import DOUBLE, Diagonal, Joined, Sum
from sklearn_iso.modules._orthogonal import OrthogonalConvNet
from sklearn_iso.modules._rescaled import Rescaled
from sklearn_iso.modules._rules import append_part, reshaped, rule
from sklearn_iso.modules._rules_of_torch import columns
from sklearn_iso.modules._small_cnn import SmallCNN
from sklearn_iso.modules._stack import BestLeaf, LeafScores, Stack, StackLevel


def scaled(graph: Graph, at: int, factor: Tensor | None, shift: Tensor | None) -> int:
    """Append factors and shifts of the entries."""
    return graph.add(Diagonal(at, graph.shapes[at], factor, shift))


@rule(MLP)
def _mlp(module: MLP, graph: Graph, at: int) -> int:
    at = append_part("hidden", module.hidden, graph, _entered(module, graph, at))
    return append_part("output", module.output, graph, at)


def _entered(module: MLP, graph: Graph, at: int) -> int:
    return scaled(graph, at, module.factor, module.offset)


@rule(ConvNet, OrthogonalConvNet, SmallCNN)
def _convnet(module: ConvNet | OrthogonalConvNet | SmallCNN, graph: Graph, at: int) -> int:
    at = reshaped(graph, at, module.image_shape)
    at = append_part("convolutions", module.convolutions, graph, at)
    return append_part("head", module.head, graph, at)


@rule(ResidualMLP)
def _residual(module: ResidualMLP, graph: Graph, at: int) -> int:
    entered = scaled(graph, at, module.factor, module.offset)
    parts = [
        append_part("linear", module.linear, graph, entered),
        append_part("mlp", module.mlp, graph, entered),
    ]
    total = graph.add(Sum(parts, graph.shapes[parts[0]]))
    return scaled(graph, total, module.unit, module.center)


@rule(Rescaled)
def _rescaled(module: Rescaled, graph: Graph, at: int) -> int:
    at = graph.cast(append_part("module", module.module, graph, at), DOUBLE)
    return scaled(graph, at, module.factor, module.shift)


@rule(Stack)
def _stack(module: Stack, graph: Graph, at: int) -> int:
    outputs = _blocks(module, graph, at, len(module.blocks))
    return graph.add(Joined(outputs, [graph.shapes[output] for output in outputs]))


@rule(StackLevel)
def _level(module: StackLevel, graph: Graph, at: int) -> int:
    return _blocks(module.stack, graph, at, module.level + 1)[-1]


def _blocks(module: Stack, graph: Graph, at: int, n_blocks: int) -> list[int]:
    outputs = []
    for level in range(n_blocks):
        block = module._block(level)
        at = append_part(f"blocks.{level}.hidden", block.hidden, graph, _entered(block, graph, at))
        outputs.append(append_part(f"blocks.{level}.output", block.output, graph, at))
    return outputs


@rule(LeafScores)
def _leaves(module: LeafScores, graph: Graph, at: int) -> int:
    at = append_part("stack", module.stack, graph, at)
    chosen = [columns(graph, at, level) for level in module.columns.T]
    return graph.add(Sum(chosen, graph.shapes[chosen[0]]))


@rule(BestLeaf)
def _best_leaf(module: BestLeaf, graph: Graph, at: int) -> int:
    at = append_part("leaves", module.leaves, graph, at)
    cells = module.cells.cpu()
    members = [torch.nonzero(cells == cell).flatten() for cell in range(module.n_cells)]
    places = torch.full((max(map(len, members)), module.n_cells), -1)
    for cell, leaves in enumerate(members):
        places[: len(leaves), cell] = leaves
    return graph.add(Largest(at, (module.n_cells,), places, graph.shapes[at]))
