"""Machines' addresses: a loopback network of a rehearsal's own, or the template's, where nobody else is.

127.x.y.0/24 is claimed for as long as the process lives. The claim is an abstract socket name: the kernel
keeps one per network namespace, exactly as it does the addresses, and forgets it with its last holder. No
file is left and no other user can be in the way.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cloud.errors import Problem, ProblemsFound, RequestError

if TYPE_CHECKING:
    from ipaddress import IPv4Network

MAX_NODES = 250  # 127.x.y.2 to 127.x.y.251
_NETWORKS = [f"127.{second}.{third}" for second in range(64, 68) for third in range(1, 255)]
_FIRST = 10  # in a range with room for it, as a person would count
_FIRST_AT_ALL = 3  # behind the network's own address, the gateway's and that of Neutron's DHCP server


class Network(Protocol):
    """Where services and machines are."""

    @property
    def services(self) -> str:
        """Where the stand-ins are reached."""

    def node(self, rank: int) -> str:
        """The address of the machine with this rank."""


@dataclass(frozen=True, slots=True)
class Subnet:
    """The template's own range, in namespaces: nothing has to be claimed."""

    cidr: IPv4Network
    nnodes: int

    @property
    def services(self) -> str:
        """The gateway, where Neutron puts it: the first address."""
        return str(self.cidr[1])

    def node(self, rank: int) -> str:
        """The master's address, and after it the workers'."""
        first = _FIRST if _FIRST + self.nnodes < self.cidr.num_addresses else _FIRST_AT_ALL
        return str(self.cidr[first + rank])


@dataclass(frozen=True, slots=True)
class Loopback:
    """A claimed network; `close` gives it back."""

    prefix: str
    """The first three numbers: 127.64.1."""
    claim: socket.socket

    @property
    def services(self) -> str:
        """Where the stand-ins listen."""
        return f"{self.prefix}.1"

    def node(self, rank: int) -> str:
        """The address of the machine with this rank."""
        return f"{self.prefix}.{2 + rank}"

    def close(self) -> None:
        """Let others have the network."""
        self.claim.close()


def claim(nnodes: int) -> Loopback:
    """Claim the first free network.

    Raises RequestError for more machines than fit and ProblemsFound when all networks are taken.
    """
    if nnodes > MAX_NODES:
        raise RequestError(
            Problem(
                code="too-many-machines",
                what=f"workers is {nnodes - 1}, but a rehearsal has addresses for {MAX_NODES - 1}",
                fix="rehearse with fewer: --workers 2 shows the same",
            )
        )
    for prefix in _NETWORKS:
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            holder.bind(f"\0hotrun-network-{prefix}")
        except OSError:  # another rehearsal has it
            holder.close()
            continue
        return Loopback(prefix, holder)
    raise ProblemsFound(
        Problem(
            code="no-free-network", what=f"all {len(_NETWORKS)} loopback networks are in use by rehearsals"
        )
    )
