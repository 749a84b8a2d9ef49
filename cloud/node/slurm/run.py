"""set-up and train: one node's part of an attempt, through the same stages as on a machine of a cloud."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Sequence

from .. import process
from ..console import node_name
from ..context import Context, write_json
from ..engines import ENGINES
from ..engines.lightning import SUBCOMMANDS
from ..failure import Ended, MasterLost, StageFailed, Stopped
from ..job import Job
from ..recognise import refusal
from ..stages import train
from ..stages.environment import choose_engine, run_setup
from ..walk import stage
from . import places
from .places import FAILED, LIMIT, SlurmContext, run_directory
from .talk import Talk

_PID = "pid"
_SAVE_S = 60.0  # of the 90 s between the announcement and the time limit
_VICTIM_S = 12.0  # for the culprit to tell why it ended, before srun ends everything


def set_up(words: Sequence[str]) -> int:
    """`set-up`: the set-up command, on rank 0's node alone where all see the same files."""
    context = _context()
    if not context.job.setup or (context.identity.rank and context.found["go"]["shared"]):
        return 0
    return _through(context, "environment", _command)


def _command(context: Context, deadline: float) -> str:
    run_setup(context, deadline)
    return "set up"


def train_node(words: Sequence[str]) -> int:
    """`train`: the ranks of this node; the exit code says how they ended, and report.json why."""
    context = _context()
    talk = context.link
    assert isinstance(talk, Talk), "made by places.on_node"
    talk.is_ending = lambda: time.monotonic() > talk.limit + _SAVE_S or _has_saved(context, talk)
    announced: dict[str, int] = {"since": 0, "told": 0}

    def on_limit(number: int, frame: FrameType | None) -> None:
        if not talk.limit:
            announced["since"], talk.limit = time.time_ns(), time.monotonic()
            announced["told"] = forward(context.tag, number)

    context.found["announced"] = announced
    signal.signal(signal.SIGUSR1, on_limit)
    note = context.layout.run("") / _PID
    note.write_text(str(os.getpid()))
    code = _through(context, "train", _train)
    note.unlink()
    talk.close()
    return code


def tell(words: Sequence[str]) -> int:
    """`tell`: let this node's `train` know that the time limit is near.

    Slurm's own signals reach every process of a step, and end those that don't wait for them.
    """
    note = run_directory() / "nodes" / node_name(int(os.environ["SLURM_NODEID"])) / _PID
    with contextlib.suppress(OSError, ValueError):  # it is not there yet, or through
        os.kill(int(note.read_text()), signal.SIGUSR1)
    return 0


def _context() -> SlurmContext:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # it may come before the ranks are there
    return places.on_node(json.loads(os.environ[places.OURS + "GO"]))


def _end(number: int, frame: FrameType | None) -> None:
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    raise Ended


def _through(context: SlurmContext, name: str, work: Any) -> int:
    """One stage to its end, whatever that is, and the report of it."""
    state, code = "done", 0
    try:
        choose_engine(context)
        stage(context, name, work)
        if context.found.get("announced", {}).get(
            "told"
        ):  # it was told, so it saved what it had: not its end
            state, code = "limit", LIMIT
    except StageFailed as error:
        state, code = "failed", FAILED
        _tell(context, state)
        if error.problem.get("of_peer"):
            with contextlib.suppress(Ended):
                time.sleep(_VICTIM_S)
        return code
    except Stopped:
        state, code = "limit", LIMIT
    except (Ended, MasterLost):
        state, code = "stopped", 130
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):  # what follows is quick
            signal.signal(number, signal.SIG_IGN)
        process.sweep(context.tag)
    _tell(context, state)
    return code


def _tell(context: SlurmContext, state: str) -> None:
    talk = context.link
    assert isinstance(talk, Talk), "made by places.on_node"
    found = {**talk.failure, "node": context.identity.name, "stage": context.stage}
    report = {
        "attempt": context.attempt, "state": state, "stages": talk.stages, "time": time.time(),
        "problem": found if state == "failed" else None,
        "newest": max(checkpoints(context.layout.kept("")), default=0),
    }  # fmt: skip
    write_json(context.layout.run("") / "report.json", report)


def _train(context: Context, deadline: float) -> str:
    """The stage `train`, behind what the gate would refuse."""
    found, nnodes = context.found, context.identity.nnodes
    refused = refusal(context.job, found["recognition"], nnodes, found["nproc"], bool(found["gpus"]))
    if refused:
        raise StageFailed.of(refused)
    context.job = _rooted(context)
    return train.run(context, deadline)


def _rooted(context: Context) -> Job:
    """The job, with its own directory as a LightningCLI's: that has a default, which beats the variable."""
    job, found = context.job, context.found
    if (ENGINES[found["engine"]], found["recognition"].engine) != ("lightning", "lightning-cli"):
        return job
    words = shlex.split(job.args)
    subcommand = words.pop(0) if words and words[0] in SUBCOMMANDS else "fit"
    root = ("--trainer.default_root_dir", str(context.own_directory / "results"))
    return replace(job, args=shlex.join([subcommand, *root, *words]))


def _has_saved(context: SlurmContext, talk: Talk) -> bool:
    """Whether rank 0 has written a checkpoint since the time limit was announced."""
    if context.coordinator is None:
        return False
    since: int = context.found["announced"]["since"]
    return any(number > since for number in checkpoints(context.layout.kept("")))


def checkpoints(directory: Path) -> list[int]:
    """Numbers of the whole checkpoints that are kept there."""
    return [int(path.parent.name) for path in directory.glob("*/.whole") if path.parent.name.isdigit()]


def forward(tag: str, number: int) -> int:
    """Send a signal to processes of the ranks that wait for it, as it would end others; return how many."""
    count = 0
    for pid in _tagged(tag):
        with contextlib.suppress(OSError, ValueError):
            if catches(Path("/proc", str(pid), "status").read_text(), number):
                os.kill(pid, number)
                count += 1
    return count


def catches(status: str, number: int) -> bool:
    """Whether a process with this /proc/PID/status has a handler for the signal."""
    line = next((line for line in status.splitlines() if line.startswith("SigCgt:")), "SigCgt: 0")
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)


def _tagged(tag: str) -> list[int]:
    wanted, found = f"{process.TAG}={tag}".encode(), []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in Path("/proc", entry, "environ").read_bytes().split(b"\0"):
                    found.append(int(entry))
    return found
