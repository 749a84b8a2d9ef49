"""What a project may use, of a cloud in this process; counts the calls and fails those that a test wants to fail."""
# ruff: noqa: D102 - api.py says what the methods do

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.stack.api import CloudError
from cloud.stack.offers import Flavor, Image, NetworkInfo, Reservation, Room

if TYPE_CHECKING:
    from collections.abc import Mapping


class FakePlace:
    """Attributes may be set to change what there is."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.faults: dict[str, list[CloudError]] = {}
        self.flavors_there = [
            Flavor(id="f1", name="m1.tiny", cores=1, ram_mib=512, disk_gib=3),
            Flavor(id="f2", name="m1.small", cores=1, ram_mib=1024, disk_gib=5),
        ]
        self.images_there = [
            Image(id="i1", name="tiny", status="active", min_disk_gib=0, min_ram_mib=0, size_bytes=65536)
        ]
        self.keys_there: list[str] = []
        self.networks_there = [NetworkInfo(id="n1", name="public", is_external=True, is_own=False, cidrs=())]
        self.rooms: dict[str, Room] = {
            name: Room(limit=100, used=0) for name in ("instances", "cores", "ports")
        }
        self.leases: list[Reservation] | None = None

    def flavors(self) -> list[Flavor]:
        self._called("flavors")
        return list(self.flavors_there)

    def images(self) -> list[Image]:
        self._called("images")
        return list(self.images_there)

    def key_names(self) -> list[str]:
        self._called("key_names")
        return sorted(self.keys_there)

    def networks(self) -> list[NetworkInfo]:
        self._called("networks")
        return list(self.networks_there)

    def free_floating_ips(self, network_id: str) -> int:
        self._called("free_floating_ips")
        del network_id
        return 0

    def quotas(self) -> Mapping[str, Room]:
        self._called("quotas")
        return dict(self.rooms)

    def reservations(self) -> list[Reservation] | None:
        self._called("reservations")
        return self.leases

    def _called(self, method: str) -> str:
        self.calls.append(method)
        if self.faults.get(method):
            raise self.faults[method].pop(0)
        return ""

    def _known(self) -> dict[str, set[str]]:
        return {
            "images": {word for image in self.images_there for word in (image.id, image.name)},
            "Flavor": {word for flavor in self.flavors_there for word in (flavor.id, flavor.name)},
            "Key": set(self.keys_there),
        }
