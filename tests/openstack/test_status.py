"""`status` against a real OpenStack: all stacks in a list, one machine by machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.openstack import speaking

if TYPE_CHECKING:
    from tests.openstack.conftest import Hotrun, Template
    from tests.openstack.projects import Project


def test_nothing_is_said_to_be_there(project: Project, hotrun: Hotrun) -> None:
    """A project without a stack of ours."""
    done = hotrun("status")
    assert (done.returncode, done.stdout) == (0, f"no stack of hotrun in {project.cloud.label}\n")


def test_a_stack_is_shown_from_its_making_to_its_result(
    project: Project, hotrun: Hotrun, template: Template
) -> None:
    """Each moment has its own word, in the list and machine by machine; nothing is changed by looking."""
    assert hotrun("up", str(template(workers=1)), "--name", "mine", "--detach").returncode == 0
    words = [listed(hotrun)["state"]]
    speaking.made(project, "mine")
    waiting, early = hotrun("status", "mine"), hotrun("fetch", "mine")
    speaking.pass_gate(project, "mine")
    training = hotrun("status", "mine")
    words.append(listed(hotrun)["state"])
    speaking.finish(project, "mine")
    words.append(listed(hotrun)["state"])
    done = json.loads(hotrun("status", "mine", "--json").stdout)

    assert words == ["being made", "training", "done"]
    assert listed(hotrun)["machines"] == 2
    assert (early.returncode, "nothing to fetch yet: mine is being made" in early.stderr) == (3, True), (
        early.stderr
    )
    assert "waiting for master (no word from it yet), worker-1" in waiting.stdout
    assert "all 2 machines in train" in training.stdout
    assert all(len(line) <= 80 for line in training.stdout.splitlines()[1:8]), training.stdout
    assert (done["state"], done["exit_code"], done["stack"]) == ("done", 0, "CREATE_COMPLETE")


def test_an_unknown_stack_has_a_near_miss(project: Project, hotrun: Hotrun, template: Template) -> None:
    """A name that no stack has is exit 3."""
    assert hotrun("up", str(template(workers=0)), "--name", "digits", "--detach").returncode == 0
    done = hotrun("status", "digit")
    assert done.returncode == 3
    assert "did you mean digits?" in done.stderr
    assert project.cloud.stack("digits") is not None


def test_a_stack_that_was_deleted_is_remembered(hotrun: Hotrun, template: Template) -> None:
    """When and by whom, as far as this computer knows; exit 3, as for any name that no stack has."""
    assert hotrun("up", str(template(workers=0)), "--name", "digits", "--detach").returncode == 0
    assert hotrun("down", "digits").returncode == 0
    done = hotrun("status", "digits")
    assert done.returncode == 3
    assert "digits is gone: `down` on this computer deleted it, 20" in done.stderr


def listed(hotrun: Hotrun) -> dict[str, object]:
    """The only stack of the list."""
    (found,) = json.loads(hotrun("status", "--json").stdout)["stacks"]
    return dict(found)
