"""Cluster -> the outputs of its stack: what a person reads on the stack's page, each alone. Pure.

Horizon shows them in no order of ours. What happened is told by the machines: every signal carries a page
(cloud/node/page.py), whose fields stand between marks. Heat gives the data of all signals as one text of
JSON, the last told last; so a field is found from the end, and until there is a page, what the template
itself knows stands in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloud.node.page import MARK

if TYPE_CHECKING:
    from cloud.model import Cluster

Hot = dict[str, Any]

LOGINS = {"chameleon-kvm": "cc", "chameleon-baremetal": "cc", "openstack": "ubuntu"}
COSTS = {  # what is charged for, until when: docs/chameleon.md
    "chameleon-kvm": """\
With a lease (a flavor reservation:ID) the lease is charged until it ends,
whether its machines run, are powered off or are deleted: delete the stack, then the lease.
Without a lease every machine is charged until the stack is deleted, powered off or not.""",
    "chameleon-baremetal": """\
The lease is charged until it ends, whether its machines run, are powered off or are deleted:
delete the stack, then the lease.""",
    "openstack": """\
Where this cloud charges, every machine costs until the stack is deleted, powered off or not,
and a lease until it ends.""",
}
NO_KEY = " (no key pair was chosen: only with one of the image's own)"
RUNS = "/var/lib/hotrun/runs"  # cloud/node/layout.py
MASTER_ADDRESS: Hot = {"get_attr": ["master_port", "fixed_ips", 0, "ip_address"]}
_FROM_OUTSIDE: Hot = {"get_attr": ["floating_ip", "floating_ip_address"]}
_STATE, _MACHINES, _RESULT, _UNTIL = -5, -4, -3, -2  # fields of the last page, from the end of the text


def outputs(cluster: Cluster) -> Hot:
    """Return the outputs: short, and none that reads the worker group, which every signal would ask again."""
    login = LOGINS.get(cluster.profile, "ubuntu")
    address = _if("has_external_network", _FROM_OUTSIDE, MASTER_ADDRESS)
    return {
        **_told(),
        "files": _said("How to get models, metrics and logs, also while it trains.", _files(login)),
        "ssh": _said(
            "The line to log in; where there is no external network, only from inside the cluster.",
            {"list_join": ["", [f"ssh {login}@", address, _if("has_key", "", NO_KEY)]]},
        ),
        "power_off": _said(
            "When the machines stop by themselves; what that costs is in costs.", _power_off()
        ),
        "costs": _said("What costs until when.", COSTS[cluster.profile]),
        "master_ip": _said("Address of the master inside the cluster.", MASTER_ADDRESS),
        "floating_ip": _said(
            "Address of the master from outside.", _if("has_external_network", _FROM_OUTSIDE, "")
        ),
        "workers": _said("Machines beside the master.", _with("N", N=_param("workers"))),  # Horizon hides a 0
        "status": _said("What the master reported, for programs.", {"get_attr": ["gate", "data"]}),
    }


def _told() -> Hot:
    """What the machines told last, with what is true before that."""
    before = _with(
        "no word from the machines yet: they are being made, then have at most SECONDS seconds to meet.\n"
        "If that fails, the reason stands in the stack's status, which Horizon shows above the outputs;\n"
        "Timed out alone means that the stack's own Creation Timeout was too short for this.",
        SECONDS=_param("boot_timeout"),
    )
    return {
        "state": _said("What the machines last said of themselves.", _field(_STATE, before)),
        "machines": _said(
            "Seconds that each machine took for each stage, at most 12 machines.",
            _lines(_field(_MACHINES, "no word from the machines yet")),
        ),
        "result": _said(
            "What the program reported.", _lines(_field(_RESULT, "none yet: it comes when the run has ended"))
        ),
    }


def _field(place: int, before: Any) -> Hot:
    """Return a field of the last page, or `before`; until the gate is made, its data are null."""
    default = [MARK * (6 + place), before, MARK * (-1 - place)]
    return {"str_split": [MARK, {"list_join": ["", [*default, {"get_attr": ["gate", "data"]}]]}, place]}


def _lines(text: Hot) -> Hot:
    r"""Return a text with line ends where JSON has the two characters \n."""
    return {"str_replace": {"template": text, "params": {r"\n": "\n"}}}


def _files(login: str) -> Hot:
    """Two lines of ssh, as the shell of Windows spoils files that come through a redirection."""
    alone = (
        f"ssh {login}@ADDRESS sudo tar -C {RUNS} -czf results.tar.gz .\nscp {login}@ADDRESS:results.tar.gz ."
    )
    return _if(
        "has_way_in",
        _with(
            f"With hotrun:  hotrun fetch STACK\nWith ssh alone, these two lines:\n{alone}",
            STACK=_param("OS::stack_name"),
            ADDRESS=_FROM_OUTSIDE,
        ),
        _with(
            "hotrun fetch STACK brings what the master told: the result, no models and no logs.\n"
            "They stay on the master: without a key pair or an external network nobody gets in from outside.",
            STACK=_param("OS::stack_name"),
        ),
    )


def _power_off() -> Hot:
    return _with(
        "Every machine powers off HOURS hours after its first start, workers as soon as a run ends well.\n"
        "The master: UNTIL",
        HOURS=_param("max_hours"),
        UNTIL=_field(_UNTIL, "its time stands here when the machines have met"),
    )


def _said(description: str, value: Any) -> Hot:
    return {"description": description, "value": value}


def _with(template: str, **params: Any) -> Hot:
    return {"str_replace": {"template": template, "params": params}}


def _if(condition: str, then: Any, otherwise: Any) -> Hot:
    return {"if": [condition, then, otherwise]}


def _param(name: str) -> Hot:
    return {"get_param": name}
