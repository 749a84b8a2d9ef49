"""Nodes and the coordinator talk over real sockets on loopback."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cloud.node import checkpoints, coordinator
from cloud.node.checkpoints import Keeper
from cloud.node.coordinator import Coordinator
from cloud.node.failure import MasterLost, Stopped, problem
from cloud.node.gang import Gang
from cloud.node.link import Link, Refused
from cloud.node.store import Store
from tests.ports import free_port

FACTS = {"commit": "c", "python": "3", "torch": "2", "ranks": 1, "port": 1}
SECRET = "the stack's"


class Cluster:
    """A coordinator for two nodes, and links to it."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.gates: list[Any] = []
        self.coordinator = Coordinator(
            address="127.0.0.1", port=self.port, secret=SECRET, gang=Gang(2, time.monotonic() + 60),
            store=Store(directory / "1", directory / "shared"), on_gate=self.gates.append,
            welcome={"t": "welcome", "run": "r", "nnodes": 2},
        )  # fmt: skip
        self.coordinator.start()
        self.links: list[Link] = []

    def join(self, rank: int, secret: str = SECRET) -> Link:
        """A node's link."""
        link = Link(
            "127.0.0.1", self.port, secret, {"rank": rank, "address": "127.0.0.1", "server": "", "pid": 0}, ""
        )
        self.links.append(link)
        return link


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A running coordinator, ended afterwards."""
    made = Cluster(tmp_path)
    yield made
    for link in made.links:
        link.close()
    made.coordinator.stop()


def soon() -> float:
    """A deadline that a working machine never reaches."""
    return time.monotonic() + 20


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
    first_of_connections = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert 1024 < heard[0]["port"] < first_of_connections
    while not cluster.gates:
        time.sleep(0.01)
    assert [None] == cluster.gates


def test_ranks_do_not_meet_at_a_port_that_somebody_has(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever address it listens at: rank 0 would take the port of all of them."""
    with socket.create_server(("127.0.0.7", 0)) as other, socket.create_server(("127.0.0.1", 0)) as probe:
        taken, free = other.getsockname()[1], probe.getsockname()[1]
        probe.close()
        monkeypatch.setattr(coordinator.random, "sample", lambda *_: [taken, free])
        links = [cluster.join(0), cluster.join(1)]
        for link in links:
            link.send("ready", facts=FACTS)
            link.send("seen", unreachable={})
        assert [link.wait("go", soon())["port"] for link in links] == [free, free]


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


def test_the_master_stays_for_who_was_never_heard(cluster: Cluster) -> None:
    """A machine that boots after a failure still hears that the run is over; one that never comes is named."""
    master = cluster.join(0)
    master.send("stage", stage="source", state="failed", s=0.1, problem=problem("x", "no"))
    with pytest.raises(Stopped):
        master.wait("go", soon())
    master.send("bye")

    assert ["worker-1"] == cluster.coordinator.wait_for_byes(5.0, late_s=0.1)
    late = cluster.join(1)
    with pytest.raises(Stopped):
        late.wait("go", soon())
    late.send("bye")
    assert [] == cluster.coordinator.wait_for_byes(20.0, late_s=20.0)


def test_a_checkpoint_that_only_a_worker_holds_reaches_the_master(cluster: Cluster, tmp_path: Path) -> None:
    """The first holder hands it in, whoever lacks it takes it, and it verifies."""
    links = [cluster.join(0), cluster.join(1)]
    keepers = [Keeper(tmp_path / "kept" / str(rank)) for rank in range(2)]
    keepers[1].keep(
        {"name": "a.pt", "number": 7, "sha256": "", "manifest": ""}, lambda path: path.write_bytes(b"weights")
    )
    name, number, sha256 = keepers[1].held()[0]
    wanted = {"name": name, "number": number, "sha256": sha256, "holders": [1]}
    contexts: list[Any] = [
        SimpleNamespace(
            attempt=2, run="r", connected=lambda rank=rank: links[rank], console=SimpleNamespace(say=print),
            identity=SimpleNamespace(rank=rank, nnodes=2, name=str(rank)),
            layout=SimpleNamespace(kept=lambda run, rank=rank: tmp_path / "kept" / str(rank)),
        )
        for rank in range(2)
    ]  # fmt: skip

    paths = [checkpoints.resume(contexts[rank], wanted, soon())[0] for rank in (1, 0)]

    assert [b"weights"] * 2 == [Path(path).read_bytes() for path in paths]
    assert [["a.pt", 7, sha256]] == keepers[0].held()


def test_who_collects_already_hears_that_all_begin_again(cluster: Cluster) -> None:
    """A node whose ranks ended well goes back to the gate when another's were killed after that."""
    cluster.coordinator.gang._restarts = 1
    links = [cluster.join(0), cluster.join(1)]
    for link in links:
        link.send("ready", facts=FACTS)
    for link in links:
        link.wait("look", soon())
        link.send("seen", unreachable={})
    for link in links:
        link.wait("go", soon())
    links[1].send("exit")
    found = problem("program-failed", "rank 0: ended by SIGKILL")
    links[0].send("stage", stage="train", state="failed", s=1.0, problem=found)

    with pytest.raises(Stopped) as raised:
        links[1].wait("final", soon())

    assert raised.value.again


def test_a_machine_of_another_run_or_beyond_the_cluster_is_told_to_wait(cluster: Cluster) -> None:
    """The master may not know of it yet: metadata don't change everywhere at once."""
    hello = {"address": "127.0.0.1"}
    for rank, rerun in ((2, 0), (1, 1)):
        with pytest.raises(Refused) as refused:
            Link("127.0.0.1", cluster.port, SECRET, {**hello, "rank": rank, "rerun": rerun}, "")
        assert refused.value.may_pass
    with pytest.raises(Refused) as refused:
        cluster.join(1, secret="another")
    assert not refused.value.may_pass


def test_a_new_size_sends_all_nodes_away(cluster: Cluster) -> None:
    """They hear why, the coordinator takes no link any more, and the gate is not said to have failed."""
    links = [cluster.join(0), cluster.join(1)]
    cluster.coordinator.resize(3)
    for link in links:
        with pytest.raises(Stopped) as stopped:
            link.wait("go", soon())
        assert (True, "resized") == (stopped.value.again, stopped.value.verdict["code"])
    with pytest.raises(Refused):
        cluster.join(1)
    links[1].close()
    cluster.coordinator.wait_for_leaving(20.0)
    assert [] == cluster.gates
