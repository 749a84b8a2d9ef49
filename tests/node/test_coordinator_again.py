"""What the coordinator does for another attempt, another run and another size, over real sockets."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cloud.node import checkpoints
from cloud.node.checkpoints import Keeper
from cloud.node.failure import Stopped, problem
from cloud.node.link import Link, Refused
from tests.node.linked import SECRET, Cluster, soon


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
    links = cluster.gathered()
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
