"""Threads that step into another network namespace: the cloud's, or the one from which the world is reached."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_CLONE_NEWNET = 0x40000000  # <linux/sched.h>
_libc = ctypes.CDLL(None, use_errno=True)


def enter(descriptor: int) -> None:
    """Move this thread into a network namespace; every socket that it opens from now on is there."""
    if _libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def inside(namespace: Path) -> list[str]:
    """What stands before a command that is to run in the network of a namespace."""
    return ["nsenter", f"--net={namespace}", "--"]


def outside(cloud: Path) -> int:
    """A descriptor of the first network, among this process's and its ancestors', that is not the cloud's.

    A test runs in the cloud's namespace; who started it did not. Raises LookupError when all are in it.
    """
    taken = cloud.stat().st_ino
    for pid in [*_ancestors(os.getpid()), *_others()]:
        try:
            descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        if os.fstat(descriptor).st_ino != taken and _has_route(pid):
            return descriptor
        os.close(descriptor)
    raise LookupError(f"every process here is in the network of {cloud}")


def _others() -> list[int]:
    return sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _ancestors(pid: int) -> list[int]:
    found = []
    while pid > 0:
        found.append(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
    return found


def _has_route(pid: int) -> bool:
    """Whether that process's network has a default route, as the world is reached by one."""
    try:
        lines = Path(f"/proc/{pid}/net/route").read_text().splitlines()[1:]
    except OSError:
        return False
    return any(line.split()[1] == "00000000" for line in lines)
