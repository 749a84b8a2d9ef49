"""Machines that stay: a template's node programs with HOTRUN_STAYS=1, and metadata that change under them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from cloud import plan
from cloud.node.process import TAG
from cloud.rehearse import Options, guardian
from cloud.rehearse.prepare import prepare
from tests.rehearse.processes import wait_for

if TYPE_CHECKING:
    from pathlib import Path

STAYS = {"HOTRUN_STAYS": "1"}
PATIENCE_S = 240.0  # the tests' machine may be busy


class Stack:
    """The machines of one stack, some of which run."""

    def __init__(self, text: str, source: Path, runs: Path) -> None:
        self._stack = ExitStack()
        self.signals: dict[str, dict[str, Any]] = {}
        self.said: dict[str, list[str]] = {}
        self._running: dict[str, subprocess.Popen[str]] = {}
        options = Options(runs_dir=runs, source=source, level="process")
        self.prepared = prepare(plan.make(text, {}), options, self._stack, lambda _: None, self._take)
        self._nodes = {node.name: node for node in self.prepared.nodes}

    def start(self, name: str) -> None:
        """Boot a machine, for the first time or again."""
        node = self._nodes[name]
        process = subprocess.Popen(
            ["bash", str(node.user_data)], env={**node.environment, **STAYS}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        self._running[name] = process
        threading.Thread(target=self._read, args=(name, process), daemon=True).start()

    def change(self, **metadata: str) -> None:
        """Update the stack: every machine's metadata."""
        for name in self._nodes:
            self.prepared.stand_ins.change(name, **metadata)

    def change_one(self, name: str, **metadata: str) -> None:
        """Update one machine's metadata, as Heat does before the others'."""
        self.prepared.stand_ins.change(name, **metadata)

    def end(self, name: str) -> None:
        """Delete a machine: its processes are gone at once."""
        root = self._nodes[name].root
        for pid in guardian.with_variable(f"HOTRUN_ROOT={root}", f"{TAG}={root}#{name}"):
            os.kill(pid, signal.SIGKILL)

    def wait_for_signal(self, signal_id: str) -> dict[str, Any]:
        """Wait for a signal of the master, and return its body."""
        assert wait_for(lambda: signal_id in self.signals, PATIENCE_S), self.story()
        return self.signals[signal_id]

    def wait_for_words(self, name: str, words: str, times: int = 1) -> None:
        """Wait until a machine has said something, `times` times."""
        told = self.said.setdefault(name, [])
        assert wait_for(lambda: sum(words in line for line in told) >= times, PATIENCE_S), self.story()

    def wait_for_end(self, name: str) -> int:
        """Wait until a machine has powered off, and return its exit code."""
        return self._running[name].wait(PATIENCE_S)

    def is_running(self, name: str) -> bool:
        """Whether a machine's program has not ended."""
        return self._running[name].poll() is None

    def root(self, name: str) -> Path:
        """A machine's root directory."""
        return self._nodes[name].root

    def story(self) -> str:
        """What all machines said, for a failure."""
        lines = [f"{name}: {line}" for name, told in self.said.items() for line in told[-60:]]
        return "\n".join([*lines, json.dumps(self.signals)[:3000]])

    def close(self) -> None:
        """End what still runs."""
        guardian.sweep(self.prepared.tag)
        for process in self._running.values():
            process.wait()
        self._stack.close()

    def _take(self, recorded: bool, body: Any) -> None:
        assert recorded
        self.signals[body["id"]] = body

    def _read(self, name: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        told = self.said.setdefault(name, [])
        for line in process.stdout:
            told.append(line.rstrip())
        process.stdout.close()
