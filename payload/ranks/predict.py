"""A net and images -> one prediction per image, the same bits whatever the number of ranks.

A float depends on the batch that it is computed in, on threads and on precision. So images are cut into
chunks of a fixed size in data order, dealt to the ranks, and computed in fp32, on a CPU by one thread. Labels
pass through beside their images; what the ranks found comes together by adding: all but one of them add 0.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ranks.exact import DisagreementError, broadcast_buffers, summed
from ranks.order import judged_chunks
from ranks.predictions import Predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from data import Table


def predict(
    net: nn.Module,
    table: Table,
    normalise: Callable[[Tensor], Tensor],
    *,
    device: torch.device,
    rank: int,
    world: int,
) -> Predictions:
    """Predict every image of `table` once, over all ranks: a barrier. BatchNorm's statistics become rank 0's.

    Raises DisagreementError if an image was not predicted exactly once.
    """
    broadcast_buffers(net)
    found = torch.zeros(
        4, len(table), dtype=torch.float64
    )  # label, class, probability, times; exact for all of them
    loss = torch.zeros(1, dtype=torch.float64)
    with _judging(net, device):
        for first, end in judged_chunks(len(table), world, rank):
            part = table.part(first, end)
            logits_NK = net(normalise(part.images.to(device))).float()
            labels_N = part.labels.to(device)
            probabilities_N, classes_N = logits_NK.softmax(1).max(1)
            columns = (labels_N, classes_N, probabilities_N, torch.ones_like(labels_N))
            found[:, first:end] = torch.stack([column.double() for column in columns]).cpu()
            loss += cross_entropy(logits_NK, labels_N, reduction="sum").double().cpu()
    labels, classes, probabilities, times = summed(found).cpu()
    if not bool((times == 1).all()):
        strays = int((times != 1).sum())
        raise DisagreementError(
            f"{strays:,} of {len(table):,} images were not predicted exactly once over {world} ranks"
        )
    return Predictions(
        labels=labels.long().numpy(), classes=classes.long().numpy(),
        probabilities=probabilities.float().numpy(), loss=float(summed(loss)) / max(1, len(table)),
    )  # fmt: skip


@contextlib.contextmanager
def _judging(net: nn.Module, device: torch.device) -> Iterator[None]:
    """Evaluation mode, no gradients, no autocast, one thread; afterwards all as before."""
    was_training, threads = net.training, torch.get_num_threads()
    net.eval()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_num_threads(threads)
        net.train(was_training)
