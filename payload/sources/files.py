"""A table of files and ways to get them -> a directory that has them, whole and checked. Never imports torch.

Whatever the way, each file must have the SHA-256 of its table. Processes that share a root fetch once: one
holds a lock, the others wait and find the files. A file that is there and is wrong is fetched again, once,
and replaced only when the right one has arrived.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MARKER = ".checked"  # JSON: file -> [size, mtime in ns] at the time its SHA-256 was found right
SUMS = "SHA256SUMS"  # as `sha256sum -c` reads it, beside files that have no table of ours
LOCK_WAIT_S = 900.0  # 20 MB in 15 minutes is 22 kB/s: who waits longer waits for nothing
STALE_S = 3600.0  # then a directory of a fetch that was killed goes

Say = Callable[[str], None]
Way = Callable[[Path, Say], None]  # writes all files of a collection into a directory, or raises


class DataError(RuntimeError):
    """The files can't be had, or are not the right ones; the message is for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Files that belong together."""

    name: str
    """As in `--data.name`; it begins what is said."""
    title: str
    """Its name in a sentence."""
    place: str
    """Directory below the data root."""
    names: tuple[str, str, str, str]
    """Files of the training images, training labels, test images, test labels."""
    sha256: Mapping[str, str]
    """File -> SHA-256; empty where the way that makes the files writes a SHA256SUMS beside them."""
    fix: str = "--data.root DIR names a place that has it"
    """What the user can do when all ways have failed."""


def obtain(collection: Collection, ways: Sequence[tuple[str, Way]], root: Path, say: Say) -> Path:
    """Return ROOT/PLACE with all files in it; what is missing or wrong comes by the first way that works.

    Raises DataError when no way leads to them, or when the place can't be written.
    """
    place = root / collection.place
    faults: dict[str, str] = {}
    try:
        faults = _faults(collection, place)
        if faults:
            place.mkdir(parents=True, exist_ok=True)
            with _locked(place / ".lock", collection, say):
                faults = _faults(collection, place)  # while this process waited another may have fetched them
                if faults:
                    _mend(collection, ways, place, faults, say)
    except OSError as error:
        found = [text for text in faults.values() if text]
        reason = f"{error.filename or place}: {error.strerror or error}"
        raise DataError("; ".join([*found, reason, "--data.root DIR names another place"])) from error
    return place


def check(path: Path, sha256: str, title: str) -> None:
    """Raise DataError unless `path` has this SHA-256; `title` is what it should belong to."""
    found = digest(path)
    if found != sha256:
        raise DataError(f"{path} is not {title}'s: its SHA-256 is {found[:12]}…, not {sha256[:12]}…")


def digest(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees a part of it: beside it first, then renamed."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _faults(collection: Collection, place: Path) -> dict[str, str]:
    """The files that are not right, with the reason; "" for one that is not there. Marks if all are right."""
    table = collection.sha256 or _sums(place)
    known = _marker(place)
    stamps = {name: _stamp(place / name) for name in collection.names}
    faults: dict[str, str] = {}
    for name, stamp in stamps.items():
        if not stamp or name not in table:
            faults[name] = ""
        elif stamp != known.get(name):
            try:
                check(place / name, table[name], collection.title)
            except DataError as error:
                faults[name] = str(error)
    if not faults and stamps != known:
        with contextlib.suppress(OSError):  # a root that others own may be read-only: then checked every time
            replace(place / MARKER, json.dumps(stamps).encode())
    return faults


def _sums(place: Path) -> dict[str, str]:
    """The table that is kept beside the files; empty if there is none."""
    try:
        lines = (place / SUMS).read_text().splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        return {}
    return {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}


def _marker(place: Path) -> dict[str, list[int]]:
    try:
        content = json.loads((place / MARKER).read_text())
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


def _mend(
    collection: Collection, ways: Sequence[tuple[str, Way]], place: Path, faults: Mapping[str, str], say: Say
) -> None:
    """Replace what is missing or wrong by the first way that works, through a directory beside the files."""
    _sweep(place)
    wrong = [text for text in faults.values() if text]
    for text in wrong:
        say(f"{collection.name}: {text}; it is fetched again")
    failures = wrong or [f"{place} does not hold the four files"]
    for title, way in ways:
        with tempfile.TemporaryDirectory(dir=place, prefix="fetching-") as directory:
            arrived = Path(directory)
            try:
                way(arrived, say)
                for name, sha256 in (collection.sha256 or _sums(arrived)).items():
                    check(arrived / name, sha256, collection.title)
            except (DataError, OSError, RuntimeError, ImportError) as error:
                failures.append(f"{title}: {' '.join(str(error).split())[:400]}")
                say(f"{collection.name}: {failures[-1]}")
                continue
            for name in [*faults, *([] if collection.sha256 else [SUMS])]:
                (arrived / name).replace(place / name)
        still = [text or f"{name} is gone" for name, text in _faults(collection, place).items()]
        if still:
            raise DataError(f"{'; '.join(still)}, right after it was fetched: is the disk in order?")
        return
    listed = "; ".join(f"({number}) {failure}" for number, failure in enumerate(failures, 1))
    raise DataError(f"{collection.title} can't be had: {listed}. {collection.fix}")


def _sweep(place: Path) -> None:
    """Remove what fetches that were killed have left."""
    for directory in place.glob("fetching-*"):
        if time.time() - directory.stat().st_mtime > STALE_S:
            shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path, collection: Collection, say: Say) -> Iterator[None]:
    """Hold the lock file. Where a file system knows no locks, go on: files still appear whole."""
    with path.open("a+b") as file:
        deadline = time.monotonic() + LOCK_WAIT_S
        if not _try_lock(file):
            say(f"{collection.name}: another process is fetching into {path.parent}, waiting for it")
            while not _try_lock(file):
                if time.monotonic() > deadline:
                    raise DataError(
                        f"{path} is held for {LOCK_WAIT_S:.0f} s by a process that fetches {collection.title}"
                    )
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
