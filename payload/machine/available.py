"""What the machine says -> bytes that a rank has taken and may still take. Only Linux says it all; no torch.

Machine and control groups are shared by the ranks of a node; limits (RLIMIT_AS, RLIMIT_DATA) are each
process's own.
"""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

UNLIMITED = 1 << 60  # cgroup v1 says 2^63 less a page


def available_bytes(ranks_on_node: int, root: Path = Path("/")) -> int | None:
    """What this rank may still take: the least that machine, groups and limits leave; None where unknown.

    Reads /proc and /sys/fs/cgroup below `root`.
    """
    proc = root / "proc"
    shared = [machine_bytes(_text(proc / "meminfo")), *_groups(root, _text(proc / "self/cgroup"))]
    left = [size // ranks_on_node for size in shared if size is not None]
    left += limits_bytes(_text(proc / "self/limits"), _text(proc / "self/status"))
    return max(0, min(left)) if left else None


def resident_bytes(root: Path = Path("/")) -> int | None:
    """What this process has resident now; None where the system does not say."""
    return _kib(_text(root / "proc/self/status"), "VmRSS:")


def peak_rss_bytes() -> int | None:
    """The most memory this process had resident, None where the system does not say.

    Linux's own figure first: getrusage's is inherited from a bigger parent.
    """
    peak = _kib(_text(Path("/proc/self/status")), "VmHWM:")
    if peak is not None or sys.platform == "win32":
        return peak
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def machine_bytes(meminfo: str) -> int | None:
    """MemAvailable of /proc/meminfo: what can be had without swapping."""
    return _kib(meminfo, "MemAvailable:")


def limits_bytes(limits: str, status: str) -> list[int]:
    """What /proc/self/limits leaves of address space and data, given /proc/self/status."""
    left = []
    for name, used in (("Max address space", "VmSize:"), ("Max data size", "VmData:")):
        soft = next((row[len(name) :].split()[0] for row in limits.splitlines() if row.startswith(name)), "")
        taken = _kib(status, used)
        if soft.isdigit() and taken is not None:
            left.append(int(soft) - taken)
    return left


def group_bytes(limits: list[str], used: str, stat: str) -> int | None:
    """What a control group leaves; None: it has no limit. Its file pages not used lately can be dropped."""
    sizes = [int(limit) for limit in limits if limit.strip().isdigit() and int(limit) < UNLIMITED]
    if not sizes or not used.strip().isdigit():
        return None
    pages = dict(row.split() for row in stat.splitlines())
    reclaimable = int(pages.get("total_inactive_file", pages.get("inactive_file", 0)))  # v1 has both
    return min(sizes) - int(used) + reclaimable


def _groups(root: Path, memberships: str) -> Iterator[int | None]:
    """This process's groups and all above them, of both versions. A container may see its own as topmost."""
    mount = root / "sys/fs/cgroup"
    for row in memberships.splitlines():
        _, controllers, path = row.split(":", 2)
        group = PurePosixPath("/" if ".." in path else path)  # ..: out of this namespace's sight
        for above in [group, *group.parents]:
            below = str(above).lstrip("/")
            if not controllers:  # v2; beside v1 it is mounted at `unified`
                for folder in (mount / below, mount / "unified" / below):
                    limits = [_text(folder / "memory.max"), _text(folder / "memory.high")]
                    yield group_bytes(limits, _text(folder / "memory.current"), _text(folder / "memory.stat"))
            elif "memory" in controllers.split(","):
                folder = mount / "memory" / below
                limit, used = _text(folder / "memory.limit_in_bytes"), _text(folder / "memory.usage_in_bytes")
                yield group_bytes([limit], used, _text(folder / "memory.stat"))


def _kib(text: str, name: str) -> int | None:
    """The value of a row `NAME 123 kB`."""
    return next((int(row.split()[1]) * 1024 for row in text.splitlines() if row.startswith(name)), None)


def _text(path: Path) -> str:
    """Content, or nothing where there is no such file."""
    try:
        return path.read_text()
    except OSError:
        return ""
