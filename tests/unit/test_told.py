"""What nodes told Heat: which signals are believed."""

from __future__ import annotations

import pytest

from cloud.stack import told
from cloud.stack.told import Told
from tests.unit.signalled import KEY, gate, result, stack, trouble


def test_nothing_told_is_nothing_known() -> None:
    """Before a signal, and with an output that is no JSON, there is neither state nor machine."""
    assert told.read(stack(), "id-master") == Told()
    for value in (None, "", "{", "[]", 5):
        assert told.read(stack(outputs={"status": value}), "id-master") == Told()


def test_a_gate_is_running_and_names_the_host_keys() -> None:
    """The gate's machines come with their addresses and keys; what is no key is none."""
    machines = [["master", "10.8.0.2", KEY], ["worker-1", "10.8.0.3", "evil\nkey"], ["odd"], 3]
    found = told.read(stack({"gate": gate(machines=machines)}), "id-master")
    assert (found.state, found.run, found.is_over) == ("running", "r1", False)
    assert found.host_key("master") == KEY
    assert [machine.host_key for machine in found.machines] == [KEY, ""]


def test_a_result_decides() -> None:
    """The result's state is the run's, and so are its problems."""
    assert told.read(stack({"gate": gate(), "result": result()}), "id-master").state == "done"
    failed = told.read(stack({"gate": gate(), "result": result("failed", problems=[trouble()])}), "id-master")
    assert (failed.state, failed.problems[0].node) == ("failed", "worker-1")


@pytest.mark.parametrize("server", ["id-of-before", "", None])
def test_signals_of_servers_that_are_gone_are_not_believed(server: str | None) -> None:
    """The handle keeps signals of a master that was replaced; they say nothing of today."""
    found = told.read(stack({"gate": gate(server=server), "result": result(server=server)}), "id-master")
    assert (found.state, found.gate, found.stale) == ("", None, ("gate", "result"))


def test_without_a_master_nothing_is_believed() -> None:
    """Who the master is today must be known."""
    assert told.read(stack({"gate": gate(server="")}), "").state == ""


def test_the_highest_rerun_counts() -> None:
    """`gate-2` is the run of now: the result of the first run is not its result; keys come from any gate."""
    signals = {
        "gate": gate(),
        "result": result(),
        "gate-10": gate(run="r10", machines=[]),
        "gate-9": gate(run="r9"),
    }
    found = told.read(stack(signals), "id-master")
    assert (found.number, found.run, found.state, found.result) == (10, "r10", "running", None)
    assert found.host_key("master") == KEY


def test_a_worker_that_lost_the_master_is_heard() -> None:
    """Its word fails the run unless the master's result is there; another run's does not."""
    lost = {
        "state": "failed",
        "server": "id-worker-1",
        "run": "r1",
        "problems": [trouble(code="master-lost")],
    }
    signals = {"gate": gate(), "worker-1-lost-master": lost}
    found = told.read(stack(signals), "id-master", ["id-worker-1"])
    assert (found.state, [one.code for one in found.problems]) == ("failed", ["master-lost"])
    assert told.read(stack({**signals, "result": result()}), "id-master", ["id-worker-1"]).state == "done"
    assert (
        told.read(stack({**signals, "gate": gate(run="r2")}), "id-master", ["id-worker-1"]).state == "running"
    )


@pytest.mark.parametrize("identity", ["gate", "worker-1-gate"])
def test_a_worker_that_never_reached_the_master_is_heard(identity: str) -> None:
    """Whatever id it uses, its own server makes it no gate; it knows no run."""
    alone = {"state": "failed", "server": "id-worker-1", "run": "", "problems": [trouble(code="no-master")]}
    found = told.read(stack({identity: alone}), "id-master", ["id-worker-1"])
    assert (found.state, found.gate, found.problems[0].code) == ("failed", None, "no-master")
    both = told.read(stack({"gate": gate(), "worker-1-gate": alone}), "id-master", ["id-worker-1"])
    assert (both.gate is not None, both.is_by_others) == (True, True)


def test_a_workers_word_counts_for_its_own_rerun_only() -> None:
    """What a worker told in an earlier run says nothing of a newer one; its newest word needs no gate."""
    lost = {"state": "failed", "server": "id-worker-1", "run": "", "problems": [trouble(code="master-lost")]}
    signals = {"gate": gate(), "gate-1": gate(run="r2"), "worker-1-lost-master": lost}
    found = told.read(stack(signals), "id-master", ["id-worker-1"])
    assert (found.number, found.state, found.others) == (1, "running", ())
    again = {**signals, "worker-1-gate-2": {**lost, "rerun": 2}}
    found = told.read(stack(again), "id-master", ["id-worker-1"])
    assert (found.number, found.state, found.run) == (2, "failed", "")


def test_a_run_has_begun_once_the_gate_was_passed() -> None:
    """From then on there may be results to bring home, whatever is told of its end."""
    assert not told.read(stack({"gate": gate("failed")}), "id-master").has_begun
    assert told.read(stack({"gate": gate()}), "id-master").has_begun
