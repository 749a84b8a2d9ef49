"""Bytes -> a file that is there whole, also after power loss, or not at all. Knows nothing of checkpoints."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import socket
import sys
import time
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator
    from pathlib import Path

STALE_S = 3600.0  # a writer that wrote nothing for an hour is dead, on whatever machine it was
SEPARATOR = ".by-"  # between a file's name and who is writing it: HOST.PID.partial


@contextlib.contextmanager
def beside(path: Path) -> Iterator[HashedFile]:
    """Write a file that appears at `path` whole and durable, or not at all. Raises OSError."""
    partial = path.with_name(f"{path.name}{SEPARATOR}{socket.gethostname()}.{os.getpid()}.partial")
    try:
        descriptor = os.open(
            partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o644
        )
        try:
            file = HashedFile(descriptor)
            yield file
            file.check()
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.replace(path)
        sync_directory(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


class HashedFile:
    """A file for torch.save: hashes what goes through, and keeps an OSError until the end.

    torch's writer is C++, which an exception out of `write` leaves half done.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.digest, self.bytes = descriptor, hashlib.sha256(), 0
        self.error: OSError | None = None

    def write(self, content: Any) -> int:
        """Write all of a bytes-like object. Never raises OSError: `check` does."""
        rest = memoryview(content).cast("B")
        size = len(rest)
        self.digest.update(rest)
        self.bytes += size
        try:
            while len(rest) and not self.error:
                rest = rest[os.write(self.descriptor, rest) :]
        except OSError as error:
            self.error = error
        return size

    def flush(self) -> None:
        """Nothing is held back. torch.save asks for it."""

    def as_io(self) -> IO[bytes]:
        """This, for torch.save's annotation: it calls nothing but `write` and `flush`."""
        return cast("IO[bytes]", self)

    def check(self) -> None:
        """Raise the OSError of a former write."""
        if self.error:
            raise self.error


def make_directory(directory: Path) -> None:
    """Make a directory and those above it, durably. Raises OSError."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable, where the file system can. Raises OSError."""
    if sys.platform == "win32":  # does so by itself
        return
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # a directory may be writable and not readable
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # what file systems without it answer
            raise
    finally:
        os.close(descriptor)


def remove_abandoned(directory: Path, name: re.Pattern[str]) -> None:
    """Remove what killed writers left of files called `name`, and nothing of a writer that may be alive."""
    for path in list(directory.iterdir()):
        whole, _, writer = path.name.removesuffix(".partial").partition(SEPARATOR)
        host, _, pid = writer.rpartition(".")
        if not path.name.endswith(".partial") or not name.fullmatch(whole) or not pid.isdigit():
            continue
        with contextlib.suppress(FileNotFoundError):
            is_old = time.time() - path.stat().st_mtime > STALE_S
            if is_old or (host == socket.gethostname() and _is_dead(int(pid))):
                path.unlink()


def _is_dead(pid: int) -> bool:
    """Whether no process of this machine has that number. Unknown on Windows, where asking may end it."""
    if sys.platform == "win32":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
