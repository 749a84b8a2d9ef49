"""The lab from outside: opens its process, takes its sockets, runs commands in it.

The lab is one process (`outer.py`) with network, mount and process namespaces of its own, and a user
namespace where we are not root. It ends when this process ends, or when its control socket is closed. It is
entered by `nsenter`.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud.rehearse.environment import STANDARD_PATH
from cloud.rehearse.lab import CantDo, Unavailable, rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cloud.rehearse.addresses import Subnet

PACKAGES = {
    "ip": "iproute2", "tc": "iproute2", "nft": "nftables", "unshare": "util-linux", "nsenter": "util-linux",
    "mount": "mount",
}  # fmt: skip
_BUILD_S = 120.0
_END_S = 10.0
_SOCKETS = 4
_NEW = ["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
_SETTINGS = {  # what keeps ordinary users from namespaces -> the value that does, and its mending
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    "/proc/sys/kernel/unprivileged_userns_clone": ("0", "kernel.unprivileged_userns_clone=1"),
    "/proc/sys/user/max_user_namespaces": ("0", "user.max_user_namespaces=10000"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a lab is built from."""

    network: Subnet
    names: Sequence[str]
    """Machines in the order of their ranks."""
    group: Sequence[Mapping[str, Any]] | None
    """Rules of the security group; None for a cluster that has none."""
    where: str
    """Where the template has them."""
    directory: Path
    """An empty directory; the lab mounts over it where only it sees that."""

    @property
    def addresses(self) -> dict[str, str]:
        """Name -> address."""
        return {name: self.network.node(rank) for rank, name in enumerate(self.names)}

    @property
    def taps(self) -> dict[str, str]:
        """Name -> the bridge's end of the machine's cable."""
        return {name: f"tap{rank}" for rank, name in enumerate(self.names)}

    def plan(self, cgroups: Sequence[str]) -> dict[str, Any]:
        """What `outer.py` builds."""
        members, gateway = list(self.addresses.values()), self.network.services
        tables = {family: rules.faults(family) for family in rules.FAMILIES}
        if self.group is not None:
            for family in tables:
                tables[family] += rules.security_group(family, self.group, members, self.where)
        machines = [
            {"name": name, "tap": self.taps[name], "address": self.addresses[name]} for name in self.names
        ]
        return {
            "directory": str(self.directory), "gateway": gateway, "prefix": self.network.cidr.prefixlen,
            "machines": machines, "rules": tables, "way_out": rules.way_out(self.network.cidr, gateway),
            "cgroups": list(cgroups),
        }  # fmt: skip


class Lab:
    """An open lab. Raises Unavailable where this computer does not allow it."""

    def __init__(self, site: Site, cgroups: Sequence[str]) -> None:
        self._site, self._programs = site, programs()
        plan = site.plan(cgroups)
        self._is_user = os.geteuid() != 0
        self._control, self._process = self._open()
        try:
            self.pid, self.family, self.sockets = self._build(plan)
        except BaseException:
            self.close()
            raise

    def inside(self, name: str | None = None) -> list[str]:
        """What stands before a command that is to run in the lab, or in a machine's network."""
        net = f"=/proc/{self.pid}/root{self._site.directory}/net/{name}" if name else ""
        return self.enter(self.pid, "--mount", "--pid", f"--net{net}")

    def enter(self, pid: int, *which: str) -> list[str]:
        """What stands before a command that is to run in these namespaces of a process."""
        user = ["--user", "--preserve-credentials"] if self._is_user else []
        return [self._programs["nsenter"], "--target", str(pid), *user, *which, "--"]

    def machine(self) -> list[str]:
        """What stands before process 1 of a machine."""
        return [
            self._programs["unshare"],
            "--mount",
            "--uts",
            "--ipc",
            "--pid",
            "--fork",
            "--kill-child",
            "--",
        ]

    def run(self, argv: Sequence[str], text: str = "") -> None:
        """Run a command of this computer. Raises CantDo with what it said."""
        environment = {"PATH": search_path(), "LANG": "C.UTF-8"}
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise CantDo(said[-1] if said else f"{argv[-1]} ended with {done.returncode}")

    def close(self) -> None:
        """End the lab and everything in it."""
        self._control.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # takes its child along
            self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()

    def _open(self) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        ours.settimeout(_BUILD_S)
        program = [sys.executable, "-I", str(Path(__file__).with_name("outer.py")), str(theirs.fileno())]
        user = ["--user", "--map-root-user"] if self._is_user else []
        self._site.directory.mkdir(parents=True, exist_ok=True)
        with theirs:
            process = subprocess.Popen(
                [self._programs["unshare"], *user, *_NEW, "--", *program],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, start_new_session=True, cwd="/",
                env={"PATH": search_path(), "LANG": "C.UTF-8"},
            )  # fmt: skip
        return ours, process

    def _build(self, plan: dict[str, Any]) -> tuple[int, str, list[socket.socket]]:
        """Send the plan; return the lab's process, the family of its rules and its sockets."""
        extra: list[tuple[int, int, bytes]] = []
        told = {"failed": ""}
        try:
            self._control.send(json.dumps(plan).encode())
            room = socket.CMSG_SPACE(_SOCKETS * 4) + socket.CMSG_SPACE(12)
            message, extra, _, _ = self._control.recvmsg(1 << 16, room)
            told = json.loads(message) if message else told
        except TimeoutError as error:
            raise Unavailable(f"its network was not ready after {_BUILD_S:.0f} s") from error
        except OSError:  # it ended at once
            pass
        if "failed" in told:
            raise Unavailable(told["failed"] or self._why_it_ended())
        pid = 0
        descriptors: tuple[int, ...] = ()
        for _, kind, data in extra:
            if kind == socket.SCM_CREDENTIALS:
                pid = struct.unpack("3i", data)[0]
            elif kind == socket.SCM_RIGHTS:
                descriptors = struct.unpack(f"{len(data) // 4}i", data)
        return pid, told["family"], [socket.socket(fileno=descriptor) for descriptor in descriptors]

    def _why_it_ended(self) -> str:
        assert self._process.stderr is not None
        self._process.kill()
        said = self._process.stderr.read().decode("utf-8", "replace").strip().splitlines()
        for name, (value, mending) in _SETTINGS.items() if self._is_user else ():
            path = Path(name)
            if path.exists() and path.read_text().strip() == value:
                return f"{path.name} is {value}: sudo sysctl {mending}"
        return said[-1] if said else "its first process ended without a word"


def programs() -> dict[str, str]:
    """Name -> path of what the lab is made with. Raises Unavailable with the packages to install."""
    found = {name: shutil.which(name, path=search_path()) for name in PACKAGES}
    missing = sorted({PACKAGES[name] for name, path in found.items() if path is None})
    if missing:
        named = " ".join(missing)
        raise Unavailable(f"it needs {named}: sudo apt install {named}")
    return {name: path for name, path in found.items() if path is not None}


def search_path() -> str:
    """Where the system keeps such programs, and after it this environment's own path."""
    return f"{STANDARD_PATH}:{os.environ.get('PATH', '')}"
