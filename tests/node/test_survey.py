"""Machines look at themselves and at each other, over real sockets on loopback."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.node import machine, survey
from cloud.node.context import Context
from cloud.node.survey import Ear, look
from tests.node.conftest import HERE, THERE

REPO = "https://no-such-host.invalid/somebody/something.git"


@pytest.fixture
def ear() -> Iterator[Ear]:
    """A machine that listens."""
    made = Ear(THERE)
    yield made
    made.close()


def closed_port() -> int:
    """A port at THERE on which nobody listens."""
    with socket.create_server((THERE, 0)) as probe:
        return int(probe.getsockname()[1])


def test_who_listens_is_reached(ear: Ear) -> None:
    """An ear answers everybody, several at once and again."""
    machines = [[rank, THERE, ear.port] for rank in range(40)]

    assert {} == look(machines, HERE)
    assert {} == look(machines[:1], HERE)
    assert {} == look([], HERE)


def test_who_does_not_listen_is_told_in_plain_words(ear: Ear) -> None:
    """Only the machines that were not reached are in the answer, each with the port and the reason."""
    port = closed_port()

    assert {"2": f"port {port}: connection refused"} == look([[1, THERE, ear.port], [2, THERE, port]], HERE)


def test_a_closed_ear_is_not_reached() -> None:
    """After `close` the port is free."""
    made = Ear(THERE)
    made.close()

    assert ["7"] == list(look([[7, THERE, made.port]], HERE))


def test_silence_is_a_time_out() -> None:
    """A port that takes the connection and says nothing is as closed as one that drops it."""
    with socket.create_server((THERE, 0)) as silent:
        port = silent.getsockname()[1]

        assert {"1": f"port {port}: timed out"} == look([[1, THERE, port]], HERE, timeout_s=0.2)


def test_another_service_does_not_count() -> None:
    """Only what was sent is the right answer: a stranger on the same port is no machine of ours."""
    with socket.create_server((THERE, 0)) as stranger:
        port = stranger.getsockname()[1]

        def answer() -> None:
            with stranger.accept()[0] as connection:
                connection.sendall(b"SSH-")
                connection.recv(4)

        thread = threading.Thread(target=answer)
        thread.start()
        assert {"1": f"port {port}: another service answers"} == look([[1, THERE, port]], HERE)
        thread.join()


def test_the_look_comes_from_the_machines_own_address() -> None:
    """What a firewall judges is the cluster's address, not whichever the kernel likes."""
    with socket.create_server((THERE, 0)) as server:
        look([[1, THERE, server.getsockname()[1]]], HERE, timeout_s=0.2)
        connection, (address, _) = server.accept()
        connection.close()

    assert HERE == address


def test_a_visitor_who_says_nothing_does_not_block_others(ear: Ear) -> None:
    """A port scanner may hold its connection; machines are answered meanwhile."""
    with socket.create_connection((THERE, ear.port)):
        assert {} == look([[1, THERE, ear.port]], HERE)


def test_facts_are_those_of_the_gate(context: Context) -> None:
    """The keys of the decisions page, each with a value of this machine; the clock is read last."""
    before = time.time()
    facts = survey.facts(context, 43211)

    assert [
        "name", "address", "interface", "mtu", "commit", "lock", "kind", "python", "torch", "ranks", "gpus",
        "gpu_problem", "disk", "memory", "port", "clock",
    ] == list(facts)  # fmt: skip
    assert ("worker-1", "1234abcd", "", "", 43211) == tuple(
        facts[key] for key in ("name", "lock", "torch", "gpu_problem", "port")
    )
    assert before <= facts["clock"] <= time.time()
    assert facts["disk"] > 0
    assert facts["memory"] > 0


def test_the_largest_packet_of_an_interface() -> None:
    """The kernel's own number; 0 for an interface that does not exist."""
    assert int(Path("/sys/class/net/lo/mtu").read_text()) == machine.mtu_of("lo")
    assert [0, 0] == [machine.mtu_of(""), machine.mtu_of("nothing0")]


@pytest.fixture
def without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable that hands names to somebody else."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name == "HOTRUN_GITCONFIG":
            monkeypatch.delenv(name)


@pytest.mark.network
@pytest.mark.usefixtures("without_proxy")
def test_a_host_without_an_address_is_a_problem() -> None:
    """The machine, the host and the resolver's own words are named; `.invalid` never exists (RFC 6761)."""
    found = survey.name_problem(REPO, "worker-1", tries=1)

    assert found is not None
    assert "no-dns" == found["code"]
    assert found["what"].startswith("worker-1 can't resolve no-such-host.invalid: ")
    assert "dns_nameservers" in found["fix"]


@pytest.mark.usefixtures("without_proxy")
@pytest.mark.parametrize(
    "repo", ["https://localhost/a.git", "https://127.0.0.1:8443/a.git", "/srv/repositories/a"]
)
def test_a_host_with_an_address_is_none(repo: str) -> None:
    """Nor is an address written in numbers, or a path, which has no host."""
    assert survey.name_problem(repo) is None


@pytest.mark.usefixtures("without_proxy")
def test_names_that_others_resolve_are_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy asks by itself, and a stand-in for the repository needs no host; another's stand-in does not help."""
    config = tmp_path / "gitconfig"
    config.write_text(f'[url "file:///a"]\n\tinsteadOf = "{REPO}"\n')
    monkeypatch.setenv("HOTRUN_GITCONFIG", str(config))
    assert survey.name_problem(REPO) is None

    monkeypatch.delenv("HOTRUN_GITCONFIG")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
    assert survey.name_problem(REPO) is None
