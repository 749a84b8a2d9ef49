"""Machines as processes: `bash FILE` each, in a session of its own, its output read line by line."""

from __future__ import annotations

import queue
import subprocess
import threading
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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

    def start(self, name: str, user_data: Path, env: Mapping[str, str], root: Path, log: Path) -> None:
        """Start a machine's user data, the file as it is."""
        process = subprocess.Popen(
            ["bash", str(user_data)], env=dict(env), cwd=root, stdin=subprocess.DEVNULL,
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
