"""Ends of consoles, asked for again and again -> where each machine is. Pure: time is handed in.

Nova gives the last lines of a console. What it gave before is found in it, and only what is new is taken; the
rules of a line are those of a rehearsal's (`cloud.rehearse.follow`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cloud.node.console import PREFIX
from cloud.rehearse import follow
from cloud.rehearse.follow import Machine

if TYPE_CHECKING:
    from collections.abc import Sequence

LINES = 200  # asked for each time
_MARK_LINES = 8  # of what was there before; enough to find its place
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_BEFORE = re.compile(r"^(?:\[ *\d+\.\d+\] )?(?:[\w.@-]+\[\d+\]: )?(?=" + PREFIX + ")")


class Consoles:
    """What the consoles of all machines have told so far."""

    def __init__(self) -> None:
        self.machines: dict[str, Machine] = {}
        self._before: dict[str, list[str]] = {}

    def machine(self, name: str) -> Machine:
        """What a machine told; a new one has told nothing."""
        return self.machines.setdefault(name, Machine(name, ""))

    def take(self, name: str, text: str, now: float) -> list[tuple[str, dict[str, Any] | None]]:
        """Take the end of a console; return its new lines, those of stages with their fields."""
        lines = whole_lines(text)
        fresh = news(self._before.get(name, []), lines)
        if lines:
            self._before[name] = lines
        machine = self.machine(name)
        return [(line, follow.take(machine, line, now)) for line in fresh]

    def skip(self, name: str, text: str) -> None:
        """Take the end of a console as what was there before: it says nothing of this run."""
        self._before[name] = whole_lines(text)

    def forget(self, name: str) -> None:
        """A machine was made anew, or another run began: what it told is over."""
        self.machines.pop(name, None)
        self._before.pop(name, None)


def whole_lines(text: str) -> list[str]:
    """Lines without the end that is still being written, without colours and the journal's own prefix."""
    body, end, _ = text.replace("\r\n", "\n").rpartition("\n")
    if not end:
        return []
    lines = (_COLOURS.sub("", line.rpartition("\r")[2]) for line in body.split("\n"))
    return [_BEFORE.sub("", line) for line in lines]


def news(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Return the lines of `after` that come behind those of `before`; all of them when the place is lost."""
    mark = list(before[-_MARK_LINES:])
    for start in range(len(after) - len(mark), -1, -1) if mark else ():
        if list(after[start : start + len(mark)]) == mark:
            return list(after[start + len(mark) :])
    for length in range(min(len(mark), len(after)) - 1, 0, -1):  # the rest of it has scrolled away
        if list(after[:length]) == mark[-length:]:
            return list(after[length:])
    return list(after)
