"""A failure that may pass is followed by another attempt, a bounded number of times."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.node.failure import problem
from cloud.node.gang import LOOK_S, PEER_WAIT_S, Gang
from cloud.node.member import Memory
from tests.node.test_gang import gathered, ready


def failed(what: str, code: str = "program-failed", **more: Any) -> dict[str, Any]:
    """A node's report that its ranks failed in this attempt."""
    return {
        "t": "stage",
        "stage": "train",
        "state": "failed",
        "s": 2.0,
        "problem": problem(code, what, **more),
    }


def restarted(gang: Gang, now: float, held: Any = ()) -> Gang:
    """The next attempt, in which everybody is ready again."""
    assert gang.may_pass(), gang.verdict
    gang.begin_again(now)
    return ready(gang, now + 1, held)


def test_a_killed_rank_is_followed_by_another_attempt() -> None:
    """The nodes gather anew, and what happened is remembered."""
    gang = gathered(restarts=1)
    gang.report(1, failed("rank 1: ended by SIGKILL"), 5.0)
    gang = restarted(gang, 5.0)

    assert ("train", 2, 1) == (gang.phase, gang.memory.attempt, gang.memory.used)
    assert ["worker-1"] == [each["node"] for each in gang.memory.recoveries]


def test_a_restart_more_than_allowed_is_the_end() -> None:
    """Without a newer checkpoint the allowed restarts are used up."""
    gang = gathered(restarts=1)
    gang.report(1, failed("rank 1: ended by SIGKILL"), 5.0)
    gang = restarted(gang, 5.0)
    gang.report(2, {**failed("rank 2: ended by SIGKILL"), "attempt": 2}, 9.0)

    assert "collect" == gang.phase
    assert not gang.may_pass()


def test_a_newer_checkpoint_gives_the_restarts_back() -> None:
    """Hours of progress are not forfeited for a few losses."""
    gang = gathered(restarts=1)
    for loss in range(4):
        gang.checkpoint(number=100 + loss)
        gang.report(1, {**failed("rank 1: ended by SIGKILL"), "attempt": loss + 1}, 5.0 + loss)
        gang = restarted(gang, 5.0 + loss)

    assert (5, "train") == (gang.memory.attempt, gang.phase)


def test_the_same_exception_twice_is_a_bug_in_the_script() -> None:
    """It is named as such, however many restarts are left."""
    gang = gathered(restarts=9)
    gang.report(1, failed("rank 1: ValueError: boom", error="ValueError: boom"), 5.0)
    gang = restarted(gang, 5.0)
    gang.report(0, {**failed("rank 0: ValueError: boom", error="ValueError: boom"), "attempt": 2}, 9.0)

    assert gang.verdict is not None
    assert not gang.may_pass()
    assert gang.verdict["what"].endswith("(twice the same: it is not tried again)")


def test_errors_of_peers_do_not_count_as_the_same() -> None:
    """Two losses look alike to those who survive them."""
    gang = gathered(restarts=2)
    for attempt in (1, 2):
        report = {**failed("Connection closed by peer", of_peer=True), "attempt": attempt}
        gang.report(0, report, 5.0)
        gang.report(1, {"t": "beat"}, 5.0 + PEER_WAIT_S)
        gang.report(2, {"t": "beat"}, 5.0 + PEER_WAIT_S)
        gang.tick(5.1 + PEER_WAIT_S)
        gang = restarted(gang, 20.0)

    assert 3 == gang.memory.attempt


@pytest.mark.parametrize("code", ["disk-full", "deadline", "commit-differs", "checkpoint-damaged"])
def test_what_can_not_pass_is_not_tried_again(code: str) -> None:
    """A full disk is as full the second time."""
    gang = gathered(restarts=3)
    gang.report(1, failed("no", code), 5.0)

    assert "collect" == gang.phase
    assert not gang.may_pass()


def test_what_was_said_in_an_earlier_attempt_counts_no_more() -> None:
    """A late report of a killed rank does not end the next attempt."""
    gang = gathered(restarts=1)
    gang.report(1, {**failed("rank 1: ended by SIGKILL"), "attempt": 1}, 5.0)
    gang = restarted(gang, 5.0)
    gang.report(2, {**failed("rank 2: ended by SIGTERM"), "attempt": 1}, 6.5)
    gang.report(2, {"t": "exit", "attempt": 1}, 6.6)

    assert ("train", None) == (gang.phase, gang.verdict)
    assert not gang.members[2].exited


def test_a_node_program_that_starts_again_lost_its_ranks() -> None:
    """Its old connection may still seem open: the hello alone tells."""
    gang = gathered(restarts=1)
    gang.report(2, {"t": "hello", "address": "10.0.0.2"}, 5.0)

    assert gang.verdict is not None
    assert gang.may_pass()
    assert ("node-lost", "worker-2") == (gang.verdict["code"], gang.verdict["node"])


def test_a_lost_node_is_waited_for_and_then_named() -> None:
    """Ninety seconds after its loss the run fails with what happened to it."""
    gang = gathered(2, restarts=1)
    gang.lose(1, 5.0, "its connection ended")
    gang.begin_again(5.0)
    gang.report(0, {"t": "ready", "facts": {}, "attempt": 2}, 94.0)
    gang.tick(94.0)
    assert gang.verdict is None

    gang.report(0, {"t": "beat"}, 95.0)
    gang.tick(95.2)

    assert gang.verdict is not None
    assert ("node-lost", "worker-1") == (gang.verdict["code"], gang.verdict["node"])
    assert "did not come back" in gang.verdict["what"]


def test_a_node_lost_before_the_gate_may_come_back() -> None:
    """A reboot while packages are installed costs no restart; with none allowed the loss decides at once."""
    gang = Gang(2, 1000.0, restarts=1, rejoin_s=90.0)
    gang.report(1, {"t": "hello", "address": "10.0.0.1"}, 1.0)
    gang.lose(1, 2.0, "its connection ended")
    assert (None, "gather") == (gang.verdict, gang.phase)

    assert "train" == ready(gang, 9.0).phase

    strict = Gang(2, 1000.0)
    strict.report(1, {"t": "hello", "address": "10.0.0.1"}, 1.0)
    strict.lose(1, 2.0, "its connection ended")
    assert strict.verdict is not None


def test_all_go_on_from_the_newest_checkpoint_that_anybody_holds() -> None:
    """The highest number wins, and its holders are named so that the others can get it."""
    gang = gathered(restarts=1)
    gang.report(0, failed("rank 0: ended by SIGKILL"), 5.0)
    held = {0: [["a", 1, "x"]], 1: [["a", 1, "x"], ["b", 2, "y"]], 2: [["b", 2, "y"]]}
    gang = restarted(gang, 5.0, held)

    assert {"name": "b", "number": 2, "sha256": "y", "holders": [1, 2]} == gang.resume
    assert "b" == gang.memory.recoveries[-1]["resumed"]


def test_a_closed_port_is_named_before_anything_trains() -> None:
    """The machine that others can't reach is the culprit."""
    gang = Gang(3, 1000.0)
    for rank in range(3):
        gang.report(rank, {"t": "hello", "address": f"10.0.0.{rank}"}, 1.0)
        gang.report(rank, {"t": "ready", "facts": {"commit": "c"}}, 1.0)
    for rank in (0, 1):
        gang.report(rank, {"t": "seen", "unreachable": {"2": "port 4: timed out"}}, 2.0)
    gang.report(2, {"t": "seen", "unreachable": {}}, 2.0)

    assert gang.verdict is not None
    assert ("port-closed", "worker-2", "rendezvous") == (
        gang.verdict["code"], gang.verdict["node"], gang.verdict["stage"],
    )  # fmt: skip


def test_who_does_not_say_what_it_sees_is_named() -> None:
    """Looking has a deadline of its own."""
    gang = Gang(2, 1000.0)
    for rank in range(2):
        gang.report(rank, {"t": "ready", "facts": {"commit": "c"}}, 1.0)
    gang.report(0, {"t": "seen", "unreachable": {}}, 2.0)
    for rank in range(2):
        gang.report(rank, {"t": "beat"}, 1.0 + LOOK_S)
    gang.tick(1.1 + LOOK_S)

    assert gang.verdict is not None
    assert "worker-1 did not say" in gang.verdict["what"]


def test_a_master_that_starts_again_remembers_its_attempts() -> None:
    """What outlives it says how many restarts are used."""
    memory = Memory(attempt=1, has_begun=True)
    memory.fail({**problem("node-lost", "gone", stage="train"), "node": "master"})
    gang = ready(Gang(2, 1000.0, restarts=1, memory=memory))

    gang.report(1, {**failed("rank 1: ended by SIGKILL"), "attempt": 2}, 5.0)

    assert not gang.may_pass()


def test_two_losses_at_once_cost_one_restart() -> None:
    """A host that dies with two of the machines is noticed twice, half a second apart."""
    gang = gathered(3, restarts=1)
    gang.lose(1, 10.0, "nothing was heard of it for 10 s")
    gang.begin_again(10.0)
    gang.lose(2, 10.4, "nothing was heard of it for 10 s")
    assert gang.verdict is None

    assert "train" == ready(gang, 40.0).phase


def test_a_node_that_was_ready_and_went_away_is_not_counted_as_present() -> None:
    """All others are ready: they wait for its return, and it says anew what it has."""
    gang = Gang(2, 1000.0, restarts=1, rejoin_s=90.0)
    for rank in range(2):
        gang.report(rank, {"t": "hello", "address": f"10.0.0.{rank}"}, 1.0)
    gang.report(1, {"t": "ready", "facts": {"commit": "c"}}, 1.0)
    gang.lose(1, 2.0, "its connection ended")
    gang.report(0, {"t": "ready", "facts": {"commit": "c"}}, 3.0)
    assert "gather" == gang.phase

    assert "train" == ready(gang, 9.0).phase


def test_who_collected_in_an_earlier_attempt_is_not_waited_for() -> None:
    """A node that heard only of the end has collected all the same."""
    gang = gathered(2, restarts=1)
    gang.report(0, failed("rank 0: ended by SIGKILL"), 5.0)
    gang = restarted(gang, 5.0)
    gang.report(0, {**failed("no", "disk-full"), "attempt": 2}, 9.0)
    gang.report(1, {"t": "collected", "attempt": 1}, 9.1)
    gang.report(0, {"t": "collected", "attempt": 2}, 9.2)
    gang.tick(9.3)

    assert "over" == gang.phase
