"""A running stack -> the same stack with another number of workers; no machine that stays is replaced.

Only the parameter `workers` is sent (PATCH). The master rereads it, waits for the next checkpoint, and all
machines begin a new attempt from there. Heat's preview of an update is never shown: it names machines that
stay as replaced.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloud.errors import Problem, ProblemsFound, RunFailed
from cloud.stack import record
from cloud.stack import told as told_
from cloud.stack.api import machine_ids
from cloud.stack.change import changing, settle
from cloud.stack.down import kept as keeping
from cloud.stack.watch import reasons
from cloud.stack.watch.trains import TrainsAgain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloud.stack.api import Cloud, Resource, Stack
    from cloud.stack.told import Told
    from cloud.stack.watch import MastersView
    from cloud.ui import Ui


@dataclass(frozen=True, slots=True, kw_only=True)
class Resized:
    """How a `resize` ended."""

    name: str
    before: int
    after: int
    is_followed: bool
    """False with --detach: Heat was asked, nothing was waited for."""
    trains: bool | None = None
    """Whether the machines train at the new size; None when that can't be seen from here."""
    unseen: str = ""
    """Why not, as a sentence."""
    replaced: tuple[str, ...] = ()
    """Machines that should have stayed and were made anew; never seen yet."""

    def as_json(self) -> dict[str, Any]:
        """The document of `resize --json`."""
        return {
            "schema": 1, "exit_code": 0, "stack": self.name, "before": self.before, "workers": self.after,
            "followed": self.is_followed, "trains": self.trains, "unseen": self.unseen,
            "replaced": list(self.replaced),
        }  # fmt: skip


def resize(
    cloud: Cloud, stack: Stack, workers: int, ui: Ui, runs_dir: Path, *, is_detached: bool = False,
    viewer: MastersView | None = None,
    clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
) -> Resized:  # fmt: skip
    """Change the number of workers of a stack that runs; its ids are remembered first.

    Raises ProblemsFound (`not-ours`, `stack-being-made`, `run-over`, `nothing-trains`, `quota-too-small` …)
    and RequestError before anything is changed; RunFailed when Heat gives up or has lost the stack;
    DeadlinePassed, Interrupted, CloudError.
    """
    changing.require_ours(stack)
    changing.require_made(cloud, stack, record.directory(runs_dir, stack.name), ui.program)
    stack = settle.settled(cloud, stack, ui, clock=clock, sleep=sleep)
    before = stack.workers
    if before == workers:
        return Resized(name=stack.name, before=before, after=workers, is_followed=not is_detached)
    resources = cloud.resources(stack.id)
    told = told_.by(stack, resources)
    _refuse(stack, told, workers, ui.program)
    changing.require_room(cloud, stack, workers)
    keeping.written(cloud, stack, resources, runs_dir)
    again = TrainsAgain(
        cloud=cloud, stack=stack, workers=workers, before=before, viewer=viewer, clock=clock, sleep=sleep
    )
    cloud.update(stack, {"workers": workers})
    ui.say(f"{stack.name}: {before} -> {workers} workers asked for; no machine that stays is made anew")
    if is_detached:
        return Resized(name=stack.name, before=before, after=workers, is_followed=False)
    now = _updated(cloud, stack, ui, clock, sleep)
    replaced = _replaced(resources, cloud.resources(stack.id))
    trains, unseen = again.wait(now, ui)
    return Resized(
        name=stack.name, before=before, after=workers, is_followed=True, trains=trains, unseen=unseen,
        replaced=replaced,
    )  # fmt: skip


def _refuse(stack: Stack, told: Told, workers: int, program: str) -> None:
    """Only what trains can be resized: the rest has a command of its own."""
    name = stack.name
    is_pending = changing.is_pending(stack, told)
    if told.is_over and not is_pending:
        what = f"the run of {name} is over ({told.state}), so there is nothing to resize"
        fix = f"for a new run at this size: {program} rerun {name} --workers {workers}"
        raise ProblemsFound(Problem(code="run-over", what=what, fix=fix))
    if is_pending or (not told.state and (stack.has_failed or not stack.is_silent)):
        what = f"nothing trains on {name}: its machines have not told that they began ({stack.status})"
        fix = f"look first: {program} status {name}; to begin anew: {program} down {name}, then up"
        raise ProblemsFound(Problem(code="nothing-trains", what=what, fix=fix))


def _updated(
    cloud: Cloud, stack: Stack, ui: Ui, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Stack:
    """Wait for the update that was just asked for; Heat may show the old state for a moment."""
    for _ in range(5):
        now = cloud.stack(stack.id)
        if now is None or now.status != stack.status or now.reason != stack.reason:
            break
        sleep(1.0)
    else:
        now = stack
    done = settle.settled(cloud, now or stack, ui, clock=clock, sleep=sleep)
    if done.has_failed:
        problems = reasons.of_stack(done, cloud.resources(stack.id), cloud.servers(done))
        raise RunFailed(*problems or [reasons.problem(done.reason)])
    ui.say(f"{stack.name}: {done.status}")
    return done


def _replaced(before: list[Resource], after: list[Resource]) -> tuple[str, ...]:
    """Names of machines that were there before and after, and are not the same."""
    old, new = machine_ids(before), machine_ids(after)
    return tuple(name for name, identity in old.items() if name in new and new[name] != identity)
