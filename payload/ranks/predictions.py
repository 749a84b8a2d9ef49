"""What a net says of images -> predictions.csv. The same for every trainer here; never imports torch."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What a net says of images; N of each, in data order, on every rank."""

    labels: NDArray[np.int64]
    """As they came with the images."""
    classes: NDArray[np.int64]
    """Predicted."""
    probabilities: NDArray[np.float32]
    """Of the predicted class."""
    loss: float
    """Mean cross entropy."""

    @property
    def accuracy(self) -> float:
        """0 to 1."""
        return int((self.labels == self.classes).sum()) / max(1, len(self.labels))

    def csv(self) -> bytes:
        """index, label, prediction, probability: a row per image. Nine digits tell all float32 apart."""
        text = io.StringIO()
        text.write("index,label,prediction,probability\n")
        columns = self.labels.tolist(), self.classes.tolist(), self.probabilities.tolist()
        for index, (label, found, probability) in enumerate(zip(*columns, strict=True)):
            text.write(f"{index},{label},{found},{probability:.9g}\n")
        return text.getvalue().encode()
