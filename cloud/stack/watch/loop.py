"""Follows a stack to its end: looks, shows, keeps events, and pauses; survives a cloud that does not answer.

It ends when the master has reported, when Heat has given up or has lost the stack, when the deadline is
past, when the stack is gone, or when the cloud has not answered for a quarter of an hour. It never changes
the stack.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from cloud.stack import deadline
from cloud.stack.api import CloudError
from cloud.stack.watch import changes as watch_changes

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from cloud.stack.watch import Line, Watch
    from cloud.stack.watch.changes import Change
    from cloud.stack.watch.snapshot import Snapshot

End = Literal["told", "failed", "deadline", "gone", "silent", "lost", "stalled"]

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 10.0
GROWTH = 1.25
SILENCE_S = 15 * 60.0  # of the cloud; the calls themselves have been patient before
MASTER_GONE_S = 120.0  # a machine that boots again is back by then
MASTER_SILENT_S = 180.0  # and a worker that lost the master is believed


class Shown(Protocol):
    """Where a person sees it, `cloud.stack.watch.screen.Screen`."""

    def show(self, snapshot: Snapshot, changes: Sequence[Change], lines: Sequence[Line]) -> None:
        """Show the newest picture and what is new in it."""

    def tell(self, sentence: str) -> None:
        """Show a sentence of the program's own."""


class Keeps(Protocol):
    """Where events are kept, `cloud.rehearse.keep.Kept`."""

    def event(self, kind: str, **fields: Any) -> None:
        """Append one event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """How following ended."""

    end: End
    last: Snapshot | None
    """The newest picture; None when there was none."""
    error: CloudError | None = None
    """What the cloud said last, when it was silent."""


@dataclass(slots=True, kw_only=True)
class Loop:
    """Look, show, pause."""

    watch: Watch
    shown: Shown
    kept: Keeps
    now: Callable[[], dt.datetime]
    """The cloud's clock."""
    on_look: Callable[[], None] = lambda: None
    """Called after each look, to keep what was seen."""
    is_signalling: bool = True
    """Whether the machines report to Heat; else their consoles tell when they are done."""
    number: int = 0
    """Of the rerun that is followed: what Heat shows of the run before it is no news."""
    raise_early: Callable[[], None] = lambda: None
    """Raises Interrupted when a signal has come; called in each round."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _last: Snapshot | None = field(default=None, init=False)
    _silent_since: float | None = field(default=None, init=False)
    _gone_since: float | None = field(default=None, init=False)
    _lost_since: float | None = field(default=None, init=False)

    def run(self) -> Followed:
        """Follow to the end."""
        pause = FIRST_PAUSE_S
        while True:
            self.raise_early()
            try:
                snapshot = self.watch.look()
            except CloudError as error:
                if self._gives_up(error):
                    return Followed(end="silent", last=self._last, error=error)
                self.sleep(LONGEST_PAUSE_S)
                continue
            self._answers()
            if snapshot is None:
                return Followed(end="gone", last=self._last)
            is_new = self._take(snapshot)
            end = self._end(snapshot)
            if end is not None:
                return Followed(end=end, last=self._look_closely(snapshot))
            pause = FIRST_PAUSE_S if is_new else min(LONGEST_PAUSE_S, pause * GROWTH)
            self.sleep(pause)

    def _take(self, snapshot: Snapshot) -> bool:
        """Show and keep what is new; whether anything was."""
        changes = watch_changes.between(self._last, snapshot)
        self._last = snapshot
        self.shown.show(snapshot, changes, self.watch.lines)
        for event in self.watch.events:
            self.kept.event(
                "heat", time=event.time, resource=event.resource, status=event.status, reason=event.reason
            )
        for change in changes:
            self.kept.event(change.kind, node=change.node, what=change.text, **change.fields)
        self.on_look()
        return bool(changes or self.watch.lines)

    def _end(self, snapshot: Snapshot) -> End | None:
        stack = snapshot.stack
        if stack.action == "DELETE":
            return "gone"
        if snapshot.rerun >= self.number:  # else Heat has not begun with the rerun
            is_told = snapshot.is_told and (stack.is_settled or snapshot.told.result is not None)
            if is_told and self._is_final(snapshot):
                return "told"
            if snapshot.has_failed:
                return "failed"
            if snapshot.is_stalled:
                return "stalled"
            if not self.is_signalling and snapshot.views[0].state in ("done", "failed", "stopped"):
                return "told"
        if self._is_past(snapshot):
            return "deadline"
        return "lost" if self._is_lost(snapshot) else None

    def _is_past(self, snapshot: Snapshot) -> bool:
        """Whether the time is over: machines that train count from their own first boot."""
        limit = deadline.last_moment(snapshot.stack, snapshot.told)
        return limit is not None and limit.is_past(self.now())

    def _is_final(self, snapshot: Snapshot) -> bool:
        """Whether the run is judged: a worker that lost the master decides once the master is silent."""
        if not snapshot.told.is_by_others:
            self._lost_since = None
            return True
        self._lost_since = self.clock() if self._lost_since is None else self._lost_since
        heard_s = snapshot.views[0].heard_s
        waited_s = self.clock() - self._lost_since
        return min(waited_s, waited_s if heard_s is None else heard_s) > MASTER_SILENT_S

    def _is_lost(self, snapshot: Snapshot) -> bool:
        """Whether the master is away for longer than a boot takes."""
        if not snapshot.master_is_gone:
            self._gone_since = None
            return False
        self._gone_since = self.clock() if self._gone_since is None else self._gone_since
        return self.clock() - self._gone_since > MASTER_GONE_S

    def _look_closely(self, snapshot: Snapshot) -> Snapshot:
        """Once more, every console: last lines are what a failure is understood by."""
        try:
            closer = self.watch.look(is_last=True)
        except CloudError:
            return snapshot
        if closer is not None:
            self._take(closer)
        return closer or snapshot

    def _gives_up(self, error: CloudError) -> bool:
        """Note that the cloud does not answer; whether that is final. A refusal is final at once."""
        if error.status and error.status < 500 and error.status not in (408, 429):
            return True
        now = self.clock()
        self._silent_since = now if self._silent_since is None else self._silent_since
        silent_s = now - self._silent_since
        self.shown.tell(
            f"the cloud does not answer, trying again ({silent_s:.0f} s): {error.problems[0].what}"
        )
        self.kept.event("silence", what=error.problems[0].what, s=round(silent_s))
        return silent_s > SILENCE_S

    def _answers(self) -> None:
        if self._silent_since is not None:
            self.shown.tell(f"the cloud answers again, after {self.clock() - self._silent_since:.0f} s")
            self._silent_since = None
