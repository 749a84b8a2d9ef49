"""Machines as processes: the level's command for each, its output read line by line, and who is who in it."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

END_OF_OUTPUT_S = 1.0  # a grandchild that keeps the pipe open is not waited for


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a machine's output."""

    name: str
    text: str


@dataclass
class Fleet:
    """The machines' processes; all lines arrive in one queue, in the order they were read."""

    lines: queue.SimpleQueue[Line] = field(default_factory=queue.SimpleQueue)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    readers: dict[str, threading.Thread] = field(default_factory=dict)

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str], root: Path, log: Path) -> None:
        """Start a machine, also one that comes back: its log goes on."""
        process = subprocess.Popen(
            list(argv), env=dict(env), cwd=root, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        self.processes[name] = process
        reader = threading.Thread(target=self._read, args=(name, process.stdout, log), daemon=True)
        self.readers[name] = reader
        reader.start()

    def ended(self) -> dict[str, int]:
        """Exit codes of the machines whose process is gone; negative for a signal."""
        codes = ((name, process.poll()) for name, process in self.processes.items())
        return {name: code for name, code in codes if code is not None}

    def finish_reading(self, name: str) -> None:
        """Wait for the last lines of a machine that ended."""
        self.readers[name].join(END_OF_OUTPUT_S)

    def _read(self, name: str, stream: IO[bytes], log: Path) -> None:
        with stream, log.open("a", encoding="utf-8") as written:
            for raw in stream:
                text = raw.decode("utf-8", "replace").rstrip("\r\n").rpartition("\r")[2].rstrip()
                written.write(text + "\n")
                written.flush()
                self.lines.put(Line(name, text))


def kill(pids: Iterable[int]) -> bool:
    """SIGKILL to all; whether there was one."""
    found = False
    for pid in pids:
        found = True
        send(pid, signal.SIGKILL)
    return found


def programs(pids: Iterable[int]) -> list[int]:
    """The node programs among these processes."""
    return [pid for pid in sorted(pids) if b"\0-m\0node\0" in _read(pid, "cmdline")]


def ranks(pids: Iterable[int]) -> list[int]:
    """The ranks among these processes, and what runs beside them; not what they started."""
    marked = {pid for pid in pids if b"\0HOTRUN_PROOF_DIR=" in b"\0" + _read(pid, "environ")}
    return [pid for pid in sorted(marked) if _parent(pid) not in marked]


def held_bytes(pid: int) -> int:
    """What a process holds that no file has, 0 when it is gone."""
    fields = (line.split() for line in _read(pid, "status").splitlines())
    return next((int(field[1]) * 1024 for field in fields if field[0] == b"RssAnon:"), 0)


def has_ended(pid: int) -> bool:
    """Whether a process is gone, its memory given back; its parent may not have asked for its end yet."""
    state = _read(pid, "stat").rpartition(b")")[2].split()[:1]
    return state in ([], [b"Z"], [b"X"])


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that ended meanwhile is none."""
    with contextlib.suppress(OSError):
        os.kill(pid, number)


def _read(pid: int, name: str) -> bytes:
    try:
        return Path("/proc", str(pid), name).read_bytes()
    except OSError:
        return b""


def _parent(pid: int) -> int:
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0
