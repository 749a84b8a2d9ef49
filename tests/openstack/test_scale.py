"""33 workers, and 254 when they are named: what the program asks of a cloud, and how long a real one takes.

The machines are played: Keystone, Nova, Neutron and Heat are real, but nothing runs on the servers; a stand-in
says the master's two signals with the stack's own credentials (tests/openstack/machines/played.py).

    HOTRUN_LAB_254=1    254 workers as well, half an hour
    HOTRUN_SCALE_PAGE=1    writes docs/openstack-scale.md
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.openstack import scale_page
from tests.openstack.conftest import environment
from tests.openstack.ending import until_so
from tests.openstack.machines.played import played

if TYPE_CHECKING:
    from tests.openstack.conftest import Template
    from tests.openstack.projects import Project

NAME = "many"
ROOT = Path(__file__).parents[2]
LARGEST = 254
DEADLINE_S = {33: 900.0, LARGEST: 5400.0}


@dataclass
class Steps:
    """Runs commands of the program one after the other and notes time and requests of each."""

    project: Project
    place: Path
    deadline_s: float

    def __post_init__(self) -> None:
        self.rows: list[scale_page.Step] = []

    def run(self, *words: str) -> str:
        """What a command prints; it must end well."""
        counts = self.place / "counts.json"
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "tests.openstack.counted", str(counts), *words],
            cwd=self.place, env={**environment(self.place), **self.project.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=False, timeout=self.deadline_s, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        seconds = time.monotonic() - began
        self.rows.append(scale_page.Step(words[0], seconds, json.loads(counts.read_text())))
        return done.stdout


@pytest.mark.alone
@pytest.mark.parametrize("workers", [33, LARGEST])
def test_many_machines_are_planned_made_followed_and_deleted(
    project: Project, template: Template, place: Path, workers: int
) -> None:
    """plan, up, status and down hold with many machines; played ones, for they don't run here."""
    if workers == LARGEST and not os.environ.get("HOTRUN_LAB_254"):
        pytest.skip("254 workers take half an hour; type: make test-openstack-254")
    steps = Steps(project, place, DEADLINE_S[workers])
    path = template(workers=workers)
    steps.run("plan", str(path))
    with played(project, NAME, deadline_s=steps.deadline_s) as playing:
        steps.run("up", str(path), "--name", NAME, "--json")
    status = json.loads((place / "runs" / NAME / "status.json").read_text())
    assert (status["state"], len(status["nodes"])) == ("done", workers + 1)
    steps.run("status", NAME)
    steps.run("down", NAME, "--discard")
    print(scale_page.table(workers, steps.rows, playing.said))
    if os.environ.get("HOTRUN_SCALE_PAGE"):
        scale_page.write(workers, steps.rows, playing.said)
    assert not list(project.admin.network.ports(project_id=project.id))
    until_so(
        lambda: not list(project.connection.compute.servers()), 600.0
    )  # Nova lists them a while as DELETED
