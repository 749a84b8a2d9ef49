"""train: start this node's ranks, stream what they say, and tell the first failure from its echoes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Iterator, Sequence

from .. import blame, checkpoints, machine, process, survey
from ..context import Context, write_json
from ..engines import Launch, Place, launcher
from ..failure import StageFailed
from ..process import Child
from .environment import program_environment

_POLL_S = 0.05
_PEERS_S = 3.0  # for the other ranks of this node to say more than that somebody went away
_SERVICE_S = 180.0  # for what runs beside the ranks to listen
_SHARED_MEMORY = "/dev/shm"


def run(context: Context, deadline: float) -> str:
    """Run the program on every rank of this node. Returns seconds and ranks, for the console."""
    go = context.found["go"]
    deadline = time.monotonic() + go["left_s"]
    path, is_ours = checkpoints.resume(context, go["resume"], deadline)
    place = _place(context, path, passes_itself=is_ours)
    launches = list(_launches(context, place))
    _remember_files(context)
    children: dict[str, Child] = {}
    context.found["oom_kills"] = survey.oom_kills()
    replication = checkpoints.Replication(context, context.searched())
    service = None
    try:
        if launches[0].service:
            service = _serve(context, place, launches[0])
        for local_rank, launch in enumerate(launches):
            if launch.arguments:
                who = f"rank {place.rank + local_rank}"
                children[who] = _start(context, launch.arguments, launch, place, local_rank)
        _wait(context, children, service, deadline)
    finally:
        process.sweep(context.tag)  # every process of these ranks, whichever session it moved to
        if launches[0].scratch:
            shutil.rmtree(launches[0].scratch, ignore_errors=True)
        for child in children.values():
            child.finish_reading()
        replication.end()
    context.connected().send("exit")
    return f"{place.nproc} ranks" if place.nproc > 1 else "1 rank"


def _launches(context: Context, place: Place) -> Iterator[Launch]:
    """What to start for each rank of this node."""
    engine = context.found["engine"]
    launch = launcher(engine)
    if launch is None:
        what = f"this template does not carry the engine {engine}"
        raise StageFailed("engine-not-available", what, fix=f"generate with --engine {engine}")
    for local_rank in range(place.nproc):
        yield launch(context.job, context.found["recognition"], replace(place, local_rank=local_rank))


def _remember_files(context: Context) -> None:
    """What the program's directory held before the first attempt, also for a start in the middle."""
    path = context.layout.run(context.run) / "files-before.json"
    if not path.is_file():
        write_json(path, snapshot(context))
    context.found["files_before"] = json.loads(path.read_text())


def snapshot(context: Context) -> dict[str, list[float]]:
    """Files of the program's directory with time and size: what changes is brought home."""
    found, top = {}, context.program_directory
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name not in _SKIP]  # git's objects are many
        for path in (Path(folder, name) for name in names):
            if path.is_file() and not path.is_symlink():
                status = path.stat()
                found[str(path.relative_to(top))] = [status.st_mtime, status.st_size]
    return found


_SKIP = {".git", "__pycache__"}


def _place(context: Context, resume: str, *, passes_itself: bool) -> Place:
    """Of the node's first rank."""
    go, found = context.found["go"], context.found
    return Place(
        node_rank=context.identity.rank, nnodes=context.identity.nnodes, nproc=found["nproc"],
        addresses=tuple(go["addresses"]), master_port=go["port"], run=context.run, attempt=context.attempt,
        has_gpu=go["has_gpu"],
        threads=max(1, machine.cpus() // found["nproc"]), interface=found["interface"],
        resume=resume, reads_resume=passes_itself, service_ports=go.get("service_ports", 0),
        environment=str(found["environment"]),
        shared_memory_bytes=shutil.disk_usage(_SHARED_MEMORY).free if os.path.isdir(_SHARED_MEMORY) else 0,
    )  # fmt: skip


def _environment(context: Context, place: Place) -> dict[str, str]:
    own = context.own_directory
    return {
        "HOTRUN_RUN_DIR": str(own / "results"),
        "HOTRUN_CHECKPOINT_DIR": str(context.layout.checkpoints(context.run)),
        "HOTRUN_RESUME_FROM": place.resume, "HOTRUN_PROOF_DIR": str(own / "proof"),
        "HOTRUN_RUN_ID": context.run,
        "HOTRUN_NODE": context.identity.name, "HOTRUN_NODE_RANK": str(place.node_rank),
        "HOTRUN_NNODES": str(place.nnodes), "HOTRUN_NODE_IPS": "\n".join(place.addresses),
        "HOTRUN_ATTEMPT": str(place.attempt), **program_environment(context),
    }  # fmt: skip


def _start(
    context: Context, arguments: Sequence[str], launch: Launch, place: Place, local_rank: int | None
) -> Child:
    """One rank, or what runs beside them where there is no local rank."""
    argv = [str(context.found["environment"] / "bin/python"), "-u", *arguments]
    label = "service" if local_rank is None else f"rank {place.rank + local_rank}"
    context.log.write(process.redacted(f"+ [{label}] {' '.join(argv)}\n", context.job.secrets))
    env = {**_environment(context, place), **launch.environment}
    return Child(
        argv, env=context.base_environment(env), cwd=context.program_directory, log=context.log,
        on_line=lambda line: context.console.say(f"[{label}] {line}"), owner=context.found["owner"],
        secrets=context.job.secrets,
    )  # fmt: skip


def _serve(context: Context, place: Place, launch: Launch) -> Child:
    """Start the service of this node: the master's first, the others' once it listens."""
    link, name, deadline = context.connected(), f"service-{context.attempt}", time.monotonic() + _SERVICE_S
    coordinator = context.coordinator
    what = f"nothing listens on port {place.master_port} of the master"
    late = StageFailed("deadline", what, of_peer=coordinator is None)
    if coordinator is None:
        try:
            link.published(name, deadline)
        except TimeoutError as error:
            raise late from error
    service = _start(context, launch.service, launch, place, None)
    if coordinator is not None:
        while not _listens(place):
            link.raise_if_over()
            if service.returncode is not None:
                raise blame.failure(context, service, "the service beside the ranks")
            if time.monotonic() > deadline:
                raise late
            context.waiting("waiting for the service beside the ranks")
            time.sleep(_POLL_S)
        coordinator.publish(name, {})
    return service


def _listens(place: Place) -> bool:
    try:
        socket.create_connection((place.addresses[0], place.master_port), 1.0).close()
    except OSError:
        return False
    return True


def _wait(context: Context, children: dict[str, Child], service: Child | None, deadline: float) -> None:
    link, first_failure = context.connected(), 0.0
    ended = f"ended-{context.attempt}"
    while True:
        link.raise_if_over()
        _require_log([*children.values(), *([service] if service else [])])
        failed = {who: child for who, child in children.items() if child.returncode not in (None, 0)}
        if failed:
            first_failure = first_failure or time.monotonic()
            own = [who for who, child in failed.items() if not blame.is_of_peer(child)]
            is_late = time.monotonic() - first_failure > _PEERS_S
            if own or is_late or all(child.returncode is not None for child in children.values()):
                who = (own or list(failed))[0]
                raise blame.failure(context, failed[who], who)
        if children and all(child.returncode == 0 for child in children.values()):
            if service and context.coordinator is not None:
                context.coordinator.publish(ended, {})
            return
        if not children and link.offered(ended) is not None:
            return
        if service and service.returncode is not None:
            raise blame.failure(context, service, "the service beside the ranks")
        if time.monotonic() > deadline:
            what = f"the program still runs after {context.job.max_hours:g} hours"
            raise StageFailed("deadline", what, fix="raise --max-hours")
        time.sleep(_POLL_S)


def _require_log(children: Sequence[Child]) -> None:
    for child in children:
        if child.log_error is not None:
            what = f"the log can't be written: {child.log_error.strerror}"
            raise StageFailed("disk-full", what, fix="choose a flavor with a larger disk")
