"""`hotrun prove`: what the records of its processes say, judged."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.prove.verdict import verdict


def ranks(count: int, meeting: str = "a", **changed: Any) -> list[dict[str, Any]]:
    """Records of a good run of `count` ranks, two on each host."""
    return [
        {
            "node": f"host{rank // 2}", "pid": 100 + rank, "rank": rank, "world_size": count, "backend": "gloo",
            "collectives": 3, "steps": 2, "gradient_bytes": 100_000_000, "meeting": meeting, "peers": [],
            "started": 1000.0, "seconds": 5.0, "state": "exit", "checksum": 1, **changed,
        }
        for rank in range(count)
    ]  # fmt: skip


def processes(*stages: str) -> list[dict[str, Any]]:
    """Records of Pythons that joined no group."""
    return [{"node": "host0", "pid": 100 + number, "stage": stage} for number, stage in enumerate(stages)]


def test_ranks_that_met_are_one_run() -> None:
    """World size, hosts, backend and gradients of all ranks."""
    found = verdict(ranks(4) + processes("torch", "torch"))

    assert ("one run of world size 4 over 2 hosts, gloo, 400 MB of gradients", "") == (found.what, found.code)


@pytest.mark.parametrize(
    ("records", "what", "code"),
    [
        (processes("alone"), "one run of world size 1: a single process trained, alone", "not-distributed"),
        (processes("alone", "alone", "torch"), "2 separate runs of world size 1: each process trained alone",
         "not-distributed"),
        (ranks(1) + ranks(1, "b", node="host9"), "2 separate runs of world size 1: each process trained alone",
         "not-distributed"),
        (ranks(2) + ranks(2, "b"), "2 separate runs at the same time, of world size 2, 2", "not-distributed"),
        (ranks(4)[:3], "3 of the 4 ranks of a run left a record", "proof-incomplete"),
        (ranks(2, collectives=0), "2 ranks met, but none completed a collective on the whole group",
         "not-distributed"),
        (ranks(2)[:1] + ranks(2, collectives=0)[1:],
         "2 ranks met, but 1 of them completed no collective with all", "not-distributed"),
        (processes("python", "torch"),
         "no process trained: torch was imported, but no optimizer stepped and no group was joined", "nothing-trained"),
        (processes("python"), "no process trained: nothing imported torch", "nothing-trained"),
        ([], "no process trained: the command started no Python that could be seen", "nothing-trained"),
    ],
)  # fmt: skip
def test_what_is_no_single_run_is_said(records: list[dict[str, Any]], what: str, code: str) -> None:
    """Each way of not being one run has its own sentence."""
    found = verdict(records)

    assert (what, code) == (found.what, found.code)


def test_runs_one_after_the_other_are_fine() -> None:
    """Two trainings of one command, or a training that was started again, follow each other."""
    found = verdict(ranks(2) + ranks(2, "b", started=1010.0))

    assert found.code == ""
    assert found.what.startswith(
        "2 runs, one after the other: world size 2 on one host, gloo, 200 MB of gradients;"
    )


def test_an_attempt_that_broke_off_before_is_no_run() -> None:
    """What a launcher started again is judged by what then ran."""
    found = verdict(ranks(2, collectives=0, state="failed") + ranks(2, "b", started=1010.0))

    assert ("one run of world size 2 on one host, gloo, 200 MB of gradients", "") == (found.what, found.code)


def test_a_process_that_trained_beside_the_run_is_said() -> None:
    """A run of some of the processes is not one run of all."""
    found = verdict([*ranks(2), {"node": "host7", "pid": 1, "stage": "alone"}])

    assert found.code == "not-distributed"
    assert found.what.endswith("; beside it 1 process trained alone")


def test_a_step_before_joining_is_not_alone() -> None:
    """A process that is a rank of the run may have stepped before."""
    found = verdict([*ranks(2), {"node": "host0", "pid": 100, "stage": "alone"}])

    assert (0, "") == (found.alone, found.code)


def test_ranks_with_other_parameters_are_a_warning() -> None:
    """It names them and decides nothing."""
    files = ranks(3)
    files[2]["checksum"] = 2
    found = verdict(files)

    assert ("", ["parameters-differ"]) == (found.code, [each.code for each in found.warnings])
    assert "rank 2 ended with other parameters than ranks 0, 1" == found.warnings[0].what


def test_a_run_that_ended_is_no_attempt() -> None:
    """Ranks that met and did nothing together are not forgiven because an evaluation follows that did."""
    found = verdict(ranks(2, collectives=0) + ranks(2, "b", started=1010.0))

    assert found.code == "not-distributed"
