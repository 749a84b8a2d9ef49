"""A swap file of this machine's own, for small instances. Carried only where a job asks for it.

It belongs to host.py: it changes the machine, and a rehearsal never does.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .context import Context
from .failure import StageFailed
from .host import SKIPPED

_GIB = 2**30
_LEFT_BYTES = 2 * _GIB  # of the disk, for packages and data


def add(context: Context, deadline: float) -> str:
    """Have a swap file of the job's size in use, also after a reboot. Returns what was done, for the console.

    Raises StageFailed `swap-failed`.
    """
    if context.host.is_rehearsal:
        return SKIPPED
    wanted, path = context.job.swap, context.layout.state / "swapfile"
    if f"{path} " in Path("/proc/swaps").read_text():
        return f"{wanted} in use"
    try:
        _make(context, path, int(wanted[:-1]) * (_GIB if wanted[-1] == "G" else 2**20), deadline)
        for command in ("mkswap", "swapon"):
            code, tail = context.execute([command, str(path)], deadline=deadline)
            if code != 0:
                raise OSError(tail[-1] if tail else f"{command} ended with {code}")  # noqa: TRY301 - as all others
    except OSError as error:
        what = f"{context.identity.name} can't have a swap file of {wanted}: {error}"
        fix = "give a smaller --swap, or none and a flavor with more memory or disk"
        raise StageFailed("swap-failed", what, fix=fix) from error
    return f"{wanted} added"


def _make(context: Context, path: Path, size: int, deadline: float) -> None:
    """Reserve the blocks of a file that root alone may read, unless an earlier start did."""
    if path.is_file() and path.stat().st_size == size:
        return
    free = shutil.disk_usage(path.parent).free
    if free < size + _LEFT_BYTES:
        raise OSError(f"{free / _GIB:.1f} GiB of disk are free, {_LEFT_BYTES // _GIB} GiB must stay so")
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        if shutil.which("chattr"):  # btrfs swaps to no file that it copies on write; others say no
            context.execute(["chattr", "+C", str(path)], deadline=deadline)
        os.posix_fallocate(file.fileno(), 0, size)
