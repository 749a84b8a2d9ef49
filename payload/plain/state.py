"""What changes while a net trains in torch_ddp.py, and its checkpoint in the names that Lightning uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from keep.weights import load_weights, prefixed

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(slots=True, kw_only=True)
class State:
    """A net, what trains it, and how far it is."""

    net: nn.Module
    model: nn.Module
    """The net, wrapped by DDP where there is more than one rank."""
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    epoch: int = 0
    """Epochs done."""
    images: int = 0
    """Images that all ranks have trained."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Of the epochs that were done when it was restored, for the journal."""
    start_seconds: float | None = None
    """From the start of the program to the end of the first step."""

    def checkpoint(self, steps: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """All that the rest of the training depends on, after epochs of `steps`; nothing random (nets.py)."""
        return {
            "state_dict": prefixed(self.net),
            "optimizer_states": [self.optimizer.state_dict()],
            "lr_schedulers": [self.scheduler.state_dict()],
            "epoch": self.epoch,
            "global_step": self.epoch * steps,
            "rows": rows,
            "images": self.images,
        }

    def restore(self, content: dict[str, Any]) -> None:
        """The opposite of `checkpoint`. Raises CheckpointError."""
        load_weights(self.net, content)
        self.optimizer.load_state_dict(content["optimizer_states"][0])
        self.scheduler.load_state_dict(content["lr_schedulers"][0])
        self.epoch, self.rows, self.images = content["epoch"], content["rows"], content["images"]
