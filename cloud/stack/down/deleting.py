"""The wait for a delete: what is still there, another try where it failed, until all is gone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloud.errors import Interrupted, Problem
from cloud.stack.api import CloudError
from cloud.stack.down import left
from cloud.stack.watch import reasons

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from cloud.stack.api import Cloud, Resource, Stack
    from cloud.ui import Ui

PAUSES_S = (5.0, 15.0, 30.0)  # before each further try; Heat has tried for 80 s itself, where Neutron refused
POLL_S = 2.0
SAY_AGAIN_S = 30.0  # a wait is never silent for longer
STUCK_S = 180.0  # a delete without any progress for so long is asked for again
GRACE_S = 30.0  # a delete that was accepted shows in the stack's status within seconds
_NO_WAY_IN = (401, 403)
_FOR_NOW = (404, 408, 409, 429)  # gone already, slow, busy, asked too often


@dataclass(slots=True, kw_only=True)
class Deleting:
    """One stack on its way out."""

    cloud: Cloud
    stack: Stack
    ui: Ui
    see: Callable[[Sequence[Resource]], Collection[str]]
    """Gets the stack's resources again and again, as more may come while it is still being made; returns
    every id that was ever seen."""
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    _said: str = field(default="", init=False)
    _said_at: float = field(default=0.0, init=False)
    _moved_at: float = field(default=0.0, init=False)
    _tries: int = field(default=0, init=False)

    def run(self, deadline_s: float) -> tuple[str, str]:
        """Ask for the delete and wait; `gone`, `failed` or `deadline` with Heat's reason.

        Raises Interrupted with what goes on without us, and CloudError when the cloud lets nobody in.
        """
        begin = self.clock()
        self._moved_at = self._said_at = begin
        try:
            self._delete(is_first=True)
            asked_at = self.clock()
            while self.clock() - begin < deadline_s:
                try:
                    now, resources = self._look()
                except CloudError as error:  # without an answer nothing is done
                    self._bear(error)
                    self.sleep(POLL_S)
                    continue
                if now is None:
                    return "gone", ""
                if now.status == "DELETE_FAILED":
                    if self._tries >= len(PAUSES_S):
                        return "failed", reasons.plain(now.reason)
                    self._again(now, resources, min(PAUSES_S[self._tries], begin + deadline_s - self.clock()))
                    asked_at = self.clock()
                elif (now.action != "DELETE" and self.clock() - asked_at > GRACE_S) or self._is_stuck():
                    self._delete()
                    asked_at = self._moved_at = self.clock()
                self.sleep(POLL_S)
        except KeyboardInterrupt:
            raise Interrupted(self._left_behind()) from None
        return "deadline", ""

    def _delete(self, *, is_first: bool = False) -> bool:
        """Ask for the delete; whether the cloud took it. What it refuses at first for good is raised."""
        try:
            self.cloud.delete(self.stack.id)
        except CloudError as error:
            if is_first and 400 <= error.status < 500 and error.status not in _FOR_NOW:
                raise
            self._bear(error)
            return False
        return True

    def _bear(self, error: CloudError) -> None:
        """Tell of a cloud that stumbles, and raise when it lets nobody in."""
        if error.status in _NO_WAY_IN:
            raise error
        if error.status != 404:  # it went between two questions
            self._tell(f"the cloud does not answer: {error.problems[0].what}")

    def _look(self) -> tuple[Stack | None, Sequence[Resource]]:
        """The stack now, with what is still there said. Raises CloudError."""
        now = self.cloud.stack(self.stack.id)
        if now is None:
            return None, ()
        resources = self.cloud.resources(self.stack.id)
        self.see(resources)
        still = left.counted(resources)
        if self._tell(f"{still} left" if still else "nothing left but the stack itself"):
            self._name_what_stands_in_the_way(resources)
        return now, resources

    def _again(self, now: Stack, resources: Sequence[Resource], pause_s: float) -> None:
        """Say what refused to go, wait, and ask once more; what the cloud did not hear is no try."""
        self._tries += 1
        for sentence in blockers(resources):
            self.ui.say(f"  {sentence}")
        self._name_what_stands_in_the_way(resources)
        if not blockers(resources):
            self.ui.say(f"  {reasons.plain(now.reason)}")
        self.ui.say(
            f"the delete failed; trying again in {pause_s:.0f} s (try {self._tries} of {len(PAUSES_S)})"
        )
        self.sleep(max(0.0, pause_s))
        if not self._delete():
            self._tries -= 1
        self._moved_at = self.clock()

    def _name_what_stands_in_the_way(self, resources: Sequence[Resource]) -> None:
        """Name ports on the stack's networks that it has not made: Neutron keeps a network for them."""
        networks = [one.id for one in resources if one.type == left.NETWORK and one.id]
        try:
            known = self.see(resources)
            found = [one for each in networks for one in left.foreign_ports(self.cloud.ports_on(each), known)]
        except CloudError:  # the wait itself tells when the cloud does not answer
            return
        for one in found:
            self.ui.say(f"  in the way: {one}; to remove it: {one.command}")

    def _tell(self, text: str) -> bool:
        """Say what is still there when it changed, and now and then when it did not; True for the latter."""
        is_same = text == self._said
        if is_same and self.clock() - self._said_at < SAY_AGAIN_S:
            return False
        self._moved_at = self._moved_at if is_same else self.clock()
        self.ui.say(f"  still {text}" if is_same else f"  {text}")
        self._said, self._said_at = text, self.clock()
        return is_same

    def _is_stuck(self) -> bool:
        return self.clock() - self._moved_at > STUCK_S

    def _left_behind(self) -> Problem:
        name = self.stack.name
        what = f"interrupted; the cloud goes on deleting {name}"
        fix = f"to look: {self.ui.program} down {name}, or openstack stack show {self.stack.id}"
        return Problem(code="interrupted", what=what, fix=fix)


def blockers(resources: Sequence[Resource]) -> list[str]:
    """Return a sentence for each resource whose delete failed, the group's own only without a member's."""
    failed = [one for one in resources if one.status == "DELETE_FAILED"]
    members = any(one.parent for one in failed)
    shown = [one for one in failed if not (members and one.type == left.STACK)]
    return [f"{one.machine or one.name} refused: {reasons.plain(one.reason)}" for one in shown]
