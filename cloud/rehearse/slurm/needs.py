"""What a computer must have for a Slurm of its own, and how it gets it; nothing is installed here."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from cloud.errors import Problem, ProblemsFound
from cloud.rehearse.lab import Unavailable
from cloud.rehearse.lab.site import programs, search_path

PROGRAMS = {  # what is started -> Debian's package that has it
    "munged": "munge", "slurmctld": "slurm-wlm", "slurmd": "slurm-wlm", "sbatch": "slurm-wlm",
    "scontrol": "slurm-wlm", "srun": "slurm-wlm",
}  # fmt: skip
INSTALL = "sudo apt-get install --no-install-recommends slurm-wlm munge"
SIZE = "4 MB to download, 13 MB on disk"
WHAT = f"rehearsing a Slurm job needs root and Debian's packages slurm-wlm and munge ({SIZE})"
_CONFIGURATION = Path("/etc/slurm")
_CGROUPS = Path("/sys/fs/cgroup")


def obstacles() -> list[Problem]:
    """Everything that keeps this computer from a Slurm of its own; empty when nothing does."""
    found = []
    if sys.platform != "linux" or os.geteuid() != 0:
        what = "a Slurm of its own needs root on Linux: slurmd starts jobs as other users"
        found.append(_problem(what, "sudo, or rehearse the same repository with --target heat"))
    missing = sorted({package for program, package in PROGRAMS.items() if path_of(program) is None})
    if missing:
        found.append(_problem(f"{' and '.join(missing)} of Debian are not installed ({SIZE})", INSTALL))
    elif not _CONFIGURATION.is_dir():
        found.append(_problem(f"{_CONFIGURATION} is missing, where Debian's Slurm looks", INSTALL))
    try:
        programs()
    except Unavailable as unavailable:
        found.append(_problem(str(unavailable), ""))
    if not any(_CGROUPS.iterdir() if _CGROUPS.is_dir() else ()):
        found.append(_problem(f"{_CGROUPS} is empty: slurmd does not start without cgroups", ""))
    return found


def check() -> None:
    """Raise ProblemsFound (`slurm-not-possible`) with all that is missing."""
    found = obstacles()
    if found:
        raise ProblemsFound(*found)


def path_of(program: str) -> str | None:
    """Where the system has a program, also in /usr/sbin of somebody who has no such PATH."""
    return shutil.which(program, path=search_path())


def _problem(what: str, fix: str) -> Problem:
    return Problem(code="slurm-not-possible", what=what, fix=fix)
