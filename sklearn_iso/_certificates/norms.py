"""Upper bounds of spectral norms of the linear operations of networks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sklearn_iso.modules._nodes import DOUBLE, Affine, Convolution, Dense

#: Largest smaller side of a matrix whose spectral norm is computed; beyond, it is bounded.
MOST_UNITS = 4096


class SpectralNorms:
    r"""Upper bounds of the norms of linear operations whose input is scaled, each found once.

    Of a matrix it is the largest singular value, and what its computation may round; of a
    convolution

    .. math:: \|W *\|_2^2 \le \lceil k_h / s_h \rceil \lceil k_w / s_w \rceil
              \|W_{\mathrm{flat}}\|_2^2, \qquad \|W *\|_2^2 \le \|W *\|_1 \|W *\|_\infty

    with the kernel as a matrix of one row for each output channel: an entry is in no more windows
    than that. Both are equal for windows that do not overlap.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._certificates.norms import SpectralNorms
    >>> from sklearn_iso.modules._nodes import Dense
    >>> node = Dense(0, torch.diag(torch.tensor([2.0, 3.0])), None)
    >>> round(float(SpectralNorms()(node, torch.tensor([1.0, 0.5]), (2,))), 6)
    2.0
    """

    def __init__(self) -> None:
        self._found: dict[tuple[int, bytes], Tensor] = {}
        self._nodes: list[Affine] = []  # kept, so that an id stays its own

    def __call__(self, node: Affine, scale: Tensor | None, shape: tuple[int, ...]) -> Tensor:
        """Return the bound for inputs of a shape, times a scale."""
        wide = None if scale is None else scale.double().expand(shape)
        key = (id(node), b"" if wide is None else wide.contiguous().numpy().tobytes())
        if key not in self._found:
            self._nodes.append(node)
            with torch.no_grad():
                self._found[key] = _norm(node, wide, shape)
        return self._found[key]


def _norm(node: Affine, scale: Tensor | None, shape: tuple[int, ...]) -> Tensor:
    if isinstance(node, Dense):
        weight = node.weight.detach().double()
        return matrix_norm(weight if scale is None else weight * scale)
    most = torch.ones((), dtype=torch.float64) if scale is None else scale.amax()
    bound = _by_sums(node, shape)
    if isinstance(node, Convolution):
        bound = torch.minimum(bound, _by_kernel(node))
    return bound * most


def matrix_norm(matrix: Tensor) -> Tensor:
    """Return the spectral norm of a matrix in float64, and no less."""
    n, m = matrix.shape
    if min(n, m) > MOST_UNITS:
        sums = matrix.abs()
        return (sums.sum(0).amax() * sums.sum(1).amax()).sqrt() * (1 + DOUBLE * 4 * (n + m))
    if not min(n, m):
        return torch.zeros((), dtype=torch.float64)
    scale = matrix.abs().amax().clamp_min(torch.finfo(matrix.dtype).tiny)
    scaled = matrix / scale  # whose squares neither overflow nor vanish
    square = scaled @ scaled.mT if n < m else scaled.mT @ scaled
    largest = torch.linalg.eigvalsh(square)[-1].clamp_min(0)
    # The products, and the eigenvalues of what they round to.
    slack = 8 * DOUBLE * (n + m + 8) * square.diagonal().sum()
    return (largest + slack).sqrt() * scale * (1 + 4 * DOUBLE)


def _by_sums(node: Affine, shape: tuple[int, ...]) -> Tensor:
    """Return the root of the largest sum of a row and that of a column, absolute."""
    with torch.enable_grad():
        ones = torch.ones(1, *shape, dtype=torch.float64, requires_grad=True)
        rows = node.linear(ones, absolute=True)
        (columns,) = torch.autograd.grad(rows.sum(), ones)
    n_terms = math.prod(shape) + math.prod(node.shape)
    return (rows.detach().amax() * columns.amax()).sqrt() * (1 + 8 * DOUBLE * n_terms)


def _by_kernel(node: Convolution) -> Tensor:
    kernel, groups = node.weight.detach().double(), node.options["groups"]
    parts = kernel.reshape(groups, len(kernel) // groups, -1)
    largest = torch.stack([matrix_norm(part) for part in parts]).amax()
    pairs = zip(kernel.shape[2:], node.options["stride"], node.options["dilation"], strict=True)
    often = math.prod(k if gap > 1 else math.ceil(k / step) for k, step, gap in pairs)
    return largest * math.sqrt(often) * (1 + 4 * DOUBLE)
