"""One call to an API -> its answer, tried again while that can help. Pure: clock, sleep, chance are given.

    429, 503                     the API asks to come later: tried again, whatever the call does
    no answer, 408, 502, 504     it may have done what was asked: tried again where a second time does no harm
    500                          the same, three times at most: it is rarely passing
    all else                     the API has answered

A call ends 180 s after its first failure. Waiting says what it waits for.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LIMIT_S = 180.0  # a controller that restarts its API is back in one or two minutes
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 20.0
SAID_AFTER_S = 2.0  # a person waits that long without a word
MAX_500 = 3
ASKS_TO_WAIT = frozenset({429, 503})
MAY_BE_DONE = frozenset({0, 408, 500, 502, 504})


class Refusal(Exception):
    """A call that failed: HTTP status (0: no answer), the cloud's own sentence, how long it asks to wait."""

    def __init__(self, status: int, sentence: str, *, service: str = "", retry_after_s: float = 0.0) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.service = service
        self.retry_after_s = retry_after_s

    @property
    def may_be_done(self) -> bool:
        """Whether the cloud may have done what was asked, though it did not say so."""
        return self.status in MAY_BE_DONE

    @property
    def in_short(self) -> str:
        """`Heat answers 503`, `Nova does not answer`."""
        service = self.service or "the cloud"
        return f"{service} answers {self.status}" if self.status else f"{service} does not answer"


def silent(_text: str) -> None:
    """Say nothing."""


@dataclass(slots=True, kw_only=True)
class Patience:
    """How often and how long a call is tried again, and who is told."""

    note: Callable[[str], None] = silent
    """Gets one sentence when a wait becomes noticeable, then at most one in 15 s."""
    limit_s: float = LIMIT_S
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
    """Numbers from 0 to 1."""
    _noted: float = field(default=float("-inf"), init=False)

    def done(self, call: Callable[[], T], *, is_repeatable: bool = True) -> T:
        """Return what `call` returns; it raises Refusal when it fails.

        `is_repeatable`: a second time does no harm. Raises the last Refusal when trying again can't help or
        `limit_s` seconds have passed since the first one.
        """
        until, tries, internal = 0.0, 0, 0
        while True:
            try:
                return call()
            except Refusal as refusal:
                tries += 1
                internal += refusal.status == 500
                until = until or self.clock() + self.limit_s
                if not _helps(refusal, is_repeatable=is_repeatable, internal=internal):
                    raise
                pause = self._pause(tries, refusal.retry_after_s)
                left = until - self.clock()
                if pause >= left:
                    raise
                self._say(refusal, left, pause)
                self.sleep(pause)

    def _pause(self, tries: int, asked_s: float) -> float:
        """Double each time, half of it by chance, so that many clients don't come back at once."""
        whole = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (tries - 1))
        return max(min(asked_s, 60.0), whole * (0.5 + 0.5 * self.chance()))

    def _say(self, refusal: Refusal, left_s: float, pause_s: float) -> None:
        now = self.clock()
        is_noticeable = pause_s + self.limit_s - left_s >= SAID_AFTER_S
        if is_noticeable and now - self._noted >= 15.0:
            self._noted = now
            self.note(f"{refusal.in_short}; asking again for {_span(left_s)} at most")


def _helps(refusal: Refusal, *, is_repeatable: bool, internal: int) -> bool:
    if refusal.status in ASKS_TO_WAIT:
        return True
    return is_repeatable and refusal.may_be_done and internal < MAX_500


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{round(seconds / 60)} min"
