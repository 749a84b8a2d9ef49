"""A stack's deadline: when its machines stop, how long that is, and what stops what is paid for. Pure.

The deadline is `max_hours` after the stack was made. The machines power off by themselves then; that ends
work, not what a cloud charges: machines that are shut off keep their place until they are deleted, and a
lease is charged until it ends, used or not.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloud.model import RESERVED
from cloud.stack.record import moment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloud.stack.api import Stack
    from cloud.stack.told import Told

PARAMETER = "max_hours"
MAX_HOURS = 10_000.0  # below it, as the template's own pattern
BOOT_TIMEOUT_S = 3000.0  # of templates without the parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """When a stack's time is over."""

    created: dt.datetime
    """When Heat began to make the stack, with its time zone."""
    max_hours: float

    @property
    def at(self) -> dt.datetime:
        """The moment itself."""
        return self.created + dt.timedelta(hours=self.max_hours)

    def left(self, now: dt.datetime) -> dt.timedelta:
        """How long there is still; negative when it is over."""
        return self.at - now

    def is_past(self, now: dt.datetime) -> bool:
        """Whether the time is over."""
        return now >= self.at


def deadline_of(stack: Stack) -> Deadline | None:
    """Return a stack's deadline; None where its template has none, or it can't be read.

    The stack must come with its parameters: those of a list have none.
    """
    try:
        hours = float(stack.parameters.get(PARAMETER, ""))
    except ValueError:
        return None
    if not math.isfinite(hours) or not 0 < hours < MAX_HOURS:
        return None
    return Deadline(created=stack.created, max_hours=hours)


def last_moment(stack: Stack, told: Told) -> Deadline | None:
    """Return when a stack's time is really over; None where it has no deadline.

    Machines count from their own first start: what trains has the time that they had to meet on top.
    """
    limit = deadline_of(stack)
    if limit is None or not told.is_training:
        return limit
    try:
        boot_s = float(stack.parameters.get("boot_timeout", BOOT_TIMEOUT_S))
    except ValueError:
        boot_s = BOOT_TIMEOUT_S
    return dataclasses.replace(limit, max_hours=limit.max_hours + boot_s / 3600)


def sentence(deadline: Deadline, now: dt.datetime) -> str:
    """Return the deadline as a person says it: `until 2026-01-02 12:00 UTC, 3 h 20 min left`."""
    at = moment(deadline.at)
    if deadline.is_past(now):
        return f"its time was over at {at}, {duration(now - deadline.at)} ago"
    return f"until {at}, {duration(deadline.left(now))} left"


def duration(span: dt.timedelta) -> str:
    """Return a length of time in its two largest units: `2 d 3 h`, `3 h 20 min`, `45 s`."""
    seconds = max(0, int(span.total_seconds()))
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


def reservations(parameters: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ids of the Blazar reservations that a stack's machines use, each once."""
    hints = (parameters.get(f"{role}_reservation", "") for role in ("master", "worker"))
    flavors = (parameters.get(f"{role}_flavor", "") for role in ("master", "worker"))
    flavored = (name.removeprefix(RESERVED) for name in flavors if name.startswith(RESERVED))
    return tuple(dict.fromkeys(found for found in (*hints, *flavored) if found))
