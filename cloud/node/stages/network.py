"""network: find this node's address and the master; on the master, start the coordinator."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import secrets
import threading
import time
from dataclasses import replace
from typing import Any

from .. import machine, signals, standing
from ..context import Context, write_json
from ..coordinator import Coordinator
from ..failure import MasterLost, StageFailed, problem
from ..gang import Gang
from ..job import COORDINATOR_PORT
from ..link import Link, Refused
from ..member import Memory
from ..store import Store
from ..survey import name_problem


def run(context: Context, deadline: float) -> str:
    """Join the cluster. Returns what was done, for the console."""
    identity, job = context.identity, context.job
    try:
        address = identity.address or machine.route_address(job.master)
    except OSError as error:
        raise StageFailed(
            "no-route", f"{identity.name} has no route to the master at {job.master}: {error}"
        ) from error
    if not context.host.is_rehearsal and not machine.has_default_route():
        raise StageFailed(
            "no-route",
            f"{identity.name} has no default route: no repository, no package index",
            fix="give the template an external network, or a network that has a router",
        )
    tries = 1 if context.host.is_rehearsal else 3
    nameless = name_problem(job.repo, identity.name, tries) if identity.is_master else None
    if nameless:
        raise StageFailed.of(nameless)
    firewall = context.host.open_firewall(job.cidr)
    interface = machine.interface_of(address)
    context.found.update(address=address, interface=interface)
    if identity.is_master and context.coordinator is None:
        context.coordinator = _coordinator(context, address, deadline)
    join(context, address, deadline)
    context.run = context.connected().welcome["run"]
    context.begin_attempt(context.connected().attempt)
    return f"{address} on {interface or 'an unknown interface'}, firewall: {firewall}"


def _coordinator(context: Context, address: str, deadline: float) -> Coordinator:
    job, identity = context.job, context.identity
    state = _state(context)
    context.run = state["run"]
    writing, gang = threading.Lock(), _gang(context, state, deadline)
    memory = gang.memory

    def remember() -> None:
        coordinator.store.directory = context.layout.attempt(context.run, memory.attempt)
        state["memory"] = vars(memory)
        with writing, contextlib.suppress(OSError):  # a full disk: only a master that starts again misses it
            write_json(context.layout.memory, state)

    def on_gate(verdict: dict[str, Any] | None) -> None:
        known = [[each.name, each.address, each.host_key] for each in gang.members if each.address]
        signals.gate(
            job, verdict, server=identity.server, run=context.run, note=context.console.say,
            rerun=identity.rerun, machines=known, off_at=context.off_at,
        )  # fmt: skip
        state["gated"] = True
        remember()

    directory = context.layout.attempt(context.run, memory.attempt)
    try:
        coordinator = Coordinator(
            address=address,
            port=COORDINATOR_PORT,
            secret=job.secret,
            gang=gang,
            store=Store(directory, directory.parent / "shared"),
            welcome={"t": "welcome", "run": context.run, "nnodes": identity.nnodes, "anew": memory.anew},
            on_gate=None if state["gated"] else on_gate,
            on_attempt=remember,
            ends_at=min(state["began"] + job.max_hours * 3600, context.ends_at),
            rerun=identity.rerun,
        )
    except OSError as error:
        raise StageFailed(
            "port-taken", f"master: port {COORDINATOR_PORT} at {address} can't be used: {error}"
        ) from error
    remember()
    coordinator.start()
    threading.Thread(target=_follow, args=(context, coordinator), daemon=True).start()
    return coordinator


def _follow(context: Context, coordinator: Coordinator) -> None:
    """On the master: what Heat changes in the metadata while a run goes on."""
    while coordinator.door:
        time.sleep(standing.look_s(context))
        now = machine.glance()
        if now:
            coordinator.is_urgent = now.rerun > context.identity.rerun
            coordinator.resize(now.nnodes)


def _gang(context: Context, state: dict[str, Any], deadline: float) -> Gang:
    """The state of the run, in which an earlier start of the master counts as a lost machine."""
    restarts, memory, rejoin_s = context.job.restarts, Memory(**state["memory"]), rejoin_limit_s(context)
    lost = problem("node-lost", "master: its node program was ended and started again", stage="train")
    lost["node"] = context.identity.name
    if state["is_back"] and not memory.anew and (memory.has_begun or not restarts):
        memory.fail(lost)
    if memory.attempt > 1 and not memory.anew:
        deadline = time.monotonic() + rejoin_s + _MARGIN_S
    gang = Gang(context.identity.nnodes, deadline, restarts=restarts, rejoin_s=rejoin_s, memory=memory)
    if memory.used > restarts:
        gang.end(lost, time.monotonic())
    return gang


def _state(context: Context) -> dict[str, Any]:
    """What an earlier start of the master left: its run goes on. Else a new run."""
    with contextlib.suppress(OSError, ValueError):
        state: dict[str, Any] = json.loads(context.layout.memory.read_text())
        if (state["server"], state["rerun"]) == (context.identity.server, context.identity.rerun):
            return {**state, "is_back": True}
    now = dt.datetime.now(dt.timezone.utc)
    run = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    return {
        "run": run, "server": context.identity.server, "began": time.time(), "gated": False,
        "is_back": False, "memory": {}, "rerun": context.identity.rerun,
    }  # fmt: skip


def rejoin_limit_s(context: Context) -> float:
    """How long a lost machine, or a lost master, is waited for; nobody is without restarts."""
    limit_s = _REJOIN_IN_REHEARSAL_S if context.host.is_rehearsal else _REJOIN_S
    return limit_s if context.job.restarts else 0.0


_MARGIN_S = 60.0
_REJOIN_S, _REJOIN_IN_REHEARSAL_S = 600.0, 90.0  # a reboot takes one to three minutes


def join(context: Context, address: str, deadline: float) -> None:
    """Say hello until the master answers: it may boot later than this node, or first end what it does.

    How many machines there are is what the master knows: metadata don't change everywhere at once.
    """
    job, identity = context.job, context.identity
    key = machine.host_key(context.layout.root)
    hello = {"rank": identity.rank, "address": address, "host_key": key, "rerun": identity.rerun}
    while True:
        try:
            context.link = Link(job.master, COORDINATOR_PORT, job.secret, hello, address)
            break
        except (OSError, TimeoutError, MasterLost, Refused) as error:
            if isinstance(error, Refused) and not error.may_pass:
                raise StageFailed("wrong-coordinator", f"{identity.name}: {error}") from error
            if time.monotonic() > deadline:
                raise StageFailed(
                    "no-master", f"{identity.name} can't reach the master at {job.master}: {error}"
                ) from error
            context.waiting(f"waiting for the master at {job.master} ({error})")
            time.sleep(0.3)
    context.identity = replace(identity, nnodes=context.link.welcome["nnodes"])
