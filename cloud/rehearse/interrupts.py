"""Ctrl-C and the terminal's end become a count that the session looks at; nothing is torn in the middle.

Only before a machine is started they end the rehearsal where they come in.
"""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from cloud.errors import Interrupted, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

_TWICE_WITHIN_S = 3.0


class Interrupts:
    """While active, SIGINT, SIGTERM and SIGHUP are counted. Outside the main thread it stays passive."""

    def __init__(self) -> None:
        self.name = ""
        """The signal that came first, or empty."""
        self.is_urgent = False
        """Whether a second one followed quickly."""
        self._at = 0.0
        self._raises = self._is_passed_on = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """While nothing runs yet a signal raises Interrupted, wherever it comes in."""
        self._raises = True
        try:
            self.raise_early()
            yield
            self.raise_early()
        finally:
            self._raises = False

    @contextmanager
    def passed_on(self) -> Iterator[None]:
        """While what runs has its own words for it, a signal raises KeyboardInterrupt where it comes in."""
        self._is_passed_on = True
        try:
            if self.name:
                raise KeyboardInterrupt
            yield
        finally:
            self._is_passed_on = False

    def raise_early(self) -> None:
        """Raise Interrupted when a signal has come, also one whose own Interrupted got lost."""
        if self.name:
            raise Interrupted(Problem(code="interrupted", what="interrupted before a machine was started"))

    def _note(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.name and now - self._at < _TWICE_WITHIN_S:
            self.is_urgent = True
        self.name, self._at = self.name or signal.Signals(number).name, now
        if self._is_passed_on:
            raise KeyboardInterrupt
        if self._raises:
            self._raises = False
            self.raise_early()
