"""Security group, faults, addresses and settings on their way into a lab: what is made of them, without one."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any

import pytest

from cloud import hot, resolve
from cloud.errors import ProblemsFound
from cloud.model import Cluster, Job
from cloud.rehearse import addresses, environment
from cloud.rehearse.lab import gateway, rules
from cloud.rehearse.lab.namespace import views

MEMBERS = ["10.8.0.10", "10.8.0.11"]


def allowed(rule: dict[str, Any]) -> str:
    """What a single rule of the group lets in, in nftables' words."""
    text = rules.security_group("inet", [rule], MEMBERS, "t.yml:1")
    return text.partition("established,related accept\n")[2].partition("\n")[0].strip()


def test_the_templates_own_group_is_understood() -> None:
    """SSH from ssh_cidr and everything from members, as the generated template has it."""
    job = Job(repo="https://host.invalid/you/digits.git", entrypoint="main.py")
    template = resolve.load(hot.text(Cluster(job=job, workers=1)))
    values = resolve.parameters(template, {"ssh_cidr": "129.114.0.0/16"})
    group = resolve.security_rules(template, values)
    assert [allowed(rule) for rule in group or []] == [
        "ip saddr 129.114.0.0/16 tcp dport 22 accept", "ip saddr @members accept",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, "accept"),
        ({"protocol": "tcp"}, "meta l4proto tcp accept"),
        ({"protocol": "udp", "port_range_min": 53}, "udp dport 53 accept"),
        ({"protocol": "TCP", "port_range_min": 80, "port_range_max": 90}, "tcp dport 80-90 accept"),
        ({"protocol": "icmp"}, "meta l4proto icmp accept"),
        ({"protocol": "icmp", "port_range_min": 8}, "icmp type 8 accept"),
        ({"remote_ip_prefix": "10.0.0.5/8"}, "ip saddr 10.0.0.0/8 accept"),
        ({"ethertype": "IPv6", "protocol": "tcp"}, ""),
    ],
)
def test_rules_become_conditions(rule: dict[str, Any], expected: str) -> None:
    """Protocol, ports and source of a rule are what is let in; machines have no IPv6."""
    assert allowed(rule) == expected


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({"direction": "egress"}, "direction egress"), ({"protocol": "gre"}, "protocol gre"),
        ({"remote_group_id": "abc", "remote_mode": "remote_group_id"}, "remote_group_id"),
    ],
)  # fmt: skip
def test_a_rule_beyond_that_is_named(rule: dict[str, Any], named: str) -> None:
    """Nothing is let in or kept out by guessing."""
    with pytest.raises(ProblemsFound) as caught:
        rules.security_group("inet", [{}, rule], MEMBERS, "t.yml:7")
    problem = caught.value.problems[0]
    assert (problem.code, problem.where) == ("rule-not-rehearsable", "t.yml:7")
    assert f"rule 2 of the security group has {named}," in problem.what


def test_machines_have_the_templates_addresses() -> None:
    """The gateway is the first; machines follow from .10 on, or from .3 on in a range without room for that."""
    for cidr, nnodes, expected in (("10.8.0.0/23", 255, "10.8.0.10"), ("10.8.0.0/28", 5, "10.8.0.10"),
                                   ("10.8.0.0/28", 10, "10.8.0.3")):  # fmt: skip
        subnet = addresses.Subnet(ipaddress.IPv4Network(cidr), nnodes)
        assert (subnet.services, subnet.node(0)) == ("10.8.0.1", expected)
        assert ipaddress.IPv4Address(subnet.node(nnodes - 1)) < subnet.cidr.broadcast_address


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
        ("10.1.2.3", True),
    ],
)
def test_what_may_be_dialled(host: str, expected: bool) -> None:
    """Loopback, links and groups of this computer are none of a machine's."""
    assert gateway.may_leave(host) is expected


def test_resolvers_are_this_computers(tmp_path: Path) -> None:
    """The first three of resolv.conf, in order; itself when there are none."""
    conf = tmp_path / "resolv.conf"
    conf.write_text(
        "# nameserver 9.9.9.9\nsearch x\n" + "".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 6))
    )
    assert gateway.resolvers(conf) == [("192.0.2.1", 53), ("192.0.2.2", 53), ("192.0.2.3", 53)]
    assert gateway.resolvers(tmp_path / "missing") == [("127.0.0.1", 53)]


def test_closing_the_gateway_ends_its_threads() -> None:
    """Threads that wait for a connection or a question are woken."""
    connections = socket.create_server(("127.0.0.1", 0))
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("127.0.0.1", 0))
    opened = gateway.Gateway(connections, names, "10.8.0.1")
    opened.close()
    assert not [thread for thread in opened.threads if thread.is_alive()]


def test_paths_in_settings_are_found(tmp_path: Path) -> None:
    """Alone, in lists, and as file addresses; what does not exist is left out."""
    wheels, other = tmp_path / "wheels", tmp_path / "more wheels"
    for each in (wheels, other):
        each.mkdir()
    settings = {
        "PIP_FIND_LINKS": f"{wheels} https://index.invalid/x", "UV_INDEX": other.as_uri(),
        "PATH": f"{tmp_path}:/nowhere", "NO_PROXY": "localhost,10.0.0.1",
    }  # fmt: skip
    assert set(environment.named_paths(settings)) == {wheels, other, tmp_path}


def test_settings_that_lead_to_the_loopback_are_named() -> None:
    """By name, in addresses with and without credentials; a proxy's exceptions are none."""
    settings = {
        "HTTPS_PROXY": "http://me:secret@127.0.0.1:3128", "UV_INDEX": "a=https://localhost/simple",
        "PIP_INDEX_URL": "https://localhost.example/simple", "NO_PROXY": "127.0.0.1,localhost",
    }  # fmt: skip
    assert environment.loopback_settings(settings) == ["HTTPS_PROXY", "UV_INDEX"]


@pytest.fixture
def places() -> Any:
    """Directories below /tmp, and one that is not."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="hotrun-", dir="/tmp") as name:
        top = Path(name)
        for part in ("a/nodes", "a/uv", "b"):
            (top / part).mkdir(parents=True)
        yield top


def test_tmp_is_the_machines_own_unless_it_parts_hard_links(places: Path) -> None:
    """What is linked together stays in one mount; what is kept beside it is shown once."""
    together = [places / "a/nodes", places / "a/uv"]
    assert views(together, [places / "b", Path("/usr")]) == (
        ["/tmp", "/run"], [str(places / "a"), str(places / "b")],
    )  # fmt: skip
    assert views([places / "a/nodes", Path("/usr")], [places / "b"]) == (["/run"], [])
    assert views([Path("/usr"), Path("/opt")], []) == (["/tmp", "/run"], [])
