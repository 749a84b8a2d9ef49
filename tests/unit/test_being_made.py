"""A stack that is being made, or was lost while it was: what looks at it sees that, and what would change it refuses."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from cloud.errors import ProblemsFound, RunFailed
from cloud.stack.api import CloudError
from cloud.stack.change import rerun, resize, settle
from cloud.stack.watch import Watch, stalled, standing
from tests.unit.fake_cloud import FakeCloud
from tests.unit.stacks import NAME, Clock, Told, folder, made, settled
from tests.unit.test_watch import silence

if TYPE_CHECKING:
    from pathlib import Path


def lost_stack(**parameters: object) -> FakeCloud:
    """A cloud whose Heat lost a stack at its gate's begin: no event for a quarter of an hour."""
    cloud = FakeCloud()
    made(cloud, **parameters)
    found = next(iter(cloud.made.values()))
    found.status, found.is_lost = "CREATE_IN_PROGRESS", True
    for key in [key for key, one in found.resources.items() if one.type == stalled.GATE]:
        found.resources[key] = dataclasses.replace(found.resources[key], status="INIT_COMPLETE")
    cloud.now += dt.timedelta(minutes=15)
    return cloud


def test_watch_and_status_see_it_by_the_clouds_clock(tmp_path: Path) -> None:
    """One look is enough: Heat's events have their times."""
    cloud = lost_stack()
    found = Watch(cloud, settled(cloud).id).look()
    assert found is not None
    assert found.is_stalled
    (entry,) = standing.every(cloud)
    assert (entry.state, entry.next) == ("lost by Heat", "down digits")
    one = standing.one(cloud, settled(cloud), tmp_path, None, "hotrun")
    assert one.outcome.problems[0].code == "heat-stalled"


def test_a_cloud_that_was_away_gets_its_five_minutes() -> None:
    """Heat's engine may have been away with the API: it goes on when both are back."""
    cloud = lost_stack()
    watch = Watch(cloud, settled(cloud).id)
    cloud.faults["stack"] = [silence(503)]
    with pytest.raises(CloudError):
        watch.look()
    found = watch.look()
    assert found is not None
    assert not found.is_stalled
    cloud.now += stalled.QUIET
    found = watch.look()
    assert found is not None
    assert found.is_stalled


def test_what_waits_for_heat_gives_up() -> None:
    """`resize` and `rerun` wait for a change under way, and not for one that is lost."""
    cloud = lost_stack()
    found = settled(cloud)
    clock = Clock()
    with pytest.raises(RunFailed) as lost:
        settle.settled(cloud, found, Told(), clock=clock, sleep=clock.sleep)
    assert lost.value.problems[0].code == "heat-stalled"
    cloud.faults["resources"] = [silence(503)] * 2
    with pytest.raises(RunFailed):
        settle.settled(cloud, found, Told(), clock=clock, sleep=clock.sleep)


def changes(cloud: FakeCloud, tmp_path: Path) -> list[Any]:
    """A resize and a rerun of the one stack."""
    clock = Clock()
    found = settled(cloud, looks=1)
    return [
        lambda: resize.resize(cloud, found, 3, Told(), folder(tmp_path), clock=clock, sleep=clock.sleep),
        lambda: rerun.begin(
            cloud, found, rerun.Rerun(), Told(), folder(tmp_path), clock=clock, sleep=clock.sleep
        ),
    ]


def test_a_stack_that_is_being_made_is_not_waited_for(tmp_path: Path) -> None:
    """`resize` and `rerun` refuse at once, with how far it is and what to type."""
    cloud = FakeCloud()
    made(cloud)
    for change in changes(cloud, tmp_path):
        with pytest.raises(ProblemsFound) as refusal:
            change()
        problem = refusal.value.problems[0]
        assert (problem.code, "2 of 2 machines are there" in problem.what) == ("stack-being-made", True)
        assert f"up TEMPLATE --name {NAME}" in problem.fix
        assert f"status {NAME}" in problem.fix
    assert "update" not in cloud.calls


def test_a_lost_stack_is_named_instead(tmp_path: Path) -> None:
    """Waiting for it does not help."""
    cloud = lost_stack()
    for change in changes(cloud, tmp_path):
        with pytest.raises(RunFailed) as lost:
            change()
        assert lost.value.problems[0].code == "heat-stalled"
