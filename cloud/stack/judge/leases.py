"""Leases of clouds with Blazar: reservation flavors, bare metal, how many machines and until when. Pure.

A lease of virtual machines becomes a flavor `reservation:ID` while it is active; one of bare metal is named
by a scheduler hint. ID is that of the reservation inside the lease, not the lease's.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from cloud.errors import Problem
from cloud.model import RESERVED
from cloud.stack.judge.case import (
    BARE_METAL,
    Case,
    Finding,
    named,
    nearest,
    plural,
    quoted,
    setting,
)
from cloud.stack.record import moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.stack.judge.needs import Group
    from cloud.stack.offers import Reservation

INSTANCES, HOSTS = "flavor:instance", "physical:host"
OVER = ("TERMINATED", "ERROR", "DELETING")


def leases(case: Case) -> Iterator[Finding]:
    """Every reservation that is named exists, is active, large enough and lasts; none is missing."""
    wanted: dict[tuple[str, str], list[Group]] = {}
    for group in case.groups:
        if group.flavor.startswith(RESERVED):
            wanted.setdefault((INSTANCES, group.flavor.removeprefix(RESERVED)), []).append(group)
        if group.reservation:
            wanted.setdefault((HOSTS, group.reservation), []).append(group)
    for (kind, reservation), groups in wanted.items():
        yield from _named(case, kind, reservation, groups)
    yield from _on_demand(case)
    yield from _bare_metal(case)


def leased(case: Case) -> list[Reservation]:
    """Return the reservations that a plan's machines would use."""
    named = {
        group.flavor.removeprefix(RESERVED) for group in case.groups if group.flavor.startswith(RESERVED)
    }
    named |= {group.reservation for group in case.groups if group.reservation}
    return [one for one in case.answers.reservations or () if one.id in named]


def _parameter(kind: str, group: Group) -> str:
    return f"{group.role}_flavor" if kind == INSTANCES else f"{group.role}_reservation"


def _named(case: Case, kind: str, wanted: str, groups: list[Group]) -> Iterator[Finding]:
    parameter = _parameter(kind, groups[0])
    where, known = case.where(parameter), case.answers.reservations
    shown = f"{named(groups, 'flavor' if kind == INSTANCES else 'reservation')} {quoted(wanted)}"
    if known is None:
        is_flavor = kind == INSTANCES and case.flavor(RESERVED + wanted) is not None
        if not case.answers.has_blazar and not is_flavor and case.answers.flavors is not None:
            what = f"{shown} is of a reservation, and this cloud has no leases"
            fix = f"--parameter {parameter}=" + (
                "FLAVOR, one of openstack flavor list" if kind == INSTANCES else ""
            )
            yield Problem(code="lease-missing", what=what, where=where, fix=fix)
        return
    found = next((one for one in known if one.id == wanted), None)
    if found is None:
        yield _not_there(case, kind, shown, wanted, parameter)
        return
    yield from _state(case, found, shown, where)
    count = sum(group.count for group in groups)
    if found.amount and count > found.amount:
        what = f"lease {found.lease_name} holds {plural(found.amount, 'machine')}, and {count} are needed"
        fix = (
            f"--parameter workers={max(0, found.amount - 1)}, or a larger lease"
            if len(groups) > 1 or case.needs is None
            else "a larger lease"
        )
        yield Problem(code="lease-too-small", what=what, where=where, fix=fix)
    yield from _end(case, found, where)


def _state(case: Case, found: Reservation, shown: str, where: str) -> Iterator[Finding]:
    if found.status == "ACTIVE":
        until = f" until {moment(found.end)}" if found.end else ""
        yield f"lease {found.lease_name}: active{until}, {plural(found.amount, 'machine')}"
        return
    is_over = found.status in OVER
    state = f"{'over' if is_over else 'not active yet'} ({found.status})"
    what = f"{shown} is of the lease {found.lease_name}, which is {state}"
    fix = (
        _lease_line(case)
        if is_over
        else f"wait until it begins: openstack reservation lease show {found.lease_name}"
    )
    yield Problem(code="lease-not-active", what=what, where=where, fix=fix)


def _not_there(case: Case, kind: str, shown: str, wanted: str, parameter: str) -> Problem:
    known = case.answers.reservations or ()
    prefix = RESERVED if kind == INSTANCES else ""
    of_lease = [one for one in known if one.lease_id == wanted]
    if of_lease:
        what = f"{shown} is the lease {of_lease[0].lease_name}, and the id of the reservation in it is needed"
        fix = f"--parameter {parameter}={prefix}{of_lease[0].id}"
    else:
        what = f"{shown} is none of the project's reservations"
        active = [prefix + one.id for one in known if one.status == "ACTIVE" and one.resource_type == kind]
        fix = nearest(prefix + wanted, active, parameter) or _lease_line(case)
    return Problem(code="lease-missing", what=what, where=case.where(parameter), fix=fix)


def _end(case: Case, found: Reservation, where: str) -> Iterator[Finding]:
    """The cloud deletes the machines when the lease ends, whatever the deadline says."""
    if found.end is None or found.status in OVER:
        return
    left = (found.end - case.now) / dt.timedelta(hours=1)
    if left >= case.max_hours:
        return
    name = found.lease_name
    what = (
        f"lease {name} ends in {max(0.0, left):.1f} h, before the deadline of {case.max_hours:g} h: "
        "the cloud deletes the machines then, with what was not fetched"
    )
    fix = f"openstack reservation lease update --end-date 'YYYY-MM-DD HH:MM' {name}"
    if left >= 1:
        fix += f", or --parameter max_hours={int(left * 2) / 2:g}"
    yield Problem(code="lease-ends-first", level="warning", what=what, where=where, fix=fix)


def _on_demand(case: Case) -> Iterator[Finding]:
    """Chameleon's KVM cloud starts nothing without a lease since August 2025."""
    if not case.is_chameleon:
        return
    groups = [
        group for group in case.groups if not group.flavor.startswith(RESERVED) and group.flavor != BARE_METAL
    ]
    if not groups:
        return
    active = [
        one
        for one in case.answers.reservations or ()
        if one.status == "ACTIVE"
        and one.resource_type == INSTANCES
        and one.amount >= sum(g.count for g in groups)
    ]
    fix = (
        setting(groups, "flavor", RESERVED + active[0].id)
        if active
        else f"{_lease_line(case)}; then --parameter master_flavor=reservation:ID and worker_flavor likewise"
    )
    shown = f"{named(groups, 'flavor')} {quoted(groups[0].flavor)}"
    what = f"{shown}: Chameleon's KVM cloud starts no machine without a lease since 2025-08"
    yield Problem(code="lease-needed", what=what, where=case.where(f"{groups[0].role}_flavor"), fix=fix)


def _bare_metal(case: Case) -> Iterator[Finding]:
    groups = [group for group in case.groups if group.flavor == BARE_METAL]
    if groups and case.value("security_groups") == "yes":
        reported = any(problem.code == "security-groups-on-bare-metal" for problem in case.plan.problems)
        if not reported:
            what = "security_groups is yes, and networks of bare metal have none: the stack would fail"
            where, fix = case.where("security_groups"), "--parameter security_groups=no"
            yield Problem(
                code="security-groups-on-bare-metal", level="warning", what=what, where=where, fix=fix
            )
    missing = [group for group in groups if not group.reservation]
    if missing and case.answers.has_blazar:
        active = [
            one
            for one in case.answers.reservations or ()
            if one.status == "ACTIVE" and one.resource_type == HOSTS
        ]
        count = sum(group.count for group in missing)
        best = next((one for one in active if one.amount >= count), None)
        fix = setting(missing, "reservation", best.id) if best else _lease_line(case)
        what = f"{named(missing, 'reservation')} is empty: bare metal starts only with a lease"
        where = case.where(f"{missing[0].role}_reservation")
        yield Problem(code="lease-needed", what=what, where=where, fix=fix)


def _lease_line(case: Case) -> str:
    """Return the command that makes a lease large enough, with the flavor's id where it is known."""
    count, line = sum(group.count for group in case.groups), "openstack reservation lease create"
    ends = "--start-date now --end-date 'YYYY-MM-DD HH:MM'"
    if any(group.flavor == BARE_METAL for group in case.groups):
        return f"{line} --reservation min={count},max={count},resource_type=physical:host {ends} {case.name}"
    flavor = case.flavor(case.groups[0].flavor) if case.groups else None
    identity = flavor.id if flavor else "FLAVOR-ID"
    part = f"resource_type=flavor:instance,flavor_id={identity},amount={count}"
    return f"{line} --reservation {part} {ends} {case.name}"
