"""A directory without git -> the files that stand for its repository, such as an unpacked archive."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SKIPPED = (".git", "__pycache__", "node_modules")  # wherever they are
SKIPPED_AT_THE_TOP = (".venv", ".build", "runs")  # deeper ones may be a program's own


def skipped(root: Path, folder: str) -> tuple[str, ...]:
    """Names of folders in `folder` that are no part of the repository below `root`."""
    return (*SKIPPED, *SKIPPED_AT_THE_TOP) if folder == str(root) else SKIPPED


def files(path: Path) -> Iterator[tuple[str, str]]:
    """Yield files and links below a directory, as git would list them: path and mode."""
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if name not in skipped(path, folder))
        links = {name for name in folders if Path(folder, name).is_symlink()}
        for name in sorted({*names, *links}):
            file = Path(folder, name)
            yield file.relative_to(path).as_posix(), "120000" if file.is_symlink() else "100644"
