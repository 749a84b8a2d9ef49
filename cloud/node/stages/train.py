"""train: start this node's ranks, stream what they say, and tell the first failure from its echoes."""

from __future__ import annotations

import re
import signal
import time
from typing import Sequence

from .. import machine
from ..context import Context
from ..engines import ENGINES, Place, torchrun_environment
from ..failure import TAIL_LINES, StageFailed
from ..process import Child
from .environment import program_environment

_POLL_S = 0.05
# What a rank says when a peer went away: it is a victim, not the culprit (gloo, NCCL, the store).
_OF_PEER = re.compile(
    r"Connection closed by peer|Connection reset by peer|connectFullMesh|Broken pipe|Timed out waiting \d+ms"
    r"|DistNetworkError|DistStoreError|NCCL communicator was aborted|remote process exited|Socket closed"
)
_EXCEPTION = re.compile(
    r"^(?:\[rank\d+\]:? ?)?([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Warning)\b.*)$"
)
_PLACE = re.compile(r'File "([^"]+)", line (\d+)')


def run(context: Context, deadline: float) -> str:
    """Run the program on every rank of this node. Returns seconds and ranks, for the console."""
    place = _place(context)
    engine = ENGINES.get(context.found["engine"])
    if engine is None:
        raise StageFailed(
            "engine-not-available", f"engine {context.found['engine']} is not in this version",
            fix="use --engine lightning or torch",
        )  # fmt: skip
    launch = engine(context.job, context.found["recognition"], place)
    own = context.own_directory
    for directory in (own / "proof", own / "results"):
        directory.mkdir(parents=True, exist_ok=True)
    context.host.program_user([own])
    context.found["files_before"] = snapshot(context)
    python = str(context.found["environment"] / "bin/python")
    children = []
    try:
        for local_rank in range(place.nproc):
            env = {**_environment(context, place, local_rank), **launch.environment}
            children.append(_start(context, [python, "-u", *launch.arguments], env, place, local_rank))
        _wait(context, children, place, deadline)
    finally:
        for child in children:
            if child.returncode is None:
                child.kill()
        context.found["last_lines"] = list(children[0].tail)[-TAIL_LINES:] if children else []
    context.connected().send("exit")
    return f"{place.nproc} ranks" if place.nproc > 1 else "1 rank"


def snapshot(context: Context) -> dict[str, tuple[float, int]]:
    """Files of the program's directory with time and size: what changes is brought home."""
    found = {}
    for path in context.program_directory.rglob("*"):
        if path.is_file() and not path.is_symlink() and not _SKIP & set(path.parts):
            status = path.stat()
            found[str(path.relative_to(context.program_directory))] = (status.st_mtime, status.st_size)
    return found


_SKIP = {".git", "__pycache__"}


def _place(context: Context) -> Place:
    go, found = context.found["go"], context.found
    return Place(
        node_rank=context.identity.rank, nnodes=context.identity.nnodes, nproc=found["nproc"],
        master_address=go["addresses"][0], master_port=go["port"], run=context.run, attempt=context.attempt,
        has_gpu=bool(found["gpus"]),
        threads=max(1, machine.cpus() // found["nproc"]), interface=found["interface"],
    )  # fmt: skip


def _environment(context: Context, place: Place, local_rank: int) -> dict[str, str]:
    own = context.own_directory
    return {
        **program_environment(context), **torchrun_environment(place, local_rank),
        "HOTRUN_RUN_DIR": str(own / "results"), "HOTRUN_CHECKPOINT_DIR": str(own / "results/checkpoints"),
        "HOTRUN_RESUME_FROM": "", "HOTRUN_PROOF_DIR": str(own / "proof"), "HOTRUN_RUN_ID": context.run,
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
    )  # fmt: skip


def _wait(context: Context, children: Sequence[Child], place: Place, deadline: float) -> None:
    link = context.connected()
    while True:
        link.raise_if_over()
        codes = [child.returncode for child in children]
        failed = [index for index, code in enumerate(codes) if code not in (None, 0)]
        if failed:
            own = next((index for index in failed if not _is_of_peer(children[index])), failed[0])
            raise _failure(context, children[own], place.node_rank * place.nproc + own)
        if all(code == 0 for code in codes):
            for child in children:
                child.finish_reading()
            return
        if time.monotonic() > deadline:
            raise StageFailed(
                "deadline",
                f"the program still runs after {context.job.max_hours:g} hours",
                fix="raise --max-hours",
            )
        time.sleep(_POLL_S)


def _is_of_peer(child: Child) -> bool:
    child.finish_reading()
    return child.returncode == 1 and bool(_OF_PEER.search("\n".join(list(child.tail)[-60:])))


def _failure(context: Context, child: Child, rank: int) -> StageFailed:
    code = child.returncode or 0
    tail = list(child.tail)
    what = next((match.group(1) for match in map(_EXCEPTION.match, reversed(tail)) if match), "")
    if code < 0:
        name = signal.Signals(-code).name
        what = what or f"ended by {name}" + (
            " (out of memory is the usual sender)" if name == "SIGKILL" else ""
        )
    of_peer = _is_of_peer(child)
    return StageFailed(
        "program-failed", f"rank {rank}: {what or f'ended with exit code {code}'}"[:400], log=tail,
        where=_user_line(context, tail), of_peer=of_peer,
        fix="start again when it is back" if of_peer else "correct the program, commit and push",
    )  # fmt: skip


def _user_line(context: Context, tail: Sequence[str]) -> str:
    """`file:line` of the innermost frame in the user's own code."""
    root = str(context.layout.checkout(context.run)) + "/"
    for line in reversed(tail):
        match = _PLACE.search(line)
        if match and match.group(1).startswith(root):
            return f"{match.group(1)[len(root) :]}:{match.group(2)}"
    return ""
