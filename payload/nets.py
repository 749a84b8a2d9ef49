"""Name -> network: normalised images, N x 784 float32, to logits, N x 10.

N images, P = 784 pixels, C channels, H x W pixels, K = 10 classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable


def mlp_100() -> nn.Module:
    """784-100-10 with ReLU: 79,510 parameters, 318 kB of gradients a step."""
    return nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))


class LeNet(nn.Module):
    """Two 5 x 5 convolutions with pooling and BatchNorm, then one linear layer: 29,034 parameters.

    channels_last, because convolutions on a CPU are a third faster with it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2), nn.MaxPool2d(2), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 5, padding=2), nn.MaxPool2d(2), nn.BatchNorm2d(32), nn.ReLU(),
        )  # fmt: skip
        self.classes = nn.Linear(32 * 7 * 7, 10)
        self.to(memory_format=torch.channels_last)

    def forward(self, images_NP: Tensor) -> Tensor:  # noqa: N803  # shape suffix
        """Logits of normalised images."""
        images_NCHW = images_NP.view(-1, 1, 28, 28).contiguous(memory_format=torch.channels_last)
        logits_NK: Tensor = self.classes(self.features(images_NCHW).flatten(1))
        return logits_NK


NETS: dict[str, Callable[[], nn.Module]] = {"mlp-100": mlp_100, "lenet": LeNet}
