"""ray_train.py as a person, or hotrun, starts it: a process of its own, whose lines are read as they come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.payload.left import Left

PAYLOAD = Path(__file__).resolve().parents[3] / "payload"
DEADLINE_S = 900.0
OURS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Driver(Left):
    """A started program, in `directory`, where HOTRUN_RUN_DIR is `run`."""

    def __init__(
        self, directory: Path, *words: str, program: str = "ray_train.py", **environment: str
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.run = directory / "run"
        place = {"HOTRUN_RUN_DIR": str(self.run), **environment}
        self.process = subprocess.Popen(
            [sys.executable, str(PAYLOAD / program), *words], cwd=directory, text=True,
            env={key: value for key, value in {**clean_environment(), **place}.items() if value},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.threads = [threading.Thread(target=self._read, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.lines), (self.process.stderr, self.errors))]  # fmt: skip
        for thread in self.threads:
            thread.start()

    @staticmethod
    def _read(stream: Any, lines: list[str]) -> None:
        with stream:
            lines.extend(iter(stream.readline, ""))

    @property
    def out(self) -> str:
        """What it printed so far."""
        return "".join(self.lines)

    @property
    def err(self) -> str:
        """What it complained of so far."""
        return "".join(self.errors)

    def until(self, text: str) -> None:
        """Wait for a text in its output; fail if it ends without."""
        wait(lambda: text in self.out or self.process.poll() is not None, f"{text!r}")
        assert text in self.out, self.out + self.err

    def wait(self) -> int:
        """Its exit code."""
        try:
            code = self.process.wait(DEADLINE_S)
        finally:
            self.end()
        return code

    def interrupt(self) -> None:
        """Ctrl-C in its terminal, whose other processes are Ray's."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> None:
        """Leave nothing of it, whatever happened."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for thread in self.threads:
            thread.join(10)

    def finish(self) -> Driver:
        """Wait, and fail the test unless it ended well."""
        assert self.wait() == 0, self.out + self.err
        return self


def wait(is_so: Callable[[], object], what: str) -> None:
    """Until something is so."""
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not come within {DEADLINE_S:g} s"
        time.sleep(0.1)


def clean_environment() -> dict[str, str]:
    """This process's, without what a launcher or a Ray sets, with a place for bytecode."""
    kept = {key: value for key, value in os.environ.items()
            if key not in OURS and not key.startswith(("HOTRUN_", "RAY_", "TORCHEL"))}  # fmt: skip
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    store = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept.setdefault("PYTHONPYCACHEPREFIX", str(store / "hotrun" / "bytecode"))
    return {**kept, "OMP_NUM_THREADS": "1"}


def processes(variable: str, title: str = "") -> list[int]:
    """Numbers of the processes whose environment holds `variable`, and whose command begins with `title`."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal() and int(place.name) != os.getpid():
            try:
                environment, command = (place / "environ").read_bytes(), (place / "cmdline").read_bytes()
            except OSError:
                continue
            if variable.encode() in environment and command.startswith(title.encode()):
                found.append(int(place.name))
    return found


def below(pid: int) -> list[int]:
    """Numbers of the processes that a process has started, and those have started."""
    parents: dict[int, list[int]] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                words = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(words[1]), []).append(int(place.name))
    found = list(parents.get(pid, []))
    for child in found:
        found += parents.get(child, [])
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs, or could."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
