"""A master that says what a test wants: real signals with the stack's own credentials, made up words."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from cloud.node import job as jobs
from cloud.node import signals

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.openstack.projects import Project

MADE_S = 480.0  # other tests may have asked for thirty machines before
LOOK_S = 1.0
TROUBLE = {
    "code": "requirement-not-found", "level": "error", "node": "worker-1", "stage": "environment",
    "what": "torchh: no such package", "where": "requirements.txt:3", "fix": "correct line 3",
    "log": ["ERROR: No matching distribution found for torchh"],
}  # fmt: skip


def machines(project: Project, stack: str) -> dict[str, str]:
    """Id of each machine of a stack that is there, by its name."""
    found = project.cloud.stack(stack)
    resources = project.cloud.resources(found.id) if found else []
    return {each.machine: each.id for each in resources if each.machine and each.id}


def until(what: str, is_so: Callable[[], object], deadline_s: float = MADE_S) -> Any:
    """Wait until something is so and return it; TimeoutError names it."""
    deadline = time.monotonic() + deadline_s
    while not (found := is_so()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waiting for {what}")
        time.sleep(LOOK_S)
    return found


def made(project: Project, stack: str, count: int = 2) -> str:
    """The master's id, once all machines of a stack are active."""

    def active() -> str:
        known = machines(project, stack)
        servers = [project.cloud.server(identity) for identity in known.values()]
        there = [server for server in servers if server is not None and server.status == "ACTIVE"]
        return known["master"] if len(there) == count else ""

    return str(until(f"{count} machines of {stack}", active))


def is_waiting(project: Project, stack: str) -> bool:
    """Whether Heat has made all of a stack and waits for the master's word alone."""
    found = project.cloud.stack(stack)
    resources = project.cloud.resources(found.id) if found else []
    return any((each.name, each.status) == ("gate", "CREATE_IN_PROGRESS") for each in resources)


def say(project: Project, stack: str, identity: str, *, ok: bool = True, **data: Any) -> None:
    """Send one signal of the master: `gate`, `result`; `data` beside its server and run."""
    master = machines(project, stack)["master"]
    the_job = jobs.read(json.dumps(project.job(master)))
    notes: list[str] = []
    told = {"server": master, "run": "r1", "problems": [], **data}
    if not signals.send(the_job, identity, ok=ok, reason=f"master: {identity}", data=told, note=notes.append):
        raise RuntimeError("; ".join(notes))


def pass_gate(project: Project, stack: str, **data: Any) -> None:
    """Every machine is ready."""
    say(project, stack, "gate", **{"state": "running", "machines": [["master", "10.8.0.2", ""]], **data})


def finish(project: Project, stack: str, state: str = "done", **data: Any) -> None:
    """The run is over."""
    world = {"expected": 2, "proven": 2, "backend": "gloo"}
    result = {"test_accuracy": 0.9837, "epochs": 3, "train_seconds": 9.8}
    usual = {"schema": 1, "state": state, "attempt": 1, "world_size": world, "nodes": [], "result": result}
    say(project, stack, "result", **{**usual, **data})
