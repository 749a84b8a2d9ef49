"""The whole way on a real cloud: plan, up, fetch, rerun, resize, down, with machines that really train.

Keystone, Nova, Neutron and Heat are real; machines are namespaces that run the server's own user data
(tests/openstack/machines): the node program, torch, sshd and the signals are real as well.
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.openstack.machines.fixtures import key, machines, repository, warm

if TYPE_CHECKING:
    from pathlib import Path

    from tests.openstack.conftest import Hotrun, Template
    from tests.openstack.machines.watch import Watch
    from tests.openstack.projects import Project

pytestmark = pytest.mark.rehearsal
__all__ = ["key", "machines", "repository", "warm"]  # fixtures
NAME = "digits"
UP_S = 420.0
SHORT = "--steps 20 --say first"


@dataclass
class Cluster:
    """A stack as these tests use it: made, looked at, and taken away by the program."""

    project: Project
    hotrun: Hotrun
    place: Path
    key: Path
    machines: Watch
    shown: list[str] = field(default_factory=list)

    def run(self, *words: str, code: int = 0, timeout: float = UP_S) -> str:
        """What the program prints, which must end with this code."""
        done = self.hotrun(*words, timeout=timeout)
        consoles = "" if done.returncode == code else self.machines.log("master")[-3000:]
        assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}\n{consoles}"
        return done.stdout

    def up(self, template: Path, *words: str, code: int = 0) -> str:
        """`up` with the key."""
        given = ("--parameter", f"key_name={NAME}", "--identity", str(self.key))
        return self.run("up", str(template), "--name", NAME, *given, *words, code=code)

    @property
    def servers(self) -> dict[str, str]:
        """Name -> id."""
        return {server.name: server.id for server in self.project.connection.compute.servers()}

    @property
    def status(self) -> dict[str, Any]:
        """What `up`, `fetch` and `rerun` keep of a run."""
        return dict(json.loads((self.place / "runs" / NAME / "status.json").read_text()))

    def said(self) -> str:
        """What the program wrote on rank 0: its word, the world's size, the first step."""
        found = sorted((self.place / "runs" / NAME / "results").rglob("said.txt"))
        return found[-1].read_text().strip() if found else "nothing"

    def require_whole(self) -> None:
        """Every file that came home has the checksum that the master wrote."""
        folder = self.place / "runs" / NAME
        command = ["sha256sum", "--check", "--strict", "--quiet", "manifest.sha256"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def require_empty(self) -> None:
        """The project owns nothing any more, and no machine runs."""
        network = self.project.admin.network
        mine = {"project_id": self.project.id}
        kinds = (network.ports, network.networks, network.routers, network.ips)
        assert [list(kind(**mine)) for kind in kinds] == [[], [], [], []]
        assert self.servers == {}
        _until(lambda: not self.machines.running, 30, "the machines to end")


@pytest.fixture
def cluster(project: Project, hotrun: Hotrun, place: Path, key: Path, machines: Watch) -> Cluster:
    """A project, a key and running machines."""
    return Cluster(project, hotrun, place, key, machines)


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_machines_train_come_home_run_again_and_are_gone(
    cluster: Cluster, template: Template, workers: int
) -> None:
    """plan is clean, up proves the world size and fetches every file, rerun replaces no machine, down leaves nothing."""
    path = template(workers=str(workers), args=SHORT)
    cluster.run("plan", str(path), "--parameter", f"key_name={NAME}")

    cluster.up(path)
    size = workers + 1
    assert cluster.status["state"] == "done"
    assert (cluster.status["world_size"]["proven"], cluster.status["world_size"]["expected"]) == (size, size)
    assert cluster.said() == f"first {size} 0"
    cluster.require_whole()
    assert "CREATE_COMPLETE" in cluster.project.openstack(
        "stack", "show", NAME, "-f", "value", "-c", "stack_status"
    )
    before = cluster.servers
    assert len(before) == size

    cluster.run("rerun", NAME, "--args", "--steps 10 --say second", "--identity", str(cluster.key))
    assert cluster.servers == before, "no machine is replaced"
    cluster.run("fetch", NAME, "--identity", str(cluster.key))
    assert cluster.said() == f"second {size} 0"
    cluster.require_whole()

    cluster.run("down", NAME)
    cluster.require_empty()


def test_a_run_that_trains_is_resized(cluster: Cluster, template: Template) -> None:
    """From one worker to two while it trains: the machines stay, training goes on from a checkpoint, at the new size."""
    path = template(workers=1, args="--steps 600 --pause 0.25 --say large")
    cluster.up(path, "--detach")
    _until(lambda: "stage=train state=begin" in cluster.machines.log("master"), UP_S, "training")
    before = cluster.servers
    _until(lambda: _has_stepped(cluster), UP_S, "a checkpoint")

    cluster.run("resize", NAME, "2", "--identity", str(cluster.key))
    after = cluster.servers
    assert set(before.items()) < set(after.items())
    assert len(after) == 3

    cluster.up(path)  # goes on with what is there
    word, size, first = cluster.said().split()
    assert (word, size) == ("large", "3")
    assert int(first) > 0, "it went on from a checkpoint"
    assert cluster.status["world_size"]["proven"] == 3
    cluster.run("down", NAME)
    cluster.require_empty()


def test_a_program_that_fails_says_why_and_is_mended_by_a_rerun(
    cluster: Cluster, template: Template, repository: Path
) -> None:
    """The failing rank's own sentence is shown, nothing is deleted; another commit runs on the same machines."""
    path = template(workers=1, entrypoint="fails.py")
    shown = cluster.up(path, code=5)
    assert "the data of digit 7 are broken" in shown
    before = cluster.servers
    assert len(before) == 2

    mended = repository / "fails.py"
    mended.write_text(mended.read_text().replace("if step == 3", "if step == 300"))
    author = ["-c", "user.name=Somebody", "-c", "user.email=somebody@git.invalid"]
    subprocess.run(["git", *author, "commit", "-qam", "mended"], cwd=repository, check=True)
    cluster.run("rerun", NAME, "--ref", "main", "--identity", str(cluster.key))
    assert cluster.servers == before
    assert cluster.status["state"] == "done"

    cluster.run("down", NAME, "--discard")
    cluster.require_empty()


def _has_stepped(cluster: Cluster) -> bool:
    """Whether the master has written a checkpoint."""
    roots = [cluster.machines.place.root(server_id) for server_id in cluster.servers.values()]
    return any(path for root in roots for path in root.glob("var/lib/hotrun/runs/*/checkpoints/step-*.pt"))


def _until(holds: Any, deadline_s: float, what: str) -> None:
    deadline = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < deadline, f"waited {deadline_s:.0f} s for {what}"
        time.sleep(0.5)
