"""What changes while a net trains in tensorflow_mwms.py, beside its arrays, and its checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from keep.checkpoints import CheckpointError
from show.report import Epoch

if TYPE_CHECKING:
    from mwms.learn import Learner


@dataclass(slots=True, kw_only=True)
class State:
    """How far a training is; the same on all workers, so that their checkpoints are the same bytes."""

    epoch: int = 0
    """Epochs done."""
    images: int = 0
    """Images that all workers have trained."""
    rows: list[Epoch] = field(default_factory=list)
    """Of the epochs that are done."""
    start_seconds: float | None = None
    """From the start of the program to the end of the first step."""

    def checkpoint(self, learner: Learner, step: int) -> dict[str, Any]:
        """All that the rest of the training depends on; the order of images follows from seed and epoch."""
        rows = [asdict(row) for row in self.rows]
        return {"epoch": self.epoch, "step": step, "images": self.images, "rows": rows, **learner.arrays()}

    def restore(self, content: dict[str, Any], learner: Learner) -> None:
        """The opposite of `checkpoint`. Raises CheckpointError."""
        learner.restore(content)
        try:
            self.epoch, self.images = int(content["epoch"]), int(content["images"])
            self.rows = [Epoch(**row) for row in content["rows"]]
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"this checkpoint is not of this program: {error}") from error
