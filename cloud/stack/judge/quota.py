"""What a stack takes, against what the project's quotas leave. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.errors import Problem
from cloud.stack.judge.case import Case, Finding, gib, plural
from cloud.stack.judge.machines import is_bare_metal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.stack.judge.needs import Needs
    from cloud.stack.offers import Room

WORDS = {
    "instances": "instance", "cores": "core", "ram_mib": "memory", "ports": "port",
    "floating_ips": "floating IP",
    "security_groups": "security group", "security_group_rules": "security group rule", "networks": "network",
    "subnets": "subnet", "routers": "router", "volumes": "volume", "server_groups": "server group",
}  # fmt: skip
_SHOWN = ("instances", "cores", "ram_mib", "ports", "floating_ips")


def quotas(case: Case) -> Iterator[Finding]:
    """Everything that is counted fits; what doesn't, with the number of workers that would."""
    rooms, needs = case.answers.quotas, case.needs
    if rooms is None or needs is None:
        return
    if case.answers.stack is not None:
        yield f"quotas: not asked of again, the stack {case.name} has its machines already"
        return
    known = {name: room for name, room in rooms.items() if name in WORDS}
    short = [name for name in WORDS if name in known and _is_short(case, needs, known, name, needs.workers)]
    for name in short:
        yield _too_small(case, needs, known, name)
    told = [
        _amount(name, needed) + (f" of {_free(name, known[name])}" if known[name].free is not None else "")
        for name in _SHOWN
        if name in known and name not in short and (needed := amount(case, needs, name, needs.workers))
    ]
    if told:
        is_open = all(room.free is None for room in known.values())
        yield "quota: " + ", ".join(told) + (", without a limit" if is_open else " that are free")


def amount(case: Case, needs: Needs, name: str, workers: int) -> int | None:
    """Return how much of a quota is needed with a number of workers; None where a flavor is not known."""
    if name not in ("cores", "ram_mib"):
        return needs.of(name, workers)
    total = 0
    for group in needs.groups:
        flavor = case.flavor(group.flavor)
        if flavor is None or is_bare_metal(flavor):
            return None
        each = flavor.cores if name == "cores" else flavor.ram_mib
        total += each * (workers if group.role == "worker" else 1)
    return total


def fitting_workers(case: Case, needs: Needs, rooms: dict[str, Room]) -> int | None:
    """Return the most workers that all quotas leave room for, None when not even the master fits."""
    for workers in range(needs.workers, -1, -1):
        if not any(_is_short(case, needs, rooms, name, workers) for name in rooms):
            return workers
    return None


def _is_short(case: Case, needs: Needs, rooms: dict[str, Room], name: str, workers: int) -> bool:
    needed, free = amount(case, needs, name, workers), rooms[name].free
    return needed is not None and free is not None and needed > free


def _too_small(case: Case, needs: Needs, rooms: dict[str, Room], name: str) -> Problem:
    needed = amount(case, needs, name, needs.workers) or 0
    what = f"quota: {_amount(name, needed)} needed, {_free(name, rooms[name])} free"
    if name == "ports":
        what += " (one for each machine, one for the router, one for DHCP)"
    return Problem(
        code="quota-too-small", what=what, where=f"quota {name}", fix=_fix(case, needs, rooms, name)
    )


def _fix(case: Case, needs: Needs, rooms: dict[str, Room], name: str) -> str:
    unbound = case.answers.free_floating_ips
    if name == "floating_ips" and unbound:
        owned = "1 of yours is" if unbound == 1 else f"{unbound} of yours are"
        return f"{owned} bound to nothing (openstack floating ip list): openstack floating ip delete ADDRESS"
    if needs.each_worker.get(name) or name in ("cores", "ram_mib"):
        workers = fitting_workers(case, needs, rooms)
        if workers is not None and workers < needs.workers:
            return f"ask the project's operators for more, or --parameter workers={workers}"
    if name == "floating_ips":
        return (
            "ask for more, release one, or --parameter external_network= (then nobody reaches the machines)"
        )
    return "ask the project's operators for more, or delete what is not used: openstack stack list"


def _amount(name: str, count: int) -> str:
    return f"{gib(count)} of memory" if name == "ram_mib" else plural(count, WORDS[name])


def _free(name: str, room: Room) -> str:
    free = room.free or 0
    return gib(free) if name == "ram_mib" else f"{free:,}"
