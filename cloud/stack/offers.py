"""What a project can take of its cloud: sizes of machines, images, networks, quota, leases. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavor:
    """A size of machine."""

    id: str
    name: str
    cores: int
    ram_mib: int
    disk_gib: int
    extra: Mapping[str, str] = field(default_factory=dict)
    """Extra specs, where the cloud shows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a machine boots from."""

    id: str
    name: str
    status: str
    min_disk_gib: int
    min_ram_mib: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInfo:
    """A network that the project sees, with the addresses of its subnets."""

    id: str
    name: str
    is_external: bool
    is_own: bool
    """Whether it belongs to the project."""
    cidrs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a quota leaves."""

    limit: int
    """-1: no limit."""
    used: int

    @property
    def free(self) -> int | None:
        """How many more, None without a limit."""
        return None if self.limit < 0 else max(0, self.limit - self.used)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A part of a Blazar lease."""

    id: str
    lease_id: str
    lease_name: str
    status: str
    """Of the lease: `PENDING`, `ACTIVE`, `TERMINATED` …"""
    resource_type: str
    """`flavor:instance`, `physical:host` …"""
    amount: int
    end: dt.datetime | None
