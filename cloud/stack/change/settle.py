"""Waiting for Heat: until a stack is settled, or it shows that Heat has lost it. Nothing is changed here."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from cloud.errors import DeadlinePassed, Interrupted, Problem, RunFailed
from cloud.stack.api import CloudError
from cloud.stack.watch.lost import lost

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.stack.api import Cloud, Stack
    from cloud.ui import Ui

POLL_S = 3.0
SAY_EVERY_S = 30.0
DEADLINE_S = 3600.0  # Heat's own default for an update; bare metal takes twenty minutes to start
_NO_WAY_IN = (401, 403)


def settled(
    cloud: Cloud, stack: Stack, ui: Ui, *, deadline_s: float = DEADLINE_S,
    clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
) -> Stack:  # fmt: skip
    """Return the stack when Heat is done with it, well or not; the one given when it is.

    Raises DeadlinePassed, Interrupted, CloudError, and RunFailed when the stack goes or went away, or when
    Heat has lost it (`heat-stalled`).
    """
    begin = clock()
    said_at = begin - SAY_EVERY_S
    now: Stack | None = stack
    try:
        while now is not None and now.action != "DELETE":
            if now.is_settled:
                return now
            if clock() - begin >= deadline_s:
                raise DeadlinePassed(_too_slow(now, clock() - begin, ui.program))
            if clock() - said_at >= SAY_EVERY_S:
                _require_alive(cloud, now, ui.program)
                ui.say(_waiting(now, clock() - begin, deadline_s))
                said_at = clock()
            sleep(POLL_S)
            now = _asked(cloud, now, ui)
    except KeyboardInterrupt:
        what = f"interrupted; the cloud goes on with {stack.name}, and nothing was undone"
        raise Interrupted(
            Problem(code="interrupted", what=what, fix=f"{ui.program} status {stack.name}")
        ) from None
    what = f"{stack.name} is being deleted" if now is not None else f"{stack.name} was deleted meanwhile"
    raise RunFailed(Problem(code="stack-deleted", what=what, fix=f"{ui.program} down {stack.name}"))


def _require_alive(cloud: Cloud, stack: Stack, program: str) -> None:
    """Raise RunFailed when waiting is for nothing."""
    try:
        found = lost(cloud, stack, cloud.resources(stack.id), program)
    except CloudError:  # it went, or the cloud does not answer: the next look says so
        return
    if found is not None:
        raise RunFailed(replace(found, level="error"))


def _waiting(stack: Stack, waited_s: float, deadline_s: float) -> str:
    """What is waited for, and once until when."""
    if waited_s:
        return f"waiting for {stack.name}: still {stack.status}, {waited_s:.0f} s"
    until = f"at most {deadline_s / 60:.0f} min; Ctrl-C leaves it as it is"
    return f"waiting until Heat is done with {stack.name} ({stack.status}): {until}"


def _asked(cloud: Cloud, stack: Stack, ui: Ui) -> Stack | None:
    """The stack now; as it was when the cloud does not answer."""
    try:
        return cloud.stack(stack.id)
    except CloudError as error:
        if error.status in _NO_WAY_IN:
            raise
        ui.say(f"the cloud does not answer: {error.problems[0].what}")
        return stack


def _too_slow(stack: Stack, waited_s: float, program: str) -> Problem:
    what = f"{stack.name} is still {stack.status} after {waited_s / 60:.0f} min; the cloud goes on with it"
    return Problem(
        code="stack-slow", what=what, fix=f"{program} status {stack.name}, or {program} down {stack.name}"
    )
