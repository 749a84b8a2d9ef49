"""What nodes of a Slurm job told -> what an attempt is, or the one sentence that stops it."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from cloud.node.failure import StageFailed
from cloud.node.job import Job
from cloud.node.slurm import look, plan

JOB = Job(repo="https://example.org/a", entrypoint="main.py", master="", secret="")


@pytest.fixture(autouse=True)
def _job_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")


def node(rank: int, **changed: Any) -> dict[str, Any]:
    """Return what a good node tells."""
    told = {
        "rank": rank, "host": f"n{rank + 1}", "address": f"10.0.0.{rank + 1}", "interface": "ib0", "gpus": 0,
        "kind": "cpu-x86_64-py3.11", "cpus": 8, "free": list(range(look.BLOCKS)), "held": [], "problem": "",
    }  # fmt: skip
    return {**told, **changed}


def asked(nnodes: int = 2, **changed: Any) -> plan.Asked:
    """Return what is known before anybody looks."""
    return plan.Asked(
        **{
            "nnodes": nnodes,
            "engine": "torch",
            "shared": True,
            "run": "slurm-17",
            "attempt": 1,
            "kind": "gpu-x86_64-py3.11",
            **changed,
        }
    )


def refused(told: list[dict[str, Any]], of: plan.Asked, job: Job = JOB) -> dict[str, Any]:
    """Return the problem that stops the job."""
    with pytest.raises(StageFailed) as caught:
        plan.decided(told, of, job)
    return caught.value.problem


def test_the_plan_has_what_every_rank_needs() -> None:
    """Addresses in the order of ranks, a port that is free on all, one rank on a node without a GPU."""
    found = plan.decided([node(0), node(1, free=[2, 3], interface="eth1")], asked(), JOB)
    assert found["addresses"] == ["10.0.0.1", "10.0.0.2"]
    assert found["interfaces"] == ["ib0", "eth1"]
    assert (found["nproc"], found["has_gpu"], found["resume"]) == (1, False, None)
    assert found["port"] == look.first_port(2)
    assert found["talk_port"] == found["port"] + look.TALK


def test_ray_gets_a_thousand_ports_that_nobody_has() -> None:
    """On all nodes, as other jobs of its kind may run there; a job without a service gets none."""
    told = [node(0, free_services=[1, 4]), node(1, free_services=[4, 5])]
    found = plan.decided(told, asked(engine="ray"), JOB)
    assert found["service_ports"] == look.first_service_port(4)
    assert plan.decided(told, asked(), JOB)["service_ports"] == 0
    problem = refused([node(0, free_services=[1]), node(1, free_services=[])], asked(engine="ray"))
    assert (problem["code"], "--exclusive" in problem["fix"]) == ("port-taken", True)
    assert str(look.first_service_port(0)) in problem["what"]


def test_a_port_that_another_job_listens_at_makes_its_thousand_not_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Jobs in a row begin with different thousands; other engines need none of them."""
    monkeypatch.setattr(look, "SERVICE_BLOCKS", 2)
    first = look.first_service_port(0)
    with socket.create_server(("127.0.0.7", first + 500)):
        assert look.free_services("ray", "127.0.0.7") == [1]
    assert look.free_services("torch", "127.0.0.7") == []
    monkeypatch.setenv("SLURM_JOB_ID", "18")
    assert look.first_service_port(0) != first


def test_lines_of_other_programs_are_passed_over() -> None:
    """A login script prints what it likes."""
    text = 'Welcome to the cluster\n{"rank": 1}\n[1, 2]\n{"rank": 0}\n{"x": 1}\n'
    assert [told["rank"] for told in plan.read(text)] == [0, 1]


def test_a_rank_for_each_gpu_and_as_many_on_all_nodes() -> None:
    """Nodes with other GPUs than the first are named; a number that was asked for wins."""
    assert plan.decided([node(0, gpus=4), node(1, gpus=4)], asked(), JOB)["nproc"] == 4
    found = refused([node(0, gpus=4), node(1, gpus=2)], asked())
    assert (found["code"], found["node"]) == ("ranks-differ", "worker-1")
    assert "n2" in found["what"]
    two = Job(repo="", entrypoint="", master="", secret="", nproc_per_node="2")
    assert plan.decided([node(0, gpus=4), node(1, gpus=2)], asked(), two)["nproc"] == 2


def test_gpus_that_nothing_was_prepared_for_are_left_alone() -> None:
    """A cluster may show them to a job that did not ask for any: its wheels are for CPUs."""
    told = [node(0, gpus=4), node(1, gpus=2)]
    found = plan.decided(told, asked(kind="cpu-x86_64-py3.11"), JOB)
    assert (found["nproc"], found["has_gpu"]) == (1, False)


def test_ranks_train_on_gpus_where_every_node_has_one() -> None:
    """One that has none would be asked for what is not there."""
    two = Job(repo="", entrypoint="", master="", secret="", nproc_per_node="2")
    assert plan.decided([node(0, gpus=2), node(1, gpus=2)], asked(), two)["has_gpu"] is True
    assert plan.decided([node(0, gpus=2), node(1)], asked(), two)["has_gpu"] is False


def test_tensorflow_has_one_rank_on_a_node() -> None:
    """It takes all GPUs of the node."""
    told = [node(0, gpus=4), node(1, gpus=4)]
    assert plan.decided(told, asked(engine="tensorflow"), JOB)["nproc"] == 1


@pytest.mark.parametrize(
    ("told", "code", "words"),
    [
        ([node(0)], "nodes-missing", "worker-1"),
        (
            [node(0), node(1, problem="the environment's Python does not start there: x")],
            "environment-failed",
            "n2",
        ),
        ([node(0, free=[1]), node(1, free=[2])], "port-taken", "free on all nodes"),
    ],
)
def test_what_stops_an_attempt_is_named(told: list[dict[str, Any]], code: str, words: str) -> None:
    """With the node, and what to do."""
    found = refused(told, asked())
    assert found["code"] == code
    assert words in found["what"]
    assert found["fix"]


def test_the_newest_checkpoint_that_any_node_holds_is_gone_on_from() -> None:
    """Where nodes have disks of their own, who holds it is said; on one file system all do."""
    old, new = ["a.ckpt", 10, "x"], ["b.ckpt", 20, "y"]
    told = [node(0, held=[old]), node(1, held=[old, new])]
    apart = plan.decided(told, asked(shared=False), JOB)["resume"]
    assert apart == {"name": "b.ckpt", "number": 20, "sha256": "y", "holders": [1]}
    assert plan.decided(told, asked(), JOB)["resume"]["holders"] == [0, 1]


def test_another_attempt_has_other_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old rank may still hold the last ones; all lie between Ray's and the system's own."""
    blocks = {}
    for attempt in ("1", "2", "3"):
        monkeypatch.setenv("HOTRUN_SLURM_TRY", attempt)
        blocks[attempt] = {look.first_port(block) for block in range(look.BLOCKS)}
    assert not blocks["1"] & blocks["2"]
    assert not blocks["2"] & blocks["3"]
    assert all(21_000 < port < 32_000 for ports in blocks.values() for port in ports)


def test_a_port_that_somebody_listens_on_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried, not hoped."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(
            look, "first_port", lambda block: taken.getsockname()[1] if block == 3 else 29_000 + block
        )
        assert 3 not in look.free_blocks(0, "127.0.0.1")
