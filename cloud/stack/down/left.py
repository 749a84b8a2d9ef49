"""What a stack has left behind: every recorded id asked for, and the command that removes it.

What lives in Heat alone (a wait condition, a random string) ends with the stack and is not asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from cloud.stack.api import Cloud, Port, Resource

SERVER, NETWORK, PORT = "OS::Nova::Server", "OS::Neutron::Net", "OS::Neutron::Port"
INTERFACE, ROUTER, STACK = "OS::Neutron::RouterInterface", "OS::Neutron::Router", "OS::Heat::ResourceGroup"
KINDS: dict[str, tuple[str, str, str]] = {  # type -> one, many, the command; in the order to delete in
    SERVER: ("machine", "machines", "server delete {0}"),
    "OS::Neutron::FloatingIP": ("floating address", "floating addresses", "floating ip delete {0}"),
    PORT: ("port", "ports", "port delete {0}"),
    INTERFACE: ("router interface", "router interfaces", "router remove subnet {0} {1}"),
    ROUTER: ("router", "routers", "router delete {0}"),
    "OS::Neutron::Subnet": ("subnet", "subnets", "subnet delete {0}"),
    NETWORK: ("network", "networks", "network delete {0}"),
    "OS::Neutron::SecurityGroup": ("security group", "security groups", "security group delete {0}"),
    "OS::Heat::SoftwareConfig": ("boot text", "boot texts", "software config delete {0}"),
    STACK: ("group of machines", "groups of machines", "stack delete --yes {0}"),
}
_NEUTRONS_OWN = ("network:dhcp", "network:distributed", "network:floatingip_agent_gateway")
_GONE = ("DELETE_COMPLETE", "INIT_COMPLETE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """One thing that is still there."""

    type: str
    """Type of Heat."""
    id: str
    command: str
    """The openstack line that removes it."""
    note: str = ""
    """Whose it is, when the stack has not made it."""

    def __str__(self) -> str:
        """`port 1f3a…` and whose it is."""
        return f"{KINDS[self.type][0]} {self.id}" + (f" ({self.note})" if self.note else "")

    def as_json(self) -> dict[str, str]:
        """The form of `left` in the document."""
        return {
            "type": self.type, "id": self.id, "what": KINDS[self.type][0], "note": self.note,
            "command": self.command,
        }  # fmt: skip


def leftovers(
    cloud: Cloud, recorded: Iterable[tuple[str, str]], tell: Callable[[str], None] | None = None
) -> list[Left]:
    """Ask for every recorded id, and for foreign ports on networks that are left; in the order to delete in.

    `tell` gets a line now and then, as hundreds of ids take a while. Raises CloudError.
    """
    once = dict.fromkeys(recorded)
    pairs = [pair for kind in KINDS for pair in once if pair[0] == kind]
    found: list[Left] = []
    for number, (kind, identity) in enumerate(pairs):
        if tell and number and number % 100 == 0:
            tell(f"asked for {number} of {len(pairs)} ids")
        if cloud.exists(kind, identity):
            found.append(Left(type=kind, id=identity, command=command(kind, identity)))
    known = {identity for _, identity in pairs}
    in_the_way = [
        port
        for left in found
        if left.type == NETWORK
        for port in foreign_ports(cloud.ports_on(left.id), known)
    ]
    return [*in_the_way, *found]


def asked(recorded: Iterable[tuple[str, str]]) -> int:
    """Return how many of the recorded ids can be asked for."""
    return len({pair for pair in recorded if pair[0] in KINDS})


def foreign_ports(ports: Sequence[Port], known: Collection[str]) -> list[Left]:
    """Return ports that the stack has not made; neither Neutron's own nor those of known devices."""
    found = []
    for port in ports:
        if port.id in known or port.device_id in known or port.device_owner.startswith(_NEUTRONS_OWN):
            continue
        line, note = f"port delete {port.id}", "not made by the stack"
        if port.device_owner.startswith("compute:"):
            line, note = f"server remove port {port.device_id} {port.id}", f"of machine {port.device_id}"
        elif port.device_owner.startswith("network:router"):
            line, note = f"router remove port {port.device_id} {port.id}", f"of router {port.device_id}"
        elif port.name:
            note = f"{port.name}, not made by the stack"
        found.append(Left(type=PORT, id=port.id, command=f"openstack {line}", note=note))
    return found


def command(kind: str, identity: str) -> str:
    """Return the openstack line that removes one thing."""
    if kind == INTERFACE:
        router, _, rest = identity.partition(":")
        by, _, inner = rest.partition("=")
        return f"openstack router remove {'port' if by == 'port_id' else 'subnet'} {router} {inner}"
    return "openstack " + KINDS[kind][2].format(identity)


def counted(resources: Iterable[Resource]) -> str:
    """Return what of a stack is still there, by kind: `2 machines, 1 network`; empty for nothing."""
    still = [one.type for one in resources if one.id and one.status not in _GONE and one.type in KINDS]
    counts = {kind: still.count(kind) for kind in KINDS if kind in still and kind != STACK}
    return ", ".join(f"{count} {KINDS[kind][count > 1]}" for kind, count in counts.items())
