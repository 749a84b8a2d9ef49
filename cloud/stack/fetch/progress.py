"""How far a fetch is: a moving bar at a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from cloud.ui import Ui

_EVERY_S = 5.0


def size_text(count: int) -> str:
    """`312 bytes`, `4.1 MB`, `2.0 GB`."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


class Shown:
    """Follows one transfer of `size` bytes in `files` files."""

    def __init__(self, ui: Ui, files: int, size: int) -> None:
        self._ui, self._files, self._size = ui, files, size
        self.arrived, self.whole = 0, 0
        self._began = self._said = time.monotonic()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if not self._ui.is_quiet and self._ui.progress.is_terminal and self._size > 10**6:
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )

            columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self._ui.progress, transient=True)
            self._task = self._bar.add_task("", total=self._size)
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def bytes(self, count: int) -> None:
        """So many more bytes arrived."""
        self.arrived += count
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, count)
        else:
            self._say()

    def file(self) -> None:
        """One more file is whole."""
        self.whole += 1
        if self._bar is None:
            self._say()

    def _say(self) -> None:
        now = time.monotonic()
        if now - self._said < _EVERY_S:
            return
        self._said = now
        speed = size_text(int(self.arrived / max(now - self._began, 0.1)))
        bytes_told = f"{size_text(self.arrived)} of {size_text(self._size)}"
        self._ui.say(f"  {self.whole:,} of {self._files:,} files, {bytes_told}, {speed}/s")
