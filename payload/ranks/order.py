"""(seed, epoch, world size) -> which rank trains which image when. Pure: no collective, no file, no clock.

An epoch is one permutation, cut into global batches, each cut into one part per rank:

    permutation   | global batch 0 | global batch 1 | …            the same for any number of ranks
    global batch  | rank 0 | rank 1 | rank 2 |                     parts equal, or after measured speed

so every image comes once per epoch, every rank takes as many steps as the others, and two runs with the same
global batch see the same images in the same step, whatever the number of ranks.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

JUDGED_AT_ONCE = 250  # images; a constant, because a float depends on the batch that it is computed in
SLOWEST, FASTEST = 0.1, 2  # times the mean speed: no rank gets less, or more, than so many fair parts


class OrderError(ValueError):
    """No such order exists: too few images, or a batch of none; the message is for the user."""


def check(count: int, batch_size: int, world: int, accumulate_batches: int = 1) -> None:
    """Raise OrderError unless `count` training images fill a step of `world` ranks."""
    if batch_size < 1 or accumulate_batches < 1:
        raise OrderError(
            f"a batch of {batch_size} images, {accumulate_batches} at a time: 1 or more are needed"
        )
    if world > count:
        raise OrderError(f"{world:,} ranks are more than the {count:,} training images: each needs one")
    wanted = batch_size * world * accumulate_batches
    if wanted > count:
        parts = [f"{batch_size:,}", *(f"{n:,} {what}" for n, what in
                 ((world, "ranks"), (accumulate_batches, "accumulated")) if n > 1)]  # fmt: skip
        raise OrderError(
            f"a batch of {' x '.join(parts)} images is more than the {count:,} training images; "
            f"at most {count // (world * accumulate_batches):,} per rank are possible"
        )


def steps_per_epoch(count: int, global_batch: int) -> int:
    """Optimizer steps of an epoch of `count` images, at most `global_batch` of them in each."""
    return max(1, -(-count // global_batch))


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """The permutation of one epoch, N int64. All ranks make the same; other epochs, other orders."""
    import torch  # here, as payload/tensorflow_mwms.py has none

    mixed = (seed * 1_000_003 + epoch) % (1 << 63)  # a generator takes 63 bits
    return torch.randperm(count, generator=torch.Generator().manual_seed(mixed))


def bounds(count: int, shares: Sequence[float]) -> list[int]:
    """Cut `count` items after `shares`, one part each: len(shares) + 1 limits from 0 to count.

    Parts differ from the exact share by less than one item; each has one at least if there are enough.
    """
    total, parts = sum(shares), len(shares)
    cuts = [0, *(round(count * part / total) for part in accumulate(shares))]
    for number in range(1, parts):  # one for each from the left, one left for each from the right
        cuts[number] = min(max(cuts[number], cuts[number - 1] + 1), count - (parts - number))
    return cuts if count >= parts else [min(number, count) for number in range(parts)] + [count]


def rank_batches(
    order: Tensor, steps: int, *, shares: Sequence[float], rank: int, micro_batches: int = 1
) -> list[tuple[Tensor, float]]:
    """One rank's batches of an epoch, and what the loss of one image counts in each.

    A step of n images gives this rank some, in `micro_batches` parts. Gradients are averaged over ranks and
    parts, so an image's loss counts ranks * micro_batches / n: then the mean of the gradients is the gradient
    of the mean, also where parts are not equal.
    """
    batches = []
    for global_batch in order.tensor_split(steps):
        cuts = bounds(len(global_batch), shares)
        mine = global_batch[cuts[rank] : cuts[rank + 1]]
        weight = len(shares) * micro_batches / len(global_batch)
        limits = bounds(len(mine), [1.0] * micro_batches)
        batches += [(mine[low:high], weight) for low, high in pairwise(limits)]
    return batches


def judged_chunks(count: int, world: int, rank: int) -> list[tuple[int, int]]:
    """One rank's chunks (first, end) of `count` images in data order; over the ranks every image once."""
    starts = range(0, count, JUDGED_AT_ONCE)[rank::world]
    return [(start, min(start + JUDGED_AT_ONCE, count)) for start in starts]


def shares_by_speed(images_per_second: Sequence[float]) -> list[float]:
    """Shares of a global batch that let all ranks end at the same moment; they add up to 1."""
    mean = sum(images_per_second) / len(images_per_second)
    speeds = [min(max(speed, SLOWEST * mean), FASTEST * mean) for speed in images_per_second]
    return [speed / sum(speeds) for speed in speeds]
