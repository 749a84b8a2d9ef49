"""Findings about a cluster's surroundings: ports, addresses, repository, reservations, secrets. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from cloud.errors import Problem, ProblemsFound
from cloud.model import EVERYBODY
from cloud.request import addresses, rules
from cloud.resolve import Reference, security_rules, workers
from cloud.template.parameters import has_credentials, redacted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cloud.template.document import Path, Template

    Values = Mapping[str, Any]

SSH_PORT = 22


def problems(template: Template, values: Values) -> Iterator[Problem]:
    """Yield every finding about surroundings; `values` are all parameters, or those that have a value."""
    for look in (_ports, _network, _repository, _reservations, _secrets):
        try:
            yield from look(template, values)
        except ProblemsFound as found:
            yield from found.problems


def _ports(template: Template, values: Values) -> Iterator[Problem]:
    rules = security_rules(template, values)
    for index, rule in enumerate(rules or []):
        if _is_open(rule, values):
            ports = f"{rule.get('protocol', 'every protocol')} {rule.get('port_range_min', '')}".strip()
            yield Problem(
                code="ports-open",
                where=template.where("resources", "security_group", "properties", "rules", index),
                what=f"the security group opens {ports} to {rule.get('remote_ip_prefix', 'everybody')}; "
                "the machines trust whoever reaches them, so only SSH may be open",
                fix="remove the rule and reach the port through ssh -L",
            )
    if rules and values.get("ssh_cidr") == EVERYBODY and values.get("external_network"):
        yield Problem(
            code="ssh-open",
            level="note",
            where=template.where("parameters", "ssh_cidr", "default"),
            what="ssh_cidr is 0.0.0.0/0, so the whole internet may try to log in (keys only)",
            fix="--parameter ssh_cidr=RANGE with that of your own network, or generate with --ssh-cidr",
        )


def _is_open(rule: Mapping[str, Any], values: Values) -> bool:
    """Whether a rule lets in from outside the cluster what is not SSH."""
    if rule.get("direction", "ingress") != "ingress":
        return False
    if rule.get("remote_mode") == "remote_group_id":
        group = rule.get("remote_group_id")
        return group not in (None, Reference("security_group"))
    try:
        source = ipaddress.ip_network(str(rule.get("remote_ip_prefix")), strict=False)
        inside = ipaddress.ip_network(str(values.get("network_cidr")), strict=False)
        if (
            isinstance(source, ipaddress.IPv4Network)
            and isinstance(inside, ipaddress.IPv4Network)
            and source.subnet_of(inside)
        ):
            return False
    except ValueError:
        pass
    ports = {str(rule.get("port_range_min")), str(rule.get("port_range_max"))}
    return str(rule.get("protocol")).lower() != "tcp" or ports != {str(SSH_PORT)}


def _network(template: Template, values: Values) -> Iterator[Problem]:
    for name in ("network_cidr", "ssh_cidr"):
        try:
            network = ipaddress.IPv4Network(str(values.get(name)))
        except ValueError as error:
            what = f"{name} is {redacted(values.get(name))}: {error}"
            yield Problem(
                code="address-malformed", what=what, where=template.where("parameters", name, "default")
            )
            continue
        if name == "network_cidr":
            try:
                addresses.holds_machines(network, workers(values) + 1)
            except rules.Refused as refused:
                where = template.where("parameters", name, "default")
                yield Problem(code=refused.code, what=f"{name} {refused.why}", where=where, fix=refused.fix)
    servers = values.get("dns_nameservers")
    for server in servers if isinstance(servers, list) else []:
        try:
            ipaddress.ip_address(server)
        except ValueError:
            where = template.where("parameters", "dns_nameservers", "default")
            what = f"dns_nameservers has {redacted(server)}, but an address like 8.8.8.8 is needed"
            yield Problem(code="address-malformed", what=what, where=where)


def _repository(template: Template, values: Values) -> Iterator[Problem]:
    if str(values.get("repo", "")).startswith("/"):
        yield Problem(
            code="repository-local",
            level="warning",
            where=template.where("parameters", "repo", "default"),
            what=f"repo is {redacted(values['repo'])}, a local directory that only a rehearsal can reach",
            fix="push it and generate again with its https address before you launch it",
        )


def _reservations(template: Template, values: Values) -> Iterator[Problem]:
    kinds = ["master", "worker"] if workers(values) else ["master"]
    for kind in kinds:
        name = f"{kind}_reservation"
        if values.get(f"{kind}_flavor") == "baremetal" and not values.get(name):
            yield Problem(
                code="reservation-missing",
                level="warning",
                where=template.where("parameters", name, "default"),
                what=f"{name} is empty, and bare metal starts only with a lease",
                fix=f"--{kind}-reservation ID, or fill it in when the stack is created",
            )
    if any(values.get(f"{kind}_reservation") for kind in kinds) and values.get("security_groups") == "yes":
        yield Problem(
            code="security-groups-on-bare-metal",
            level="warning",
            where=template.where("parameters", "security_groups", "default"),
            what="security_groups is yes, and networks of bare metal have none: the stack would fail",
            fix="--security-groups no, if these reservations are of bare metal",
        )


def _secrets(template: Template, values: Values) -> Iterator[Problem]:
    """No address carries a user name or password, in the file or in what is set at launch."""
    paths = [
        path
        for path, text in _texts(template.document, ())
        if text is not template.boot and has_credentials(text)
    ]
    for path in paths:
        yield _secret(".".join(str(key) for key in path[:3]), template.where(*path))
    for name, text in values.items():
        if has_credentials(str(text)) and ("parameters", name, "default") not in paths:
            yield _secret(name, f"--parameter {name}")


def _secret(name: str, where: str) -> Problem:
    return Problem(
        code="secret-in-url",
        where=where,
        fix="use an address that anybody may read",
        what=f"{name} holds an address with a user name or password, readable by all who see the stack",
    )


def _texts(item: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(item, str):
        yield path, item
    elif isinstance(item, dict):
        for key, part in item.items():
            yield from _texts(part, (*path, str(key)))
    elif isinstance(item, list):
        for index, part in enumerate(item):
            yield from _texts(part, (*path, index))
