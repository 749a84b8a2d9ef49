"""A stack of two machines and what they told, for tests: valid by default, a test changes one thing."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from cloud.stack.api import Resource, Server, Stack

CREATED = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)
KEY = "ssh-ed25519 AAAA"


def stack(signals: dict[str, Any] | None = None, **changes: Any) -> Stack:
    """A stack of a master and one worker that was made, with what its machines told."""
    parameters = {"workers": "1", "max_hours": "24", "boot_timeout": "3000", **changes.pop("parameters", {})}
    usual: dict[str, Any] = {
        "id": "stack-id", "name": "digits-1", "status": "CREATE_COMPLETE", "reason": "", "created": CREATED,
        "parameters": parameters, "outputs": {"status": json.dumps(signals or {})}, "tags": ("hotrun",),
    }  # fmt: skip
    return Stack(**{**usual, **changes})


def machine(name: str, status: str = "CREATE_COMPLETE", reason: str = "", identity: str = "") -> Resource:
    """The resource of `master` or `worker-1`; its physical id is `id-NAME`."""
    number = name.removeprefix("worker-")
    return Resource(
        name=number, type="OS::Nova::Server", status=status, reason=reason, id=identity or f"id-{name}",
        parent="" if name == "master" else "worker_group",
    )  # fmt: skip


def server(name: str, status: str = "ACTIVE", fault: str = "", identity: str = "") -> Server:
    """The machine itself."""
    return Server(
        id=identity or f"id-{name}", name=f"digits-1-{name}", status=status, fault=fault, metadata={},
        addresses=("10.8.0.2" if name == "master" else "10.8.0.3",),
    )  # fmt: skip


def gate(state: str = "running", **changes: Any) -> dict[str, Any]:
    """The data of the signal `gate`."""
    usual = {"state": state, "server": "id-master", "run": "r1", "problems": []}
    return {**usual, "machines": [["master", "10.8.0.2", KEY], ["worker-1", "10.8.0.3", ""]], **changes}


def result(state: str = "done", **changes: Any) -> dict[str, Any]:
    """The data of the signal `result`: the status document."""
    world = {"expected": 2, "proven": 2, "backend": "gloo"}
    usual = {
        "schema": 1,
        "state": state,
        "server": "id-master",
        "run": "r1",
        "problems": [],
        "world_size": world,
    }
    return {**usual, "attempt": 1, "nodes": [], "result": {"test_accuracy": 0.98}, **changes}


def trouble(node: str = "worker-1", stage: str = "environment", **changes: Any) -> dict[str, Any]:
    """A problem as a node writes it."""
    usual = {"code": "requirement-not-found", "level": "error", "node": node, "stage": stage}
    return {
        **usual, "what": "torchh: no such package", "where": "", "fix": "", "log": ["ERROR: no torchh"], **changes
    }  # fmt: skip
