"""Image, key pair and external network by name: there, fit for use, or a near miss. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from cloud.errors import Problem
from cloud.stack.judge.case import Case, Finding, nearest, plural, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.stack.offers import NetworkInfo


def image(case: Case) -> Iterator[Finding]:
    """The image exists once, and can be booted."""
    images, wanted = case.answers.images, case.value("image")
    if images is None or not wanted:
        return
    found = [one for one in images if wanted in (one.name, one.id)]
    where = case.where("image")
    if not found:
        usable = [one.name for one in images if one.status == "active" and one.name]
        what = f"image {quoted(wanted)} is not on this cloud"
        yield Problem(code="image-missing", what=what, where=where, fix=nearest(wanted, usable, "image"))
    elif len(found) > 1:
        what = f"image {wanted} is the name of {len(found)} images, and Heat refuses to choose"
        fix = "--parameter image=ID, one of " + ", ".join(one.id for one in found)
        yield Problem(code="name-ambiguous", what=what, where=where, fix=fix)
    elif found[0].status != "active":
        what = f"image {wanted} can't be booted: its status is {found[0].status}"
        yield Problem(
            code="image-missing", what=what, where=where, fix="wait until it is active, or name another"
        )
    else:
        yield f"image {found[0].name or wanted}"


def key(case: Case) -> Iterator[Finding]:
    """The key pair exists; without one nobody can log in."""
    names, wanted = case.answers.key_names, case.value("key_name")
    if not wanted:
        what = "key_name is empty: nobody can log in, and only the small results come home, through Heat"
        fix = (
            nearest("", names or (), "key_name")
            or "openstack keypair create --public-key ~/.ssh/id_ed25519.pub NAME"
        )
        yield Problem(code="no-key", level="warning", what=what, where=case.where("key_name"), fix=fix)
    elif names is not None and wanted not in names:
        what = f"key_name {quoted(wanted)} is none of your key pairs on this cloud"
        fix = nearest(wanted, names, "key_name")
        fix = fix or f"openstack keypair create --public-key ~/.ssh/id_ed25519.pub {wanted}"
        yield Problem(code="key-missing", what=what, where=case.where("key_name"), fix=fix)
    elif names is not None:
        yield f"key {wanted}"


def network(case: Case) -> Iterator[Finding]:
    """The external network exists once, and leads outside."""
    networks, wanted = case.answers.networks, case.value("external_network")
    if not wanted:
        yield _no_way_out(case)
        return
    if networks is None:
        return
    found = [one for one in networks if wanted in (one.name, one.id)]
    external = [one.name for one in networks if one.is_external]
    where, fix = case.where("external_network"), nearest(wanted, external, "external_network")
    if not found:
        what = f"external_network {quoted(wanted)} is not on this cloud"
        yield Problem(code="network-missing", what=what, where=where, fix=fix)
    elif len(found) > 1:
        what = f"external_network {wanted} is the name of {len(found)} networks, and Heat refuses to choose"
        fix = "--parameter external_network=ID, one of " + ", ".join(one.id for one in found)
        yield Problem(code="name-ambiguous", what=what, where=where, fix=fix)
    elif not found[0].is_external:
        what = f"external_network {wanted} is an internal network: it gives no floating IP and no way out"
        yield Problem(code="network-not-external", what=what, where=where, fix=fix)
    else:
        yield f"network {found[0].name}{_addresses(case)}"


def _no_way_out(case: Case) -> Problem:
    names = [one.name for one in case.answers.networks or () if one.is_external]
    return Problem(
        code="no-way-out",
        level="warning",
        where=case.where("external_network"),
        what="external_network is empty: no machine reaches a repository or package index, nobody the master",
        fix=nearest("", names, "external_network"),
    )


def _addresses(case: Case) -> str:
    room = (case.answers.quotas or {}).get("floating_ips")
    if room is None or room.free is None or not room.free:
        return ""  # without any: a finding of the quotas
    return f", {plural(room.free, 'floating IP')} left"


def overlap(case: Case) -> Iterator[Finding]:
    """The cluster's addresses are used by no other network that they could meet."""
    try:
        own = ipaddress.IPv4Network(case.value("network_cidr"))
    except ValueError:
        return  # a finding of the plan
    for one in case.answers.networks or ():
        for cidr in one.cidrs:
            try:
                is_met = ipaddress.IPv4Network(cidr).overlaps(own)
            except ValueError:
                continue  # IPv6
            if is_met and (one.is_own or one.is_external):
                yield _overlapping(case, one, cidr)


def _overlapping(case: Case, met: NetworkInfo, cidr: str) -> Problem:
    is_the_way_out = met.is_external and case.value("external_network") in (met.name, met.id)
    then = "the router can't join them" if is_the_way_out else "no route can join the two"
    return Problem(
        code="network-overlap",
        level="error" if is_the_way_out else "warning",
        where=case.where("network_cidr"),
        what=f"network_cidr {case.value('network_cidr')} overlaps with {cidr} of {met.name}: {then}",
        fix=f"--parameter network_cidr={_other_range(case)}",
    )


def _other_range(case: Case) -> str:
    """Return a range of the same size that no visible network has."""
    taken = []
    for one in case.answers.networks or ():
        for cidr in one.cidrs:
            try:
                taken.append(ipaddress.IPv4Network(cidr))
            except ValueError:
                continue
    prefix = ipaddress.IPv4Network(case.value("network_cidr")).prefixlen
    for second in range(8, 128):
        candidate = ipaddress.IPv4Network(f"10.{second}.0.0/{max(prefix, 16)}")
        if not any(candidate.overlaps(other) for other in taken):
            return str(candidate)
    return "RANGE"
