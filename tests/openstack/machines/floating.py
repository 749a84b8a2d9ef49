"""The floating IP of a cluster: an address of the external network that leads to a machine, by a cable between both.

The cable's far end is in the lab's namespace: when the lab ends, in whatever way, the cable and its address are
gone, from the cloud's namespace too. Who asks is seen with its own address, so the security group judges it.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.openstack.machines.namespaces import inside

if TYPE_CHECKING:
    from tests.openstack.machines.cluster import Cluster
    from tests.openstack.machines.place import Place

_TABLE = "table ip floating"
_SYSCTL = "/proc/sys/net/ipv4"


class Floating:
    """The floating addresses of one cluster."""

    def __init__(self, cluster: Cluster, place: Place, name: str) -> None:
        self._cluster, self._place = cluster, place
        self._cable = f"fip{name}"
        self._led: dict[str, str] = {}

    def lead(self, wanted: dict[str, str]) -> None:
        """Let exactly these floating addresses lead to these fixed ones."""
        if wanted == self._led:
            return
        if not self._led:
            self._lay()
        for address in self._led.keys() - wanted.keys():
            self._outside(f"ip route del {address}/32 dev {self._cable}")
            self._inside(f"ip addr del {address}/32 dev up0")
        for address in wanted.keys() - self._led.keys():
            self._inside(f"ip addr add {address}/32 dev up0")
            self._outside(f"ip route add {address}/32 dev {self._cable} src {self._place.api}")
        leads = "; ".join(f"ip daddr {address} dnat to {fixed}" for address, fixed in wanted.items())
        rules = f"add {_TABLE}\ndelete {_TABLE}\n{_TABLE} {{\nchain prerouting {{\n"
        rules += f"type nat hook prerouting priority -110; policy accept;\n{leads}\n}}\n}}\n"
        lab = self._cluster.lab
        lab.run([*lab.inside(), "nft", "-f", "-"], rules)
        self._led = dict(wanted)

    def _lay(self) -> None:
        """One end here, one there; the cloud's own address is reached over it."""
        self._outside(
            f"ip link del {self._cable} 2>/dev/null; set -e; "
            f"ip link add {self._cable} type veth peer name up0 netns {self._cluster.lab.pid}; "
            f"ip link set {self._cable} up"
        )
        self._inside(
            f"set -e; echo 1 >{_SYSCTL}/ip_forward; ip link set up0 up; ip route add {self._place.api}/32 dev up0"
        )

    def _inside(self, script: str) -> None:
        lab = self._cluster.lab
        lab.run([*lab.inside(), "sh", "-c", script])

    def _outside(self, script: str) -> None:
        command = [*inside(self._place.namespace), "sh", "-c", script]
        subprocess.run(command, check=True, capture_output=True, text=True)
