"""The only place that changes the machine itself: packages, users, firewall, power.

In a rehearsal (HOTRUN_ROOT set) it does none of it, also as root, and says `skipped: rehearsal`.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from .process import Owner

SKIPPED = "skipped: rehearsal"
USER = "hotrun"
_APT_LOCK_S = 600  # first boots run unattended upgrades that hold dpkg's lock

Run = Callable[..., "tuple[int, list[str]]"]


@dataclass(frozen=True)
class Host:
    """This machine, or the rehearsal's refusal to touch it."""

    is_rehearsal: bool

    @property
    def stays(self) -> bool:
        """Whether this machine stands by after its run; in a rehearsal only where that is asked for."""
        return not self.is_rehearsal or os.environ.get("HOTRUN_STAYS") == "1"

    def missing_packages(self) -> list[str]:
        """OS packages that the stages need and this image lacks."""
        missing = [] if shutil.which("git") else ["git"]
        try:
            import ensurepip  # noqa: F401 - Debian splits it off into python3.X-venv
        except ImportError:
            missing.append(f"python3.{sys.version_info[1]}-venv")
        return missing

    def install(self, packages: list[str], run: Run, deadline: float) -> str:
        """Install OS packages with the image's package manager, patient with its locks.

        Returns what was done. Raises RuntimeError with the last lines when the manager fails or is unknown.
        """
        if self.is_rehearsal:
            return SKIPPED
        for manager, commands in _managers(packages).items():
            if not shutil.which(manager):
                continue
            for command in commands:
                code, tail = run(command)
                while code != 0 and "Could not get lock" in "\n".join(tail) and time.monotonic() < deadline:
                    time.sleep(5.0)  # apt's own patience does not cover the lists
                    code, tail = run(command)
                if code != 0:
                    raise RuntimeError("\n".join(tail[-10:]))
            return f"installed {' '.join(packages)} with {manager}"
        raise RuntimeError("neither apt-get nor dnf nor zypper is on this image")

    def open_firewall(self, cidr: str) -> str:
        """Let the cluster's own addresses through the host's firewall, where one runs."""
        if self.is_rehearsal:
            return SKIPPED
        if not cidr:
            return "no cluster addresses given"
        if _succeeds("firewall-cmd", "--state"):
            _succeeds("firewall-cmd", "--zone=trusted", f"--add-source={cidr}")
            _succeeds("firewall-cmd", "--runtime-to-permanent")
            return f"firewalld trusts {cidr}"
        if _succeeds("systemctl", "is-active", "--quiet", "ufw"):
            _succeeds("ufw", "allow", "from", cidr)
            return f"ufw allows {cidr}"
        return "no host firewall runs"

    def program_user(self, owned: list[Path]) -> Owner | None:
        """The unprivileged user that runs the program, made if missing; None for this user.

        `owned` directories are handed to that user, with all that is in them.
        """
        if self.is_rehearsal or os.geteuid() != 0:
            return None
        try:
            entry = pwd.getpwnam(USER)
        except KeyError:
            subprocess.run(["useradd", "--system", "--user-group", "--shell", "/bin/bash", USER], check=True)
            entry = pwd.getpwnam(USER)
        for group in ("video", "render"):  # GPUs belong to these where /dev is strict
            if any(known.gr_name == group for known in grp.getgrall()):
                _succeeds("usermod", "--append", "--groups", group, USER)
        shield = [
            "OUTPUT",
            "-d",
            "169.254.169.254",
            "-m",
            "owner",
            "--uid-owner",
            str(entry.pw_uid),
            "-j",
            "REJECT",
        ]
        if not _succeeds("iptables", "-w", "-C", *shield):  # the user data hold the stack's secret
            _succeeds("iptables", "-w", "-I", *shield)
        for path in owned:
            path.mkdir(parents=True, exist_ok=True)
            subprocess.run(["chown", "-R", "--", f"{USER}:{USER}", str(path)], check=True)
        return Owner(entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(USER, entry.pw_gid)))

    def power_off(self) -> str:
        """Power this machine off. It stops work, not billing."""
        if self.is_rehearsal:
            return SKIPPED
        return "powering off" if _succeeds("systemctl", "poweroff", "--no-block") else "could not power off"


def _managers(packages: list[str]) -> dict[str, list[list[str]]]:
    apt = ["apt-get", "-o", f"DPkg::Lock::Timeout={_APT_LOCK_S}", "-o", "Acquire::Retries=3", "-y"]
    rpm = [name for name in packages if not name.endswith("-venv")]  # part of python3 there
    return {
        "apt-get": [[*apt, "update"], [*apt, "install", "--no-install-recommends", *packages]],
        "dnf": [["dnf", "install", "-y", *rpm]],
        "zypper": [["zypper", "--non-interactive", "install", *rpm]],
    }


def _succeeds(*command: str) -> bool:
    if not shutil.which(command[0]):
        return False
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0
