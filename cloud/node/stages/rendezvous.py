"""rendezvous: the gate. Every machine tells what it has; all alike, they go on together."""

from __future__ import annotations

import time
from typing import Any

from .. import gate, survey
from ..checkpoints import Keeper
from ..context import Context
from ..engines import ONE_RANK_A_NODE
from ..failure import StageFailed
from ..machine import Identity
from ..recognise import refusal


def run(context: Context, deadline: float) -> str:
    """Wait for all machines. Returns how many met, for the console."""
    context.found["nproc"] = ranks(context)
    link, identity = context.connected(), context.identity
    _refuse_hard_coded(context)
    ear = survey.Ear(context.found["address"])
    try:
        facts = {**survey.facts(context), "port": ear.port}
        held = Keeper(context.layout.kept(context.run)).held()
        link.send("ready", facts=facts, held=held)
        if identity.nnodes > 1:
            machines = _wait(context, "look", deadline)["machines"]
            link.send(
                "seen", unreachable=survey.look(_partners(machines, identity), context.found["address"])
            )
        context.found["go"] = _wait(context, "go", deadline)
    finally:
        ear.close()
        _show(context)
    return f"{identity.nnodes} of {identity.nnodes} machines"


def _refuse_hard_coded(context: Context) -> None:
    found, recognition = context.found, context.found["recognition"]
    nnodes = context.identity.nnodes
    refused = refusal(context.job, recognition, nnodes, found["nproc"], bool(found["gpus"]))
    if refused:
        raise StageFailed.of(refused)


def _show(context: Context) -> None:
    """The master tells what all machines have, whether they go on or not."""
    if context.coordinator is not None:
        members = context.coordinator.gang.members
        names = [each.name if each.facts else each.last_heard(time.monotonic()) for each in members]
        for line in gate.table([each.facts for each in members], names, [each.arrived for each in members]):
            context.console.say(line)


def _wait(context: Context, kind: str, deadline: float) -> dict[str, Any]:
    link, coordinator = context.connected(), context.coordinator

    def look() -> dict[str, Any] | None:
        missing = coordinator.waiting_for() if coordinator is not None else ""
        if missing:
            context.waiting(f"waiting for {missing}")
        return link.heard(kind)

    return link.wait_for(look, deadline)


def _partners(machines: list[Any], identity: Identity) -> list[Any]:
    wanted = gate.partners(identity.rank, identity.nnodes)
    return [machine for machine in machines if machine[0] in wanted]


def ranks(context: Context) -> int:
    """Ranks on this node: as asked, else one for each GPU, else one."""
    asked = "1" if context.found["engine"] in ONE_RANK_A_NODE else context.job.nproc_per_node
    return int(asked) if asked.isdigit() else max(1, len(context.found["gpus"]))
