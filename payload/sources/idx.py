"""IDX files of bytes, as all data sets here are kept: a header with their shape, and the bytes.

The header is 0, 0, the type 8, the number of dimensions; then these as 32-bit integers, big end first.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import numpy as np

from sources.files import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def header(*shape: int) -> bytes:
    """What comes before bytes of this shape."""
    return struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)


def layout(path: Path) -> tuple[tuple[int, ...], int]:
    """The shape of a file's bytes, and where they begin. Raises DataError unless the file is whole."""
    with path.open("rb") as file:
        start = file.read(4)
        dimensions = start[3] if len(start) == 4 else 0
        rest = file.read(4 * dimensions)
    if start[:3] != b"\0\0\x08" or not 1 <= dimensions <= 4 or len(rest) != 4 * dimensions:
        raise DataError(f"{path} is not an IDX file of bytes")
    shape, offset = struct.unpack(f">{dimensions}I", rest), 4 + len(rest)
    found, wanted = path.stat().st_size, offset + math.prod(shape)
    if found != wanted:
        raise DataError(f"{path} has {found:,} bytes, its header says {wanted:,}")
    return shape, offset


def mapped(path: Path) -> NDArray[np.uint8]:
    """A file's bytes in their shape, read when they are looked at. Raises DataError."""
    shape, offset = layout(path)
    return np.memmap(path, np.uint8, mode="r", offset=offset, shape=shape)
