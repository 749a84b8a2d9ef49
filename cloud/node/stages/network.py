"""network: find this node's address and the master; on the master, start the coordinator."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from typing import Any

from .. import machine, signals
from ..context import Context
from ..coordinator import Coordinator
from ..failure import MasterLost, StageFailed
from ..gang import Gang
from ..job import COORDINATOR_PORT
from ..link import Link, Refused
from ..store import Store


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
    firewall = context.host.open_firewall(job.cidr)
    interface = machine.interface_of(address)
    context.found.update(address=address, interface=interface)
    if identity.is_master:
        context.coordinator = _coordinator(context, address, deadline)
    context.link = _join(context, address, deadline)
    context.run, context.attempt = context.link.welcome["run"], context.link.welcome["attempt"]
    for kind in ("proof", "results"):
        (context.own_directory / kind).mkdir(parents=True, exist_ok=True)
    return f"{address} on {interface or 'an unknown interface'}, firewall: {firewall}"


def _coordinator(context: Context, address: str, deadline: float) -> Coordinator:
    now = dt.datetime.now(dt.timezone.utc)
    context.run = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    job, identity = context.job, context.identity

    def on_gate(verdict: dict[str, Any] | None) -> None:
        signals.gate(job, verdict, server=identity.server, run=context.run, note=context.console.say)

    store = Store(context.attempt_directory, context.attempt_directory.parent / "shared")
    welcome = {"t": "welcome", "run": context.run, "attempt": context.attempt, "nnodes": identity.nnodes}
    try:
        coordinator = Coordinator(
            address=address,
            port=COORDINATOR_PORT,
            secret=job.secret,
            gang=Gang(identity.nnodes, deadline),
            store=store,
            welcome=welcome,
            on_gate=on_gate,
        )
    except OSError as error:
        raise StageFailed(
            "port-taken", f"master: port {COORDINATOR_PORT} at {address} can't be used: {error}"
        ) from error
    coordinator.start()
    return coordinator


def _join(context: Context, address: str, deadline: float) -> Link:
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
