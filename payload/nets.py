"""Name -> network: normalised images, N x C x H x W float32, to logits, N x K.

N images, C channels, H x W pixels, K classes. Every net takes images of any such shape; figures are for
MNIST, 1 x 28 x 28 and 10 classes, those of `resnet` for CIFAR-10, 3 x 32 x 32.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Shape = tuple[int, int, int]

DROPPED = 0.2  # of the hidden activations of mlp-512-256-128, while it trains


class Dropout(nn.Module):
    """Dropout whose masks follow from a seed: the same step of a resumed run drops the same activations.

    On a CPU it takes a third of the time of torch's own (0.73 against 2.15 ms, forward and backward of
    512 x 512 floats on one thread): each 64-bit random number serves four elements, not one.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.limit = round(probability * 65_536)  # of 2^16 equal chances
        self.scale = 65_536 / (65_536 - self.limit)
        self.seed = 0
        self._generator: torch.Generator | None = None

    def reseed(self, seed: int) -> None:
        """Take the next masks from `seed`, 0 to 2^63 - 1."""
        self.seed = seed
        if self._generator is not None:
            self._generator.manual_seed(seed)

    def forward(self, values: Tensor) -> Tensor:
        """Zero about `probability` of the values and scale the others up, while training."""
        if not self.training:
            return values
        if self._generator is None or self._generator.device != values.device:
            self._generator = torch.Generator(values.device).manual_seed(self.seed)
        count = values.numel()
        numbers = torch.empty((count + 3) // 4, dtype=torch.int64, device=values.device)
        numbers.random_(-(2**63), None, generator=self._generator)
        kept = numbers.view(torch.int16)[:count].view(values.shape) >= self.limit - 32_768
        return values * (kept * self.scale).to(values.dtype)


def mlp(*hidden: int, dropout: float = 0.0) -> Callable[[Shape, int], nn.Module]:
    """Fully connected layers with ReLU between them, and Dropout behind each hidden one if asked for."""

    def make(shape: Shape, classes: int) -> nn.Module:
        layers: list[nn.Module] = [nn.Flatten()]
        widths = [math.prod(shape), *hidden]
        for taken, given in zip(widths, hidden, strict=False):
            layers += [nn.Linear(taken, given), nn.ReLU(), *([Dropout(dropout)] if dropout else [])]
        return nn.Sequential(*layers, nn.Linear(widths[-1], classes))

    return make


class LeNet(nn.Module):
    """Two 5 x 5 convolutions with pooling and BatchNorm, then one linear layer: 29,034 parameters.

    channels_last, because convolutions on a CPU are a third faster with it.
    """

    def __init__(self, shape: Shape, classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.features = nn.Sequential(
            nn.Conv2d(channels, 16, 5, padding=2), nn.MaxPool2d(2), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 5, padding=2), nn.MaxPool2d(2), nn.BatchNorm2d(32), nn.ReLU(),
        )  # fmt: skip
        self.classes = nn.Linear(32 * (height // 4) * (width // 4), classes)
        self.to(memory_format=torch.channels_last)

    def forward(self, images_NCHW: Tensor) -> Tensor:  # noqa: N803  # shape suffix
        """Logits of normalised images."""
        images_NCHW = images_NCHW.contiguous(memory_format=torch.channels_last)
        logits_NK: Tensor = self.classes(self.features(images_NCHW).flatten(1))
        return logits_NK


class Block(nn.Module):
    """Two 3 x 3 convolutions around which the input is added; the first may halve the size."""

    def __init__(self, taken: int, given: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(taken, given, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(given)
        self.second = nn.Conv2d(given, given, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(given)
        self.around = (
            nn.Identity() if taken == given
            else nn.Sequential(nn.Conv2d(taken, given, 1, stride, bias=False), nn.BatchNorm2d(given))
        )  # fmt: skip

    def forward(self, values_NCHW: Tensor) -> Tensor:  # noqa: N803  # shape suffix
        """What He et al. call a building block."""
        inner = relu(self.first_norm(self.first(values_NCHW)))
        return relu(self.second_norm(self.second(inner)) + self.around(values_NCHW))


class ResNet(nn.Module):
    """ResNet-20 for small images (He et al. 2015, section 4.2): 272,474 parameters, 41 million products.

    Stages of 16, 32 and 64 channels, three blocks each, 1 x 1 convolutions around those that change the size.
    """

    def __init__(self, shape: Shape, classes: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        taken = 16
        for given in (16, 32, 64):
            for number in range(3):
                blocks.append(Block(taken, given, 2 if number == 0 and given != 16 else 1))
                taken = given
        self.stem = nn.Sequential(
            nn.Conv2d(shape[0], 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.blocks = nn.Sequential(*blocks)
        self.classes = nn.Linear(64, classes)
        self.to(memory_format=torch.channels_last)

    def forward(self, images_NCHW: Tensor) -> Tensor:  # noqa: N803  # shape suffix
        """Logits of normalised images."""
        images_NCHW = images_NCHW.contiguous(memory_format=torch.channels_last)
        logits_NK: Tensor = self.classes(self.blocks(self.stem(images_NCHW)).mean((2, 3)))
        return logits_NK


NETS: dict[str, Callable[[Shape, int], nn.Module]] = {
    "mlp-100": mlp(100),  # 79,510 parameters, 318 kB of gradients a step
    "dense-128": mlp(128),  # 101,770
    "mlp-512": mlp(512),  # 407,050
    "mlp-512-256-128": mlp(512, 256, 128, dropout=DROPPED),  # 567,434
    "lenet": LeNet,
    "resnet": ResNet,
}


def dropouts_of(net: nn.Module) -> list[Dropout]:
    """What `reseed` takes."""
    return [layer for layer in net.modules() if isinstance(layer, Dropout)]


def reseed(dropouts: Sequence[Dropout], numbers: Sequence[int]) -> None:
    """Let each layer take its next masks from `numbers`, such as (seed, epoch, step, rank)."""
    mixed = 0
    for number in numbers:
        mixed = (mixed * 6_364_136_223_846_793_005 + number + 1_442_695_040_888_963_407) % (1 << 63)
    for place, layer in enumerate(dropouts):
        layer.reseed((mixed + place * 0x9E37_79B9_7F4A_7C15) % (1 << 63))
