"""A stack that Heat has lost: what a living engine would have done by now, and what may honestly take long."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from cloud.stack import told as told_
from cloud.stack.api import Event, Resource, Server
from cloud.stack.watch import outcome, stalled
from cloud.stack.watch.stalled import Seen
from tests.unit.signalled import CREATED, gate, machine, result, server, stack
from tests.unit.test_watch import follow, picture

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.errors import Problem

MAKING = "CREATE_IN_PROGRESS"
MASTER, WORKER = machine("master"), machine("worker-1")
WAITS = Resource(name="gate", type="OS::Heat::WaitCondition", status=MAKING, reason="", id="")
BEFORE = Resource(name="gate", type="OS::Heat::WaitCondition", status="INIT_COMPLETE", reason="", id="")
GROUP = Resource(name="worker_group", type="OS::Heat::ResourceGroup", status=MAKING, reason="", id="g")
PORT = Resource(name="master_port", type="OS::Neutron::Port", status=MAKING, reason="", id="p")
THERE = (server("master"), server("worker-1"))


def minutes(count: float) -> dt.datetime:
    """So long after the stack was begun."""
    return CREATED + dt.timedelta(minutes=count)


def event(resource: str, status: str, after_min: float) -> Event:
    """Something that Heat did."""
    return Event(id=f"{resource}-{after_min}", time=f"{minutes(after_min):%Y-%m-%dT%H:%M:%SZ}",
                 resource=resource, status=status, reason="")  # fmt: skip


def judged(
    *resources: Resource, servers: tuple[Server, ...] = THERE, after_min: float = 20, signals: Any = None,
    events: tuple[Event, ...] = (), answers_since: dt.datetime | None = None, **changes: Any,
) -> Problem | None:  # fmt: skip
    """Judge a stack of two machines, twenty minutes after it was begun; nothing happened since unless told."""
    found = stack(signals, **{"status": MAKING, "timeout_min": 120, **changes})
    seen = Seen(stack=found, resources=resources, servers=servers, events=events, now=minutes(after_min),
                answers_since=answers_since)  # fmt: skip
    return stalled.problem(seen, told_.by(found, resources))


def making(name: str, status: str = MAKING) -> Resource:
    """A machine in progress."""
    return dataclasses.replace(machine(name), status=status)


@pytest.mark.parametrize(
    ("resources", "servers", "sign"),
    [
        ((MASTER, GROUP, BEFORE), THERE, "no part of it is being made or changed, and worker-1 is missing"),
        ((MASTER, making("worker-1")), THERE, "worker-1 is ACTIVE, and Heat does not see it"),
        ((making("master"),), (server("master", "ERROR"),), "master is ERROR, and Heat does not see it"),
        ((MASTER, PORT), (), "master_port is CREATE_IN_PROGRESS, which takes seconds"),
        ((dataclasses.replace(MASTER, status=MAKING, id=""),), (), "master was never asked for"),
        ((making("master"),), (), "master is not there, and Heat does not see it"),
    ],
)
def test_what_a_living_heat_would_have_done_is_a_sign(
    resources: tuple[Resource, ...], servers: tuple[Server, ...], sign: str
) -> None:
    """After five quiet minutes it is an error that says the sign and what ends it."""
    found = judged(*resources, servers=servers, after_min=6)
    assert found is not None
    assert (found.code, found.level) == ("heat-stalled", "error")
    assert f"digits-1 and leaves it CREATE_IN_PROGRESS: {sign}; nothing has happened for 6 min" in found.what
    assert "hotrun down digits-1 deletes it whole" in found.fix
    assert judged(*resources, servers=servers, after_min=4) is None, "a queue may fail over for so long"


@pytest.mark.parametrize(
    "resources",
    [
        (making("master"), making("worker-1")),
        (MASTER, making("worker-1", "DELETE_IN_PROGRESS")),
        (MASTER, making("worker-1"), PORT),
    ],
)
def test_a_machine_that_is_built_or_deleted_may_take_long(resources: tuple[Resource, ...]) -> None:
    """Bare metal takes twenty minutes: nothing is said while Nova is at it, whatever else there is."""
    servers = (server("master", "BUILD"), server("worker-1", "BUILD"))
    assert judged(*resources, servers=servers, after_min=100) is None


def test_a_stack_past_its_own_time_out_is_lost_whatever_it_waits_for() -> None:
    """A living Heat ends it to the second; before its first change it counts from its making."""
    building = (making("master"),), (server("master", "BUILD"),)
    found = judged(*building[0], servers=building[1], after_min=126)
    assert found is not None
    assert "its time-out of 120 min passed 6 min ago, when Heat should have ended it" in found.what
    assert judged(*building[0], servers=building[1], after_min=124) is None
    assert judged(*building[0], servers=building[1], after_min=64, timeout_min=0) is None
    assert judged(*building[0], servers=building[1], after_min=66, timeout_min=0) is not None
    changed = {"status": "UPDATE_IN_PROGRESS", "updated": minutes(60)}
    assert judged(*building[0], servers=building[1], after_min=126, **changed) is None


def test_the_gate_may_wait_as_long_as_the_machines_have() -> None:
    """boot_timeout from its own begin; where that is not known, the stack's time-out decides."""
    begun = (event("gate", MAKING, 10),)
    assert judged(MASTER, WORKER, WAITS, events=begun, after_min=64) is None
    found = judged(MASTER, WORKER, WAITS, events=begun, after_min=66)
    assert found is not None
    assert "the time in which its machines should meet is over" in found.what
    assert judged(MASTER, WORKER, WAITS, after_min=100) is None


def test_a_gate_that_does_not_hear_is_a_sign() -> None:
    """The machines' signal is there, and the wait for it goes on: a warning while they train."""
    found = judged(MASTER, WORKER, WAITS, signals={"gate": gate()})
    assert found is not None
    assert found.level == "warning"
    assert "the machines have spoken, and Heat does not hear them" in found.what
    assert "the run goes on" in found.fix
    failed = judged(MASTER, WORKER, WAITS, signals={"gate": gate("failed")})
    assert failed is not None
    assert failed.level == "error"


def test_a_lost_resize_does_not_end_a_run_that_trains() -> None:
    """A lost rerun does: nobody was told of it."""
    update = {"status": "UPDATE_IN_PROGRESS", "updated": minutes(10)}
    found = judged(MASTER, GROUP, signals={"gate": gate()}, **update)
    assert found is not None
    assert found.level == "warning"
    again = {**update, "parameters": {"rerun": "1"}}
    found = judged(MASTER, GROUP, signals={"gate": gate(), "result": result()}, **again)
    assert found is not None
    assert found.level == "error"


@pytest.mark.parametrize(
    "newest",
    [
        {"events": (event("master", "CREATE_COMPLETE", 17),)},
        {"servers": (dataclasses.replace(server("master"), updated=minutes(17)),)},
        {"answers_since": minutes(17)},
        {"status": "UPDATE_IN_PROGRESS", "updated": minutes(17)},
    ],
)
def test_anything_new_begins_the_five_minutes_again(newest: dict[str, Any]) -> None:
    """An event, a machine that came, a cloud that was away, a change that was asked for."""
    assert judged(MASTER, **newest) is None


@pytest.mark.parametrize(
    "status", ["CREATE_COMPLETE", "CREATE_FAILED", "DELETE_IN_PROGRESS", "UPDATE_COMPLETE"]
)
def test_what_is_settled_or_goes_is_not_lost(status: str) -> None:
    """`down` looks after deletes itself."""
    assert judged(MASTER, status=status, after_min=1000) is None


def test_following_ends_with_it(tmp_path: Path) -> None:
    """Exit 5, the stack is kept, and what to type is `down`."""
    lost = picture_of_lost()
    ended = outcome.judged(follow(picture(status=MAKING), lost), "digits-1", tmp_path)
    assert (ended.state, ended.exit_code, ended.problems[0].code) == ("failed", 5, "heat-stalled")
    assert str(ended).startswith("Heat has lost digits-1; the stack is kept")
    assert "hotrun down digits-1" in str(ended)
    assert outcome.standing(lost, "digits-1", tmp_path).exit_code == 5


def test_a_run_that_trains_is_followed_on(tmp_path: Path) -> None:
    """Heat's loss is a warning then, said once, and the result decides."""
    warned = picture({"gate": gate()}, status=MAKING)
    found = judged(MASTER, WORKER, WAITS, signals={"gate": gate()})
    assert found is not None
    warned = dataclasses.replace(warned, problems=(found,))
    done = picture({"gate": gate(), "result": result()}, status=MAKING)
    ended = outcome.judged(follow(warned, done), "digits-1", tmp_path)
    assert (ended.state, ended.exit_code) == ("done", 0)


def picture_of_lost() -> Any:
    """A snapshot of a stack that Heat has lost."""
    found = judged(MASTER, GROUP, BEFORE)
    assert found is not None
    return dataclasses.replace(picture(status=MAKING), problems=(found,))
