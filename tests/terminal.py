"""A terminal that a test reads."""

from __future__ import annotations

import os
import select

SILENCE_S = 300.0  # on a machine that does other things beside


def until(terminal: int, text: str) -> str:
    """Read a terminal until a text appears; fails when nothing more comes for so long."""
    seen = ""
    while text not in seen:
        ready, _, _ = select.select([terminal], [], [], SILENCE_S)
        assert ready, f"waited for {text!r} after {seen!r}"
        seen += os.read(terminal, 4096).decode()
    return seen
