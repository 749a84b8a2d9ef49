"""Reports of nodes become one verdict."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.node.failure import problem
from cloud.node.gang import COLLECT_S, PEER_WAIT_S, SILENCE_S, Gang

FACTS = {"commit": "c", "python": "3.11.2", "torch": "2.15.0", "ranks": 1}


def ready(gang: Gang, now: float = 1.0, held: Any = (), **facts: Any) -> Gang:
    """Every node says hello, is ready and sees all others; `facts` are the last node's, `held` is by rank."""
    last = len(gang.members) - 1
    for rank in range(last + 1):
        gang.report(rank, {"t": "hello", "address": f"10.0.0.{rank}"}, now)
    for rank in range(last + 1):
        own = {**FACTS, **(facts if rank == last else {})}
        gang.report(rank, {"t": "ready", "facts": own, "held": dict(held).get(rank, [])}, now)
    if gang.phase == "look":
        for rank in range(last + 1):
            gang.report(rank, {"t": "seen", "unreachable": {}}, now)
    return gang


def gathered(nnodes: int = 3, restarts: int = 0, **facts: Any) -> Gang:
    """A gang that trains, or failed at the gate."""
    return ready(Gang(nnodes, gather_until=1000.0, restarts=restarts, rejoin_s=90.0), **facts)


def failed(stage: str, what: str, **more: Any) -> dict[str, Any]:
    """A node's report that a stage failed."""
    return {"t": "stage", "stage": stage, "state": "failed", "s": 2.0, "problem": problem("x", what, **more)}


def test_all_ready_and_alike_start_together() -> None:
    """The gate opens when the last one is ready, not before."""
    gang = Gang(2, 1000.0)
    gang.report(0, {"t": "ready", "facts": FACTS}, 1.0)
    assert "gather" == gang.phase

    gang.report(1, {"t": "ready", "facts": {**FACTS, "torch": "2.15.0+cpu"}}, 2.0)
    assert "look" == gang.phase
    for rank in range(2):
        gang.report(rank, {"t": "seen", "unreachable": {}}, 2.1)

    assert ("train", None) == (gang.phase, gang.verdict)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("commit", "commit-differs"),
        ("python", "python-differs"),
        ("torch", "torch-differs"),
        ("ranks", "ranks-differ"),
    ],
)
def test_a_machine_that_differs_is_named_at_the_gate(key: str, code: str) -> None:
    """Another commit, Python or torch than the master's ends the run before it trains."""
    gang = gathered(**{key: "other"})

    assert gang.verdict is not None
    assert ("collect", code, "worker-2", "rendezvous") == (
        gang.phase, gang.verdict["code"], gang.verdict["node"], gang.verdict["stage"],
    )  # fmt: skip


def test_a_failure_of_its_own_decides_at_once() -> None:
    """The first failure of a node's own is the verdict, later ones don't change it."""
    gang = gathered()
    gang.report(1, failed("train", "ValueError: boom"), 5.0)
    gang.report(0, failed("train", "second"), 5.1)

    assert gang.verdict is not None
    assert ("collect", "worker-1", "ValueError: boom") == (
        gang.phase,
        gang.verdict["node"],
        gang.verdict["what"],
    )


def test_an_echo_waits_for_its_cause() -> None:
    """A victim's connection error is not blamed when the culprit speaks within the wait."""
    gang = gathered()
    gang.report(0, failed("train", "Connection closed by peer", of_peer=True), 5.0)
    for rank in range(3):
        gang.report(rank, {"t": "beat"}, 5.0 + PEER_WAIT_S - 1)
    gang.tick(5.0 + PEER_WAIT_S - 1)
    assert gang.verdict is None

    gang.lose(2, 5.0 + PEER_WAIT_S - 0.5, "its connection ended")

    assert gang.verdict is not None
    assert "worker-2 was lost in boot: its connection ended" == gang.verdict["what"]


def test_an_echo_without_a_cause_is_the_verdict_in_the_end() -> None:
    """When nobody explains a connection error, it is reported itself."""
    gang = gathered()
    gang.report(0, failed("train", "Connection closed by peer", of_peer=True), 5.0)
    for rank in range(3):
        gang.report(rank, {"t": "beat"}, 5.0 + PEER_WAIT_S)
    gang.tick(5.0 + PEER_WAIT_S + 0.1)

    assert gang.verdict is not None
    assert "master" == gang.verdict["node"]


def test_silence_is_a_loss() -> None:
    """A node of which nothing was heard for ten seconds is lost, with the stage it was in."""
    gang = gathered()
    gang.report(1, {"t": "stage", "stage": "train", "state": "begin"}, 2.0)
    gang.report(0, {"t": "beat"}, 2.0 + SILENCE_S)
    gang.report(2, {"t": "beat"}, 2.0 + SILENCE_S)
    gang.tick(2.1 + SILENCE_S)

    assert gang.verdict is not None
    assert ("node-lost", "worker-1", "train") == (
        gang.verdict["code"],
        gang.verdict["node"],
        gang.verdict["stage"],
    )


def test_absent_machines_are_named_with_where_they_were_last_heard() -> None:
    """At the gate's deadline the message names who is missing and since when."""
    gang = Gang(3, gather_until=100.0)
    gang.report(0, {"t": "ready", "facts": FACTS}, 99.9)
    gang.report(1, {"t": "stage", "stage": "environment", "state": "begin"}, 95.0)
    gang.tick(100.5)

    assert gang.verdict is not None
    assert "worker-1 (last heard in environment, 6 s ago), worker-2 (never heard)" in gang.verdict["what"]


def test_the_end_waits_for_everybody_who_is_here() -> None:
    """All ranks ended: files are awaited from all; who is lost before has lost them, and that is a failure."""
    gang = gathered()
    for rank in range(3):
        gang.report(rank, {"t": "exit"}, 9.0)
    assert "collect" == gang.phase
    gang.report(0, {"t": "collected"}, 10.0)
    gang.report(1, {"t": "collected"}, 10.0)
    gang.report(2, {"t": "beat"}, 10.0)
    gang.tick(10.1)
    assert "collect" == gang.phase

    gang.lose(2, 10.5, "its connection ended")
    gang.tick(10.6)

    assert gang.verdict is not None
    assert ("over", "node-lost", "worker-2") == (gang.phase, gang.verdict["code"], gang.verdict["node"])


def test_a_machine_that_brought_its_files_may_go() -> None:
    """After `collected` nothing depends on it any more."""
    gang = gathered(2)
    for rank in range(2):
        gang.report(rank, {"t": "exit"}, 9.0)
    gang.report(1, {"t": "collected"}, 10.0)
    gang.lose(1, 10.5, "its connection ended")
    gang.report(0, {"t": "collected"}, 10.6)
    gang.tick(10.7)

    assert ("over", None) == (gang.phase, gang.verdict)


def test_collecting_has_a_deadline() -> None:
    """A node that beats but never brings its files does not hold the others for ever."""
    gang = gathered(1)
    gang.report(0, {"t": "exit"}, 9.0)
    gang.report(0, {"t": "beat"}, 9.0 + COLLECT_S)
    gang.tick(9.1 + COLLECT_S)

    assert "over" == gang.phase
