"""Files of images -> tables in memory, and the batches of one rank. No Lightning, no worker processes.

The images stay bytes in a memory-mapped file that all ranks of a node share; a batch is one `index_select`,
and becomes floats where it is used. N images, C channels, H x W pixels.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from fetch import Files, fetch
from sources import idx
from sources.files import DataError
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What is known of a data set before its files are there."""

    shape: tuple[int, int, int]
    """C, H, W."""
    mean: tuple[float, ...]
    """Of the training pixels, 0 to 255, per channel."""
    std: tuple[float, ...]
    classes: tuple[str, ...] = tuple("0123456789")


SPECS = {
    "mnist": Spec(shape=(1, 28, 28), mean=(33.32,), std=(78.57,)),
    "fashion-mnist": Spec(
        shape=(1, 28, 28), mean=(72.94,), std=(90.02,),
        classes=("T-shirt", "trouser", "pullover", "dress", "coat",
                 "sandal", "shirt", "sneaker", "bag", "boot"),
    ),
    "cifar10": Spec(
        shape=(3, 32, 32), mean=(125.31, 122.95, 113.87), std=(62.99, 62.09, 66.70),
        classes=("airplane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ),
    "synthetic": Spec(shape=(1, 28, 28), mean=(125.53,), std=(87.98,)),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Images with their labels, in the order of the file."""

    images: Tensor
    """N x C x H x W uint8, mapped."""
    labels: Tensor
    """N int64."""
    file: mmap.mmap | None = None
    """What the images are mapped from."""

    def let_go(self) -> None:
        """Let the system take the memory of the images back; they can be read again at any time."""
        if self.file is not None and hasattr(self.file, "madvise"):
            self.file.madvise(mmap.MADV_DONTNEED)

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, first: int, end: int) -> Table:
        """The images from `first` up to `end`; no copy."""
        return Table(images=self.images[first:end], labels=self.labels[first:end], file=self.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """What a run trains on, judges itself by, and is tested with once."""

    name: str
    train: Table
    held_out: Table
    """The last training images, which nothing is trained on."""
    test: Table
    spec: Spec
    files: Files

    def normalise(self, images: Tensor) -> Tensor:
        """Bytes, N x C x H x W on any device, to floats of mean 0 and deviation 1."""
        if len(self.spec.mean) == 1:  # scalars, twice as fast
            return images.float().sub_(self.spec.mean[0]).div_(self.spec.std[0])
        mean, std = (torch.tensor(numbers, device=images.device).view(-1, 1, 1)
                     for numbers in (self.spec.mean, self.spec.std))  # fmt: skip
        return images.float().sub_(mean).div_(std)


Batch = tuple[Tensor, Tensor, float]
"""Images uint8, labels int64, and what the loss of one image counts in its step."""


class Batches:
    """The batches of one rank: whatever `indices` selects at the time of the iteration, `steps` in number."""

    def __init__(
        self, table: Table, indices: Callable[[], Sequence[tuple[Tensor, float]]], steps: int
    ) -> None:
        self.table, self.indices, self.steps = table, indices, steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        images, labels = self.table.images, self.table.labels
        for index_N, weight in self.indices():
            yield images.index_select(0, index_N), labels.index_select(0, index_N), weight


def root_directory(given: str = "") -> Path:
    """Where data sets are: as given, else HOTRUN_DATA_DIR, else ./data."""
    return Path(given or os.environ.get("HOTRUN_DATA_DIR") or "data").resolve()


def prepare(name: str, root: Path) -> None:
    """Have the files of `name` below `root`: one process of each node. Raises DataError."""
    fetch(name, root, lambda text: print(text, flush=True))


def load(name: str, root: Path, validation: int) -> DataSet:
    """Map the files, which `prepare` has put there; the last `validation` training images are held out."""
    files, spec = fetch(name, root, lambda _: None), SPECS[name]
    whole = read(files.train_images, files.train_labels, spec)
    if not 0 <= validation < len(whole):
        raise DataError(f"{validation:,} images held out of {len(whole):,} (--data.validation): "
                        f"0 to {len(whole) - 1:,} are possible")  # fmt: skip
    kept = len(whole) - validation
    return DataSet(name=name, train=whole.part(0, kept), held_out=whole.part(kept, len(whole)), files=files,
                   test=read(files.test_images, files.test_labels, spec), spec=spec)  # fmt: skip


def read(images: Path, labels: Path, spec: Spec) -> Table:
    """Map two IDX files that belong together and are what `spec` says. Raises DataError."""
    file, pixels = map_idx(images)
    numbers = map_idx(labels)[1].long()
    if pixels.dim() == 3:  # grey: one channel
        pixels = pixels.unsqueeze(1)
    if len(pixels) != len(numbers):
        raise DataError(f"{images} has {len(pixels):,} images, but {labels} {len(numbers):,} labels")
    if tuple(pixels.shape[1:]) != spec.shape:
        raise DataError(
            f"{images}: images of {tuple(pixels.shape[1:])}, but SPECS in data.py says {spec.shape}"
        )
    if len(numbers) and int(numbers.max()) >= len(spec.classes):
        raise DataError(f"{labels}: label {int(numbers.max())}, but SPECS in data.py names "
                        f"{len(spec.classes)} classes, 0 to {len(spec.classes) - 1}")  # fmt: skip
    return Table(images=pixels, labels=numbers, file=file)


def map_idx(path: Path) -> tuple[mmap.mmap, Tensor]:
    """Map an IDX file of bytes: the mapping, and it as uint8 of the shape in its header. Raises DataError."""
    shape, offset = idx.layout(path)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # shared pages, as nobody writes
    return mapped, torch.frombuffer(mapped, dtype=torch.uint8)[offset:].view(shape)
