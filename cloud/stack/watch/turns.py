"""Whose console is read next: the master's, those of machines that failed, then who waited longest. Pure.

Each console is a request of its own, and most have nothing new. One that stays as it was is read again after
10 s, 20 s, at most a minute; one that speaks at the next look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.node.console import node_rank

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

FIRST_PAUSE_S, LONGEST_PAUSE_S, GROWTH = 10.0, 60.0, 2.0


class Turns:
    """The consoles of one stack's machines, by name."""

    def __init__(self) -> None:
        self._read_at: dict[str, float] = {}
        self._pause: dict[str, float] = {}

    def next(
        self, names: Iterable[str], count: int, now: float, *,
        failed: Collection[str] = (), is_last: bool = False,
    ) -> list[str]:  # fmt: skip
        """Return at most `count` names whose turn it is; `is_last`: all have their turn."""
        due = [name for name in names if is_last or now >= self._due_at(name)]
        due.sort(
            key=lambda name: (node_rank(name) > 0, name not in failed, self._due_at(name), node_rank(name))
        )
        return due[:count]

    def read(self, name: str, now: float, *, is_new: bool) -> None:
        """Note that a console was read, and whether it said something new."""
        before = self._pause.get(name, 0.0)
        pause = min(LONGEST_PAUSE_S, before * GROWTH) if before else FIRST_PAUSE_S
        self._read_at[name], self._pause[name] = now, 0.0 if is_new else pause

    def forget(self, name: str) -> None:
        """A machine was made anew: its turn is now."""
        self._read_at.pop(name, None)
        self._pause.pop(name, None)

    def _due_at(self, name: str) -> float:
        return self._read_at.get(name, float("-inf")) + self._pause.get(name, 0.0)
