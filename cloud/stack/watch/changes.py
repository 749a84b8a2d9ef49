"""Two snapshots -> what happened between them, as sentences for people and events to keep. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cloud.node.console import STAGES
from cloud.rehearse.sentences import machines as count_machines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.errors import Problem
    from cloud.stack.watch.snapshot import Snapshot
    from cloud.stack.watch.views import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that happened."""

    kind: str
    """Of the event: `stack`, `machine`, `stage`, `told`, `problem`."""
    text: str
    node: str = ""
    problem: Problem | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    """What the event keeps beside its text."""


def between(before: Snapshot | None, after: Snapshot) -> list[Change]:
    """Return what happened, problems last; everything that is there when there was nothing before."""
    found = list(_of_stack(before, after))
    old = {view.name: view for view in before.views} if before else {}
    for view in after.views:
        found += _of_machine(old.get(view.name), view)
    known = {(each.code, each.node) for each in before.problems} if before else set()
    for problem in after.problems:
        if (problem.code, problem.node) not in known:
            said = {"code": problem.code, "stage": problem.stage}
            found.append(
                Change(kind="problem", text=problem.what, node=problem.node, problem=problem, fields=said)
            )
    return found


def _of_stack(before: Snapshot | None, after: Snapshot) -> Iterator[Change]:
    status = after.stack.status
    if before is None or before.stack.status != status:
        reason = f": {after.stack.reason}" if after.stack.has_failed else ""
        yield Change(kind="stack", text=f"stack {status}{reason}", fields={"status": status})
    up, total = after.up, len(after.views)
    if up and (before is None or before.up != up or len(before.views) != total):
        text = f"{up} of {count_machines(total)} there"
        yield Change(kind="machine", text=text, fields={"up": up, "of": total})
    was = before.told.state if before else ""
    if after.told.state != was and after.told.state == "running":
        yield Change(
            kind="told", text="every machine passed the gate; training begins", fields={"state": "running"}
        )
    if after.told.result is not None and (before is None or before.told.result is None):
        state = after.told.state
        yield Change(kind="told", text=f"the master reported: {state}", fields={"state": state})


def _of_machine(before: View | None, view: View) -> Iterator[Change]:
    was = before.machine if before else "planned"
    if view.machine != was and view.machine not in ("planned", "BUILD", "ACTIVE"):
        yield Change(
            kind="machine",
            text=f"{view.name} is {view.machine}",
            node=view.name,
            fields={"state": view.machine},
        )
    known = before.stages if before else {}
    for stage in STAGES:
        if stage in view.stages and stage not in known:
            seconds = view.stages[stage]
            said = {"stage": stage, "s": seconds}
            yield Change(kind="stage", text=f"{stage} ended ({seconds:.1f} s)", node=view.name, fields=said)
    if view.is_in_stage and (before is None or before.stage != view.stage):
        yield Change(kind="stage", text=f"{view.stage} …", node=view.name, fields={"stage": view.stage})
