"""Cluster -> the template that its author gives to everybody: what is private left out, and comments. Pure.

The same request gives the same bytes; nothing of what was left out is in them.
"""

from __future__ import annotations

import math
import re
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

from cloud.errors import Problem
from cloud.model import EVERYBODY, RESERVED
from cloud.request.profiles import PROFILES
from cloud.template import form
from cloud.template.outputs import COSTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.model import Cluster, NodeGroup

Place = tuple[str | int, ...]

_ONE_ADDRESS = "/32"
_OWN_PATH = re.compile(r"(?:(?<=[\s='\":,])|^)(?:~/|/(?:home|Users)/|[A-Za-z]:\\)[^\s'\"]*")
_COLUMNS = 108
_MAKING_MIN = 30

RESOURCES = {
    "network": "A private network of the cluster's own.",
    "subnet": "Its range of addresses and its DNS servers.",
    "router": "The way out to the external network; none when external_network is empty.",
    "router_interface": "Joins the private network to the router; machines wait for it, to be online.",
    "security_group": "Lets in SSH from ssh_cidr and everything between the machines, nothing else.",
    "secret": "32 characters that Heat makes up at launch; machines know each other by it.",
    "gate_handle": "The address and the credentials by which the master reports, and nothing else.",
    "master_port": "The master's place on the network, made first: so every machine knows its address.",
    "floating_ip": "The master's address from outside, for SSH.",
    "boot": "The one script that every machine runs: the job, the node program, and how to start it.",
    "master": "The machine of rank 0: clones, coordinates, trains, reports.",
    "worker_group": "The workers, numbered from 1; the number is the rank.",
    "gate": "Keeps the stack in progress until the master says that all machines met, or why not.",
}


def public(cluster: Cluster) -> Cluster:
    """Return the cluster without what is its author's alone, and with the ref as it was asked for."""
    job, network, profile = cluster.job, cluster.network, PROFILES.get(cluster.profile, {})
    return replace(
        cluster,
        job=replace(job, commit="", env=tuple(pair for pair in job.env if not _valued(pair))),
        key_name="",
        master=_unreserved(cluster.master, profile["master_flavor"]),
        worker=_unreserved(cluster.worker, profile["worker_flavor"]),
        network=replace(network, ssh_cidr=EVERYBODY if _is_one_address(cluster) else network.ssh_cidr),
    )


def left_out(cluster: Cluster) -> Iterator[Problem]:
    """Yield what the author must know: what a published template has not, and what it must not have."""
    if cluster.job.is_local:
        yield Problem(
            code="publish-local",
            what=f"repo is {cluster.job.repo}, a directory of this computer, and --publish is for everybody",
            fix="push it and give its https address",
        )
    names = [name for name, is_own in _own(cluster).items() if is_own]
    if names:
        listed = ", ".join(names[:-1]) + (" and " if names[:-1] else "") + names[-1]
        what = f"{listed} {'is' if len(names) == 1 else 'are'} yours and left out"
        yield Problem(
            code="publish-left-out", level="note", what=what, fix="whoever uses it fills in the form"
        )
    pairs = [pair.partition("=")[0] for pair in cluster.job.env if _valued(pair)]
    if pairs:
        yield Problem(
            code="publish-env",
            level="warning",
            what=f"env {', '.join(pairs)} is left out, as values of variables may be private",
            fix="give a default in the program, or write NAME=VALUE into the template's env yourself",
        )
    for name in ("args", "setup"):
        found = _OWN_PATH.search(getattr(cluster.job, name))
        if found:
            what = f"{name} names {found[0]}, which looks like a path of your own computer, and it stays in"
            fix = "take it out where it is one: no machine of a cloud has it"
            yield Problem(code="publish-path", level="warning", what=what, fix=fix)


def opening(cluster: Cluster) -> str:
    """Return the comment below the first lines: what it is, how to use it, what it costs, how to end it."""
    return "#\n" + "".join(f"{line}\n" for part in _opening(cluster) for line in _comment(part))


def _opening(cluster: Cluster) -> Iterator[str]:
    yield (
        "What it is: an OpenStack Heat template. A master and its workers "
        f"({cluster.workers} unless you say otherwise) train a git repository together, as one program."
    )
    yield (
        "To use it: in Horizon, Orchestration > Stacks > Launch Stack; take this file, fill in the form, "
        "choose your key pair (without one nobody can log in), Launch. Or in a terminal:"
    )
    timeout = _timeout_min(cluster)
    yield f"  openstack stack create -t FILE --timeout {timeout} --parameter key_name=NAME STACK"
    if cluster.boot_timeout_s > form.HORIZONS_TIMEOUT_S:
        yield f"Write {timeout} for Horizon's Creation Timeout: its 60 minutes are too short."
    yield (
        "To follow it: the stack's page, tab Overview. state, machines and result say how far it is, files "
        "says how to get what it made."
    )
    yield f"What it costs: {COSTS[cluster.profile]}"
    yield (
        "To end it: get your files, then Delete Stack in Horizon, or openstack stack delete STACK. "
        "Nothing is left after that."
    )


def comments(cluster: Cluster) -> dict[Place, list[str]]:
    """Return the lines above sections, groups and resources, by where they stand."""
    shown = form.groups(cluster)
    told: dict[Place, str] = dict(_SECTIONS)
    for index, group in enumerate(shown):
        told["parameter_groups", index] = _GROUPS[group["label"]]
        told["parameters", group["parameters"][0]] = f"{group['label']}."
    in_form = {name for group in shown for name in group["parameters"]}
    hidden = next(name for name in form.parameters(cluster) if name not in in_form)
    told["parameters", hidden] = (
        "Not in the form: --parameter NAME=VALUE of openstack stack create sets them."
    )
    told |= {("resources", name): sentence for name, sentence in RESOURCES.items()}
    told["resources", "boot"] += " `env` takes NAME=VALUE pairs for the program."
    return {place: list(_comment(sentence)) for place, sentence in told.items()}


_SECTIONS: dict[Place, str] = {
    ("parameter_groups",): "The form. Horizon shows these fields in this order, and no headings.",
    ("parameters",): "The fields: label, help, default, and what each accepts.",
    ("conditions",): "What depends on fields that are left empty.",
    ("resources",): "What is made. Deleting the stack deletes all of it.",
    ("outputs",): "What the stack's page shows.",
}
_GROUPS = {
    "Training": "What is trained. repo: an https address that everybody can read; to train your own "
    "copy, put the address of your copy there. "
    "ref: empty takes the default branch as it is when the stack is made.",
    "Machines": "On which machines. workers: beside the master. key_name: your own key pair, to log in. "
    "A flavor is reservation:ID where the cloud wants a lease. "
    "max_hours: then they power off, which deletes nothing.",
    "Network": "The way out and in. external_network: without one there is no download and no "
    "login. ssh_cidr: narrow it to the addresses that you log in from.",
    "Reservation": "The reservations of your lease: bare metal starts only with one.",
    "Time": "How long the machines may take to meet; they take long to start.",
}


def _own(cluster: Cluster) -> dict[str, bool]:
    return {
        "key_name": bool(cluster.key_name),
        **{f"{role}_flavor": group.flavor.startswith(RESERVED) for role, group in _roles(cluster)},
        **{f"{role}_reservation": bool(group.reservation) for role, group in _roles(cluster)},
        "ssh_cidr": _is_one_address(cluster),
    }


def _roles(cluster: Cluster) -> tuple[tuple[str, NodeGroup], ...]:
    return ("master", cluster.master), ("worker", cluster.worker)


def _unreserved(group: NodeGroup, usual: str) -> NodeGroup:
    return replace(group, flavor=usual if group.flavor.startswith(RESERVED) else group.flavor, reservation="")


def _is_one_address(cluster: Cluster) -> bool:
    """Whether SSH is only for one computer: its author's, whose address is nobody's business."""
    return cluster.network.ssh_cidr.endswith(_ONE_ADDRESS)


def _valued(pair: str) -> bool:
    return bool(pair.partition("=")[2])


def _timeout_min(cluster: Cluster) -> int:
    """Minutes that Heat gets for the whole stack: to make the machines, then for them to meet."""
    return math.ceil(cluster.boot_timeout_s / 60) + _MAKING_MIN


def _comment(sentence: str) -> Iterator[str]:
    indent = "  " if sentence.startswith("  ") else ""  # a command, to be copied
    yield from (
        f"# {indent}{line}" for line in textwrap.wrap(sentence.strip(), _COLUMNS - 4, break_on_hyphens=False)
    )
