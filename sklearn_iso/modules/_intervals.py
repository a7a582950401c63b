"""Bounds of what a network computes, for all inputs between bounds."""

from __future__ import annotations

import torch
from torch import Tensor

# Importing them registers the rules.
from sklearn_iso.modules import _rules_of_networks, _rules_of_torch, _sorted, _traced  # noqa: F401
from sklearn_iso.modules._graph import Graph
from sklearn_iso.modules._rules import (
    NoBoundsError,
    append,
    append_part,
    bounded,
    graph_of,
    rule,
    rule_of,
    unit_of,
)

__all__ = [
    "Graph",
    "NoBoundsError",
    "append",
    "append_part",
    "bounded",
    "graph_of",
    "margin_rows",
    "rule",
    "rule_of",
    "unit_of",
    "worst_logits",
]


def margin_rows(y: Tensor, n_classes: int, dtype: torch.dtype) -> Tensor:
    """Return the rows that take the logit of each other class from that of y, which itself is 0.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules._intervals import margin_rows
    >>> margin_rows(torch.tensor([1]), 3, torch.float32)
    tensor([[[-1.,  1.,  0.],
             [ 0.,  0.,  0.],
             [ 0.,  1., -1.]]])
    """
    identity = torch.eye(n_classes, dtype=dtype, device=y.device)
    return identity[y][:, None, :] - identity


def worst_logits(graph: Graph, low: Tensor, high: Tensor, y: Tensor) -> Tensor:
    r"""Return logits of which each is by so much above that of y as it can be between bounds.

    .. math:: \bar z_t = -\underline{(z_y - z_t)}, \qquad \bar z_y = 0

    Their cross-entropy is no less than that of any input between the bounds. They are
    differentiable, in the weights of the network too.

    Parameters
    ----------
    graph : Graph
    low, high : Tensor of shape (n, *shape)
    y : Tensor of int of shape (n,)

    Returns
    -------
    logits : Tensor of shape (n, n_classes)

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_iso.modules._intervals import graph_of, worst_logits
    >>> graph, X = graph_of(nn.Identity(), (2,)), torch.tensor([[3.0, 1.0]])
    >>> worst_logits(graph, X - 0.5, X + 0.5, torch.tensor([0]))
    tensor([[ 0., -1.]])
    """
    if graph.ends_in_order:
        raise ValueError("The network must return logits; it ends with a softmax. Leave that out.")
    bounds = graph.intervals(low, high)
    rows = margin_rows(y, graph.shapes[graph.last][0], low.dtype)
    return 0 - graph.lowest(rows, bounds)
