"""The files of a data set, on every machine's own disk -> Ray Data. Never imports torch.

What goes from machine to machine are numbers: a block of the dataset is a range of positions in the epoch.
The task that makes a block of images looks up which images stand there in this epoch, and reads them from the
disk of the machine that it runs on. So shuffling moves no image, and two runs see the same order.

The tasks ask for no CPU: on a small cluster the train workers hold all of them, and Ray would wait for ever.
"""

# N images of a block, C channels, H x W pixels.

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
import ray.data
from fetch import fetch
from sources.idx import mapped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Columns = dict[str, NDArray[Any]]
    Root = tuple[str, str]  # as given to the program, and what it is on the driver's machine

BLOCKS = 4  # of an epoch, for each worker: the next one is read while one is trained


def rows_of(count: int, world: int) -> int:
    """Rows of an epoch of `count` images: as many for each block, so that no worker gets more than another.

    A few at the end have no image; they count nothing.
    """
    blocks = BLOCKS * world
    return -(-count // blocks) * blocks


def training(name: str, root: Root, count: int, world: int, relay: Any) -> ray.data.Dataset:
    """`count` training images in the order that `relay` has for the epoch: image, label, weight (0 or 1)."""
    rows = rows_of(count, world)
    return _ranges(rows, rows // (BLOCKS * world)).map_batches(
        shuffled,
        fn_args=(name, root, relay),
        batch_size=None,
        num_cpus=0,
        compute=ray.data.TaskPoolStrategy(size=world),
    )


def testing(name: str, root: Root, count: int, at_once: int) -> ray.data.Dataset:
    """The test images in data order, a block for each `at_once` of them: index, image, label."""
    return _ranges(count, at_once).map_batches(
        looked_up,
        fn_args=(name, root),
        batch_size=None,
        num_cpus=0,
        compute=ray.data.TaskPoolStrategy(size=2),
    )


def _ranges(rows: int, at_once: int) -> ray.data.Dataset:
    """A block for each `at_once` rows, which holds their first number and the one behind the last."""
    ranges = [{"first": first, "end": min(first + at_once, rows)} for first in range(0, rows, at_once)]
    return ray.data.from_items(ranges, override_num_blocks=len(ranges))


def shuffled(block: Columns, name: str, root: Root, relay: Any) -> Columns:
    """The images that stand at these positions of the epoch that is on."""
    order = ray.get(relay.order.remote())
    positions = _numbers(block)
    is_image = positions < len(order)
    index = order[np.where(is_image, positions, 0)]
    images, labels = _table(name, root, is_test=False)
    return {"image": images[index], "label": labels[index], "weight": is_image.astype(np.float32)}


def looked_up(block: Columns, name: str, root: Root) -> Columns:
    """The test images of these numbers, and their labels, which pass through beside the predictions."""
    images, labels = _table(name, root, is_test=True)
    index = _numbers(block)
    return {"index": index, "image": images[index], "label": labels[index]}


def _numbers(block: Columns) -> NDArray[np.int64]:
    return np.arange(int(block["first"][0]), int(block["end"][0]))


def root_here(root: Root) -> Path:
    """Where data sets are here: as given, else this machine's HOTRUN_DATA_DIR, else as on the driver's."""
    given, there = root
    return Path(there if given else os.environ.get("HOTRUN_DATA_DIR") or there)


@functools.cache
def _table(name: str, root: Root, *, is_test: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images N x C x H x W and labels, mapped; fetched where this machine has them not. Raises DataError."""
    files = fetch(name, root_here(root), lambda _: None)
    images = mapped(files.test_images if is_test else files.train_images)
    labels = mapped(files.test_labels if is_test else files.train_labels)
    return images if images.ndim == 4 else images[:, None], labels.astype(np.int64)
