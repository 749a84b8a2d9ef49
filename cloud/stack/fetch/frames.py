"""Frames of inside.py's `send` -> files: gone on with after a break, believed only by their SHA-256.

What has arrived of a file lies under runs/NAME/.part until all of it is there and right.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Protocol

from cloud.stack.fetch.listing import BadAnswer, document

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cloud.stack.fetch.listing import Remote
    from cloud.stack.shell.stream import Stream

PARTS = ".part"
SILENCE_S = 90.0  # it says something at least every 64 MiB that it reads


class Progress(Protocol):
    """Who is told how far it is."""

    def bytes(self, count: int) -> None:
        """So many more bytes arrived."""

    def file(self) -> None:
        """One more file is whole."""


class Receiver:
    """Takes the answers to one request for files."""

    def __init__(self, folder: Path, key: str, progress: Progress) -> None:
        """`key`: run and attempt; parts of another one are never gone on with."""
        self._folder, self._key, self._progress = folder, key, progress
        self.done: list[Remote] = []
        self.damaged: list[Remote] = []
        self.failed: list[tuple[Remote, str]] = []

    def part(self, remote: Remote) -> Path:
        """Where what has arrived of a file lies. Names can be too long or odd for an ending of ours."""
        name = hashlib.sha256(f"{self._key}/{remote.path}".encode("utf-8", "surrogateescape")).hexdigest()
        return self._folder / PARTS / name[:40]

    def request(self, remote: Remote, known_sha256: str = "") -> dict[str, Any]:
        """What to ask for a file. `known_sha256`: of the file that is at home, when it may be the same."""
        part = self.part(remote)
        offset = min(part.stat().st_size, remote.size) if part.is_file() else 0
        return {"path": remote.path, "offset": offset, "size": remote.size, "sha256": known_sha256}

    def take(self, stream: Stream, asked: Sequence[tuple[Remote, dict[str, Any]]]) -> None:
        """Take the answers to all requests, in their order.

        Raises EOFError or TimeoutError when the connection ends or falls silent, BadAnswer for nonsense, and
        OSError when this computer's disk refuses. What has arrived by then stays.
        """
        for remote, request in asked:
            if self._frame(stream).get("file") != remote.path:
                raise BadAnswer(f"something else than {remote.path}")
            self._take_one(stream, remote, request["offset"])
        self._frame(stream)

    def _take_one(self, stream: Stream, remote: Remote, offset: int) -> None:
        part = self.part(remote)
        digest, size = hashlib.sha256(), 0
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("r+b" if part.exists() else "w+b") as file:
            while size < offset and (chunk := file.read(min(1 << 20, offset - size))):
                digest.update(chunk)
                size += len(chunk)
            file.truncate(size)
            while "bytes" in (frame := self._frame(stream)) or "hashed" in frame:
                left = frame.get("bytes", 0)
                if not isinstance(left, int) or not 0 <= left <= remote.size - size:
                    raise BadAnswer(f"more bytes than {remote.path} has")
                size += left
                while left:
                    chunk = stream.some(left, SILENCE_S)
                    left -= len(chunk)
                    digest.update(chunk)
                    file.write(chunk)
                    self._progress.bytes(len(chunk))
        self._end_one(remote, part, frame, digest.hexdigest())

    def _end_one(self, remote: Remote, part: Path, frame: dict[str, Any], sha256: str) -> None:
        """Move a file to its place when it is what it should be; what is not is dropped."""
        if "done" in frame and frame["done"] == sha256 and remote.sha256 in ("", sha256):
            target = self._folder / remote.place
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                part.replace(target)
            except OSError as error:  # a name that this computer's disk can't have
                part.unlink(missing_ok=True)
                self.failed.append((remote, error.strerror or str(error)))
                return
        else:
            part.unlink(missing_ok=True)
            if "done" in frame:
                self.damaged.append(remote)
                return
            if "same" not in frame:
                self.failed.append((remote, str(frame.get("failed", frame))[:200]))
                return
        self.done.append(remote)
        self._progress.file()

    @staticmethod
    def _frame(stream: Stream) -> dict[str, Any]:
        return document(stream.line(SILENCE_S))


def requests_text(asked: Sequence[tuple[Remote, dict[str, Any]]]) -> bytes:
    """What `send` reads from its standard input."""
    return b"".join(json.dumps(request).encode() + b"\n" for _, request in asked)
