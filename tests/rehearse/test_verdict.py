from __future__ import annotations

from typing import Any

from cloud.rehearse.follow import Machine
from cloud.rehearse.signals import WaitCondition
from cloud.rehearse.verdict import Evidence, exit_code, problems, status_of

DONE = {"state": "done", "world_size": {"expected": 2, "proven": 2}, "problems": []}


def evidence(*codes: int, status: dict[str, Any] | None = None, **changed: Any) -> Evidence:
    """A master and workers that ended with these codes after a gate that passed."""
    machines = []
    for rank, code in enumerate(codes):
        machine = Machine("master" if rank == 0 else f"worker-{rank}", f"127.64.1.{rank + 2}")
        machine.exit_code, machine.stage = code, "train"
        machines.append(machine)
    condition = WaitCondition()
    condition.signal({"id": "gate", "status": "SUCCESS"})
    fields: dict[str, Any] = {
        "end": "ended", "interrupted_by": "", "machines": machines, "condition": condition,
        "status": DONE if status is None else status, "transport": "HEAT_SIGNAL", "is_single_allowed": False,
        "dropped": [],
    }  # fmt: skip
    return Evidence(**fields | changed)


def test_a_run_counts_only_when_everything_agrees() -> None:
    """Exit codes, verdict, proof and gate together are a success."""
    assert problems(evidence(0, 0)) == []


def test_a_killed_master_is_the_cause_and_not_who_lost_it() -> None:
    """A worker can only tell that the master is gone."""
    lost = {"state": "failed", "problems": [{"code": "master-lost", "what": "lost it", "node": "worker-1"}]}
    found = problems(evidence(-9, 5, status=lost))
    assert [(problem.code, problem.node) for problem in found] == [
        ("machine-lost", "master"),
        ("master-lost", "worker-1"),
    ]
    assert "SIGKILL in train" in found[0].what


def test_the_masters_word_on_a_lost_worker_is_enough() -> None:
    """It is not told a second time from the exit code."""
    lost = {"state": "failed", "problems": [{"code": "node-lost", "what": "gone", "node": "worker-1"}]}
    assert [problem.code for problem in problems(evidence(5, -9, status=lost))] == ["node-lost"]


def test_separate_runs_pass_only_where_allowed() -> None:
    """A verdict `done` with less proof than machines counts with --allow-single alone."""
    single = {**DONE, "world_size": {"expected": 2, "proven": 1}}
    assert [problem.code for problem in problems(evidence(0, 0, status=single))] == ["not-distributed"]
    assert problems(evidence(0, 0, status=single, is_single_allowed=True)) == []


def test_without_signals_no_gate_is_asked_for() -> None:
    """NO_SIGNAL is the switch for clouds whose Heat can't be reached."""
    silent = WaitCondition()
    codes = [
        [problem.code for problem in problems(evidence(0, 0, condition=silent, transport=transport))]
        for transport in ("NO_SIGNAL", "HEAT_SIGNAL")
    ]
    assert codes == [[], ["gate-not-signalled"]]


def test_a_reason_that_hangs_a_stack_is_an_error() -> None:
    """Here all went well; in a cloud the stack could not even be deleted."""
    condition = WaitCondition()
    condition.signal({"id": "gate", "status": "SUCCESS", "reason": "🙂"})
    seen = evidence(0, 0, condition=condition)
    assert (problems(seen)[0].code, exit_code(seen, problems(seen))) == ("signal-unstorable", 5)


def test_exit_codes_follow_the_end() -> None:
    """Interrupted is 130, a passed deadline 6 whoever noticed it, any error 5, warnings 0."""
    late = {"state": "failed", "problems": [{"code": "deadline", "what": "too long"}]}
    cases = [
        evidence(0, 0),
        evidence(0, 0, dropped=[{"x": 1}]),
        evidence(5, 5),
        evidence(5, 5, status=late),
        evidence(0, 0, end="deadline"),
        evidence(0, 0, end="interrupted", interrupted_by="SIGINT"),
    ]
    assert [exit_code(case, problems(case)) for case in cases] == [0, 0, 5, 6, 6, 130]


def test_the_result_told_to_heat_is_the_status() -> None:
    """Then what the master wrote, then what any signal told."""
    condition = WaitCondition(count=9)
    found = []
    for identity in ("worker-1-lost-master", "gate", "result"):
        condition.signal({"id": identity, "data": {"state": "failed", "run": identity}})
        found.append(status_of(condition, {})["run"])
    written = {"state": "done", "run": "written"}
    assert found == ["worker-1-lost-master", "gate", "result"]
    assert status_of(WaitCondition(), written) == written
    assert status_of(WaitCondition(), {}) == {}


def test_a_recovery_is_a_note_that_says_from_where_it_went_on() -> None:
    """One for each attempt that was lost; the run counts as any other."""
    lost = {"attempt": 1, "what": "worker-1 was lost in train: its connection ended", "node": "worker-1",
            "stage": "train", "resumed": "step-000120.ckpt"}  # fmt: skip
    killed = {
        "attempt": 2,
        "what": "rank 1: ended by SIGKILL",
        "node": "worker-1",
        "stage": "train",
        "resumed": "",
    }
    seen = evidence(0, 0, status={**DONE, "attempt": 3, "recoveries": [lost, killed]})
    found = problems(seen)
    assert [(problem.code, problem.level, problem.node) for problem in found] == [
        ("recovered", "note", "worker-1")
    ] * 2
    assert [problem.what for problem in found] == [
        f"{lost['what']}; all machines went on from checkpoint step-000120 (attempt 2 of 3)",
        "worker-1: rank 1: ended by SIGKILL; all machines began again (attempt 3 of 3)",
    ]
    assert exit_code(seen, found) == 0
    failed = {
        "state": "failed",
        "attempt": 2,
        "recoveries": [killed],
        "problems": [{"code": "x", "what": "x"}],
    }
    assert [problem.code for problem in problems(evidence(5, 5, status=failed))] == ["x", "tried-again"]


def test_a_machine_that_came_back_and_ended_well_is_no_cause() -> None:
    """Only how it ended at last counts; one that came back in vain says how often."""
    good, bad = evidence(0, 0), evidence(0, -11, status={})
    for seen in (good, bad):
        seen.machines[1].returns = 2
    assert problems(good) == []
    assert problems(bad)[0].what.endswith("was ended by SIGSEGV in train, after it had come back 2 times")


def test_a_warning_hides_no_contradiction() -> None:
    """What the master only warns of does not make a run good that ended badly."""
    warned = {**DONE, "problems": [{"code": "parameters-differ", "level": "warning", "what": "they differ"}]}
    assert exit_code(evidence(0, 0, status=warned), problems(evidence(0, 0, status=warned))) == 0
    for codes in ((0, 5), (5, 0)):
        found = evidence(*codes, status=warned)
        assert exit_code(found, problems(found)) == 5
