"""Memory and processor time of single machines, by cgroups of either version, made when first asked for.

Their names carry this process's number: what a killed rehearsal left behind is removed by the next one.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.rehearse.lab import CantDo
from cloud.rehearse.processes import has_ended, held_bytes, kill

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path("/sys/fs/cgroup")
PREFIX = "hotrun-"
_PERIOD_US = 100_000  # the kernel's default
_EMPTY_S = 2.0
_JOIN = 'for group in $1; do echo $$ >"$group/cgroup.procs" || exit 125; done; shift; exec "$@"'


class Limits:
    """The cgroups of one rehearsal's machines."""

    def __init__(self, tag: str, root: Path = ROOT) -> None:
        self._root, self._name = root, f"{PREFIX}{os.getpid()}-{tag[:8]}"
        self._groups: dict[str, list[Path]] = {}
        _remove(group for group in _all(root) if not Path("/proc", group.name.split("-")[1]).exists())

    @property
    def patterns(self) -> list[str]:
        """Where this rehearsal's cgroups are, below /, for who removes them when this process is gone."""
        return [str((place / f"{self._name}-*").relative_to("/")) for place in (self._root, self._root / "*")]

    def count(self, name: str) -> None:
        """Count the memory of a machine that is not running yet: a limit can come later. Raises CantDo."""
        self._limit(name, "memory", {}, ())

    def memory(self, name: str, size: int, running: Iterable[int]) -> None:
        """Let the machine, whose processes are `running`, have `size` bytes. Raises CantDo.

        What they took before they were counted is not seen: the kernel moves processes, not their pages.
        """
        files = {"memory.max": str(size)} if self._is_unified else {"memory.limit_in_bytes": str(size)}
        self._limit(name, "memory", files, running)

    def cpu(self, name: str, percent: float, running: Iterable[int]) -> None:
        """Let the machine have `percent` of one core. Raises CantDo."""
        quota = max(1000, int(percent / 100 * _PERIOD_US))
        unified = {"cpu.max": f"{quota} {_PERIOD_US}"}
        files = (
            unified
            if self._is_unified
            else {"cpu.cfs_period_us": str(_PERIOD_US), "cpu.cfs_quota_us": str(quota)}
        )
        self._limit(name, "cpu", files, running)

    def joining(self, name: str) -> list[str]:
        """What stands before a machine's command so that it starts within its limits."""
        groups = self._groups.get(name, [])
        return ["sh", "-c", _JOIN, "sh", " ".join(map(str, groups))] if groups else []

    def close(self) -> None:
        """Remove the groups; their machines have ended."""
        deadline = time.monotonic() + _EMPTY_S
        groups = [group for of_machine in self._groups.values() for group in of_machine]
        while _remove(groups) and time.monotonic() < deadline:
            time.sleep(0.02)

    @property
    def _is_unified(self) -> bool:
        return (self._root / "cgroup.controllers").exists()

    def _limit(self, name: str, controller: str, files: dict[str, str], running: Iterable[int]) -> None:
        group = (self._root if self._is_unified else self._root / controller) / f"{self._name}-{name}"
        try:
            if (
                self._is_unified
                and controller not in (self._root / "cgroup.subtree_control").read_text().split()
            ):
                raise CantDo(f"this computer's cgroups have no {controller} control")
            group.mkdir(exist_ok=True)
            if group not in self._groups.setdefault(name, []):
                self._groups[name].append(group)
            for pid in running:
                with suppress(ProcessLookupError):
                    (group / "cgroup.procs").write_text(str(pid))
            for file, value in files.items():
                _hold(group, file, value)
        except OSError as error:
            who = "" if os.geteuid() == 0 else ", which takes root here"
            raise CantDo(f"limits need a cgroup at {group}{who}: {error.strerror}") from error


def _hold(group: Path, file: str, value: str) -> None:
    """Set a limit; where a process is in its way, end the largest, as the kernel's own choice would be.

    cgroups of version 2 do so themselves; those of version 1 refuse a limit below what can't be taken back.
    """
    deadline = time.monotonic() + _EMPTY_S
    while True:
        try:
            (group / file).write_text(value)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            largest = _largest(group)
            kill(largest)
            while not all(map(has_ended, largest)) and time.monotonic() < deadline:
                time.sleep(0.02)  # else the next one would be ended too, for pages on their way back
        else:
            return


def _largest(group: Path) -> list[int]:
    """The process of a group that holds most memory, none where all are gone."""
    held = {int(pid): held_bytes(int(pid)) for pid in (group / "cgroup.procs").read_text().split()}
    return [max(held, key=held.__getitem__)] if held else []


def _all(root: Path) -> list[Path]:
    return [group for pattern in (f"{PREFIX}*-*", f"*/{PREFIX}*-*") for group in root.glob(pattern)]


def _remove(groups: Iterable[Path]) -> list[Path]:
    """Remove groups; return those that are still there."""
    left = []
    for group in groups:
        with suppress(OSError):
            group.rmdir()
        if group.exists():
            left.append(group)
    return left
