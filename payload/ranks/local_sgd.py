"""Local SGD: ranks step on their own gradients, and average their parameters every K steps. For slow links.

Stich 2019, "Local SGD Converges Fast and Communicates Little". K steps send as many bytes as one step with
averaged gradients. The optimizer's moments stay each rank's own, and are averaged at the end of an epoch, so
that a checkpoint made there describes every rank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ranks.exact import is_distributed, summed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch.optim import Optimizer


def average(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its mean over the ranks, in one collective."""
    every = [tensor for tensor in tensors if tensor.is_floating_point()]
    if not is_distributed() or not every:
        return
    flat = summed(torch.cat([tensor.detach().reshape(-1) for tensor in every]))
    flat /= dist.get_world_size()
    with torch.no_grad():
        sizes = [tensor.numel() for tensor in every]
        for tensor, mean in zip(every, flat.split(sizes), strict=True):  # type: ignore[no-untyped-call]
            tensor.copy_(mean.view_as(tensor))


def average_parameters(net: nn.Module) -> None:
    """What happens every K steps: a barrier."""
    average(net.parameters())


def average_moments(optimizer: Optimizer) -> None:
    """What happens at the end of an epoch: a barrier. Step counts are the same on all ranks already."""
    average(value for state in optimizer.state.values() for value in state.values()
            if isinstance(value, Tensor) and value.dim() > 0)  # fmt: skip
