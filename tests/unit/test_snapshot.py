"""All sources of a stack -> one picture; the cloud's sentences -> what they mean."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.rehearse import follow
from cloud.rehearse.follow import Machine
from cloud.stack.watch import reasons, snapshot
from cloud.stack.watch.snapshot import Snapshot
from cloud.stack.watch.views import Sources
from tests.unit.signalled import gate, machine, result, server, stack, trouble

NO_HOST = 'Went to status ERROR due to "Message: No valid host was found. , Code: 500"'


def pictured(signals: dict[str, Any] | None = None, **changes: Any) -> Snapshot:
    """A snapshot of a stack whose two machines are there."""
    usual: dict[str, Any] = {
        "stack": stack(signals), "resources": [machine("master"), machine("worker-1")],
        "servers": [server("master"), server("worker-1")],
    }  # fmt: skip
    return snapshot.make(Sources(**{**usual, **changes}))


def console(name: str, *lines: str, now: float = 0.0) -> Machine:
    """A machine whose console has told these lines."""
    told = Machine(name, "")
    for line in lines:
        follow.take(told, line, now)
    return told


def test_planned_machines_are_counted_before_they_are_there() -> None:
    """The number of machines is that of the parameter, whatever Heat has made of it so far."""
    found = pictured(
        stack=stack(status="CREATE_IN_PROGRESS", parameters={"workers": "3"}),
        resources=[machine("master", "CREATE_IN_PROGRESS")], servers=[server("master", "BUILD")],
    )  # fmt: skip
    assert [view.machine for view in found.views] == ["BUILD", "planned", "planned", "planned"]
    assert (found.up, len(found.views)) == (0, 4)
    assert found.waiting_for().startswith("waiting for master (being made), worker-1 (not made yet)")


def test_a_machine_that_was_there_is_gone() -> None:
    """A machine that Nova has no more is not one that was never made."""
    found = pictured(servers=[server("master")], seen={"master", "worker-1"})
    assert [view.machine for view in found.views] == ["ACTIVE", "gone"]


def test_who_is_waited_for_is_named_with_its_stage_and_time() -> None:
    """The machine that is behind is named, where it was last heard and when."""
    consoles = {
        "master": console("master", "hotrun: node=master stage=rendezvous state=begin"),
        "worker-1": console("worker-1", "hotrun: node=worker-1 stage=environment state=begin"),
    }
    found = pictured(consoles=consoles, heard={"worker-1": 40.2})
    assert found.waiting_for() == "waiting for worker-1 (last heard in environment, 40 s ago)"


def test_after_the_gate_all_machines_train() -> None:
    """A gate that was passed is known to hold for every machine, also for those with silent consoles."""
    found = pictured({"gate": gate()})
    assert [(view.state, view.stage) for view in found.views] == [("running", "train")] * 2
    assert found.waiting_for() == "all 2 machines in train"


def test_the_masters_own_view_corrects_the_console() -> None:
    """Over ssh the master knows more than what a console showed last."""
    master = {
        "run": "r1", "phase": "running",
        "nodes": [{"name": "worker-1", "state": "lost", "stage": "train", "stages": {"network": 0.2}, "heard_s": 11.0}],
        "lines": [{"stage": "train", "text": "[rank 0] epoch 2/3 loss 0.11", "age_s": 1.0}],
    }  # fmt: skip
    consoles = {"worker-1": console("worker-1", "hotrun: node=worker-1 stage=source state=begin")}
    worker = pictured({"gate": gate()}, consoles=consoles, master=master).views[1]
    assert (worker.state, worker.stage, worker.heard_s, worker.stages) == (
        "lost",
        "train",
        11.0,
        {"network": 0.2},
    )


def test_a_result_is_the_last_word() -> None:
    """The status document says how each machine fared."""
    nodes = [{"name": "worker-1", "state": "failed", "stages": {"network": 0.1, "train": 4.0}}]
    found = pictured({"gate": gate(), "result": result("failed", nodes=nodes, problems=[trouble()])})
    assert (found.views[1].state, found.views[1].stages["train"]) == ("failed", 4.0)
    assert (found.is_told, found.problems[0].code) == (True, "requirement-not-found")


def test_an_earlier_runs_result_says_nothing_of_this_one() -> None:
    """After `rerun` the old result is still there; the new run has not been heard of."""
    told = {"gate": gate(), "result": result("failed", problems=[trouble()])}
    found = pictured(stack=stack(told, parameters={"rerun": "1"}))
    assert (found.is_told, found.problems) == (False, ())


def test_a_resize_that_failed_ends_no_run() -> None:
    """While the master says that it trains, what Heat could not add is a warning."""
    parts = {
        "resources": [machine("master"), machine("worker-1"), machine("worker-2", "CREATE_FAILED", NO_HOST)],
    }  # fmt: skip
    found = pictured(stack=stack({"gate": gate()}, status="UPDATE_FAILED"), **parts)
    assert (found.has_failed, [one.level for one in found.problems]) == (False, ["warning"])
    found = pictured(stack=stack(status="UPDATE_FAILED"), **parts)
    assert (found.has_failed, [one.level for one in found.problems]) == (True, ["error"])
    assert pictured(stack=stack({"gate": gate()}, status="CREATE_FAILED"), **parts).has_failed


def test_a_worker_alone_stops_nobody() -> None:
    """What one machine tells of itself says nothing of the others, while the master goes on."""
    lost = {"state": "failed", "server": "id-worker-1", "run": "r1", "problems": [trouble()]}
    found = pictured({"gate": gate(), "worker-1-lost-master": lost})
    assert [view.state for view in found.views] == ["running", "failed"]


def test_a_failure_seen_on_a_console_is_seen_at_once() -> None:
    """Before anybody judged it, the failed stage with the last lines is a problem."""
    failed = console(
        "worker-1", "hotrun: node=worker-1 stage=environment state=begin", "ERROR: no torchh",
        "hotrun: node=worker-1 stage=environment state=failed s=12.0 code=requirement-not-found what='no torchh'",
    )  # fmt: skip
    found = pictured(consoles={"worker-1": failed})
    assert [(one.node, one.stage, one.log) for one in found.problems] == [
        ("worker-1", "environment", ("ERROR: no torchh",))
    ]


def test_a_failure_from_two_sources_is_one() -> None:
    """Heat's resource and Nova's fault tell the same: it is said once."""
    found = pictured(
        stack=stack(status="CREATE_FAILED", reason=f"resources.worker_group: ResourceInError: {NO_HOST}"),
        resources=[machine("master"), machine("worker-1", "CREATE_FAILED", f"ResourceInError: {NO_HOST}")],
        servers=[server("master"), server("worker-1", "ERROR", "No valid host was found. ")],
    )  # fmt: skip
    assert [(one.code, one.node) for one in found.problems] == [("no-host", "worker-1")]
    assert found.views[1].state == "failed"


def test_every_member_that_failed_is_named() -> None:
    """Heat's reason names the first member of the group only; all are told, each different reason once."""
    failed = [
        *(machine(f"worker-{number}", "CREATE_FAILED", f"ResourceInError: {NO_HOST}") for number in (1, 2)),
        machine(
            "worker-3",
            "CREATE_FAILED",
            "Forbidden: Quota exceeded for cores: Requested 1, but already used 20",
        ),
    ]
    found = pictured(
        stack=stack(status="CREATE_FAILED", parameters={"workers": "3"}), resources=failed, servers=()
    )
    assert [one.code for one in found.problems] == ["no-host", "cloud-quota"]
    assert found.problems[0].what.startswith("worker-1, worker-2: ")


MEANINGS = {
    'Resource CREATE failed: resources.worker_group: Resource CREATE failed: ResourceInError: resources[0]: Went to '
    'status ERROR due to "Message: Build of instance 1b2c aborted: Failed to allocate the network(s) with error No '
    'fixed IP addresses available for network: 77aa, not rescheduling., Code: 500"': "addresses-used-up",
    f"Resource CREATE failed: resources.worker_group: Resource CREATE failed: ResourceInError: resources[0]: {NO_HOST}": "no-host",
    "Resource CREATE failed: BadRequest: resources.master_port: Port security must be enabled and port must have an IP "
    "address in order to use security groups.\nNeutron server returns request_ids: ['req-1']": "network-without-security",
    "Resource CREATE failed: BadRequest: resources.router: Bad router request: Network 12 is not an external network.":
        "network-not-external",
    "Forbidden: resources.workers.resources[6]: Quota exceeded for instances: Requested 1": "cloud-quota",
    "Timed out": "stack-timed-out",
    'CREATE aborted (Task create from HeatWaitCondition "ready" Stack "t2" [12] Timed out)': "stack-timed-out",
    "resources.g: (pymysql.err.DataError) (1406, \"Data too long for column 'status_reason' at row 1\")": "user-data-too-long",
    "Something nobody has met": "stack-failed",
}  # fmt: skip


@pytest.mark.parametrize("sentence", MEANINGS, ids=MEANINGS.get)
def test_a_clouds_sentence_has_a_name_and_a_remedy(sentence: str) -> None:
    """What a cloud says when something is lacking becomes a named problem; its own words stay in it."""
    found = reasons.problem(sentence, node="worker-1")
    assert found.code == MEANINGS[sentence]
    assert found.fix or found.code == "stack-failed"
    assert "resources[" not in found.what
    assert "request_ids" not in found.what


def test_heats_wrapping_is_taken_off() -> None:
    """What is left is Nova's own sentence."""
    assert reasons.plain(
        f"Resource CREATE failed: resources.g: ResourceInError: resources[0]: {NO_HOST}"
    ) == ("No valid host was found.")
