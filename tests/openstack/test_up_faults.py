"""`up` when something goes wrong on a real OpenStack: named, the stack kept, never a traceback."""

from __future__ import annotations

import datetime as dt
import json
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from cloud import plan as planning
from cloud.stack.launch import create
from cloud.stack.watch import Watch, outcome, outcome_text, stalled
from cloud.stack.watch import loop as watch_loop
from tests.openstack import faults_page, speaking
from tests.openstack.lab import raising
from tests.openstack.running import Running
from tests.openstack.speaking import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.openstack.conftest import Hotrun, Template
    from tests.openstack.projects import Project


def test_a_machine_that_fails_is_named_with_stage_and_line(
    project: Project, template: Template, place: Path
) -> None:
    """The master's FAILURE: who, where, its last lines, what to type next; exit 5, the stack is kept."""
    up = Running(project, place, "up", str(template(workers=1)), "--name", "mine")
    until("mine", lambda: project.cloud.stack("mine"))
    speaking.made(project, "mine")
    speaking.say(project, "mine", "gate", ok=False, state="failed", problems=[speaking.TROUBLE])

    assert up.end() == 5, up.err
    assert up.out.startswith("worker-1 failed in environment; the stack is kept\n")
    for words in ("requirements.txt:3: torchh", "ERROR: No matching distribution", "down mine", "rerun mine"):
        assert words in up.out
    assert project.cloud.stack("mine") is not None


def test_a_machine_that_never_speaks_is_named(hotrun: Hotrun, template: Template, project: Project) -> None:
    """Heat says only that 0 of 1 were received; it is said that the master never spoke, and why that may be."""
    done = hotrun(
        "up", str(template(workers=0)), "--name", "mine", "--parameter", "boot_timeout=60", "--json"
    )
    found = json.loads(done.stdout)

    assert (done.returncode, found["problems"][0]["code"]) == (5, "master-silent")
    assert found["problems"][0]["node"] == "master"
    assert (found["stack"], project.cloud.stack("mine") is not None) == ("CREATE_FAILED", True)
    again = hotrun("up", str(template(workers=0)), "--name", "mine", "--parameter", "boot_timeout=60")
    assert again.returncode == 5
    assert "the master never spoke" in again.stdout


@pytest.fixture
def nowhere(project: Project) -> Iterator[str]:
    """The name of a flavor that no host can hold."""
    compute, name = project.admin.compute, f"nowhere-{project.name}"
    made = compute.create_flavor(name=name, vcpus=1, ram=512, disk=3)
    compute.create_flavor_extra_specs(made, {"resources:CUSTOM_NOWHERE": "1"})
    yield name
    compute.delete_flavor(made)


def test_no_host_for_a_machine_is_named(
    hotrun: Hotrun, template: Template, nowhere: str, project: Project
) -> None:
    """Nova's `No valid host`: which machine, and what may help.

    Heat makes a machine that fails anew some times. When it gives up over one, another may be away just then.
    """
    path = template(workers=2, worker_flavor=nowhere)
    done = hotrun("up", str(path), "--name", "mine", "--json", timeout=400)
    found = json.loads(done.stdout)

    assert (done.returncode, found["problems"][0]["code"]) == (5, "no-host")
    named = next(node for node in found["nodes"] if node["name"] == found["problems"][0]["node"])
    assert named["name"] in ("worker-1", "worker-2")
    assert (named["state"], named["machine"]) == ("failed", "ERROR")
    assert project.cloud.stack("mine") is not None


def test_a_quota_that_shrank_after_the_plan_is_named(
    project: Project, template: Template, place: Path
) -> None:
    """Between plan and create others take what was free: Heat's failure says quota, and which."""
    path = template(workers=2)
    plan = planning.make(path.read_text(), {})
    wish = create.Wish(plan=plan, given={}, runs_dir=place / "runs")
    project.set_quota(instances=1)
    made, _ = create.create(project.cloud, wish, "mine", {}, {})
    followed = watch_loop.Loop(
        watch=Watch(project.cloud, made), shown=_Nobody(), kept=_Nobody(), now=project.cloud.time
    ).run()
    ended = outcome.judged(followed, "mine", place / "runs/mine")

    assert ended.exit_code == 5
    assert "cloud-quota" in [problem.code for problem in ended.problems]
    faults_page.note(("up", "template.yml", "--name", "mine"), 5, outcome_text.text(ended), "")


class _Nobody:
    """Neither looks nor keeps."""

    def show(self, *_: Any) -> None:
        """Look away."""

    def tell(self, _: str) -> None:
        """Hear nothing."""

    def event(self, _: str, **__: Any) -> None:
        """Forget."""


@pytest.mark.alone
def test_a_heat_that_restarts_is_survived(project: Project, template: Template, place: Path) -> None:
    """Heat's API is away for a while during the making: following goes on when it is back."""
    up = Running(project, place, "up", str(template(workers=1)), "--name", "mine", "--json")
    until("mine", lambda: project.cloud.stack("mine"))
    raising.stop("heat-api", at_once=True)
    time.sleep(5)  # long enough for a look that gets no answer
    raising.start("heat-api")
    speaking.made(project, "mine")
    speaking.pass_gate(project, "mine")
    speaking.finish(project, "mine")

    assert up.end(400) == 0, up.err
    assert json.loads(up.out)["state"] == "done"
    assert "Traceback" not in up.err


@pytest.mark.alone
def test_a_stack_whose_engine_was_killed_is_deleted_whole(
    project: Project, hotrun: Hotrun, template: Template, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, Heat's engine loses what it was doing, and the stack stays as it is for ever: it is named, `down` empties it.

    Five quiet minutes are waited for; here half a minute, in which nothing comes from any side.
    """
    up = Running(project, place, "up", str(template(workers=1)), "--name", "mine")
    stack = until("mine", lambda: project.cloud.stack("mine"))
    raising.stop("heat-engine", at_once=True)
    raising.start("heat-engine")
    up.process.kill()
    up.end()
    monkeypatch.setattr(stalled, "QUIET", dt.timedelta(seconds=30))
    watch, late = Watch(project.cloud, stack.id), time.monotonic() + 300

    def give_up() -> None:
        assert time.monotonic() < late, f"Heat went on with it: {project.cloud.resources(stack.id)}"

    followed = watch_loop.Loop(
        watch=watch, shown=_Nobody(), kept=_Nobody(), now=project.cloud.time, raise_early=give_up
    ).run()
    ended = outcome.judged(followed, "mine", place / "runs/mine")
    assert (followed.end, ended.exit_code) == ("stalled", 5)
    assert ended.problems[0].code == "heat-stalled"
    assert "hotrun down mine" in ended.problems[0].fix
    refused = hotrun("resize", "mine", "2")
    assert refused.returncode in (3, 5), refused.stderr  # it is being made, or, five minutes on, lost
    down = hotrun("down", "mine", timeout=600)

    assert down.returncode == 0, down.stderr
    assert project.cloud.stack("mine") is None
    assert not list(project.connection.compute.servers())


def test_a_token_that_expires_is_survived(project: Project, template: Template, place: Path) -> None:
    """A night is longer than a token: the program logs in again."""
    up = Running(project, place, "up", str(template(workers=0)), "--name", "mine", "--json")
    until(
        "the gate", lambda: speaking.is_waiting(project, "mine")
    )  # before, Heat itself works with that token
    project.expire_tokens()
    speaking.pass_gate(project, "mine")
    world = {"expected": 1, "proven": 1, "backend": "none"}
    speaking.finish(project, "mine", world_size=world)

    assert up.end() == 0, up.err


def test_killed_at_any_step_the_next_one_goes_on(
    project: Project, hotrun: Hotrun, template: Template, place: Path
) -> None:
    """SIGKILL as soon as Heat has the stack, whether or not that was remembered: no second stack is made."""
    path = template(workers=0)
    for step in ("accepted", "followed"):
        up = Running(project, place, "up", str(path))
        until("a stack", project.cloud.stacks)
        if step == "followed":
            until("following", lambda up=up: "CREATE_IN_PROGRESS" in up.err or up.process.poll() is not None)
        up.process.kill()
        up.end()
    done = hotrun("up", str(path), "--detach")

    assert done.returncode == 0, done.stderr
    assert [one.name for one in project.cloud.stacks()] == ["digits-1"]
    record = json.loads((place / "runs/digits-1/cloud.json").read_text())
    stack = project.cloud.stack("digits-1")
    assert stack is not None
    assert record["stack_id"] == stack.id


def test_an_interrupt_keeps_the_stack_and_says_so(
    project: Project, hotrun: Hotrun, template: Template, place: Path
) -> None:
    """Without a terminal nobody can be asked: exit 130, what is left and how to delete it; `down` then does."""
    up = Running(project, place, "up", str(template(workers=0)), "--name", "mine")
    until("following", lambda: "CREATE_IN_PROGRESS" in up.err)
    up.process.send_signal(signal.SIGINT)

    assert up.end() == 130
    assert "the stack mine is kept and costs" in up.out
    assert "down mine deletes it" in up.out
    assert hotrun("down", "mine").returncode == 0
    assert project.cloud.stack("mine") is None


def test_a_stack_that_somebody_deletes_is_said(project: Project, template: Template, place: Path) -> None:
    """Deleted in Horizon while it is followed: exit 5, and no waiting for what is gone."""
    up = Running(project, place, "up", str(template(workers=0)), "--name", "mine", "--json")
    until("following", lambda: "CREATE_IN_PROGRESS" in up.err)
    stack = project.cloud.stack("mine")
    assert stack is not None
    project.cloud.delete(stack.id)

    assert up.end() == 5
    assert json.loads(up.out)["problems"][0]["code"] == "stack-gone"
