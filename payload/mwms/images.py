"""Files of images -> arrays in memory, and the batches of one worker as a tf.data pipeline.

The images stay bytes until the net's first layer; every worker holds all of them and takes its own part.
N images, C channels, H x W pixels, R replicas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from fetch import fetch
from sources import idx
from sources.files import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from fetch import Files
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Images with their labels, in the order of the file."""

    images: NDArray[np.uint8]
    """N x H x W, or N x C x H x W, mapped."""
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, first: int, end: int) -> Table:
        """The images from `first` up to `end`; no copy."""
        return Table(images=self.images[first:end], labels=self.labels[first:end])


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """What a run trains on, judges itself by, and is tested with once."""

    train: Table
    held_out: Table
    """The last training images, which nothing is trained on."""
    test: Table
    files: Files

    @property
    def classes(self) -> int:
        """How many there are."""
        return max(10, int(self.train.labels.max(initial=0)) + 1, int(self.test.labels.max(initial=0)) + 1)


def load(name: str, root: Path, validation: int) -> DataSet:
    """Map the files, fetched if need be; the last `validation` training images are held out. DataError."""
    files = fetch(name, root, lambda text: print(text, flush=True))
    whole = _table(files.train_images, files.train_labels)
    if not 0 <= validation < len(whole):
        raise DataError(f"{validation:,} images held out of {len(whole):,} (--validation): "
                        f"0 to {len(whole) - 1:,} are possible")  # fmt: skip
    kept = len(whole) - validation
    return DataSet(train=whole.part(0, kept), held_out=whole.part(kept, len(whole)), files=files,
                   test=_table(files.test_images, files.test_labels))  # fmt: skip


def _table(images: Path, labels: Path) -> Table:
    pixels, numbers = idx.mapped(images), idx.mapped(labels).astype(np.int64)
    if len(pixels) != len(numbers):
        raise DataError(f"{images} has {len(pixels):,} images, but {labels} {len(numbers):,} labels")
    return Table(images=pixels, labels=numbers)


def tensors(table: Table) -> tuple[Any, Any]:
    """Images and labels as TensorFlow has them, in the memory of the machine and not of a GPU."""
    import tensorflow as tf

    with tf.device("CPU:0"):
        return tf.constant(np.asarray(table.images)), tf.constant(table.labels)


def batches(pictures: tuple[Any, Any], context: Any, *, replicas: int, global_batch: int, mixed: int) -> Any:
    """A tf.data.Dataset of one worker's (images, labels, weight), for distribute_datasets_from_function.

    `pictures` are all of them, `context` is its InputContext, `mixed` seeds the order of the epoch. All
    workers shuffle the numbers of all images alike and cut the same global batches; a replica takes its
    part, so every image comes once.
    The element after a worker's last local replica belongs to the next step. An image's loss counts 1 / n in
    a step of n images: the sum of the replicas' gradients is the gradient of the mean, also where parts
    differ by an image, or are empty.
    """
    import tensorflow as tf

    images, labels = pictures
    local = replicas // context.num_input_pipelines
    first = context.input_pipeline_id * local

    def parts(numbers: Any) -> Any:
        count = tf.size(numbers, tf.int64)

        def part(replica: Any) -> Any:
            mine = numbers[count * replica // replicas : count * (replica + 1) // replicas]
            weight = 1.0 / tf.cast(count, tf.float32)
            return tf.gather(images, mine), tf.gather(labels, mine), weight

        return tf.data.Dataset.range(first, first + local).map(part)

    count = len(labels)
    order = tf.data.Dataset.range(count).shuffle(count, seed=mixed, reshuffle_each_iteration=False)
    return order.batch(global_batch).flat_map(parts).prefetch(tf.data.AUTOTUNE)
