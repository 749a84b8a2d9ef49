"""What machines need to know of the cloud, asked as admin; and the one thing that they do: power a server off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

OFF = {"SHUTOFF", "PAUSED", "SUSPENDED", "SHELVED", "SHELVED_OFFLOADED", "ERROR", "DELETED", "SOFT_DELETED"}
RANK = "hotrun_rank"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server as Nova lists it."""

    id: str
    status: str
    is_changing: bool
    """Whether Nova is at work on it: powering off, deleting …"""
    project_id: str
    name: str
    rank: int
    hostname: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plug:
    """Where Neutron connects a server."""

    port_id: str
    network_id: str
    address: str
    cidr: str
    gateway: str
    group: tuple[dict[str, Any], ...] | None
    """Rules as the template has them; None for a port without security groups."""


@dataclass(frozen=True, slots=True)
class Asks:
    """One project, through an admin's connection of openstacksdk."""

    admin: Any
    project_id: str

    def servers(self) -> list[Server]:
        """The project's machines of this program."""
        found = self._get("compute", f"/servers/detail?all_tenants=1&project_id={self.project_id}", "2.1")
        return [_server(each) for each in found["servers"] if RANK in each["metadata"]]

    def stop(self, server_id: str) -> None:
        """Power a server off; one that is off or gone is no error."""
        answer = self.admin.session.post(
            f"/servers/{server_id}/action", json={"os-stop": None},
            endpoint_filter={"service_type": "compute"}, raise_exc=False,
        )  # fmt: skip
        if answer.status_code not in (202, 404, 409):
            raise RuntimeError(f"os-stop of {server_id}: {answer.status_code} {answer.text[:300]}")

    def last_action(self, server_id: str) -> str:
        """What was done to a server last: `create`, `stop`, `start` …"""
        actions = self._get("compute", f"/servers/{server_id}/os-instance-actions")["instanceActions"]
        return str(actions[0]["action"]) if actions else ""

    def plug(self, server_id: str) -> Plug | None:
        """The first port of a server, None while it has none."""
        ports = self._get("network", f"/v2.0/ports?device_id={server_id}")["ports"]
        if not ports or not ports[0]["fixed_ips"]:
            return None
        port, fixed = ports[0], ports[0]["fixed_ips"][0]
        subnet = self._get("network", f"/v2.0/subnets/{fixed['subnet_id']}")["subnet"]
        return Plug(
            port_id=port["id"], network_id=port["network_id"], address=fixed["ip_address"],
            cidr=subnet["cidr"], gateway=subnet["gateway_ip"], group=self._group(port["security_groups"]),
        )  # fmt: skip

    def floating(self) -> dict[str, str]:
        """Floating address -> port that it leads to."""
        found = self._get("network", f"/v2.0/floatingips?project_id={self.project_id}")["floatingips"]
        return {each["floating_ip_address"]: each["port_id"] for each in found if each["port_id"]}

    def _group(self, ids: list[str]) -> tuple[dict[str, Any], ...] | None:
        if not ids:
            return None
        listed = (
            self._get("network", f"/v2.0/security-group-rules?security_group_id={each}")[
                "security_group_rules"
            ]
            for each in ids
        )
        return tuple(_rule(rule) for rules in listed for rule in rules if rule["direction"] == "ingress")

    def _get(self, service: str, path: str, microversion: str | None = None) -> dict[str, Any]:
        answer = self.admin.session.get(
            path, endpoint_filter={"service_type": service}, microversion=microversion
        )
        return dict(answer.json())


def _server(raw: dict[str, Any]) -> Server:
    from cloud.node.console import node_name

    rank = int(raw["metadata"][RANK])
    return Server(
        id=raw["id"], status=raw["status"], is_changing=bool(raw.get("OS-EXT-STS:task_state")),
        project_id=raw["tenant_id"], name=node_name(rank), rank=rank, hostname=raw["name"],
    )  # fmt: skip


def _rule(raw: dict[str, Any]) -> dict[str, Any]:
    """A rule of Neutron as a template would write it."""
    named = ("ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix")
    rule = {name: raw[name] for name in named if raw[name] is not None}
    return {**rule, "remote_mode": "remote_group_id"} if raw["remote_group_id"] else rule
