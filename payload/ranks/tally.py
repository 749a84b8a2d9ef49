"""Sums over the images that a rank has seen, and their total over the ranks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ranks.exact import summed


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a pass over images came to, over all ranks."""

    loss: float
    """Mean per image."""
    accuracy: float
    """0 to 1."""
    count: int


class Tally:
    """Loss, right answers and images of one rank. `total` is the one collective."""

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)  # loss, right answers
        self.count = 0
        self.forward_s = 0.0
        """Seconds in the forward passes that were timed."""
        self.forward_count = 0
        """Images in these."""

    def add(self, loss: Tensor, count: int, correct: Tensor | None = None) -> None:
        """Add a batch by the sum of its losses."""
        self.sums[0] += loss.detach()
        if correct is not None:
            self.sums[1] += correct
        self.count += count

    def total(self) -> Score:
        """The score over all ranks: a barrier, all ranks must call it."""
        loss, correct, count = summed(torch.cat([self.sums, self.sums.new_tensor([self.count])])).tolist()
        return Score(loss=loss / max(count, 1), accuracy=correct / max(count, 1), count=int(count))
