"""Starts the machines of a rerun that are shut off, and those that power off a moment later.

Workers of a good run power themselves off some time after its end, maybe just now. A machine that is still on
its way to either state refuses (409) and is asked again. Nothing is raised but Interrupted: the cloud has
taken the rerun already.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloud.errors import Interrupted, Problem
from cloud.rehearse.screen import teller
from cloud.stack.api import CloudError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cloud.stack.api import Cloud, Resource, Stack
    from cloud.ui import Ui

WATCH_S = 90.0
POLL_S = 5.0


@dataclass(slots=True, kw_only=True)
class Starting:
    """The machines of one stack."""

    cloud: Cloud
    stack: Stack
    resources: Sequence[Resource]
    """Those from before the change: while Heat changes a group, its list may lack members for a moment."""
    names: Mapping[str, str]
    """Physical id -> name of each machine that was there before and stays."""
    may_power_off: bool
    """False when the last run failed: then its machines stand by, all of them."""
    ui: Ui
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    _started: dict[str, str] = field(default_factory=dict, init=False)
    _asked: set[str] = field(default_factory=set, init=False)
    """Refused or unanswered; the cloud may have heard it all the same."""
    _last: str = field(default="", init=False)
    _say: Callable[[str], None] = field(init=False)

    def __post_init__(self) -> None:
        self._say = self.ui.say

    def run(self) -> tuple[str, ...]:
        """Start what is or becomes shut off, and wait for that; the names of what was started."""
        try:
            if self._look():
                self._tell(f"starting what powers off after the last run, for {WATCH_S:.0f} s")
                self._rest()
        except KeyboardInterrupt:
            what = f"interrupted; {self.stack.name} runs again, but machines may still power off"
            fix = f"{self.ui.program} status {self.stack.name}"
            raise Interrupted(Problem(code="interrupted", what=what, fix=fix)) from None
        return tuple(self._started.values())

    def run_beside(self) -> tuple[str, ...]:
        """Start what is shut off, and what becomes so beside what this program does next."""
        waits = self._look()
        started = tuple(self._started.values())
        if waits:
            self._say = teller(self.ui)  # a plain print would tear the table
            threading.Thread(target=self._rest, name="starting", daemon=True).start()
        return started

    def _rest(self) -> None:
        until, waits = self.clock() + WATCH_S, True
        while waits and self.clock() < until:
            self.sleep(POLL_S)
            waits = self._look()

    def _look(self) -> bool:
        """Start what is shut off now; whether there is a machine that may still need it."""
        try:
            servers = self.cloud.servers(self.stack, self.resources)
        except CloudError as error:
            self._tell(f"the cloud does not answer: {error.problems[0].what}")
            return True
        waits = False
        for server in servers:
            name = self.names.get(server.id, "")
            if not name or server.id in self._started:
                continue
            if server.status == "SHUTOFF":
                waits |= not self._start(server.id, name)
            elif server.status == "ACTIVE" and server.id in self._asked:
                self._keep(server.id, name)
            else:  # the master stays on; one in ERROR does not power off
                waits |= self.may_power_off and name != "master" and server.status != "ERROR"
        return waits

    def _start(self, identity: str, name: str) -> bool:
        """Whether a machine is done with: it was started, or it is gone."""
        try:
            self.cloud.start_server(identity)
        except CloudError as error:
            self._tell(f"{name} could not be started: {error.problems[0].what}")
            self._asked.add(identity)
            return error.status == 404
        self._keep(identity, name)
        return True

    def _keep(self, identity: str, name: str) -> None:
        self._say(f"starting {name}")
        self._started[identity] = name

    def _tell(self, text: str) -> None:
        if text != self._last:
            self._say(text)
        self._last = text
