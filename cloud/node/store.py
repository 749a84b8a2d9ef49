"""What the master keeps of one attempt: shared files, uploads of every node, the manifest."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Protocol

from .checkpoints import sha256

KINDS = ("logs", "proof", "results")
MAX_NODE_BYTES = 20 * 2**30  # per node; more than this is a data set, not a result


class Readable(Protocol):
    """What an upload is read from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end."""


class Store:
    """Files below `directory` (the attempt's) and, for shared ones, below `shared_directory` (the run's)."""

    def __init__(self, directory: Path, shared_directory: Path) -> None:
        self.directory, self._shared = directory, shared_directory
        self._taken: dict[str, int] = {}
        directory.mkdir(parents=True, exist_ok=True)
        shared_directory.mkdir(parents=True, exist_ok=True)

    def shared(self, name: str) -> Path:
        """Where the shared file `name` lies or will lie. Raises ValueError when it leads elsewhere."""
        return self._below(self._shared, name.replace("/", "-") or "nothing")

    def keep_shared(self, name: str, source: Readable, size: int) -> None:
        """Take a shared file, whole or not at all."""
        _copy(source, self.shared(name), size)

    def keep_shared_file(self, name: str, path: Path) -> None:
        """The same for a file of the master itself, which moves."""
        path.replace(self.shared(name))

    def link_shared(self, name: str, path: Path) -> None:
        """The same for one that stays where it is, and is never written again."""
        target = self.shared(name)
        partial = target.with_name(target.name + ".part")
        partial.unlink(missing_ok=True)
        os.link(path, partial)
        partial.replace(target)

    def keep(self, node: str, name: str, source: Readable, size: int) -> None:
        """Take an upload `KIND/PATH` of a node. Raises ValueError when it may not be taken."""
        self._take(node, size)
        _copy(source, self.place(node, name), size)

    def keep_local(self, node: str, name: str, path: Path) -> None:
        """The same for a file of the master itself: a hard link where possible."""
        self._take(node, path.stat().st_size)
        target = self.place(node, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(path, target)
        except OSError:
            shutil.copyfile(path, target)

    def place(self, node: str, name: str) -> Path:
        """Where an upload lies: logs and the results of workers below the node's name."""
        kind, _, relative = name.partition("/")
        if kind not in KINDS or not relative:
            raise ValueError(f"{name}: not one of {', '.join(KINDS)}")
        by_node = kind == "logs" or (kind == "results" and node != "master")
        return self._below(self.directory / kind / node if by_node else self.directory / kind, relative)

    def write_manifest(self) -> int:
        """Write manifest.sha256 of all files, in sha256sum's form; return how many."""
        files = sorted(
            path for path in self.directory.rglob("*") if path.is_file() and path.name != "manifest.sha256"
        )
        lines = [f"{sha256(path)}  {path.relative_to(self.directory).as_posix()}\n" for path in files]
        (self.directory / "manifest.sha256").write_text("".join(lines))
        return len(files)

    def _take(self, node: str, size: int) -> None:
        taken = self._taken.get(node, 0) + size
        if taken > MAX_NODE_BYTES:
            raise ValueError(f"{node} brought more than {MAX_NODE_BYTES / 2**30:.0f} GiB of files")
        self._taken[node] = taken

    @staticmethod
    def _below(directory: Path, relative: str) -> Path:
        path = Path(os.path.normpath(directory / relative))
        if directory not in path.parents:
            raise ValueError(f"{relative} leads out of {directory.name}")
        return path


def _copy(source: Readable, target: Path, size: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    left = size
    with partial.open("wb") as file:
        while left:
            chunk = source.read(min(left, 1 << 20))
            if not chunk:
                raise OSError("the upload ended early")
            file.write(chunk)
            left -= len(chunk)
    partial.replace(target)
