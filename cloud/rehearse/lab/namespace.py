"""Level namespace: machines in namespaces on a bridge, with the template's addresses and security group."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.rehearse.environment import named_paths
from cloud.rehearse.guardian import with_variable
from cloud.rehearse.lab import rules
from cloud.rehearse.lab.gateway import Gateway
from cloud.rehearse.lab.limits import Limits
from cloud.rehearse.lab.site import Lab

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from cloud.rehearse.addresses import Network
    from cloud.rehearse.lab.site import Site
    from cloud.rehearse.prepare import Node

BOOT_ROOM_BYTES = 32 * 2**20  # of a disk that is full from the start: boot text and node program fit
_TEMPORARY, _RUN = Path("/tmp"), Path("/run")  # noqa: S108 - hidden from machines
_INNER = str(Path(__file__).with_name("inner.py"))


class Namespace:
    """Machines in network, mount, host name, IPC and process namespaces. Raises Unavailable."""

    name = "namespace"
    reason = ""
    held: tuple[int, ...] = ()

    def __init__(
        self, site: Site, *, stack: str, tag: str, roots: Mapping[str, Path], together: Sequence[Path] = (),
        kept: Sequence[Path] = (),
    ) -> None:  # fmt: skip
        self.network: Network = site.network
        self._site, self._stack, self._roots = site, stack[:50], roots  # a host name has 64 characters
        self._together, self._kept = together, kept
        self._room: dict[str, int] = {}
        self._limits = Limits(tag)
        self._lab = Lab(site, self._limits.patterns)
        self.services: socket.socket | None
        self.metadata: socket.socket | None
        self.services, self.metadata, connections, names = self._lab.sockets
        self._gateway = Gateway(connections, names, site.network.services)

    def argv(self, node: Node) -> list[str]:
        """See `Level`."""
        hidden, kept = views(self._together, [*self._kept, *named_paths(node.environment)])
        plan = {
            "root": str(node.root), "hostname": f"{self._stack}-{node.name}",
            "hosts": self._hosts(), "resolver": self.network.services,
            "hidden": hidden, "kept": kept, "room": self._room.get(node.name),
            "share": node.share and [str(path) for path in node.share],
        }  # fmt: skip
        init = [sys.executable, "-I", _INNER, json.dumps(plan), "bash", str(node.user_data)]
        return [*self._limits.joining(node.name), *self.inside(node.name), *self._lab.machine(), *init]

    def inside(self, name: str | None = None) -> list[str]:
        """What stands before a command that is to run in the lab, or in a machine's network."""
        return self._lab.inside(name)

    def processes(self, name: str) -> set[int]:
        """See `Level`; by their process namespace."""
        return processes_of(f"HOTRUN_ROOT={self._roots[name]}", self._lab.pid)

    def link(self, name: str, up: bool) -> None:
        """See `Level`."""
        self._run(["ip", "link", "set", self._site.taps[name], "up" if up else "down"])

    def block_ports(self, name: str | None) -> None:
        """See `Level`."""
        self._load(rules.blocked_ports(self._lab.family, self._members, self._address(name)))

    def block_names(self, name: str | None) -> None:
        """See `Level`."""
        self._load(rules.blocked_names(self._address(name)))

    def loss(self, percent: float) -> None:
        """See `Level`."""
        self._load(rules.lost(self._lab.family, self._members, percent))

    def shape(self, rate: str) -> None:
        """See `Level`."""
        limit = ["root", "tbf", "rate", rate, "burst", "64kb", "latency", "50ms"]
        for name, tap in self._site.taps.items():
            self._run(["tc", "qdisc", "replace", "dev", tap, *limit])
            self._run(["tc", "qdisc", "replace", "dev", "ens3", *limit], name)

    def count_memory(self, name: str) -> None:
        """See `Level`."""
        self._limits.count(name)

    def limit_memory(self, name: str, size: int) -> None:
        """See `Level`."""
        self._limits.memory(name, size, self.processes(name))

    def limit_cpu(self, name: str, percent: float) -> None:
        """See `Level`."""
        self._limits.cpu(name, percent, self.processes(name))

    def fill_disk(self, name: str) -> None:
        """See `Level`."""
        running = self.processes(name)
        self._room[name] = 0 if running else BOOT_ROOM_BYTES
        for pid in running:
            if _number_inside(pid) == 1:
                # the program as text: its file may lie below /tmp, of which the machine has its own
                fill = [sys.executable, "-I", "-", "--fill", str(self._roots[name]), "0"]
                program = Path(_INNER).read_text(encoding="utf-8")
                self._lab.run([*self._lab.enter(pid, "--mount"), *fill], program)

    def close(self) -> None:
        """See `Level`."""
        self._gateway.close()
        for each in (self.services, self.metadata):
            if each is not None:
                each.close()
        self._lab.close()
        self._limits.close()

    @property
    def _members(self) -> list[str]:
        return list(self._site.addresses.values())

    def _address(self, name: str | None) -> str | None:
        return None if name is None else self._site.addresses[name]

    def _hosts(self) -> str:
        """Every machine by the name that a cloud gives it."""
        lines = ["127.0.0.1 localhost", "::1 localhost"]
        lines += [f"{address} {self._stack}-{name}" for name, address in self._site.addresses.items()]
        return "\n".join(lines) + "\n"

    def _load(self, text: str) -> None:
        self._run(["nft", "-f", "-"], text=text)

    def _run(self, argv: list[str], name: str | None = None, text: str = "") -> None:
        self._lab.run([*self.inside(name), *argv], text)


def views(together: Sequence[Path], kept: Sequence[Path]) -> tuple[list[str], list[str]]:
    """What of this computer's directories machines have of their own, and what they find there all the same.

    `together` are directories with hard links between them, which work inside one mount only: where /tmp
    would part them, it stays this computer's.
    """
    inside = [path for path in together if path.is_relative_to(_TEMPORARY)]
    common = [Path(os.path.commonpath(inside))] if inside else []
    is_parted = bool(inside) and (len(inside) < len(together) or common == [_TEMPORARY])
    hidden = [path for path in (_TEMPORARY, _RUN) if not (is_parted and path == _TEMPORARY)]
    candidates = [path for path in [*common, *together, *kept] if set(hidden) & set(path.parents)]
    paths = {path for path in candidates if path.exists()}
    outermost = [path for path in paths if not paths & set(path.parents)]
    return [str(path) for path in hidden], sorted(map(str, outermost))


def processes_of(setting: str, lab: int) -> set[int]:
    """All processes of the machine whose first ones have this NAME=VALUE; their numbers on this computer."""
    ours = {_namespace(os.getpid()), _namespace(lab), ""}
    machines = {_namespace(pid) for pid in with_variable(setting)} - ours
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if machines and entry.name.isdigit())
    return {pid for pid in pids if _namespace(pid) in machines}


def _namespace(pid: int) -> str:
    """The process namespace of a process, empty when it is gone or hidden."""
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""


def _number_inside(pid: int) -> int:
    """A process's number in its own namespace, 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return next((int(line.split()[-1]) for line in status.splitlines() if line.startswith("NSpid:")), 0)
