"""Template -> what a machine receives: Heat's functions, as far as they are needed, and named refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from cloud import hot, resolve
from cloud.errors import ProblemsFound
from cloud.template import placeholders
from tests.unit.clusters import AWKWARD, cluster

FACTS = resolve.Facts(
    stack_name="digits",
    addresses=("10.8.0.5",),
    secret="s3cret",
    signal={"signal": '{"a": "ü"}', "endpoint": None},
)
TEXT = hot.text(cluster(args=AWKWARD))


def edited(**metadata: Any) -> resolve.Template:
    """A template whose master gets more metadata."""
    document = yaml.safe_load(TEXT)
    document["conditions"]["loop"] = {"not": "loop"}
    document["resources"]["master"]["properties"]["metadata"] |= metadata
    return resolve.load(yaml.safe_dump(document))


def metadata(value: Any, **parameters: Any) -> str:
    """Return what a value becomes in the master's metadata."""
    template = edited(x=value)
    return resolve.node(template, resolve.parameters(template, parameters), 0, FACTS).metadata["x"]


def job_of(node: resolve.ResolvedNode) -> dict[str, Any]:
    """Return the job that a machine is given."""
    lines = node.user_data.decode().splitlines()
    return dict(json.loads(lines[lines.index("  cat >\"$job\" <<'HOTRUN_JOB'") + 1]))


def test_job_line_holds_what_was_asked_and_the_facts() -> None:
    """Strings arrive as typed, numbers as numbers, attributes as Heat gives them, on one line of ASCII."""
    template = resolve.load(TEXT)
    job = job_of(resolve.node(template, resolve.parameters(template, {"boot_timeout": "90"}), 0, FACTS))
    expected = {
        "schema": 1, "args": AWKWARD, "boot_timeout_s": 90, "master": "10.8.0.5", "secret": "s3cret", "env": [],
        "signal": '{"a": "ü"}', "signal_url": None, "signal_token": None, "max_hours": "24", "cidr": "10.8.0.0/23",
    }  # fmt: skip
    assert expected == {key: job[key] for key in expected}
    assert {
        "repo", "ref", "requirements", "entrypoint", "setup", "engine", "nproc_per_node", "torch_index",
        "allow_single", "restarts", "adapt",
    } == set(job) - set(expected)  # fmt: skip


def test_every_machine_gets_the_same_user_data_and_its_own_rank() -> None:
    """The number of a worker is its rank, and changing how many there are changes no user data."""
    template = resolve.load(TEXT)
    few, most = resolve.parameters(template, {}), resolve.parameters(template, {"workers": "254"})
    two = [resolve.node(template, few, rank, FACTS) for rank in range(3)]
    many = [resolve.node(template, most, rank, FACTS) for rank in (0, 1, 254)]
    assert ["master", "worker-1", "worker-2"] == [node.name for node in two]
    same = {"hotrun_rerun": "0", "hotrun_ref": "", "hotrun_args": ""}
    assert {"hotrun_rank": "2", "hotrun_workers": "2", **same} == two[2].metadata
    assert {"hotrun_rank": "254", "hotrun_workers": "254", **same} == many[2].metadata
    assert {node.user_data for node in [*two, *many]} == {two[0].user_data}


def test_user_data_is_the_boot_text_with_the_job_in_it() -> None:
    """Nothing else of the boot text changes."""
    template = resolve.load(TEXT)
    values = resolve.parameters(template, {})
    facts = placeholders.facts(values)
    job = resolve.value(
        template,
        values,
        facts,
        *["resources", "boot", "properties", "config", "str_replace_strict", "params"],
    )
    line = json.dumps(job["@@JOB@@"], sort_keys=True)
    assert (
        template.boot.replace("@@JOB@@", line).encode() == resolve.node(template, values, 1, facts).user_data
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"get_param": "workers"}, "2"),
        ({"get_param": ["dns_nameservers", 1]}, "8.8.4.4"),
        ({"get_param": ["dns_nameservers", 9]}, ""),
        ({"get_param": "dns_nameservers"}, '["8.8.8.8", "8.8.4.4"]'),
        ({"get_param": "OS::stack_name"}, "digits"),
        ({"get_attr": ["master_port", "fixed_ips", 0, "ip_address"]}, "10.8.0.5"),
        ({"list_join": ["-", ["a", None, {"b": 1}], ["c"]]}, 'a--{"b": 1}-c'),
        ({"list_join": ["-", None, []]}, ""),
        ({"if": ["has_key", "x", {"get_param": "image"}]}, "CC-Ubuntu24.04"),
        ({"if": [{"and": [True, {"or": [False, "has_external_network"]}]}, "yes", "no"]}, "yes"),
        ({"if": [{"not": {"equals": [{"get_param": "workers"}, 2]}}, "yes", "no"]}, "no"),
        ({"str_replace": {"template": "a aa b", "params": {"a": "aa", "aa": "a", "z": "?"}}}, "aa a b"),
        ({"str_replace": {"template": "xy", "params": {"x": "y", "y": "x"}}}, "yx"),
        ({"str_replace": {"template": "x", "params": {"x": True}}}, "True"),
        ({"str_replace": {"template": "x", "params": {"x": None}}}, ""),
        ({"str_replace_strict": {"template": "x", "params": {"x": {"b": 'ü"', "a": [1.0, None]}}}},
            '{"a": [1.0, null], "b": "\\u00fc\\""}'),
        (3, "3"), (True, "true"), ("%index%", "%index%"), ({"a": {"b": "c"}}, '{"a": {"b": "c"}}'),
    ],
)  # fmt: skip
def test_functions(value: Any, expected: str) -> None:
    """Each function gives what Heat's gives."""
    assert expected == metadata(value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"get_param": "nope"}, "no value for the parameter 'nope'"),
        ({"get_param": "OS::stack_id"}, "OS::stack_id"),
        ({"get_attr": ["floating_ip", "floating_ip_address"]}, "only known in a cloud"),
        ({"get_attr": "secret"}, "takes a list"),
        ({"get_resource": "network"}, "id of network"),
        ({"get_resource": "nope"}, "no resource 'nope'"),
        ({"list_join": ["-", [{"get_resource": "network"}]]}, "joins text"),
        ({"list_join": ["-", [1]]}, "joins text"),
        (
            {"str_replace": {"template": "x", "params": {"x": {"a": {"get_resource": "network"}}}}},
            "id of network",
        ),
        ({"str_replace_strict": {"template": "x", "params": {"y": "z"}}}, "does not contain 'y'"),
        ({"str_replace": "x"}, "takes a template"),
        ({"if": ["nope", 1, 2]}, "no condition 'nope'"),
        ({"if": ["loop", 1, 2]}, "depends on itself"),
        ({"if": ["has_key", 1]}, "two values"),
        ({"equals": [1]}, "two values"),
        ({"and": [True]}, "two conditions"),
        ({"yaql": {"expression": "1"}}, "yaql is a function that only Heat"),
        ({"get_file": "x"}, "get_file"),
    ],
)
def test_what_only_a_cloud_knows_is_a_named_problem(value: Any, said: str) -> None:
    """Nothing is guessed: the problem names the function, and the line of the file."""
    with pytest.raises(ProblemsFound) as found:
        metadata(value)
    (problem,) = found.value.problems
    assert problem.code == "cannot-resolve"
    assert said in problem.what
    assert int(problem.where.removeprefix("template.yml:")) > 1


def test_group_without_removal_policies_is_resolved_as_heat_numbers_it() -> None:
    """Members are numbered from 0 when the policy is gone, and the index variable is replaced everywhere."""
    document = yaml.safe_load(TEXT)
    group = document["resources"]["worker_group"]["properties"]
    del group["removal_policies"]
    group["resource_def"]["properties"]["user_data"] = {"list_join": ["", ["rank ", group["index_var"]]]}
    template = resolve.load(yaml.safe_dump(document))
    node = resolve.node(template, resolve.parameters(template, {}), 1, FACTS)
    assert (b"rank 0", "0") == (node.user_data, node.metadata["hotrun_rank"])


def test_rank_beyond_the_workers_is_a_mistake() -> None:
    """There is no such machine."""
    template = resolve.load(TEXT)
    with pytest.raises(ValueError, match="rank 3 of 2"):
        resolve.node(template, resolve.parameters(template, {}), 3, FACTS)


def test_security_rules_follow_the_parameters() -> None:
    """The rules with their values, or None where the cluster has no security group."""
    template = resolve.load(TEXT)
    values = resolve.parameters(template, {"ssh_cidr": "10.0.0.0/8"})
    assert [
        {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22, "remote_ip_prefix": "10.0.0.0/8"},
        {"remote_mode": "remote_group_id"},
    ] == resolve.security_rules(template, values)
    assert resolve.security_rules(template, resolve.parameters(template, {"security_groups": "no"})) is None
