"""`--share nfs` on nodes that are rehearsed: order, places and refusals; the mount itself is test_share_nfs.py's."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from cloud.node import share
from cloud.node.context import Console, Context
from cloud.node.coordinator import Coordinator
from cloud.node.failure import StageFailed
from cloud.node.gang import Gang
from cloud.node.host import Host
from cloud.node.job import Job
from cloud.node.layout import Layout
from cloud.node.link import Link
from cloud.node.machine import Identity
from cloud.node.store import Store
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUN = "run-1"


def soon() -> float:
    """A deadline that a working machine never reaches."""
    return time.monotonic() + 120


class Cluster:
    """A coordinator, a master and a worker; the worker's directory is a link to the master's where it is `brought`."""

    def __init__(self, top: Path, *, brought: bool) -> None:
        port = free_port()
        self.coordinator = Coordinator(
            address="127.0.0.1", port=port, secret="s", gang=Gang(2, soon()), on_gate=None,
            store=Store(top / "1", top / "store"), welcome={"t": "welcome", "run": RUN, "nnodes": 2},
        )  # fmt: skip
        self.coordinator.start()
        self.log = (top / "log").open("w")
        self.nodes = [self.node(top, port, rank) for rank in range(2)]
        self.master, self.worker = self.nodes
        self.master.coordinator = self.coordinator
        self.shared = self.master.layout.state / "shared"
        self.shared.mkdir()
        if brought:
            (self.worker.layout.state / "shared").symlink_to(self.shared)

    def node(self, top: Path, port: int, rank: int) -> Context:
        """One that has joined."""
        identity = Identity(rank, 2, "", "127.0.0.1")
        made = Context(
            job=Job(repo="", entrypoint="main.py", master="127.0.0.1", secret="s", share="nfs"), run=RUN,
            layout=Layout(top / identity.name), host=Host(is_rehearsal=True), console=Console(identity.name),
            identity=identity,
        )  # fmt: skip
        made.link = Link("127.0.0.1", port, "s", {"rank": rank, "address": "127.0.0.1"}, "")
        made.begin_attempt(1)
        made.begin("source", self.log)
        return made

    def both(self) -> None:
        """The stage on the worker, which has to wait, then on the master."""
        found: list[Any] = []
        waiting = threading.Thread(target=lambda: found.append(share.add(self.worker, soon())))
        waiting.start()
        waiting.join(0.5)
        assert found == []
        assert share.add(self.master, soon()) == "skipped: rehearsal"
        waiting.join()
        assert found == ["skipped: rehearsal"]

    def close(self) -> None:
        """End it."""
        for node in self.nodes:
            node.connected().close()
        self.coordinator.stop()
        self.log.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """One whose worker has the master's directory."""
    made = Cluster(tmp_path, brought=True)
    yield made
    made.close()


def test_only_the_clusters_addresses_may_write(tmp_path: Path) -> None:
    """One line of /etc/exports; every user of every machine is the program's there."""
    line = share.exports(tmp_path, "10.8.0.0/23", 998, 997)
    assert (
        line
        == f"{tmp_path} 10.8.0.0/23(rw,sync,no_subtree_check,fsid=1,all_squash,anonuid=998,anongid=997)\n"
    )


def test_programs_are_given_the_share(cluster: Cluster) -> None:
    """The same data for all, checkpoints of each node in a directory of its own; the master's also where it was."""
    cluster.both()
    for node in cluster.nodes:
        top = node.layout.state / "shared"
        own = top / "runs" / RUN / node.identity.name
        assert node.found["variables"] == {
            "HOTRUN_SHARED_DIR": str(top), "HOTRUN_DATA_DIR": str(top / "data"), "HOTRUN_CHECKPOINT_DIR": str(own),
        }  # fmt: skip
        assert (own.is_dir(), (top / "data").is_dir()) == (True, True)
        (own / "it.pt").write_text(node.identity.name)
    seen = cluster.shared / "runs" / RUN
    assert [(seen / name / "it.pt").read_text() for name in ("master", "worker-1")] == ["master", "worker-1"]
    assert (cluster.master.layout.checkpoints(RUN) / "it.pt").read_text() == "master"


def test_a_second_start_of_the_same_run_keeps_what_is_there(cluster: Cluster) -> None:
    """After a reboot the nodes come through the stage again, and a new attempt finds its directories."""
    cluster.both()
    (cluster.shared / "runs" / RUN / "master/it.pt").write_text("kept")
    for node in cluster.nodes:
        node.begin_attempt(2)
        share.add(node, soon())
    assert (cluster.master.layout.checkpoints(RUN) / "it.pt").read_text() == "kept"


def test_another_directory_is_not_the_share(tmp_path: Path) -> None:
    """A worker that has one of its own, or of another run, does not train on it."""
    made = Cluster(tmp_path, brought=False)
    try:
        share.add(made.master, soon())
        with pytest.raises(StageFailed, match=r"worker-1 can't mount .*: it is not this run's") as caught:
            share.add(made.worker, soon())
        assert caught.value.problem["code"] == "share-failed"
    finally:
        made.close()


def test_the_masters_environment_is_taken_when_it_is_ready(cluster: Cluster) -> None:
    """Not before the master's stage is through, and only the one of the worker's own lock."""
    cluster.both()
    taken: list[tuple[Path, bool]] = []

    def take(name: str) -> None:
        with share.turn(cluster.worker, cluster.worker.layout.environments / name, soon()) as found:
            taken.append(found)

    waiting = threading.Thread(target=take, args=("lock-1",))
    waiting.start()
    with share.turn(cluster.master, cluster.master.layout.environments / "lock-1", soon()) as (
        path,
        is_to_be_made,
    ):
        assert (path, is_to_be_made) == (cluster.shared / "env/lock-1", True)
        (path / "bin").mkdir(parents=True)
        (path / "bin/python").touch()
        waiting.join(0.5)
        assert taken == []
    waiting.join()
    take("lock-2")
    assert taken == [
        (cluster.worker.layout.state / "shared/env/lock-1", False), (cluster.worker.layout.environments / "lock-2", True),
    ]  # fmt: skip


def test_an_environment_whose_python_is_not_here_is_not_taken(cluster: Cluster) -> None:
    """The master's image has it elsewhere: a link that leads nowhere."""
    cluster.both()
    own = cluster.worker.layout.environments / "lock-1"
    with share.turn(cluster.master, cluster.master.layout.environments / "lock-1", soon()) as (path, _):
        (path / "bin").mkdir(parents=True)
        (path / "bin/python").symlink_to("/nowhere/python3")
    with share.turn(cluster.worker, own, soon()) as found:
        assert found == (own, True)


def test_an_environment_that_failed_is_not_published(cluster: Cluster) -> None:
    """The others hear of the master's failure instead."""
    cluster.both()
    with pytest.raises(StageFailed), share.turn(cluster.master, cluster.shared / "x", soon()):
        raise StageFailed("setup-failed", "")
    assert cluster.master.connected().offered("environment") is None


def test_a_rehearsal_changes_nothing_of_the_machine(cluster: Cluster) -> None:
    """No export is written; the node says that it was skipped."""
    cluster.both()
    assert not (cluster.master.layout.root / "etc").exists()
