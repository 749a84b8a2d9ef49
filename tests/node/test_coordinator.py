"""Nodes and the coordinator talk over real sockets on loopback."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from cloud.node import coordinator
from cloud.node.failure import MasterLost, Stopped, problem
from cloud.node.link import Refused
from tests.node.linked import FACTS, SECRET, Cluster, soon
from tests.ports import free_port


def test_everybody_hears_go_once_all_are_ready(cluster: Cluster) -> None:
    """The go carries a port for the ranks and every node's address; the gate's success is told once."""
    links = [cluster.join(0), cluster.join(1)]
    links[0].send("ready", facts=FACTS)
    assert links[0].heard("go") is None
    links[1].send("ready", facts=FACTS)
    for link in links:
        assert [[0, "127.0.0.1", 1], [1, "127.0.0.1", 1]] == link.wait("look", soon())["machines"]
        link.send("seen", unreachable={})

    heard = [link.wait("go", soon()) for link in links]

    assert heard[0] == heard[1]
    assert ["127.0.0.1", "127.0.0.1"] == heard[0]["addresses"]
    assert 20_000 <= heard[0]["port"] < 30_000  # below those that connections are given
    while not cluster.gates:
        time.sleep(0.01)
    assert [None] == cluster.gates


def test_ranks_do_not_meet_at_a_port_that_somebody_has(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever address it listens at: rank 0 would take the port of all of them."""
    free = free_port()
    with socket.create_server(("127.0.0.7", 0)) as other:
        taken = other.getsockname()[1]
        monkeypatch.setattr(coordinator.random, "sample", lambda *_: [taken, free])
        assert [link.wait("go", soon())["port"] for link in cluster.gathered()] == [free, free]


def test_a_failure_stops_the_others_with_its_verdict(cluster: Cluster) -> None:
    """Whoever waits for anything hears who failed, in which stage and why."""
    links = [cluster.join(0), cluster.join(1)]
    found = problem("requirement-not-found", "torchh: no such package")
    links[1].send("stage", stage="environment", state="failed", s=1.0, problem=found)

    with pytest.raises(Stopped) as raised:
        links[0].published("lock", soon())

    verdict = raised.value.verdict
    assert ("worker-1", "environment", "torchh: no such package") == (
        verdict["node"],
        verdict["stage"],
        verdict["what"],
    )


def test_a_node_that_vanishes_is_named(cluster: Cluster) -> None:
    """A connection that ends without bye is a loss at once."""
    master, worker = cluster.join(0), cluster.join(1)
    worker._closing = True
    worker._socket.shutdown(socket.SHUT_RDWR)

    with pytest.raises(Stopped, match="worker-1 was lost"):
        master.wait("go", soon())


def test_shared_files_are_made_once_and_reach_everybody(cluster: Cluster, tmp_path: Path) -> None:
    """The first that claims a file makes it; the others hear of it with its facts, and get the same bytes."""
    master, worker = cluster.join(0), cluster.join(1)
    made = tmp_path / "made"
    made.write_bytes(b"lock" * 100_000)

    assert [True, False] == [master.claim("lock-cpu"), worker.claim("lock-cpu")]
    master.publish("lock-cpu", made, digest="x")
    assert {"digest": "x"} == worker.published("lock-cpu", soon())
    worker.fetch("lock-cpu", tmp_path / "taken")
    assert made.read_bytes() == (tmp_path / "taken").read_bytes()


def test_a_latecomer_hears_what_was_said_before(cluster: Cluster, tmp_path: Path) -> None:
    """A worker that boots later gets the published files and the stop."""
    master = cluster.join(0)
    made = tmp_path / "made"
    made.write_text("x")
    master.publish("source", made, commit="c")
    master.send("stage", stage="source", state="failed", s=1.0, problem=problem("x", "no"))
    with pytest.raises(Stopped):
        master.wait("go", soon())

    late = cluster.join(1)

    assert {"commit": "c"} == late.published("source", soon())
    with pytest.raises(Stopped):
        late.wait("go", soon())


def test_uploads_land_with_the_master(cluster: Cluster, tmp_path: Path) -> None:
    """A worker's result comes below its name; one that leads out of its place is refused."""
    worker = cluster.join(1)
    path = tmp_path / "r.json"
    path.write_text("{}")
    worker.upload(path, "results", "a b/r.json")

    assert "{}" == (cluster.coordinator.store.directory / "results/worker-1/a b/r.json").read_text()
    with pytest.raises(OSError, match="could not keep"):
        worker.upload(path, "results", "../../r.json")


@pytest.mark.parametrize(("rank", "secret", "why"), [(1, "another's", "403"), (7, SECRET, "409")])
def test_strangers_are_refused(cluster: Cluster, rank: int, secret: str, why: str) -> None:
    """Another stack's secret or a rank that does not exist is a named refusal, not a wait."""
    with pytest.raises(Refused, match=why):
        cluster.join(rank, secret)


def test_a_lost_master_ends_every_wait(cluster: Cluster) -> None:
    """When the coordinator is gone, whoever waits hears that."""
    worker = cluster.join(1)
    worker._socket.shutdown(socket.SHUT_RD)

    with pytest.raises(MasterLost):
        worker.wait("go", soon())
