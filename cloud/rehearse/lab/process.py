"""Level process: machines are processes that share this computer's network, files and devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from cloud.rehearse import addresses
from cloud.rehearse.guardian import with_variable
from cloud.rehearse.lab import CantDo
from cloud.rehearse.lab.limits import Limits

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from cloud.rehearse.prepare import Node


class Process:
    """Machines that are processes, each with a root directory and a loopback address."""

    name = "process"
    services: socket.socket | None = None
    metadata: socket.socket | None = None

    def __init__(self, nnodes: int, tag: str, roots: dict[str, Path], reason: str = "") -> None:
        self.reason, self._roots = reason, roots
        self._claimed = addresses.claim(nnodes)
        self.network: addresses.Network = self._claimed
        self.held: tuple[int, ...] = (self._claimed.claim.fileno(),)
        self._limits = Limits(tag)

    def argv(self, node: Node) -> list[str]:
        """See `Level`."""
        return [*self._limits.joining(node.name), "bash", str(node.user_data)]

    def processes(self, name: str) -> set[int]:
        """See `Level`; by what the rehearsal and the node program put in their environment."""
        root = self._roots[name]
        return with_variable(f"HOTRUN_ROOT={root}", f"HOTRUN_TAG={root}#{name}")

    def link(self, name: str, up: bool) -> None:
        """Not at this level."""
        self._refuse(f"{'mending' if up else 'cutting'} the cable of {name}", "network")

    def block_ports(self, name: str | None) -> None:
        """Not at this level."""
        self._refuse(f"blocking ports of {name or 'all machines'}", "network")

    def block_names(self, name: str | None) -> None:
        """Not at this level."""
        self._refuse(f"blocking the names of {name or 'all machines'}", "network")

    def shape(self, rate: str) -> None:
        """Not at this level."""
        self._refuse(f"a rate of {rate}", "network")

    def loss(self, percent: float) -> None:
        """Not at this level."""
        self._refuse(f"a loss of {percent:g} %", "network")

    def fill_disk(self, name: str) -> None:
        """Not at this level."""
        self._refuse(f"filling the disk of {name}", "disk")

    def count_memory(self, name: str) -> None:
        """See `Level`."""
        self._limits.count(name)

    def limit_memory(self, name: str, size: int) -> None:
        """See `Level`."""
        self._limits.memory(name, size, self.processes(name))

    def limit_cpu(self, name: str, percent: float) -> None:
        """See `Level`."""
        self._limits.cpu(name, percent, self.processes(name))

    def close(self) -> None:
        """See `Level`."""
        self._limits.close()
        self._claimed.close()

    def _refuse(self, what: str, shared: str) -> NoReturn:
        raise CantDo(f"{what} needs --level namespace: machines share this computer's {shared}")
