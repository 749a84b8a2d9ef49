"""Cluster -> the template's parameters and their order in Horizon's form. Pure.

Horizon shows the parameters of the groups in their order and hides the others; it shows labels but no
group names, and descriptions only under the mouse: what somebody must know stands in the label. It checks
ranges and lengths itself and leaves patterns to Heat, whose only word to the user is the constraint's
description. It fills a list for any custom constraint but the key pair's wrongly, and chooses the first.
"""

from __future__ import annotations

from typing import Any

from cloud.model import MAX_ARGS_CHARACTERS, MAX_BEYOND_ASCII, MAX_WORKERS, Cluster
from cloud.request.sentences import sentences
from cloud.request.settings import CARRIED_ENGINES, TRANSPORTS, USUAL_ENGINES

Parameter = dict[str, Any]

KEY_PAIR = "nova.keypair"  # the one custom constraint that a form fills rightly
MAX_LABEL_CHARACTERS = 50  # Horizon wraps longer ones
MAX_FIELDS = 14  # about a dozen: two screens, with the four of Horizon's own
HORIZONS_TIMEOUT_S = 3600  # its Creation Timeout, for the whole stack, unless somebody changes it
BOOT_TIMEOUT_S = (60, 43_200)  # Heat's own upper limit for a wait condition

REPO = r"https://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?/[A-Za-z0-9._~/+%-]+"
LOCAL_REPO = r"/[^\x00-\x1f\x7f]*"
REF = r"((?!.*\.\.)[\w][\w./+#@=-]{0,199})?"
ONE_LINE = r"[\x20-\x7e]*([^\x00-\x9f\u2028\u2029][\x20-\x7e]*){0,%d}" % MAX_BEYOND_ASCII
INSIDE = r"(?![-/~])(?!(.*/)?\.\.(/|$))[^\x00-\x1f\x7f\\]{1,200}"
CIDR = r"[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}"
RESERVATION = r"[0-9A-Za-z-]*"
HOURS = r"(?=.*[1-9])[0-9]{1,4}(\.[0-9]{1,9})?"  # text: Horizon reads a range of numbers as whole ones
MAX_RERUN_ARGS_CHARACTERS = 255  # of a value in a server's metadata

TRAINING = ["repo", "ref", "requirements", "entrypoint", "args"]
_FLAVORS = ["master_flavor", "worker_flavor"]
_MACHINES = ["workers", "image", *_FLAVORS, "key_name", "max_hours"]
_NETWORK = ["external_network", "ssh_cidr"]
_RESERVATIONS = ["master_reservation", "worker_reservation"]
_MODEL_FIELDS = {
    **{name: f"Job.{name}" for name in [*TRAINING, "setup", "engine", "max_hours"]},
    **{name: f"Cluster.{name}" for name in ("workers", "image", "key_name", "signal_transport")},
    "master_flavor": "NodeGroup.flavor", "worker_flavor": "NodeGroup.flavor",
    "master_reservation": "NodeGroup.reservation", "worker_reservation": "NodeGroup.reservation",
    "external_network": "Network.external", "ssh_cidr": "Network.ssh_cidr", "network_cidr": "Network.cidr",
    "dns_nameservers": "Network.dns", "security_groups": "Network.security_group",
    "boot_timeout": "Cluster.boot_timeout_s",
}  # fmt: skip


def groups(cluster: Cluster) -> list[dict[str, Any]]:
    """Return the form: what is in no group is hidden there and can be set everywhere else."""
    sections = {"Training": TRAINING, "Machines": _MACHINES, "Network": _NETWORK}
    if cluster.profile == "chameleon-baremetal":
        sections["Machines"] = [name for name in _MACHINES if name not in _FLAVORS]  # it has one for all
        sections["Network"] = _NETWORK[:1]  # without a security group nobody is kept from SSH
        sections["Reservation"] = _RESERVATIONS
        sections["Time"] = ["boot_timeout"]  # longer than Horizon's own: its label must be read
    return [{"label": label, "parameters": list(names)} for label, names in sections.items()]


def parameters(cluster: Cluster) -> dict[str, Parameter]:
    """Return all parameters with the cluster's values as defaults, those of the form first."""
    found = _training(cluster) | _machines(cluster) | _network(cluster) | _start(cluster) | _rerun()
    shown = [name for group in groups(cluster) for name in group["parameters"]]
    ordered = [*shown, *(name for name in found if name not in shown)]
    return {name: _with_description(name, found[name]) for name in ordered}


def yes_no(is_so: bool) -> str:
    """Return the word that stands for a truth value in the template."""
    return "yes" if is_so else "no"


def _with_description(name: str, parameter: Parameter) -> Parameter:
    """Add the tooltip of the form, the model's own sentence, after the label."""
    head = {key: parameter[key] for key in ("type", "label")}
    said = parameter.get("description") or sentences()[_MODEL_FIELDS[name]]
    return head | {"description": said} | parameter


def _training(cluster: Cluster) -> dict[str, Parameter]:
    job = cluster.job
    engines = [*USUAL_ENGINES, *({job.engine} & {*CARRIED_ENGINES})]
    repo_pattern = f"{REPO}|{LOCAL_REPO}" if job.is_local else REPO
    return {
        "repo": _text("Git repository, an https address", job.repo,
            _pattern(repo_pattern, "repo is an https address without user name or password, "
                     "like https://github.com/you/digits.git."))
            | ({} if job.is_local else {"description": "HTTPS address of a repository that all can read."}),
        "ref": _text("Branch, tag or commit, empty for default", job.pinned_ref,
            _pattern(REF, "ref is a branch, a tag or a commit, like main, or empty for the default branch.")),
        "requirements": _text("Directory of requirements.txt, . for top", job.requirements,
            _pattern(INSIDE, "requirements is a directory inside the repository, like . or train/cpu.")),
        "entrypoint": _text("Python file to run, from that directory", job.entrypoint,
            _pattern(INSIDE + r"(?<=\.py)", "entrypoint is a Python file relative to the requirements "
                     "directory, like main.py.")),
        "args": _text("Arguments of the program, as in a shell", job.args, *_one_line("args", "--epochs 3")),
        "setup": _text("Command on every machine before the program", job.setup,
            *_one_line("setup", "make data")),
        "engine": _text("What trains, auto to read it from the program", job.engine, {
            "allowed_values": engines, "description": f"engine is one of {', '.join(engines)}."}),
    }  # fmt: skip


def _machines(cluster: Cluster) -> dict[str, Parameter]:
    lease = ", or reservation:ID" if cluster.profile == "chameleon-kvm" else ""  # KVM@TACC wants one
    return {
        "workers": _number("Workers (0 to 254, besides the master)", cluster.workers, 0, MAX_WORKERS,
            f"workers is a whole number from 0 to {MAX_WORKERS}, like 4."),
        "image": _text("Image (on GPU machines: with CUDA)", cluster.image,
            _not_empty("image", "CC-Ubuntu24.04")),
        "master_flavor": _text(f"Flavor of the master{lease}", cluster.master.flavor,
            _not_empty("master_flavor", "m1.medium, or reservation:ID for a lease")),
        "worker_flavor": _text(f"Flavor of the workers{lease}", cluster.worker.flavor,
            _not_empty("worker_flavor", "m1.medium, or reservation:ID for a lease")),
        "key_name": _text("SSH key pair (first of the list is chosen)", cluster.key_name,
            {"custom_constraint": KEY_PAIR})
            | {"description": "Key pair to log in with; Horizon chooses the first of your list."},
        "max_hours": _text("Hours until every machine powers off", _hours(cluster.job.max_hours),
            _pattern(HOURS, "max_hours is a number of hours above 0 and below 10000, like 24 or 0.5.")),
        "master_reservation": _text("Reservation of the master (bare metal)", cluster.master.reservation,
            _pattern(RESERVATION, "master_reservation is the id of a reservation, or empty for none.")),
        "worker_reservation": _text("Reservation of the workers (bare metal)", cluster.worker.reservation,
            _pattern(RESERVATION, "worker_reservation is the id of a reservation, or empty for none.")),
    }  # fmt: skip


def _network(cluster: Cluster) -> dict[str, Parameter]:
    network = cluster.network
    return {
        "external_network": _text("External network, empty for none", network.external),
        "ssh_cidr": _text("Who may use SSH, like 129.114.0.0/16", network.ssh_cidr,
            _pattern(CIDR, "ssh_cidr is an IPv4 range like 129.114.0.0/16, or 0.0.0.0/0 for everybody.")),
        "network_cidr": _text("Private addresses, like 10.8.0.0/23", network.cidr,
            _pattern(CIDR, "network_cidr is an IPv4 range like 10.8.0.0/23.")),
        "dns_nameservers": {"type": "comma_delimited_list", "label": "DNS servers, with commas between",
            "default": ",".join(network.dns)},
        "security_groups": _text("Security group, no on bare metal", yes_no(network.security_group), {
            "allowed_values": ["yes", "no"], "description": "security_groups is yes or no."}),
    }  # fmt: skip


def _start(cluster: Cluster) -> dict[str, Parameter]:
    low, high = BOOT_TIMEOUT_S
    is_long = cluster.profile == "chameleon-baremetal"
    label = f"Seconds to meet{', below Creation Timeout' if is_long else ', all machines'}"
    return {
        "boot_timeout": _number(label, cluster.boot_timeout_s, low, high,
            f"boot_timeout is a number of seconds from {low} to {high}, like 3000.")
            | {"description": "Seconds from the machines' start until all have passed the gate. "
                              "Creation Timeout, in minutes, is for the whole stack and must be longer."},
        "signal_transport": _text("How the master reports to Heat", cluster.signal_transport, {
            "allowed_values": list(TRANSPORTS),
            "description": f"signal_transport is one of {', '.join(TRANSPORTS)}."}),
    }  # fmt: skip


def _rerun() -> dict[str, Parameter]:
    """What `hotrun rerun` sets on a stack that exists; the machines read it in their metadata."""
    return {
        "rerun": _number("Runs after the first one", 0, 0, 1_000_000, "rerun is a whole number, like 1.") | {
            "description": "A higher number than before starts a new run on the same machines."},
        "rerun_ref": _text("What the later run trains, empty for the same", "",
            _pattern(REF, "rerun_ref is a branch, a tag or a commit, like main, or empty.")) | {
            "description": "Branch, tag or commit of the later run; empty for that of the first."},
        "rerun_args": _text("Arguments of the later run, empty for the same", "",
            *_one_line("rerun_args", "--epochs 3", MAX_RERUN_ARGS_CHARACTERS)) | {
            "description": "Arguments of the later run; empty for those of the first, one blank for none."},
    }  # fmt: skip


def _hours(hours: float) -> str:
    return f"{hours:.9f}".rstrip("0").rstrip(".")


def _text(label: str, default: str, *constraints: dict[str, Any]) -> Parameter:
    found: Parameter = {"type": "string", "label": label, "default": default}
    return found | ({"constraints": list(constraints)} if constraints else {})


def _number(label: str, default: int, low: int, high: int, sentence: str) -> Parameter:
    constraint = {"range": {"min": low, "max": high}, "description": sentence}
    return {"type": "number", "label": label, "default": default, "constraints": [constraint]}


def _pattern(pattern: str, sentence: str) -> dict[str, Any]:
    return {"allowed_pattern": pattern, "description": sentence}


def _not_empty(name: str, example: str) -> dict[str, Any]:
    return {"length": {"min": 1}, "description": f"{name} must not be empty; it is a name like {example}."}


def _one_line(
    name: str, example: str, most: int = MAX_ARGS_CHARACTERS
) -> tuple[dict[str, Any], dict[str, Any]]:
    sentence = (
        f"{name} is one line of at most {most} characters, {MAX_BEYOND_ASCII} of them "
        f"beyond ASCII, like {example}."
    )
    return {"length": {"max": most}, "description": sentence}, _pattern(ONE_LINE, sentence)
