"""Machines, their consoles and ports, and whether a thing that Heat made is still there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cloud.stack.api import CloudError, Port, Resource, Server, Stack
from cloud.stack.sdk.heat_json import moment
from cloud.stack.sdk.stacks import Stacks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NOVA, NEUTRON, HEAT = "compute", "network", "orchestration"
PORTS_AT_ONCE = 50  # ids in one address: 50 x 47 characters
PLACES: Mapping[str, tuple[str, str]] = {  # type of Heat -> (service, where one with that id is shown)
    "OS::Nova::Server": (NOVA, "/servers/{}"),
    "OS::Nova::KeyPair": (NOVA, "/os-keypairs/{}"),
    "OS::Nova::ServerGroup": (NOVA, "/os-server-groups/{}"),
    "OS::Neutron::Port": (NEUTRON, "/ports/{}"),
    "OS::Neutron::Net": (NEUTRON, "/networks/{}"),
    "OS::Neutron::Subnet": (NEUTRON, "/subnets/{}"),
    "OS::Neutron::Router": (NEUTRON, "/routers/{}"),
    "OS::Neutron::FloatingIP": (NEUTRON, "/floatingips/{}"),
    "OS::Neutron::SecurityGroup": (NEUTRON, "/security-groups/{}"),
    "OS::Neutron::SecurityGroupRule": (NEUTRON, "/security-group-rules/{}"),
    "OS::Heat::SoftwareConfig": (HEAT, "/software_configs/{}"),
    "OS::Cinder::Volume": ("block-storage", "/volumes/{}"),
}


class Machines(Stacks):
    """What Nova and Neutron are asked of machines."""

    def server(self, server_id: str) -> Server | None:
        """A machine, None when it is gone."""
        told = self._found(NOVA, f"/servers/{quote(server_id, safe='')}", "show a machine")
        return None if told is None or told["server"]["status"] == "DELETED" else _server(told["server"])

    def servers(self, stack: Stack, resources: Sequence[Resource] | None = None) -> list[Server]:
        """The machines of a stack, master first, then workers in their order; those that Nova has.

        One request whatever their number, none while there is no machine.
        """
        known = self.resources(stack.id) if resources is None else resources
        made = sorted((entry for entry in known if entry.machine and entry.id), key=_order)
        if len(made) < 2:
            found = (self.server(entry.id) for entry in made)
            return [server for server in found if server is not None]
        told = {
            entry["id"]: entry for entry in self._pages(NOVA, "/servers/detail", "servers", "list machines")
        }
        listed = (_server(told[entry.id]) for entry in made if entry.id in told)
        return [self._with_its_fault(server) for server in listed]

    def _with_its_fault(self, server: Server) -> Server:
        """Ask for one that failed again by itself: Nova's lists may leave out why."""
        if server.status != "ERROR" or server.fault:
            return server
        return self.server(server.id) or server

    def console(self, server_id: str, lines: int = 200) -> str:
        """The end of a machine's console, empty where the cloud has none."""
        body = {"os-getConsoleOutput": {"length": lines}}
        path = f"/servers/{quote(server_id, safe='')}/action"
        try:
            told = self._patiently(
                lambda: self._once("POST", NOVA, path, body=body), "show a console", is_repeatable=False
            )
        except CloudError as error:
            if error.status in {
                400,
                404,
                409,
                500,
                501,
            }:  # gone, not started yet, or a driver without consoles
                return ""
            raise
        return str((told or {}).get("output") or "")

    def start_server(self, server_id: str) -> None:
        """Start a machine that is shut off; one that runs, or is being started, is no error."""
        path = f"/servers/{quote(server_id, safe='')}"
        try:
            self._ask("POST", NOVA, f"{path}/action", "start a machine", body={"os-start": None})
        except CloudError as error:  # 409 also where Nova heard it and only its answer was lost
            told = self._found(NOVA, path, "show a machine") if error.status == 409 else None
            if told is None or not _is_up(told["server"]):
                raise

    def ports_of(self, server_ids: Sequence[str]) -> list[str]:
        """Ids of the ports of machines, whoever made them."""
        found: list[str] = []
        for begin in range(0, len(server_ids), PORTS_AT_ONCE):
            some = list(server_ids[begin : begin + PORTS_AT_ONCE])
            told = self._pages(NEUTRON, "/ports", "ports", "list ports", device_id=some, fields="id")
            found += [str(entry["id"]) for entry in told]
        return found

    def ports_on(self, network_id: str) -> list[Port]:
        """Ports on a network, whoever made them; none when the network is gone."""
        told = self._pages(NEUTRON, "/ports", "ports", "list ports", network_id=network_id)
        return [
            Port(
                id=str(entry["id"]),
                name=str(entry.get("name") or ""),
                device_id=str(entry.get("device_id") or ""),
                device_owner=str(entry.get("device_owner") or ""),
            )
            for entry in told
        ]

    def exists(self, resource_type: str, physical_id: str) -> bool:
        """Whether a physical resource is still there; False for types that live and die in Heat alone."""
        if not physical_id:
            return False
        special: dict[str, Callable[[str], bool]] = {
            "OS::Heat::ResourceGroup": lambda group: self.stack(group) is not None,
            "OS::Heat::Stack": lambda inner: self.stack(inner) is not None,
            "OS::Neutron::RouterInterface": self._has_interface,
        }
        if resource_type in special:
            return special[resource_type](physical_id)
        if resource_type not in PLACES:
            return False
        service, path = PLACES[resource_type]
        told = self._found(service, path.format(quote(physical_id, safe="")), "show what a stack made")
        return told is not None and (told.get("server") or {}).get("status") not in {
            "DELETED",
            "SOFT_DELETED",
        }

    def _has_interface(self, physical_id: str) -> bool:
        """`ROUTER:subnet_id=SUBNET` or `ROUTER:port_id=PORT`, as Heat names what Neutron has no id for."""
        router, _, rest = physical_id.partition(":")
        kind, _, inner = rest.partition("=")
        if kind == "port_id":
            return self.exists("OS::Neutron::Port", inner)
        ports = self._pages(NEUTRON, "/ports", "ports", "list ports", device_id=router)
        return any(inner in {ip["subnet_id"] for ip in port.get("fixed_ips", ())} for port in ports)


def _order(resource: Resource) -> tuple[bool, int]:
    return bool(resource.parent), int(resource.name) if resource.name.isdigit() else 0


def _is_up(told: Mapping[str, Any]) -> bool:
    """Whether a machine runs or is on its way there; a cloud may hide what Nova does with it."""
    doing = told.get("OS-EXT-STS:task_state")
    return doing == "powering-on" or (told["status"] == "ACTIVE" and not doing)


def _server(told: Mapping[str, Any]) -> Server:
    addresses = [entry for port in (told.get("addresses") or {}).values() for entry in port]
    addresses.sort(key=lambda entry: entry.get("OS-EXT-IPS:type") == "floating")
    return Server(
        id=str(told["id"]),
        name=str(told["name"]),
        status=str(told["status"]),
        fault=str((told.get("fault") or {}).get("message") or "") if told["status"] == "ERROR" else "",
        metadata={str(key): str(value) for key, value in (told.get("metadata") or {}).items()},
        addresses=tuple(str(entry["addr"]) for entry in addresses),
        updated=moment(told["updated"]) if told.get("updated") else None,
    )
