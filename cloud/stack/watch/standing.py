"""How stacks are now: all in a list, or one machine by machine. Asks, and changes nothing."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from cloud.errors import Problem, ProblemsFound
from cloud.stack import deadline, record, told
from cloud.stack.down import unfetched
from cloud.stack.shell.config import no_way_in
from cloud.stack.watch import Watch, outcome
from cloud.stack.watch.lost import lost
from cloud.stack.watch.screen import stages
from cloud.stack.watch.snapshot import Snapshot, only_a_change_failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloud.stack.api import Cloud, Stack
    from cloud.stack.watch.outcome import Outcome
    from cloud.ui import Ui


LOST = "lost by Heat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One stack of the list."""

    name: str
    status: str
    """Heat's."""
    state: str
    """`being made`, `training`, `done`, `failed`, `lost by Heat`, `being deleted` …, for people."""
    machines: int
    age: dt.timedelta
    left: dt.timedelta | None
    """Until its deadline; negative when that is past, None without one."""

    @property
    def next(self) -> str:
        """What to type; without the program's name."""
        if self.state in ("being deleted", LOST) or (self.left is not None and self.left < dt.timedelta()):
            return f"down {self.name}"
        if self.state == "done":
            return f"fetch {self.name}"
        return f"status {self.name}"

    def as_json(self) -> dict[str, Any]:
        """One entry of `stacks`."""
        left = None if self.left is None else round(self.left.total_seconds())
        return {
            "name": self.name, "stack": self.status, "state": self.state, "machines": self.machines,
            "age_s": round(self.age.total_seconds()), "deadline_left_s": left, "next": self.next,
        }  # fmt: skip


def every(cloud: Cloud) -> list[Entry]:
    """Return all stacks of ours, newest first. Raises CloudError."""
    found = []
    for listed in cloud.stacks():
        stack = cloud.stack(listed.id)  # a list has no parameters and outputs
        if stack is not None:
            found.append(_entry(cloud, stack, cloud.time()))
    return found


def as_json(listed: list[Entry], label: str) -> dict[str, Any]:
    """The document of `status --json` without a name."""
    return {"schema": 1, "exit_code": 0, "cloud": label, "stacks": [entry.as_json() for entry in listed]}


def show_all(listed: list[Entry], label: str, ui: Ui) -> None:
    """Print the list."""
    if not listed:
        ui.result(f"no stack of hotrun in {label}")
        return
    header = ("stack", "state", "machines", "age", "time left", "next")
    rows = [
        (
            entry.name, entry.state, str(entry.machines), deadline.duration(entry.age), _left(entry),
            f"{ui.program} {entry.next}",
        )
        for entry in listed
    ]  # fmt: skip
    ui.table(header, rows, numbers=(2,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One stack now."""

    outcome: Outcome
    snapshot: Snapshot
    label: str
    now: dt.datetime
    """By the cloud's clock."""

    def as_json(self) -> dict[str, Any]:
        """The document of `status STACK --json`: that of `up`."""
        return self.outcome.as_json()


def one(cloud: Cloud, stack: Stack, runs_dir: Path, identity: Path | None, program: str) -> Standing:
    """Look at one stack from every side. Raises CloudError, ProblemsFound when it vanishes meanwhile."""
    from cloud.stack.shell.viewer import Viewer

    viewer = Viewer(cloud, identity)
    try:
        snapshot = Watch(cloud, stack.id, viewer).look(is_last=True)
    finally:
        viewer.close()
    if snapshot is None:
        what = f"the stack {stack.name} was deleted in this moment"
        raise ProblemsFound(Problem(code="stack-gone", what=what))
    place = record.directory(runs_dir, stack.name)
    made = outcome.standing(snapshot, stack.name, place, program)
    if made.state != "running" and unfetched.newest(
        snapshot.stack, snapshot.told, record.of_stack(runs_dir, stack)
    ):
        made = made.leaving(no_way_in(snapshot.stack))
    return Standing(outcome=made, snapshot=snapshot, label=cloud.label, now=cloud.time())


def show(standing: Standing, ui: Ui, page: Callable[[str], None]) -> None:
    """Print the table of machines and stages, what is waited for, and what is wrong.

    `page` prints text that may be wrapped.
    """
    snapshot, made = standing.snapshot, standing.outcome
    stack = snapshot.stack
    limit = deadline.deadline_of(stack)
    until = f" · {deadline.sentence(limit, standing.now)}" if limit else ""
    ui.result(f"{stack.name} on {standing.label}")
    ui.result(f"{stack.status}{until}")
    ui.result()
    ui.result(table(snapshot))
    ui.result()
    if made.state == "running":
        page(snapshot.waiting_for())
        for problem in made.problems:
            page(f"{problem.level}: {f'{problem.node}: ' if problem.node else ''}{problem.what}")
        ui.result(f"follow  {outcome.again(ui.program, made.run_dir, stack.name)}")
        ui.result(f"end     {ui.program} down {stack.name}")
    else:
        page(str(made))


def table(snapshot: Snapshot, columns: int = 80) -> str:
    """Return the table as text."""
    import io

    out = io.StringIO()
    Console(file=out, width=columns, markup=False, highlight=False, emoji=False).print(
        stages(snapshot.views, 0.0)
    )
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").split("\n"))


def _entry(cloud: Cloud, stack: Stack, now: dt.datetime) -> Entry:
    limit = deadline.deadline_of(stack)
    return Entry(
        name=stack.name, status=stack.status, state=_state(cloud, stack),
        machines=stack.workers + 1, age=now - stack.created,
        left=limit.left(now) if limit else None,
    )  # fmt: skip


def _state(cloud: Cloud, stack: Stack) -> str:
    """In words; who the master is costs a question, asked only where signals are to be believed."""
    if stack.action == "DELETE":
        return "can't be deleted" if stack.has_failed else stack.doing
    resources = cloud.resources(stack.id)
    said = told.by(stack, resources)
    if said.number >= stack.rerun and said.is_over:
        return said.state
    if not stack.is_settled:
        found = lost(cloud, stack, resources, "hotrun")
        if found is not None:
            return LOST if found.level == "error" else "training"
        return stack.doing or stack.status
    if stack.has_failed and not only_a_change_failed(stack, said):
        return "failed"
    return "training" if said.state == "running" else "waiting for machines"


def _left(entry: Entry) -> str:
    if entry.left is None:
        return "no deadline"
    return "past" if entry.left < dt.timedelta() else deadline.duration(entry.left)
