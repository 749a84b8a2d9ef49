"""Whether a resized stack trains again: the master's own view where there is ssh, else the consoles.

A console tells of a machine that was added, and nothing of one that went; what can't be seen is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cloud.errors import Interrupted, Problem
from cloud.node.console import node_name
from cloud.stack.api import CloudError
from cloud.stack.deadline import BOOT_TIMEOUT_S
from cloud.stack.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cloud.stack.api import Cloud, Stack
    from cloud.stack.watch import MastersView
    from cloud.stack.watch.views import View
    from cloud.ui import Ui

EXTRA_S = 600.0  # 300 s at most for the next checkpoint, as long again for everything else
POLL_S = 5.0
PASSED = "rendezvous"  # the stage before `train`; it is listed once it has ended
SAY_EVERY_S = 30.0
BLIND_S = 120.0  # without a view or a console line for so long, there is none; some are read once a minute


@dataclass(slots=True, kw_only=True)
class TrainsAgain:
    """Made before the change, asked after it."""

    cloud: Cloud
    stack: Stack
    workers: int
    before: int
    viewer: MastersView | None
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    _was: tuple[Any, Any] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        view = self.viewer.look(self.stack) if self.viewer else None
        self._was = _attempt(view) if view else None

    def wait(self, stack: Stack, ui: Ui) -> tuple[bool | None, str]:
        """Return whether all machines train, and why not when that can't be seen. Raises Interrupted."""
        watch = Watch(self.cloud, stack.id, None, self.clock)
        begin = self.clock()
        limit, said_at, seen_at = _limit_s(stack), begin - SAY_EVERY_S, begin
        try:
            while self.clock() - begin < limit:
                trains, sentence, is_seen = self._look(stack, watch)
                seen_at = self.clock() if is_seen else seen_at
                if trains is not None:
                    return trains, sentence
                if self.clock() - seen_at >= BLIND_S:
                    return None, self._blind(ui.program)
                if self.clock() - said_at >= SAY_EVERY_S:
                    ui.say(sentence)
                    said_at = self.clock()
                self.sleep(POLL_S)
        except KeyboardInterrupt:
            what = f"interrupted; {stack.name} has {self.workers} workers now and goes on"
            raise Interrupted(
                Problem(code="interrupted", what=what, fix=f"{ui.program} status {stack.name}")
            ) from None
        return False, f"not all machines train after {limit / 60:.0f} min; {ui.program} status {stack.name}"

    def _look(self, stack: Stack, watch: Watch) -> tuple[bool | None, str, bool]:
        """(True/False when it is known, what to say, whether anything could be seen)."""
        try:
            snapshot = watch.look()
        except CloudError as error:
            return None, f"the cloud does not answer: {error.problems[0].what}", True
        if snapshot is None:
            return False, f"{stack.name} was deleted meanwhile", True
        told = snapshot.told
        if told.is_over and (not told.is_by_others or snapshot.master_is_gone):
            return False, "the run ended before it could be resized", True
        view = self.viewer.look(snapshot.stack) if self.viewer else None
        if view and self._was is not None:
            return self._by_master(view)
        return self._by_consoles({one.name: one for one in snapshot.views})

    def _by_master(self, view: Mapping[str, Any]) -> tuple[bool | None, str, bool]:
        nodes = [one for one in view.get("nodes", ()) if one.get("state") == "here"]
        ready = sum(one.get("stage") == "train" for one in nodes)
        total = self.workers + 1
        if _attempt(view) != self._was and len(nodes) == total == ready:
            return True, "", True
        where = "in training" if _attempt(view) != self._was else "waiting for the next checkpoint"
        return None, f"{ready} of {total} machines {where}", True

    def _by_consoles(self, views: Mapping[str, View]) -> tuple[bool | None, str, bool]:
        """Only what a new machine told itself counts: the gate was passed before it came."""
        added = [node_name(rank) for rank in range(self.before + 1, self.workers + 1)]
        there = [views[name] for name in added if name in views]
        ready = sum(one.stage == "train" and PASSED in one.stages for one in there)
        if added and ready == len(added):
            return True, "", True
        is_seen = any(one.heard_s is not None and one.heard_s < BLIND_S for one in there)
        return None, f"{ready} of {len(added)} new machines train", is_seen

    def _blind(self, program: str) -> str:
        name = self.stack.name
        why = getattr(self.viewer, "why", "") or "the master is not reached from here"
        return f"whether they train again can't be seen ({why}); look later: {program} status {name}"


def _attempt(view: Mapping[str, Any]) -> tuple[Any, Any]:
    return view.get("run"), view.get("attempt")


def _limit_s(stack: Stack) -> float:
    try:
        return float(stack.parameters.get("boot_timeout", BOOT_TIMEOUT_S)) + EXTRA_S
    except ValueError:
        return BOOT_TIMEOUT_S + EXTRA_S
