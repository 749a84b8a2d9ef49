from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from cloud.errors import ProblemsFound
from cloud.stack import record
from cloud.stack.api import Stack, machine_ids
from cloud.stack.change import changing, resize
from cloud.stack.offers import Flavor, Room
from tests.unit.fake_cloud import FakeCloud
from tests.unit.stacks import NAME, Clock, Told, made, settled, trained


class Master:
    """The master's own view: every look is one of the given pictures, the last one again and again."""

    def __init__(self, *attempts: tuple[int, int, str]) -> None:
        self.attempts = list(attempts)
        self.why = ""

    def look(self, stack: object) -> dict[str, Any]:
        """One look."""
        number, count, stage = self.attempts.pop(0) if len(self.attempts) > 1 else self.attempts[0]
        return {"run": "r1", "attempt": number, "nodes": [{"state": "here", "stage": stage}] * count}


@pytest.fixture(autouse=True)
def _in_a_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def asked(
    cloud: FakeCloud, workers: int, viewer: Master | None = None, stack: Stack | None = None, **more: Any
) -> resize.Resized:
    """`resize` of the one stack, in no time."""
    clock = Clock()
    return resize.resize(
        cloud, stack or settled(cloud), workers, Told(), Path("runs"), viewer=viewer, clock=clock,
        sleep=clock.sleep, **more,
    )  # fmt: skip


def training(cloud: FakeCloud) -> None:
    """A stack whose machines passed the gate."""
    made(cloud)
    cloud.gate(NAME)
    settled(cloud)


def test_only_workers_is_sent_and_nobody_is_replaced() -> None:
    """All other parameters stay, and so do the machines that were there."""
    cloud = FakeCloud()
    training(cloud)
    before = settled(cloud)
    ids = machine_ids(cloud.resources(before.id))
    found = asked(cloud, 2, Master((1, 2, "train"), (1, 2, "train"), (2, 3, "environment"), (2, 3, "train")))
    after = settled(cloud)
    assert found.trains
    assert {key: value for key, value in after.parameters.items() if before.parameters[key] != value} == {
        "workers": "2"
    }
    now = machine_ids(cloud.resources(after.id))
    assert {name: now[name] for name in ids} == ids
    assert found.replaced == ()


def test_without_a_view_it_says_what_it_can_not_see() -> None:
    """A shrink shows on no console."""
    cloud = FakeCloud()
    training(cloud)
    found = asked(cloud, 0)
    assert found.trains is None
    assert "can't be seen" in found.unseen


@pytest.mark.parametrize("is_master_off", [False, True])
def test_a_workers_own_trouble_ends_no_run_whose_master_goes_on(is_master_off: bool) -> None:
    """A worker that lost the master tells of itself; only with the master gone too is its word the last."""
    cloud = FakeCloud()
    training(cloud)
    ids = machine_ids(cloud.resources(settled(cloud).id))
    lost = {"code": "master-lost", "level": "error", "node": "worker-1", "what": "no master"}

    class Losing(Master):
        """It is lost by a worker before it is looked at after the change."""

        def look(self, stack: Stack) -> dict[str, Any]:
            if stack.workers == 2:
                cloud.fails(NAME, "lost", "worker-1-lost-master", server=ids["worker-1"], problems=[lost])
                cloud.shut_off |= {ids["master"]} if is_master_off else set()
            return super().look(stack)

    found = asked(cloud, 2, Losing(*[(1, 2, "train")] * 12, (2, 3, "train")))  # Nova is asked every 30 s
    ended = (False, "the run ended before it could be resized")
    assert (found.trains, found.unseen) == (ended if is_master_off else (True, ""))


def test_the_old_gate_is_no_proof_of_a_new_machine() -> None:
    """Silent consoles: that all had met before it came does not mean that it trains."""
    cloud = FakeCloud()
    training(cloud)
    assert asked(cloud, 2).trains is None


def test_the_same_number_changes_nothing() -> None:
    """Said, and exit 0."""
    cloud = FakeCloud()
    training(cloud)
    assert asked(cloud, 1).before == 1
    assert "update" not in cloud.calls


def test_a_finished_run_is_refused_with_the_command_for_a_new_one() -> None:
    """There is nothing to resize any more."""
    cloud = FakeCloud()
    made(cloud)
    trained(cloud)
    with pytest.raises(ProblemsFound) as refusal:
        asked(cloud, 3)
    assert f"rerun {NAME} --workers 3" in refusal.value.problems[0].fix


def test_a_growth_beyond_the_quota_is_refused_before_anything_is_changed() -> None:
    """With the number that would fit."""
    cloud = FakeCloud()
    training(cloud)
    cloud.rooms["instances"] = Room(limit=3, used=2)
    with pytest.raises(ProblemsFound, match="3 more instances needed"):
        asked(cloud, 4)
    assert "update" not in cloud.calls


def test_a_reserved_flavor_has_its_own_cores() -> None:
    """A lease's machines don't count against the project's cores."""
    flavor = Flavor(id="f", name="reservation:1", cores=8, ram_mib=1, disk_gib=1)
    rooms = {"cores": Room(limit=4, used=4), "instances": Room(limit=9, used=0)}
    assert changing.quota_problems(rooms, 1, flavor, "reservation:1") == []
    assert len(changing.quota_problems(rooms, 1, flavor, "m1.large")) == 1


def test_a_resize_from_another_computer_remembers_the_stack_first() -> None:
    """Without a record a later `down` could not ask for the ids."""
    cloud = FakeCloud()
    training(cloud)
    stack = settled(cloud)
    asked(cloud, 2, is_detached=True)
    kept = record.read(Path("runs"), NAME)
    assert kept is not None
    assert kept.stack_id == stack.id
    assert ("OS::Nova::Server", machine_ids(cloud.resources(stack.id))["worker-1"]) in kept.resources


def test_a_silent_stack_is_resized_after_a_rerun_too() -> None:
    """It tells nothing, so that nothing was told of the rerun does not mean that nothing trains."""
    cloud = FakeCloud()
    training(cloud)
    stack = settled(cloud)
    silent = {"signal_transport": "NO_SIGNAL", "rerun": "1"}
    stack = dataclasses.replace(stack, parameters={**stack.parameters, **silent}, outputs={})
    assert asked(cloud, 2, stack=stack, is_detached=True).after == 2
