from __future__ import annotations

from cloud.node.console import format_line
from cloud.rehearse.follow import Machine, progress, take


def test_a_machine_walks_through_its_stages() -> None:
    """Ended stages keep their seconds; the last one tells where it is."""
    machine = Machine("worker-1", "127.64.1.3")
    for number, (stage, state, seconds) in enumerate(
        [("network", "begin", None), ("network", "ok", 0.2), ("train", "begin", None)]
    ):
        take(machine, format_line(node="worker-1", stage=stage, state=state, s=seconds), float(number))
    assert (machine.stages, machine.stage, machine.stage_state) == ({"network": 0.2}, "train", "begin")
    assert machine.state == "running"


def test_a_failed_line_is_a_problem_with_the_lines_before_it() -> None:
    """Code, sentence, place and fix come from the line; the log from what was said before."""
    machine = Machine("worker-1", "")
    take(machine, "ERROR: No matching distribution found for torchh", 0.0)
    line = format_line(
        node="worker-1", stage="environment", state="failed", code="requirement-not-found", what="torchh?",
        where="requirements.txt:3", fix="correct line 3",
    )  # fmt: skip
    take(machine, line, 1.0)
    problem = machine.problem()
    assert problem is not None
    assert (problem.code, problem.where, problem.node) == (
        "requirement-not-found",
        "requirements.txt:3",
        "worker-1",
    )
    assert problem.log == ("ERROR: No matching distribution found for torchh",)
    assert machine.failure_line == 2


def test_lines_that_only_look_like_ours_move_nothing() -> None:
    """A program's line, another machine's name and an unknown stage are log, not console."""
    machine = Machine("master", "")
    for line in (
        "[rank 0] hotrun: node=master stage=train state=failed",
        "hotrun: node=worker-1 stage=train state=failed",
        "hotrun: node=master stage=lunch state=ok",
        "hotrun: it's odd",
    ):
        assert take(machine, line, 0.0) is None
    assert (machine.stage, machine.failure, machine.lines) == ("", {}, 4)


def test_the_boot_texts_own_failure_counts() -> None:
    """It does not know its machine's name yet."""
    machine = Machine("worker-2", "")
    take(machine, "hotrun: 'node=?' stage=boot state=failed code=python-missing 'what=no python3'", 0.0)
    problem = machine.problem()
    assert problem is not None
    assert (problem.node, problem.stage, problem.code) == ("worker-2", "boot", "python-missing")


def test_progress_is_read_from_rank_lines_only() -> None:
    """Epoch, loss and speed come from a rank; what a line lacks stays as it was."""
    first = progress("[rank 0] epoch 1/3  loss 0.395  accuracy 96.7 %  46,337 img/s")
    assert first == "epoch 1/3  loss 0.395  46,337 img/s"
    assert progress("[rank 0] Epoch 2:  50%|█████     | 79/157", first) == "epoch 2  50 %  loss 0.395"
    assert progress("worker-1: waiting for epoch 3/3") == ""


def test_the_highest_epoch_that_was_told_is_kept() -> None:
    """A fault at an epoch waits for it; what begins again at an earlier one does not take it back."""
    machine = Machine("master", "")
    assert machine.epoch == -1
    for line in ("[rank 0] epoch 2/3  loss 0.112", "epoch 9 of something else", "[rank 0] epoch 1/3"):
        take(machine, line, 0.0)
    assert machine.epoch == 2


def test_an_ended_machine_is_killed_failed_stopped_or_done() -> None:
    """0 is done, 5 without a failure of its own is stopped, a signal is failed unless we sent it."""
    states = []
    for code, by_us in ((0, False), (5, False), (-9, False), (137, False), (-15, True), (130, False)):
        machine = Machine("master", "")
        machine.exit_code, machine.was_ended = code, by_us
        states.append(machine.state)
    assert states == ["done", "stopped", "failed", "failed", "stopped", "stopped"]


def walked(machine: Machine, *steps: tuple[str, str]) -> Machine:
    """The machine after these (stage, state), one a second."""
    for number, (stage, state) in enumerate(steps):
        take(machine, format_line(node=machine.name, stage=stage, state=state), float(number))
    return machine


def test_a_stage_that_begins_again_is_another_attempt() -> None:
    """What was told of it and of later stages is over, a failure too; when it first began is kept."""
    first = (
        ("source", "ok"),
        ("rendezvous", "begin"),
        ("rendezvous", "ok"),
        ("train", "begin"),
        ("train", "failed"),
    )
    machine = walked(Machine("worker-1", ""), *first, ("rendezvous", "begin"))
    assert (set(machine.stages), machine.failure, machine.stopped_in) == ({"source"}, {}, "")
    assert machine.begun == {"rendezvous": 1.0, "train": 3.0}
    machine = walked(Machine("worker-1", ""), *first, ("collect", "begin"), ("collect", "ok"))
    assert machine.failure["stage"] == "train"


def test_a_machine_that_comes_back_walks_from_the_start() -> None:
    """Its log goes on; its stages, its failure and its end are those of the new walk."""
    machine = walked(Machine("worker-1", ""), ("network", "ok"), ("train", "begin"))
    machine.exit_code = -9
    machine.come_back()
    assert (machine.state, machine.stages, machine.lines, machine.returns) == ("waiting", {}, 2, 1)
    walked(machine, ("network", "begin"), ("network", "ok"))
    machine.exit_code = 0
    assert (machine.state, set(machine.stages)) == ("done", {"network"})
