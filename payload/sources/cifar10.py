"""A data root -> CIFAR-10 as four IDX files below ROOT/cifar-10-idx, made once from the published batches.

Ways: ROOT/cifar-10-batches-py, where torchvision has it; torchvision's mirror. The batches are pickles: their
MD5s must be the published ones, and they are read by an unpickler that admits numpy arrays only (arrays.py).
"""

from __future__ import annotations

import hashlib
import pickle
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from sources import idx, mirrors
from sources.arrays import ArraysOnly
from sources.files import SUMS, Collection, DataError, Say, digest, obtain

if TYPE_CHECKING:
    from pathlib import Path

BATCHES = "cifar-10-batches-py"
MD5 = {  # https://www.cs.toronto.edu/~kriz/cifar.html through torchvision.datasets.CIFAR10
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
COLLECTION = Collection(
    name="cifar10",
    title="CIFAR-10",
    place="cifar-10-idx",
    names=(
        "train-images-idx4-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx4-ubyte",
        "t10k-labels-idx1-ubyte",
    ),
    sha256={},  # what the conversion wrote
    fix=f"--data.root DIR names a place that has {BATCHES}",
)


def fetch(root: Path, say: Say) -> Path:
    """Return ROOT/cifar-10-idx with all four files in it. Raises DataError."""
    ways = ((str(root / BATCHES), partial(from_batches, root / BATCHES)), (mirrors.TITLE, from_mirror))
    return obtain(COLLECTION, ways, root, say)


def from_mirror(directory: Path, say: Say) -> None:
    """Fetch the batches into `directory`, and convert them there."""
    mirrors.cifar10(directory, say)
    from_batches(directory / BATCHES, directory, say)


def from_batches(batches: Path, directory: Path, say: Say) -> None:
    """Convert a directory of published batches. Raises DataError for a batch that is another one."""
    if not batches.is_dir():
        raise DataError("it is not there")
    say(f"{COLLECTION.name}: converting {batches}")
    train_images, train_labels, test_images, test_labels = COLLECTION.names
    train = [name for name in MD5 if name != "test_batch"]
    for names, images, labels in (
        (train, train_images, train_labels),
        (["test_batch"], test_images, test_labels),
    ):
        _convert([batches / name for name in names], directory / images, directory / labels)
    sums = [f"{digest(directory / name)}  {name}\n" for name in COLLECTION.names]
    (directory / SUMS).write_text("".join(sums))


def _convert(batches: list[Path], images: Path, labels: Path) -> None:
    """Join batches into one file of N x 3 x 32 x 32 bytes and one of N labels."""
    all_labels = b""
    with images.open("wb") as file:
        file.write(bytes(20))  # the header, when N is known
        for batch in batches:
            pixels, batch_labels = read_batch(batch)
            file.write(pixels)
            all_labels += batch_labels
        file.seek(0)
        file.write(idx.header(len(all_labels), 3, 32, 32))
    labels.write_bytes(idx.header(len(all_labels)) + all_labels)


def read_batch(path: Path) -> tuple[bytes, bytes]:
    """(pixels, N x 3 x 32 x 32 bytes; labels, N bytes of 0 to 9) of one batch. Raises DataError.

    A row of a batch is 1024 bytes of red, then green, then blue, each row by row: it is 3 x 32 x 32 already.
    """
    content = path.read_bytes()
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != MD5[path.name]:
        raise DataError(f"{path} is not CIFAR-10's: its MD5 is {found}, not {MD5[path.name]}")
    try:
        batch = ArraysOnly.loads(content)
        pixels, labels = np.asarray(batch["data"]), np.asarray(batch["labels"])
    except (pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a batch of CIFAR-10: {error}") from error
    if (
        pixels.dtype != np.uint8
        or pixels.shape != (len(labels), 3072)
        or not set(labels.tolist()) <= {*range(10)}
    ):
        raise DataError(f"{path} has {pixels.shape} {pixels.dtype} pixels for {len(labels)} labels")
    return pixels.tobytes(), labels.astype(np.uint8).tobytes()
