"""Ends what a rehearsal started, known by the tag in /proc/PID/environ; nothing else is ever touched.

As a program (`python -I -S guardian.py TAG`) it outlives the rehearsal: when standard input ends,
because the rehearsal closed it or was killed, it sweeps. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VARIABLE = "HOTRUN_REHEARSAL"
GRACE_S = 3.0  # from SIGTERM to SIGKILL
_PAUSE_S = 0.1


def tagged(tag: str) -> set[int]:
    """The processes that carry the tag in their environment; this one is never among them."""
    return with_variable(f"{VARIABLE}={tag}")


def with_variable(*settings: str) -> set[int]:
    """The processes with one of these NAME=VALUE in their environment; this one is never among them."""
    wanted = {setting.encode() for setting in settings}
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environ = (entry / "environ").read_bytes()
        except OSError:  # ended meanwhile, or another user's
            continue
        if not wanted.isdisjoint(environ.split(b"\0")):
            found.add(int(entry.name))
    return found


def sweep(tag: str, *, grace_s: float = GRACE_S, is_urgent: Callable[[], bool] = lambda: False) -> int:
    """End all tagged processes, SIGTERM first and SIGKILL after `grace_s`; return how many there were.

    `is_urgent` turning true ends the grace. Returns when two looks in a row found none, because
    a process that is being started has no tag yet.
    """
    seen: set[int] = set()
    quiet_looks = 0
    kill_at = time.monotonic() + grace_s
    while quiet_looks < 2:
        alive = tagged(tag)
        quiet_looks = 0 if alive else quiet_looks + 1
        must_kill = is_urgent() or time.monotonic() >= kill_at
        for pid in alive if must_kill else alive - seen:
            _signal(pid, signal.SIGKILL if must_kill else signal.SIGTERM)
        seen |= alive
        time.sleep(_PAUSE_S)
    return len(seen)


def start(tag: str, held: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start the guardian of `tag` in a session of its own; closing its standard input lets it sweep.

    `held` are file descriptors whose locks must last until it has swept.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, tag],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True, pass_fds=tuple(held), cwd="/",
    )  # fmt: skip


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):  # ended meanwhile
        os.kill(pid, number)


def main() -> None:
    """Wait for the end of standard input, then sweep."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 4096):
        pass
    sweep(sys.argv[1])


if __name__ == "__main__":
    main()
