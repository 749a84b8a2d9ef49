"""Whether this computer has the disk and the memory that a rehearsal needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.errors import Problem, ProblemsFound
from cloud.rehearse import roots

if TYPE_CHECKING:
    from cloud.rehearse.roots import Roots

MEMORY_PER_MACHINE_BYTES = 800 * 2**20  # a rank with torch, its node program and the system's share

Say = Callable[[str], None]


def problems(taken: Roots, uv_cache: Path, nnodes: int, say: Say) -> list[Problem]:
    """Warnings about disk and memory, said at once; what can't be enough is raised."""
    found = roots.check_disk(taken, uv_cache, nnodes, say) + _memory_problems(nnodes)
    if any(problem.level == "error" for problem in found):
        raise ProblemsFound(*found)
    for problem in found:
        say(f"{problem.level}: {problem.what}")
    return found


def _memory_problems(nnodes: int) -> list[Problem]:
    try:
        meminfo = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return []
    available = next(
        int(line.split()[1]) * 1024 for line in meminfo.splitlines() if line.startswith("MemAvailable")
    )
    needed = nnodes * MEMORY_PER_MACHINE_BYTES
    if available >= needed:
        return []
    figures = f"{needed / 2**30:.1f} GiB of memory, {available / 2**30:.1f} GiB are free"
    what = f"{nnodes} machines need about {figures}"
    return [Problem(code="memory-short", level="warning", what=what, fix="rehearse with fewer: --workers 1")]
