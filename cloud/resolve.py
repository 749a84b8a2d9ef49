"""Template + parameters + facts -> what Heat hands to a node: user data and metadata, byte for byte. Pure.

Only what a node receives is resolved; the functions are those of cloud/template/functions.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloud.errors import ProblemsFound
from cloud.model import MAX_WORKERS
from cloud.node.console import node_name
from cloud.template import parameters as parameters_
from cloud.template.document import Path, Template, load
from cloud.template.functions import Facts, Reference, Resolver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "Facts", "Reference", "ResolvedNode", "Template", "load", "node", "parameters", "security_rules",
    "value", "workers",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedNode:
    """What one machine receives."""

    name: str
    """`master` or `worker-<rank>`."""
    rank: int
    """0 for the master."""
    user_data: bytes
    """The script that it runs when it starts."""
    metadata: dict[str, str]
    """Metadata of the server, text as Nova keeps it."""


def parameters(template: Template, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters' values, overrides included; ProblemsFound when any breaks its constraints."""
    values, problems = parameters_.values(template, overrides)
    if problems:
        raise ProblemsFound(*problems)
    return values


def node(template: Template, parameters: Mapping[str, Any], rank: int, facts: Facts) -> ResolvedNode:
    """Return what the machine of this rank receives; ProblemsFound (`cannot-resolve`) names an obstacle."""
    resolver = Resolver(template, parameters, facts)
    path, index = _definition(resolver, rank)
    metadata = resolver.at((*path, "metadata"), {})
    user_data = resolver.at((*path, "user_data"), "")
    if isinstance(user_data, Reference):
        user_data = resolver.at(("resources", user_data.resource, "properties", "config"), "")
    if not isinstance(user_data, str) or not isinstance(metadata, dict):
        resolver.refuse("the user data is not text or the metadata is not a map", path)
    texts = {str(key): _metadata_text(resolver, item, path) for key, item in metadata.items()}
    if index is not None:
        variable = str(resolver.at(("resources", "worker_group", "properties", "index_var"), "%index%"))
        texts = {key.replace(variable, index): text.replace(variable, index) for key, text in texts.items()}
        user_data = user_data if resolver.was_reference(path) else user_data.replace(variable, index)
    return ResolvedNode(name=node_name(rank), rank=rank, user_data=user_data.encode(), metadata=texts)


def workers(parameters: Mapping[str, Any]) -> int:
    """Return the number of workers that parameters ask for, 0 when they ask for none that could be."""
    found = parameters.get("workers", 0)
    return int(found) if isinstance(found, int | float) and 0 <= found <= MAX_WORKERS else 0


def security_rules(template: Template, parameters: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the rules of the security group, None when the cluster has none."""
    facts = Facts(stack_name="stack", addresses=(), secret="")
    resolver = Resolver(template, parameters, facts)
    resource = template.section("resources").get("security_group")
    if resource is None or not resolver.holds(
        resource.get("condition", True), ("resources", "security_group")
    ):
        return None
    rules = resolver.at(("resources", "security_group", "properties", "rules"), [])
    return [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []


def value(template: Template, parameters: Mapping[str, Any], facts: Facts, *path: str | int) -> Any:
    """Return what stands at a path of the template, resolved."""
    return Resolver(template, parameters, facts).at(path, None)


def _definition(resolver: Resolver, rank: int) -> tuple[Path, str | None]:
    """Return where a machine's properties stand, and its index in the group."""
    if rank == 0:
        return ("resources", "master", "properties"), None
    count = workers(resolver.parameters)
    if rank > count:
        raise ValueError(f"rank {rank} of {count} workers")
    group: Path = ("resources", "worker_group", "properties")
    removed = set(_removed(resolver.at((*group, "removal_policies"), [])))
    names = [str(number) for number in range(count + len(removed)) if str(number) not in removed]
    return (*group, "resource_def", "properties"), names[rank - 1]


def _removed(policies: Any) -> Iterator[str]:
    """Yield the names of members that the group never makes."""
    for policy in policies if isinstance(policies, list) else []:
        names = policy.get("resource_list") if isinstance(policy, dict) else None
        yield from map(str, names if isinstance(names, list) else [])


def _metadata_text(resolver: Resolver, item: Any, path: Path) -> str:
    """Write a metadata value as Heat does for Nova: text stays, the rest is JSON."""
    if isinstance(item, Reference):
        resolver.refuse(f"the id of {item.resource} is only known in a cloud", path)
    return item if isinstance(item, str) else json.dumps(item)
