"""rendezvous: the gate. Every machine tells what it has; all alike, they go on together."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from ..context import Context


def run(context: Context, deadline: float) -> str:
    """Wait for all machines. Returns how many met, for the console."""
    context.found["nproc"] = ranks(context)
    link = context.connected()
    link.send("ready", facts=_facts(context))
    coordinator = context.coordinator

    def look() -> dict[str, Any] | None:
        missing = coordinator.waiting_for() if coordinator is not None else ""
        if missing:
            context.waiting(f"waiting for {missing}")
        return link.heard("go")

    context.found["go"] = link.wait_for(look, deadline)
    return f"{context.identity.nnodes} of {context.identity.nnodes} machines"


def ranks(context: Context) -> int:
    """Ranks on this node: as asked, else one for each GPU, else one."""
    asked = context.job.nproc_per_node
    return int(asked) if asked.isdigit() else max(1, len(context.found["gpus"]))


def _facts(context: Context) -> dict[str, Any]:
    environment: Path = context.found["environment"]
    return {
        "commit": context.found["commit"],
        "python": platform.python_version(),
        "torch": installed(environment, "torch"),
        "ranks": context.found["nproc"],
        "gpus": len(context.found["gpus"]),
    }


def installed(environment: Path, package: str) -> str:
    """The version of a package in an environment, from its metadata's name; empty without."""
    for found in environment.glob(f"lib/python3*/site-packages/{package}-*.dist-info"):
        return found.name[len(package) + 1 : -len(".dist-info")]
    return ""
