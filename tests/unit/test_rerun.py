from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloud import repository
from cloud.errors import Problem, ProblemsFound, RequestError
from cloud.stack import record
from cloud.stack.api import Stack, machine_ids
from cloud.stack.change import rerun
from tests.unit.fake_cloud import FakeCloud
from tests.unit.stacks import NAME, Clock, Told, folder, made, settled, trained

COMMIT = "a" * 40


def begun(
    cloud: FakeCloud, tmp_path: Path, stack: Stack | None = None, *, ui: Told | None = None,
    sleep: Callable[[float], None] | None = None, is_followed: bool = False, **asked: Any,
) -> rerun.Begun:  # fmt: skip
    """`rerun` of the one stack, in no time."""
    clock = Clock()
    return rerun.begin(
        cloud, stack or settled(cloud), rerun.Rerun(**{"anyway": True, **asked}), ui or Told(),
        folder(tmp_path), is_followed=is_followed, clock=clock, sleep=sleep or clock.sleep,
    )  # fmt: skip


def test_arguments_reach_the_machines_and_none_is_replaced(tmp_path: Path) -> None:
    """Metadata change in place; everything that was not given stays."""
    cloud = FakeCloud()
    made(cloud)
    before = machine_ids(cloud.resources(trained(cloud).id))
    found = begun(cloud, tmp_path, args="--epochs 3")
    after = settled(cloud)
    assert (found.number, after.parameters["rerun"], after.parameters["rerun_args"]) == (1, "1", "--epochs 3")
    assert machine_ids(cloud.resources(after.id)) == before
    assert cloud.servers(after)[1].metadata["hotrun_args"] == "--epochs 3"


def test_empty_arguments_are_one_blank(tmp_path: Path) -> None:
    """Empty means those of the template."""
    cloud = FakeCloud()
    made(cloud)
    trained(cloud)
    begun(cloud, tmp_path, args="")
    assert settled(cloud).parameters["rerun_args"] == " "


@pytest.mark.parametrize(("args", "code"), [("x" * 256, "value-too-long"), ("--name 'a", "words-unbalanced")])
def test_arguments_that_machines_can_not_take_are_refused(tmp_path: Path, args: str, code: str) -> None:
    """Before the cloud is asked for anything."""
    cloud = FakeCloud()
    made(cloud)
    stack = trained(cloud)
    with pytest.raises(RequestError) as refusal:
        begun(cloud, tmp_path, stack, args=args)
    assert refusal.value.problems[0].code == code
    assert "update" not in cloud.calls


def test_a_failed_gate_is_forgiven_first(tmp_path: Path) -> None:
    """Else Heat fails the update by the old signal; what the master told stays."""
    cloud = FakeCloud()
    made(cloud)
    cloud.fails(NAME, "worker-1: environment: no such package")
    assert settled(cloud).status == "CREATE_FAILED"
    begun(cloud, tmp_path, args="--fixed")
    assert "signal" in cloud.calls
    assert settled(cloud).status == "UPDATE_COMPLETE"


def test_only_an_ended_run_is_followed_by_another(tmp_path: Path) -> None:
    """One that trains is refused, and one that was asked for and has told nothing yet."""
    cloud = FakeCloud()
    made(cloud)
    cloud.gate(NAME)
    with pytest.raises(ProblemsFound, match="trains now"):
        begun(cloud, tmp_path)
    trained(cloud)
    begun(cloud, tmp_path)
    with pytest.raises(ProblemsFound, match="has not told how its run ended"):
        begun(cloud, tmp_path)


def test_an_older_template_is_named(tmp_path: Path) -> None:
    """It has no parameter that its machines would look at."""
    cloud = FakeCloud()
    made(cloud)
    stack = trained(cloud)
    less = {key: value for key, value in stack.parameters.items() if not key.startswith("rerun")}
    with pytest.raises(ProblemsFound) as refusal:
        begun(cloud, tmp_path, dataclasses.replace(stack, parameters=less))
    assert refusal.value.problems[0].code == "template-too-old"


def test_a_stack_past_its_hours_is_refused(tmp_path: Path) -> None:
    """Its machines would power off as soon as they are started; the hours are the cloud's, not this computer's."""
    cloud = FakeCloud()
    made(cloud, max_hours="0.5")
    trained(cloud)
    in_time, cloud.now = cloud.now, cloud.now + dt.timedelta(hours=1)
    with pytest.raises(ProblemsFound) as refusal:
        begun(cloud, tmp_path)
    assert refusal.value.problems[0].code == "deadline-over"
    cloud.now = in_time
    assert begun(cloud, tmp_path).number == 1


def test_a_ref_becomes_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As at generation; what is wrong with it changes nothing."""
    cloud = FakeCloud()
    made(cloud)
    trained(cloud)
    wrong = repository.Findings(
        problems=(Problem(code="ref-not-found", what="ref is mian, but there is none"),)
    )
    monkeypatch.setattr(repository, "inspect", lambda job, _: (job, wrong))
    with pytest.raises(ProblemsFound, match="mian"):
        begun(cloud, tmp_path, ref="mian")
    assert "update" not in cloud.calls
    found = repository.Findings(branch="main")
    monkeypatch.setattr(
        repository, "inspect", lambda job, _: (dataclasses.replace(job, commit=COMMIT), found)
    )
    assert begun(cloud, tmp_path, ref="main").ref == COMMIT
    assert settled(cloud).parameters["rerun_ref"] == COMMIT


def test_results_not_fetched_keep_the_next_run_from_beginning(tmp_path: Path) -> None:
    """Fetch would find only the new run; the refusal names both ways on."""
    cloud = FakeCloud()
    made(cloud)
    stack = trained(cloud)
    with pytest.raises(ProblemsFound) as refusal:
        begun(cloud, tmp_path, anyway=False)
    problem = refusal.value.problems[0]
    assert problem.code == "results-not-fetched"
    assert f"fetch {NAME}" in problem.fix
    assert f"rerun {NAME} --anyway" in problem.fix
    assert "update" not in cloud.calls
    kept = record.Record(cloud=cloud.label, name=NAME, template_sha256="", stack_id=stack.id)
    record.write(folder(tmp_path), kept.brought("r1"))
    assert begun(cloud, tmp_path, anyway=False).number == 1


def test_a_rerun_from_another_computer_remembers_the_stack_first(tmp_path: Path) -> None:
    """Without a record a later `down` could not ask for the ids."""
    cloud = FakeCloud()
    made(cloud)
    stack = trained(cloud)
    begun(cloud, tmp_path)
    kept = record.read(folder(tmp_path), NAME)
    assert kept is not None
    assert kept.stack_id == stack.id
    assert ("OS::Nova::Server", machine_ids(cloud.resources(stack.id))["master"]) in kept.resources


def test_a_silent_stack_runs_again_as_often_as_it_is_asked(tmp_path: Path) -> None:
    """It tells nothing, so the count of its reruns is never told either."""
    cloud = FakeCloud()
    silent = {"signal_transport": "NO_SIGNAL", "rerun": "1"}
    stack = made(cloud)
    cloud.gate(NAME)
    stack = settled(cloud)
    stack = dataclasses.replace(stack, parameters={**stack.parameters, **silent}, outputs={})
    assert begun(cloud, tmp_path, stack).number == 2
