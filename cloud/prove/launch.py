"""A command -> its end, with the probe in every Python that it starts, and the records that these left.

The directory holds inside.py as sitecustomize.py and the probe beside it, in front of PYTHONPATH; the
records lie next to them. Every host must see it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud import assets
from cloud.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

ACROSS_HOSTS = {
    "srun", "mpirun", "mpiexec", "mpiexec.hydra", "orterun", "prterun", "prun", "flux", "jsrun", "aprun",
    "ibrun",
}  # fmt: skip
TAKES_X = {"mpirun", "mpiexec", "orterun", "prterun", "prun"}  # where they are Open MPI's
VARIABLES = ("PYTHONPATH", "HOTRUN_PROOF_DIR", "HOTRUN_RUN_ID")
_OURS = {"HOTRUN_NODE", "HOTRUN_ATTEMPT"}  # of a machine of a template: here a host has its own name
_CODE = ".probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the records of one command go."""

    directory: Path
    is_kept: bool
    """Whether it is the user's own, which stays."""
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    """In every record: what an earlier command left is not counted."""

    def records(self) -> list[dict[str, Any]]:
        """Records of this command so far."""
        found = []
        for path in sorted(self.directory.glob("*-*.json")):
            with contextlib.suppress(OSError, ValueError):
                record = json.loads(path.read_text(encoding="utf-8"))
                if isinstance(record, dict) and record.get("run") == self.run:
                    found.append(record)
        return found


def several_hosts(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether a command may start processes on other hosts."""
    nodes = environment.get("SLURM_JOB_NUM_NODES") or environment.get("SLURM_NNODES") or "1"
    return Path(command[0]).name in ACROSS_HOSTS or (nodes.isdecimal() and int(nodes) > 1)


@contextlib.contextmanager
def place(wanted: str | None, is_shared: bool) -> Iterator[Place]:
    """Make the directory: `wanted`, else a fresh one that is removed afterwards.

    `is_shared`: it lies below the current directory, which clusters share. Raises RequestError.
    """
    parent = wanted or (os.curdir if is_shared else tempfile.gettempdir())
    try:
        if wanted:
            Path(wanted).mkdir(parents=True, exist_ok=True)
        directory = Path(wanted or tempfile.mkdtemp(prefix=".hotrun-prove-", dir=parent)).resolve()
        (directory / _CODE).mkdir(exist_ok=True)
        shutil.copyfile(assets.NODE_PROGRAM / "probe.py", directory / _CODE / "hotrun_probe.py")
        shutil.copyfile(Path(__file__).with_name("inside.py"), directory / _CODE / "sitecustomize.py")
    except OSError as error:
        what = f"{parent} can't hold the records: {error.strerror or error}"
        fix = "name a directory that can be written with --proof-dir"
        raise RequestError(Problem(code="proof-dir-unusable", what=what, fix=fix)) from error
    found = Place(directory=directory, is_kept=bool(wanted))
    try:
        yield found
    finally:
        shutil.rmtree(directory / _CODE if found.is_kept else directory, ignore_errors=True)


def environment(place: Place, before: Mapping[str, str]) -> dict[str, str]:
    """The command's variables: `before`, and those that bring the probe."""
    paths = [str(place.directory / _CODE), *filter(None, [before.get("PYTHONPATH")])]
    return {
        **{key: value for key, value in before.items() if key not in _OURS},
        "PYTHONPATH": os.pathsep.join(paths),
        "HOTRUN_PROOF_DIR": str(place.directory),
        "HOTRUN_RUN_ID": place.run,
    }


def passed_on(command: Sequence[str]) -> list[str]:
    """The command; Open MPI's is told to take our variables along (-x), others do so by themselves."""
    if Path(command[0]).name not in TAKES_X or not _is_open_mpi(command[0]):
        return list(command)
    return [command[0], *(word for name in VARIABLES for word in ("-x", name)), *command[1:]]


def _is_open_mpi(program: str) -> bool:
    try:
        asked = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "open mpi" in asked.stdout.lower() or "open-mpi" in asked.stdout.lower()


@dataclass(slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    """Its exit code; -N when signal N ended it."""
    interrupted_by: str = ""
    """The signal that reached us meanwhile, or empty."""


def run(command: Sequence[str], variables: Mapping[str, str], *, stdout: int | None = None) -> Ended:
    """Run a command to its end, its input and output being ours (or `stdout`). Raises RequestError.

    A signal that comes to us goes to the command, which decides; Ctrl-C is there already.
    """
    ended = Ended(code=0)
    children: list[subprocess.Popen[bytes]] = []
    early: list[int] = []  # came while the command was being started

    def pass_on(number: int, _frame: FrameType | None) -> None:
        ended.interrupted_by = ended.interrupted_by or signal.Signals(number).name
        if number == signal.SIGINT and _is_in_the_foreground():
            return
        if not children:
            early.append(number)
            return
        children[0].send_signal(number)

    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] is not signal.SIG_IGN:  # as in the background, or under nohup
            signal.signal(number, pass_on)
    try:
        children.append(_started(command, variables, stdout))
        for missed in early:
            children[0].send_signal(missed)
        ended.code = children[0].wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return ended


def _started(
    command: Sequence[str], variables: Mapping[str, str], stdout: int | None
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, env=dict(variables), stdout=stdout)
    except OSError as error:
        fix = "write the command as you would without `prove --`"
        what = f"{command[0]} can't be started: {error.strerror or error}"
        raise RequestError(Problem(code="command-not-started", what=what, fix=fix)) from error


def _is_in_the_foreground() -> bool:
    """Whether the terminal's Ctrl-C reaches our children without us."""
    try:
        with Path(os.ctermid()).open("rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
