"""Settings of one target that were given for the other one -> problems. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.config import Given
from cloud.errors import Level, Problem
from cloud.request.settings import BY_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.config import Request

HEAT, SLURM = "heat", "slurm"
_OF_MACHINES = ("max_hours", "swap", "share")  # a cluster has its own
_RESERVED = "sbatch --reservation=NAME job.sbatch"
_INSTEAD = {  # what serves the same purpose on a Slurm cluster
    "share": "nothing: its storage is shared already",
    "max_hours": "--time", "image": "--modules", "key_name": "nothing: you are known there",
    "master_flavor": "--cpus-per-task and --mem", "worker_flavor": "--cpus-per-task and --mem",
    "master_reservation": _RESERVED, "worker_reservation": _RESERVED,
}  # fmt: skip


def target(asked: Request) -> str:
    """Return what is to be made, as far as it was given."""
    given = [entry.value for entry in asked.entries if isinstance(entry, Given) and entry.key == "target"]
    return SLURM if given[-1:] == [SLURM] else HEAT


def problems(asked: Request) -> Iterator[Problem]:
    """Yield one for each setting that the target has not: an error for a flag, a warning for a file's key."""
    wanted = target(asked)
    for entry in asked.entries:
        if not isinstance(entry, Given) or owner(entry.key) in ("", wanted):
            continue
        instead = _INSTEAD.get(entry.key, "") if wanted == SLURM else ""
        fix = (
            f"instead of it: {instead}"
            if instead
            else "leave it out"
            if wanted == SLURM
            else "add --target slurm"
        )
        level: Level = "error" if entry.origin.startswith("flag ") else "warning"
        what = f"{entry.key} means nothing for --target {wanted}"
        yield Problem(code="setting-of-other-target", level=level, what=what, where=entry.origin, fix=fix)


def owner(key: str) -> str:
    """Return the one target that a setting belongs to; empty for both."""
    setting = BY_KEY[key]
    if setting.owner == "slurm":
        return SLURM
    if setting.owner == "job":
        return HEAT if key in _OF_MACHINES else ""
    return "" if key in ("workers", "target") else HEAT
