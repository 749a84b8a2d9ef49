"""Processes of a rehearsal, found by their root: without the tag, which is the rehearsal's own way."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def below(directory: Path) -> dict[int, str]:
    """Pid -> command of all processes whose HOTRUN_ROOT lies below `directory`."""
    wanted = f"HOTRUN_ROOT={directory}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                environ = (entry / "environ").read_bytes()
                if any(value.startswith(wanted) for value in environ.split(b"\0")):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # ended meanwhile
            continue
    return found


def wait_for(condition: Callable[[], object], seconds: float = 60) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def wait_until_gone(directory: Path) -> bool:
    """Whether all processes below `directory` ended."""
    return wait_for(lambda: not below(directory), 20)
