"""Cluster -> HOT: plain dicts, one function per resource, and the one file made of them. Pure.

What stands where, and why: docs/decisions/0001-the-spine.md. Parameters and the form: cloud/template/form.py.
The same cluster gives the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloud import userdata
from cloud.template import archive, emit, form, kept, provenance, published
from cloud.template.outputs import MASTER_ADDRESS, outputs

if TYPE_CHECKING:
    from cloud.model import Cluster, Job

Hot = dict[str, Any]

HEAT_VERSION = "2018-08-31"  # rocky: the oldest with all that is used here, and known to every cloud since
_JOB_PARAMETERS = (*form.TRAINING, "setup", "engine", "max_hours")
_METADATA = {"workers": "workers", "rerun": "rerun", "ref": "rerun_ref", "args": "rerun_args"}  # hotrun_KEY
INDEX = "__HOTRUN_INDEX__"  # not Heat's %index%, which a user's arguments may contain
BATCH = 32  # machines that are asked for at a time
JOB_SCHEMA = 1


def text(cluster: Cluster, *, is_published: bool = False) -> str:
    """Return the template file of a cluster, provenance first; `is_published`: the one for everybody."""
    asked = published.public(cluster) if is_published else cluster
    head = provenance.head(asked, is_published=is_published)
    if is_published:
        head += published.opening(asked)
    comments = published.comments(asked) if is_published else {}
    return head + emit.sections(template(asked, userdata.boot_text(kept.packed(parts(asked.job)))), comments)


def parts(job: Job) -> frozenset[str]:
    """Return the parts of the node program that a job needs beyond the usual ones."""
    wanted = {job.engine, *(["swap"] if job.swap else []), *(["share"] if job.share != "none" else [])}
    return frozenset(wanted & set(archive.OPTIONAL))


def template(cluster: Cluster, boot: str) -> Hot:
    """Return the template as plain dicts in the order of the file; `boot` is `userdata.boot_text()`."""
    return {
        "heat_template_version": HEAT_VERSION,
        "description": "One master and its workers train a git repository together. Made by hotrun.",
        "parameter_groups": form.groups(cluster),
        "parameters": form.parameters(cluster),
        "conditions": conditions(),
        "resources": resources(cluster, boot),
        "outputs": outputs(cluster),
    }


def conditions() -> Hot:
    """Return the conditions that switch resources and properties."""
    return {
        "has_external_network": _given("external_network"),
        "has_security_group": {"equals": [_param("security_groups"), "yes"]},
        "has_key": _given("key_name"),
        "has_way_in": {"and": ["has_key", "has_external_network"]},
        "has_master_reservation": _given("master_reservation"),
        "has_worker_reservation": _given("worker_reservation"),
    }


def resources(cluster: Cluster, boot: str) -> Hot:
    """Return all resources, network first."""
    return {
        "network": {"type": "OS::Neutron::Net"},
        "subnet": _subnet(),
        "router": _router(),
        "router_interface": _router_interface(),
        "security_group": _security_group(),
        "secret": {"type": "OS::Heat::RandomString", "properties": {"length": 32}},
        "gate_handle": _gate_handle(),
        "master_port": _master_port(),
        "floating_ip": _floating_ip(),
        "boot": _boot(cluster, boot),
        "master": _master(),
        "worker_group": _worker_group(),
        "gate": _gate(),
    }


def job(cluster: Cluster) -> Hot:
    """Return the job as the map that Heat writes into the user data as one line of JSON."""
    asked = cluster.job
    return {
        "schema": JOB_SCHEMA,
        **{name: _param(name) for name in _JOB_PARAMETERS},
        "env": list(asked.env),
        "nproc_per_node": asked.nproc_per_node,
        "torch_index": asked.torch_index,
        "allow_single": form.yes_no(asked.allow_single),
        "restarts": asked.restarts,
        "adapt": form.yes_no(asked.adapt),
        **({"swap": asked.swap} if asked.swap else {}),
        **({"share": asked.share} if asked.share != "none" else {}),
        "master": MASTER_ADDRESS,
        "cidr": _param("network_cidr"),
        "secret": {"get_attr": ["secret", "value"]},
        "boot_timeout_s": _param("boot_timeout"),
        "signal": {"get_attr": ["gate_handle", "signal"]},
        "signal_url": {"get_attr": ["gate_handle", "endpoint"]},
        "signal_token": {"get_attr": ["gate_handle", "token"]},
    }


def _subnet() -> Hot:
    return {
        "type": "OS::Neutron::Subnet",
        "properties": {
            "network": _resource("network"),
            "cidr": _param("network_cidr"),
            "dns_nameservers": _param("dns_nameservers"),
        },
    }


def _router() -> Hot:
    return {
        "type": "OS::Neutron::Router",
        "condition": "has_external_network",
        "properties": {"external_gateway_info": {"network": _param("external_network")}},
    }


def _router_interface() -> Hot:
    return {
        "type": "OS::Neutron::RouterInterface",
        "condition": "has_external_network",
        "properties": {"router": _resource("router"), "subnet": _resource("subnet")},
    }


def _security_group() -> Hot:
    """Port 22 from outside; everything between the members: a rule that names no group means its own."""
    ssh = {
        "protocol": "tcp", "port_range_min": 22, "port_range_max": 22, "remote_ip_prefix": _param("ssh_cidr"),
    }  # fmt: skip
    return {
        "type": "OS::Neutron::SecurityGroup",
        "condition": "has_security_group",
        "properties": {
            "description": "SSH from outside, everything between the machines of the cluster",
            "rules": [ssh, {"remote_mode": "remote_group_id"}],
        },
    }


def _gate_handle() -> Hot:
    return {
        "type": "OS::Heat::WaitConditionHandle",
        "properties": {"signal_transport": _param("signal_transport")},
    }


def _gate() -> Hot:
    """Complete when the master signals; waits for the machines, so boot_timeout counts from their start."""
    return {
        "type": "OS::Heat::WaitCondition",
        "depends_on": ["master", "worker_group"],
        "properties": {"handle": _resource("gate_handle"), "count": 1, "timeout": _param("boot_timeout")},
    }


def _master_port() -> Hot:
    return {
        "type": "OS::Neutron::Port",
        "properties": {
            "network": _resource("network"),
            "fixed_ips": [{"subnet": _resource("subnet")}],
            "security_groups": _SECURITY_GROUPS,
        },
    }


def _floating_ip() -> Hot:
    return {
        "type": "OS::Neutron::FloatingIP",
        "condition": "has_external_network",
        "depends_on": "router_interface",
        "properties": {"floating_network": _param("external_network"), "port_id": _resource("master_port")},
    }


def _boot(cluster: Cluster, boot: str) -> Hot:
    """One text for all machines, used by its id: 254 workers cost no more than one."""
    config = {"str_replace_strict": {"params": {userdata.JOB_TOKEN: job(cluster)}, "template": boot}}
    return {"type": "OS::Heat::SoftwareConfig", "properties": {"group": "ungrouped", "config": config}}


def _master() -> Hot:
    """Waits for the router's interface: without it the first download has no way out."""
    return {
        "type": "OS::Nova::Server",
        "depends_on": "router_interface",
        "properties": _server("master", "0", {"networks": [{"port": _resource("master_port")}]}),
    }


def _worker_group() -> Hot:
    """Members are numbered from 1, as "0" is taken away from the first create on; the number is the rank."""
    own = {"networks": [{"network": _resource("network")}], "security_groups": _SECURITY_GROUPS}
    return {
        "type": "OS::Heat::ResourceGroup",
        "depends_on": "router_interface",
        "update_policy": {"batch_create": {"max_batch_size": BATCH}},
        "properties": {
            "count": _param("workers"),
            "index_var": INDEX,
            "removal_policies": [{"resource_list": ["0"]}],
            "resource_def": {"type": "OS::Nova::Server", "properties": _server("worker", INDEX, own)},
        },
    }


def _server(role: str, rank: str, own: Hot) -> Hot:
    """Properties of one machine; what may change later is metadata, so changing it replaces no machine."""
    reservation = {"reservation": _param(f"{role}_reservation")}
    name = [_param("OS::stack_name"), role] + ([rank] if role == "worker" else [])
    return {
        "name": {"list_join": ["-", name]},
        "image": _param("image"),
        "flavor": _param(f"{role}_flavor"),
        "key_name": {"if": ["has_key", _param("key_name"), None]},
        **own,
        "scheduler_hints": {"if": [f"has_{role}_reservation", reservation, None]},
        "metadata": {
            "hotrun_rank": rank,
            **{f"hotrun_{key}": _param(name) for key, name in _METADATA.items()},
        },
        "user_data_format": "RAW",
        "user_data": _resource("boot"),
    }


def _param(name: str) -> Hot:
    return {"get_param": name}


def _resource(name: str) -> Hot:
    return {"get_resource": name}


def _given(parameter: str) -> Hot:
    return {"not": {"equals": [_param(parameter), ""]}}


_SECURITY_GROUPS: Hot = {"if": ["has_security_group", [_resource("security_group")], None]}
