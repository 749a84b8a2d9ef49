"""train: start this node's ranks, stream what they say, and tell the first failure from its echoes."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Sequence

from .. import checkpoints, machine, process, survey
from ..context import Context
from ..engines import ENGINES, Place, torchrun_environment
from ..failure import StageFailed
from ..process import Child
from .environment import program_environment

_POLL_S = 0.05
# What a rank says when a peer went away: it is a victim, not the culprit (gloo, NCCL, the store).
_OF_PEER = re.compile(
    r"Connection closed by peer|Connection reset by peer|connectFullMesh|Broken pipe|Timed out waiting \d+ms"
    r"|DistNetworkError|DistStoreError|NCCL communicator was aborted|remote process exited|Socket closed"
)
_TRACEBACK = "Traceback (most recent call last):"
_RANK = re.compile(r"^\[rank\d+\]: ?")  # torch puts it before every line of a traceback
_PEERS_S = 3.0  # for the other ranks of this node to say more than that somebody went away
_PLACE = re.compile(r'File "([^"]+)", line (\d+)')


def run(context: Context, deadline: float) -> str:
    """Run the program on every rank of this node. Returns seconds and ranks, for the console."""
    go = context.found["go"]
    deadline = time.monotonic() + go["left_s"]
    path, is_ours = checkpoints.resume(context, go["resume"], deadline)
    place = _place(context, path, passes_itself=is_ours)
    engine = ENGINES.get(context.found["engine"])
    if engine is None:
        raise StageFailed(
            "engine-not-available", f"engine {context.found['engine']} is not in this version",
            fix="use --engine lightning or torch",
        )  # fmt: skip
    launch = engine(context.job, context.found["recognition"], place)
    context.found.setdefault("files_before", snapshot(context))  # of the first attempt
    python = str(context.found["environment"] / "bin/python")
    children: list[Child] = []
    results = context.own_directory / "results"
    context.found["oom_kills"] = survey.oom_kills()
    replication = checkpoints.Replication(
        context, [context.layout.checkpoints(context.run), results, context.program_directory]
    )
    try:
        for local_rank in range(place.nproc):
            env = {**_environment(context, place, local_rank), **launch.environment}
            children.append(_start(context, [python, "-u", *launch.arguments], env, place, local_rank))
        _wait(context, children, place, deadline)
    finally:
        process.sweep(context.tag)  # every process of these ranks, whichever session it moved to
        for child in children:
            child.finish_reading()
        replication.end()
    context.connected().send("exit")
    return f"{place.nproc} ranks" if place.nproc > 1 else "1 rank"


def snapshot(context: Context) -> dict[str, tuple[float, int]]:
    """Files of the program's directory with time and size: what changes is brought home."""
    found, top = {}, context.program_directory
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name not in _SKIP]  # git's objects are many
        for path in (Path(folder, name) for name in names):
            if path.is_file() and not path.is_symlink():
                status = path.stat()
                found[str(path.relative_to(top))] = (status.st_mtime, status.st_size)
    return found


_SKIP = {".git", "__pycache__"}


def _place(context: Context, resume: str, *, passes_itself: bool) -> Place:
    go, found = context.found["go"], context.found
    return Place(
        node_rank=context.identity.rank, nnodes=context.identity.nnodes, nproc=found["nproc"],
        master_address=go["addresses"][0], master_port=go["port"], run=context.run, attempt=context.attempt,
        has_gpu=go["has_gpu"],
        threads=max(1, machine.cpus() // found["nproc"]), interface=found["interface"],
        resume=resume, reads_resume=passes_itself,
    )  # fmt: skip


def _environment(context: Context, place: Place, local_rank: int) -> dict[str, str]:
    own = context.own_directory
    return {
        **program_environment(context), **torchrun_environment(place, local_rank),
        "HOTRUN_RUN_DIR": str(own / "results"),
        "HOTRUN_CHECKPOINT_DIR": str(context.layout.checkpoints(context.run)),
        "HOTRUN_RESUME_FROM": place.resume, "HOTRUN_PROOF_DIR": str(own / "proof"),
        "HOTRUN_RUN_ID": context.run,
        "HOTRUN_NODE": context.identity.name, "HOTRUN_NODE_RANK": str(place.node_rank),
        "HOTRUN_NNODES": str(place.nnodes), "HOTRUN_NODE_IPS": "\n".join(context.found["go"]["addresses"]),
        "HOTRUN_ATTEMPT": str(place.attempt),
    }  # fmt: skip


def _start(
    context: Context, argv: Sequence[str], env: dict[str, str], place: Place, local_rank: int
) -> Child:
    rank = place.node_rank * place.nproc + local_rank
    context.log.write(f"+ [rank {rank}] {' '.join(argv)}\n")
    return Child(
        argv, env=context.base_environment(env), cwd=context.program_directory, log=context.log,
        on_line=lambda line: context.console.say(f"[rank {rank}] {line}"), owner=context.found["owner"],
        secrets=context.job.secrets,
    )  # fmt: skip


def _wait(context: Context, children: Sequence[Child], place: Place, deadline: float) -> None:
    link, first_failure = context.connected(), 0.0
    while True:
        link.raise_if_over()
        _require_log(children)
        codes = [child.returncode for child in children]
        failed = [index for index, code in enumerate(codes) if code not in (None, 0)]
        if failed:
            first_failure = first_failure or time.monotonic()
            own = [index for index in failed if not _is_of_peer(children[index])]
            if own or None not in codes or time.monotonic() - first_failure > _PEERS_S:
                index = (own or failed)[0]
                raise _failure(context, children[index], place.node_rank * place.nproc + index)
        if all(code == 0 for code in codes):
            return
        if time.monotonic() > deadline:
            what = f"the program still runs after {context.job.max_hours:g} hours"
            raise StageFailed("deadline", what, fix="raise --max-hours")
        time.sleep(_POLL_S)


def _require_log(children: Sequence[Child]) -> None:
    for child in children:
        if child.log_error is not None:
            what = f"the log can't be written: {child.log_error.strerror}"
            raise StageFailed("disk-full", what, fix="choose a flavor with a larger disk")


def _is_of_peer(child: Child) -> bool:
    child.finish_reading()
    return child.returncode == 1 and bool(_OF_PEER.search(exception(list(child.tail))))


def exception(lines: Sequence[str]) -> str:
    """`ValueError: boom`: the line that follows the frames of the last traceback; empty without one."""
    plain = [_RANK.sub("", line) for line in lines]
    begins = [index for index, line in enumerate(plain) if line.startswith(_TRACEBACK)]
    if not begins:
        return ""
    after = (line for line in plain[begins[-1] + 1 :] if line and not line[0].isspace())
    return next(after, "")


def _failure(context: Context, child: Child, rank: int) -> StageFailed:
    code, tail = child.returncode or 0, list(child.tail)
    said = exception(tail)
    of_peer, own_fix, error = _is_of_peer(child), "correct the program, commit, push, generate again", said
    if code < 0:
        error = ""  # an exception that was printed earlier did not end it
        name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
        what = f"ended by {name}"
        if name == "SIGKILL" and survey.oom_kills() > context.found["oom_kills"]:
            what = error = "the machine's memory was full, and the kernel ended it (out of memory)"
            own_fix = "choose a flavor with more memory, or a smaller batch"
    else:
        what = said or f"ended with exit code {code}"
    return StageFailed(
        "program-failed", f"rank {rank}: {what}"[:400], log=tail, of_peer=of_peer,
        error="" if of_peer else error,
        where=_user_line(context, tail) if said else "",
        fix="another machine ended first: start again" if of_peer else own_fix,
    )  # fmt: skip


def _user_line(context: Context, tail: Sequence[str]) -> str:
    """`file:line` of the innermost frame in the user's own code."""
    root = str(context.layout.checkout(context.run)) + "/"
    for line in reversed(tail):
        match = _PLACE.search(line)
        if match and match.group(1).startswith(root):
            return f"{match.group(1)[len(root) :]}:{match.group(2)}"
    return ""
