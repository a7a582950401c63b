"""Blocks one after the other, each with a head of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from sklearn_iso.modules._mlp import MLP

#: What a block computes: its logits, and the activations of its hidden layers.
Pass = tuple[Tensor, list[Tensor]]


class Stack(nn.Module):
    r"""Multi-layer perceptrons, each of which starts where the one before it ends.

    .. math:: z^{(0)} = x, \quad z^{(k)} = g_k(z^{(k-1)}), \quad f_k(x) = W_k z^{(k)} + b_k

    Parameters
    ----------
    n_features : int
        Width of the input.
    n_outputs : sequence of int
        Width of the logits of each block.
    block_sizes : sequence of sequences of int
        Widths of the hidden layers of each block, at least one.
    activation : str, default="relu"
        A key of :data:`sklearn_iso.modules.ACTIVATIONS`.
    initialization : {"glorot", "orthogonal"}, default="glorot"
        Of the weights: Glorot uniform, or orthogonal. Biases start at 0.
    generator : torch.Generator, optional
        Draws the weights; None takes torch's default generator.
    dtype : torch.dtype, default=torch.float32
        Of the weights.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules import Stack
    >>> stack = Stack(4, [2, 5], block_sizes=[(8,), (6,)])
    >>> stack(torch.zeros(3, 4)).shape
    torch.Size([3, 7])
    """

    def __init__(
        self,
        n_features: int,
        n_outputs: Sequence[int],
        *,
        block_sizes: Sequence[Sequence[int]],
        activation: str = "relu",
        initialization: str = "glorot",
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        entering = [n_features, *(sizes[-1] for sizes in block_sizes[:-1])]
        self.blocks = nn.ModuleList(
            MLP(
                n_in,
                n_out,
                hidden_layer_sizes=sizes,
                activation=activation,
                initialization=initialization,
                generator=generator,
                dtype=dtype,
            )
            for n_in, n_out, sizes in zip(entering, n_outputs, block_sizes, strict=True)
        )

    @classmethod
    def of(cls, blocks: Iterable[nn.Module]) -> Stack:
        """Return a stack of given perceptrons.

        Parameters
        ----------
        blocks : iterable of nn.Module
            Perceptrons, the first of which reads X.

        Returns
        -------
        stack : Stack
            Which holds these and no copies.
        """
        stack = cls.__new__(cls)
        nn.Module.__init__(stack)
        stack.blocks = nn.ModuleList(blocks)
        return stack

    def set_input_similarity(self, shift: Tensor, factor: float) -> None:
        """Set the shift (n_features,) and the one factor applied to every input.

        Parameters
        ----------
        shift : Tensor of shape (n_features,)
            Subtracted from each sample.
        factor : float
            By which each is multiplied then.
        """
        self._block(0).set_input_similarity(shift, factor)

    def forward(self, X: Tensor) -> Tensor:
        """Return the logits of all blocks, side by side."""
        return torch.cat([logits for logits, _ in self.passes(X)], dim=1)

    def passes(self, X: Tensor, n_blocks: int | None = None) -> list[Pass]:
        """Return the logits and hidden activations of the first blocks, all by default.

        Parameters
        ----------
        X : Tensor of shape (n_samples, n_features)
            Samples.
        n_blocks : int, default=None
            How many blocks run.

        Returns
        -------
        passes : list
            Logits and list of activations of each block.
        """
        found, Z = [], X
        for level in range(len(self.blocks) if n_blocks is None else n_blocks):
            logits, hidden = self._block(level).forward_hidden(Z)
            found.append((logits, hidden))
            Z = hidden[-1]
        return found

    def _block(self, level: int) -> MLP:
        block = self.blocks[level]
        assert isinstance(block, MLP)
        return block


class StackLevel(nn.Module):
    """The map from X to the logits of one block of a stack.

    Its hidden layers are those of that block alone.

    Parameters
    ----------
    stack : Stack
    level : int
    known : tuple of Tensor and pass, optional
        An input, and what the block is known to compute for that very tensor.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules import Stack, StackLevel, represent
    >>> stack = Stack(4, [2, 5], block_sizes=[(8,), (6,)])
    >>> [tuple(Z.shape) for Z in represent(StackLevel(stack, 1), torch.zeros(3, 4), "hidden")]
    [(3, 6)]
    """

    def __init__(self, stack: Stack, level: int, known: tuple[Tensor, Pass] | None = None) -> None:
        super().__init__()
        self.stack, self.level, self.known = stack, level, known

    def forward(self, X: Tensor) -> Tensor:
        """Return the logits (n_samples, n_outputs) of the block."""
        return self.forward_hidden(X)[0]

    def forward_hidden(self, X: Tensor) -> Pass:
        """Return the logits and the activations of the block's hidden layers, in order.

        Parameters
        ----------
        X : Tensor of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        logits : Tensor of shape (n_samples, n_outputs)
            Scores.
        activations : list of Tensor of shape (n_samples, n_units)
            One for each hidden layer.
        """
        if self.known is not None and self.known[0] is X:
            return self.known[1]
        return self.stack.passes(X, self.level + 1)[-1]


class LeafScores(nn.Module):
    r"""The score of every leaf: the sum of the logits of its cell at each level.

    .. math:: S_l(x) = \sum_k f_k(x)_{c_k(l)}, \qquad P(l \mid x) \propto \exp S_l(x)

    Parameters
    ----------
    stack : nn.Module
        Returns the logits of all levels, side by side.
    columns : Tensor of int of shape (n_leaves, n_levels)
        The column of each leaf's cell at each level.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_iso.modules import LeafScores
    >>> columns = torch.tensor([[0, 2], [0, 3], [1, 4]])
    >>> LeafScores(nn.Identity(), columns)(torch.tensor([[1.0, 0.0, 0.0, 2.0, 5.0]]))
    tensor([[1., 3., 5.]])
    """

    columns: Tensor

    def __init__(self, stack: nn.Module, columns: Tensor) -> None:
        super().__init__()
        self.stack = stack
        self.register_buffer("columns", columns)

    def forward(self, X: Tensor) -> Tensor:
        """Return the scores (n_samples, n_leaves) of X."""
        logits = self.stack(X)
        return torch.stack([logits[:, columns] for columns in self.columns.T]).sum(dim=0)


class BestLeaf(nn.Module):
    """The score of every cell of one level: that of the best leaf in it.

    Its largest column is the cell on the most probable path.

    Parameters
    ----------
    leaves : nn.Module
        Returns the scores of the leaves.
    cells : Tensor of int of shape (n_leaves,)
        The cell of each leaf.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_iso.modules import BestLeaf
    >>> BestLeaf(nn.Identity(), torch.tensor([0, 0, 1]))(torch.tensor([[1.0, 3.0, 5.0]]))
    tensor([[3., 5.]])
    """

    cells: Tensor

    def __init__(self, leaves: nn.Module, cells: Tensor) -> None:
        super().__init__()
        self.leaves = leaves
        self.register_buffer("cells", cells)
        self.n_cells = int(cells.max()) + 1

    def forward(self, X: Tensor) -> Tensor:
        """Return the scores (n_samples, n_cells) of X."""
        scores = self.leaves(X)
        lowest = torch.full_like(scores[:, :1], -torch.inf).repeat(1, self.n_cells)
        best: Tensor = lowest.scatter_reduce(1, self.cells.expand_as(scores), scores, "amax")
        return best
