"""network: find this node's address and the master; on the master, start the coordinator."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import secrets
import threading
import time
from typing import Any

from .. import machine, signals
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
        raise StageFailed(**{key: nameless[key] for key in ("code", "what", "fix")})
    firewall = context.host.open_firewall(job.cidr)
    interface = machine.interface_of(address)
    context.found.update(address=address, interface=interface)
    if identity.is_master and context.coordinator is None:
        context.coordinator = _coordinator(context, address, deadline)
    context.link = join(context, address, deadline)
    context.run = context.link.welcome["run"]
    context.begin_attempt(context.link.attempt)
    return f"{address} on {interface or 'an unknown interface'}, firewall: {firewall}"


def _coordinator(context: Context, address: str, deadline: float) -> Coordinator:
    job, identity = context.job, context.identity
    state = _state(context)
    context.run = state["run"]
    writing = threading.Lock()
    memory, rejoin_s = Memory(**state["memory"]), rejoin_limit_s(context)
    lost = problem("node-lost", "master: its node program was ended and started again", stage="train")
    lost["node"] = identity.name
    if state["is_back"] and (memory.has_begun or not job.restarts):
        memory.fail(lost)
    if memory.attempt > 1:
        deadline = time.monotonic() + rejoin_s + _MARGIN_S

    def remember() -> None:
        coordinator.store.directory = context.layout.attempt(context.run, memory.attempt)
        state["memory"] = vars(memory)
        with writing, contextlib.suppress(OSError):  # a full disk: only a master that starts again misses it
            write_json(context.layout.memory, state)

    def on_gate(verdict: dict[str, Any] | None) -> None:
        signals.gate(job, verdict, server=identity.server, run=context.run, note=context.console.say)
        state["gated"] = True
        remember()

    directory = context.layout.attempt(context.run, memory.attempt)
    gang = Gang(identity.nnodes, deadline, restarts=job.restarts, rejoin_s=rejoin_s, memory=memory)
    if memory.used > job.restarts:
        gang.end(lost, time.monotonic())
    try:
        coordinator = Coordinator(
            address=address,
            port=COORDINATOR_PORT,
            secret=job.secret,
            gang=gang,
            store=Store(directory, directory.parent / "shared"),
            welcome={"t": "welcome", "run": context.run, "nnodes": identity.nnodes},
            on_gate=None if state["gated"] else on_gate,
            on_attempt=remember,
            ends_at=state["began"] + job.max_hours * 3600,
        )
    except OSError as error:
        raise StageFailed(
            "port-taken", f"master: port {COORDINATOR_PORT} at {address} can't be used: {error}"
        ) from error
    remember()
    coordinator.start()
    return coordinator


def _state(context: Context) -> dict[str, Any]:
    """What an earlier start of the master left: its run goes on. Else a new run."""
    with contextlib.suppress(OSError, ValueError):
        state: dict[str, Any] = json.loads(context.layout.memory.read_text())
        if state["server"] == context.identity.server:
            return {**state, "is_back": True}
    now = dt.datetime.now(dt.timezone.utc)
    run = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    return {
        "run": run, "server": context.identity.server, "began": time.time(), "gated": False,
        "is_back": False, "memory": {},
    }  # fmt: skip


def rejoin_limit_s(context: Context) -> float:
    """How long a lost machine, or a lost master, is waited for; nobody is without restarts."""
    limit_s = _REJOIN_IN_REHEARSAL_S if context.host.is_rehearsal else _REJOIN_S
    return limit_s if context.job.restarts else 0.0


_MARGIN_S = 60.0
_REJOIN_S, _REJOIN_IN_REHEARSAL_S = 600.0, 90.0  # a reboot takes one to three minutes


def join(context: Context, address: str, deadline: float) -> Link:
    """Say hello until the master answers: it may boot later than this node."""
    job, identity = context.job, context.identity
    hello = {"rank": identity.rank, "address": address}
    while True:
        try:
            return Link(job.master, COORDINATOR_PORT, job.secret, hello, address)
        except Refused as error:
            raise StageFailed("wrong-coordinator", f"{identity.name}: {error}") from error
        except (OSError, TimeoutError, MasterLost) as error:
            if time.monotonic() > deadline:
                raise StageFailed(
                    "no-master", f"{identity.name} can't reach the master at {job.master}: {error}"
                ) from error
            context.waiting(f"waiting for the master at {job.master} ({error})")
            time.sleep(0.3)
