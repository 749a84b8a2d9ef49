"""A command that stays until Ctrl-C, SIGTERM or the terminal's end; what it says first, and last."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn, Self

from cloud.errors import Interrupted, Problem
from cloud.look import browser

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from cloud.ui import Ui


class Stay:
    """While active, SIGTERM and SIGHUP raise KeyboardInterrupt as Ctrl-C does.

    That is the good end of a command that has said where to look; before it is an interruption.
    """

    def __init__(self, ui: Ui, *, what: str, opens: bool) -> None:
        """`what` ends with it, for people; `opens`: whether the browser is to be opened."""
        self.ui = ui
        self._what, self._opens = what, opens
        self.is_ready = False
        """Whether it has said where to look."""
        self._before: dict[int, Any] = {}

    def ready(self, url: str, facts: dict[str, Any], sentences: list[str]) -> None:
        """Say where it can be looked at: the address or the document on stdout, at once; open the browser."""
        self.is_ready = True
        for sentence in sentences:
            self.ui.say(sentence)
        if self.ui.is_json:
            self.ui.document({"schema": 1, "exit_code": 0, "url": url, **facts})
        elif not self.ui.is_quiet:
            self.ui.result(url)
        sys.stdout.flush()
        if self._opens and browser.open_page(url):
            self.ui.say("opening it in the browser")

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
            for number in (getattr(signal, name) for name in names):
                self._before[number] = signal.signal(number, _raise)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if not isinstance(error, KeyboardInterrupt):
            return False
        if not self.is_ready:
            what = f"interrupted; {self._what} has ended"
            raise Interrupted(Problem(code="interrupted", what=what)) from None
        self.ui.say(f"{self._what} has ended")
        return True


def _raise(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
