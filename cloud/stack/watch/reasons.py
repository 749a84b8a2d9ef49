"""Heat's, Nova's and Neutron's sentences -> what it means, and what to do. Pure.

Each pattern was met on real services; the sentences are theirs, word for word. What no pattern knows is told
as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloud.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.stack.api import Resource, Server, Stack

MAX_CHARACTERS = 500
_WRAPPING = re.compile(
    r"^(?:Resource (?:CREATE|UPDATE) failed: |(?:WaitConditionFailure|WaitConditionTimeout|ResourceInError"
    r"|BadRequest|Forbidden|NotFound|Conflict|ResourceFailure|ClientException|OverQuotaClient): "
    r"|(?:resources(?:\.[\w-]+|\[\d+\])+): )"
)
_QUOTED_BY_NOVA = re.compile(
    r'Went to status ERROR due to "(?:Message: )?(.*?)\s*,? ?(?:Code: (\d+))?"$', re.DOTALL
)
_REQUEST_IDS = re.compile(
    r"\s*(?:Neutron server returns request_ids: \[.*?\]|\(HTTP \d+\) \(Request-ID: .*?\))"
)


@dataclass(frozen=True, slots=True)
class _Meaning:
    code: str
    pattern: str
    what: str
    """The sentence; {0} is the cloud's own, {1} the pattern's first group."""
    fix: str


_MEANINGS = (
    _Meaning("no-host", r"No valid host was found", "the cloud found no place for this machine: {0}",
             "choose a flavor that has free hosts, fewer --parameter workers=, or a reservation"),
    _Meaning("addresses-used-up", r"No (?:fixed|more) IP addresses|IpAddressGenerationFailure",
             "the network has no free address left: {0}",
             "take a larger network: --parameter network_cidr=10.8.0.0/23, or another external network"),
    _Meaning("cloud-quota", r"[Qq]uota exceeded|over quota|Quota (?:limit )?exceeded|exceeds.*quota",
             "the project's quota is used up: {0}",
             "delete what is not needed, ask for more, or take fewer --parameter workers="),
    _Meaning("network-without-security", r"Port security must be enabled",
             "this network knows no security groups: {0}",
             "--parameter security_groups=no; the host's own firewall then is the door"),
    _Meaning("network-not-external", r"is not an external network",
             "external_network names a network inside the cloud: {0}",
             "choose one with --parameter external_network=NAME; hotrun plan lists them"),
    _Meaning("user-data-too-long", r"Data too long for column|user_data.*too long|User data too large",
             "the machines' start text is longer than the cloud stores",
             "shorten args and setup; hotrun check says how many bytes there are"),
    _Meaning("stack-timed-out", r"^(?:CREATE aborted.*)?(?:Timed out|Create timed out|Update timed out)",
             "the cloud did not make all machines within the stack's time",
             "look at what is still being made in: openstack stack resource list -n 2; then hotrun down"),
    _Meaning("image-not-usable",
             r"[Ii]mage .*(?:could not be found|not active|is unacceptable)|Flavor's disk is too small",
             "the image does not fit: {0}",
             "choose another image or a larger flavor; hotrun plan compares them"),
    _Meaning("network-overlap", r"overlaps with|Invalid CIDR|Cidr .* of subnet",
             "the network's addresses are taken: {0}", "--parameter network_cidr=10.9.0.0/23"),
)  # fmt: skip


def plain(text: str) -> str:
    """Return a reason without the wrapping of Heat and the ids of requests, one line, not too long."""
    text = " ".join(_REQUEST_IDS.sub("", text).split())
    while matched := _WRAPPING.match(text):
        text = text[matched.end() :]
    if matched := _QUOTED_BY_NOVA.search(text):
        text = matched[1]
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


def problem(text: str, *, node: str = "", where: str = "") -> Problem:
    """Return what a reason means; one that nobody knows has the code `stack-failed`."""
    sentence = plain(text)
    for meaning in _MEANINGS:
        if re.search(meaning.pattern, text):
            return Problem(
                code=meaning.code, what=meaning.what.format(sentence), fix=meaning.fix, node=node, where=where
            )
    what = f"{where or node or 'the stack'} failed: {sentence or 'the cloud gives no reason'}"
    return Problem(code="stack-failed", what=what, node=node)


def of_stack(stack: Stack, resources: Sequence[Resource], servers: Sequence[Server]) -> list[Problem]:
    """Return what is wrong with the stack's parts: each different reason once, with all whom it befell.

    The wait condition's own failure is not here: it is only what a node said, or did not say.
    """
    found: dict[tuple[str, str], list[Problem]] = {}
    for one in [*_of_servers(servers, resources), *_of_resources(resources)]:
        found.setdefault((one.code, re.sub(r"[0-9a-f-]{32,}", "", one.what)), []).append(one)
    problems = [_merged(alike) for alike in found.values()]
    if not problems and stack.has_failed and not is_of_gate(stack.reason):
        problems = [problem(stack.reason)]
    return problems


def is_of_gate(reason: str) -> bool:
    """Whether the wait for the master is what failed."""
    return "WaitCondition" in reason


def _of_servers(servers: Sequence[Server], resources: Sequence[Resource]) -> list[Problem]:
    names = {resource.id: resource.machine for resource in resources if resource.machine}
    failed = [server for server in servers if server.status == "ERROR"]
    return [problem(server.fault, node=names.get(server.id, server.name)) for server in failed]


def _of_resources(resources: Sequence[Resource]) -> list[Problem]:
    """A group's failure only repeats its first member's; members and other resources tell."""
    failed = [each for each in resources if each.status.endswith("_FAILED")]
    has_members = any(each.parent for each in failed)
    found = []
    for each in failed:
        is_group = each.type == "OS::Heat::ResourceGroup"
        if is_of_gate(each.reason) or _is_consequence(each.reason) or (is_group and has_members):
            continue
        found.append(problem(each.reason, node=each.machine, where="" if each.machine else each.name))
    return found


def _is_consequence(reason: str) -> bool:
    """Whether a resource only stopped because another one failed."""
    return "aborted" in reason and "Timed out" not in reason and "Build of instance" not in reason


def _merged(alike: list[Problem]) -> Problem:
    """One problem that names all machines, ten at most."""
    first = alike[0]
    names = list(dict.fromkeys(each.node for each in alike if each.node))
    if len(names) < 2:
        return first
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return Problem(
        code=first.code, what=f"{', '.join(names[:10])}{more}: {first.what}", fix=first.fix, node=first.node
    )
