"""The processes of a cluster: started in sessions of their own with a log each, looked at, waited for."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from cloud.rehearse.lab.site import search_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_END_S = 15.0


class Daemons:
    """By name: munged, slurmctld, and node1 … for the slurmd of each node."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, argv: Sequence[str], **variables: str) -> None:
        """Start one; its log goes on where it has been before."""
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                list(argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
                env={"PATH": search_path(), "LANG": "C.UTF-8", **variables},
            )  # fmt: skip

    def is_up(self, name: str) -> bool:
        """Whether it runs."""
        return name in self._running and self._running[name].poll() is None

    def ended(self) -> list[str]:
        """Those that were started, and ended unasked."""
        return [name for name, process in self._running.items() if process.poll() is not None]

    def end(self, name: str) -> None:
        """Wait for one whose processes are gone; it is killed otherwise."""
        process = self._running.pop(name, None)
        if process is None:
            return
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def end_all(self) -> None:
        """The same for all."""
        for name in list(self._running):
            self.end(name)

    def log(self, name: str) -> Path:
        """What it said."""
        return self._logs / f"{name}.log"

    def last_words(self, name: str) -> str:
        """The last line that tells of an error, else the last one."""
        try:
            lines = self.log(name).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        telling = [line for line in lines if "error" in line.lower()] or lines
        return telling[-1].strip() if telling else "without a word"
