"""A rehearsal while it runs: one merged log with names, and at a terminal a table of machines and stages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cloud.node.console import STAGES
from cloud.rehearse.sentences import machines as count_machines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.console import Console

    from cloud.rehearse.follow import Machine

SHOWN_STAGES = ("network", "source", "environment", "rendezvous", "train")
MAX_ROWS = 20
_REFRESH_PER_S = 4


class Ui(Protocol):
    """The part of `cloud.ui` that a rehearsal needs."""

    @property
    def progress(self) -> Console:
        """Where progress goes: standard error."""

    @property
    def is_quiet(self) -> bool:
        """Whether nothing but the result is wanted."""


def teller(ui: Ui) -> Callable[[str], None]:
    """Return what shows a sentence of the rehearsal itself at once; with `--quiet` nothing."""
    return lambda sentence: None if ui.is_quiet else print_line(ui.progress, sentence)


class Screen:
    """Shows lines and stages; with `--quiet` nothing."""

    def __init__(self, ui: Ui, title: str, machines: Iterable[Machine]) -> None:
        self._console, self._quiet, self._title = ui.progress, ui.is_quiet, title
        self._machines = list(machines)
        self._width = max(len(machine.name) for machine in self._machines)
        self._began_at = time.monotonic()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._quiet:
            return self
        if self._console.is_terminal:
            self._live = Live(
                console=self._console,
                get_renderable=self._table,
                refresh_per_second=_REFRESH_PER_S,
                transient=False,
            )
            self._live.start()
        else:
            print_line(self._console, self._title)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()
        elif not self._quiet:
            self._console.print(self._stages())
        if not self._quiet:
            self._console.print()

    def line(self, name: str, text: str) -> None:
        """One line of a machine's log."""
        if not self._quiet:
            print_line(self._console, f"{name:{self._width}} │ {text}")

    def tell(self, sentence: str) -> None:
        """Something that the rehearsal itself did or noticed."""
        if not self._quiet:
            print_line(self._console, sentence)

    def stage(self, machine: Machine, fields: dict[str, str]) -> None:
        """A stage that ended, as a line where there is no table."""
        if self._quiet or self._live is not None or fields.get("state") == "begin":
            return
        seconds = machine.stages.get(fields["stage"], 0.0)
        told = fields.get("what") or fields.get("detail", "")
        told = f": {told}" if told else ""
        self.line(machine.name, f"{fields['stage']} {fields.get('state', '')} ({seconds:.1f} s){told}")

    def _table(self) -> Group:
        seconds = int(time.monotonic() - self._began_at)
        title = Text(f"{self._title}   {seconds // 60:02d}:{seconds % 60:02d}", style="bold")
        return Group(title, self._stages())

    def _stages(self) -> Table:
        rows = [
            (machine.name, [_cell(machine, stage) for stage in SHOWN_STAGES])
            for machine in first_rows(self._machines)
        ]
        return stage_table(rows, hidden=len(self._machines) - len(rows))


class _Placed(Protocol):
    """A machine that a table has a row for."""

    @property
    def rank(self) -> int:
        """0 for the master."""

    @property
    def stage(self) -> str:
        """The stage it is in."""


_P = TypeVar("_P", bound=_Placed)


def first_rows(machines: Sequence[_P]) -> list[_P]:
    """Return the machines that are behind when not all fit; else all. In order."""
    order = list(STAGES)
    behind = sorted(
        machines, key=lambda machine: order.index(machine.stage) if machine.stage in order else -1
    )
    return sorted(behind[:MAX_ROWS], key=lambda machine: machine.rank)


def stage_table(rows: Iterable[tuple[str, Sequence[Text]]], hidden: int = 0) -> Table:
    """Return machines by stages: the name and a cell for each of SHOWN_STAGES."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("machine", *SHOWN_STAGES):
        table.add_column(column, no_wrap=True, style="bold" if column == "machine" else "")
    for name, cells in rows:
        table.add_row(name, *cells)
    if hidden > 0:
        table.caption = f"and {count_machines(hidden)} more"
    return table


def print_line(console: Console, text: str) -> None:
    """Print a line as it is: never markup, its control characters shown."""
    console.print(Text(_printable(text)), soft_wrap=True, highlight=False)


def _printable(text: str) -> str:
    """A program's control characters are shown, not obeyed; a tab is a blank, unlike in `cloud.ui`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c == "\t" else f"\\x{ord(c):02x}" for c in text)


def _cell(machine: Machine, stage: str) -> Text:
    if machine.stage == stage and machine.stage_state == "begin" and not machine.has_ended:
        since = f"{time.monotonic() - machine.began_at:.0f}s …"
        return Text(machine.progress if stage == "train" and machine.progress else since)
    if machine.failure.get("stage") == stage:
        return Text("failed", style="red")
    if stage not in machine.stages:
        return Text("")
    if machine.stopped_in == stage:
        return Text("stopped")
    return Text(f"{machine.stages[stage]:.1f}s", style="green")
