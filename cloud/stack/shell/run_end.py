"""A stack -> why nothing more will come of its run, as Heat tells it: for one who can't ask its master."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from cloud.errors import DeadlinePassed, HotrunError, NoAccess, Problem, RunFailed
from cloud.stack import deadline, told
from cloud.stack.api import CloudError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cloud.stack.api import Cloud, Resource, Stack

ASK_EVERY_S = 30.0
LOST_S = 15 * 60.0  # a machine that boots again is back by then
ENDS: dict[str, type[HotrunError]] = {"stack-gone": RunFailed, "deadline-passed": DeadlinePassed}
"""What `why_over` found -> what a command ends with; a run that is over is no failure of who followed it."""


class Lost:
    """A master that can't be reached: whether its run is over, asked now and then.

    Any thread may call `begin` and `end`.
    """

    def __init__(
        self, over: Callable[[], Problem | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._over, self._clock = over, clock
        self._since: float | None = None
        self._asked_at = float("-inf")

    def begin(self) -> None:
        """It can't be reached, now or still."""
        if self._since is None:
            self._since = self._clock()

    def end(self) -> None:
        """It answers."""
        self._since = None

    def why_over(self) -> str:
        """Return a sentence once the run is over; empty while it goes on, or the master answers.

        Raises what ENDS names, and NoAccess (`ssh-lost`) after LOST_S without either.
        """
        since, now = self._since, self._clock()
        if since is None or now - self._asked_at < ASK_EVERY_S:
            return ""
        self._asked_at, ended = now, None
        with contextlib.suppress(CloudError):  # it may answer the next time; this wait ends all the same
            ended = self._over()
        if ended is not None:
            if ended.code in ENDS:
                raise ENDS[ended.code](ended)
            return f"{ended.what}; {ended.fix}"
        if now - since > LOST_S:
            what = f"the master could not be reached again for {LOST_S / 60:.0f} min"
            fix = "hotrun status says how its run is; the same command goes on"
            raise NoAccess(Problem(code="ssh-lost", what=what, fix=fix, node="master"))
        return ""


def why_over(cloud: Cloud, stack: Stack, resources: Iterable[Resource] | None = None) -> Problem | None:
    """Return why nothing more will come of a stack's run, None while it goes on.

    `stack`: as it was found; `resources`: of today, where they were asked for already. Raises CloudError.
    """
    name, now = stack.name, cloud.stack(stack.id)
    if now is None or now.action == "DELETE":
        what = f"the stack {name} {'was' if now is None else 'is being'} deleted, so its logs end here"
        return Problem(code="stack-gone", what=what, fix="what was fetched before is still here")
    said = told.by(now, cloud.resources(stack.id) if resources is None else resources)
    if said.is_over and said.number >= now.rerun:
        what = f"the run of {name} is over ({said.state})"
        return Problem(
            code="run-over", level="note", what=what, fix=f"hotrun fetch {name} brings what is left"
        )
    limit = deadline.last_moment(now, said)
    if limit is not None and limit.is_past(cloud.time()):
        what = f"{name}: {deadline.sentence(limit, cloud.time())}, and it told no result"
        fix = f"its machines power off by themselves, which may still be charged: hotrun down {name}"
        return Problem(code="deadline-passed", what=what, fix=fix)
    return None
