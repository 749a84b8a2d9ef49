"""Plan -> what its stack takes of a project: machines by flavor, and things by quota. Pure.

Resources whose condition is false are not made, and not counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloud.errors import ProblemsFound
from cloud.template import placeholders
from cloud.template.functions import Resolver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cloud.plan import Plan
    from cloud.template.document import Path

TAKES = {  # type -> quotas of which each one takes 1
    "OS::Nova::Server": ("instances",),
    "OS::Nova::ServerGroup": ("server_groups",),
    "OS::Neutron::Net": ("networks",),
    "OS::Neutron::Subnet": ("subnets", "ports"),  # a port for DHCP; some clouds take two
    "OS::Neutron::Router": ("routers",),
    "OS::Neutron::RouterInterface": ("ports",),
    "OS::Neutron::Port": ("ports",),
    "OS::Neutron::FloatingIP": ("floating_ips",),
    "OS::Neutron::SecurityGroup": ("security_groups",),
    "OS::Cinder::Volume": ("volumes",),
}
_OWN_RULES = 2  # Neutron gives every security group two for what goes out


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Machines that are alike."""

    role: str
    """`master` or `worker`: the first half of their parameters' names."""
    flavor: str
    """Name or id."""
    reservation: str
    """Id of a Blazar reservation given as a scheduler hint, or empty."""
    count: int
    """How many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a stack takes."""

    groups: tuple[Group, ...]
    """The master, then the workers where there are any."""
    fixed: Mapping[str, int]
    """By quota, what is there with any number of workers."""
    each_worker: Mapping[str, int]
    """By quota, what every worker adds."""

    @property
    def machines(self) -> int:
        """Machines in all."""
        return sum(group.count for group in self.groups)

    @property
    def workers(self) -> int:
        """Machines beside the master."""
        return self.machines - 1

    def of(self, quota: str, workers: int | None = None) -> int:
        """Return how many of something are needed, with another number of workers where one is given."""
        count = self.workers if workers is None else workers
        return self.fixed.get(quota, 0) + count * self.each_worker.get(quota, 0)


def needs(plan: Plan) -> Needs | None:
    """Return what a plan's stack takes; None when its parameters don't say."""
    get = plan.parameters.get
    if get("workers") != plan.workers:
        return None  # out of range: a finding of the plan
    roles = [("master", 1)] + ([("worker", plan.workers)] if plan.workers else [])
    groups = tuple(
        Group(
            role=role,
            count=count,
            flavor=str(get(f"{role}_flavor", "")),
            reservation=str(get(f"{role}_reservation", "")),
        )
        for role, count in roles
    )
    resolver = Resolver(plan.template, plan.parameters, placeholders.facts(plan.parameters))
    try:
        fixed, each = _counted(resolver)
    except ProblemsFound:
        return None  # a finding of the plan
    return Needs(groups=groups, fixed=fixed, each_worker=each)


def _counted(resolver: Resolver) -> tuple[Counter[str], Counter[str]]:
    fixed: Counter[str] = Counter()
    each: Counter[str] = Counter()
    for name, resource in resolver.template.section("resources").items():
        path: Path = ("resources", name)
        if not resolver.holds(resource.get("condition", True), (*path, "condition")):
            continue
        if resource.get("type") == "OS::Heat::ResourceGroup":
            each.update(_taken(resolver, (*path, "properties", "resource_def")))
        else:
            fixed.update(_taken(resolver, path))
    return fixed, each


def _taken(resolver: Resolver, path: Path) -> Iterator[str]:
    """Yield the name of a quota for each thing that one resource takes."""
    kind = resolver.template.at(*path, "type")
    yield from TAKES.get(str(kind), ())
    if kind == "OS::Nova::Server":
        networks: Any = resolver.template.at(*path, "properties", "networks")
        for entry in networks if isinstance(networks, list) else []:
            if isinstance(entry, dict) and "port" not in entry:
                yield "ports"
    if kind == "OS::Neutron::SecurityGroup":
        rules: Any = resolver.template.at(*path, "properties", "rules")
        yield from ["security_group_rules"] * (_OWN_RULES + (len(rules) if isinstance(rules, list) else 0))
