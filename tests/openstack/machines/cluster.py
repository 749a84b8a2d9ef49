"""One Neutron network as a lab of cloud/rehearse, into which machines are plugged, and pulled out, while it runs."""

from __future__ import annotations

import ipaddress
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud.rehearse.addresses import Subnet
from cloud.rehearse.environment import named_paths
from cloud.rehearse.lab import inner, rules
from cloud.rehearse.lab.namespace import views
from cloud.rehearse.lab.outer import BRIDGE, MTU
from cloud.rehearse.lab.site import Lab, Site
from tests.openstack.machines.gateway import TwoWays
from tests.openstack.machines.metadata import Asker, Proxy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.openstack.machines.asks import Plug, Server
    from tests.openstack.machines.place import Place

_BOOT = Path(__file__).with_name("boot.py")
_REPOSITORY = Path(__file__).parents[3]


class _Unplugged(Site):
    """A site without machines, whose security group has a set into which members are put later."""

    def plan(self, cgroups: Sequence[str]) -> dict[str, Any]:
        """What `outer.py` builds; the set needs a member, which nobody is."""
        plan = super().plan(cgroups)
        nobody = str(self.network.cidr.broadcast_address)
        group = {} if self.group is None else {
            family: rules.security_group(family, self.group, [nobody], self.where) for family in rules.FAMILIES
        }  # fmt: skip
        tables = {family: rules.faults(family) + group.get(family, "") for family in rules.FAMILIES}
        return {**plan, "rules": tables}


class Cluster:
    """A bridge, its gateway and its metadata service; machines come and go by `plug` and `pull`."""

    def __init__(self, plug: Plug, place: Place, *, cloud: int, world: int) -> None:
        self.network = Subnet(ipaddress.IPv4Network(plug.cidr), 0)
        if self.network.services != plug.gateway:
            raise ValueError(f"the gateway of {plug.cidr} is {plug.gateway}, not its first address")
        self._place, self._plugs, self._hosts = place, {}, {}
        self._directory = place.directory / f"lab-{plug.network_id[:8]}"
        site = _Unplugged(
            network=self.network, names=[], group=plug.group, where="Neutron", directory=self._directory
        )
        self.lab = Lab(site, [])
        services, metadata, connections, names = self.lab.sockets
        services.close()
        self._gateway = TwoWays(
            connections, names, self.network.services, api=place.api, cloud=cloud, world=world
        )
        self._proxy = Proxy(metadata, place, cloud)
        self._has_group = plug.group is not None

    @property
    def is_empty(self) -> bool:
        """Whether no machine is plugged in."""
        return not self._plugs

    def plug(self, server: Server, plug: Plug) -> None:
        """Give a server its cable, its address, and its metadata."""
        place, tap = self._directory / "net" / _short(server.id), f"t{_short(server.id)}"
        own = f"nsenter --net={place}"
        prefix = self.network.cidr.prefixlen
        script = f"""set -e
touch {place}
unshare --net={place} true
ip link add {tap} mtu {MTU} type veth peer name ens3 mtu {MTU} netns {place}
ip link set {tap} master {BRIDGE} up
{own} ip link set lo up
{own} ip addr add {plug.address}/{prefix} dev ens3
{own} ip link set ens3 up
{own} ip route add default via {plug.gateway}
"""
        if self._has_group:
            script += f"nft add element {self.lab.family} group members '{{ {plug.address} }}'\n"
        self._in_lab(script)
        self._plugs[server.id] = plug.address
        self._hosts[plug.address] = server.hostname
        self._proxy.known[plug.address] = Asker(server.id, server.project_id)

    def pull(self, server_id: str) -> None:
        """Take a server's cable away."""
        address = self._plugs.pop(server_id)
        self._proxy.known.pop(address, None)
        self._hosts.pop(address, None)
        place = self._directory / "net" / _short(server_id)
        script = f"ip link del t{_short(server_id)}; umount {place}; rm -f {place}\n"
        if self._has_group:
            script += f"nft delete element {self.lab.family} group members '{{ {address} }}'\n"
        self._in_lab(script)

    def argv(
        self, server: Server, environment: Mapping[str, str], together: Sequence[Path], kept: Sequence[Path]
    ) -> list[str]:
        """The command that is this server's machine: its user data as Nova's metadata service gives it."""
        found = [*kept, Path(sys.prefix), Path(sys.base_prefix), _REPOSITORY, *named_paths(environment)]
        hidden, seen = views(together, found)
        root = self._place.root(server.id)
        plan = {
            "root": str(root), "hostname": server.hostname, "hosts": self._names(),
            "resolver": self.network.services, "hidden": hidden, "kept": seen, "room": None,
        }  # fmt: skip
        boot = [sys.executable, "-I", str(_BOOT), str(root), self._place.login]
        init = [sys.executable, "-I", inner.__file__, json.dumps(plan), *boot]
        return [*self.lab.inside(_short(server.id)), *self.lab.machine(), *init]

    def close(self) -> None:
        """End all machines here and give everything back."""
        self._gateway.close()
        self._proxy.close()
        self.lab.close()

    def _names(self) -> str:
        lines = ["127.0.0.1 localhost", "::1 localhost"]
        return "\n".join([*lines, *(f"{address} {name}" for address, name in self._hosts.items())]) + "\n"

    def _in_lab(self, script: str) -> None:
        self.lab.run([*self.lab.inside(), "sh", "-c", script])


def _short(server_id: str) -> str:
    return server_id[:8]
