"""What no Ray can be started with, rehearsed: the machine, the stage and the cause, and what to do."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.rehearse import labs
from tests.rehearse.test_rehearsals import payload, run, template

if TYPE_CHECKING:
    from cloud.rehearse.report import Report

pytestmark = pytest.mark.rehearsal
PORT = 6382  # the runtime environments' agent, cloud/node/engines/ray.py
TAKEN = f"case $(hostname) in *worker-1) python3 -m http.server {PORT} & sleep 2;; esac"
SMALL_SHARED_MEMORY = "mount -t tmpfs -o size=64m none /dev/shm"


def text(workers: int, **job: object) -> str:
    """A template for the payload."""
    made = {
        "requirements": "payload",
        "entrypoint": "ray_train.py",
        "engine": "ray",
        "args": "--epochs 1",
        **job,
    }
    return template(workers, **made)


def require_taken(report: Report, node: str) -> None:
    """The machine, the stage and the port are named."""
    ((_, problem),) = report.errors
    assert (problem.code, problem.node, problem.stage) == ("port-taken", node, "train")
    assert problem.what.startswith(f"port {PORT} can't be used: [Errno 98] Address already in use")


def test_a_port_that_another_program_has_on_the_master(cache: Path, runs: Path, tmp_path: Path) -> None:
    """At level `process` it is this computer's."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", PORT))
        except OSError:
            pytest.skip(f"another program of this computer listens at port {PORT}")
        other.listen()
        report = run(text(0), runs, source=payload(tmp_path), level="process")

    require_taken(report, "master")


def test_a_port_that_another_program_has_on_a_worker(cache: Path, runs: Path, tmp_path: Path) -> None:
    """The worker is named, before its Ray says less."""
    labs.needed()
    report = run(text(1, setup=TAKEN), runs, source=payload(tmp_path), level="namespace")

    require_taken(report, "worker-1")


def test_too_little_shared_memory(cache: Path, runs: Path, tmp_path: Path) -> None:
    """As in a container with Docker's 64 MB; Ray would go to the disk with it."""
    labs.needed()
    report = run(text(0, setup=SMALL_SHARED_MEMORY), runs, source=payload(tmp_path), level="namespace")

    ((_, problem),) = report.errors
    assert (problem.code, problem.node, problem.stage) == ("shared-memory-short", "master", "train")
    assert problem.what == "/dev/shm has 64 MB free, and Ray needs 100"
    assert problem.fix == "choose a flavor with more memory"


def test_a_python_that_ray_has_no_wheel_for(cache: Path, runs: Path, tmp_path: Path) -> None:
    """The line of the requirements, the Pythons that it has wheels for."""
    tree = tmp_path / "digits"
    shutil.copytree(payload(tmp_path), tree)
    (tree / "payload/requirements-ray.txt").write_text(
        "# the last one before Python 3.11\nray[train]==2.2.0\n"
    )
    report = run(text(0), runs, source=tree, level="process")

    ((_, problem),) = report.errors
    assert (problem.code, problem.node, problem.stage) == ("environment-failed", "master", "environment")
    pythons = "`cp36m`, `cp37m`, `cp38`, `cp39`, `cp310`"
    assert "but we only found wheels for `ray` (v2.2.0)" in problem.what
    assert problem.what.endswith(pythons)
