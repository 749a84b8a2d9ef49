"""A cluster that becomes larger or smaller while it trains: when, and at what cost."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.node.gang import RESIZE_S, SILENCE_S, Gang
from cloud.node.member import Memory
from tests.node.test_gang import failed, gathered, ready


def heard(gang: Gang, now: float) -> None:
    """Every node that is here is heard."""
    for member in gang.members:
        if not member.lost:
            gang.report(member.rank, {"t": "beat"}, now)
    gang.tick(now)


def test_all_begin_anew_after_the_next_checkpoint() -> None:
    """Not before, and it costs no restart."""
    gang = gathered(3, restarts=1)
    gang.checkpoint(5)
    gang.resize(4, 10.0)
    heard(gang, 11.0)
    assert "train" == gang.phase
    assert gang.verdict is None

    gang.checkpoint(6)
    heard(gang, 12.0)
    assert gang.verdict is not None
    assert ("resized", "3 workers instead of 2") == (gang.verdict["code"], gang.verdict["what"])
    assert gang.may_pass()

    gang.begin_again(12.0)
    assert ("gather", 2, 0, True) == (gang.phase, gang.memory.attempt, gang.memory.used, gang.memory.anew)


def test_a_program_without_checkpoints_is_not_waited_for_for_ever() -> None:
    """It begins anew after five minutes."""
    gang = gathered(2)
    gang.resize(3, 10.0)
    heard(gang, 10.0 + RESIZE_S - 1)
    assert gang.verdict is None
    heard(gang, 10.0 + RESIZE_S)
    assert gang.may_pass()


@pytest.mark.parametrize("phase", ["gather", "look"])
def test_before_it_trains_nothing_is_waited_for(phase: str) -> None:
    """There is no checkpoint to lose."""
    gang = Gang(2, 1000.0)
    for rank in range(2):
        gang.report(rank, {"t": "hello", "address": "a"}, 1.0)
        if phase == "look":
            gang.report(rank, {"t": "ready", "facts": {"ranks": 1}}, 1.0)
    assert phase == gang.phase
    gang.resize(1, 2.0)
    heard(gang, 2.0)
    assert gang.may_pass()


def test_a_machine_that_is_taken_away_is_not_missed() -> None:
    """Its loss after the change begins the new attempt at once; no restart is needed for it."""
    gang = gathered(3, restarts=0)
    gang.resize(2, 10.0)
    gang.lose(2, 11.0, "its connection ended")
    heard(gang, 11.2)
    assert gang.verdict is not None
    assert ("resized", True) == (gang.verdict["code"], gang.may_pass())


@pytest.mark.parametrize(("lost", "used"), [(2, 0), (1, 1)])
def test_a_loss_that_came_first_costs_a_restart_only_if_it_was_one(lost: int, used: int) -> None:
    """The machine was gone before the metadata said so."""
    gang = gathered(3, restarts=2)
    gang.lose(lost, 10.0, "its connection ended")
    assert gang.may_pass()
    gang.begin_again(10.0)
    gang.resize(2, 11.0)
    heard(gang, 11.2)
    gang.begin_again(11.2)
    assert (used, ["node-lost", "resized"]) == (
        gang.memory.used,
        [each["code"] for each in gang.memory.recoveries],
    )


def test_a_change_that_is_taken_back_changes_nothing() -> None:
    """Whatever was asked for in between."""
    gang = gathered(2)
    gang.resize(5, 10.0)
    gang.resize(2, 11.0)
    heard(gang, 11.0 + RESIZE_S + SILENCE_S)
    assert ("train", None) == (gang.phase, gang.verdict)


def test_a_run_that_has_ended_is_not_resized() -> None:
    """What follows is another run."""
    gang = gathered(2)
    gang.report(1, failed("train", "boom"), 5.0)
    gang.resize(3, 6.0)
    heard(gang, 6.0 + RESIZE_S)
    assert gang.verdict is not None
    assert "boom" == gang.verdict["what"]


def test_the_new_cluster_goes_on_and_may_be_lost_again() -> None:
    """A master that started anew begins with the memory of the old one."""
    kept: dict[str, Any] = {"attempt": 2, "newest": 6, "anew": True}
    gang = ready(Gang(4, 1000.0, restarts=1, memory=Memory(**kept)), held={0: [["6.pt", 6, "x"]]})
    assert ("train", False) == (gang.phase, gang.memory.anew)
    assert gang.resume is not None
    assert [0] == gang.resume["holders"]
    gang.lose(3, 20.0, "its connection ended")
    assert gang.may_pass()
