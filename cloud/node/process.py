"""Child processes of a node: started in their own session, streamed line by line, ended whole.

A carriage return ends a line too (progress bars), and of such lines one a second is kept.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections import deque
from pathlib import Path
from typing import IO, Callable, Mapping, NamedTuple, Sequence

from .failure import TAIL_LINES

TAG = "HOTRUN_TAG"
_KILL_AFTER_S = 3.0
_CURSOR_UP = b"\x1b[A"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # colours and cursor movements mean nothing in a log


class Owner(NamedTuple):
    """The user that a process runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]


class Child:
    """One process whose output goes to a log, a tail and a callback."""

    def __init__(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: IO[str],
        on_line: Callable[[str], None] = lambda _: None, owner: Owner | None = None,
        secrets: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.tail: deque[str] = deque(maxlen=TAIL_LINES * 10)
        self.log_error: OSError | None = None
        self._log, self._on_line, self._secrets = log, on_line, secrets
        self._process = subprocess.Popen(
            list(argv), env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, user=owner.uid if owner else None,
            group=owner.gid if owner else None, extra_groups=owner.groups if owner else None,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal, None while it runs."""
        return self._process.poll()

    def finish_reading(self) -> None:
        """Wait for the last lines; a grandchild that keeps the pipe open is not waited for."""
        self._reader.join(timeout=2.0)

    def kill(self) -> None:
        """End the process and its session: SIGTERM, then SIGKILL."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
                self._process.wait(_KILL_AFTER_S)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self.finish_reading()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        pending, last_progress = b"", 0.0
        while True:
            chunk = os.read(stream.fileno(), 65536)
            if not chunk:
                break
            pending += chunk
            *lines, pending = pending.replace(b"\r\n", b"\n").replace(b"\r", b"\r\n").split(b"\n")
            for line in lines:
                if line.endswith((b"\r", _CURSOR_UP)):  # a progress bar, or one of several
                    if time.monotonic() - last_progress < 1.0:
                        continue
                    last_progress = time.monotonic()
                self._keep(line)
        self._keep(pending)
        stream.close()

    def _keep(self, raw: bytes) -> None:
        line = redacted(_ESCAPES.sub("", raw.decode("utf-8", "replace")).rstrip(), self._secrets)
        if line:
            self.tail.append(line)
            try:
                self._log.write(line + "\n")
                self._log.flush()
            except (OSError, ValueError) as error:  # full, or closed: a pipe that nobody reads would hang it
                self.log_error = error if isinstance(error, OSError) else self.log_error
            self._on_line(line)


def redacted(line: str, secrets: Sequence[str]) -> str:
    """The line without these words, and without what stands before the host of an address."""
    for secret in secrets:
        line = line.replace(secret, "***")
    return _CREDENTIALS.sub("://***@", line)


_CREDENTIALS = re.compile(r"://[^/\s:@]+:[^/\s@]+@")


class Cancelled(Exception):
    """The wait ended because `cancelled()` became true; the process is gone."""


class TookTooLong(Exception):
    """The deadline passed; the process is gone."""


def run(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: IO[str], deadline: float,
    cancelled: Callable[[], bool] = lambda: False, owner: Owner | None = None, secrets: Sequence[str] = (),
) -> tuple[int, list[str]]:  # fmt: skip
    """Run to the end and return (exit code, last lines).

    `deadline` is in time.monotonic() seconds. Raises Cancelled or TookTooLong, after ending the process,
    and FileNotFoundError when there is no such program.
    """
    log.write(redacted(f"+ {' '.join(argv)}\n", secrets))
    log.flush()
    child = Child(argv, env=env, cwd=cwd, log=log, owner=owner, secrets=secrets)
    try:
        while child.returncode is None:
            _check(cancelled, deadline)
            time.sleep(0.05)
    except BaseException:
        child.kill()
        raise
    child.finish_reading()
    return child.returncode, list(child.tail)


def _check(cancelled: Callable[[], bool], deadline: float) -> None:
    if cancelled():
        raise Cancelled
    if time.monotonic() > deadline:
        raise TookTooLong


def sweep(tag: str) -> int:
    """End every process that carries `tag` in its environment, orphans too; return how many there were."""
    found: set[int] = set()
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + _KILL_AFTER_S
        while True:
            alive = _tagged(tag)
            if not alive:
                return len(found)
            for pid in alive - found if number == signal.SIGTERM else alive:
                _signal(pid, number)
            found |= alive
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
    return len(found)


def _tagged(tag: str) -> set[int]:
    wanted = f"{TAG}={tag}".encode()
    pids: set[int] = set()
    try:
        entries = [entry for entry in os.listdir("/proc") if entry.isdigit()]
    except OSError:  # no /proc: not Linux
        return pids
    for entry in entries:
        try:
            if int(entry) != os.getpid() and wanted in Path("/proc", entry, "environ").read_bytes().split(
                b"\0"
            ):
                pids.add(int(entry))
        except OSError:  # ended meanwhile, or another user's
            continue
    return pids


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)
