"""Which machines start again, and when: what systemd does for a killed service, and a reboot for all. Pure.

Restart=on-failure, RestartPreventExitStatus=5: a node program that ended by itself said what it had to say.
"""

from __future__ import annotations

import signal
from collections import Counter

RETURN_AFTER_S = 3.0  # the unit's RestartSec
MAX_RETURNS = 4  # the unit's StartLimitBurst counts the first start


class Returns:
    """The machines that are on their way back."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._count: Counter[str] = Counter()

    @property
    def waiting(self) -> set[str]:
        """Names of those that will be started again."""
        return set(self._due)

    def plan(self, name: str, exit_code: int, now: float) -> bool:
        """Whether a machine that ended with `exit_code` comes back; then it is due after a pause."""
        if ended_by(exit_code) is None or self._count[name] >= MAX_RETURNS:
            return False
        self._count[name] += 1
        self._due[name] = now + RETURN_AFTER_S
        return True

    def take_due(self, now: float) -> list[str]:
        """Those that start now; they are no longer waited for."""
        due = [name for name, at in self._due.items() if now >= at]
        for name in due:
            del self._due[name]
        return due

    def cancel(self) -> None:
        """Nobody is needed any more: the master has ended."""
        self._due.clear()


def ended_by(exit_code: int) -> signal.Signals | None:
    """The signal that ended a process, told by itself or by a shell around it; None when it ended by itself.

    130 is how the node program says that it was asked to end.
    """
    number = -exit_code if exit_code < 0 else exit_code - 128
    if exit_code == 130 or number not in set(signal.Signals):
        return None
    return signal.Signals(number)
