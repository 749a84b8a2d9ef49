"""A collection of four small files, and ways that deliver them or don't; what a file and a directory hold."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from sources.files import Collection, DataError, Say, Way

NAMES = ("train-images", "train-labels", "t10k-images", "t10k-labels")
FILES = {name: f"content of {name}".encode() for name in NAMES}
COLLECTION = Collection(
    name="small",
    title="SMALL",
    place="Small/raw",
    names=NAMES,
    sha256={name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
)


def write(directory: Path, content: dict[str, bytes] = FILES) -> Path:
    """Write files into a directory, and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        (directory / name).write_bytes(data)
    return directory


def way_to(content: dict[str, bytes] = FILES) -> Way:
    """A way that delivers these files."""

    def way(directory: Path, say: Say) -> None:
        write(directory, content)

    return way


def refuse(directory: Path, say: Say) -> None:
    """A way that leads nowhere."""
    raise DataError(f"no way to {directory.parent.name}")


def never(directory: Path, say: Say) -> None:
    """A way that nobody may take."""
    pytest.fail("fetched")


def content_of(place: Path) -> dict[str, bytes]:
    """The files in a directory."""
    return {name: (place / name).read_bytes() for name in NAMES}


def listing(directory: Path) -> list[str]:
    """The names in a directory, sorted."""
    return sorted(path.name for path in directory.iterdir())


def md5_of(content: bytes) -> str:
    """As torchvision knows files by it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
