"""Flavors and hours -> what a stack costs, and what ends the cost. Pure, but for reading a price table."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from cloud.errors import Problem, RequestError
from cloud.model import RESERVED
from cloud.request.profiles import FLAVORS
from cloud.stack.judge.case import BARE_METAL
from cloud.stack.judge.leases import leased

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cloud.stack.judge.case import Case

MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What machines cost."""

    unit: str
    """`SU`, `EUR`."""
    each: Mapping[str, float]
    """For one machine and hour, by flavor's name."""


CHAMELEON = Prices(  # service units per hour: Chameleon's page of 2025-09 on leases of virtual machines
    unit="SU",
    each={
        "m1.tiny": 0.01, "m1.small": 0.02, "m1.medium": 0.04, "m1.large": 0.08, "m1.xlarge": 0.15,
        "m1.xxlarge": 0.3, "g1.h100.pci.1": 0.5,
    },
)  # fmt: skip


def read(path: Path) -> Prices:
    """Return a price table: YAML, a flavor and its price per hour on each line, `unit: EUR` beside them.

    Raises RequestError for what is no such table.
    """
    form = "write lines like `m1.small: 0.05`, and `unit: EUR`"
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise _refused(path, f"it has more than {MAX_BYTES:,} bytes", form)
        found = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise _refused(path, f"it can't be read: {os.strerror(error.errno or 0)}", "") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _refused(path, "it is not YAML", form) from error
    if not isinstance(found, dict):
        raise _refused(path, "it is no map of flavors to prices", form)
    unit = str(found.pop("unit", ""))
    for flavor, price in found.items():
        if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < float("inf"):
            raise _refused(path, f"{flavor} costs {price!r}, which is no price", form)
    return Prices(unit=unit, each={str(flavor): float(price) for flavor, price in found.items()})


def cost(case: Case, prices: Prices | None = None) -> Iterator[str]:
    """Yield what the stack costs, what ends the work and what ends the cost."""
    table = prices or (CHAMELEON if case.is_chameleon else None)
    hours = f"{case.max_hours:g} h"
    if table and case.groups:
        yield from _sum(case, table, hours)
    yield f"work ends with the training, or {hours} after the first start: machines power off by themselves"
    yield from _billing(case)


def per_hour(case: Case, table: Prices) -> float | None:
    """Return the price of an hour of all machines, None where a flavor has none."""
    each = [_price(case, table, group.flavor) for group in case.groups]
    known = [price for price in each if price is not None]
    if len(known) < len(each) or not known:
        return None
    return sum(price * group.count for price, group in zip(known, case.groups, strict=True))


def _sum(case: Case, table: Prices, hours: str) -> Iterator[str]:
    hourly = per_hour(case, table)
    if hourly is None:
        if any(group.flavor == BARE_METAL for group in case.groups):
            yield "price: 1 to 16 SU for each machine and hour, by its hardware"
        return
    parts = " + ".join(f"{group.count} × {_price(case, table, group.flavor):g}" for group in case.groups)
    unit = f" {table.unit}" if table.unit else ""
    most = f"{hourly * case.max_hours:.2f}{unit}"
    until = (
        "charged for all of the lease"
        if _has_lease(case)
        else f"at most {most} until the deadline of {hours}"
    )
    yield f"price: {parts} = {hourly:.2f}{unit} per hour; {until}"


def _price(case: Case, table: Prices, flavor: str) -> float | None:
    """Return a flavor's price; one that a lease made costs what the flavor of the same size does."""
    if flavor in table.each:
        return table.each[flavor]
    found = case.flavor(flavor)
    if found is None:
        return None
    if found.name in table.each:
        return table.each[found.name]
    if found.name.startswith(RESERVED) and not found.extra.get("pci_passthrough:alias"):
        same = [name for name, size in FLAVORS.items() if size == (found.cores, found.ram_mib / 1024)]
        return table.each.get(same[0]) if same else None
    return None


def _billing(case: Case) -> Iterator[str]:
    name = case.name
    if _has_lease(case):
        names = list(dict.fromkeys(one.lease_name for one in leased(case))) or ["NAME"]
        for lease in names:
            end = f"openstack reservation lease delete {lease}"
            yield f"the lease is charged until it ends, in use or not; to end it: {end}"
        return
    yield f"billing ends when the stack is deleted, not at power-off: hotrun down {name}, or hotrun reap"


def _has_lease(case: Case) -> bool:
    is_named = any(group.reservation or group.flavor.startswith(RESERVED) for group in case.groups)
    return is_named or case.is_chameleon


def _refused(path: Path, why: str, fix: str) -> RequestError:
    what = f"{path} is not usable as a price table: {why}"
    return RequestError(Problem(code="price-table", what=what, where=str(path), fix=fix))
