"""Proof files are judged: one run, or several, or none."""

from __future__ import annotations

from typing import Any

from cloud.node.proof import judge


def ranks(count: int, **changed: Any) -> list[dict[str, Any]]:
    """Proof files of a good run of `count` ranks, one on each node."""
    return [
        {
            "node": f"worker-{rank}", "local_rank": 0, "rank": rank, "world_size": count, "backend": "gloo",
            "collectives": 3, "steps": 2, "gradient_bytes": 100, "state": "exit", "checksum": 7, **changed,
        }
        for rank in range(count)
    ]  # fmt: skip


def test_all_ranks_in_one_world_are_proven() -> None:
    """Every seat once, one world size, a collective each."""
    found = judge(ranks(3), 3)

    assert ({"expected": 3, "proven": 3, "backend": "gloo"}, 300, None) == (
        found.world_size(), found.gradient_bytes, found.problem,
    )  # fmt: skip


def test_lonely_runs_are_not_distributed() -> None:
    """Three files of world size 1 are three separate runs, and the line to change is given."""
    found = judge(ranks(1) * 3, 3, hint="train.py:41")

    assert found.problem is not None
    assert "3 separate runs of world size 1: each machine trained alone" == found.problem["what"]
    assert ("not-distributed", "train.py:41", 1) == (
        found.problem["code"],
        found.problem["where"],
        found.proven,
    )


def test_no_files_at_all_are_lonely_runs() -> None:
    """A program that never initialises torch.distributed leaves nothing."""
    found = judge([], 2)

    assert found.problem is not None
    assert "2 separate runs" in found.problem["what"]


def test_a_missing_rank_is_not_proven() -> None:
    """Two of three seats are not three."""
    assert judge(ranks(3)[:2], 3).problem is not None


def test_one_seat_twice_is_not_two_ranks() -> None:
    """The same node and local rank twice does not stand for another."""
    files = ranks(2)
    files[1]["node"] = files[0]["node"]

    assert judge(files, 2).problem is not None


def test_meeting_without_doing_anything_is_not_enough() -> None:
    """Ranks that initialised but completed no collective trained nothing together."""
    found = judge(ranks(2, collectives=0), 2)

    assert found.problem is not None
    assert "none completed a collective" in found.problem["what"]


def test_a_single_rank_needs_no_proof() -> None:
    """With one rank expected, a clean end is enough."""
    assert ({"expected": 1, "proven": 1, "backend": "none"}, None) == (
        judge([], 1).world_size(),
        judge([], 1).problem,
    )


def test_separate_runs_can_be_accepted() -> None:
    """--allow-single takes what happened and says what it was."""
    found = judge([], 3, allow_single=True)

    assert (1, None) == (found.proven, found.problem)


def test_nothing_is_proven_of_a_run_that_failed_before_it_trained() -> None:
    """Zero ranks met; a single rank that failed is no proof either."""
    assert [0, 0] == [judge([], expected, ended_well=False).proven for expected in (1, 3)]


def test_ranks_that_drifted_apart_are_a_warning() -> None:
    """The run is proven all the same; those with other parameters than most are named."""
    files = ranks(4)
    files[1]["checksum"] = files[3]["checksum"] = 8
    files[2]["checksum"] = 7
    found = judge(files, 4)
    (warning,) = found.warnings

    assert (None, 4) == (found.problem, found.proven)
    assert ("warning", "parameters-differ") == (warning["level"], warning["code"])
    assert "ranks 1, 3 ended with other parameters than ranks 0, 2" == warning["what"]


def test_ranks_without_a_sum_or_that_failed_are_not_compared() -> None:
    """Programs without DDP have no sum; a rank that failed stopped somewhere."""
    files = ranks(3)
    files[1].update(checksum=8, state="failed")
    files[2]["checksum"] = None

    assert () == judge(files, 3).warnings
