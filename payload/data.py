"""MNIST's files -> the batches of this rank. The fast path is the only path: no worker processes, no copies.

The images stay as bytes in a memory-mapped file that all ranks of a node share; a batch is one
`index_select`, and becomes floats where it is used. N images of a batch, P = 784 pixels.
"""

# ruff: noqa: ARG002, D102 -- Lightning's hooks have its names and arguments

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import mnist
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

MEAN, STD = 33.32, 78.57  # of the training pixels, 0 to 255
EVALUATION_BATCH = 1000  # images; 3 MB of floats, and nothing is gained above

Indices = Callable[[], Sequence[Tensor]]


class Batches:
    """The batches of one rank: whatever `indices` selects at the time of the iteration, `steps` in number."""

    def __init__(self, images: Tensor, labels: Tensor, indices: Indices, steps: int) -> None:
        self.images, self.labels, self.indices, self.steps = images, labels, indices, steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for index_N in self.indices():
            yield self.images.index_select(0, index_N), self.labels.index_select(0, index_N)


class Images(LightningDataModule):  # type: ignore[misc]  # Lightning has no types
    """Training, validation and test images, each in this rank's share.

    Args:
        name: the data set.
        root: directory that holds it or shall hold it; by default HOTRUN_DATA_DIR, else ./data.
        batch_size: training images per rank and step, at most.
        validation: training images held out to judge by, the last ones; 0 trains on all.
    """

    def __init__(
        self, name: Literal["mnist"] = "mnist", root: str = "", batch_size: int = 128, validation: int = 5000
    ) -> None:
        super().__init__()
        if batch_size < 1 or not 0 <= validation < 60_000:
            raise mnist.DataError(
                f"--data.batch_size {batch_size}, --data.validation {validation}: "
                "at least 1 image a batch, and 0 to 59,999 of the training images held out"
            )
        self.name, self.batch_size, self.validation = name, batch_size, validation
        self.root = Path(root or os.environ.get("HOTRUN_DATA_DIR") or "data").resolve()
        self.seed = 0

    def prepare_data(self) -> None:
        """Runs on one rank of each node, while the others wait in a barrier."""
        mnist.fetch(self.root, lambda text: print(text, flush=True))

    def setup(self, stage: str) -> None:
        """Map the files. Every rank runs this; a barrier, as all take the seed from rank 0."""
        trainer = self.trainer
        assert trainer is not None
        raw = self.root / "MNIST" / "raw"
        images = read_images(raw / "train-images-idx3-ubyte")
        labels = read_labels(raw / "train-labels-idx1-ubyte")
        kept = len(labels) - self.validation
        self.train, self.held_out = (images[:kept], labels[:kept]), (images[kept:], labels[kept:])
        self.test = read_images(raw / "t10k-images-idx3-ubyte"), read_labels(raw / "t10k-labels-idx1-ubyte")
        self.seed = int(trainer.strategy.broadcast(torch.initial_seed()))

    def train_dataloader(self) -> Batches:
        trainer = self.trainer
        assert trainer is not None
        world, rank, count = trainer.world_size, trainer.global_rank, len(self.train[1])

        def indices() -> Sequence[Tensor]:
            return training_indices(
                count, self.batch_size, world=world, rank=rank, seed=self.seed, epoch=trainer.current_epoch
            )

        return Batches(*self.train, indices, training_steps(count, self.batch_size, world))

    def val_dataloader(self) -> Batches | list[Batches]:
        return self._evaluation(*self.held_out) if self.validation else []

    def test_dataloader(self) -> Batches:
        return self._evaluation(*self.test)

    def _evaluation(self, images: Tensor, labels: Tensor) -> Batches:
        assert self.trainer is not None
        indices = evaluation_indices(len(labels), self.trainer.world_size, self.trainer.global_rank)
        return Batches(images, labels, lambda: indices, len(indices))

    def on_after_batch_transfer(
        self, batch: tuple[Tensor, Tensor], dataloader_idx: int
    ) -> tuple[Tensor, Tensor]:
        """Bytes become floats here, after the transfer: a quarter of the traffic to a GPU."""
        images_NP, labels_N = batch
        return images_NP.float().sub_(MEAN).div_(STD), labels_N


def training_steps(count: int, batch_size: int, world: int) -> int:
    """Steps of an epoch: the same on every rank, or the ranks would wait for each other for ever."""
    return max(1, min(-(-count // (batch_size * world)), count // world))


def training_indices(
    count: int, batch_size: int, *, world: int, rank: int, seed: int, epoch: int
) -> Sequence[Tensor]:
    """One rank's batches of an epoch, from a permutation that all ranks share.

    Over the ranks every image comes once. All ranks have as many batches, and sizes differ by two at most.
    """
    mixed = (seed * 1_000_003 + epoch) % (1 << 63)  # a generator takes 63 bits; other seeds, other orders
    order = torch.randperm(count, generator=torch.Generator().manual_seed(mixed))
    return order[rank::world].tensor_split(training_steps(count, batch_size, world))


def evaluation_indices(count: int, world: int, rank: int) -> Sequence[Tensor]:
    """One rank's share of `count` images: over the ranks every image once, none repeated to fill up."""
    shares: Sequence[Tensor] = torch.arange(rank, count, world).split(EVALUATION_BATCH)  # type: ignore[no-untyped-call]
    return shares


def read_images(path: Path) -> Tensor:
    """Map an IDX file of N images of 28 x 28 bytes: uint8, N x 784."""
    count = _header(path, 2051, (28, 28))
    content: Tensor = torch.from_file(str(path), shared=False, size=16 + count * 784, dtype=torch.uint8)
    return content[16:].view(count, 784)


def read_labels(path: Path) -> Tensor:
    """Read an IDX file of N labels: int64, N."""
    count = _header(path, 2049, ())
    content: Tensor = torch.from_file(str(path), shared=False, size=8 + count, dtype=torch.uint8)
    return content[8:].long()


def _header(path: Path, magic: int, shape: tuple[int, ...]) -> int:
    """The number of items in an IDX file; ValueError when it is not whole, or not of `shape` bytes each."""
    with path.open("rb") as file:
        header = file.read(8 + 4 * len(shape))
    wanted = f"an IDX file {magic} of {' x '.join(map(str, shape)) or 'single'} bytes"
    if len(header) < 8 + 4 * len(shape):
        raise ValueError(f"{path}: {len(header)} bytes are too few for {wanted}")
    found, count, *rest = struct.unpack(f">{2 + len(shape)}I", header)
    item = 784 if shape else 1
    if found != magic or tuple(rest) != shape or path.stat().st_size != len(header) + count * item:
        raise ValueError(f"{path} is not {wanted}")
    return int(count)
