"""Workers of tensorflow_mwms.py, each a process of its own on this machine's loopback, as on a node."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.payload.left import Left
from tests.ports import free_ports

PROGRAM = Path(__file__).resolve().parents[3] / "payload" / "tensorflow_mwms.py"
DEADLINE_S = 600  # on a machine that does other things beside
LOOK_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers(Left):
    """Started workers. Worker I has DIRECTORY/I as its HOTRUN_RUN_DIR, and prints into I.out and I.err."""

    directory: Path
    addresses: list[str]
    processes: list[subprocess.Popen[bytes]]

    def wait(self) -> list[int]:
        """Exit codes, by index; none is left running."""
        deadline = time.monotonic() + DEADLINE_S
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        return self.kill()

    def kill(self) -> list[int]:
        """SIGKILL for all that still run; exit codes, by index."""
        for process in self.processes:
            process.kill()
        return [process.wait() for process in self.processes]

    def finish(self) -> Workers:
        """Wait, and fail the test unless every worker ended well."""
        codes = self.wait()
        texts = "\n".join(path.read_text() for path in sorted(self.directory.glob("*.[oe]*")))
        assert codes == [0] * len(codes), texts
        return self

    def await_text(self, text: str, index: int = 0) -> None:
        """Until a worker has printed it, or complained of it."""
        deadline = time.monotonic() + DEADLINE_S
        while text not in self.out(index) + self.err(index):
            is_running = self.processes[index].poll() is None
            assert is_running, self.out(index) + self.err(index)
            assert time.monotonic() < deadline, f"{text!r} never came: {self.out(index)} {self.err(index)}"
            time.sleep(LOOK_S)

    def end(self, index: int, number: int = signal.SIGKILL) -> None:
        """Send one worker a signal."""
        self.processes[index].send_signal(number)

    def out(self, index: int = 0) -> str:
        """What a worker printed."""
        return (self.directory / f"{index}.out").read_text()

    def err(self, index: int = 0) -> str:
        """What a worker complained of."""
        return (self.directory / f"{index}.err").read_text()

    def checkpoints(self, index: int) -> dict[int, dict[str, Any]]:
        """Step -> manifest, of what a worker keeps."""
        found = [json.loads(path.read_text()) for path in self.place(index).glob("step-*.json")]
        return {manifest["step"]: manifest for manifest in found}

    def place(self, index: int) -> Path:
        """Where a worker keeps its checkpoints."""
        return self.directory / str(index) / "checkpoints"

    @property
    def run(self) -> Path:
        """Where worker 0 writes."""
        return self.directory / "0"


def start(
    directory: Path, *words: str, count: int = 2, indexes: Sequence[int] | None = None,
    addresses: list[str] | None = None,
    words_of: Mapping[int, Sequence[str]] | None = None, **environment: str,
) -> Workers:  # fmt: skip
    """Start `count` workers as a node does, by TF_CONFIG and HOTRUN_ variables, or only `indexes` of them.

    `words_of` are further words for single workers.
    """
    directory.mkdir(parents=True, exist_ok=True)
    addresses, processes = addresses or [f"127.0.0.1:{port}" for port in free_ports(count)], []
    for index in range(count) if indexes is None else indexes:
        place = directory / str(index)
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        values = {
            "HOTRUN_RUN_DIR": str(place), "HOTRUN_CHECKPOINT_DIR": str(place / "checkpoints"),
            "HOTRUN_NODE_RANK": str(index), **({"TF_CONFIG": json.dumps(task)} if count > 1 else {}), **environment,
        }  # fmt: skip
        line = [*words, *(words_of or {}).get(index, ())]
        with (directory / f"{index}.out").open("wb") as out, (directory / f"{index}.err").open("wb") as err:
            process = subprocess.Popen([sys.executable, str(PROGRAM), *line], cwd=directory, stdout=out, stderr=err,
                                       env=clean_environment(**values), stdin=subprocess.DEVNULL)  # fmt: skip
        processes.append(process)
    return Workers(directory=directory, addresses=addresses, processes=processes)


def alone(directory: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a person types in `directory`."""
    return subprocess.run([sys.executable, str(PROGRAM), *words], cwd=directory, text=True, check=False,
                          env=clean_environment(**environment), capture_output=True, timeout=DEADLINE_S)  # fmt: skip


def clean_environment(**extra: str) -> dict[str, str]:
    """This process's, without what a launcher sets, with a place for bytecode; one thread."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("HOTRUN_", "TF_", "GRPC_"))
    }
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    store = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept.setdefault("PYTHONPYCACHEPREFIX", str(store / "hotrun" / "bytecode"))
    return {**kept, "TF_NUM_INTRAOP_THREADS": "1", **extra}
