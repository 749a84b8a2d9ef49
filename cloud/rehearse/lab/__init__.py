"""What a rehearsed machine is: processes that share this computer's network, or namespaces on a bridge.

    namespace.py   the level, from outside     outer.py   process 1 of the lab: bridge, cables, sockets
    site.py        the lab: opened, entered    inner.py   process 1 of a machine, and what it sees
    process.py     the level without all that  gateway.py the way out        limits.py  cgroups
    rules.py       security group, faults -> nftables

A level is opened by `choice.opened`. Everything of level namespace lives below one process, so that nothing
of it can be left behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket

    from cloud.rehearse.addresses import Network
    from cloud.rehearse.prepare import Node


class CantDo(Exception):
    """A level can't do something; the text completes "... can't be done: "."""


class Unavailable(Exception):
    """A level does not work on this computer; the text is the reason."""


class Level(Protocol):
    """One rehearsal's machines: where they are, how they are started, what can be done to them."""

    name: str
    """`namespace` or `process`."""
    reason: str
    """Why it is not namespace though nobody asked for another one; else empty."""
    network: Network
    held: tuple[int, ...]
    """Descriptors of claims that must outlive the rehearsal until its machines are gone."""
    services: socket.socket | None
    """A listening socket for Keystone and Heat, or None where the stand-ins make their own."""
    metadata: socket.socket | None
    """The same for the metadata service."""

    def argv(self, node: Node) -> list[str]:
        """The command that runs a machine's user data as that machine, with `node.environment` around it."""

    def processes(self, name: str) -> set[int]:
        """All processes of a machine, by the numbers that they have on this computer."""

    def link(self, name: str, up: bool) -> None:
        """Cut a machine's cable, or mend it."""

    def block_ports(self, name: str | None) -> None:
        """Drop TCP between a machine (None: each) and the others, but for the coordinator's port."""

    def block_names(self, name: str | None) -> None:
        """Drop what a machine (None: each) asks name servers."""

    def shape(self, rate: str) -> None:
        """Give every cable this rate in both directions, like `100mbit`."""

    def loss(self, percent: float) -> None:
        """Lose packets between machines."""

    def count_memory(self, name: str) -> None:
        """Make a limit of a machine's memory possible that comes when it runs."""

    def limit_memory(self, name: str, size: int) -> None:
        """Let a machine have `size` bytes of memory."""

    def limit_cpu(self, name: str, percent: float) -> None:
        """Let a machine have `percent` of one core."""

    def fill_disk(self, name: str) -> None:
        """Leave a machine no room on its disk; one that is not running yet keeps enough to boot."""

    def close(self) -> None:
        """End all machines and give everything back."""


__all__ = ["CantDo", "Level", "Unavailable"]
