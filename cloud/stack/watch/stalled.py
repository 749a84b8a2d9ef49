"""A stack that Heat has lost -> the problem `heat-stalled`, or None. Pure.

An engine of Heat that ends, by a crash or a restart, loses what it was doing: the stack stays
`CREATE_IN_PROGRESS` for ever, and nothing says so. It shows in what a living engine would have done by now:

- it ends a stack at the stack's own time-out;
- it looks at machines every few seconds, so one that is ACTIVE for minutes is no longer being made for it;
- what Neutron and Heat itself make takes seconds, and the next resource is begun at once.

What may honestly take long: a machine that Nova builds or deletes (bare metal: 20 minutes), and the gate,
within the time that the machines have to meet. Nothing is said before all was quiet for five minutes.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloud.errors import Problem
from cloud.node.console import node_name
from cloud.stack import told as told_
from cloud.stack.deadline import BOOT_TIMEOUT_S, duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cloud.stack.api import Event, Resource, Server, Stack
    from cloud.stack.told import Told

CODE = "heat-stalled"
QUIET = dt.timedelta(minutes=5)  # a message queue or a database that fails over takes two or three
LATE = dt.timedelta(minutes=5)  # after a time-out that a living engine keeps to the second
TIMEOUT_MIN = 60  # Heat's stack_action_timeout, where a stack has none of its own
GATE, GROUP = "OS::Heat::WaitCondition", "OS::Heat::ResourceGroup"
_NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What Heat and Nova say of one stack at one moment."""

    stack: Stack
    resources: Sequence[Resource]
    servers: Sequence[Server]
    events: Sequence[Event]
    now: dt.datetime
    """By the cloud's clock."""
    answers_since: dt.datetime | None = None
    """Since when the cloud answers without a break: what was down together comes back together."""


def problem(seen: Seen, told: Told, program: str = "hotrun") -> Problem | None:
    """Return what is wrong when Heat has lost the stack.

    A warning while the machines train all the same; an error when nothing can come of it any more.
    """
    stack = seen.stack
    quiet = seen.now - _newest(seen)
    if stack.is_settled or stack.action not in ("CREATE", "UPDATE") or quiet < QUIET:
        return None
    sign = _sign(seen)
    if not sign:
        return None
    what = f"Heat has stopped working on {stack.name} and leaves it {stack.status}: {sign}; "
    what += f"nothing has happened for {duration(quiet)}. Most likely Heat was restarted and lost its work"
    down = f"{program} down {stack.name}"
    if told.is_training and told.number >= stack.rerun:
        fix = f"the run goes on, and its results can be fetched; after it: {down}"
        return Problem(code=CODE, level="warning", what=what, fix=fix)
    return Problem(
        code=CODE, what=what, fix=f"{down} deletes it whole, then {program} up; waiting does not help"
    )


def _newest(seen: Seen) -> dt.datetime:
    """When anything happened last."""
    stack = seen.stack
    times = [
        stack.created,
        stack.updated,
        seen.answers_since,
        *(one.updated for one in seen.servers),
        *map(_time, seen.events),
    ]
    return max(one for one in times if one is not None)


def _sign(seen: Seen) -> str:
    """What a living engine would have done by now; empty while it may be waiting honestly."""
    stack = seen.stack
    minutes = stack.timeout_min or TIMEOUT_MIN
    over = seen.now - (stack.updated or stack.created) - dt.timedelta(minutes=minutes)
    if over > LATE:
        return f"its time-out of {minutes} min passed {duration(over)} ago, when Heat should have ended it"
    open_ = [one for one in seen.resources if one.status.endswith("_IN_PROGRESS") and one.type != GROUP]
    servers = {one.id: one for one in seen.servers}
    signs = [_of(one, servers.get(one.id), seen) for one in open_]
    if not all(signs):
        return ""
    return signs[0] if signs else f"no part of it is being made or changed{_missing(seen)}"


def _of(one: Resource, server: Server | None, seen: Seen) -> str:
    """What is odd about a resource in progress; empty for an honest wait."""
    if one.machine:
        if one.status.startswith("DELETE"):
            return ""
        if not one.id:
            return f"{one.machine} was never asked for"
        if server is None:
            return f"{one.machine} is not there, and Heat does not see it"
        is_done = server.status in ("ACTIVE", "ERROR")
        return f"{one.machine} is {server.status}, and Heat does not see it" if is_done else ""
    if one.type == GATE:
        if told_.signals(seen.stack):
            return "the machines have spoken, and Heat does not hear them"
        until = _gate_ends(one, seen)
        is_late = until is not None and seen.now > until + LATE
        return (
            "the time in which its machines should meet is over, and Heat does not end it" if is_late else ""
        )
    return f"{one.name} is {one.status}, which takes seconds"


def _gate_ends(gate: Resource, seen: Seen) -> dt.datetime | None:
    """When a living engine gives up waiting for the machines; None where it can't be told when that began."""
    begun = [
        time for event in seen.events
        if event.resource == gate.name and event.status == gate.status and (time := _time(event))
    ]  # fmt: skip
    try:
        seconds = float(seen.stack.parameters.get("boot_timeout", BOOT_TIMEOUT_S))
    except ValueError:
        seconds = BOOT_TIMEOUT_S
    return max(begun) + dt.timedelta(seconds=seconds) if begun else None


def _missing(seen: Seen) -> str:
    """`, and master, worker-1 and 3 more machines are missing`."""
    names = list(_not_made(seen))
    if not names:
        return ""
    more = f" and {len(names) - _NAMES_SHOWN} more machines" if len(names) > _NAMES_SHOWN else ""
    return f", and {', '.join(names[:_NAMES_SHOWN])}{more} {'are' if len(names) > 1 else 'is'} missing"


def _not_made(seen: Seen) -> Iterator[str]:
    made = {one.machine for one in seen.resources if one.machine and one.id}
    return (name for rank in range(seen.stack.workers + 1) if (name := node_name(rank)) not in made)


def _time(event: Event) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat(event.time)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)
