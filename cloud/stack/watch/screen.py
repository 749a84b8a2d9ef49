"""A stack while it is followed: at a terminal a table of machines and stages, elsewhere lines.

The table is a rehearsal's. Below it stand what Heat has made so far and what is waited for.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.console import Group
from rich.live import Live
from rich.text import Text

from cloud.rehearse.screen import SHOWN_STAGES, first_rows, print_line, stage_table
from cloud.rehearse.sentences import machines as count_machines
from cloud.stack.record import moment
from cloud.stack.watch.views import before_a_word

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.table import Table

    from cloud.rehearse.screen import Ui
    from cloud.stack.deadline import Deadline
    from cloud.stack.watch import Line
    from cloud.stack.watch.changes import Change
    from cloud.stack.watch.snapshot import Snapshot
    from cloud.stack.watch.views import View

SAID_EVERY_S = 30.0  # elsewhere than at a terminal: what is waited for
_REFRESH_PER_S = 2
MAX_COLUMNS = 100
_BETWEEN = " · "


class Screen:
    """Shows one stack; with `--quiet` nothing."""

    def __init__(self, ui: Ui, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._quiet, self._title, self._clock = ui.progress, ui.is_quiet, title, clock
        self._began_at = clock()
        self._said_at = float("-inf")
        self._newest: Snapshot | None = None
        self._looked_at = self._began_at
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._quiet:
            return self
        if self._console.is_terminal:
            self._live = Live(
                console=self._console, get_renderable=self._picture, refresh_per_second=_REFRESH_PER_S
            )
            self._live.start()
        else:
            print_line(self._console, self._title)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()
        elif not self._quiet and self._newest is not None:
            self._console.print(stages(self._newest.views, 0.0))
        if not self._quiet:
            self._console.print()

    def show(self, snapshot: Snapshot, changes: Sequence[Change], lines: Sequence[Line]) -> None:
        """Take the newest picture; print what happened, and without a table what ranks print."""
        self._newest, self._looked_at = snapshot, self._clock()
        if self._quiet:
            return
        for change in changes:
            self._say(change)
        if self._live is None:
            for line in lines:
                if line.fields is None and line.text.startswith("[rank "):
                    print_line(self._console, f"{line.node:9} │ {line.text}")
        if self._live is None and not changes and self._clock() - self._said_at > SAID_EVERY_S:
            print_line(self._console, footing(snapshot))
            self._said_at = self._clock()

    def tell(self, sentence: str) -> None:
        """Show a sentence of the program's own."""
        if not self._quiet:
            print_line(self._console, sentence)
            self._said_at = self._clock()

    def _say(self, change: Change) -> None:
        """At a terminal the table shows stages; what fails is said in a line too, at once."""
        if self._live is not None and change.kind in ("stage", "machine", "stack"):
            return
        if change.problem is None:
            text = change.text
        else:
            stage = f"{change.problem.stage}: " if change.problem.stage else ""
            text = f"{stage}{change.problem.what}"
            text = text if change.node else f"{change.problem.level}: {text}"
        print_line(self._console, f"{change.node:9} │ {text}" if change.node else text)
        if change.problem is not None and change.problem.log:
            for line in change.problem.log[-3:]:
                print_line(self._console, f"{change.node:9} │   {line}")
        self._said_at = self._clock()

    def _picture(self) -> Group:
        seconds = int(self._clock() - self._began_at)
        clock = f"{seconds // 60:02d}:{seconds % 60:02d}"
        columns = min(self._console.width, MAX_COLUMNS) - len(clock) - 3
        title = Text("\n".join(fitting(self._title, columns)) + f"   {clock}", style="bold")
        if self._newest is None:
            return Group(title, Text("looking at the stack …"))
        since = self._clock() - self._looked_at
        foot = Text(footing(self._newest), style="dim")
        return Group(title, stages(self._newest.views, since), foot)


def stages(views: Sequence[View], since_s: float) -> Table:
    """Return the table; `since_s`: how old the picture is."""
    rows = first_rows(views)
    listed = [(view.name, cells(view, since_s)) for view in rows]
    return stage_table(listed, hidden=len(views) - len(rows))


def cells(view: View, since_s: float) -> list[Text]:
    """Return a machine's cells, one for each stage that is shown; before the first, what the cloud says."""
    if not view.stage and not view.stages:
        text = "" if view.machine == "planned" else before_a_word(view)
        return [Text(text), *[Text("")] * (len(SHOWN_STAGES) - 1)]
    return [_cell(view, stage, since_s) for stage in SHOWN_STAGES]


def footing(snapshot: Snapshot) -> str:
    """Return what there is and what is waited for, in a line."""
    stack = snapshot.stack
    if stack.is_settled and stack.has_failed:
        return f"Heat: {stack.status}"
    if not stack.is_settled and snapshot.up < len(snapshot.views):
        made, total = snapshot.resources.get("COMPLETE", 0), sum(snapshot.resources.values())
        there = f"{snapshot.up} of {count_machines(len(snapshot.views))} there"
        return f"Heat made {made} of {total} resources; {there}"
    return snapshot.waiting_for()


def title(name: str, label: str, workers: int, limit: Deadline | None) -> str:
    """`digits-1 on chameleon / project demo · 1 master + 2 workers · until …`."""
    machines = "1 master" + (f" + {workers} worker{'s' if workers > 1 else ''}" if workers else "")
    until = f" · until {moment(limit.at)}" if limit else ""
    return f"{name} on {label} · {machines}{until}"


def _cell(view: View, stage: str, since_s: float) -> Text:
    if view.state == "failed" and view.stage == stage:
        return Text("failed", style="red")
    if view.is_in_stage and view.stage == stage:
        if stage == "train" and view.progress:
            return Text(view.progress)
        return Text(f"{view.since_s + since_s:.0f}s …" if view.since_s is not None else "…")
    if stage in view.stages:
        return Text(f"{view.stages[stage]:.1f}s", style="green")
    return Text("stopped" if view.state in ("stopped", "lost") and view.stage == stage else "")


def fitting(text: str, columns: int) -> list[str]:
    """Return a title's parts on as many lines as they need; a part stays whole, however long."""
    lines = [""]
    for part in text.split(_BETWEEN):
        longer = f"{lines[-1]}{_BETWEEN}{part}" if lines[-1] else part
        if lines[-1] and len(longer) > columns:
            lines.append(part)
        else:
            lines[-1] = longer
    return lines
