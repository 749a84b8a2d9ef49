"""What a project may use and how much room its quotas leave, from Nova, Glance, Neutron and Blazar."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cloud.stack.api import CloudError
from cloud.stack.offers import Flavor, Image, NetworkInfo, Reservation, Room
from cloud.stack.sdk.machines import NEUTRON, NOVA, Machines

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMITS = {  # name here -> (limit, used) in Nova's absolute limits
    "instances": ("maxTotalInstances", "totalInstancesUsed"),
    "cores": ("maxTotalCores", "totalCoresUsed"),
    "ram_mib": ("maxTotalRAMSize", "totalRAMUsed"),
}
COUNTED = {  # name here -> (name in Neutron's quota, path and key of the list)
    "ports": ("port", "ports"),
    "floating_ips": ("floatingip", "floatingips"),
    "security_groups": ("security_group", "security_groups"),
    "security_group_rules": ("security_group_rule", "security_group_rules"),
    "networks": ("network", "networks"),
    "subnets": ("subnet", "subnets"),
    "routers": ("router", "routers"),
}
EXTRA_SPECS_FROM = "2.61"  # of Nova's API: a list of flavors shows their extra specs
NO_ANSWER = {0, 401}  # no fallback helps then
BLAZAR = "reservation"


class Survey(Machines):
    """What is there to choose from."""

    def flavors(self) -> list[Flavor]:
        """All flavors that the project may use, smallest first."""
        told = self._flavors(EXTRA_SPECS_FROM)
        return sorted(map(_flavor, told), key=lambda flavor: (flavor.ram_mib, flavor.cores, flavor.name))

    def _flavors(self, microversion: str | None) -> list[Any]:
        """All pages; a Nova that is too old for `microversion` is asked without."""
        found: list[Any] = []
        while True:
            params = {"marker": found[-1]["id"]} if found else None
            try:
                told = self._ask(
                    "GET", NOVA, "/flavors/detail", "list flavors", params=params, microversion=microversion
                )["flavors"]
            except CloudError as error:
                if error.status == 406 and microversion:
                    return self._flavors(None)
                raise
            if not told:
                return found
            found += told

    def images(self) -> list[Image]:
        """All images that the project may use, by name."""
        told = self._pages("image", "/images", "images", "list images")
        return sorted(map(_image, told), key=lambda image: image.name)

    def key_names(self) -> list[str]:
        """Names of the user's key pairs."""
        told = self._get(NOVA, "/os-keypairs", "list key pairs")["keypairs"]
        return sorted(str(entry["keypair"]["name"]) for entry in told)

    def networks(self) -> list[NetworkInfo]:
        """All networks that the project sees, by name."""
        cidrs: dict[str, list[str]] = {}
        for subnet in self._pages(NEUTRON, "/subnets", "subnets", "list subnets"):
            cidrs.setdefault(subnet["network_id"], []).append(str(subnet["cidr"]))
        found = [
            NetworkInfo(
                id=str(told["id"]),
                name=str(told["name"]),
                is_external=bool(told.get("router:external")),
                is_own=told.get("project_id", told.get("tenant_id")) == self._project_id(),
                cidrs=tuple(cidrs.get(told["id"], ())),
            )
            for told in self._pages(NEUTRON, "/networks", "networks", "list networks")
        ]
        return sorted(found, key=lambda network: network.name)

    def free_floating_ips(self, network_id: str) -> int:
        """Floating addresses of the project on a network that are bound to nothing."""
        told = self._pages(
            NEUTRON, "/floatingips", "floatingips", "list floating addresses",
            floating_network_id=network_id, project_id=self._project_id(),
        )  # fmt: skip
        return sum(not entry.get("port_id") for entry in told)

    def quotas(self) -> Mapping[str, Room]:
        """Room by name; what a cloud does not tell is missing."""
        rooms: dict[str, Room] = {}
        told = self._told(NOVA, "/limits", "tell its limits")
        absolute = (told or {}).get("limits", {}).get("absolute", {})
        for name, (limit, used) in LIMITS.items():
            if limit in absolute and used in absolute:
                rooms[name] = Room(limit=int(absolute[limit]), used=int(absolute[used]))
        return {**rooms, **self._network_quotas()}

    def reservations(self) -> list[Reservation] | None:
        """Parts of the project's leases; None where the cloud has no Blazar."""
        if not self._has_service(BLAZAR):
            return None
        told = self._get(BLAZAR, "leases", "list leases")["leases"]
        return [_reservation(lease, part) for lease in told for part in lease.get("reservations") or ()]

    def _network_quotas(self) -> dict[str, Room]:
        """Neutron's quota with its use; where it has no `details`, what there is is counted."""
        project = quote(self._project_id(), safe="")
        told = self._told(NEUTRON, f"/quotas/{project}/details", "tell its quotas")
        if told is not None:
            parts = told["quota"]
            return {
                name: Room(limit=int(parts[key]["limit"]), used=_sum(parts[key], "used", "reserved"))
                for name, (key, _) in COUNTED.items()
                if key in parts
            }  # fmt: skip
        limits = (self._told(NEUTRON, f"/quotas/{project}", "tell its quotas") or {}).get("quota", {})
        return {
            name: Room(limit=int(limits[key]), used=self._count(listed))
            for name, (key, listed) in COUNTED.items()
            if key in limits
        }

    def _count(self, listed: str) -> int:
        path = f"/{listed.replace('_', '-')}"
        told = self._pages(
            NEUTRON, path, listed, f"list {listed}", fields="id", project_id=self._project_id()
        )
        return sum(1 for _ in told)

    def _told(self, service: str, path: str, doing: str) -> Any:
        """What a service tells, None where it does not (no such extension, not allowed)."""
        try:
            return self._get(service, path, doing)
        except CloudError as error:
            if error.status in NO_ANSWER:
                raise
            return None

    def _project_id(self) -> str:
        raise NotImplementedError

    def _has_service(self, service: str) -> bool:
        raise NotImplementedError


def _sum(told: Mapping[str, Any], *names: str) -> int:
    return sum(int(told.get(name) or 0) for name in names)


def _flavor(told: Mapping[str, Any]) -> Flavor:
    return Flavor(
        id=str(told["id"]),
        name=str(told["name"]),
        cores=int(told["vcpus"]),
        ram_mib=int(told["ram"]),
        disk_gib=int(told["disk"]),
        extra={str(key): str(value) for key, value in (told.get("extra_specs") or {}).items()},
    )


def _image(told: Mapping[str, Any]) -> Image:
    return Image(
        id=str(told["id"]),
        name=str(told.get("name") or ""),
        status=str(told["status"]),
        min_disk_gib=int(told.get("min_disk") or 0),
        min_ram_mib=int(told.get("min_ram") or 0),
        size_bytes=int(told.get("size") or 0),
    )


def _reservation(lease: Mapping[str, Any], part: Mapping[str, Any]) -> Reservation:
    """A host reservation has `min` and `max`, a flavor's an `amount`."""
    end = str(lease.get("end_date") or "")
    return Reservation(
        id=str(part["id"]),
        lease_id=str(lease["id"]),
        lease_name=str(lease.get("name") or ""),
        status=str(lease.get("status") or ""),
        resource_type=str(part.get("resource_type") or ""),
        amount=int(part.get("amount") or part.get("max") or part.get("min") or 0),
        end=dt.datetime.fromisoformat(end).replace(tzinfo=dt.UTC) if end else None,
    )
