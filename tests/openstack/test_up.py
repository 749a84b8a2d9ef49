"""`up` against a real OpenStack: it makes, follows, goes on, and is not fooled by another stack or an edited file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cloud.stack.launch import changed
from tests.openstack import speaking
from tests.openstack.running import Running
from tests.openstack.speaking import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.openstack.conftest import Hotrun, Template
    from tests.openstack.projects import Project

FOREIGN = "heat_template_version: 2018-08-31\nresources:\n  word: {type: OS::Heat::RandomString}\n"


def test_a_stack_is_made_followed_and_its_result_shown(
    project: Project, hotrun: Hotrun, template: Template, place: Path
) -> None:
    """From the file to the result in one command; type it again and the result is there at once."""
    path = template(workers=1)
    up = Running(project, place, "up", str(path), "--json")
    until("digits-1", lambda: project.cloud.stack("digits-1"))
    speaking.made(project, "digits-1")
    speaking.pass_gate(project, "digits-1")
    until("the gate", lambda: "every machine passed the gate" in up.err)
    speaking.finish(project, "digits-1")
    code, found = up.end(), json.loads(up.out)

    assert code == 0, up.err
    assert (found["level"], found["state"], found["world_size"]["proven"]) == ("cloud", "done", 2)
    assert [node["name"] for node in found["nodes"]] == ["master", "worker-1"]
    kept = place / "runs/digits-1"
    assert json.loads((kept / "status.json").read_text()) == found
    assert json.loads((kept / "results/result.json").read_text())["test_accuracy"] == 0.9837
    assert (kept / "template.yml").read_text() == path.read_text()
    events = [json.loads(line)["event"] for line in (kept / "events.jsonl").read_text().splitlines()]
    assert {"stack", "heat", "told", "finished"} <= set(events)

    again = hotrun("up", str(path))
    assert again.returncode == 0, again.stderr
    assert "digits-1 is there already (CREATE_COMPLETE); going on with it" in again.stderr
    assert "2 machines trained as one (world size 2 of 2, gloo)" in again.stdout
    assert len(project.cloud.stacks()) == 1


def test_what_is_remembered_holds_every_id(
    project: Project, hotrun: Hotrun, template: Template, place: Path
) -> None:
    """`down` can ask for all that was ever there; tags say what the stack was made from; no rollback."""
    path = template(workers=1)
    done = hotrun("up", str(path), "--name", "mine", "--detach")
    assert done.returncode == 0, done.stderr
    assert "hotrun" not in done.stdout or "status mine" in done.stdout
    speaking.made(project, "mine")
    assert hotrun("up", str(path), "--detach").returncode == 0
    record = json.loads((place / "runs/mine/cloud.json").read_text())
    stack = project.cloud.stack("mine")

    assert stack is not None
    assert set(stack.tags) == {"hotrun", changed.tag(path.read_text())}
    assert record["stack_id"] == stack.id
    assert {tuple(pair) for pair in record["resources"]} >= {
        ("OS::Nova::Server", identity) for identity in speaking.machines(project, "mine").values()
    }
    assert [one.name for one in project.cloud.stacks()] == ["mine"]
    shown = json.loads(project.openstack("stack", "show", "mine", "-f", "json"))
    assert shown["disable_rollback"] is True


def test_a_name_of_somebody_else_is_refused(
    project: Project, hotrun: Hotrun, template: Template, place: Path
) -> None:
    """A stack that was not made by this program is never followed, changed or overwritten."""
    (place / "foreign.yml").write_text(FOREIGN)
    project.openstack("stack", "create", "-t", str(place / "foreign.yml"), "theirs")
    done = hotrun("up", str(template(workers=0)), "--name", "theirs")

    assert done.returncode == 3
    assert "docs/errors.md#stack-name-taken" in done.stderr
    assert not (place / "runs/theirs").exists()


def test_another_template_is_never_taken_silently(
    project: Project, hotrun: Hotrun, template: Template, place: Path
) -> None:
    """What differs between the file and the stack is said in words; accepted, the stack is followed as it is."""
    path = template(workers=0)
    assert hotrun("up", str(path), "--name", "mine", "--detach").returncode == 0
    edited = place / "edited.yml"
    edited.write_text(path.read_text().replace("default: main.py", "default: other.py"))
    before = project.cloud.stack("mine")

    refused = hotrun("up", str(edited), "--name", "mine", "--json")
    problem = json.loads(refused.stdout)["problems"][0]
    other = hotrun("up", str(path), "--name", "mine", "--parameter", "workers=2", "--detach")
    accepted = hotrun("up", str(edited), "--name", "mine", "--accept-changes", "--detach")

    assert (refused.returncode, problem["code"]) == (3, "template-changed")
    assert "parameter entrypoint has the default 'other.py', was 'main.py'" in problem["what"]
    assert other.returncode == 3
    assert "workers is '2' here and '0' in the stack" in other.stderr
    assert accepted.returncode == 0
    assert "accepted: parameter entrypoint" in accepted.stderr
    after = project.cloud.stack("mine")
    assert before is not None
    assert after is not None
    assert (after.id, after.parameters) == (before.id, before.parameters)


def test_a_file_edited_after_its_rehearsal_is_said(
    project: Project, hotrun: Hotrun, template: Template, place: Path
) -> None:
    """What was rehearsed is what runs; anything else is launched only when that is accepted."""
    path = template(workers=0)
    rehearsed = place / "runs/digits-1"
    rehearsed.mkdir(parents=True)
    (rehearsed / "template.yml").write_text(path.read_text())
    path.write_text(path.read_text().replace("default: main.py", "default: other.py"))
    refused = hotrun("up", str(path), "--detach")

    assert refused.returncode == 3
    assert "is not the file that was rehearsed as digits-1" in refused.stderr
    assert project.cloud.stacks() == []
    assert hotrun("up", str(path), "--detach", "--accept-changes").returncode == 0
    assert [one.name for one in project.cloud.stacks()] == ["digits-2"]


def test_a_plan_with_errors_makes_nothing(
    project: Project, hotrun: Hotrun, template: Template, place: Path
) -> None:
    """Exit 3 with what stands in the way, and neither a stack nor a record of one."""
    done = hotrun("up", str(template(workers=0)), "--parameter", "image=tinny")

    assert done.returncode == 3
    assert "tinny" in done.stderr
    assert project.cloud.stacks() == []
    assert not (place / "runs").exists()


def test_hours_are_written_into_the_stack(project: Project, hotrun: Hotrun, template: Template) -> None:
    """--max-hours is the stack's own parameter, whoever looks at it."""
    done = hotrun("up", str(template(workers=0)), "--name", "mine", "--max-hours", "2.5", "--detach")
    stack = project.cloud.stack("mine")

    assert done.returncode == 0, done.stderr
    assert stack is not None
    assert float(stack.parameters["max_hours"]) == 2.5
