"""What the workers have to say -> the driver, which prints and writes; and what Ray Data's tasks ask for.

An actor on the driver's machine. Never imports torch, which would double what it takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Message = tuple[str, Any]
"""text: a line. rows: those of the epochs before. row: the Epoch that ended. done: what the driver needs."""


class Relay:
    """Messages, in order, until they are taken; which image stands where in the epoch that is on; weights."""

    def __init__(self, weights: Any = None) -> None:
        self.messages: list[Message] = []
        self.held = weights
        self.current: NDArray[np.int64] | None = None

    def put(self, kind: str, content: Any) -> None:
        """From the rank that sits on the driver's machine."""
        self.messages.append((kind, content))

    def take(self) -> list[Message]:
        """For the driver."""
        taken, self.messages = self.messages, []
        return taken

    def begin(self, order: NDArray[np.int64]) -> None:
        """From one rank, before any asks its shard for the images of an epoch."""
        self.current = order

    def order(self) -> NDArray[np.int64] | None:
        """For the tasks that read images."""
        return self.current

    def weights(self) -> Any:
        """For the actors that predict: as arguments of theirs they would be gone at a second start."""
        return self.held


def relay_here(weights: Any = None) -> Any:
    """A relay on this machine; it ends with this job."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Relay).options(num_cpus=0, scheduling_strategy=here).remote(weights)
