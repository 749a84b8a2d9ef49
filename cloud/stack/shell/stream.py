"""One ssh process: what it says as lines and bytes, with a deadline for each wait."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import tempfile
import threading
import time
from typing import Any

from cloud.errors import HotrunError, Problem

_MAX_GREETING_BYTES = 1 << 20  # of a login shell that talks before the program does
_MAX_LINE_BYTES = 16 << 20
_BLOCK = 1 << 18
_END_S = 3.0


class Stream:
    """A process that reads `stdin` whole; its standard error goes to a file, which nothing waits for."""

    def __init__(self, command: list[str], stdin: bytes) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - `end` closes it
        with tempfile.TemporaryFile() as given:
            given.write(stdin)
            given.flush()
            given.seek(0)
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                command, stdin=given, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True
            )
        assert self._process.stdout is not None, "it was asked for"
        self._out = self._process.stdout
        self._buffer = bytearray()
        self._text = ""
        self._ending = threading.Lock()

    @property
    def pid(self) -> int:
        """Of the ssh process."""
        return self._process.pid

    @property
    def is_open(self) -> bool:
        """Whether `end` was not called."""
        return not self._errors.closed

    def skip_to(self, mark: bytes, timeout_s: float) -> None:
        """Read past `mark`. Raises EOFError when it never comes, TimeoutError when it comes too late."""
        until = time.monotonic() + timeout_s
        while mark not in self._buffer:
            if len(self._buffer) > _MAX_GREETING_BYTES:
                raise EOFError
            self._fill(until - time.monotonic())
        del self._buffer[: self._buffer.index(mark) + len(mark)]

    def line(self, timeout_s: float) -> bytes:
        """The next line, without its end. Raises EOFError or TimeoutError."""
        begin, until = 0, time.monotonic() + timeout_s
        while (at := self._buffer.find(b"\n", begin)) < 0:
            begin = len(self._buffer)
            if begin > _MAX_LINE_BYTES:
                raise EOFError
            self._fill(until - time.monotonic())
        found = bytes(self._buffer[:at])
        del self._buffer[: at + 1]
        return found

    def some(self, most: int, timeout_s: float) -> bytes:
        """At most `most` bytes, at least one. Raises EOFError or TimeoutError."""
        if not self._buffer:
            self._fill(timeout_s)
        found = bytes(self._buffer[:most])
        del self._buffer[:most]
        return found

    def errors(self) -> str:
        """What it wrote to standard error until `end`."""
        return self._text

    def stop(self) -> None:
        """Ask the process to end, and wait for nothing."""
        if self.is_open and self._process.poll() is None:
            self._process.terminate()

    def end(self) -> int:
        """End the process if it still runs; its exit code. Any thread may."""
        with self._ending:
            return self._end()

    def _end(self) -> int:
        if not self.is_open:
            return self._process.wait()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)  # it may be about to say why
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        code = self._process.wait()
        self._out.close()
        self._errors.seek(0)
        self._text = self._errors.read(65536).decode("utf-8", "replace")
        self._errors.close()
        return code

    def _fill(self, timeout_s: float) -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._out, selectors.EVENT_READ)
            if not waiting.select(max(0.0, timeout_s)):
                raise TimeoutError
        block = os.read(self._out.fileno(), _BLOCK)
        if not block:
            raise EOFError
        self._buffer += block


def bad_answer(machine: str, told: Any) -> HotrunError:
    """What a machine said is not what the program says there."""
    what = f"{machine} answered with {str(told)[:80]!r}, which is no answer of this program"
    return HotrunError(Problem(code="machine-answer", what=what, fix="try again", node=machine))
