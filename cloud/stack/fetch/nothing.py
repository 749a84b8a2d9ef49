"""Why there is nothing to fetch, as a problem. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.errors import Problem

if TYPE_CHECKING:
    from cloud.stack.api import Stack
    from cloud.stack.told import Told


def nothing_yet(stack: Stack, program: str) -> Problem:
    """No machine has told anything: why that may be, in words."""
    if stack.has_failed:
        state = f"has failed ({stack.status}) before its machines met"
    elif stack.is_settled:
        state = f"is there ({stack.status}), but its machines have not met"
    else:
        state = f"is {stack.doing or 'busy'} ({stack.status})"
    yet = "" if stack.has_failed or stack.action == "DELETE" else " yet"
    what = f"nothing to fetch{yet}: {stack.name} {state}"
    fix = f"look: {program} status {stack.name}; the machines' own lines: {program} logs {stack.name}"
    return Problem(code="nothing-to-fetch", what=what, fix=fix)


def no_run(stack: Stack, said: Told, run: str) -> Problem:
    """A run that the master does not have, with those that it told of."""
    known = ", ".join(one for one in (*said.earlier, said.run) if one)
    what = f"{stack.name} has no run {run} on its master"
    return Problem(code="run-unknown", what=what, where="flag --run", fix=f"it has {known}" if known else "")
