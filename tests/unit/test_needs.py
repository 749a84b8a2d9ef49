"""What a stack takes of a project, and the lines that make it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from cloud import by_hand, hot, plan
from cloud.errors import RequestError
from cloud.stack.judge.needs import needs
from cloud.stack.launch import environment_file
from tests.unit.clusters import cluster

TEXT = hot.text(cluster())


@pytest.mark.parametrize("workers", [0, 1, 4, 254])
def test_every_machine_takes_an_instance_and_a_port(workers: int) -> None:
    """Beside the machines' ports there is one of the router and one for DHCP."""
    found = needs(plan.make(TEXT, {"workers": workers}))

    assert found is not None
    taken = {quota: found.of(quota) for quota in ("instances", "ports", "routers", "networks", "subnets")}
    assert taken == {
        "instances": workers + 1,
        "ports": workers + 3,
        "routers": 1,
        "networks": 1,
        "subnets": 1,
    }
    assert (found.of("floating_ips"), found.of("security_groups"), found.machines) == (1, 1, workers + 1)


def test_what_a_condition_switches_off_is_not_counted() -> None:
    """No way out means no router, no address and no port of the router; bare metal has no security group."""
    found = needs(plan.make(TEXT, {"external_network": "", "security_groups": "no", "workers": 2}))

    assert found is not None
    gone = ("routers", "floating_ips", "security_groups", "security_group_rules")
    assert [found.of(quota) for quota in gone] == [0, 0, 0, 0]
    assert found.of("ports") == 4


def test_another_number_of_workers_can_be_asked_for() -> None:
    """That is how the number that would fit is found."""
    found = needs(plan.make(TEXT, {"workers": 4}))

    assert found is not None
    assert [found.of("ports", workers) for workers in (0, 1, 4)] == [3, 4, 7]


def test_parameters_out_of_range_say_nothing_of_machines() -> None:
    """300 workers are a finding of the plan, not a quota of one machine."""
    assert needs(plan.make(TEXT, {"workers": "300"})) is None


def test_a_repository_names_the_stack() -> None:
    """Heat wants a letter first; the rest is letters, digits, dots, - and _."""
    names = {"https://h.org/you/digits.git": "digits", "https://h.org/you/3d%20net/": "run-3d-20net"}
    for repo, name in names.items():
        found = by_hand.stack_name(plan.make(TEXT, {"repo": repo}))
        assert found == name
        by_hand.require_name(found)


@pytest.mark.parametrize("name", ["", "1st", "a b", "../x", "x" * 64, "-t"])
def test_a_name_that_heat_or_a_directory_refuses_is_refused_here(name: str) -> None:
    """It would be refused after a minute, or lie outside of runs/."""
    with pytest.raises(RequestError, match="begins with a letter"):
        by_hand.require_name(name)


def test_the_time_limit_holds_the_making_and_the_meeting() -> None:
    """The last condition counts from when all machines run; bare metal takes half an hour to get there."""
    few, many = (by_hand.timeout_min(plan.make(TEXT, {"workers": count})) for count in (0, 254))
    bare = by_hand.timeout_min(plan.make(TEXT, {"workers": 0, "master_flavor": "baremetal"}))

    assert few >= 50 + 15
    assert many >= few + 50
    assert bare >= few + 30


def test_the_line_is_quoted_for_a_shell() -> None:
    """What a shell makes of it are the words that were meant."""
    awkward = "--name 'it'\"s\" $(id); `id`"
    line = by_hand.create_line(
        "my file.yml", "x", {"args": awkward, "dns": ["8.8.8.8", "1.1.1.1"]}, anyway={}, timeout=66
    )

    assert shlex.split(line) == [
        "openstack", "stack", "create", "-t", "my file.yml", "--parameter", f"args={awkward}",
        "--parameter", "dns=8.8.8.8,1.1.1.1", "--timeout", "66", "--tags", "hotrun", "x",
    ]  # fmt: skip


def test_a_lone_semicolon_gets_company() -> None:
    """python-heatclient splits a single --parameter at semicolons, two it leaves alone."""
    line = by_hand.create_line("t.yml", "x", {"args": "a;b"}, anyway={"workers": 2})
    alone = by_hand.create_line("t.yml", "x", {"args": "a b"}, anyway={"workers": 2})

    assert "--parameter 'args=a;b' --parameter workers=2" in line
    assert "workers" not in alone


def test_an_environment_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Values are text in it, as Horizon shows them; a truth value of YAML is the word that stood there."""
    path = tmp_path / "runs" / "x" / "environment.yml"
    environment_file.write(path, {"image": "CC: #1", "workers": 2, "dns_nameservers": ["8.8.8.8", "1.1.1.1"]})
    other = tmp_path / "e.yml"
    other.write_text(
        "parameter_defaults: {image: a, key_name: k}\nparameters: {image: b, security_groups: no}\n"
    )

    assert environment_file.read(path) == {
        "image": "CC: #1",
        "workers": "2",
        "dns_nameservers": "8.8.8.8,1.1.1.1",
    }
    assert environment_file.read(other) == {"image": "b", "key_name": "k", "security_groups": "no"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("resource_registry: {A: b.yml}\n", "resource_registry"),
        ("parameters: 3\n", "parameters is no map"),
        ("- 1\n", "no Heat environment"),
        ("a: [\n", "not YAML"),
        ("parameters: {image: }\n", "image has no value"),
    ],
)
def test_what_would_be_lost_from_an_environment_is_refused(content: str, told: str, tmp_path: Path) -> None:
    """A section that only Heat's client resolves must not vanish without a word."""
    path = tmp_path / "e.yml"
    path.write_text(content)

    with pytest.raises(RequestError, match=told):
        environment_file.read(path)


def test_an_empty_environment_is_one() -> None:
    """Horizon's example begins with nothing in it."""
    assert environment_file.read(Path("/dev/null")) == {}


def test_a_missing_environment_is_said(tmp_path: Path) -> None:
    """With the reason of the system."""
    with pytest.raises(RequestError, match="No such file"):
        environment_file.read(tmp_path / "no.yml")
