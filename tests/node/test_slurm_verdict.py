"""What nodes of an attempt left -> whose fault it was, and whether another attempt follows."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.node.failure import problem
from cloud.node.member import Memory
from cloud.node.slurm import verdict

NAMES = ["master", "worker-1"]


def report(state: str = "done", time: float = 1.0, **found: Any) -> dict[str, Any]:
    """Return what a node leaves."""
    failed = problem("program-failed", "rank 1: boom", node="worker-1", stage="train", **found)
    return {"state": state, "time": time, "problem": failed if state == "failed" else None, "newest": 0}


def blamed(code: int = 1, **reports: dict[str, Any]) -> dict[str, Any] | None:
    """Judge the reports of master and worker_1."""
    return verdict.blamed({name.replace("_", "-"): each for name, each in reports.items()}, NAMES, code)


def test_an_attempt_that_all_nodes_ended_well_has_no_problem() -> None:
    """Then the proof is judged."""
    assert blamed(0, master=report(), worker_1=report()) is None


def test_an_own_failure_comes_before_a_peers() -> None:
    """Although the victim reports first."""
    found = blamed(
        master=report("failed", 1.0, of_peer=True, where="a"), worker_1=report("failed", 9.0, where="b")
    )
    assert found is not None
    assert found["where"] == "b"


def test_the_first_of_two_own_failures_is_the_one() -> None:
    """By the nodes' clocks."""
    found = blamed(master=report("failed", 2.0, where="late"), worker_1=report("failed", 1.0, where="early"))
    assert found is not None
    assert found["where"] == "early"


def test_a_node_that_left_no_word_is_lost() -> None:
    """Its peers' broken connections are echoes of that."""
    found = blamed(master=report("failed", of_peer=True))
    assert found is not None
    assert (found["code"], found["node"]) == ("node-lost", "worker-1")


def test_the_time_limit_is_no_fault() -> None:
    """Rank 0's node says it, the others were ended."""
    found = blamed(master=report("limit"), worker_1=report("failed", of_peer=True))
    assert found is not None
    assert found["code"] == "time-limit"


def test_a_step_that_failed_though_all_said_done_is_no_success() -> None:
    """srun's exit code counts."""
    found = blamed(9, master=report(), worker_1=report())
    assert found is not None
    assert "exit code 9" in found["what"]


def test_a_restart_is_used_up_and_counted_anew_after_a_newer_checkpoint() -> None:
    """Training that goes on may be restarted as often as it makes progress."""
    memory = Memory()
    assert verdict.follows(problem("node-lost", "x", node="n", stage="s"), memory, 1, 0) == "again"
    assert (memory.attempt, memory.used) == (2, 1)
    assert verdict.follows(problem("node-lost", "x", node="n", stage="s"), memory, 1, 50) == "again"
    assert (memory.attempt, memory.used, memory.newest) == (3, 1, 50)
    assert verdict.follows(problem("node-lost", "x", node="n", stage="s"), memory, 1, 50) == "failed"


def test_the_same_exception_twice_is_a_bug_of_the_program() -> None:
    """However many restarts are left."""
    memory, error = Memory(), "ValueError: boom"
    first, second = (problem("program-failed", "x", node="n", stage="s", error=error) for _ in "12")
    assert verdict.follows(first, memory, 9, 0) == "again"
    assert verdict.follows(second, memory, 9, 99) == "failed"
    assert "twice the same" in second["what"]


def test_a_program_that_saves_nothing_does_not_begin_anew_for_ever() -> None:
    """At the time limit the restarts count as well, and the fix says what to change."""
    memory = Memory()
    found = problem("time-limit", "the time limit is near", node="n", stage="s")
    assert verdict.follows(dict(found), memory, 0, 0) == "failed"
    last = dict(found)
    verdict.follows(last, memory, 0, 0)
    assert "--time" in last["fix"]


@pytest.mark.parametrize("code", ["hard-coded", "disk-full", "engine-not-available"])
def test_what_would_fail_again_is_not_tried_again(code: str) -> None:
    """Only a lost node, a failed program and the time limit may pass."""
    assert verdict.follows(problem(code, "x", node="n", stage="s"), Memory(), 5, 0) == "failed"


def test_the_last_lines_say_what_was_proven() -> None:
    """Machines, world size, and the numbers that a person looks for."""
    from cloud.node.proof import Judgement

    assert verdict.as_one(Judgement(2, 2, "gloo", 274_000_000, None), 2) == [
        "2 machines trained as one (world size 2 of 2, gloo, 274 MB of gradients)"
    ]
    assert verdict.figures(
        {"test_accuracy": 0.9776, "epochs": 3, "train_seconds": 9.81, "images_per_second": 842}
    ) == ["test accuracy 97.76%   3 epochs in 9.8 s   842 images/s"]
    assert verdict.figures({"epochs": "x", "test_accuracy": None}) == []
