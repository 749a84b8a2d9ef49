"""IDX files of bytes: their header, their shape, and their bytes as they are looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sources import idx
from sources.files import DataError


@pytest.mark.parametrize("shape", [(6,), (2, 3), (1, 2, 3), (1, 1, 2, 3)])
def test_what_is_written_is_read_in_its_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """The header says it; nothing of the file is changed by looking."""
    path = tmp_path / "file"
    path.write_bytes(idx.header(*shape) + bytes(range(6)))

    found = idx.mapped(path)

    assert idx.layout(path) == (shape, 4 + 4 * len(shape))
    assert (found.shape, found.dtype, found.ravel().tolist()) == (shape, np.uint8, list(range(6)))
    assert not found.flags.writeable


def test_a_file_that_is_cut_is_refused(tmp_path: Path) -> None:
    """With both numbers of bytes."""
    path = tmp_path / "file"
    path.write_bytes(idx.header(2, 3) + bytes(5))

    with pytest.raises(DataError, match="has 17 bytes, its header says 18"):
        idx.mapped(path)
