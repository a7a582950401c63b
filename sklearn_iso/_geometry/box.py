"""By how much rounding may put a point outside of a box."""

from __future__ import annotations

import torch
from torch import Tensor

#: Units in the last place.
ULPS = 4


def rounding_slack(X: Tensor, low: Tensor, high: Tensor) -> Tensor:
    r"""Return how far beyond the bounds of its features X still counts as inside.

    .. math:: 4 \epsilon_{32} (high - low) + 4 \epsilon_X \max(|low|, |high|)

    X was often scaled in float32, whatever its dtype is now: that rounds to a share of the range.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry.box import rounding_slack
    >>> slack = rounding_slack(torch.zeros(1, 1), torch.tensor(0.0), torch.tensor(1.0))
    >>> bool(3e-8 < slack < 1e-6)
    True
    """
    ends = torch.stack(torch.broadcast_tensors(low.double(), high.double()))
    bounded = ends.isfinite()
    size = torch.where(bounded, ends.abs(), 0).amax(dim=0)
    width = torch.where(bounded.all(dim=0), ends[1] - ends[0], size)
    single, own = torch.finfo(torch.float32).eps, torch.finfo(X.dtype).eps
    return (ULPS * single * width + ULPS * own * size).to(X)
