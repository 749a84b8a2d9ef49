"""`--checkpoint-every` -> when a checkpoint is due. Pure: no clock, time is told."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from recipe import ChoiceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """When a checkpoint is due: every so many epochs, or every so many seconds; the other is 0."""

    epochs: int = 0
    seconds: float = 0.0

    def is_due(self, *, epoch_ended: bool, epoch: int, seconds: float) -> bool:
        """Pure. `epoch` counts the epochs that ended, `seconds` is the time since the last checkpoint."""
        if self.epochs:
            return epoch_ended and epoch % self.epochs == 0
        return seconds >= self.seconds


def checkpoint_every(text: str) -> Every:
    """What the flag of that name was given, as `every` reads it. ChoiceError for what is no interval."""
    try:
        return every(text)
    except ValueError as error:
        raise ChoiceError(f"--checkpoint-every {error}") from error


_UNITS = {"s": 1, "sec": 1, "min": 60, "h": 3600}


def every(text: str) -> Every:
    """`epoch`, `2epochs`, `30s`, `10min`, `1h`, or seconds without a unit. ValueError, made for the user."""
    match = re.fullmatch(r"\s*(\d*\.?\d*)\s*([a-z]*)\s*", text.lower())
    amount, unit = match.groups() if match else ("", "")
    if unit in ("epoch", "epochs") and (amount or "1").isdigit() and int(amount or "1") >= 1:
        return Every(epochs=int(amount or "1"))
    if amount.strip(".") and (unit or "s") in _UNITS and float(amount) > 0:
        return Every(seconds=float(amount) * _UNITS[unit or "s"])
    near = difflib.get_close_matches(unit, ["epoch", "epochs", *_UNITS, "minutes", "hours", "seconds"], 1)
    meant = {"minutes": "min", "hours": "h", "seconds": "s"}.get(near[0], near[0]) if near else ""
    hint = f"; did you mean {amount}{meant}?" if meant and meant != unit else ""
    raise ValueError(f"{text!r} is no interval; epoch, 2epochs, 30s, 10min, 1h, 90 are{hint}")
