"""A plan, and a cloud where everything fits, with one thing changed."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

from cloud import hot, plan
from cloud.errors import Problem
from cloud.stack.judge import judge
from cloud.stack.judge.case import Answers, Case
from cloud.stack.judge.needs import needs
from cloud.stack.offers import Flavor, Image, NetworkInfo, Reservation, Room
from tests.unit.clusters import cluster

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
ELSEWHERE = hot.text(replace(cluster(), profile="openstack", image="ubuntu-24.04", key_name="laptop"))
CHAMELEON = hot.text(replace(cluster(), key_name="laptop"))


def flavor(
    name: str = "m1.medium", cores: int = 2, ram_gib: float = 4, disk: int = 40, **extra: str
) -> Flavor:
    """A flavor that fits."""
    specs = {key.replace("__", ":"): value for key, value in extra.items()}
    return Flavor(
        id=f"id-{name}", name=name, cores=cores, ram_mib=int(ram_gib * 1024), disk_gib=disk, extra=specs
    )


def image(
    name: str = "ubuntu-24.04", status: str = "active", disk: int = 0, ram: int = 0, identity: str = ""
) -> Image:
    """An image that fits everything."""
    return Image(
        id=identity or f"id-{name}",
        name=name,
        status=status,
        min_disk_gib=disk,
        min_ram_mib=ram,
        size_bytes=0,
    )


def network(name: str = "public", external: bool = True, own: bool = False, *cidrs: str) -> NetworkInfo:
    """An external network."""
    return NetworkInfo(id=f"id-{name}", name=name, is_external=external, is_own=own, cidrs=cidrs)


def lease(**changed: Any) -> Reservation:
    """An active lease of three virtual machines for two days."""
    fields: dict[str, Any] = {
        "id": "r1", "lease_id": "l1", "lease_name": "mine", "status": "ACTIVE", "amount": 3,
        "resource_type": "flavor:instance", "end": NOW + dt.timedelta(days=2),
    }  # fmt: skip
    return Reservation(**fields | changed)


RESERVED = {"master_flavor": "reservation:r1", "worker_flavor": "reservation:r1"}


def case(text: str = ELSEWHERE, overrides: dict[str, Any] | None = None, **changed: Any) -> Case:
    """A cloud where everything fits."""
    fields: dict[str, Any] = {
        "flavors": (flavor("m1.small", 1, 2, 20), flavor(), flavor("m1.large", 4, 8, 80)),
        "images": (image(), image("CC-Ubuntu24.04"), image("CC-Ubuntu24.04-CUDA")),
        "key_names": ("laptop",), "networks": (network(),), "quotas": {}, "free_floating_ips": 0,
    }  # fmt: skip
    planned = plan.make(text, overrides or {})
    answers = Answers(**fields | changed)
    return Case(plan=planned, name="digits", needs=needs(planned), answers=answers, now=NOW)


def found(*args: Any, **changed: Any) -> dict[str, Problem]:
    """The problems by code."""
    return {problem.code: problem for problem in judge(case(*args, **changed))[1]}


def room(**free: int) -> dict[str, Room]:
    """Quotas that leave so much."""
    return {name: Room(limit=count + 5, used=5) for name, count in free.items()}
