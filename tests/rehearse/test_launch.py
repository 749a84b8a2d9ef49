from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from cloud.rehearse import Options, launch, rehearse
from tests.rehearse import fakes

REPO = "https://host.invalid/you/digits.git"
COMMIT, OTHER = "a" * 40, "b" * 40
TEMPLATE = Path("runs/digits-1/template.yml")
HORIZON = "or  upload it in Horizon"


def steps(**changed: Any) -> str:
    """What to type after a rehearsal of a pinned template, as one text."""
    fields: dict[str, Any] = {"repo": REPO, "ref": COMMIT, "overrides": {}}
    return "\n".join(launch.Launch(**fields | changed).steps(TEMPLATE, "digits-1"))


@pytest.mark.process
def test_the_next_command_launches_what_was_rehearsed(cache: Path, runs: Path) -> None:
    """Values that differ from the template's own are repeated, whichever flag they came from."""
    plan = fakes.plan(fakes.TRAINS, workers=3)
    parameters = {**plan.parameters, "signal_transport": "TOKEN_SIGNAL; x"}
    plan = dataclasses.replace(plan, parameters=parameters)
    shown = str(rehearse(plan, Options(runs_dir=runs, workers=1), fakes.Ui())).splitlines()
    template = runs / "digits-1/template.yml"
    given = "--parameter workers=1 --parameter 'signal_transport=TOKEN_SIGNAL; x'"
    up = f"hotrun up {template} {given}"
    create = f"or  openstack stack create -t {template} {given} --tags hotrun digits-1"
    assert [line.split(maxsplit=1)[1] for line in shown if line.startswith("next")] == [up]
    assert create in [line.strip() for line in shown]
    assert f"{HORIZON} with these parameters: Orchestration > Stacks" in shown[-1]


def test_a_template_as_it_is_needs_no_parameter() -> None:
    """Heat's own parameters and equal values are none of the person's."""
    own = {"workers": 2, "requirements": "."}
    assert launch.overrides(own, {**own, "OS::stack_name": "x", "workers": 2}) == {}
    assert "--parameter" not in steps()
    assert "with these parameters" not in steps()


def test_a_repository_of_this_machine_is_not_launched() -> None:
    """A cloud can't reach a path: no command is shown, but what has to be done first."""
    for repo in ("/home/you/digits", "file:///home/you/digits"):
        told = steps(repo=repo, commit=COMMIT, directory="elsewhere")
        assert "openstack" not in told
        assert HORIZON not in told
        assert "generate the template again" in told


def test_another_commit_is_pushed_first() -> None:
    """A pinned template is generated again; a branch launches once it is pushed; the same commit at once."""
    pinned = steps(commit=OTHER, directory="../digits")
    assert "push first what is in ../digits: a cloud launches\naaaaaaa of " + REPO in pinned
    assert "generate the template again" in pinned
    assert "openstack" not in pinned
    branch = steps(ref="", commit=OTHER, directory="../digits")
    assert "the default branch of" in branch
    assert "openstack stack create" in branch
    assert "push" not in steps(commit=COMMIT, directory="../digits")


def test_a_lone_value_with_a_semicolon_stays_whole() -> None:
    """The openstack client splits a single --parameter at semicolons, so a second one stands beside it."""
    told = steps(overrides={"args": "--title a;b"}, ref="main")
    assert "--parameter 'args=--title a;b' --parameter ref=main --tags hotrun" in told


@pytest.mark.process
def test_a_stand_in_does_not_become_a_parameter(cache: Path, runs: Path, tmp_path: Path) -> None:
    """The commit that --source put in place of the ref is not what a cloud can be asked for."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/main.py").write_text("x")
    report = rehearse(fakes.plan(fakes.TRAINS), Options(runs_dir=runs, source=tmp_path / "tree"), fakes.Ui())
    assert "--parameter" not in str(report)
    assert f"push first what is in {tmp_path}/tree" in str(report)
