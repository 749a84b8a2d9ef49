"""A data set's name and a data root -> its four files, fetched if need be and checked. Never imports torch.

python payload/fetch.py NAME DIR        fetch beforehand, for instance on a machine that has a network
"""

from __future__ import annotations

import difflib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sources import cifar10, fashion_mnist, mnist, synthetic
from sources.files import Collection, DataError, Say

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCES: dict[str, tuple[Collection, Callable[[Path, Say], Path]]] = {
    "mnist": (mnist.COLLECTION, mnist.fetch),
    "fashion-mnist": (fashion_mnist.COLLECTION, fashion_mnist.fetch),
    "cifar10": (cifar10.COLLECTION, cifar10.fetch),
    "synthetic": (synthetic.COLLECTION, synthetic.fetch),
}
NAMES = tuple(SOURCES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The four IDX files of a data set: a header and then bytes.

    Images are N x H x W (magic number 2051), or N x C x H x W (2052) if they have colours; labels N (2049).
    """

    train_images: Path
    train_labels: Path
    test_images: Path
    test_labels: Path


def fetch(name: str, root: Path, say: Say) -> Files:
    """Return the files of data set `name` below `root`. One process fetches, others that share `root` wait.

    Raises DataError for another name, when no way leads to the files, or when `root` can't be written.
    """
    if name not in SOURCES:
        near = difflib.get_close_matches(name.lower().replace("_", "-"), NAMES, n=1, cutoff=0.4)
        hint = f"; {near[0]} is near" if near else ""
        raise DataError(f"--data.name {name}: there are {', '.join(NAMES)}{hint}")
    collection, source = SOURCES[name]
    place = source(root, say)
    train_images, train_labels, test_images, test_labels = (place / file for file in collection.names)
    return Files(
        train_images=train_images, train_labels=train_labels, test_images=test_images, test_labels=test_labels
    )


def main(arguments: list[str]) -> int | str:
    """Fetch one data set and print its directory; an exit code, or the text of an error."""
    if len(arguments) != 2 or arguments[0].startswith("-"):
        return f"{(__doc__ or '').strip()}\n\nNAME is one of {', '.join(NAMES)}"
    name, directory = arguments
    try:
        files = fetch(name, Path(directory).resolve(), lambda text: print(text, flush=True))
    except DataError as error:
        return str(error)
    print(files.train_images.parent)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
