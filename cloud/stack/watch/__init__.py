"""A stack -> Snapshot after Snapshot: asks every source, the dear ones less often. It changes nothing.

Each look asks Heat for the stack; resources and events while something is being made, else now and then; Nova
for all machines at once, every ten seconds while they come; and either the master over ssh or some consoles.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cloud.stack import told
from cloud.stack.api import CloudError
from cloud.stack.shell.config import is_machine
from cloud.stack.watch import snapshot
from cloud.stack.watch.console import LINES, Consoles
from cloud.stack.watch.turns import Turns
from cloud.stack.watch.views import Sources

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from cloud.stack.api import Cloud, Event, Resource, Server, Stack
    from cloud.stack.watch.snapshot import Snapshot

MACHINES_EVERY_S = 30.0  # nothing is being made: a machine may still die
SERVERS_EVERY_S = 10.0  # while machines are being made
CONSOLES_AT_ONCE = 8  # each is a request of its own
CONSOLES_WHILE_MAKING = 2  # Nova has enough to do, and nobody trains before all are there
CONSOLES_AT_THE_END = 33


class MastersView(Protocol):
    """What the master tells over ssh, `cloud.stack.shell.viewer.Viewer`."""

    def look(self, stack: Stack) -> dict[str, Any] | None:
        """Return its view, None when it can't be asked. Never raises, takes 5 s at most."""


@dataclass(frozen=True, slots=True)
class Line:
    """Something new on a machine's console."""

    node: str
    text: str
    fields: dict[str, Any] | None
    """Of a stage's line."""


class Watch:
    """One stack under observation.

    `is_rerun`: a run that begins now is awaited; what consoles show at the first look is of the run before.
    """

    def __init__(
        self, cloud: Cloud, stack_id: str, viewer: MastersView | None = None,
        clock: Callable[[], float] = time.monotonic, *, is_rerun: bool = False,
    ) -> None:  # fmt: skip
        self._cloud, self._id, self._viewer, self._clock = cloud, stack_id, viewer, clock
        self._consoles, self._turns = Consoles(), Turns()
        self._heard: dict[str, float] = {}
        self._ids: dict[str, str] = {}
        self._resources: Sequence[Resource] = ()
        self._servers: Sequence[Server] = ()
        self._asked_at, self._asked_for = float("-inf"), ""
        self._servers_at, self._servers_of = float("-inf"), (frozenset[tuple[str, str]](), "")
        self._rerun, self._is_silent = 0, False
        self._answers_since: dt.datetime | None = None
        self._is_rerun, self._old = is_rerun, set[str]()
        self._events: dict[str, Event] = {}
        self.events: list[Event] = []
        """What Heat did since the last look."""
        self.lines: list[Line] = []
        """What consoles said since the last look."""
        self.seen: set[tuple[str, str]] = set()
        """(type, physical id) of all that was ever there."""

    def look(self, *, is_last: bool = False) -> Snapshot | None:
        """Ask; None when the stack is gone. `is_last`: every console, whatever it costs.

        Raises CloudError when Heat or Nova does not answer.
        """
        self.events, self.lines = [], []
        try:
            stack = self._cloud.stack(self._id)
            if self._is_silent:
                self._answers_since, self._is_silent = self._cloud.time(), False
            return None if stack is None else self._picture(stack, is_last=is_last)
        except CloudError as error:
            if error.status == 404 and self._cloud.stack(self._id) is None:  # deleted in this moment
                return None
            self._is_silent = True
            raise

    def _picture(self, stack: Stack, *, is_last: bool) -> Snapshot:
        self._look_at_machines(stack, is_last=is_last)
        self._begin_anew_after_a_rerun(stack)
        is_first, self._is_rerun = self._is_rerun, False
        if is_first:
            self._old = set(self._ids)
        master = self._viewer.look(stack) if self._viewer and self._has_gate(stack) else None
        if master is None or is_last or is_first:
            self._read_consoles(stack, is_last=is_last or is_first)
        now = self._clock()
        heard = {name: now - at for name, at in self._heard.items()}
        sources = Sources(
            stack=stack, resources=self._resources, servers=self._servers, master=master, now=now,
            consoles=dict(self._consoles.machines), heard=heard, seen=frozenset(self._ids),
            events=tuple(self._events.values()), moment=self._cloud.time(),
            answers_since=self._answers_since,
        )  # fmt: skip
        return snapshot.make(sources)

    def _look_at_machines(self, stack: Stack, *, is_last: bool) -> None:
        now = self._clock()
        is_quiet = stack.is_settled and stack.status == self._asked_for
        if is_quiet and not is_last and now - self._asked_at < MACHINES_EVERY_S:
            return
        self._resources = self._cloud.resources(stack.id)
        self._look_at_servers(stack, now, is_last=is_last)
        self.seen |= {(each.type, each.id) for each in self._resources if each.id}
        there = {server.id for server in self._servers}
        for each in self._resources:
            if is_machine(each.machine) and each.id in there:
                if (
                    self._ids.get(each.machine, each.id) != each.id
                ):  # made anew: what the old one told is over
                    self._consoles.forget(each.machine)
                    self._turns.forget(each.machine)
                self._ids[each.machine] = each.id
        for event in self._cloud.events(stack.id):
            if event.id not in self._events:
                self._events[event.id] = event
                self.events.append(event)
        self._asked_at, self._asked_for = now, stack.status

    def _look_at_servers(self, stack: Stack, now: float, *, is_last: bool) -> None:
        """Ask Nova, unless it was asked a moment ago; nothing is asked before there is a machine."""
        machines = frozenset((each.id, each.status) for each in self._resources if each.machine and each.id)
        of = machines, stack.status
        is_moving = of != self._servers_of or any(not status.endswith("_COMPLETE") for _, status in machines)
        pause_s = SERVERS_EVERY_S if is_moving else MACHINES_EVERY_S
        is_first = not self._servers or stack.status != self._servers_of[1]
        if not machines:
            self._servers = ()
        elif is_last or is_first or now - self._servers_at >= pause_s:
            self._servers = self._cloud.servers(stack, self._resources)
            self._servers_at, self._servers_of = now, of

    def _begin_anew_after_a_rerun(self, stack: Stack) -> None:
        """What the run before told on the consoles says nothing of this one."""
        rerun = stack.rerun
        if rerun > self._rerun:
            for name, machine in list(self._consoles.machines.items()):
                machine.come_back()
                self._turns.forget(name)
        self._rerun = rerun

    def _has_gate(self, stack: Stack) -> bool:
        """Whether the master has told the host keys, without which there is no ssh."""
        return bool(told.read(stack, self._ids.get("master", "")).machines)

    def _read_consoles(self, stack: Stack, *, is_last: bool) -> None:
        now = self._clock()
        for name in self._whose_turn(stack, now, is_last=is_last):
            try:
                text = self._cloud.console(self._ids[name], LINES)
            except CloudError:  # a console is one source of several, and Heat has answered
                self._turns.read(name, now, is_new=False)
                continue
            if name in self._old:
                self._old.discard(name)
                self._consoles.skip(name, text)
                continue
            now = self._clock()
            fresh = self._consoles.take(name, text, now)
            self._turns.read(name, now, is_new=bool(fresh))
            if fresh:
                self._heard[name] = now
            self.lines += [Line(name, line, fields) for line, fields in fresh]

    def _whose_turn(self, stack: Stack, now: float, *, is_last: bool) -> list[str]:
        states = {server.id: server.status for server in self._servers if server.status != "BUILD"}
        names = [name for name, identity in self._ids.items() if identity in states]
        failed = {one.node for one in told.by(stack, self._resources, with_workers=True).problems}
        failed |= {name for name in names if states[self._ids[name]] != "ACTIVE"}
        failed |= {name for name, machine in self._consoles.machines.items() if machine.failure}
        is_being_made = not stack.is_settled and len(names) <= stack.workers
        count = CONSOLES_WHILE_MAKING if is_being_made else CONSOLES_AT_ONCE
        return self._turns.next(
            names, CONSOLES_AT_THE_END if is_last else count, now, failed=failed, is_last=is_last
        )
